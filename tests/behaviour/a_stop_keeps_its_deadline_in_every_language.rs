//! C, Ruby and Python programs that get SIGTERM end in time and in order whatever they are doing and wherever their brokers are,
//! with everything committed that was finished. What stops is the same for all; what differs is who watches signals, who owns
//! the threads, and what an interpreter does at its end.

use crate::languages::{self, LANGUAGES, Work, program};
use crate::support::{PATIENCE, member, produce_keyed, wait_assigned};
use libkarafka_tests::gate::Gate;
use libkarafka_tests::process::Program;
use libkarafka_tests::{broker, group, secured, topics, wait};
use std::time::{Duration, Instant};

/// What an idle stop may take: two seconds of the app, and the end of an interpreter on a busy machine.
const IDLE: Duration = Duration::from_secs(5);

/// A program of a language at work, with a group and a topic of its own.
struct Running {
    language: &'static str,
    program: Program,
    group: String,
    topic: String,
}

impl Running {
    /// Asks it to stop by a signal: it must end well, within this time.
    fn stops(&mut self, asked: Instant, within: Duration) {
        let status = self.program.wait(PATIENCE);
        let (took, language) = (asked.elapsed(), self.language);
        assert_eq!(status.code(), Some(0), "{language}: {}", self.program.last_words());
        assert!(took <= within, "{language}: the stop took {took:?}{}", self.program.last_words());
    }

    fn finished(&self) -> usize {
        self.program.lines().iter().filter(|line| line.starts_with("finished ")).count()
    }

    fn wait_for(&self, what: &str, wanted: impl FnMut(&str) -> bool) {
        self.program.wait_for_line(PATIENCE, &format!("{what}, in {}", self.language), wanted);
    }

    fn wait_assigned(&self) {
        let assigned =
            |line: &str| line.starts_with("rebalance.partitions_assigned") && !line.contains("partitions=\"\"");
        self.wait_for("partitions of its own", assigned);
    }

    /// One partition, read in order: the number of finished records is the position.
    fn committed_what_was_finished(&self, bootstrap: &str) {
        let position = group::committed_offsets(bootstrap, &self.group, &self.topic).get(&0).copied().unwrap_or(0);
        assert_eq!(usize::try_from(position), Ok(self.finished()), "{}: {}", self.language, self.program.last_words());
    }
}

/// What a state needs: how each record is handled, and the options.
struct State<'a> {
    milliseconds: u32,
    fail_key: &'a str,
    options: &'a [&'a str],
}

const AT_ONCE: State<'_> = State { milliseconds: 0, fail_key: "", options: &[] };

/// A program for each language, each with a group and a topic of its own, which `prepare` gets first.
fn running(servers: &str, bootstrap: &str, state: &State<'_>, prepare: impl Fn(&str, &str)) -> [Running; 3] {
    languages::build();
    LANGUAGES.map(|language| {
        let (group, topic) = (topics::unique("group"), topics::create(bootstrap, 1));
        prepare(&group, &topic);
        let work = Work { topic: &topic, milliseconds: state.milliseconds, fail_key: state.fail_key };
        let mut options = vec![format!("bootstrap_servers={servers}"), format!("group={group}")];
        options.extend(state.options.iter().map(|&option| option.to_owned()));
        let program = program(language, work, &options);
        Running { language, program, group, topic }
    })
}

/// Asks all of them to stop.
fn stop(all: &mut [Running], within: Duration) {
    let asked = Instant::now();
    for one in all.iter() {
        one.program.signal("TERM");
    }
    for one in all {
        one.stops(asked, within);
    }
}

fn at_its_first_look(servers: &str) {
    let mut all = running(servers, broker::shared(), &AT_ONCE, |_, _| {});
    for one in &all {
        one.wait_for("that it runs", |line| line.starts_with("app.running"));
    }
    stop(&mut all, IDLE);
}

#[test]
fn at_its_first_look_for_a_broker_that_refuses() {
    at_its_first_look("127.0.0.1:1");
}

#[test]
fn at_its_first_look_for_a_broker_that_never_answers() {
    let (_gate, address) = Gate::silent();
    at_its_first_look(&address);
}

#[test]
fn before_it_has_partitions() {
    let bootstrap = broker::shared();
    let halted = std::cell::RefCell::new(Vec::new());
    let mut all = running(bootstrap, bootstrap, &AT_ONCE, |group, topic| {
        let first = member(bootstrap, group, topic, &[]);
        wait_assigned(&first);
        // A halted member answers no rebalance, so that the one that comes waits for partitions.
        first.signal("STOP");
        halted.borrow_mut().push(first);
    });
    for one in &all {
        one.wait_for("that it runs", |line| line.starts_with("app.running"));
        wait::until(PATIENCE, "the group rebalances", || group::state(bootstrap, &one.group) == "PreparingRebalance");
    }
    stop(&mut all, IDLE);
}

#[test]
fn idle() {
    let bootstrap = broker::shared();
    // No commit is due before the stop.
    let state = State { options: &["commit_interval=60s"], ..AT_ONCE };
    let mut all = running(bootstrap, bootstrap, &state, |_, topic| {
        produce_keyed(bootstrap, topic, 1, 50);
    });
    for one in &all {
        wait::until(PATIENCE, "50 records finished", || one.finished() == 50);
    }
    stop(&mut all, IDLE);
    for one in &all {
        one.committed_what_was_finished(bootstrap);
    }
}

#[test]
fn busy() {
    let bootstrap = broker::shared();
    let options =
        &["topic.max_messages=1", "topic.virtual_partitions=by_key", "shutdown_timeout=20s", "commit_interval=60s"];
    let mut all = running(bootstrap, bootstrap, &State { milliseconds: 1_500, options, ..AT_ONCE }, |_, topic| {
        produce_keyed(bootstrap, topic, 1, 20);
    });
    for one in &all {
        wait::until(PATIENCE, "a record finished", || one.finished() >= 1);
    }
    let before: Vec<_> = all.iter().map(Running::finished).collect();
    stop(&mut all, Duration::from_millis(1_500) + IDLE);
    for (one, before) in all.iter().zip(before) {
        // The one that runs is finished, the others are not begun; one more may end between the look and the signal.
        assert!(one.finished() <= before + 2, "{}: {}", one.language, one.program.last_words());
        one.committed_what_was_finished(bootstrap);
    }
}

#[test]
fn while_a_rebalance_waits_for_its_handler() {
    const HELD: Duration = Duration::from_secs(5);
    let bootstrap = broker::shared();
    let options = &["shutdown_timeout=20s", "assignment_strategy=range"];
    let state = State { milliseconds: 5_000, options, ..AT_ONCE };
    let mut all = running(bootstrap, bootstrap, &state, |_, topic| {
        produce_keyed(bootstrap, topic, 1, 1);
    });
    let mut others = Vec::new();
    for one in &mut all {
        one.wait_for("that the handler runs", |line| line.starts_with("began "));
        others.push(member(bootstrap, &one.group, &one.topic, &["app.assignment_strategy=range"]));
    }
    for one in &all {
        let is_waited_for = || one.finished() == 1 || group::state(bootstrap, &one.group) == "PreparingRebalance";
        wait::until(PATIENCE, "the group rebalances", is_waited_for);
    }
    stop(&mut all, HELD + IDLE);
    for one in &all {
        assert_eq!(one.finished(), 1, "{}: {}", one.language, one.program.last_words());
        one.committed_what_was_finished(bootstrap);
    }
}

#[test]
fn while_a_failed_record_waits_for_its_next_attempt() {
    let bootstrap = broker::shared();
    let options = &[
        "topic.retry_backoff=60s",
        "topic.retry_backoff_max=60s",
        "topic.max_messages=1",
        "topic.virtual_partitions=by_key",
    ];
    let mut all = running(bootstrap, bootstrap, &State { fail_key: "key-3", options, ..AT_ONCE }, |_, topic| {
        produce_keyed(bootstrap, topic, 10, 10);
    });
    for one in &all {
        wait::until(PATIENCE, "all others finished", || one.finished() == 9);
        one.wait_for("the failure", |line| line.starts_with("consumer.consume.error"));
    }
    stop(&mut all, IDLE);
    for one in &all {
        let committed = group::committed_offsets(bootstrap, &one.group, &one.topic);
        assert_eq!(committed.get(&0), Some(&3), "{}: {}", one.language, one.program.last_words());
    }
}

#[test]
fn quiet() {
    let bootstrap = broker::shared();
    let mut all = running(bootstrap, bootstrap, &State { options: &["commit_interval=60s"], ..AT_ONCE }, |_, topic| {
        produce_keyed(bootstrap, topic, 1, 10);
    });
    for one in &all {
        wait::until(PATIENCE, "10 records finished", || one.finished() == 10);
        one.program.signal("TSTP");
        one.wait_for("that it is quiet", |line| line == "app.quiet");
        produce_keyed(bootstrap, &one.topic, 1, 10);
    }
    stop(&mut all, IDLE);
    for one in &all {
        assert_eq!(one.finished(), 10, "{}: a quiet app starts nothing", one.language);
        one.committed_what_was_finished(bootstrap);
    }
}

/// Programs behind one gate.
fn behind_a_gate(state: &State<'_>) -> (Gate, [Running; 3]) {
    let secured = secured::shared();
    let lane = secured.lane();
    let gate = Gate::open(lane.proxy, lane.broker);
    let all = running(&lane.bootstrap(), &secured.bootstrap(), state, |_, _| {});
    all.iter().for_each(Running::wait_assigned);
    (gate, all)
}

#[test]
fn idle_with_all_brokers_down() {
    let (gate, mut all) = behind_a_gate(&AT_ONCE);
    gate.shut();
    for one in &all {
        one.wait_for("that the brokers are down", |line| line.contains("brokers are down"));
    }
    stop(&mut all, IDLE);
}

#[test]
fn idle_with_brokers_that_answer_no_more() {
    let (gate, mut all) = behind_a_gate(&AT_ONCE);
    gate.swallow();
    stop(&mut all, IDLE);
}

#[test]
fn busy_with_all_brokers_down() {
    // No commit is due before the stop: one that is slow to be asked has finished by then.
    let options = &["shutdown_timeout=5s", "commit_interval=60s"];
    let (gate, mut all) = behind_a_gate(&State { milliseconds: 3_000, options, ..AT_ONCE });
    for one in &all {
        produce_keyed(&secured::shared().bootstrap(), &one.topic, 1, 1);
    }
    for one in &all {
        one.wait_for("that the handler runs", |line| line.starts_with("began "));
    }
    gate.shut();
    // What it finishes cannot be committed: that is tried until the time is over.
    stop(&mut all, Duration::from_secs(5) + IDLE);
    for one in &all {
        assert_eq!(one.finished(), 1, "{}: {}", one.language, one.program.last_words());
        one.wait_for("what it costs", |line| line.contains("may be handled again"));
    }
}
