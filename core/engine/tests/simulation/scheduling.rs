//! What the topics of a scenario are told about turns, and what a scheduler of the user's answers.

use std::time::Duration;

use karafka_engine::{Scheduling, UniqueBy, hash_key};

use crate::broker::Message;
use crate::random::Random;
use crate::scenario::{Scenario, Topic};

/// Drawn from a sequence of its own, so that the rest of a seed's scenario is what it was without.
pub fn vary(seed: u64, scenario: &mut Scenario) {
    let random = &mut Random::new(seed ^ 0x5c4e_d01e);
    if random.chance(50) {
        return;
    }
    scenario.engine.scheduling =
        random.pick(&[Scheduling::FirstCome, Scheduling::FirstCome, Scheduling::Fair, Scheduling::LongestFirst]);
    scenario.engine.chooser = random.chance(25);
    for topic in &mut scenario.topics {
        topic.options.priority = random.pick(&[0, 0, 1, 7, -3]);
        topic.options.max_concurrency = random.pick(&[0, 0, 0, 1, 2, 3]);
        topic.options.unique_by = random.pick(&[UniqueBy::Off, UniqueBy::Off, UniqueBy::Key, UniqueBy::Callback]);
    }
}

/// What a user's callback answers for a message: fewer values than keys, and none for a message without a key.
pub fn unique_value(message: &Message) -> u64 {
    message.0.key.map_or(0, |key| u64::from_le_bytes(key) % 5 + 1)
}

/// The value that no two running jobs may have in common. Where the callback may fail nobody knows which one it was.
pub fn value_of(message: &Message, topic: &Topic, seed: u64) -> Option<u64> {
    match topic.options.unique_by {
        UniqueBy::Off => None,
        UniqueBy::Key => message.0.key.map(|key| hash_key(&key, seed)),
        UniqueBy::Callback if topic.partitioner_failures > 0 => None,
        UniqueBy::Callback => Some(unique_value(message)).filter(|value| *value != 0),
    }
}

/// What a scheduler answers that was asked about so many candidates, and when. It may fail, talk nonsense or take ages.
pub fn answer(candidates: usize, random: &mut Random) -> (Duration, Option<Vec<u32>>) {
    let after = if random.chance(3) {
        random.duration(Duration::from_millis(900), Duration::from_secs(5))
    } else {
        random.duration(Duration::ZERO, Duration::from_millis(8))
    };
    let order = (!random.chance(5)).then(|| {
        let named = random.below(candidates as u64 + 2);
        (0..named).map(|_| random.below(candidates as u64 + 1) as u32).collect()
    });
    (after, order)
}
