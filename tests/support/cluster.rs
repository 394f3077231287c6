//! Several brokers of one Kafka, each broker and controller in one, with replicated topics.
//!
//! Called by the chaos run, from one thread. Every topic has three replicas, two of which must have a record before it is
//! acknowledged: with one broker gone all goes on, and what was acknowledged stays.

use crate::broker::{Broker, free_ports};

/// The replicas of each topic.
pub const REPLICAS: i32 = 3;

const SETTINGS: &str = "default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
replica.lag.time.max.ms=5000
unclean.leader.election.enable=false
";

/// Three brokers.
#[derive(Debug)]
pub struct Cluster {
    brokers: Vec<Broker>,
}

impl Cluster {
    /// Starts three empty brokers and returns when all answer.
    pub fn start() -> Self {
        let ports: Vec<_> = (0..REPLICAS).map(|_| free_ports()).collect();
        let voters: Vec<_> =
            (1..).zip(&ports).map(|(number, (_, controller))| format!("{number}@127.0.0.1:{controller}")).collect();
        let voters = voters.join(",");
        let mut brokers: Vec<_> =
            (1..).zip(&ports).map(|(number, ports)| Broker::prepare(number, *ports, &voters, SETTINGS, &[])).collect();
        brokers.iter_mut().for_each(Broker::spawn);
        brokers.iter_mut().for_each(Broker::wait_until_it_answers);
        Self { brokers }
    }

    /// The addresses for `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        self.brokers.iter().map(Broker::bootstrap).collect::<Vec<_>>().join(",")
    }

    /// The brokers.
    pub fn brokers(&mut self) -> &mut [Broker] {
        &mut self.brokers
    }
}
