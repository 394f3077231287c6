//! `make chaos`: three brokers, whose clients and they themselves are killed, halted, stopped and started at random; at the end
//! every judge looks at all that happened. First two groups that only read, then a group whose handlers send on in transactions.
//!
//! `CHAOS_SECONDS` is how long each part takes (600), `CHAOS_SEED` repeats the same choices, `CHAOS_PART` runs one of them only
//! (`groups`, `exactly-once`). The seed is printed. Times are the machine's, so a seed repeats what is done to whom, not every
//! interleaving.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod exactly_once;
mod faults;
mod groups;
mod load;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use libkarafka_tests::cluster::Cluster;

const LONG: Duration = Duration::from_secs(180);

/// What both parts go by.
pub struct Run {
    seed: u64,
    seconds: u64,
    /// The program that is a member.
    member: String,
}

fn main() {
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seed = number("CHAOS_SEED").unwrap_or(clock.as_millis() as u64);
    let run = Run { seed, seconds: number("CHAOS_SECONDS").unwrap_or(600), member: member() };
    let only = text("CHAOS_PART");
    let wants = |part: &str| only.as_deref().is_none_or(|only| only == part);
    assert!(wants("groups") || wants("exactly-once"), "CHAOS_PART is groups or exactly-once, not {only:?}");
    println!("chaos: {} s a part, seed {seed} (CHAOS_SEED={seed} makes the same choices)", run.seconds);
    let mut cluster = Cluster::start();
    if wants("groups") {
        cluster = groups::run(&run, cluster);
    }
    if wants("exactly-once") {
        exactly_once::run(&run, cluster);
    }
    println!("chaos: all good");
}

/// The program beside this one.
fn member() -> String {
    let this = std::env::current_exe().expect("this program's path");
    let member = this.parent().map_or_else(|| PathBuf::from("member"), |directory| directory.join("member"));
    assert!(member.exists(), "no {}: build all programs of this crate, as `make chaos` does", member.display());
    member.to_string_lossy().into_owned()
}

fn number(variable: &str) -> Option<u64> {
    let text = text(variable)?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")))
}

fn text(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|text| !text.is_empty())
}
