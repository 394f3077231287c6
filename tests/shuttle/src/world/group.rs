//! The group: gives all partitions, takes one away at any moment, in order or not, and gives it back.

use super::{Event, PARTITIONS, Shared};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::mpsc::channel;

pub(super) fn rebalance(shared: &Shared, times: usize) {
    for partition in 0..PARTITIONS {
        shared.event(Event::Assign { partition });
    }
    let mut random = thread_rng();
    for _ in 0..times {
        let partition = random.gen_range(0..PARTITIONS);
        let (done, answer) = channel();
        let lost = random.gen_bool(0.3);
        shared.event(if lost { Event::Lose { partition, done } } else { Event::Revoke { partition, done } });
        // An app that has ended answers no more.
        if answer.recv().is_err() {
            return;
        }
        shared.event(Event::Assign { partition });
    }
}
