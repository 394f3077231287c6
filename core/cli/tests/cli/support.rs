//! What tests of the command share: a broker in a process of its own.

pub mod crowd;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The command.
pub const LIBKARAFKA: &str = env!("CARGO_BIN_EXE_libkarafka");

/// A broker of its own, which ends with the test.
pub struct Broker {
    process: Child,
    pub address: String,
}

impl Broker {
    pub fn start(topics: &[&str]) -> Self {
        let mut command = Command::new(LIBKARAFKA);
        command.args(["broker", "--json", "--until-eof"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        for topic in topics {
            command.args(["--topic", topic]);
        }
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = address["bootstrap_servers"].as_str().unwrap().to_owned();
        Self { process, address }
    }

    pub fn ask(&self, arguments: &[&str]) -> Output {
        Command::new(LIBKARAFKA).args(arguments).args(["--brokers", &self.address]).output().unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.process.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                self.process.kill().unwrap();
                assert!(std::thread::panicking(), "the broker outlived its standard input");
            }
            std::thread::yield_now();
        }
    }
}
