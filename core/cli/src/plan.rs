//! `libkarafka plan`, `apply` and `align`: the topics of a file, and those of a cluster.

use crate::Cluster;
use crate::names::Name;
use crate::output::{Output, Stop};
use clap::Args;
use karafka::{DeclaredTopic, Error, ErrorKind, Outcomes, Step};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Read;
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

/// Give topics that exist the settings of a file
///
/// The part of `apply` that makes, grows and deletes nothing: programs may start with it. Settings by which records can be lost are
/// refused without --allow. Ends with 1 when a step was not done.
#[derive(Args)]
#[command(after_long_help = FILE)]
pub(crate) struct Align {
    #[command(flatten)]
    source: Source,
    /// Also change settings by which records can be lost
    #[arg(long)]
    allow: bool,
}

/// Where declared topics are, unless that is said.
const PLACES: [&str; 2] = ["topics.toml", "config/topics.toml"];

/// More than anybody declares.
const MOST: u64 = 1 << 20;

#[derive(Args)]
struct Source {
    /// The file; topics.toml or config/topics.toml otherwise
    file: Option<PathBuf>,
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
        const OPERATION: &str = "read declared topics";
        let places = self.file.as_ref().map_or_else(|| PLACES.map(PathBuf::from).to_vec(), |file| vec![file.clone()]);
        let Some(path) = places.iter().find(|path| path.exists()) else {
            let tried: Vec<_> = places.iter().map(|path| path.display().to_string()).collect();
            return Err(
                Error::new(ErrorKind::Config, OPERATION, "there is no such file").with("tried", tried.join(", "))
            );
        };
        let refuse = |message: String| Error::new(ErrorKind::Config, OPERATION, message).with("file", path.display());
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(|error| refuse(error.to_string()))?;
        file.take(MOST + 1).read_to_string(&mut text).map_err(|error| refuse(error.to_string()))?;
        if text.len() as u64 > MOST {
            return Err(refuse("the file is larger than 1 MiB".to_owned()));
        }
        let file: File = toml::from_str(&text).map_err(|error| {
            // One line, and none of a line that may be as long as the file.
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            refuse(format!("line {}: {}", before.split('\n').count(), error.message()))
        })?;
        for (name, topic) in &file.topics {
            if let Some(both) = topic.defaults.iter().find(|setting| topic.configs.contains_key(*setting)) {
                return Err(refuse(format!("a setting is to have a value and its default: {both}")).with("topic", name));
            }
        }
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

fn named(declared: &[DeclaredTopic]) -> impl Iterator<Item = Name<'_>> {
    declared.iter().map(|topic| Name::Topic(&topic.name))
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
    pub(crate) fn run(&self, mut output: Output) -> Result<ExitCode, Stop> {
        let declared = self.source.topics()?;
        let steps = self.source.cluster.admin_for(named(&declared))?.plan(&declared)?;
        for step in &steps {
            let mark = if step.is_destructive() { " (records can be lost: --allow)" } else { "" };
            output.item(|| format!("{step}{mark}"), || object(step))?;
        }
        if steps.is_empty() && !output.is_json() {
            output.line("everything is as declared")?;
        }
        let code = if steps.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) };
        output.end_with(code)
    }
}

impl Apply {
    pub(crate) fn run(&self, output: Output) -> Result<ExitCode, Stop> {
        let declared = self.source.topics()?;
        let admin = self.source.cluster.admin_for(named(&declared))?;
        let steps = admin.plan(&declared)?;
        tell(output, admin.apply(&steps, self.allow))
    }
}

impl Align {
    pub(crate) fn run(&self, output: Output) -> Result<ExitCode, Stop> {
        let declared = self.source.topics()?;
        tell(output, self.source.cluster.admin_for(named(&declared))?.align(&declared, self.allow)?)
    }
}

fn tell(mut output: Output, outcomes: Outcomes<Step>) -> Result<ExitCode, Stop> {
    if outcomes.is_empty() && !output.is_json() {
        output.line("everything is as declared")?;
    }
    output.outcomes(outcomes, object, |step, ()| (format!("done: {step}"), serde_json::Value::Null))
}
