//! `libkarafka groups` and `libkarafka lag`: consumer groups, where they are, and how far they are behind.

use crate::Cluster;
use crate::names::Name;
use crate::output::{Output, Stop, clean, complain};
use crate::time;
use clap::{Args, Subcommand};
use karafka::{Admin, GroupDescription, GroupMember, GroupOffset, SeekTo};
use serde_json::{Value, json};
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
    #[command(flatten)]
    cluster: Cluster,
}

#[derive(Subcommand)]
enum Action {
    /// List all groups
    List,
    /// Show the members of a group, and what it has committed
    Describe {
        /// The group's name
        group: String,
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
    },
    /// Give a group what another one has committed
    Copy {
        /// The group that has it
        from: String,
        /// The group that gets it
        to: String,
    },
    /// Copy a group to another name, and delete it
    Rename {
        /// Its name
        from: String,
        /// Its new name
        to: String,
    },
    /// Delete groups and what they have committed
    Delete {
        /// Their names
        #[arg(required = true)]
        groups: Vec<String>,
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

impl Action {
    fn names(&self) -> Vec<Name<'_>> {
        match self {
            Self::List => Vec::new(),
            Self::Describe { group } => vec![Name::Group(group)],
            Self::Seek { group, topic, .. } => vec![Name::NewGroup(group), Name::Topic(topic)],
            Self::Copy { from, to } | Self::Rename { from, to } => vec![Name::Group(from), Name::NewGroup(to)],
            Self::Delete { groups } => groups.iter().map(|group| Name::Group(group)).collect(),
        }
    }
}

impl Groups {
    pub(crate) fn run(&self, mut output: Output) -> Result<ExitCode, Stop> {
        let admin = self.cluster.admin_for(self.action.names())?;
        match &self.action {
            Action::List => {
                for group in admin.groups()? {
                    output.item(
                        || format!("{:<48}  {:<20}  {}", clean(&group.group), group.state, group.protocol),
                        || json!({ "group": group.group, "state": group.state, "protocol": group.protocol }),
                    )?;
                }
            }
            Action::Describe { group } => describe(&mut output, group, &admin)?,
            Action::Seek { group, topic, to, partitions } => {
                return output.outcomes(
                    admin.seek_group(group, topic, partitions, *to)?,
                    |partition| json!({ "group": group, "topic": topic, "partition": partition }),
                    |partition, offset| (format!("{topic}/{partition} at {offset}"), json!({ "offset": offset })),
                );
            }
            Action::Copy { from, to } => {
                return output.outcomes(
                    admin.copy_group(from, to)?,
                    |(topic, partition)| json!({ "from": from, "group": to, "topic": topic, "partition": partition }),
                    |(topic, partition), ()| (format!("{topic}/{partition} copied"), Value::Null),
                );
            }
            Action::Rename { from, to } => {
                admin.rename_group(from, to)?;
                output.item(
                    || format!("{} is {} now", clean(from), clean(to)),
                    || json!({ "from": from, "group": to, "done": true }),
                )?;
            }
            Action::Delete { groups } => {
                let groups: Vec<_> = groups.iter().map(String::as_str).collect();
                return output.outcomes(
                    admin.delete_groups(&groups)?,
                    |group| json!({ "group": group }),
                    |group, ()| (format!("deleted {}", clean(group)), Value::Null),
                );
            }
        }
        output.end()
    }
}

fn describe(output: &mut Output, group: &str, admin: &Admin) -> Result<(), Stop> {
    let offsets = admin.group_offsets(group)?;
    for (_, outcome) in admin.describe_groups(&[group])? {
        let found = outcome?;
        if output.is_json() {
            output.json(&object(&found, &offsets))?;
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

fn object(found: &GroupDescription, offsets: &[GroupOffset]) -> Value {
    let member = |member: &GroupMember| {
        json!({
            "id": member.id, "client_id": member.client_id, "instance_id": member.instance_id,
            "host": member.host, "partitions": member.partitions,
        })
    };
    let offset = |one: &GroupOffset| json!({ "topic": one.topic, "partition": one.partition, "offset": one.offset, "metadata": one.metadata });
    json!({
        "group": found.group, "state": found.state, "protocol": found.protocol, "assignor": found.assignor,
        "coordinator": found.coordinator,
        "members": found.members.iter().map(member).collect::<Vec<_>>(),
        "offsets": offsets.iter().map(offset).collect::<Vec<_>>(),
    })
}

/// Show how far a group is behind, in messages and in seconds
///
/// The age is that of the first record that the group has not done, by this machine's clock.
#[derive(Args)]
pub(crate) struct Lag {
    /// The group's name
    group: String,
    #[command(flatten)]
    cluster: Cluster,
}

impl Lag {
    pub(crate) fn run(&self, mut output: Output) -> Result<ExitCode, Stop> {
        let lags = self.cluster.admin_for([Name::Group(&self.group)])?.lag(&self.group)?;
        for lag in &lags {
            output.item(
                || {
                    let age =
                        lag.age.map(|age| format!(", the oldest {:.1} s old", age.as_secs_f64())).unwrap_or_default();
                    format!("{}/{}  {} behind at {}{age}", lag.topic, lag.partition, lag.messages, lag.offset)
                },
                || {
                    json!({
                        "topic": lag.topic, "partition": lag.partition, "offset": lag.offset, "end": lag.end,
                        "messages": lag.messages, "seconds": lag.age.map(|age| age.as_secs_f64()),
                    })
                },
            )?;
        }
        if lags.is_empty() {
            // As with a name that is mistyped: to be behind by nothing would sound well.
            output.flush()?;
            complain("the group has committed nothing for a topic that is there, or does not exist");
            return output.end();
        }
        if !output.is_json() {
            let total: u64 = lags.iter().map(|lag| lag.messages).sum();
            let oldest = lags.iter().filter_map(|lag| lag.age).max().unwrap_or_default();
            output.line(&format!("in all  {total} behind, at most {:.1} s", oldest.as_secs_f64()))?;
        }
        output.end()
    }
}
