//! A broker whose `offset.metadata.max.bytes` is too small for the marks beside an offset refuses commits that have them: so they go
//! again with less. The offset moves on, in transactions, too; a text of the user's that fits stays.

use crate::support::{PATIENCE, produce_keyed, quick, stop};
use karafka::{App, AppConfig, Error, Failure, Record, TopicConfig, VirtualPartitions, handler_fn};
use libkarafka_tests::broker::Broker;
use libkarafka_tests::{group, topics, wait};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Duration;

/// 30 keys, of which the one at offset 7 is held until it is let go.
fn held(broker: &Broker, name: &str, to: Option<String>) -> (App, String, Arc<(Mutex<bool>, Condvar)>) {
    let from = topics::create(&broker.bootstrap(), 1);
    produce_keyed(&broker.bootstrap(), &from, 30, 300);
    let app = App::new(AppConfig { concurrency: 8, ..quick(&broker.bootstrap(), name) }).unwrap();
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let open = Arc::clone(&gate);
    let handler = handler_fn(move |batch, context| {
        if batch.iter().any(|message| message.offset() == 7) {
            open.1.wait_while(&mut open.0.lock(), |is_open| !*is_open);
        }
        let Some(to) = &to else {
            context.store_offset_metadata("mine");
            return Ok(());
        };
        let sent = context.transaction(|transaction| {
            for message in batch.iter() {
                let (key, payload) = (message.key(), message.payload());
                transaction.produce_async(&Record { topic: to, key, payload, ..Record::default() })?;
                transaction.mark_as_consumed(&message)?;
            }
            Ok::<_, Error>(())
        });
        sent.map_err(|error| Failure::new("Refused", error.to_string()))
    });
    let options = TopicConfig {
        virtual_partitions: VirtualPartitions::ByKey,
        max_messages: 5,
        retry_backoff: Duration::from_millis(20),
        ..TopicConfig::default()
    };
    app.topic(&from, options, handler).unwrap();
    app.start().unwrap();
    (app, from, gate)
}

fn let_go(gate: &(Mutex<bool>, Condvar)) {
    *gate.0.lock() = true;
    gate.1.notify_all();
}

#[test]
fn with_less_text() {
    let broker = Broker::start_with(&[], |_, _| "offset.metadata.max.bytes=20\n".to_owned());
    let bootstrap = broker.bootstrap();
    let name = topics::unique("little");
    let (app, from, gate) = held(&broker, &name, None);
    let kept = (7, "mine".to_owned());
    wait::until(PATIENCE, "the offset of what is held", || {
        group::committed(&bootstrap, &name, &from).get(&0) == Some(&kept)
    });
    let_go(&gate);
    stop(&app);

    let (name, to) = (topics::unique("little"), topics::create(&bootstrap, 1));
    let (app, from, gate) = held(&broker, &name, Some(to.clone()));
    wait::until(PATIENCE, "the results of all others", || topics::read(&bootstrap, &to).len() == 290);
    assert_eq!(group::committed_offsets(&bootstrap, &name, &from)[&0], 7);
    let_go(&gate);
    wait::until(PATIENCE, "all of it", || group::lag(&bootstrap, &name, &from) == 0);
    stop(&app);
    assert_eq!(topics::read_decided(&bootstrap, &to).len(), 300, "each exactly once");
}
