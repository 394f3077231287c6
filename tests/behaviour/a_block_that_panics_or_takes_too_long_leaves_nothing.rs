//! A handler's transaction whose block panics, or takes longer than `transaction_timeout`, is aborted and tried again, and its
//! results are seen once, also where calls commit together; and partitions of `assign`, which have no group, are refused one.

use crate::support::{PATIENCE, produce_keyed, quick, stop};
use karafka::{App, AppConfig, Error, ErrorKind, Failure, Record, TopicConfig, VirtualPartitions, handler_fn};
use libkarafka_tests::{broker, group, topics, wait};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

fn judge(max_messages: u32) {
    let bootstrap = broker::shared();
    let (from, to) = (topics::create(bootstrap, 1), topics::create(bootstrap, 1));
    let name = topics::unique("panics");
    produce_keyed(bootstrap, &from, 3, 3);
    let timeout = Duration::from_secs(2);
    let app = App::new(AppConfig { transaction_timeout: timeout, ..quick(bootstrap, &name) }).unwrap();
    let (target, (said, heard)) = (to.clone(), channel());
    let handler = handler_fn(move |batch, context| {
        let attempt = context.attempt();
        let outcome = context.transaction(|transaction| {
            for message in batch.iter() {
                let payload = message.payload();
                transaction.produce_async(&Record { topic: &target, payload, ..Record::default() })?;
                transaction.mark_as_consumed(&message)?;
            }
            match attempt {
                1 => panic!("on purpose"),
                2 => thread::sleep(timeout + Duration::from_millis(300)),
                _ => {}
            }
            Ok::<_, Error>(())
        });
        outcome.map_err(|error| {
            said.send((attempt, error.kind())).unwrap();
            Failure::new("Refused", error.to_string())
        })
    });
    let options = TopicConfig {
        virtual_partitions: VirtualPartitions::ByKey,
        retry_backoff: Duration::from_millis(20),
        transaction_max_messages: max_messages,
        ..TopicConfig::default()
    };
    app.topic(&from, options, handler).unwrap();
    app.start().unwrap();
    wait::until(PATIENCE, "all of it", || group::lag(bootstrap, &name, &from) == 0);
    stop(&app);
    drop(app);
    let second: Vec<_> = heard.try_iter().filter(|(attempt, _)| *attempt == 2).map(|(_, kind)| kind).collect();
    assert!(!second.is_empty() && second.iter().all(|kind| *kind == ErrorKind::Timeout), "{second:?}");
    let mut seen: Vec<_> = topics::read_decided(bootstrap, &to).into_iter().map(|one| one.payload.unwrap()).collect();
    seen.sort();
    assert_eq!(seen, [b"0", b"1", b"2"], "each once");
}

#[test]
fn of_its_own() {
    judge(1);
}

#[test]
fn where_calls_commit_together() {
    judge(100);
}

#[test]
fn and_there_is_none_without_a_group() {
    let bootstrap = broker::shared();
    let from = topics::create(bootstrap, 1);
    produce_keyed(bootstrap, &from, 1, 1);
    let app = App::new(quick(bootstrap, &topics::unique("assigned"))).unwrap();
    let (said, heard) = channel();
    let handler = handler_fn(move |_, context| {
        let refused = context.transaction(|_| Ok::<_, Error>(())).unwrap_err();
        said.send(refused.kind()).unwrap();
        Ok::<(), Failure>(())
    });
    app.topic(&from, TopicConfig { assign: "all".to_owned(), ..TopicConfig::default() }, handler).unwrap();
    app.start().unwrap();
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), ErrorKind::Unsupported);
    stop(&app);
}
