//! Log lines on the standard error stream, for programs that collect no `tracing` themselves.
//!
//! libkarafka writes its log through `tracing`; nothing is written anywhere until somebody asks for it, here or by a
//! subscriber of its own. Lines never hold payloads, keys or secrets, and wait for nobody: those that are not
//! read in time are left out, and counted. Switched on once a process, by any thread.

use crate::config::{LogFormat, LogLevel};
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

static IS_ON: AtomicBool = AtomicBool::new(false);

/// What is logged: the core and librdkafka, not the rest of the program.
const TARGETS: [&str; 2] = ["karafka", "librdkafka"];

/// Writes log lines of this level and above to the standard error stream, one a line, from now on. Returns whether it does:
/// not when the format is `off`, nor when the program collects `tracing` itself already; the first call of a process counts.
///
/// The app options `log_format` and `log_level` do the same at the start of an app.
///
/// ```
/// karafka::log_to_stderr(karafka::LogFormat::Json, karafka::LogLevel::Warn);
/// ```
pub fn log_to_stderr(format: LogFormat, level: LogLevel) -> bool {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let filter = Targets::new().with_targets(TARGETS.map(|target| (target, level)));
    let lines = tracing_subscriber::fmt::layer().with_writer(|| Stream).with_ansi(false);
    let begun = match format {
        LogFormat::Off => return false,
        LogFormat::Text => tracing_subscriber::registry().with(lines.with_filter(filter)).try_init(),
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true);
            tracing_subscriber::registry().with(lines.with_filter(filter)).try_init()
        }
    };
    if begun.is_ok() {
        IS_ON.store(true, Ordering::SeqCst);
    }
    begun.is_ok()
}

/// The standard error stream, for a writer of whole lines.
struct Stream;

impl std::io::Write for Stream {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        crate::native::write_to_stderr(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Whether errors that no subscriber wanted are seen in the log.
pub(crate) fn is_on() -> bool {
    IS_ON.load(Ordering::SeqCst)
}
