//! How the group of transactional handlers reads: what others abort is no input of theirs, unless the user says otherwise.
//!
//! Belongs to a subscription's producers; asked when a transaction begins, on the handler's thread, and by the poller at the
//! start. Guarantees: what would break exactly once is said by one warning, and by no more.

use crate::event::Event;
use crate::shared::Shared;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether it is still to be said that the group reads what is not committed.
#[derive(Debug, Default)]
pub(crate) struct Isolation(AtomicBool);

impl Isolation {
    /// Of a consumer with these settings.
    pub(crate) fn of(settings: &BTreeMap<String, String>) -> Self {
        let is_weak = settings.get("isolation.level").is_some_and(|level| level.trim() == "read_uncommitted");
        Self(AtomicBool::new(is_weak))
    }

    /// Handlers of this group use transactions.
    pub(crate) fn warn(&self, shared: &Shared, group: &str) {
        if self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::SeqCst) {
            let message = format!(
                "group {group} uses transactions, and reads with isolation.level \"read_uncommitted\": records that others abort are \
                 handled like those that count, and so are the results of them; leave the setting out, since \"read_committed\" \
                 is the default"
            );
            shared.publisher.publish(&Event::Warning { message });
        }
    }
}
