//! While one key's record takes as long as everything else together, every other key is handled to the end.

use crate::support::{PATIENCE, app, produce_keyed, stop};
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::{broker, oracle, topics, wait};
use std::sync::{Arc, Condvar, Mutex};

#[test]
fn one_slow_key_holds_up_nobody_else() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 1);
    let produced = produce_keyed(bootstrap, &topic, 20, 2_000);
    let seen = Arc::new(Seen::new());
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let closed = Arc::clone(&gate);
    let app = app(bootstrap, &topics::unique("group"), &topic, &seen, move |_, key| {
        if key == Some(b"key-3") {
            // Slower than all others: it ends only after they did.
            let (open, changed) = &*closed;
            let _open = changed.wait_while(open.lock().unwrap(), |open| !*open).unwrap();
        }
        Ok(())
    });
    app.start().unwrap();
    wait::until(PATIENCE, "the 1,900 records of the other keys handled", || seen.finished_count() >= 1_900);
    let slow = seen.spans().into_iter().filter(|span| span.key.as_deref() == Some(b"key-3"));
    assert_eq!(slow.filter(|span| span.is_finished).count(), 0, "the slow key was still at its first record");
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    wait::until(PATIENCE, "the slow key's records handled too", || seen.finished_count() >= 2_000);
    stop(&app);
    oracle::nothing_lost(&produced, &seen.spans());
    oracle::nothing_twice(&seen.spans());
}
