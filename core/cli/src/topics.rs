//! `libkarafka topics`: the topics of a cluster.

use crate::Cluster;
use crate::names::Name;
use crate::output::{Output, Stop};
use clap::{Args, Subcommand};
use karafka::{Admin, NewTopic, TopicDescription};
use serde_json::{Value, json};
use std::process::ExitCode;

/// List, describe, create, delete, grow and cut topics
#[derive(Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Topics {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    cluster: Cluster,
}

#[derive(Subcommand)]
enum Action {
    /// List the topics that you may see
    List,
    /// Show the partitions of a topic: where they begin and end, who leads and keeps them
    Describe {
        /// The topic's name
        name: String,
    },
    /// Create a topic
    Create {
        /// The topic's name
        name: String,
        /// How many partitions it has
        #[arg(value_parser = clap::value_parser!(i32).range(1..))]
        partitions: i32,
        /// How many brokers keep each; the cluster's default otherwise
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
        replicas: Option<i32>,
        /// A setting of the topic, such as `cleanup.policy=compact`; may be given several times
        #[arg(long = "config", value_name = "NAME=VALUE", value_parser = crate::setting)]
        configs: Vec<(String, String)>,
    },
    /// Delete topics and every record in them
    Delete {
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Give a topic more partitions; the order of a key's records is not kept across this
    Grow {
        /// The topic's name
        name: String,
        /// How many it has then
        #[arg(value_parser = clap::value_parser!(i32).range(1..))]
        partitions: i32,
    },
    /// Delete the oldest records of a topic
    Truncate {
        /// The topic's name
        name: String,
        /// The partition; all of them otherwise
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
        partition: Option<i32>,
        /// Delete what lies below this offset; everything otherwise
        #[arg(long, value_name = "OFFSET", requires = "partition", value_parser = clap::value_parser!(i64).range(0..))]
        before: Option<i64>,
    },
}

impl Action {
    fn names(&self) -> Vec<Name<'_>> {
        match self {
            Self::List => Vec::new(),
            Self::Describe { name }
            | Self::Create { name, .. }
            | Self::Grow { name, .. }
            | Self::Truncate { name, .. } => vec![Name::Topic(name)],
            Self::Delete { names } => names.iter().map(|name| Name::Topic(name)).collect(),
        }
    }
}

impl Topics {
    pub(crate) fn run(&self, mut output: Output) -> Result<ExitCode, Stop> {
        let admin = self.cluster.admin_for(self.action.names())?;
        match &self.action {
            Action::List => {
                for topic in admin.topics()? {
                    let (name, count) = (&topic.name, topic.partitions.len());
                    output.item(
                        || format!("{name:<48}  {count:>4} partitions, {} replicas", replicas(&topic)),
                        || json!({ "topic": name, "partitions": count, "replicas": replicas(&topic) }),
                    )?;
                }
            }
            Action::Describe { name } => describe(&mut output, name, &admin)?,
            Action::Create { name, partitions, replicas, configs } => {
                let (name, configs) = (name.clone(), configs.clone());
                let topic = NewTopic { name, partitions: Some(*partitions), replicas: *replicas, configs };
                return output.outcomes(admin.create_topics(&[topic])?, named, |name, ()| {
                    (format!("created {name} with {partitions} partitions"), json!({ "partitions": partitions }))
                });
            }
            Action::Delete { names } => {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                let success = |name: &String, ()| (format!("deleted {name}"), Value::Null);
                return output.outcomes(admin.delete_topics(&names)?, named, success);
            }
            Action::Grow { name, partitions } => {
                admin.add_partitions(name, *partitions)?;
                output.item(
                    || format!("{name} has {partitions} partitions"),
                    || json!({ "topic": name, "partitions": partitions, "done": true }),
                )?;
            }
            Action::Truncate { name, partition, before } => {
                let partitions = match partition {
                    Some(partition) => vec![(*partition, *before)],
                    None => admin.topic(name)?.partitions.iter().map(|one| (one.partition, None)).collect(),
                };
                return output.outcomes(
                    admin.truncate(name, &partitions)?,
                    |partition| json!({ "topic": name, "partition": partition }),
                    |partition, first| (format!("{name}/{partition} begins at {first}"), json!({ "first": first })),
                );
            }
        }
        output.end()
    }
}

fn named(name: &String) -> Value {
    json!({ "topic": name })
}

fn replicas(topic: &TopicDescription) -> usize {
    topic.partitions.iter().map(|one| one.replicas.len()).min().unwrap_or(0)
}

fn describe(output: &mut Output, name: &str, admin: &Admin) -> Result<(), Stop> {
    let topic = admin.topic(name)?;
    let marks = admin.watermarks(name)?;
    for one in &topic.partitions {
        let mark = marks.iter().find(|mark| mark.partition == one.partition);
        let (first, end) = mark.map_or((0, 0), |mark| (mark.first, mark.end));
        output.item(
            || {
                let leader = one.leader.map_or_else(|| "nobody".to_owned(), |leader| leader.to_string());
                format!(
                    "{}/{}  offsets {first} to {end}, led by {leader}, kept by {:?}, in sync {:?}",
                    topic.name, one.partition, one.replicas, one.in_sync
                )
            },
            || {
                json!({
                    "topic": topic.name, "partition": one.partition, "first": first, "end": end,
                    "leader": one.leader.map_or(Value::Null, Value::from), "replicas": one.replicas, "in_sync": one.in_sync,
                })
            },
        )?;
    }
    Ok(())
}
