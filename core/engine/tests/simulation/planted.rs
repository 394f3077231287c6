//! Each planted defect turns the simulator red within a few thousand seeds.
//!
//! `SIM_SEEDS=a..b` says where to look; without a word it looks at the first 5,000.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use karafka_engine::Planted;

use crate::history::History;
use crate::oracles;
use crate::scenario::Scenario;
use crate::{seeds, world};

/// Where a defect must be found.
const SEEDS: Range<u64> = 0..5_000;

fn run(seed: u64, defect: Planted) -> History {
    let mut scenario = Scenario::of(seed);
    scenario.engine.planted = Some(defect);
    world::run(seed, scenario)
}

/// The first seed that shows a defect, and the oracles that speak there, the one that saw it first in front.
fn first_red(defect: Planted, among: Range<u64>) -> Option<(u64, Vec<&'static str>)> {
    let first = AtomicU64::new(u64::MAX);
    let speakers = Mutex::new(BTreeMap::new());
    seeds::on_all_cores(among, |seed| {
        if seed > first.load(Ordering::Relaxed) {
            return false;
        }
        let mut names = Vec::new();
        for (name, _) in oracles::violations(&run(seed, defect)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if !names.is_empty() {
            first.fetch_min(seed, Ordering::Relaxed);
            speakers.lock().unwrap().insert(seed, names);
        }
        false
    });
    speakers.into_inner().unwrap().pop_first()
}

#[test]
fn every_planted_defect_is_found() {
    let mut missed = Vec::new();
    for defect in Planted::ALL {
        match first_red(defect, SEEDS) {
            Some((seed, oracles)) => println!("{defect:?}: at seed {seed} by {}", oracles.join(", ")),
            None => missed.push(defect),
        }
    }
    assert_eq!(missed, [], "not found within {SEEDS:?}");
}

/// What the engine does with the feature, and nothing chosen, is what it does without.
#[test]
fn nothing_chosen_is_no_defect() {
    for seed in 0..100 {
        assert!(!seeds::report(seed, &seeds::run(seed)));
    }
}
