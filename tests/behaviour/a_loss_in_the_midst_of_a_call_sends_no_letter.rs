//! Acceptance scenarios 3 and 29: a partition that is lost while a call of it runs sends no dead letter, although the call then fails for the last
//! time it may; attempts count anew in each ownership; and what was marked in its virtual partitions before the loss does
//! not come again. The letter goes out when an ownership has used all attempts up, once.

use crate::support::{PATIENCE, place, quick, stop};
use karafka::{App, Failure, TopicConfig, VirtualPartitions, dead_letter_header, handler_fn};
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, commits, group, oracle, wait};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const LAST: u32 = 3;

/// Attempts at what fails, in order: member, partition, attempt, and whether it ended with the partition lost.
type Attempts = Arc<Mutex<Vec<(usize, i32, u32, bool)>>>;

/// A member that marks what is good, fails at `bad` and waits in the attempt `holds`: for a loss, a stop, or `free`.
struct Member<'a> {
    number: usize,
    holds: u32,
    topic: &'a str,
    dead: &'a str,
    group: &'a str,
    attempts: &'a Attempts,
    seen: &'a Arc<Seen>,
    free: &'a Arc<AtomicBool>,
    holding: &'a Arc<AtomicUsize>,
}

impl Member<'_> {
    fn app(&self, virtual_partitions: VirtualPartitions) -> App {
        let app = App::new(quick(broker::shared(), self.group)).unwrap();
        let config = TopicConfig {
            virtual_partitions,
            // So that the partition is lost in the midst of the call, not after it.
            long_running_job: true,
            retry_backoff: Duration::from_millis(5),
            retry_backoff_max: Duration::from_millis(20),
            dead_letter_queue_topic: Some(self.dead.to_owned()),
            dead_letter_queue_max_retries: LAST - 1,
            ..TopicConfig::default()
        };
        let (number, holds) = (self.number, self.holds);
        let (attempts, seen, free) = (Arc::clone(self.attempts), Arc::clone(self.seen), Arc::clone(self.free));
        let holding = Arc::clone(self.holding);
        let handler = handler_fn(move |batch, context| {
            for message in batch.iter() {
                seen.began(place(&message), message.key());
                if message.key() != Some(b"bad") {
                    seen.finished(place(&message));
                    context.acknowledge(&message);
                    continue;
                }
                let waits = || !context.is_revoked() && !context.is_stopping() && !free.load(Ordering::SeqCst);
                if message.attempt() == holds {
                    holding.fetch_add(1, Ordering::SeqCst);
                }
                while message.attempt() == holds && waits() {
                    thread::park_timeout(Duration::from_millis(2));
                }
                attempts.lock().push((number, message.partition(), message.attempt(), context.is_revoked()));
                seen.failed(place(&message));
                return Err(Failure::new("Bad", "it never works").of(message.index()));
            }
            Ok(())
        });
        app.topic(self.topic, config, handler).unwrap();
        app
    }
}

fn lose(name: &str, virtual_partitions: VirtualPartitions) {
    let bootstrap = broker::shared();
    let (topic, dead) = (topics::create(bootstrap, 2), topics::create(bootstrap, 2));
    let name = topics::unique(name);
    let mut records = Vec::new();
    for partition in 0..2 {
        // The good ones stand on both sides of the bad one; without virtual partitions those behind it wait for it.
        records.extend((0..10).map(|number| Record::keyed(format!("good-{number}"), "x").to(partition)));
        records.push(Record::keyed("bad", "x").to(partition));
        records.extend((0..10).map(|number| Record::keyed(format!("good-{number}"), "x").to(partition)));
    }
    let produced = topics::produce(bootstrap, &topic, &records);
    let (attempts, seen, free) = (Attempts::default(), Arc::new(Seen::new()), Arc::new(AtomicBool::new(false)));
    let holding = Arc::default();
    let member = |number, holds| {
        let member = Member {
            number,
            holds,
            topic: &topic,
            dead: &dead,
            group: &name,
            attempts: &attempts,
            seen: &seen,
            free: &free,
            holding: &holding,
        };
        member.app(virtual_partitions)
    };
    let good_before = if virtual_partitions == VirtualPartitions::ByKey { 40 } else { 20 };
    let first = member(1, LAST);
    first.start().unwrap();
    let tried = |number: usize, attempt: u32| {
        attempts.lock().iter().filter(|(of, _, which, _)| *of == number && *which == attempt).count()
    };
    wait::until(PATIENCE, "the last attempt in both partitions", || holding.load(Ordering::SeqCst) == 2);
    wait::until(PATIENCE, "what is good before it", || seen.finished_count() >= good_before);

    // The last attempt runs in both; one of them is lost now.
    let second = member(2, 2);
    second.start().unwrap();
    wait::until(PATIENCE, "the loss in the midst of the last attempt", || tried(1, LAST) == 1);
    wait::until(PATIENCE, "the heir's second attempt", || holding.load(Ordering::SeqCst) == 3);
    // It stops in its second attempt, and the partition comes back.
    stop(&second);
    wait::until(PATIENCE, "the attempts of the next ownership", || tried(1, LAST - 1) == 3);
    assert_eq!(topics::read(bootstrap, &dead).len(), 0, "no ownership has used its attempts up");
    free.store(true, Ordering::SeqCst);
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &name, &topic) == 0);
    stop(&first);

    let attempts = attempts.lock();
    let (_, lost, ..) = *attempts.iter().find(|(.., is_lost)| *is_lost).expect("one that ended with a loss");
    let of = |partition: i32| -> Vec<_> {
        attempts.iter().filter(|one| one.1 == partition).map(|one| (one.0, one.2, one.3)).collect()
    };
    assert_eq!(of(1 - lost), [(1, 1, false), (1, 2, false), (1, 3, false)]);
    let anew = [(1, 1, false), (1, 2, false), (1, 3, true), (2, 1, false), (2, 2, false)];
    assert_eq!(of(lost), [&anew[..], &[(1, 1, false), (1, 2, false), (1, 3, false)]].concat());
    let letters = topics::read(bootstrap, &dead);
    assert_eq!(letters.len(), 2, "one for each, and nothing else: {letters:?}");
    for letter in letters {
        let (_, attempts) = letter.headers.iter().find(|(name, _)| name == dead_letter_header::ATTEMPTS).unwrap();
        assert_eq!((letter.key.as_deref(), attempts.as_slice()), (Some(&b"bad"[..]), &b"3"[..]));
    }
    // What was given up counts as done; all else was finished once, the marks of the lost call included.
    let spans = seen.spans();
    oracle::nothing_twice(&spans);
    let good: Vec<_> = produced.iter().filter(|one| one.key.as_deref() != Some(b"bad")).cloned().collect();
    oracle::nothing_lost(&good, &spans);
    oracle::commits_never_go_back(&commits::all(bootstrap, &name));
}

#[test]
fn without_virtual_partitions() {
    lose("lost-letter", VirtualPartitions::Off);
}

#[test]
fn with_a_virtual_partition_for_each_key() {
    lose("lost-letter-by-key", VirtualPartitions::ByKey);
}

#[test]
fn with_a_fixed_number_of_virtual_partitions() {
    lose("lost-letter-fixed", VirtualPartitions::Fixed(3));
}
