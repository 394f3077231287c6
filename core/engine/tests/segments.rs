//! Parallel segments: what belongs to another segment is done at once, and never handed out.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use crate::common::{Driver, keyless, message, offsets};
use karafka_engine::{Outcome, Segment, Start, VirtualPartitions};

const COUNT: u32 = 3;
const RECORDS: i64 = if cfg!(miri) { 60 } else { 300 };

fn log() -> Vec<crate::common::Message> {
    (0..RECORDS)
        .map(|offset| if offset % 3 == 0 { keyless(offset) } else { message(offset, &format!("{}", offset % 40)) })
        .collect()
}

fn driver(index: u32) -> Driver {
    Driver::new(|topic| {
        topic.virtual_partitions = VirtualPartitions::ByKey;
        topic.segment = Some(Segment::new(index, COUNT));
    })
}

#[test]
fn the_segments_together_handle_everything_once() {
    let mut handled = Vec::new();
    for index in 0..COUNT {
        let mut driver = driver(index);
        let id = driver.assign(0);
        driver.deliver(id, log());
        let own = driver.run_all();
        let mut passed = driver.dropped.clone();
        passed.retain(|offset| !own.contains(offset));
        assert_eq!(passed.len() + own.len(), RECORDS as usize, "all others were dropped");
        driver.wait(Duration::from_secs(1));
        assert_eq!(driver.confirm().position, RECORDS, "and count as done");
        handled.extend(own);
    }
    handled.sort_unstable();
    assert_eq!(handled, (0..RECORDS).collect::<Vec<_>>());
}

#[test]
fn a_commit_waits_for_the_segments_own_records_only() {
    let mut driver = driver(1);
    let id = driver.assign(0);
    driver.deliver(id, log());
    let own: Vec<i64> = log().iter().filter(|one| Segment::of(*one, COUNT) == 1).map(|one| one.offset).collect();
    let jobs = driver.jobs();
    let running: Vec<i64> = jobs.iter().flat_map(|job| offsets(&job.messages)).collect();
    assert!(running.iter().all(|offset| own.contains(offset)));
    driver.wait(Duration::from_secs(1));
    assert_eq!(driver.confirm().position, own[0], "before its first record all is done");
    for job in jobs {
        driver.complete(job, Outcome::Done);
    }
    driver.run_all();
    driver.wait(Duration::from_secs(1));
    assert_eq!(driver.confirm().position, RECORDS);
}

#[test]
fn a_segment_without_records_commits_what_it_passes() {
    let count = 1_000;
    let index = (0..count).find(|index| log().iter().all(|one| Segment::of(one, count) != *index)).unwrap();
    let mut driver = Driver::new(|topic| topic.segment = Some(Segment::new(index, count)));
    let id = driver.assign_at(0, Start { offset: Some(0), metadata: None });
    driver.deliver(id, log());
    assert!(driver.next().is_none());
    driver.wait(Duration::from_secs(1));
    assert_eq!(driver.confirm().position, RECORDS);
    assert!(driver.engine.room(id).messages > 0);
}
