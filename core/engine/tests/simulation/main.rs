//! Deterministic simulation: the real engine in several processes, against a simulated broker and group, in virtual time,
//! with faults. Everything that happens in a run follows from its seed.
//!
//! `SIM_SEED=n` replays one run; `SIM_SEEDS=n` runs the seeds from 0 to n, `SIM_SEEDS=a..b` those from a to b:
//! `SIM_SEEDS=1..5000 cargo test --release -p karafka-engine --test simulation`.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod broker;
mod group;
mod handler;
mod history;
mod oracles;
mod process;
mod queue;
mod random;
mod scenario;
mod world;

use std::ops::Range;

/// What a plain `cargo test` runs.
const SEEDS: Range<u64> = 0..300;

fn seeds() -> Range<u64> {
    let number = |text: &str| text.trim().parse::<u64>().unwrap_or_else(|_| panic!("not a seed: {text:?}"));
    if let Ok(seed) = std::env::var("SIM_SEED") {
        return number(&seed)..number(&seed) + 1;
    }
    match std::env::var("SIM_SEEDS") {
        Ok(seeds) => match seeds.split_once("..") {
            Some((first, end)) => number(first)..number(end),
            None => 0..number(&seeds),
        },
        Err(_) => SEEDS,
    }
}

#[test]
fn every_schedule_keeps_the_guarantees() {
    let mut failed = Vec::new();
    for seed in seeds() {
        let history = world::run(seed);
        let violations = oracles::violations(&history);
        if !violations.is_empty() {
            println!("seed {seed}: {:#?}", scenario::Scenario::of(seed));
            for violation in violations.iter().rev().take(10) {
                println!("  {violation}");
            }
            println!("replay: SIM_SEED={seed} cargo test -p karafka-engine --test simulation\n");
            failed.push(seed);
        }
    }
    assert!(failed.is_empty(), "{} seeds failed, the first is SIM_SEED={}", failed.len(), failed[0]);
}

#[test]
fn a_seed_replays_to_the_same_history() {
    for seed in seeds().take(20) {
        assert_eq!(world::run(seed), world::run(seed), "SIM_SEED={seed}");
    }
}
