//! Which process this is: a count that a fork raises in the child.
//!
//! Asking the system for the process id at each call would cost more than most calls. Read on any thread; raised in the
//! child by the system's own fork hook, before the fork returns there.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

static EPOCH: AtomicU32 = AtomicU32::new(0);

/// The count of forks between the process that loaded the library and this one.
pub(crate) fn epoch() -> u32 {
    static HOOKED: Once = Once::new();
    if !HOOKED.is_completed() {
        HOOKED.call_once(hook);
    }
    EPOCH.load(Ordering::Relaxed)
}

#[cfg(not(miri))]
fn hook() {
    unsafe extern "C" fn in_child() {
        EPOCH.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: the hook only counts, which a child may do in any state. Without memory for the hook, handles of the parent
    // are still refused by the core's own check of the process id.
    unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
}

#[cfg(miri)]
fn hook() {}
