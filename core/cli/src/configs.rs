//! `libkarafka configs`: settings of topics and brokers.

use crate::Cluster;
use crate::names::Name;
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
    #[command(flatten)]
    cluster: Cluster,
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
    },
    /// Set settings, or put them back to their defaults; others stay as they are
    Set {
        #[command(flatten)]
        of: Of,
        /// name=value, or a name alone for its default
        #[arg(required = true, value_name = "NAME=VALUE")]
        changes: Vec<String>,
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
    pub(crate) fn run(&self, mut output: Output) -> Result<ExitCode, Stop> {
        let (Action::Show { of, .. } | Action::Set { of, .. }) = &self.action;
        let admin = self.cluster.admin_for(of.topic.as_deref().map(Name::Topic))?;
        match &self.action {
            Action::Show { of, all } => {
                for entry in admin.configs(&of.resource())?.iter().filter(|entry| *all || !entry.is_default) {
                    output.item(
                        || {
                            let value = entry.value.as_deref().map_or_else(|| "(secret)".to_owned(), clean);
                            format!("{:<48}  {value}", entry.name)
                        },
                        || {
                            json!({
                                "name": entry.name, "value": entry.value, "is_default": entry.is_default,
                                "is_read_only": entry.is_read_only, "is_sensitive": entry.is_sensitive,
                            })
                        },
                    )?;
                }
            }
            Action::Set { of, changes } => {
                let change = |text: &String| match text.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (text.clone(), None),
                };
                let changes: Vec<_> = changes.iter().map(change).collect();
                admin.alter_configs(&of.resource(), &changes)?;
                for (name, value) in &changes {
                    output.item(
                        || {
                            value.as_ref().map_or(format!("{name} has its default"), |value| {
                                format!("{name} is {}", clean(value))
                            })
                        },
                        || json!({ "name": name, "value": value, "done": true }),
                    )?;
                }
            }
        }
        output.end()
    }
}
