//! Acceptance scenario 25, which ours answers in another way: with offsets managed by hand a message whose copy went to the dead
//! letters is done, as if the handler had marked it; a restart gives again what nobody marked, and no second copy. And scenario
//! 27: a strategy that gives up at the first failure, in calls of several virtual partitions, sends exactly what failed.

use crate::support::{PATIENCE, place, quick, stop};
use karafka::{App, Batch, Context, Failure, Handler, Job, TopicConfig, Verdict, VirtualPartitions, handler_fn};
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, commits, group, oracle, wait};
use std::sync::Arc;
use std::time::Duration;

fn to(dead: &str) -> TopicConfig {
    TopicConfig {
        retry_backoff: Duration::from_millis(5),
        retry_backoff_max: Duration::from_millis(20),
        dead_letter_queue_topic: Some(dead.to_owned()),
        dead_letter_queue_max_retries: 1,
        ..TopicConfig::default()
    }
}

/// By hand: marks what is `good`, leaves what is `left`, fails at `poison`.
fn by_hand(name: &str, topic: &str, dead: &str, seen: &Arc<Seen>) -> App {
    let seen = Arc::clone(seen);
    let handler = handler_fn(move |batch: &Batch, context: &Context| {
        for message in batch.iter() {
            seen.began(place(&message), message.key());
            if message.payload() == Some(b"poison") {
                seen.failed(place(&message));
                return Err(Failure::new("Poisoned", "it never works").of(message.index()));
            }
            seen.finished(place(&message));
            if message.payload() == Some(b"good") {
                context.acknowledge(&message);
            }
        }
        Ok(())
    });
    let app = App::new(quick(broker::shared(), name)).unwrap();
    app.topic(topic, TopicConfig { manual_offset_management: true, ..to(dead) }, handler).unwrap();
    app.start().unwrap();
    app
}

#[test]
fn with_offsets_managed_by_hand() {
    let bootstrap = broker::shared();
    let (topic, dead) = (topics::create(bootstrap, 1), topics::create(bootstrap, 1));
    let name = topics::unique("by-hand");
    let payloads = ["good", "poison", "left", "good", "poison", "good"];
    topics::produce(bootstrap, &topic, &payloads.map(|payload| Record::keyed("k", payload)));
    let first = Arc::new(Seen::new());
    let app = by_hand(&name, &topic, &dead, &first);
    // Up to what nobody marks; what is done beyond it is told by the marks.
    wait::until(PATIENCE, "the commit of all that is marked", || {
        commits::all(bootstrap, &name)
            .last()
            .is_some_and(|commit| commit.offset == 2 && [3, 4, 5].iter().all(|offset| commit.marks().contains(*offset)))
    });
    stop(&app);
    assert_eq!(topics::read(bootstrap, &dead).len(), 2, "a copy of each");
    let again = Arc::new(Seen::new());
    topics::produce(bootstrap, &topic, &[Record::keyed("k", "good")]);
    let app = by_hand(&name, &topic, &dead, &again);
    wait::until(PATIENCE, "what comes again", || again.finished_count() == 2);
    stop(&app);
    let offsets: Vec<_> = again.spans().iter().map(|span| span.place.offset).collect();
    assert_eq!(offsets, [2, 6], "what nobody marked, and what is new");
    assert_eq!(topics::read(bootstrap, &dead).len(), 2, "no second copy");
    assert_eq!(group::committed_offsets(bootstrap, &name, &topic)[&0], 2, "it is nobody's yet");
}

/// Gives up whatever fails, at once.
struct GivesUp(Arc<Seen>);

impl Handler for GivesUp {
    fn handle(&self, job: Job) {
        let batch = job.batch().clone();
        batch.iter().for_each(|message| self.0.began(place(&message), message.key()));
        let is_bad = batch.iter().any(|message| message.payload() == Some(b"poison"));
        for message in batch.iter() {
            if is_bad { self.0.failed(place(&message)) } else { self.0.finished(place(&message)) }
        }
        // It cannot tell which one it was.
        if is_bad { job.fail(Failure::new("Poisoned", "one of them")) } else { job.done() }
    }

    fn strategy(&self, job: &Job, _: &Failure) -> Verdict {
        assert_eq!(job.batch().len(), 1, "asked when the culprit is known");
        Verdict::DeadLetter { topic: None }
    }
}

#[test]
fn by_a_strategy_that_gives_up_at_once() {
    let bootstrap = broker::shared();
    let (topic, dead) = (topics::create(bootstrap, 1), topics::create(bootstrap, 1));
    let name = topics::unique("gives-up");
    let record = |number: usize| {
        let payload = if number % 20 == 7 { "poison" } else { "good" };
        Record::keyed(format!("key-{}", number % 8), payload)
    };
    let produced = topics::produce(bootstrap, &topic, &(0..100).map(record).collect::<Vec<_>>());
    let seen = Arc::new(Seen::new());
    let app = App::new(quick(bootstrap, &name)).unwrap();
    let options = TopicConfig {
        virtual_partitions: VirtualPartitions::Fixed(4),
        virtual_partitions_per_job: 4,
        dead_letter_queue_strategy: true,
        dead_letter_queue_max_retries: 100,
        ..to(&dead)
    };
    app.topic(&topic, options, GivesUp(Arc::clone(&seen))).unwrap();
    app.start().unwrap();
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &name, &topic) == 0);
    stop(&app);
    let letters = topics::read(bootstrap, &dead);
    let is_poison = |payload: &Option<Vec<u8>>| payload.as_deref() == Some(b"poison");
    assert!(letters.len() == 5 && letters.iter().all(|letter| is_poison(&letter.payload)), "{letters:?}");
    let spans = seen.spans();
    let good: Vec<_> = produced.into_iter().filter(|message| !is_poison(&message.payload)).collect();
    oracle::nothing_lost(&good, &spans);
    oracle::nothing_twice(&spans);
    oracle::commits_never_go_back(&commits::all(bootstrap, &name));
}
