//! Keyed and numbered records, produced on a thread of its own while the faults go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use libkarafka_tests::topics::{self, Message, Record};
use libkarafka_tests::wait;

const LONG: Duration = Duration::from_secs(360);

/// How much is produced.
#[derive(Clone, Copy)]
pub struct Amount {
    pub keys: usize,
    /// How many records are produced at once, each second.
    pub portion: usize,
    /// How many in all; by default as many as there is time for.
    pub total: Option<usize>,
}

/// Produces a portion every second.
pub struct Load {
    ends: Arc<AtomicBool>,
    produced: Arc<Mutex<Vec<Message>>>,
    amount: Amount,
    thread: thread::JoinHandle<()>,
}

impl Load {
    pub fn start(bootstrap: &str, topic: &str, amount: Amount) -> Self {
        let (ends, produced) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (bootstrap, topic) = (bootstrap.to_owned(), topic.to_owned());
        let (stop, sink) = (Arc::clone(&ends), Arc::clone(&produced));
        let thread = thread::spawn(move || {
            let mut next = 0;
            let total = amount.total.unwrap_or(usize::MAX);
            while next < total && !(amount.total.is_none() && stop.load(Ordering::SeqCst)) {
                let began = Instant::now();
                let is_late = stop.load(Ordering::SeqCst);
                let end = if is_late { total } else { total.min(next + amount.portion) };
                let keyed = |number: usize| Record::keyed(format!("key-{}", number % amount.keys), number.to_string());
                let portion: Vec<_> = (next..end).map(keyed).collect();
                next = end;
                sink.lock().unwrap().extend(topics::produce(&bootstrap, &topic, &portion));
                thread::sleep(Duration::from_secs(1).saturating_sub(began.elapsed()));
            }
        });
        Self { ends, produced, amount, thread }
    }

    pub fn check(&self) {
        let all =
            self.amount.total.is_some_and(|total| self.produced.lock().is_ok_and(|produced| produced.len() == total));
        assert!(all || !self.thread.is_finished(), "the load ended early");
    }

    /// Ends it; what is left of its total is produced at once.
    pub fn stop(self) -> Vec<Message> {
        self.ends.store(true, Ordering::SeqCst);
        wait::until(LONG, "the last portion acknowledged", || self.thread.is_finished());
        self.thread.join().expect("the load failed");
        std::mem::take(&mut self.produced.lock().unwrap())
    }
}
