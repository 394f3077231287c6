//! Signals by a real process (acceptance 57 to 59): TSTP then TERM ends in order with status 0; CONT after TSTP goes on; TTIN tells
//! what every worker does; a hang ends with status 2, at the deadline or at the second signal, and is named; a stop at any
//! instant ends; a process whose parent is gone ends if it was told to.

use crate::support::{PATIENCE, member, produce_keyed, wait_assigned};
use libkarafka_tests::process::Program;
use libkarafka_tests::{broker, group, topics, wait};
use std::time::{Duration, Instant};

const FORCED: i32 = 2;

fn obeying(options: &[&str]) -> (Program, String, String) {
    let bootstrap = broker::shared();
    let (group, topic) = (topics::unique("group"), topics::create(bootstrap, 1));
    let member = member(bootstrap, &group, &topic, &[&["signals=1"], options].concat());
    (member, group, topic)
}

fn finished(member: &Program) -> usize {
    member.lines().iter().filter(|line| line.contains("\tfinished\t")).count()
}

fn told(member: &Program, name: &str) {
    member.wait_for_line(PATIENCE, name, |line| line.starts_with(&format!("app {name} ")));
}

#[test]
fn quiet_goes_on_and_quiet_then_stop_ends_in_order() {
    let (mut member, group, topic) = obeying(&[]);
    wait_assigned(&member);
    produce_keyed(broker::shared(), &topic, 3, 10);
    wait::until(PATIENCE, "the first ten", || finished(&member) == 10);
    member.signal("TSTP");
    told(&member, "app.quiet");
    produce_keyed(broker::shared(), &topic, 3, 10);
    member.signal("CONT");
    wait::until(PATIENCE, "the next ten, after CONT", || finished(&member) == 20);
    member.signal("TSTP");
    wait::until(PATIENCE, "quiet again", || {
        member.lines().iter().filter(|line| line.starts_with("app app.quiet ")).count() == 2
    });
    member.signal("TERM");
    let status = member.wait(PATIENCE);
    assert_eq!(status.code(), Some(0), "{}", member.last_words());
    for name in ["TSTP", "CONT", "TERM"] {
        let line = format!("app process.notice_signal signal={name:?}");
        assert!(member.lines().iter().any(|told| told.starts_with(&line)), "{line}{}", member.last_words());
    }
    let stops = member.lines().iter().filter(|line| line.starts_with("app app.stopped")).count();
    assert_eq!(stops, 1);
    assert_eq!(group::committed_offsets(broker::shared(), &group, &topic).get(&0), Some(&20));
}

/// A member whose handler hangs in the record at offset 0.
fn hanging(timeout: &str) -> (Program, String) {
    let (member, _, topic) = obeying(&["hold_key=key-0", "hold_ms=3600000", timeout]);
    produce_keyed(broker::shared(), &topic, 1, 1);
    member.wait_for_line(PATIENCE, "the record", |line| line.contains("\tbegan\t"));
    (member, topic)
}

fn is_named(member: &mut Program, topic: &str, within: Duration) {
    let asked = Instant::now();
    let status = member.wait(PATIENCE);
    let took = asked.elapsed();
    assert_eq!(status.code(), Some(FORCED), "{}", member.last_words());
    assert!(took <= within, "the end took {took:?}");
    let named = format!("{topic}/0 from offset 0 (1 records, for ");
    let errors = member.error_lines();
    assert!(errors.iter().any(|line| line.contains("forced") && line.contains(&named)), "{errors:#?}");
}

#[test]
fn a_hang_ends_at_the_deadline_and_is_named() {
    let (mut member, topic) = hanging("app.shutdown_timeout=1s");
    member.signal("TERM");
    is_named(&mut member, &topic, Duration::from_secs(6));
}

#[test]
fn a_hang_ends_at_the_second_signal_and_is_named() {
    let (mut member, topic) = hanging("app.shutdown_timeout=60s");
    member.signal("INT");
    told(&member, "app.stopping");
    member.signal("QUIT");
    is_named(&mut member, &topic, Duration::from_secs(5));
}

#[test]
fn what_every_worker_does_is_told_and_nothing_ends() {
    let (mut member, topic) = hanging("app.shutdown_timeout=100ms");
    member.signal("TTIN");
    let named = format!("handle of {topic}/0 from offset 0 (1 records), for ");
    wait::until(PATIENCE, "the worker", || member.error_lines().iter().any(|line| line.contains(&named)));
    let line = member.error_lines().into_iter().find(|line| line.contains(&named)).unwrap();
    assert!(line.contains("worker ") && line.contains("(thread "), "{line}");
    assert!(member.error_lines().iter().any(|line| line.contains("running: 1 of ")), "{:?}", member.error_lines());
    member.signal("TERM");
    assert_eq!(member.wait(PATIENCE).code(), Some(FORCED));
}

#[test]
fn a_stop_at_any_instant_ends() {
    // From before the first connection to after the first record.
    for delay in [0, 30, 100, 300, 700, 1_500] {
        let (mut member, _, topic) = obeying(&["app.shutdown_timeout=20s"]);
        member.wait_for_line(PATIENCE, "that it runs", |line| line.contains("app.running"));
        produce_keyed(broker::shared(), &topic, 1, 5);
        std::thread::sleep(Duration::from_millis(delay));
        let asked = Instant::now();
        member.signal("TERM");
        let status = member.wait(PATIENCE);
        assert_eq!(status.code(), Some(0), "after {delay} ms{}", member.last_words());
        assert!(asked.elapsed() < Duration::from_secs(5), "after {delay} ms the stop took {:?}", asked.elapsed());
    }
}

#[test]
fn a_process_whose_parent_is_gone_ends() {
    let bootstrap = broker::shared();
    let (group, topic) = (topics::unique("group"), topics::create(bootstrap, 1));
    let directory = std::env::temp_dir().join(&group);
    std::fs::create_dir_all(&directory).unwrap();
    // The member's parent is the shell. Its input stays open for a minute, whoever is gone.
    let script = r#"cd "$0" && mkfifo input && { sleep 60 >input & "$@" <input >out 2>err & wait; }"#;
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script]).arg(&directory).arg(env!("CARGO_BIN_EXE_member"));
    shell.args([format!("brokers={bootstrap}"), format!("group={group}"), format!("topic={topic}")]);
    let mut shell = Program::start(shell.args(["signals=1", "app.stop_when_orphaned=true"]));
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
    wait::until(PATIENCE, "partitions", || read("out").contains("rebalance.partitions_assigned"));
    assert!(!read("out").contains("app.stopping"), "it has its parent still");
    shell.kill();
    wait::until(PATIENCE, "the end", || read("out").contains("app app.stopped"));
    wait::until(PATIENCE, "its error", || read("err").contains("the process that started this one is gone"));
    let _ = std::fs::remove_dir_all(&directory);
}
