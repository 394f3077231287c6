//! `libkarafka plan` and `libkarafka apply`: the topics of a file, and those of a cluster.

use crate::Cluster;
use crate::output::{Output, Stop};
use clap::Args;
use karafka::{DeclaredTopic, Error, ErrorKind, Step};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// The code of a plan that has something to do.
const DIFFERENT: u8 = 2;

const FILE: &str = "\
The file is TOML:

  [topics.orders]
  partitions = 6
  replicas = 3
  configs = { \"cleanup.policy\" = \"compact\", \"retention.ms\" = 86400000 }
  defaults = [\"max.message.bytes\"]

  [topics.old-orders]
  absent = true

What is not given may be as it likes; `defaults` are settings that are to have the cluster's default.";

/// Show what would have to be done so that topics are as a file says
///
/// Ends with 0 when they are, with 2 when there is a difference, and with 1 on an error. Changes nothing.
#[derive(Args)]
#[command(after_long_help = FILE)]
pub(crate) struct Plan {
    #[command(flatten)]
    source: Source,
}

/// Do what `plan` shows
///
/// Steps by which records can be lost (deleting a topic, keeping records for less time or in less room, another cleanup.policy) are
/// refused without --allow; the others are done all the same. Ends with 1 when a step was not done.
#[derive(Args)]
pub(crate) struct Apply {
    #[command(flatten)]
    source: Source,
    /// Also take steps by which records can be lost
    #[arg(long)]
    allow: bool,
}

#[derive(Args)]
struct Source {
    /// The file
    file: PathBuf,
    /// One line of JSON for each step
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    topics: BTreeMap<String, Topic>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Topic {
    partitions: Option<i32>,
    replicas: Option<i32>,
    #[serde(default)]
    configs: BTreeMap<String, Value>,
    #[serde(default)]
    defaults: Vec<String>,
    #[serde(default)]
    absent: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Integer(i64),
    Boolean(bool),
    Number(f64),
}

impl Value {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Integer(number) => number.to_string(),
            Self::Boolean(value) => value.to_string(),
            Self::Number(number) => number.to_string(),
        }
    }
}

impl Source {
    fn topics(&self) -> karafka::Result<Vec<DeclaredTopic>> {
        let refuse = |message: String| {
            Error::new(ErrorKind::Config, "read declared topics", message).with("file", self.file.display())
        };
        let text = std::fs::read_to_string(&self.file).map_err(|error| refuse(error.to_string()))?;
        let file: File = toml::from_str(&text).map_err(|error| refuse(error.to_string().trim_end().to_owned()))?;
        let topic = |(name, topic): (String, Topic)| {
            let set = topic.configs.into_iter().map(|(name, value)| (name, Some(value.text())));
            let defaults = topic.defaults.into_iter().map(|name| (name, None));
            let (partitions, replicas) = (topic.partitions, topic.replicas);
            DeclaredTopic {
                name,
                partitions,
                replicas,
                configs: set.chain(defaults).collect(),
                is_absent: topic.absent,
            }
        };
        Ok(file.topics.into_iter().map(topic).collect())
    }
}

fn object(step: &Step) -> serde_json::Value {
    let kind = match step {
        Step::Create(_) => "create",
        Step::Grow { .. } => "grow",
        Step::Set { .. } => "set",
        Step::Delete { .. } => "delete",
        Step::Impossible { .. } => "impossible",
    };
    json!({ "step": kind, "text": step.to_string(), "destructive": step.is_destructive() })
}

impl Plan {
    pub(crate) fn run(&self) -> Result<ExitCode, Stop> {
        let declared = self.source.topics()?;
        let steps = self.source.cluster.admin()?.plan(&declared)?;
        let mut output = Output::new();
        for step in &steps {
            if self.source.json {
                output.json(&object(step))?;
            } else {
                let mark = if step.is_destructive() { " (records can be lost: --allow)" } else { "" };
                output.line(&format!("{step}{mark}"))?;
            }
        }
        if steps.is_empty() && !self.source.json {
            output.line("everything is as declared")?;
        }
        output.flush()?;
        Ok(if steps.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
    }
}

impl Apply {
    pub(crate) fn run(&self) -> Result<ExitCode, Stop> {
        let declared = self.source.topics()?;
        let admin = self.source.cluster.admin()?;
        let steps = admin.plan(&declared)?;
        let mut output = Output::new();
        let mut code = ExitCode::SUCCESS;
        for (step, outcome) in admin.apply(&steps, self.allow) {
            match &outcome {
                Ok(()) if !self.source.json => output.line(&format!("done: {step}"))?,
                Ok(()) => {}
                Err(error) => {
                    eprintln!("libkarafka: {error}");
                    code = ExitCode::FAILURE;
                }
            }
            if self.source.json {
                let mut object = object(&step);
                object["done"] = outcome.is_ok().into();
                output.json(&object)?;
            }
        }
        if steps.is_empty() && !self.source.json {
            output.line("everything is as declared")?;
        }
        output.flush()?;
        Ok(code)
    }
}
