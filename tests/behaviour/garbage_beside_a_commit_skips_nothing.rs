//! Whatever stands beside a committed offset, nothing is skipped: marks that are damaged, cut, of another offset or of an
//! unknown version are ignored with a warning; a text of another program is no mark.

use crate::support::{PATIENCE, fleet};
use libkarafka_tests::topics::Record;
use libkarafka_tests::{broker, group, topics, wait};

const COMMITTED: i64 = 10;
const RECORDS: i64 = 50;

/// A text that no program wrote: any letters, the rare ones too.
fn noise(length: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from_u32((state % 0x2_0000) as u32).filter(|letter| *letter != '\0').unwrap_or('?')
    };
    let mut text = String::new();
    while text.len() + 4 <= length {
        text.push(letter());
    }
    text
}

#[test]
fn garbage_beside_a_commit_skips_nothing() {
    // Marks that would skip everything, were they taken.
    let marks = |offset: i64| {
        let all = std::iter::once(offset + 1..RECORDS);
        karafka_engine::metadata::encode(offset, all, None, 4096).unwrap().text
    };
    let good = marks(COMMITTED);
    let damaged = good.replacen(&good[14..16], if &good[14..16] == "AA" { "BB" } else { "AA" }, 1);
    // What stands beside the offset, and whether a warning is due.
    let cases = [
        ("a plain text".to_owned(), false),
        (noise(1_000), false),
        (noise(4_000), false),
        ("x".repeat(4_096), false),
        ("karafka/1;".to_owned(), true),
        (format!("karafka/1;{}", noise(500)), true),
        (format!("karafka/1;{};", "A".repeat(4_085)), true),
        ("karafka/2;anything".to_owned(), true),
        (good[..good.len() - 6].to_owned(), true),
        (damaged, true),
        (marks(COMMITTED + 1), true),
        (String::new(), false),
    ];
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, cases.len() as i32);
    let group = topics::unique("garbage");
    let mut records = Vec::new();
    for (partition, (text, _)) in (0..).zip(&cases) {
        records.extend((0..RECORDS).map(|number| Record::keyed(format!("{}", number % 7), "x").to(partition)));
        group::commit(bootstrap, &group, &topic, partition, COMMITTED, text).unwrap();
    }
    let produced = topics::produce(bootstrap, &topic, &records);

    let mut members = fleet(bootstrap, &group, &topic, &["work_us=0"]);
    let member = members.join();
    let expected = cases.len() * (RECORDS - COMMITTED) as usize;
    members.wait_handled(expected, PATIENCE);
    for (partition, (text, warns)) in cases.iter().enumerate() {
        let about = format!("[{topic}/{partition}]");
        let warned =
            || members.program(member).lines().iter().any(|line| line.contains("warning") && line.contains(&about));
        if *warns {
            wait::until(PATIENCE, &format!("a warning on {text:?}"), warned);
        } else {
            assert!(!warned(), "a warning on {text:?}");
        }
    }
    members.leave_all(PATIENCE);
    let rest: Vec<_> = produced.into_iter().filter(|message| message.offset >= COMMITTED).collect();
    let spans = members.judge(&rest);
    assert_eq!(spans.len(), expected, "nothing below the committed offset was begun, and nothing twice");
    for (partition, (offset, _)) in group::committed(bootstrap, &group, &topic) {
        assert_eq!(offset, RECORDS, "the commit of partition {partition} has moved on");
    }
}
