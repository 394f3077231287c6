//! Acceptance scenario 54: a handler's transaction whose partition is lost in its midst is rolled back, and its commit says so; one that
//! is left without a commit counts for nothing. A reader of committed records sees what the heir and the next attempt produced, once.

use crate::support::{COOPERATIVE, PATIENCE, quick, stop};
use karafka::{App, Batch, Context, Error, ErrorKind, Failure, Record as Sent, TopicConfig, handler_fn};
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, group, wait};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

struct Member {
    app: App,
    /// With which error the transactions of lost partitions ended.
    ends: Arc<Mutex<Vec<Option<ErrorKind>>>>,
    begun: Arc<AtomicUsize>,
}

/// Sends each record on in a transaction; those that `holds` has wait in it until their partition is lost or `free` says so.
fn member(name: &str, (from, to): (&str, &str), holds: bool, free: &Arc<AtomicBool>) -> Member {
    let mut config = quick(broker::shared(), name);
    COOPERATIVE(&mut config);
    let app = App::new(config).unwrap();
    let (ends, begun) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicUsize>::default());
    let (ended, begins, free, to) = (Arc::clone(&ends), Arc::clone(&begun), Arc::clone(free), to.to_owned());
    let handle = handler_fn(move |batch: &Batch, context: &Context| {
        let outcome: Result<(), Error> = context.transaction(|transaction| {
            for message in batch.iter() {
                let record = Sent { topic: &to, key: message.key(), payload: message.payload(), ..Sent::default() };
                transaction.produce_async(&record)?;
                transaction.mark_as_consumed(&message)?;
            }
            begins.fetch_add(1, Ordering::SeqCst);
            while holds && !free.load(Ordering::SeqCst) && !context.is_revoked() {
                thread::park_timeout(Duration::from_millis(2));
            }
            Ok(())
        });
        if context.is_revoked() {
            ended.lock().push(outcome.as_ref().err().map(Error::kind));
        }
        outcome.map_err(|error| Failure::new("Refused", error.to_string()))
    });
    // Lost in the midst of the call, not after it.
    let options = TopicConfig { long_running_job: true, ..TopicConfig::default() };
    app.topic(from, options, handle).unwrap();
    app.start().unwrap();
    Member { app, ends, begun }
}

fn payloads(topic: &str) -> Vec<String> {
    let read = topics::read_decided(broker::shared(), topic);
    let mut payloads: Vec<_> = read.into_iter().map(|one| String::from_utf8(one.payload.unwrap()).unwrap()).collect();
    payloads.sort();
    payloads
}

#[test]
fn neither_of_its_outputs_nor_of_its_marks() {
    let bootstrap = broker::shared();
    let (from, to) = (topics::create(bootstrap, 2), topics::create(bootstrap, 1));
    let (name, free) = (topics::unique("lost-transaction"), Arc::<AtomicBool>::default());
    topics::produce(bootstrap, &from, &[0, 1].map(|partition| Record::keyed("k", partition.to_string()).to(partition)));
    let first = member(&name, (&from, &to), true, &free);
    wait::until(PATIENCE, "a transaction of each partition", || first.begun.load(Ordering::SeqCst) == 2);
    let second = member(&name, (&from, &to), false, &free);
    wait::until(PATIENCE, "the end of the lost one", || first.ends.lock().len() == 1);
    assert_eq!(*first.ends.lock(), [Some(ErrorKind::NotOwned)]);
    // Seen only once the other one has ended, too: readers wait behind what is open.
    let is_done = || group::committed_offsets(bootstrap, &name, &from).values().any(|offset| *offset == 1);
    wait::until(PATIENCE, "the heir's commit", is_done);
    free.store(true, Ordering::SeqCst);
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &name, &from) == 0);
    stop(&first.app);
    stop(&second.app);
    assert_eq!(payloads(&to), ["0", "1"], "each once");
}

#[test]
fn nor_one_that_is_left_early() {
    let bootstrap = broker::shared();
    let (from, to) = (topics::create(bootstrap, 1), topics::create(bootstrap, 1));
    let name = topics::unique("left-transaction");
    topics::produce(bootstrap, &from, &[Record::keyed("k", "0")]);
    let app = App::new(quick(bootstrap, &name)).unwrap();
    let (target, attempts) = (to.clone(), Arc::<AtomicUsize>::default());
    let tried = Arc::clone(&attempts);
    let handle = handler_fn(move |batch: &Batch, context: &Context| {
        let refused = |error: Error| Failure::new("Refused", error.to_string());
        let message = batch.get(0).unwrap();
        let attempt = tried.fetch_add(1, Ordering::SeqCst);
        let transaction = context.begin_transaction().map_err(refused)?;
        let payload = format!("attempt {attempt}");
        let record = Sent { topic: &target, payload: Some(payload.as_bytes()), ..Sent::default() };
        transaction.produce_async(&record).map_err(refused)?;
        transaction.mark_as_consumed(&message).map_err(refused)?;
        match attempt {
            0 => Err(Failure::new("Unlucky", "left by an error")),
            1 => panic!("left by a panic"),
            _ => transaction.commit().map_err(refused),
        }
    });
    app.topic(&from, TopicConfig { retry_backoff: Duration::from_millis(10), ..TopicConfig::default() }, handle)
        .unwrap();
    app.start().unwrap();
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &name, &from) == 0);
    stop(&app);
    assert_eq!(payloads(&to), ["attempt 2"]);
}
