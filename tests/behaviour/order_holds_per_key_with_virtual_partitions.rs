//! Acceptance scenarios 40 and 41: records of one key are handled one after another, in their order, while keys run side by side.

use crate::support::{PATIENCE, app, produce_keyed, stop};
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::{broker, commits, oracle, topics, wait};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn order_holds_per_key_with_virtual_partitions() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 3);
    let produced = produce_keyed(bootstrap, &topic, 37, 3_000);
    let (seen, group) = (Arc::new(Seen::new()), topics::unique("group"));
    let (running, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let peak = Arc::clone(&most);
    let app = app(bootstrap, &group, &topic, &seen, move |_, _| {
        peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(1));
        running.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    });
    app.start().unwrap();
    wait::until(PATIENCE, "3,000 records handled", || seen.finished_count() >= 3_000);
    stop(&app);

    let spans = seen.spans();
    oracle::all(&produced, &spans, &commits::all(bootstrap, &group));
    oracle::nothing_twice(&spans);
    assert_eq!(most.load(Ordering::SeqCst), 10, "all workers were busy at some time");
}
