//! How far the brokers' clocks are from this machine's.
//!
//! Kafka tells its time nowhere but in records that it stamps itself: a topic is made with a partition for each broker, one record
//! is written to each, and the topic is deleted.

use super::{Findings, Verdict};
use crate::interrupt::Interrupt;
use crate::output::Stop;
use crate::{Cluster, time};
use karafka::{Admin, ErrorKind, NewTopic, Producer, ProducerConfig, Record};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What the first record of a new topic may take beyond an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Within which a signal is obeyed.
const GLANCE: Duration = Duration::from_millis(100);
/// From here on ages, delays and times "ago" are visibly wrong.
const NOTICED: i64 = 1_000;
/// From here on something else has to be wrong, too: certificates and sessions are checked by clocks.
const WRONG: i64 = 30_000;

/// Tells of each broker's clock. After a signal the topic is deleted all the same; then this returns the signal's code.
pub(super) fn examine(
    cluster: &Cluster,
    admin: &Admin,
    brokers: usize,
    findings: &mut Findings,
) -> Result<Option<ExitCode>, Stop> {
    let name = format!("libkarafka-doctor-{}-{}", std::process::id(), time::now());
    let interrupt = Interrupt::watch(|| {})?;
    let told = measure(cluster, admin, &name, brokers, &interrupt);
    let deleted =
        admin.delete_topics(&[&name]).and_then(|outcomes| outcomes.into_iter().try_for_each(|(_, outcome)| outcome));
    if let Some(code) = interrupt.code() {
        tell_of_remains(findings, &name, deleted)?;
        return Ok(Some(code));
    }
    match told {
        Ok(skews) => {
            for (broker, skew) in skews {
                let (verdict, text) = judged(skew);
                findings.tell("clocks", verdict, &format!("the clock of broker {broker} {text}"))?;
            }
        }
        Err(error) => {
            let text = format!("could not be looked at: {}", super::advice(&error));
            return findings.tell("clocks", Verdict::Doubtful, &text).map(|()| None);
        }
    }
    tell_of_remains(findings, &name, deleted).map(|()| None)
}

fn tell_of_remains(findings: &mut Findings, name: &str, deleted: karafka::Result<()>) -> Result<(), Stop> {
    match deleted {
        Ok(()) => Ok(()),
        Err(error) => findings.tell("clocks", Verdict::Doubtful, &format!("the topic {name} is left: {error}")),
    }
}

fn judged(skew: i64) -> (Verdict, String) {
    let seconds = skew.unsigned_abs() as f64 / 1000.0;
    let verdict = match skew.abs() {
        ..NOTICED => return (Verdict::Good, "goes with this machine's".to_owned()),
        NOTICED..WRONG => Verdict::Doubtful,
        _ => Verdict::Wrong,
    };
    let direction = if skew > 0 { "ahead of" } else { "behind" };
    let advice = "ages, delays and times ago are off by that; have both set by NTP";
    (verdict, format!("is {seconds:.1} s {direction} this machine's: {advice}"))
}

/// Each broker's number, and by how many milliseconds its clock is ahead.
fn measure(
    cluster: &Cluster,
    admin: &Admin,
    name: &str,
    brokers: usize,
    interrupt: &Interrupt,
) -> karafka::Result<Vec<(i32, i64)>> {
    let topic = NewTopic {
        name: name.to_owned(),
        partitions: i32::try_from(brokers).ok(),
        replicas: Some(1),
        configs: vec![("message.timestamp.type".to_owned(), "LogAppendTime".to_owned())],
    };
    admin.create_topics(&[topic])?.into_iter().try_for_each(|(_, outcome)| outcome)?;
    let producer = Producer::new(ProducerConfig {
        bootstrap_servers: cluster.brokers.clone(),
        kafka: cluster.kafka(),
        ..ProducerConfig::default()
    })?;
    let stamp = |partition| {
        let record = Record { topic: name, partition: Some(partition), payload: Some(b"time"), ..Record::default() };
        let (delivery, began) = (producer.produce_async(&record)?, Instant::now());
        loop {
            // In short waits, between which a signal is seen.
            match delivery.wait(GLANCE) {
                Err(error) if error.kind() == ErrorKind::Timeout && delivery.outcome().is_none() => {
                    if interrupt.code().is_some() || began.elapsed() > cluster.timeout + PATIENCE {
                        return Err(error);
                    }
                }
                ended => return ended,
            }
        }
    };
    let mut skews = Vec::new();
    for partition in 0..i32::try_from(brokers).unwrap_or(i32::MAX) {
        // The first one waits for the connection.
        stamp(partition)?;
        let (before, began) = (time::now(), Instant::now());
        let stamped = stamp(partition)?.timestamp_ms;
        skews.push((partition, skew(before, began.elapsed(), stamped)));
    }
    let leaders = admin.topic(name)?.partitions;
    let leader = |partition| leaders.iter().find(|one| one.partition == partition).and_then(|one| one.leader);
    Ok(skews.into_iter().map(|(partition, skew)| (leader(partition).unwrap_or(-1), skew)).collect())
}

/// By how much a clock is ahead that showed `stamped` between a time and so much later.
fn skew(before: i64, took: Duration, stamped: i64) -> i64 {
    let after = before.saturating_add(i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
    stamped.saturating_sub(stamped.clamp(before, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_within_the_question_is_right() {
        let took = Duration::from_millis(40);
        assert_eq!((skew(1000, took, 1000), skew(1000, took, 1040)), (0, 0));
        assert_eq!((skew(1000, took, 900), skew(1000, took, 4040)), (-100, 3000));
        assert!(judged(3000).0 == Verdict::Doubtful && judged(-3_600_000).0 == Verdict::Wrong);
        assert!(judged(-3_600_000).1.contains("3600.0 s behind"));
    }
}
