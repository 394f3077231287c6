//! `make chaos`: two groups read from three brokers while members and brokers are killed, halted, stopped and started at
//! random; at the end every judge looks at all that happened.
//!
//! `CHAOS_SECONDS` is how long (600), `CHAOS_SEED` repeats the same choices. The seed is printed. Times are the machine's, so
//! a seed repeats what is done to whom, not every interleaving.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod faults;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use faults::{Faults, Random};
use libkarafka_tests::cluster::{Cluster, REPLICAS};
use libkarafka_tests::fleet::Fleet;
use libkarafka_tests::topics::{self, Message, Record};
use libkarafka_tests::{oracle, wait};

const PARTITIONS: i32 = 12;
const KEYS: usize = 200;
/// How many records are produced at once, each second.
const PORTION: usize = 300;
const LONG: Duration = Duration::from_secs(180);

fn main() {
    let seconds = number("CHAOS_SECONDS").unwrap_or(600);
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seed = number("CHAOS_SEED").unwrap_or(clock.as_millis() as u64);
    println!("chaos: {seconds} s, seed {seed} (CHAOS_SEED={seed} makes the same choices)");
    let cluster = Cluster::start();
    let bootstrap = cluster.bootstrap();
    let topic = topics::unique("chaos");
    topics::create_named(&bootstrap, &topic, PARTITIONS, REPLICAS, &[("min.insync.replicas", "2")]);

    // One record a call: a halted member that goes on must begin nothing, not even the next record of its call.
    let options = ["work_us=3000", "workers=4", "topic.max_messages=1", "app.commit_interval=200ms"];
    let classic = ["kafka.session.timeout.ms=6000", "kafka.heartbeat.interval.ms=1000"];
    let kip_848 = ["app.group_protocol=consumer"];
    let fleet = |name: &str, more: &[&str]| {
        Fleet::new(&member(), &bootstrap, &topics::unique(name), &topic, &[&options, more].concat())
    };
    let mut fleets = vec![fleet("cooperative", &classic), fleet("kip-848", &kip_848)];
    for fleet in &mut fleets {
        for id in [fleet.join(), fleet.join()] {
            fleet.wait_assigned(id, LONG);
        }
    }
    let load = Load::start(&bootstrap, &topic);
    let mut faults = Faults::new(cluster, fleets, Random::new(seed));
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(seconds) {
        faults.step();
        load.check();
    }
    let produced = load.stop();
    let (_cluster, mut fleets, halted) = faults.end(&bootstrap);
    println!("chaos: {} records produced; waiting until both groups have handled them", produced.len());
    for fleet in &mut fleets {
        if fleet.ids().is_empty() {
            fleet.join();
        }
        fleet.wait_handled(produced.len(), LONG);
        fleet.leave_all(LONG);
    }
    for fleet in &mut fleets {
        judge(fleet, &produced, &halted);
    }
    println!("chaos: all good");
}

/// All judges but that of overlaps: a handler that was halted runs on beside its heir, which nobody can prevent.
fn judge(fleet: &mut Fleet, produced: &[Message], halted: &[u32]) {
    let (spans, commits) = (fleet.spans(), fleet.commits());
    let finished = spans.iter().filter(|span| span.is_finished).count();
    println!("chaos: {} commits; {} of {finished} repeated", commits.len(), finished - produced.len().min(finished));
    oracle::nothing_lost(produced, &spans);
    oracle::order_per_key(produced, &spans);
    let never_halted: Vec<_> = spans.iter().filter(|span| !halted.contains(&span.process)).cloned().collect();
    oracle::no_overlap_per_key(&never_halted);
    oracle::commits_claim_only_what_is_done(produced, &spans, &commits);
    oracle::marks_claim_only_what_is_done(produced, &spans, &commits);
    oracle::commits_never_go_back(&commits);
    oracle::nothing_repeated_that_was_committed(&never_halted, &commits, &fleet.ends());
}

/// The program beside this one.
fn member() -> String {
    let this = std::env::current_exe().expect("this program's path");
    let member = this.parent().map_or_else(|| PathBuf::from("member"), |directory| directory.join("member"));
    assert!(member.exists(), "no {}: build all programs of this crate, as `make chaos` does", member.display());
    member.to_string_lossy().into_owned()
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")))
}

/// Produces a portion every second, on a thread of its own.
struct Load {
    ends: Arc<AtomicBool>,
    produced: Arc<Mutex<Vec<Message>>>,
    thread: thread::JoinHandle<()>,
}

impl Load {
    fn start(bootstrap: &str, topic: &str) -> Self {
        let (ends, produced) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (bootstrap, topic) = (bootstrap.to_owned(), topic.to_owned());
        let (stop, sink) = (Arc::clone(&ends), Arc::clone(&produced));
        let thread = thread::spawn(move || {
            let mut next = 0;
            while !stop.load(Ordering::SeqCst) {
                let began = Instant::now();
                let keyed = |number: usize| Record::keyed(format!("key-{}", number % KEYS), number.to_string());
                let portion: Vec<_> = (next..next + PORTION).map(keyed).collect();
                next += PORTION;
                sink.lock().unwrap().extend(topics::produce(&bootstrap, &topic, &portion));
                thread::sleep(Duration::from_secs(1).saturating_sub(began.elapsed()));
            }
        });
        Self { ends, produced, thread }
    }

    fn check(&self) {
        assert!(!self.thread.is_finished(), "the load ended early");
    }

    fn stop(self) -> Vec<Message> {
        self.ends.store(true, Ordering::SeqCst);
        wait::until(LONG * 2, "the last portion acknowledged", || self.thread.is_finished());
        self.thread.join().expect("the load failed");
        std::mem::take(&mut self.produced.lock().unwrap())
    }
}
