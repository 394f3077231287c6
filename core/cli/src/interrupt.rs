//! Ctrl-C and `kill`, for commands that have something to put in order before they end.
//!
//! Made and asked on the main thread; what a signal does runs on a thread of its own. The first signal asks, the second one ends
//! the process at once.

use karafka::{Result, Signal, SignalGuard, on_stop_signal};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// While this lives, signals are taken.
pub(crate) struct Interrupt {
    /// The number of the signal that came.
    came: Arc<AtomicU8>,
    _signals: SignalGuard,
}

impl Interrupt {
    /// Has the first signal call `obey`.
    pub(crate) fn watch(mut obey: impl FnMut() + Send + 'static) -> Result<Self> {
        let came = Arc::new(AtomicU8::new(0));
        let told = Arc::clone(&came);
        let signals = on_stop_signal(move |signal| {
            let number = match signal {
                Signal::Int => 2,
                Signal::Quit => 3,
                _ => 15,
            };
            if told.swap(number, Ordering::SeqCst) != 0 {
                std::process::exit(128 + i32::from(number));
            }
            obey();
        })?;
        Ok(Self { came, _signals: signals })
    }

    /// The code of a command that a signal has stopped, if one came.
    pub(crate) fn code(&self) -> Option<ExitCode> {
        let number = self.came.load(Ordering::SeqCst);
        (number != 0).then(|| ExitCode::from(128 + number))
    }
}
