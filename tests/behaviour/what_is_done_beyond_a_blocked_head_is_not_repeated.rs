//! With the head of a partition blocked for a minute, what was finished beyond it is not repeated after a SIGKILL: the marks
//! beside the committed offset say it, next to the user's own metadata, which stays.

use crate::support::{PATIENCE, fleet, produce_keyed};
use libkarafka_tests::topics::Record;
use libkarafka_tests::{broker, group, topics, wait};
use std::collections::HashSet;
use std::time::{Duration, Instant};

const BLOCKED: Duration = Duration::from_secs(60);
const FIRST: usize = 4_000;
const USERS_OWN: &str = "kept; by the user";

#[test]
fn what_is_done_beyond_a_blocked_head_is_not_repeated() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 1);
    let group = topics::unique("blocked");
    let mut produced = topics::produce(bootstrap, &topic, &[Record::keyed("head", "blocks")]);
    produced.extend(produce_keyed(bootstrap, &topic, 50, FIRST));
    group::commit(bootstrap, &group, &topic, 0, 0, USERS_OWN).unwrap();

    let options = [
        "work_us=500",
        "workers=8",
        "app.commit_interval=200ms",
        "kafka.session.timeout.ms=6000",
        "kafka.heartbeat.interval.ms=500",
        "hold_key=head",
    ];
    let mut members = fleet(bootstrap, &group, &topic, &options);
    let began = Instant::now();
    let first = members.join_with(&["hold_ms=600000"]);
    members.wait_handled(FIRST, PATIENCE);
    // More comes and is handled, a little every few seconds, as long as the head stays blocked.
    while began.elapsed() < BLOCKED {
        produced.extend(produce_keyed(bootstrap, &topic, 50, 20));
        members.wait_handled(produced.len() - 1, PATIENCE);
        std::thread::sleep(Duration::from_secs(3));
    }
    let marked = || members_marks(&members.commits());
    wait::until(PATIENCE, "a commit that marks all that is done", || marked() == produced.len() - 1);
    // Some that no commit may have said yet.
    produced.extend(produce_keyed(bootstrap, &topic, 50, 200));
    members.wait_handled(produced.len() - 100, PATIENCE);
    members.kill(first);
    let known = members_marks(&members.commits());

    let before: HashSet<_> = members.spans().into_iter().map(|span| span.place).collect();
    members.join();
    members.wait_handled(produced.len(), PATIENCE);
    // What the dead one had finished and not committed is done once more before the end.
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &group, &topic) == 0);
    members.leave_all(PATIENCE);
    let spans = members.judge(&produced);
    let killed = spans[0].process;
    let again = spans.iter().filter(|span| span.process != killed && before.contains(&span.place)).count();
    assert!(known >= FIRST && again <= before.len() - known, "{again} of {} again, {known} were marked", before.len());

    let commits = members.commits();
    assert!(commits.iter().all(|commit| commit.user_metadata().as_deref() == Some(USERS_OWN)), "{commits:?}");
    let (offset, metadata) = group::committed(bootstrap, &group, &topic)[&0].clone();
    assert_eq!((offset, metadata.as_str()), (produced.len() as i64, USERS_OWN));
}

/// How many records the last commit marks beyond its offset, which the head keeps at 0.
fn members_marks(commits: &[libkarafka_tests::commits::Commit]) -> usize {
    let Some(last) = commits.last() else { return 0 };
    assert_eq!(last.offset, 0, "the head is not done");
    last.marks().runs().iter().map(|run| (run.end - run.start) as usize).sum()
}
