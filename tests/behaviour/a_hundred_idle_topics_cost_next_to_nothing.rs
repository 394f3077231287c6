//! A process that reads a hundred topics and has nothing to do wakes up at most once a second and uses at most half a percent of a
//! core, beside what librdkafka's own threads do; one thread polls for all groups.

use crate::support::{PATIENCE, produce_keyed};
use libkarafka_tests::fleet::Fleet;
use libkarafka_tests::process::{Program, Thread};
use libkarafka_tests::{broker, topics};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const TOPICS: usize = 100;
/// One in so many holds a record, to show that they are read.
const EVERY: usize = 33;
static NAMES: OnceLock<Vec<String>> = OnceLock::new();
const WATCHED: Duration = Duration::from_secs(10);

/// All threads of a program but librdkafka's: their sleeps and processor time in all.
fn own(member: &Program) -> (u64, Duration, Vec<Thread>) {
    let threads: Vec<_> = member.threads().into_iter().filter(|thread| !thread.name.starts_with("rdk:")).collect();
    let sleeps = threads.iter().map(|thread| thread.sleeps).sum();
    (sleeps, threads.iter().map(|thread| thread.cpu_time).sum(), threads)
}

fn idle(name: &str, groups: usize) {
    let bootstrap = broker::shared();
    let names = NAMES.get_or_init(|| {
        let stem = topics::unique("idle");
        let names: Vec<_> = (0..TOPICS).map(|number| format!("{stem}-{number}")).collect();
        topics::create_many(bootstrap, &names);
        for topic in names.iter().step_by(EVERY) {
            produce_keyed(bootstrap, topic, 1, 1);
        }
        names
    });
    let groups_option = format!("groups={groups}");
    let mut members = Fleet::new(
        env!("CARGO_BIN_EXE_member"),
        bootstrap,
        &topics::unique(name),
        &names.join(","),
        &["work_us=0", &groups_option],
    );
    let member = members.join();
    members.wait_handled(names.iter().step_by(EVERY).count(), PATIENCE);
    // The last commits, and what joining left behind.
    std::thread::sleep(Duration::from_secs(3));
    let program = members.program(member);
    let ((sleeps, cpu_time, _), librdkafka, began) = (own(program), program.cpu_time(), Instant::now());
    std::thread::sleep(WATCHED);
    let seconds = began.elapsed().as_secs_f64();
    let (sleeps_after, cpu_after, threads) = own(program);
    let pollers = threads.iter().filter(|thread| thread.name == "karafka-poll").count();
    let (woken, used) =
        ((sleeps_after - sleeps) as f64 / seconds, cpu_after.saturating_sub(cpu_time).as_secs_f64() / seconds);
    let all = program.cpu_time().saturating_sub(librdkafka).as_secs_f64() / seconds;
    println!(
        "{groups} groups: {woken:.2} wake-ups a second, {:.3} % of a core; with librdkafka {:.2} %",
        used * 100.0,
        all * 100.0
    );
    assert!(woken <= 1.0, "{woken:.2} wake-ups a second: {threads:?}");
    assert!(used <= 0.005, "{:.3} % of a core: {threads:?}", used * 100.0);
    assert_eq!(pollers, 1);
    members.leave_all(PATIENCE);
}

#[test]
fn in_one_group() {
    idle("idle-one", 1);
}

#[test]
fn in_ten_groups() {
    idle("idle-ten", 10);
}
