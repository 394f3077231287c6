//! `with-broker COMMAND...` runs a command with a real Kafka of its own, named in `KAFKA_BOOTSTRAP`.
//!
//! The broker starts before the command and ends with it; the command's exit code is passed on. A Kafka that
//! `KAFKA_BOOTSTRAP` already names is used as it is.

use std::process::{Command, ExitCode};

use libkarafka_tests::broker::{BOOTSTRAP, shared};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1).skip_while(|word| word == "--");
    let Some(program) = words.next() else {
        eprintln!("usage: with-broker COMMAND...");
        return ExitCode::from(2);
    };
    let status = Command::new(&program).args(words).env(BOOTSTRAP, shared()).status();
    match status {
        // A command that was killed by a signal has no code.
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => {
            eprintln!("with-broker: cannot run {}: {error}", program.display());
            ExitCode::from(127)
        }
    }
}
