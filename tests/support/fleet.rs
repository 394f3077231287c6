//! Members of one group in processes of their own, and what all of them, the living and the dead, have seen.
//!
//! Used by one thread of a test. It follows along as the members print, so that asking how far they are is cheap; all is
//! kept for the judges of [`crate::oracle`].

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::process::Program;
use crate::record::{Event, Place, Record, Span, What};
use crate::topics::Message;
use crate::{commits, group, oracle, wait};

/// One member, from its start on.
pub type MemberId = usize;

/// A group's members.
#[derive(Debug)]
pub struct Fleet {
    program: PathBuf,
    bootstrap: String,
    group: String,
    arguments: Vec<String>,
    members: BTreeMap<MemberId, Followed>,
    started: usize,
    seen: Record,
    handled: HashSet<Place>,
    finished: usize,
    told: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct Followed {
    program: Program,
    read: usize,
}

impl Fleet {
    /// A group without members. `program` is the `member` program, `options` are for each of its members.
    pub fn new(program: &str, bootstrap: &str, group: &str, topic: &str, options: &[&str]) -> Self {
        let mut arguments = vec![format!("brokers={bootstrap}"), format!("group={group}"), format!("topic={topic}")];
        if !options.iter().any(|option| option.starts_with("topic.virtual_partitions=")) {
            arguments.push("topic.virtual_partitions=by_key".to_owned());
        }
        arguments.extend(options.iter().map(|&option| option.to_owned()));
        Self {
            program: program.into(),
            bootstrap: bootstrap.to_owned(),
            group: group.to_owned(),
            arguments,
            members: BTreeMap::new(),
            started: 0,
            seen: Record::new(),
            handled: HashSet::new(),
            finished: 0,
            told: BTreeMap::new(),
        }
    }

    /// Starts a member.
    pub fn join(&mut self) -> MemberId {
        self.join_with(&[])
    }

    /// Starts a member with more options.
    pub fn join_with(&mut self, more: &[&str]) -> MemberId {
        let program = Program::start(Command::new(&self.program).args(&self.arguments).args(more));
        self.started += 1;
        self.members.insert(self.started, Followed { program, read: 0 });
        self.started
    }

    /// The members that run.
    pub fn ids(&self) -> Vec<MemberId> {
        self.members.keys().copied().collect()
    }

    /// A member's program.
    pub fn program(&self, id: MemberId) -> &Program {
        &self.members.get(&id).expect("a member that has ended").program
    }

    /// Kills a member with -9.
    pub fn kill(&mut self, id: MemberId) {
        self.members.get_mut(&id).expect("a member that has ended").program.kill();
        self.bury(id);
    }

    /// Asks a member to stop, and waits until it has.
    pub fn leave(&mut self, id: MemberId, deadline: Duration) {
        let program = &mut self.members.get_mut(&id).expect("a member that has ended").program;
        program.send("stop");
        let status = program.wait(deadline);
        assert!(status.success(), "{}", program.last_words());
        self.bury(id);
    }

    /// Asks all members to stop, and waits until they have.
    pub fn leave_all(&mut self, deadline: Duration) {
        for followed in self.members.values_mut() {
            followed.program.send("stop");
        }
        for id in self.ids() {
            let program = &mut self.members.get_mut(&id).expect("a member that has ended").program;
            let status = program.wait(deadline);
            assert!(status.success(), "{}", program.last_words());
            self.bury(id);
        }
    }

    /// Waits until a member has ended without being asked to; its exit code.
    pub fn ends_by_itself(&mut self, id: MemberId, deadline: Duration) -> Option<i32> {
        let status = self.members.get_mut(&id).expect("a member that has ended").program.wait(deadline);
        self.bury(id);
        status.code()
    }

    fn bury(&mut self, id: MemberId) {
        self.follow();
        if let Some(followed) = self.members.remove(&id) {
            self.seen.ended(followed.program.id());
        }
    }

    fn follow(&mut self) {
        for followed in self.members.values_mut() {
            let lines = followed.program.lines_from(followed.read);
            followed.read += lines.len();
            for name in lines.iter().filter_map(|line| line.strip_prefix("app ")?.split(' ').next()) {
                *self.told.entry(name.to_owned()).or_default() += 1;
            }
            for event in lines.iter().filter_map(|line| line.parse::<Event>().ok()) {
                if let What::Finished(place) = &event.what {
                    self.handled.insert(place.clone());
                    self.finished += 1;
                }
                self.seen.push(event);
            }
        }
    }

    /// How many different messages were finished.
    pub fn handled(&mut self) -> usize {
        self.follow();
        self.handled.len()
    }

    /// How often a message was finished, repetitions counted.
    pub fn finished(&mut self) -> usize {
        self.follow();
        self.finished
    }

    /// How often members told of each thing that their app or their handler does, by its name.
    pub fn told(&mut self) -> &BTreeMap<String, usize> {
        self.follow();
        &self.told
    }

    /// Panics, with its last words, when a member has ended that nobody asked to.
    pub fn check(&mut self) {
        for followed in self.members.values_mut() {
            assert!(!followed.program.has_ended(), "a member has ended by itself{}", followed.program.last_words());
        }
    }

    /// Waits until so many different messages were finished.
    pub fn wait_handled(&mut self, count: usize, deadline: Duration) {
        let what = format!("{count} messages handled by group {}", self.group);
        let began = std::time::Instant::now();
        while self.handled() < count {
            let handled = self.handled.len();
            let words = || self.members.values().map(|one| one.program.last_words()).collect::<Vec<_>>().join("\n");
            assert!(began.elapsed() < deadline, "within {deadline:?} only {handled}: {what}{}", words());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a member has partitions.
    pub fn wait_assigned(&self, id: MemberId, deadline: Duration) {
        let assigned = |line: &str| line.contains("rebalance.partitions_assigned") && !line.contains("partitions=\"\"");
        self.program(id).wait_for_line(deadline, "partitions of its own", assigned);
    }

    /// What handlers did so far, by its beginning.
    pub fn spans(&mut self) -> Vec<Span> {
        self.follow();
        self.seen.spans()
    }

    /// When each process that has ended did so.
    pub fn ends(&self) -> BTreeMap<u32, u64> {
        self.seen.ends()
    }

    /// Every commit of the group.
    pub fn commits(&self) -> Vec<commits::Commit> {
        commits::all(&self.bootstrap, &self.group)
    }

    /// Waits until everything in the topic is committed.
    pub fn wait_committed(&self, topic: &str, deadline: Duration) {
        wait::until(deadline, "all of it committed", || group::lag(&self.bootstrap, &self.group, topic) == 0);
    }

    /// Judges all that holds of every run, and returns what handlers did. Waits for the broker to answer.
    pub fn judge(&mut self, produced: &[Message]) -> Vec<Span> {
        let (spans, commits) = (self.spans(), self.commits());
        oracle::all(produced, &spans, &commits);
        oracle::nothing_repeated_that_was_committed(&spans, &commits, &self.ends());
        spans
    }
}
