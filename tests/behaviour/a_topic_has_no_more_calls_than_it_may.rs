//! `max_concurrency` on a real broker: never more calls of the topic run than it may, over all partitions, while another topic
//! has all other seats, and while partitions come and go: a call whose partition went to another member counts until it ends.

use crate::support::{COOPERATIVE, PATIENCE, place, quick, stop};
use karafka::{App, AppConfig, Failure, TopicConfig, VirtualPartitions, handler_fn};
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, commits, group, oracle, wait};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const SEATS: usize = 8;
const MOST: usize = 3;

/// How many calls run, and the most that ever did.
#[derive(Default)]
struct Running {
    now: AtomicUsize,
    most: AtomicUsize,
}

fn member(
    name: &str,
    limited: &str,
    free: &str,
    seen: &Arc<Seen>,
    hurries: &Arc<AtomicBool>,
) -> (App, [Arc<Running>; 2]) {
    let mut config = AppConfig { concurrency: SEATS as u32, ..quick(broker::shared(), name) };
    COOPERATIVE(&mut config);
    let app = App::new(config).unwrap();
    let counts: [Arc<Running>; 2] = Default::default();
    for ((topic, max_concurrency), running) in [(limited, MOST as u32), (free, 0)].into_iter().zip(&counts) {
        let (running, seen, hurries) = (Arc::clone(running), Arc::clone(seen), Arc::clone(hurries));
        let handler = handler_fn(move |batch, _| {
            running.most.fetch_max(running.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            batch.iter().for_each(|message| seen.began(place(&message), message.key()));
            if !hurries.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(8));
            }
            batch.iter().for_each(|message| seen.finished(place(&message)));
            running.now.fetch_sub(1, Ordering::SeqCst);
            Ok::<(), Failure>(())
        });
        let options = TopicConfig {
            virtual_partitions: VirtualPartitions::RoundRobin,
            max_messages: 1,
            max_concurrency,
            // Calls run on when their partition goes.
            long_running_job: topic == limited,
            ..TopicConfig::default()
        };
        app.topic(topic, options, handler).unwrap();
    }
    app.start().unwrap();
    (app, counts)
}

#[test]
fn a_topic_has_no_more_calls_than_it_may() {
    let bootstrap = broker::shared();
    let [limited, free] = [4, 4].map(|partitions| topics::create(bootstrap, partitions));
    let name = topics::unique("limited");
    let plain = |number: i32| Record::plain("x").to(number % 4);
    let mut produced = topics::produce(bootstrap, &limited, &(0..8_000).map(plain).collect::<Vec<_>>());
    produced.extend(topics::produce(bootstrap, &free, &(0..8_000).map(plain).collect::<Vec<_>>()));
    let (seen, hurries) = (Arc::new(Seen::new()), Arc::new(AtomicBool::new(false)));
    let (first, one) = member(&name, &limited, &free, &seen, &hurries);
    let most = |counts: &[Arc<Running>; 2]| [0, 1].map(|topic| counts[topic].most.load(Ordering::SeqCst));
    wait::until(PATIENCE, "all seats at work", || most(&one)[0] == MOST && most(&one)[1] >= SEATS - MOST);
    let (second, two) = member(&name, &limited, &free, &seen, &hurries);
    // Which of the partitions it gets is the group's business.
    wait::until(PATIENCE, "the second at work", || most(&two).iter().any(|most| *most > 0));
    hurries.store(true, Ordering::SeqCst);
    stop(&second);
    wait::until(PATIENCE, "everything committed", || {
        [&limited, &free].iter().all(|topic| group::lag(bootstrap, &name, topic) == 0)
    });
    stop(&first);
    assert!(most(&one)[0] == MOST && most(&two)[0] <= MOST, "{:?} and {:?}", most(&one), most(&two));
    assert!(most(&one)[1] >= SEATS - MOST, "the other topic had the other seats");
    let spans = seen.spans();
    oracle::nothing_lost(&produced, &spans);
    let commits = commits::all(bootstrap, &name);
    oracle::commits_claim_only_what_is_done(&produced, &spans, &commits);
    oracle::marks_claim_only_what_is_done(&produced, &spans, &commits);
    oracle::commits_never_go_back(&commits);
}
