//! Acceptance 15, 42, 65: both workers run when another member takes one of two partitions. The handler of the lost one sees it at
//! once; its mark and its commit are refused, so that they are a fence for a transaction of a database; the other handler's
//! count.

use crate::support::{PATIENCE, stop};
use karafka::{App, AppConfig, Context, Failure, Message, TopicConfig, handler_fn};
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, group};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

fn app(bootstrap: &str, name: &str) -> App {
    let config = AppConfig {
        bootstrap_servers: bootstrap.to_owned(),
        group: name.to_owned(),
        concurrency: 2,
        ..AppConfig::default()
    };
    App::new(config).unwrap()
}

/// What a handler is told that marks and commits.
fn verdicts(context: &Context, message: &Message<'_>) -> [bool; 5] {
    [
        context.is_revoked(),
        context.acknowledge(message),
        context.mark_as_consumed(message),
        context.commit(PATIENCE).unwrap(),
        context.commit_offsets(),
    ]
}

#[test]
fn a_lost_partition_refuses_marks_with_all_workers_busy() {
    let bootstrap = broker::shared();
    let (topic, name) = (topics::create(bootstrap, 2), topics::unique("fence"));
    let to = |partition| Record { partition: Some(partition), ..Record::keyed("key", "value") };
    topics::produce(bootstrap, &topic, &[to(0), to(1)]);
    let (sender, told) = channel();
    let (begun, begins) = channel();
    let released = Arc::new(AtomicBool::new(false));
    let release = Arc::clone(&released);
    let first = app(bootstrap, &name);
    let config = TopicConfig { long_running_job: true, manual_offset_management: true, ..TopicConfig::default() };
    let handler = handler_fn(move |batch, context| {
        begun.send(batch.partition()).unwrap();
        while !context.is_revoked() && !release.load(Ordering::SeqCst) {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        sender.send((batch.partition(), verdicts(context, &batch.get(0).unwrap()))).unwrap();
        Ok::<(), Failure>(())
    });
    first.topic(&topic, config, handler).unwrap();
    first.start().unwrap();
    for _ in 0..2 {
        begins.recv_timeout(PATIENCE).unwrap();
    }
    let second = app(bootstrap, &name);
    let (arrived, successor) = channel();
    let takes_over = handler_fn(move |batch, _| {
        arrived.send(batch.partition()).unwrap();
        Ok::<(), Failure>(())
    });
    second.topic(&topic, TopicConfig::default(), takes_over).unwrap();
    second.start().unwrap();
    let lost = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(lost.1, [true, false, false, false, false]);
    // The group is settled when the new owner handles what was lost.
    assert_eq!(successor.recv_timeout(PATIENCE).unwrap(), lost.0);
    released.store(true, Ordering::SeqCst);
    let kept = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(kept.1, [false, true, true, true, true]);
    assert_ne!(lost.0, kept.0);
    stop(&first);
    stop(&second);
    assert_eq!(group::lag(bootstrap, &name, &topic), 0);
}
