//! How much the process may hold. Counts messages and bytes from delivery to the end of their job, those of lost
//! partitions included, because their memory is held too.

use crate::action::Room;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    most_messages: u64,
    most_bytes: u64,
    messages: u64,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(most_messages: u64, most_bytes: u64) -> Self {
        Self { most_messages, most_bytes, messages: 0, bytes: 0 }
    }

    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn take(&mut self, messages: u64, bytes: u64) {
        self.messages += messages;
        self.bytes += bytes;
    }

    pub(crate) fn give_back(&mut self, messages: u64, bytes: u64) {
        self.messages = self.messages.saturating_sub(messages);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// The mean size of what is held; 1 while nothing is.
    pub(crate) fn mean_bytes(&self) -> u64 {
        (self.bytes / self.messages.max(1)).max(1)
    }

    /// What one of `partitions` may read, which holds `held` messages of `held_bytes` and is itself limited to
    /// `partition_bytes` and to `window` more messages. It may hold as many bytes as are left for all others, and its even
    /// share as long as they are there: so a single one with a backlog gets half of the budget, several divide it, and one
    /// that comes later finds something left. A partition that holds nothing may always read one message, however full
    /// the process is: otherwise it would starve. The window knows no exception.
    pub(crate) fn room(&self, held: u64, held_bytes: u64, partition_bytes: u64, partitions: u64, window: u64) -> Room {
        let messages = window.min(self.most_messages.saturating_sub(self.messages));
        let left = self.most_bytes.saturating_sub(self.bytes);
        let limit = partition_bytes.min(left.max(self.most_bytes / partitions.max(1)));
        let bytes = limit.saturating_sub(held_bytes).min(left);
        let room = Room { messages: u32::try_from(messages).unwrap_or(u32::MAX), bytes };
        match room {
            Room { messages: 1.., bytes: 1.. } => room,
            _ if held == 0 && window > 0 => Room { messages: 1, bytes: bytes.max(1) },
            _ => Room::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn backlogs_divide_the_budget_and_leave_something_for_who_comes_later() {
        let mut budget = Budget::new(1_000_000, 1_000_000);
        let mut held = [0_u64; 5];
        // Until nobody gets more, and long after; Miri is slow.
        for _ in 0..if cfg!(miri) { 2_500 } else { 100_000 } {
            for held in &mut held[..4] {
                let room = budget.room(*held / 100, *held, u64::MAX, 5, 1_000);
                if room.bytes >= 100 {
                    budget.take(1, 100);
                    *held += 100;
                }
            }
        }
        assert!(held[..4].iter().all(|held| (199_000..=201_000).contains(held)), "{held:?}");
        assert!(budget.room(0, held[4], u64::MAX, 5, 1_000).bytes >= 190_000);
    }

    proptest! {
        #[test]
        fn room_keeps_every_limit_and_starves_nobody(
            limits in (0_u64..50, 0_u64..5_000), taken in (0_u64..60, 0_u64..6_000),
            held in 0_u64..20, held_bytes in 0_u64..2_000, partition_bytes in 0_u64..3_000, partitions in 0_u64..5,
            window in 0_u64..30
        ) {
            let mut budget = Budget::new(limits.0, limits.1);
            budget.take(taken.0, taken.1);
            let room = budget.room(held, held_bytes, partition_bytes, partitions, window);
            prop_assert_eq!(room.messages == 0, room.bytes == 0);
            prop_assert!(u64::from(room.messages) <= window);
            if held == 0 {
                prop_assert_eq!(room.messages > 0, window > 0);
            }
            if held > 0 && room.messages > 0 {
                prop_assert!(taken.0 + u64::from(room.messages) <= limits.0);
                prop_assert!(taken.1 + room.bytes <= limits.1);
                prop_assert!(held_bytes + room.bytes <= partition_bytes);
                let left = limits.1 - taken.1;
                prop_assert!(held_bytes + room.bytes <= left.max(limits.1 / partitions.max(1)));
            }
        }
    }
}
