//! `libkarafka topics`: the topics of a cluster.

use crate::Cluster;
use crate::output::{Output, Stop, finish};
use clap::{Args, Subcommand};
use karafka::{NewTopic, TopicDescription};
use serde_json::{Value, json};
use std::process::ExitCode;

/// List, describe, create, delete, grow and cut topics
#[derive(Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Topics {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the topics that you may see
    List {
        /// One line of JSON for each
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Show the partitions of a topic: where they begin and end, who leads and keeps them
    Describe {
        /// The topic's name
        name: String,
        /// One line of JSON for each partition
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        cluster: Cluster,
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
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Delete topics and every record in them
    Delete {
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Give a topic more partitions; the order of a key's records is not kept across this
    Grow {
        /// The topic's name
        name: String,
        /// How many it has then
        #[arg(value_parser = clap::value_parser!(i32).range(1..))]
        partitions: i32,
        #[command(flatten)]
        cluster: Cluster,
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
        #[command(flatten)]
        cluster: Cluster,
    },
}

impl Topics {
    pub(crate) fn run(&self) -> Result<ExitCode, Stop> {
        let mut output = Output::new();
        match &self.action {
            Action::List { json, cluster } => {
                for topic in cluster.admin()?.topics()? {
                    let (name, count) = (&topic.name, topic.partitions.len());
                    if *json {
                        output.json(&json!({ "topic": name, "partitions": count, "replicas": replicas(&topic) }))?;
                    } else {
                        output.line(&format!("{name:<48}  {count:>4} partitions, {} replicas", replicas(&topic)))?;
                    }
                }
            }
            Action::Describe { name, json, cluster } => describe(&mut output, name, *json, cluster)?,
            Action::Create { name, partitions, replicas, configs, cluster } => {
                let (name, configs) = (name.clone(), configs.clone());
                let topic = NewTopic { name, partitions: Some(*partitions), replicas: *replicas, configs };
                let outcomes = cluster.admin()?.create_topics(&[topic])?;
                return finish(output, outcomes, |name, ()| format!("created {name} with {partitions} partitions"));
            }
            Action::Delete { names, cluster } => {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                let outcomes = cluster.admin()?.delete_topics(&names)?;
                return finish(output, outcomes, |name, ()| format!("deleted {name}"));
            }
            Action::Grow { name, partitions, cluster } => {
                cluster.admin()?.add_partitions(name, *partitions)?;
                output.line(&format!("{name} has {partitions} partitions"))?;
            }
            Action::Truncate { name, partition, before, cluster } => {
                let admin = cluster.admin()?;
                let partitions = match partition {
                    Some(partition) => vec![(*partition, *before)],
                    None => admin.topic(name)?.partitions.iter().map(|one| (one.partition, None)).collect(),
                };
                let outcomes = admin.truncate(name, &partitions)?;
                return finish(output, outcomes, |partition, first| format!("{name}/{partition} begins at {first}"));
            }
        }
        output.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

fn replicas(topic: &TopicDescription) -> usize {
    topic.partitions.iter().map(|one| one.replicas.len()).min().unwrap_or(0)
}

fn describe(output: &mut Output, name: &str, is_json: bool, cluster: &Cluster) -> Result<(), Stop> {
    let admin = cluster.admin()?;
    let topic = admin.topic(name)?;
    let marks = admin.watermarks(name)?;
    for one in &topic.partitions {
        let mark = marks.iter().find(|mark| mark.partition == one.partition);
        let (first, end) = mark.map_or((0, 0), |mark| (mark.first, mark.end));
        if is_json {
            output.json(&json!({
                "topic": topic.name, "partition": one.partition, "first": first, "end": end,
                "leader": one.leader.map_or(Value::Null, Value::from), "replicas": one.replicas, "in_sync": one.in_sync,
            }))?;
        } else {
            let leader = one.leader.map_or_else(|| "nobody".to_owned(), |leader| leader.to_string());
            output.line(&format!(
                "{}/{}  offsets {first} to {end}, led by {leader}, kept by {:?}, in sync {:?}",
                topic.name, one.partition, one.replicas, one.in_sync
            ))?;
        }
    }
    Ok(())
}
