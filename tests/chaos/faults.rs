//! What is done to members, brokers and what they say to each other, at random.
//!
//! Used by the chaos run's one thread. At most one broker is down or halted at a time, and the next one has its turn only
//! when all replicas are in sync again: with two of three, nothing that was acknowledged may be lost.

use std::thread;
use std::time::{Duration, Instant};

use libkarafka_tests::censor::{
    ADD_OFFSETS, ADD_PARTITIONS, COMMIT_OFFSETS, Censor, END_TRANSACTION, PRODUCE, REGISTER_PRODUCER,
};
use libkarafka_tests::cluster::{Cluster, REPLICAS};
use libkarafka_tests::fleet::{Fleet, MemberId};
use libkarafka_tests::{topics, wait};

const LONG: Duration = Duration::from_secs(180);
const MOST_MEMBERS: usize = 4;

/// What answers get lost to, and their names; the ends of transactions most often.
const LOSSES: [(i16, &str); 9] = [
    (END_TRANSACTION, "ends"),
    (END_TRANSACTION, "ends"),
    (END_TRANSACTION, "ends"),
    (END_TRANSACTION, "ends"),
    (REGISTER_PRODUCER, "registrations"),
    (ADD_PARTITIONS, "partitions of transactions"),
    (ADD_OFFSETS, "groups of transactions"),
    (COMMIT_OFFSETS, "offsets of transactions"),
    (PRODUCE, "records"),
];

/// Repeatable choices.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        // A state of 0 would stay 0.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end.max(1)
    }

    fn seconds(&mut self, from: usize, to: usize) -> Duration {
        Duration::from_millis((from * 1000 + self.below((to - from) * 1000)) as u64)
    }
}

enum Broken {
    Nothing,
    Down { broker: usize, until: Instant },
    Halted { broker: usize, until: Instant },
    Healing { looked: Instant },
}

/// The cluster and its groups while faults befall them.
pub struct Faults {
    cluster: Cluster,
    fleets: Vec<Fleet>,
    random: Random,
    broken: Broken,
    halted: Vec<(usize, MemberId, Instant)>,
    ever_halted: Vec<u32>,
    /// The proxies in front of brokers, if there are any, and until when they do harm.
    censors: Vec<Censor>,
    censored: Option<Instant>,
    /// How many members of each group run at least.
    least: usize,
    began: Instant,
    done: usize,
}

impl Faults {
    pub fn new(cluster: Cluster, fleets: Vec<Fleet>, random: Random) -> Self {
        Self {
            cluster,
            fleets,
            random,
            broken: Broken::Nothing,
            halted: Vec::new(),
            ever_halted: Vec::new(),
            censors: Vec::new(),
            censored: None,
            least: 1,
            began: Instant::now(),
            done: 0,
        }
    }

    /// Has answers swallowed and ends of transactions held back, too, by these proxies, and this many members run at least.
    pub fn between(mut self, censors: Vec<Censor>, least: usize) -> Self {
        (self.censors, self.least) = (censors, least);
        self
    }

    /// Does the next thing and waits a little.
    pub fn step(&mut self) {
        self.heal();
        for fleet in 0..self.fleets.len() {
            self.fleets[fleet].check();
            while self.running(fleet).len() < self.least && self.fleets[fleet].ids().len() < MOST_MEMBERS {
                self.join(fleet);
            }
        }
        let fleet = self.random.below(self.fleets.len());
        let kinds = if self.censors.is_empty() { 8 } else { 16 };
        match self.random.below(kinds) {
            0 | 1 => self.join(fleet),
            2 => self.leave(fleet),
            3 | 8 | 9 => self.kill(fleet),
            4 | 10 => self.halt(fleet),
            5 | 6 => self.break_a_broker(),
            11 | 12 => self.lose_answers(),
            13 => self.lose_all_answers(),
            14 | 15 => self.hold_ends(),
            _ => {}
        }
        thread::sleep(self.random.seconds(1, 4));
    }

    fn tell(&mut self, what: &str) {
        self.done += 1;
        println!("chaos: {:4} s, {:3}: {what}", self.began.elapsed().as_secs(), self.done);
    }

    fn running(&self, fleet: usize) -> Vec<MemberId> {
        let is_halted = |id: &MemberId| self.halted.iter().any(|(of, halted, _)| *of == fleet && halted == id);
        self.fleets[fleet].ids().into_iter().filter(|id| !is_halted(id)).collect()
    }

    fn pick(&mut self, fleet: usize) -> Option<MemberId> {
        let running = self.running(fleet);
        let chosen = self.random.below(running.len());
        running.get(chosen).copied()
    }

    fn join(&mut self, fleet: usize) {
        if self.fleets[fleet].ids().len() < MOST_MEMBERS {
            let id = self.fleets[fleet].join();
            self.tell(&format!("group {fleet}: member {id} joins"));
        }
    }

    fn leave(&mut self, fleet: usize) {
        if let Some(id) = self.pick(fleet) {
            self.tell(&format!("group {fleet}: member {id} leaves"));
            self.fleets[fleet].leave(id, LONG);
        }
    }

    fn kill(&mut self, fleet: usize) {
        if let Some(id) = self.pick(fleet) {
            self.tell(&format!("group {fleet}: member {id} is killed"));
            self.fleets[fleet].kill(id);
        }
    }

    fn halt(&mut self, fleet: usize) {
        if let Some(id) = self.pick(fleet) {
            let time = self.random.seconds(1, 15);
            self.tell(&format!("group {fleet}: member {id} is halted for {time:?}"));
            let program = self.fleets[fleet].program(id);
            program.signal("STOP");
            self.ever_halted.push(program.id());
            self.halted.push((fleet, id, Instant::now() + time));
        }
    }

    fn break_a_broker(&mut self) {
        if !matches!(self.broken, Broken::Nothing) {
            return;
        }
        let broker = self.random.below(REPLICAS as usize);
        let until = Instant::now() + self.random.seconds(3, 20);
        match self.random.below(3) {
            0 => {
                self.tell(&format!("broker {broker} is killed"));
                self.cluster.brokers()[broker].kill();
                self.broken = Broken::Down { broker, until };
            }
            1 => {
                self.tell(&format!("broker {broker} is halted"));
                self.cluster.brokers()[broker].pause();
                self.broken = Broken::Halted { broker, until };
            }
            _ => {
                self.tell(&format!("broker {broker} is stopped"));
                if !self.cluster.brokers()[broker].stop_or_kill() {
                    self.tell(&format!("broker {broker} is killed, for it does not stop"));
                }
                self.broken = Broken::Down { broker, until };
            }
        }
    }

    /// A few answers get lost, by whichever brokers give them next.
    fn lose_answers(&mut self) {
        if self.censored.is_none() {
            let (api, name) = LOSSES[self.random.below(LOSSES.len())];
            let times = 1 + self.random.below(4);
            self.tell(&format!("{times} answers to {name} get lost at each broker"));
            self.censors.iter().for_each(|censor| censor.lose_answers(api, times));
        }
    }

    /// No answer of a kind arrives for some time.
    fn lose_all_answers(&mut self) {
        if self.censored.is_none() {
            let (api, name) = LOSSES[self.random.below(LOSSES.len())];
            let time = self.random.seconds(2, 15);
            self.tell(&format!("all answers to {name} get lost for {time:?}"));
            self.censors.iter().for_each(|censor| censor.lose_answers(api, usize::MAX));
            self.censored = Some(Instant::now() + time);
        }
    }

    /// An end of a transaction stays on its way for some time, then arrives.
    fn hold_ends(&mut self) {
        if self.censored.is_none() {
            let time = self.random.seconds(1, 8);
            self.tell(&format!("an end of a transaction is held at each broker for {time:?}"));
            self.censors.iter().for_each(|censor| censor.hold_requests(END_TRANSACTION, 1));
            self.censored = Some(Instant::now() + time);
        }
    }

    fn heal_answers(&mut self) {
        self.censored = None;
        let held: usize = self.censors.iter().map(Censor::let_go).sum();
        self.censors.iter().for_each(|censor| censor.lose_answers(END_TRANSACTION, 0));
        self.tell(&format!("answers arrive again, and {held} requests that were held"));
    }

    /// Ends what has lasted long enough.
    fn heal(&mut self) {
        let now = Instant::now();
        if self.censored.is_some_and(|until| until <= now) {
            self.heal_answers();
        }
        let due: Vec<_> = self.halted.extract_if(.., |(_, _, until)| *until <= now).collect();
        for (fleet, id, _) in due {
            self.tell(&format!("group {fleet}: member {id} goes on"));
            self.fleets[fleet].program(id).signal("CONT");
        }
        match self.broken {
            Broken::Down { broker, until } if until <= now => {
                self.tell(&format!("broker {broker} comes back"));
                self.cluster.brokers()[broker].spawn();
                self.broken = Broken::Healing { looked: now };
            }
            Broken::Halted { broker, until } if until <= now => {
                self.tell(&format!("broker {broker} goes on"));
                self.cluster.brokers()[broker].resume();
                self.broken = Broken::Healing { looked: now };
            }
            Broken::Healing { looked } if looked + Duration::from_secs(2) <= now => {
                let is_whole = topics::are_replicas_in_sync(&self.cluster.bootstrap(), REPLICAS);
                self.broken = if is_whole { Broken::Nothing } else { Broken::Healing { looked: now } };
            }
            _ => {}
        }
    }

    /// Heals everything.
    pub fn end(mut self, bootstrap: &str) -> Survivors {
        for (_, _, until) in &mut self.halted {
            *until = Instant::now();
        }
        if let Broken::Down { until, .. } | Broken::Halted { until, .. } = &mut self.broken {
            *until = Instant::now();
        }
        if !self.censors.is_empty() {
            self.heal_answers();
        }
        self.heal();
        wait::until(LONG, "all replicas in sync", || topics::are_replicas_in_sync(bootstrap, REPLICAS));
        let Self { cluster, fleets, ever_halted, censors, done, .. } = self;
        Survivors { cluster, fleets, ever_halted, censors, done }
    }
}

/// What is there after the faults.
pub struct Survivors {
    pub cluster: Cluster,
    pub fleets: Vec<Fleet>,
    /// The processes that were halted at some time.
    pub ever_halted: Vec<u32>,
    pub censors: Vec<Censor>,
    /// How much was done to them.
    pub done: usize,
}
