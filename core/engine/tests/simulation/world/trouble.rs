//! Faults: which one strikes whom, and the end of all of them.

use std::time::Duration;

use super::World;
use crate::history::Event;
use crate::queue::{GroupEvent, Happening, ProcessEvent};
use crate::scenario::Fault;

/// Never more processes than this at once.
const MOST_PROCESSES: usize = 5;

impl World {
    pub(super) fn fault(&mut self) {
        if self.healed {
            return;
        }
        let interval = self.scenario.fault_interval;
        let after = self.random.duration(interval / 10, interval * 2);
        self.queue.plan(after, Happening::Fault);
        if self.scenario.faults.is_empty() {
            return;
        }
        let fault = self.random.pick(&self.scenario.faults);
        let numbers: Vec<u32> = self.processes.keys().copied().collect();
        let after = self.random.duration(Duration::from_millis(50), Duration::from_secs(4));
        match fault {
            Fault::Join if self.processes.len() + self.starting.len() < MOST_PROCESSES => self.plan_start(after),
            Fault::Rebalance => {
                let (group, mut context) = self.split();
                group.rebalance(&mut context);
            }
            Fault::Outage => {
                self.outage = self.outage.max(self.queue.now + after * 2);
                self.history.add(self.queue.now, Event::Hindered { process: None, until: self.outage });
                for process in numbers {
                    self.queue.plan_at(self.outage, Happening::Process(process, ProcessEvent::Wake));
                }
            }
            Fault::Compact | Fault::Delete | Fault::Truncate | Fault::MoveOffset => self.disturb_log(fault),
            Fault::Join => {}
            _ if numbers.is_empty() => {}
            _ => {
                let victim = self.random.pick(&numbers);
                self.strike(fault, victim, after);
            }
        }
    }

    fn disturb_log(&mut self, fault: Fault) {
        let places = self.places();
        let place = self.random.pick(&places);
        match fault {
            Fault::Compact => self.broker.compact(place, &mut self.history, &self.queue),
            Fault::Delete => self.broker.delete(place, &mut self.random, &mut self.history, &self.queue),
            Fault::Truncate => {
                self.broker.truncate(place, &mut self.random, &mut self.history, &self.queue);
                if self.random.chance(50) {
                    // The new leader has other records there.
                    let after = self.random.duration(Duration::ZERO, Duration::from_millis(20));
                    let records = self.random.between(1, 20) as u32;
                    self.queue.plan(after, Happening::Produce { place, records });
                }
            }
            _ => {
                let (group, mut context) = self.split();
                group.move_offset(place, &mut context);
            }
        }
    }

    fn strike(&mut self, fault: Fault, victim: u32, after: Duration) {
        let frozen = self.frozen.contains_key(&victim);
        match fault {
            Fault::Crash => {
                self.end(victim);
                let ends = Happening::Group(GroupEvent::SessionEnds { process: victim });
                self.queue.plan(self.scenario.session_timeout, ends);
                self.plan_start(after);
            }
            Fault::Freeze if !frozen => {
                self.frozen.insert(victim, Vec::new());
                let until = self.queue.now + after;
                self.history.add(self.queue.now, Event::Hindered { process: Some(victim), until });
                let ends = Happening::Group(GroupEvent::SessionEnds { process: victim });
                self.queue.plan(self.scenario.session_timeout, ends);
                self.queue.plan(after, Happening::Thaw(victim));
            }
            Fault::Freeze => {}
            fault if !frozen => {
                if fault == Fault::Stop && !self.processes.get(&victim).is_some_and(|process| process.is_stopping()) {
                    self.plan_start(after);
                }
                self.with_process(victim, |process, context| process.disturb(fault, context));
            }
            _ => {}
        }
    }

    pub(super) fn heal(&mut self) {
        self.healed = true;
        if self.processes.is_empty() && self.starting.is_empty() {
            self.plan_start(Duration::ZERO);
        }
        let numbers: Vec<u32> = self.processes.keys().copied().collect();
        for number in numbers {
            self.tell(number, ProcessEvent::Heal);
        }
    }
}
