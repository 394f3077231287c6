//! `libkarafka dlq redrive`: dead letters back to where they came from.

use super::Filter;
use crate::Cluster;
use crate::interrupt::Interrupt;
use crate::output::{Output, Stop, heard};
use crate::progress;
use clap::Args;
use karafka::{RedriveConfig, RedriveProgress};
use serde_json::json;
use std::process::ExitCode;

/// Send dead letters back to where they came from, as they were before they failed
///
/// Key, value and headers are those of the original, without what libkarafka has added. Letters of one key go in order. Those
/// that are given up while it runs are not part of it. Nothing is deleted from the dead letters.
///
/// With --group, how far it is stands in the offsets of that group: after an interruption, the same command goes on there, and
/// sends nothing again that was acknowledged (after a kill -9: at most the last 100 letters of a partition). Without, each run begins with
/// the oldest letter.
///
/// Ends with 0 when everything was sent, 1 on an error, 130 or 143 when a signal stopped it: then what was sent is
/// acknowledged, and counted.
#[derive(Args)]
pub(super) struct Redrive {
    /// The topic of the dead letters
    topic: String,
    #[command(flatten)]
    filter: Filter,
    /// Send them to this topic instead of the one that each came from
    #[arg(long, value_name = "TOPIC")]
    to: Option<String>,
    /// The consumer group whose offsets say how far it is; one of its own for each redrive
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Send at most so many a second
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Only count: send nothing, commit nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    cluster: Cluster,
}

impl Redrive {
    pub(super) fn run(&self, output: Output) -> Result<ExitCode, Stop> {
        let mut redrive = karafka::Redrive::open(RedriveConfig {
            bootstrap_servers: self.cluster.brokers.clone(),
            kafka: self.cluster.kafka(),
            topic: self.topic.clone(),
            to: self.to.clone(),
            filter: self.filter.letters(),
            group: self.group.clone(),
            rate: self.rate,
            dry_run: self.dry_run,
            timeout: self.cluster.timeout,
            ..RedriveConfig::default()
        })?;
        let stopper = redrive.stopper();
        let interrupt = Interrupt::watch(move || stopper.stop())?;
        let bar = progress::bar(redrive.progress().total, "redrive");
        let outcome = loop {
            let more = redrive.step();
            bar.set_position(redrive.progress().done);
            match more {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        bar.finish_and_clear();
        let code = interrupt.code();
        heard(self.tell(output, redrive.progress(), code.is_some(), outcome.is_ok() && code.is_none()))?;
        outcome?;
        Ok(code.unwrap_or(ExitCode::SUCCESS))
    }

    fn tell(
        &self,
        mut output: Output,
        progress: &RedriveProgress,
        is_interrupted: bool,
        is_complete: bool,
    ) -> Result<(), Stop> {
        if output.is_json() {
            output.json(&json!({
                "topic": self.topic,
                "dry_run": self.dry_run,
                "redriven": progress.redriven,
                "left_out": progress.left_out,
                "foreign": progress.foreign,
                "targets": progress.targets,
                "next": progress.next.iter().map(|(partition, next)| (partition.to_string(), *next)).collect::<std::collections::BTreeMap<_, _>>(),
                "complete": is_complete,
                "interrupted": is_interrupted,
            }))?;
            return output.flush();
        }
        let verb = if self.dry_run { "would be sent" } else { "sent and acknowledged" };
        output.line(&format!("{} letters {verb}, {} left out by the filter", progress.redriven, progress.left_out))?;
        for (target, count) in &progress.targets {
            output.line(&format!("  {target}: {count}"))?;
        }
        if progress.foreign > 0 {
            output.line(&format!("{} messages are no dead letters of libkarafka, and stay", progress.foreign))?;
        }
        if !is_complete && !self.dry_run {
            let next: Vec<_> = progress.next.iter().map(|(partition, next)| format!("{partition}@{next}")).collect();
            output.line(&match &self.group {
                Some(group) => format!("not all; the same command with --group {group} goes on at {}", next.join(", ")),
                None => format!("not all; without --group, another run begins anew. It was at {}", next.join(", ")),
            })?;
        }
        output.flush()
    }
}
