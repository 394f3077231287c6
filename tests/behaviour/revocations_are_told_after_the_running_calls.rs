//! Acceptance 4, 14, 43: the hook for a revocation comes after the running call of its partition, and what it marks is not handled
//! again by the next owner; with long-running jobs it comes at once, and when the partition comes back, its first call waits for
//! the old one; the hook for the shutdown comes after a call that is longer than `max.poll.interval.ms`, which keeps its partition.

use crate::support::{BY_THE_BROKER, COOPERATIVE, PATIENCE, quick, stop, wait_event};
use karafka::{App, AppConfig, Event, Failure, Hook, TopicConfig, handler_fn, hooked};
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, group, wait};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What was called, in order: a word, and the partition.
type Calls = Arc<Mutex<Vec<(&'static str, i32)>>>;

/// Keeps calls waiting until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn pass(&self) {
        let mut open = self.0.0.lock();
        self.0.1.wait_while_for(&mut open, |open| !*open, PATIENCE);
    }

    fn open(&self) {
        *self.0.0.lock() = true;
        self.0.1.notify_all();
    }
}

fn member(config: &AppConfig, topic: &str, options: TopicConfig, calls: &Calls, gate: &Gate) -> App {
    let app = App::new(config.clone()).unwrap();
    let (ran, gate) = (Arc::clone(calls), gate.clone());
    let handler = handler_fn(move |batch, _| {
        ran.lock().push(("began", batch.partition()));
        gate.pass();
        ran.lock().push(("ended", batch.partition()));
        Ok::<(), Failure>(())
    });
    let (revoked, shutdown) = (Arc::clone(calls), Arc::clone(calls));
    let handler = hooked(handler)
        .on(Hook::Revoked, move |context| {
            if !context.is_revoked() {
                context.mark_offset(0);
            }
            revoked.lock().push((if context.is_revoked() { "lost" } else { "revoked" }, context.partition()));
            Ok::<(), Failure>(())
        })
        .on(Hook::Shutdown, move |context| {
            shutdown.lock().push(("shutdown", context.partition()));
            Ok::<(), Failure>(())
        });
    app.topic(topic, options, handler).unwrap();
    app
}

fn has(calls: &Calls, what: &str) -> usize {
    calls.lock().iter().filter(|(name, _)| *name == what).count()
}

fn hand_over(name: &str, protocol: fn(&mut AppConfig)) {
    let bootstrap = broker::shared();
    let (topic, name) = (topics::create(bootstrap, 2), topics::unique(name));
    topics::produce(bootstrap, &topic, &[Record::plain("x").to(0), Record::plain("x").to(1)]);
    let mut config = quick(bootstrap, &name);
    protocol(&mut config);
    let options = TopicConfig { manual_offset_management: true, ..TopicConfig::default() };
    let (calls, gate) = (Calls::default(), Gate::default());
    let first = member(&config, &topic, options.clone(), &calls, &gate);
    let events = first.events();
    first.start().unwrap();
    wait::until(PATIENCE, "both calls", || has(&calls, "began") == 2);
    let (others, open) = (Calls::default(), Gate::default());
    open.open();
    let second = member(&config, &topic, options, &others, &open);
    second.start().unwrap();
    wait_event(&events, "the revocation", |event| event.name() == "rebalance.partitions_revoke");
    assert_eq!(has(&calls, "revoked"), 0, "its call runs");
    gate.open();
    wait::until(PATIENCE, "the hook", || has(&calls, "revoked") == 1);
    let list = calls.lock().clone();
    let at = list.iter().position(|(name, _)| *name == "revoked").expect("it was called");
    let partition = list[at].1;
    assert!(list[..at].contains(&("ended", partition)), "{list:?}");
    // What the hook marked is not handled again; what comes next is.
    topics::produce(bootstrap, &topic, &[Record::plain("x").to(partition)]);
    wait::until(PATIENCE, "the next one", || has(&others, "ended") >= 1);
    stop(&second);
    assert_eq!(has(&others, "began"), 1, "{:?}", others.lock());
    stop(&first);
    assert!(calls.lock().iter().filter(|(name, _)| *name == "shutdown").count() >= 1);
}

#[test]
fn by_the_cooperative_protocol() {
    hand_over("told-cooperative", COOPERATIVE);
}

#[test]
fn by_the_protocol_of_kip_848() {
    hand_over("told-kip-848", BY_THE_BROKER);
}

#[test]
fn a_partition_that_comes_back_waits_for_its_long_job() {
    let bootstrap = broker::shared();
    let (topic, name) = (topics::create(bootstrap, 2), topics::unique("back"));
    topics::produce(bootstrap, &topic, &[Record::plain("x").to(0), Record::plain("x").to(1)]);
    let mut config = quick(bootstrap, &name);
    BY_THE_BROKER(&mut config);
    let options = TopicConfig { long_running_job: true, ..TopicConfig::default() };
    let (calls, gate) = (Calls::default(), Gate::default());
    let first = member(&config, &topic, options.clone(), &calls, &gate);
    first.start().unwrap();
    wait::until(PATIENCE, "both calls", || has(&calls, "began") == 2);
    let other = App::new(config.clone()).unwrap();
    let taken = Arc::new(AtomicBool::new(false));
    let has_taken = Arc::clone(&taken);
    let handler = handler_fn(move |_, _| {
        // Fails: the message stays for whoever comes next.
        has_taken.store(true, Ordering::SeqCst);
        Err::<(), _>(Failure::new("Not", "mine"))
    });
    other.topic(&topic, options, handler).unwrap();
    other.start().unwrap();
    wait::until(PATIENCE, "the other has one", || taken.load(Ordering::SeqCst));
    wait::until(PATIENCE, "the hook, beside its call", || has(&calls, "revoked") + has(&calls, "lost") == 1);
    assert_eq!(has(&calls, "ended"), 0, "the long calls run");
    let events = first.events();
    stop(&other);
    let assigned = |event: &Event| event.name() == "rebalance.partitions_assigned";
    wait_event(&events, "the partition's return", assigned);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        assert_eq!(has(&calls, "began"), 2, "a call beside the old one");
        std::thread::sleep(Duration::from_millis(20));
    }
    gate.open();
    wait::until(PATIENCE, "the call again", || has(&calls, "ended") == 3);
    stop(&first);
    assert_eq!(group::lag(bootstrap, &name, &topic), 0);
}

#[test]
fn a_shutdown_waits_for_a_job_that_is_longer_than_the_poll_interval() {
    let bootstrap = broker::shared();
    let (topic, name) = (topics::create(bootstrap, 1), topics::unique("long-stop"));
    topics::produce(bootstrap, &topic, &[Record::plain("x").to(0)]);
    let mut config = quick(bootstrap, &name);
    COOPERATIVE(&mut config);
    config.kafka.insert("max.poll.interval.ms".to_owned(), "6000".to_owned());
    config.revoke_timeout = Duration::from_secs(2);
    let options = TopicConfig { long_running_job: true, ..TopicConfig::default() };
    let (calls, gate) = (Calls::default(), Gate::default());
    let app = member(&config, &topic, options, &calls, &gate);
    app.start().unwrap();
    wait::until(PATIENCE, "the call", || has(&calls, "began") == 1);
    app.stop();
    let (opener, held) = (gate, Duration::from_secs(13));
    let holder = std::thread::spawn(move || {
        std::thread::sleep(held);
        opener.open();
    });
    assert!(app.join(Some(PATIENCE)).unwrap());
    holder.join().unwrap();
    assert_eq!(*calls.lock(), [("began", 0), ("ended", 0), ("shutdown", 0)]);
    assert_eq!(group::lag(bootstrap, &name, &topic), 0, "it was committed after all that time");
}
