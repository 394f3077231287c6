//! `libkarafka groups` and `libkarafka lag`: consumer groups, where they are, and how far they are behind.

use crate::Cluster;
use crate::output::{Output, Stop, clean, finish};
use crate::time;
use clap::{Args, Subcommand};
use karafka::SeekTo;
use serde_json::json;
use std::process::ExitCode;

/// List, describe, move, copy, rename and delete consumer groups
///
/// Where a group is can only be changed while it has no members. Members cannot be removed from here (librdkafka has no call for it):
/// stop them, or wait until their session runs out.
#[derive(Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Groups {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List all groups
    List {
        /// One line of JSON for each
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Show the members of a group, and what it has committed
    Describe {
        /// The group's name
        group: String,
        /// As one line of JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Move a group to an offset, a time, or an end of a topic
    Seek {
        /// The group's name
        group: String,
        /// The topic
        topic: String,
        /// earliest, latest, an offset such as 12, or a time such as @2026-11-21T20:00:00Z or @2h (ago)
        #[arg(value_parser = target)]
        to: SeekTo,
        /// A partition; all of them otherwise; may be given several times
        #[arg(long = "partition", value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
        partitions: Vec<i32>,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Give a group what another one has committed
    Copy {
        /// The group that has it
        from: String,
        /// The group that gets it
        to: String,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Copy a group to another name, and delete it
    Rename {
        /// Its name
        from: String,
        /// Its new name
        to: String,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Delete groups and what they have committed
    Delete {
        /// Their names
        #[arg(required = true)]
        groups: Vec<String>,
        #[command(flatten)]
        cluster: Cluster,
    },
}

fn target(text: &str) -> Result<SeekTo, String> {
    match text {
        "earliest" => return Ok(SeekTo::Earliest),
        "latest" => return Ok(SeekTo::Latest),
        _ => {}
    }
    if let Some(time) = text.strip_prefix('@') {
        return time::instant(time).map(SeekTo::Time);
    }
    let offset = text.parse().ok().filter(|offset: &i64| *offset >= 0);
    offset
        .map(SeekTo::Offset)
        .ok_or_else(|| format!("{text:?} is neither earliest, latest, an offset, nor @ and a time"))
}

impl Groups {
    pub(crate) fn run(&self) -> Result<ExitCode, Stop> {
        let mut output = Output::new();
        match &self.action {
            Action::List { json, cluster } => {
                for group in cluster.admin()?.groups()? {
                    if *json {
                        output.json(&json!({
                            "group": group.group, "state": group.state, "protocol": group.protocol,
                        }))?;
                    } else {
                        let name = clean(&group.group);
                        output.line(&format!("{name:<48}  {:<20}  {}", group.state, group.protocol))?;
                    }
                }
            }
            Action::Describe { group, json, cluster } => describe(&mut output, group, *json, cluster)?,
            Action::Seek { group, topic, to, partitions, cluster } => {
                let outcomes = cluster.admin()?.seek_group(group, topic, partitions, *to)?;
                return finish(output, outcomes, |partition, offset| format!("{topic}/{partition} at {offset}"));
            }
            Action::Copy { from, to, cluster } => {
                let outcomes = cluster.admin()?.copy_group(from, to)?;
                return finish(output, outcomes, |(topic, partition), ()| format!("{topic}/{partition} copied"));
            }
            Action::Rename { from, to, cluster } => {
                cluster.admin()?.rename_group(from, to)?;
                output.line(&format!("{} is {} now", clean(from), clean(to)))?;
            }
            Action::Delete { groups, cluster } => {
                let groups: Vec<_> = groups.iter().map(String::as_str).collect();
                let outcomes = cluster.admin()?.delete_groups(&groups)?;
                return finish(output, outcomes, |group, ()| format!("deleted {}", clean(group)));
            }
        }
        output.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

fn describe(output: &mut Output, group: &str, is_json: bool, cluster: &Cluster) -> Result<(), Stop> {
    let admin = cluster.admin()?;
    let offsets = admin.group_offsets(group)?;
    for (_, outcome) in admin.describe_groups(&[group])? {
        let found = outcome?;
        if is_json {
            let member = |member: &karafka::GroupMember| {
                json!({
                    "id": member.id, "client_id": member.client_id, "instance_id": member.instance_id,
                    "host": member.host, "partitions": member.partitions,
                })
            };
            let offset = |one: &karafka::GroupOffset| json!({ "topic": one.topic, "partition": one.partition, "offset": one.offset, "metadata": one.metadata });
            output.json(&json!({
                "group": found.group, "state": found.state, "protocol": found.protocol, "assignor": found.assignor,
                "coordinator": found.coordinator,
                "members": found.members.iter().map(member).collect::<Vec<_>>(),
                "offsets": offsets.iter().map(offset).collect::<Vec<_>>(),
            }))?;
            continue;
        }
        output.line(&format!("group   {}, {}, {}", clean(&found.group), found.state, found.protocol))?;
        for member in &found.members {
            let has: Vec<_> = member.partitions.iter().map(|(topic, number)| format!("{topic}/{number}")).collect();
            output.line(&format!("member  {} at {}: {}", clean(&member.id), clean(&member.host), has.join(", ")))?;
        }
        for one in &offsets {
            output.line(&format!("offset  {}/{} at {}", one.topic, one.partition, one.offset))?;
        }
    }
    Ok(())
}

/// Show how far a group is behind, in messages and in seconds
///
/// The age is that of the first record that the group has not done, by this machine's clock.
#[derive(Args)]
pub(crate) struct Lag {
    /// The group's name
    group: String,
    /// One line of JSON for each partition
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: Cluster,
}

impl Lag {
    pub(crate) fn run(&self) -> Result<ExitCode, Stop> {
        let mut output = Output::new();
        let lags = self.cluster.admin()?.lag(&self.group)?;
        for lag in &lags {
            if self.json {
                output.json(&json!({
                    "topic": lag.topic, "partition": lag.partition, "offset": lag.offset, "end": lag.end,
                    "messages": lag.messages, "seconds": lag.age.map(|age| age.as_secs_f64()),
                }))?;
                continue;
            }
            let age = lag.age.map_or_else(String::new, |age| format!(", the oldest {:.1} s old", age.as_secs_f64()));
            output.line(&format!("{}/{}  {} behind at {}{age}", lag.topic, lag.partition, lag.messages, lag.offset))?;
        }
        if !self.json {
            let total: u64 = lags.iter().map(|lag| lag.messages).sum();
            let oldest = lags.iter().filter_map(|lag| lag.age).max().unwrap_or_default();
            output.line(&format!("in all  {total} behind, at most {:.1} s", oldest.as_secs_f64()))?;
        }
        output.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}
