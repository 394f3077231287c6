//! Deterministic simulation: the real engine in several processes, against a simulated broker and group, in virtual time,
//! with faults. Everything that happens in a run follows from its seed. docs/simulation.md describes it.
//!
//! Without a word it runs 5,000 seeds that no run had before, on all cores. `SIM_SEED=n` replays one run, with as many of
//! its last lines as `SIM_LINES` says; `SIM_SEEDS=a..b` runs those from a to b:
//! `SIM_SEEDS=0..100000 cargo test -p karafka-engine --test simulation every_schedule`.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod broker;
mod failing;
mod group;
mod handler;
mod history;
mod intake;
mod oracles;
#[cfg(feature = "planted")]
mod planted;
mod process;
mod queue;
mod random;
mod scenario;
mod scheduling;
mod seeds;
mod stored;
mod world;

use scenario::Scenario;

/// How many seeds a plain `cargo test` runs.
const SEEDS: u64 = 5_000;

#[test]
fn every_schedule_keeps_the_guarantees() {
    let seeds = seeds::wanted(SEEDS);
    println!("seeds {}..{}", seeds.start, seeds.end);
    let began = std::time::Instant::now();
    let failed = seeds::on_all_cores(seeds.clone(), |seed| seeds::report(seed, &seeds::run(seed)));
    let (count, took) = (seeds.end - seeds.start, began.elapsed().as_secs_f64());
    println!("{count} seeds in {took:.1} s, {:.0} a minute", count as f64 * 60.0 / took);
    assert!(failed.is_empty(), "{} seeds failed, the first is SIM_SEED={}", failed.len(), failed[0]);
}

#[test]
fn every_seed_that_ever_failed_keeps_the_guarantees() {
    let failed: Vec<u64> =
        seeds::past_failures().into_iter().filter(|seed| seeds::report(*seed, &seeds::run(*seed))).collect();
    assert_eq!(failed, [], "replay one with SIM_SEED");
}

#[test]
fn a_seed_replays_to_the_same_history() {
    for seed in 0..20 {
        let (first, second) = (seeds::run(seed), seeds::run(seed));
        assert_eq!(first.events, second.events, "SIM_SEED={seed}");
        assert!(!Scenario::of(seed).topics.is_empty());
    }
}
