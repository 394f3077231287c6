//! Seats: a thread each that takes jobs, calls the handler and reports, as the runtime's `Job` does.

use super::{Report, Shared, Work};
use crate::pool::{Pool, Sleeper, Taken};
use crate::sync::Arc;
use karafka_engine::{Extent, Outcome};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::mpsc::channel;
use shuttle::thread::{self, JoinHandle};

pub(super) fn spawn(shared: &Arc<Shared>) -> (Arc<Sleeper>, JoinHandle<()>) {
    let mut place = Pool::place(&shared.pool);
    let (sleeper, shared) = (place.sleeper(), Arc::clone(shared));
    let handle = thread::spawn(move || {
        loop {
            match place.take() {
                Taken::Job(work) => handle(&shared, work),
                Taken::Interrupted => {}
                Taken::Closed => return,
            }
        }
    });
    (sleeper, handle)
}

fn handle(shared: &Shared, work: Work) {
    let Work { id, assignment, messages } = work;
    shared.journal.started(id);
    thread::yield_now();
    let mut random = thread_rng();
    if random.gen_bool(0.3) {
        shared.journal.marked(id, messages[0].offset);
        shared.reports.push(Report::Marked { job: id, index: 0, extent: Extent::Message });
    }
    if random.gen_bool(0.2) {
        let (done, answer) = channel();
        shared.tell(Report::Commit { assignment, done });
        assert!(answer.recv().is_ok(), "a commit was never answered");
    }
    let success = random.gen_bool(0.8);
    shared.journal.ended(id, success);
    let (outcome, messages) = if success { (Outcome::Done, Vec::new()) } else { (Outcome::FAILED, messages) };
    shared.reports.push(Report::Ended { job: id, outcome, messages });
    shared.pool.ended();
}
