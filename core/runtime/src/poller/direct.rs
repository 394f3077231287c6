//! Direct assignment: partitions that this process reads without asking the group.
//!
//! The poller takes them over when the app starts, and those that a topic gets later when the lookout sees them. They come, are
//! committed and are given up as any others; only nobody else is told, and nobody takes them over.

use super::Poller;
use super::lookout::View;
use super::rebalance::Change;
use crate::config::numbers;
use crate::native::PartitionOffset;
use std::time::Instant;

/// Which partitions of a topic are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    All,
    These(Vec<i32>),
}

impl Wanted {
    /// What the option `assign` says.
    pub(super) fn new(text: &str) -> Self {
        if text == "all" { Self::All } else { Self::These(numbers::parse(text).unwrap_or_default()) }
    }
}

/// The topics that a subscription reads so.
#[derive(Debug, Default)]
pub(super) struct Direct(Vec<(String, Wanted)>);

impl Direct {
    pub(super) fn add(&mut self, topic: &str, wanted: Wanted) {
        self.0.push((topic.to_owned(), wanted));
    }

    /// Whether the cluster has to be looked at.
    pub(super) fn needs_view(&self) -> bool {
        self.0.iter().any(|(_, wanted)| *wanted == Wanted::All)
    }

    /// All partitions that are wanted, as far as they are known.
    fn partitions(&self, view: &View) -> Vec<PartitionOffset> {
        let of = |(topic, wanted): &(String, Wanted)| -> Vec<PartitionOffset> {
            match wanted {
                Wanted::All => {
                    (0..view.get(topic).copied().unwrap_or(0)).map(|one| PartitionOffset::new(topic, one)).collect()
                }
                Wanted::These(these) => these.iter().map(|one| PartitionOffset::new(topic, *one)).collect(),
            }
        };
        self.0.iter().flat_map(of).collect()
    }
}

/// Takes over what is not read yet. Returns how many partitions are wanted.
pub(super) fn take_view(poller: &mut Poller, now: Instant, number: usize, view: &View) -> u64 {
    let Some(subscription) = poller.subscriptions.get(number) else { return 0 };
    let (Some(direct), Some(&member)) = (&subscription.direct, subscription.members.first()) else { return 0 };
    let mut partitions = direct.partitions(view);
    let count = partitions.len() as u64;
    let Some(owner) = poller.members.get(member) else { return 0 };
    if !poller.is_joined {
        return count;
    }
    partitions.retain(|one| !owner.assigned.contains_key(&(one.topic.clone(), one.partition)));
    if partitions.is_empty() {
        return count;
    }
    if matches!(owner.change, Change::None) {
        poller.begin_assign(now, member, partitions);
    } else if let Some(subscription) = poller.subscriptions.get_mut(number) {
        // Others are on their way: these are next.
        subscription.lookout.looked(now, false);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_partitions_are_those_of_the_cluster_and_some_are_those_named() {
        let mut direct = Direct::default();
        direct.add("a", Wanted::new("all"));
        direct.add("b", Wanted::new("5,1-2"));
        assert!(direct.needs_view());
        let known = View::from([("a".to_owned(), 2), ("b".to_owned(), 1), ("c".to_owned(), 4)]);
        let places = |view: &View| -> Vec<(String, i32)> {
            direct.partitions(view).into_iter().map(|one| (one.topic, one.partition)).collect()
        };
        let place = |topic: &str, partition| (topic.to_owned(), partition);
        let named = [place("b", 1), place("b", 2), place("b", 5)];
        assert_eq!(places(&View::new()), named);
        assert_eq!(places(&known), [[place("a", 0), place("a", 1)].as_slice(), &named].concat());
    }
}
