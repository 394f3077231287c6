//! Behind a network that is slow, resets connections, swallows answers or cuts them to single bytes, nothing is lost, no order is
//! broken and no commit goes back; within thirty seconds after it is well again, all is handled.

use crate::support::{PATIENCE, produce_keyed};
use libkarafka_tests::fleet::Fleet;
use libkarafka_tests::toxiproxy::{self, Proxy};
use libkarafka_tests::{commits, oracle, secured, topics};
use serde_json::json;
use std::time::{Duration, Instant};

/// How long it may take until all is handled, once the network is well again.
const RECOVERY: Duration = Duration::from_secs(30);

/// A run of two members whose network is bad from before they join until `bad_for` has passed, or, without, until the end.
fn through(bad_for: Option<Duration>, records: usize, poison: impl FnOnce(&Proxy) -> Vec<&'static str>) {
    let Some(toxiproxy) = toxiproxy::shared() else { return };
    let secured = secured::shared();
    let lane = secured.lane();
    let proxy = toxiproxy.proxy(lane);
    let (group, topic) = (topics::unique("group"), topics::create(&secured.bootstrap(), 3));
    let mut produced = produce_keyed(&secured.bootstrap(), &topic, 20, records / 2);
    let options = [
        "kafka.session.timeout.ms=6000",
        "kafka.heartbeat.interval.ms=500",
        "kafka.socket.timeout.ms=4000",
        "kafka.reconnect.backoff.max.ms=1000",
        "app.commit_interval=200ms",
        "work_us=500",
    ];
    let mut fleet = Fleet::new(env!("CARGO_BIN_EXE_member"), &lane.bootstrap(), &group, &topic, &options);
    let toxics = poison(&proxy);
    let began = Instant::now();
    fleet.join();
    fleet.join();
    produced.extend(produce_keyed(&secured.bootstrap(), &topic, 20, records - records / 2));
    if let Some(bad_for) = bad_for {
        std::thread::sleep(bad_for.saturating_sub(began.elapsed()));
        for toxic in toxics {
            proxy.remove(toxic);
        }
    }
    fleet.wait_handled(records, if bad_for.is_some() { RECOVERY } else { PATIENCE });
    fleet.leave_all(PATIENCE);
    oracle::all(&produced, &fleet.spans(), &commits::all(&secured.bootstrap(), &group));
}

#[test]
fn that_delays_by_100_to_300_milliseconds() {
    through(None, 2_000, |proxy| {
        proxy.add("slow", "latency", "downstream", &json!({ "latency": 200, "jitter": 100 }));
        vec!["slow"]
    });
}

#[test]
fn that_resets_connections_every_two_seconds() {
    through(Some(Duration::from_secs(15)), 4_000, |proxy| {
        proxy.add("reset", "reset_peer", "downstream", &json!({ "timeout": 2_000 }));
        vec!["reset"]
    });
}

#[test]
fn that_swallows_every_answer() {
    through(Some(Duration::from_secs(15)), 2_000, |proxy| {
        proxy.add("swallow", "timeout", "downstream", &json!({ "timeout": 0 }));
        vec!["swallow"]
    });
}

#[test]
fn that_swallows_every_answer_in_the_middle() {
    through_the_middle(Duration::from_secs(12));
}

#[test]
fn that_brings_single_bytes() {
    through(None, 300, |proxy| {
        for stream in ["downstream", "upstream"] {
            let sliced = json!({ "average_size": 1, "size_variation": 0, "delay": 10 });
            proxy.add(stream, "slicer", stream, &sliced);
        }
        vec!["downstream", "upstream"]
    });
}

#[test]
fn that_brings_32_kilobytes_a_second() {
    through(None, 4_000, |proxy| {
        proxy.add("narrow", "bandwidth", "downstream", &json!({ "rate": 32 }));
        vec!["narrow"]
    });
}

/// Half-open connections strike members that are at work.
fn through_the_middle(bad_for: Duration) {
    let Some(toxiproxy) = toxiproxy::shared() else { return };
    let secured = secured::shared();
    let lane = secured.lane();
    let proxy = toxiproxy.proxy(lane);
    let (group, topic) = (topics::unique("group"), topics::create(&secured.bootstrap(), 3));
    let mut produced = produce_keyed(&secured.bootstrap(), &topic, 20, 3_000);
    let options = [
        "kafka.session.timeout.ms=6000",
        "kafka.heartbeat.interval.ms=500",
        "kafka.socket.timeout.ms=4000",
        "app.commit_interval=200ms",
        "work_us=2000",
    ];
    let mut fleet = Fleet::new(env!("CARGO_BIN_EXE_member"), &lane.bootstrap(), &group, &topic, &options);
    fleet.join();
    fleet.join();
    fleet.wait_handled(300, PATIENCE);
    proxy.add("swallow", "timeout", "downstream", &json!({ "timeout": 0 }));
    produced.extend(produce_keyed(&secured.bootstrap(), &topic, 20, 1_000));
    std::thread::sleep(bad_for);
    proxy.remove("swallow");
    fleet.wait_handled(4_000, RECOVERY);
    fleet.leave_all(PATIENCE);
    oracle::all(&produced, &fleet.spans(), &commits::all(&secured.bootstrap(), &group));
}
