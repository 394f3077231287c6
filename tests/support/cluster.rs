//! Several brokers of one Kafka, each broker and controller in one, with replicated topics. Each has a listener beside its plain
//! one that clients reach through a proxy only.
//!
//! Called by the chaos run, from one thread. Every topic has three replicas, two of which must have a record before it is
//! acknowledged: with one broker gone all goes on, and what was acknowledged stays.

use crate::broker::{Broker, free_port, free_ports};
use crate::secured::Lane;

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
    lanes: Vec<Lane>,
}

impl Cluster {
    /// Starts three empty brokers and returns when all answer.
    pub fn start() -> Self {
        let ports: Vec<_> = (0..REPLICAS).map(|_| free_ports()).collect();
        let voters: Vec<_> =
            (1..).zip(&ports).map(|(number, (_, controller))| format!("{number}@127.0.0.1:{controller}")).collect();
        let voters = voters.join(",");
        let lanes: Vec<_> = ports.iter().map(|_| Lane { proxy: free_port(), broker: free_port() }).collect();
        let prepare = |(number, (ports, lane)): (usize, (&(u16, u16), &Lane))| {
            Broker::prepare(number, *ports, &voters, &settings(*ports, *lane), &[])
        };
        let mut brokers: Vec<_> = (1..).zip(ports.iter().zip(&lanes)).map(prepare).collect();
        brokers.iter_mut().for_each(Broker::spawn);
        brokers.iter_mut().for_each(Broker::wait_until_it_answers);
        Self { brokers, lanes }
    }

    /// The addresses for `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        self.brokers.iter().map(Broker::bootstrap).collect::<Vec<_>>().join(",")
    }

    /// Each broker's listener that needs a proxy: the addresses of all of them lead to all brokers.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// The brokers.
    pub fn brokers(&mut self) -> &mut [Broker] {
        &mut self.brokers
    }
}

fn settings((plain, controller): (u16, u16), lane: Lane) -> String {
    format!(
        "{SETTINGS}listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},LANE://127.0.0.1:{}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{plain},LANE://127.0.0.1:{}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LANE:PLAINTEXT\n",
        lane.broker, lane.proxy,
    )
}
