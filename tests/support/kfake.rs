//! kfake: Kafka's protocol, transactions among it, by a program of Go in one process; see tests/kfake.
//!
//! Called by tests from any thread. `tests/setup/install.sh kfake` builds it where there is Go; where there is none, [`shared`] says so
//! and the test has nothing to do. What it shows beside Apache Kafka: that nothing here depends on what only that one does.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::process::Program;
use crate::wait;

/// A running kfake.
#[derive(Debug)]
pub struct Kfake {
    bootstrap: String,
    _program: Program,
}

/// The kfake of two brokers that all tests of this process share. `None` where it could not be built, which is said on standard
/// error.
pub fn shared() -> Option<&'static Kfake> {
    static SHARED: OnceLock<Option<Kfake>> = OnceLock::new();
    SHARED.get_or_init(|| Kfake::start(&["-brokers", "2"])).as_ref()
}

/// One of its own whose broker makes topics that producers ask for. `None` as of [`shared`].
pub fn that_makes_topics() -> Option<Kfake> {
    Kfake::start(&["-create-topics"])
}

impl Kfake {
    fn start(words: &[&str]) -> Option<Self> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.deps/kfake/server");
        if !program.exists() {
            eprintln!("SKIPPED: there is no kfake; with Go on this machine, `tests/setup/install.sh kfake` builds it");
            return None;
        }
        let program = Program::start(Command::new(program).args(words));
        let bootstrap = program.wait_for_line(wait::LONG, "the addresses of kfake", |line| line.contains(':'));
        Some(Self { bootstrap, _program: program })
    }

    /// The addresses of its brokers.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }
}
