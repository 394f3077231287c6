//! Signals that an app obeys when its program wants that, and what it says of itself to the person who sends them.
//!
//! Never by default in a library: `run_until_signal` and `obey_signals` watch the signals themselves; a language that must
//! own them (Ruby, Python) watches them its way and hands each to `notice_signal`, which decides. Called on any thread, not
//! in a signal handler.

use crate::app::App;
use crate::event::{Event, tell_person};
use crate::native::{self, Watch};
use crate::{Phase, Result, Statistics};
use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a person waits for what the app says of itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// A signal that an app can obey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Stops; the second one no longer waits for handlers.
    Term,
    /// Stops, as `Term`: Ctrl-C.
    Int,
    /// Stops, as `Term`.
    Quit,
    /// No new calls of handlers, until `Cont`.
    Tstp,
    /// Handles again after `Tstp`.
    Cont,
    /// Writes to the standard error stream what every worker does.
    Ttin,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 6] = [Self::Term, Self::Int, Self::Quit, Self::Tstp, Self::Cont, Self::Ttin];

    /// The signal's name without `SIG`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Int => "INT",
            Self::Quit => "QUIT",
            Self::Tstp => "TSTP",
            Self::Cont => "CONT",
            Self::Ttin => "TTIN",
        }
    }

    /// The signal of this name, with or without `SIG`.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.strip_prefix("SIG").unwrap_or(name);
        Self::ALL.into_iter().find(|signal| signal.name() == name)
    }
}

/// While this lives, the process obeys signals on behalf of an app. Dropping it puts the former signal handlers back.
#[derive(Debug)]
pub struct SignalGuard {
    _watch: Watch,
}

/// Hands the signals that ask a program to stop (TERM, INT, QUIT) to `obey`, on a thread of its own, while the guard lives. For
/// programs without an app.
///
/// # Errors
/// `Stopped` when something else of the process watches signals.
pub fn on_stop_signal(obey: impl FnMut(Signal) + Send + 'static) -> Result<SignalGuard> {
    let watch = native::watch_some(&[Signal::Term, Signal::Int, Signal::Quit], obey)?;
    Ok(SignalGuard { _watch: watch })
}

impl App {
    /// Starts, and waits until the app has stopped, by itself or by a signal: TERM, INT and QUIT stop it, a second one no
    /// longer waits for handlers; TSTP has it quiet, CONT goes on; TTIN writes what every worker does to the standard error
    /// stream. A program ends with [`crate::Error::exit_code`] of the error, if there is one.
    ///
    /// ```no_run
    /// # fn app() -> karafka::Result<karafka::App> { karafka::App::new(karafka::AppConfig::default()) }
    /// use std::process::ExitCode;
    ///
    /// fn main() -> ExitCode {
    ///     match app().and_then(|app| app.run_until_signal()) {
    ///         Ok(()) => ExitCode::SUCCESS,
    ///         Err(error) => {
    ///             eprintln!("{error}");
    ///             ExitCode::from(error.exit_code())
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Self::start`], [`Self::join`] and [`Self::obey_signals`].
    pub fn run_until_signal(&self) -> Result<()> {
        let _guard = self.obey_signals()?;
        self.run()
    }

    /// Has the process obey signals on behalf of this app, as [`Self::run_until_signal`] says, while the guard lives.
    ///
    /// # Errors
    /// `Stopped` when another app of the process does, `Forked` in a child process.
    pub fn obey_signals(&self) -> Result<SignalGuard> {
        self.shared().owns("obey signals")?;
        let app = self.clone();
        let watch = native::watch(move |signal| app.notice_signal(signal))?;
        Ok(SignalGuard { _watch: watch })
    }

    /// Does what a signal asks for, and tells subscribers of `process.notice_signal`. For programs that watch signals
    /// themselves; not to be called in a signal handler.
    pub fn notice_signal(&self, signal: Signal) {
        let shared = self.shared();
        if shared.owns("obey a signal").is_err() {
            return;
        }
        shared.obeys_signals.store(true, Ordering::SeqCst);
        shared.publisher.publish(&Event::NoticeSignal { signal: signal.name() });
        // An app that does not run any more has nothing to quiet or to resume.
        match signal {
            Signal::Term | Signal::Int | Signal::Quit => {
                if shared.stop_signals.fetch_add(1, Ordering::SeqCst) == 0 {
                    self.stop();
                } else {
                    self.stop_within(Duration::ZERO);
                }
            }
            Signal::Tstp => drop(self.quiet()),
            Signal::Cont => {
                if matches!(self.phase(), Phase::Quieting | Phase::Quiet) {
                    drop(self.resume());
                }
            }
            Signal::Ttin => tell_person(format_args!("{}", self.report())),
        }
    }

    /// What the app does now, for people: a line for the app and one for each call of user code that runs.
    pub fn report(&self) -> String {
        let mut text = format!("process {}, {}", std::process::id(), self.phase().name());
        match self.statistics(PATIENCE) {
            Ok(statistics) => {
                describe(&mut text, &statistics);
            }
            Err(error) => {
                let _ = write!(text, "; {error}");
            }
        }
        text
    }
}

/// Writing to a string cannot fail.
fn describe(text: &mut String, statistics: &Statistics) {
    let _ = write!(
        text,
        ": {} of {} workers busy, {} calls finish later; {} jobs and {} records wait; {} partitions, {} bytes held",
        statistics.workers_busy,
        statistics.concurrency,
        statistics.async_busy,
        statistics.jobs_waiting,
        statistics.queued_messages,
        statistics.assigned_partitions,
        statistics.held_bytes,
    );
    for call in &statistics.calls {
        let who = match (call.worker, call.thread) {
            (Some(worker), Some(thread)) => format!("worker {worker} (thread {thread})"),
            _ => "no worker".to_owned(),
        };
        let offset = call.offset.map_or_else(|| "unknown".to_owned(), |offset| offset.to_string());
        let _ = write!(
            text,
            "\n  {who}: {} of {}/{} from offset {offset} ({} records), for {:.1} s",
            call.kind,
            call.topic,
            call.partition,
            call.messages,
            call.running.as_secs_f64(),
        );
    }
}
