//! `libkarafka configs`: settings of topics and brokers.

use crate::Cluster;
use crate::output::{Output, Stop, clean};
use clap::{Args, Subcommand};
use karafka::ConfigResource;
use serde_json::json;
use std::process::ExitCode;

/// Show and change settings of topics and brokers
#[derive(Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Configs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Show the settings that somebody has set; secret values stay hidden
    Show {
        #[command(flatten)]
        of: Of,
        /// Defaults too
        #[arg(long)]
        all: bool,
        /// One line of JSON for each
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Set settings, or put them back to their defaults; others stay as they are
    Set {
        #[command(flatten)]
        of: Of,
        /// name=value, or a name alone for its default
        #[arg(required = true, value_name = "NAME=VALUE")]
        changes: Vec<String>,
        #[command(flatten)]
        cluster: Cluster,
    },
}

/// Whose settings.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Of {
    /// Of this topic
    #[arg(long)]
    topic: Option<String>,
    /// Of the broker with this number
    #[arg(long, value_name = "NUMBER")]
    broker: Option<i32>,
}

impl Of {
    fn resource(&self) -> ConfigResource {
        match (&self.topic, self.broker) {
            (Some(topic), _) => ConfigResource::Topic(topic.clone()),
            (None, broker) => ConfigResource::Broker(broker.unwrap_or_default()),
        }
    }
}

impl Configs {
    pub(crate) fn run(&self) -> Result<ExitCode, Stop> {
        let mut output = Output::new();
        match &self.action {
            Action::Show { of, all, json, cluster } => {
                for entry in cluster.admin()?.configs(&of.resource())? {
                    if entry.is_default && !all {
                        continue;
                    }
                    if *json {
                        output.json(&json!({
                            "name": entry.name, "value": entry.value, "is_default": entry.is_default,
                            "is_read_only": entry.is_read_only, "is_sensitive": entry.is_sensitive,
                        }))?;
                        continue;
                    }
                    let value = entry.value.as_deref().map_or_else(|| "(secret)".to_owned(), clean);
                    output.line(&format!("{:<48}  {value}", entry.name))?;
                }
            }
            Action::Set { of, changes, cluster } => {
                let change = |text: &String| match text.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (text.clone(), None),
                };
                let changes: Vec<_> = changes.iter().map(change).collect();
                cluster.admin()?.alter_configs(&of.resource(), &changes)?;
                output.line("set")?;
            }
        }
        output.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}
