//! Whether the process that started this one is still there: an app told to stop without it looks every second.
//!
//! Owned and called by the poller. The system gives a process whose parent ended another one, so that is what is compared.

use super::Poller;
use crate::{Error, ErrorKind};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(1);

pub(super) struct Orphan {
    parent: u32,
    due: Instant,
}

impl Orphan {
    /// Remembers the parent, if the app wants that.
    pub(super) fn watch(wanted: bool) -> Option<Self> {
        wanted.then(|| Self { parent: std::os::unix::process::parent_id(), due: Instant::now() })
    }

    pub(super) fn next_wake(&self) -> Instant {
        self.due
    }

    /// Whether the parent is gone. Looks no more often than every second.
    fn is_one(&mut self, now: Instant) -> bool {
        if now < self.due {
            return false;
        }
        self.due = now + EVERY;
        std::os::unix::process::parent_id() != self.parent
    }
}

impl Poller {
    /// Stops an app whose parent is gone.
    pub(super) fn look_for_parent(&mut self, now: Instant) {
        if self.orphan.as_mut().is_some_and(|orphan| orphan.is_one(now)) {
            self.orphan = None;
            let message = "the process that started this one is gone, and `stop_when_orphaned` is set";
            let error = Error::new(ErrorKind::Stopped, "outlive the parent", message);
            self.publish_error(error.clone(), false);
            self.shared.fail(error);
            self.begin_shutdown(now, self.config.shutdown_timeout);
        }
    }
}
