//! Which process this is: a count that a fork raises in the child.
//!
//! Asking the system for the process id at each produced record would cost as much as the rest of the call. Read on any
//! thread; raised in the child by the system's own fork hook, before the fork returns there.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

static EPOCH: AtomicU32 = AtomicU32::new(0);

/// The count of forks between the process that loaded the library and this one.
pub fn epoch() -> u32 {
    static HOOKED: Once = Once::new();
    if !HOOKED.is_completed() {
        HOOKED.call_once(|| {
            // SAFETY: the hook only counts, which a child may do in any state.
            unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        });
    }
    EPOCH.load(Ordering::Relaxed)
}

unsafe extern "C" fn in_child() {
    EPOCH.fetch_add(1, Ordering::Relaxed);
}
