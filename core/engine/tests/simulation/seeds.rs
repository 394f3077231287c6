//! Which seeds are run, on how many cores, and what is told of one that fails.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::history::{Event, History};
use crate::oracles::{self, Violation};
use crate::scenario::Scenario;
use crate::world;

/// Seeds that once showed a defect, a word about it behind each.
const PAST_FAILURES: &str = include_str!("past_failures.txt");

/// How many events before the first violation are told, unless `SIM_LINES` says otherwise.
const LAST_LINES: usize = 40;

/// How many violations are told of each oracle.
const LONGEST_LIST: usize = 4;

/// More seeds than are run in a second, so that two runs hardly ever have one in common.
const SEEDS_A_SECOND: u64 = 10_000;

/// The seeds that the environment asks for, else `count` new ones.
pub fn wanted(count: u64) -> Range<u64> {
    let number = |text: &str| text.trim().parse::<u64>().unwrap_or_else(|_| panic!("not a seed: {text:?}"));
    if let Ok(seed) = std::env::var("SIM_SEED") {
        return number(&seed)..number(&seed) + 1;
    }
    match std::env::var("SIM_SEEDS") {
        Ok(seeds) => match seeds.split_once("..") {
            Some((first, end)) => number(first)..number(end),
            None => fresh(number(&seeds)),
        },
        Err(_) => fresh(count),
    }
}

fn fresh(count: u64) -> Range<u64> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    seconds * SEEDS_A_SECOND..seconds * SEEDS_A_SECOND + count
}

pub fn past_failures() -> Vec<u64> {
    let lines = PAST_FAILURES.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines.map(|line| line.split_whitespace().next().and_then(|seed| seed.parse().ok()).expect("a seed")).collect()
}

pub fn run(seed: u64) -> History {
    world::run(seed, Scenario::of(seed))
}

/// Those seeds for which `fails` is true, ascending.
pub fn on_all_cores(seeds: Range<u64>, fails: impl Fn(u64) -> bool + Sync) -> Vec<u64> {
    let next = AtomicU64::new(seeds.start);
    let failed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    if fails(seed) {
                        failed.lock().unwrap().push(seed);
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort_unstable();
    failed
}

/// Tells what is wrong with a run, if anything is; returns whether.
pub fn report(seed: u64, history: &History) -> bool {
    let violations = oracles::violations(history);
    let Some((_, first)) = violations.first() else { return false };
    let said = oracles::ORACLES.iter().flat_map(|(name, _)| {
        let by_this = violations.iter().filter(move |(oracle, _)| oracle == name);
        by_this
            .take(LONGEST_LIST)
            .map(move |(_, Violation { event, problem })| format!("  {name} at event {event}: {problem}"))
    });
    let scenario = format!("seed {seed}: {:?}", Scenario::of(seed));
    let mut lines: Vec<String> = std::iter::once(scenario).chain(lines_before(history, first)).chain(said).collect();
    lines.push(format!("  {} violations", violations.len()));
    lines.push(format!("replay: SIM_SEED={seed} cargo test -p karafka-engine --test simulation every_schedule\n"));
    println!("{}", lines.join("\n"));
    true
}

/// The last lines of the history before a violation, as far as they may have to do with it.
fn lines_before(history: &History, violation: &Violation) -> Vec<String> {
    let quiet = |event: &Event| matches!(event, Event::Handled { .. });
    let end = (violation.event + 1).min(history.events.len());
    let told = history.events[..end].iter().enumerate().filter(|(_, (_, event))| !quiet(event));
    let wanted = std::env::var("SIM_LINES").ok().and_then(|lines| lines.parse().ok());
    let mut last: Vec<_> = told.rev().take(wanted.unwrap_or(LAST_LINES)).collect();
    last.reverse();
    let line = |(index, (now, event)): &(usize, &(karafka_engine::Instant, Event))| {
        let seconds = now.as_nanos() as f64 / 1e9;
        format!("  {index:6} {seconds:11.6} s  {event:?}")
    };
    last.iter().map(line).collect()
}
