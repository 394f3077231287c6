//! Acceptance scenario 57: a handler that never returns does not keep an app from ending: at the deadline, or at a second
//! request, it is left behind and named with topic, partition, offset and how long it ran; what the others finished is committed. The
//! same for a hook; and who reads no events is waited for by nobody.

use crate::support::{PATIENCE, member, produce_keyed, quick};
use karafka::{App, AppConfig, ErrorKind, Failure, Hook, TopicConfig, handler_fn, hooked};
use libkarafka_tests::process::Program;
use libkarafka_tests::{broker, group, topics, wait};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What a forced stop may take beyond its deadline.
const BEYOND: Duration = Duration::from_secs(1);
/// The member's own code for an app that ended with an error.
const ENDED_WITH_AN_ERROR: i32 = 2;

/// A member whose handler hangs in the record at offset 3 while nine others were finished.
fn hanging(timeout: &str) -> (Program, String, String) {
    let bootstrap = broker::shared();
    let (group, topic) = (topics::unique("group"), topics::create(bootstrap, 1));
    let options = ["hold_key=key-3", "hold_ms=3600000", "topic.max_messages=1", "app.commit_interval=60s", timeout];
    let member = member(bootstrap, &group, &topic, &options);
    produce_keyed(bootstrap, &topic, 10, 10);
    let finished = || member.lines().iter().filter(|line| line.contains("\tfinished\t")).count();
    wait::until(PATIENCE, "all others finished", || finished() == 9);
    (member, group, topic)
}

fn is_named(member: &mut Program, group: &str, topic: &str) {
    let status = member.wait(PATIENCE);
    assert_eq!(status.code(), Some(ENDED_WITH_AN_ERROR), "{}", member.last_words());
    let error = member.wait_for_line(PATIENCE, "the error", |line| line.contains("kind=\"Timeout\""));
    for words in ["forced", "1 calls", &format!("{topic}/0 from offset 3 (1 records, for "), "stay uncommitted"] {
        assert!(error.contains(words), "no {words:?} in {error}");
    }
    assert!(member.last_words().contains("stop: forced"), "join tells it, too{}", member.last_words());
    assert_eq!(group::committed_offsets(broker::shared(), group, topic).get(&0), Some(&3));
}

#[test]
fn at_the_deadline() {
    let (mut member, group, topic) = hanging("app.shutdown_timeout=2s");
    let asked = Instant::now();
    member.send("stop");
    member.wait(PATIENCE);
    let took = asked.elapsed();
    assert!(took >= Duration::from_secs(2) && took <= Duration::from_secs(2) + BEYOND, "the stop took {took:?}");
    is_named(&mut member, &group, &topic);
}

#[test]
fn at_a_second_request_that_gives_no_time() {
    let (mut member, group, topic) = hanging("app.shutdown_timeout=60s");
    member.send("stop");
    member.wait_for_line(PATIENCE, "that it stops", |line| line.contains("app.stopping"));
    let asked = Instant::now();
    member.send("stop 0");
    member.wait(PATIENCE);
    let took = asked.elapsed();
    assert!(took <= BEYOND, "the forced stop took {took:?}");
    is_named(&mut member, &group, &topic);
}

#[test]
fn also_a_hook_and_nobody_waits_for_who_reads_no_events() {
    let bootstrap = broker::shared();
    let (group, topic) = (topics::unique("group"), topics::create(bootstrap, 1));
    let config = AppConfig { shutdown_timeout: Duration::from_secs(1), ..quick(bootstrap, &group) };
    let app = App::new(config).unwrap();
    let (is_over, has_begun) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let (over, begins) = (Arc::clone(&is_over), Arc::clone(&has_begun));
    let handler = hooked(handler_fn(|_, _| Ok::<(), Failure>(()))).on(Hook::Shutdown, move |_| {
        begins.store(true, Ordering::SeqCst);
        while !over.load(Ordering::SeqCst) {
            thread::park_timeout(Duration::from_millis(5));
        }
        Ok::<(), Failure>(())
    });
    app.topic(&topic, TopicConfig::default(), handler).unwrap();
    let _unread = app.events();
    app.start().unwrap();
    produce_keyed(bootstrap, &topic, 1, 5);
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &group, &topic) == 0);
    let asked = Instant::now();
    app.stop();
    let error = app.join(Some(PATIENCE)).unwrap_err();
    let took = asked.elapsed();
    is_over.store(true, Ordering::SeqCst);
    assert!(has_begun.load(Ordering::SeqCst) && took <= Duration::from_secs(1) + BEYOND, "the stop took {took:?}");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let text = error.to_string();
    assert!(text.contains("shutdown") && text.contains(&format!("{topic}/0")), "{text}");
}
