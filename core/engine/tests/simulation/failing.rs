//! What a seed says about failures: when messages are given up, what becomes of them, how their copies fare on the way,
//! and what handlers say about a failure. Drawn from numbers of its own, so that older seeds mean what they meant.

use karafka_engine::{GivenUp, TopicOptions, Verdict};

use crate::random::Random;

#[derive(Clone, Copy, Debug, Default)]
pub struct Failing {
    /// Percent of the copies that are refused, until the faults end.
    pub refused: u64,
    /// Percent of the copies that arrive though their answer is lost, until the faults end.
    pub unknown: u64,
    /// Percent of the failures of which the handler says more than that it failed.
    pub verdicts: u64,
    /// Percent of the failures whose message the handler names.
    pub named: u64,
}

impl Failing {
    pub fn any(options: &mut TopicOptions, random: &mut Random) -> Self {
        if random.chance(50) {
            return Self::default();
        }
        options.max_retries = random.pick(&[None, Some(0), Some(1), Some(3)]);
        options.given_up = random.pick(&[
            GivenUp::Never,
            GivenUp::Skipped,
            GivenUp::Dispatched { wait: true },
            GivenUp::Dispatched { wait: true },
            GivenUp::Dispatched { wait: false },
        ]);
        options.independent = random.chance(30);
        options.bisect = random.chance(40);
        options.strategy = random.chance(20);
        options.retry.jitter = random.pick(&[0.0, 0.0, 0.5]);
        Self {
            refused: random.pick(&[0, 10, 50]),
            unknown: random.pick(&[0, 0, 20]),
            verdicts: random.pick(&[0, 0, 10, 50]),
            named: random.pick(&[0, 0, 50]),
        }
    }

    /// What a handler says about a failure.
    pub fn verdict(self, random: &mut Random, healed: bool) -> Verdict {
        if !random.chance(self.verdicts) {
            return Verdict::Unsaid;
        }
        let all = [Verdict::Retry, Verdict::Retry, Verdict::GiveUp, Verdict::GiveUp, Verdict::Discard];
        if !healed && random.chance(3) { Verdict::Critical } else { random.pick(&all) }
    }
}
