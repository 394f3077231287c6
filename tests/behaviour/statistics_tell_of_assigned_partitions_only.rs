//! Statistics go on while every worker is blocked (acceptance 66), tell of the partitions that a member owns and of no others, and
//! never of a lag below zero; looking at them from many threads while partitions come and go never fails (acceptance 67).

use crate::support::{PATIENCE, member, produce_keyed};
use karafka::{App, AppConfig, Event, Failure, Statistics, TopicConfig, handler_fn};
use libkarafka_tests::{broker, topics, wait};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

const PARTITIONS: i32 = 4;

fn partitions(statistics: &Statistics) -> Vec<i32> {
    let all = statistics.clients.iter().flat_map(|client| &client.partitions);
    all.map(|partition| partition.partition).collect()
}

#[test]
fn while_work_blocks_and_partitions_come_and_go() {
    let bootstrap = broker::shared();
    let (group, topic) = (topics::unique("group"), topics::create(bootstrap, PARTITIONS));
    produce_keyed(bootstrap, &topic, 50, 200);
    let config = AppConfig {
        bootstrap_servers: bootstrap.to_owned(),
        group: group.clone(),
        concurrency: 1,
        statistics_interval: Duration::from_millis(100),
        revoke_timeout: Duration::from_millis(200),
        shutdown_timeout: Duration::from_secs(5),
        ..AppConfig::default()
    };
    let app = App::new(config).unwrap();
    let (gate, opened) = mpsc::channel::<()>();
    let opened = parking_lot::Mutex::new(opened);
    let handler = handler_fn(move |_, _| {
        // A gate that is gone is open.
        let _ = opened.lock().recv();
        Ok::<(), Failure>(())
    });
    app.topic(&topic, TopicConfig::default(), handler).unwrap();
    let events = app.events_of(&["statistics.emitted"]).unwrap();
    app.start().unwrap();
    let emitted = |what: &str, mut holds: Box<dyn FnMut(&Statistics) -> bool>| {
        wait::until(PATIENCE, what, || {
            let Ok(Event::Statistics(statistics)) = events.next(Duration::from_millis(500)) else { return false };
            let lags = statistics.clients.iter().flat_map(|client| &client.partitions).filter_map(|known| known.lag);
            assert!(lags.into_iter().all(|lag| lag <= 200), "{}", statistics.to_json());
            holds(&statistics)
        });
    };
    let lags = |statistics: &Statistics| -> u64 {
        statistics.clients.iter().flat_map(|client| &client.partitions).filter_map(|known| known.lag).sum()
    };
    let mut told = 0;
    emitted(
        "five statistics while the only worker is blocked",
        Box::new(move |statistics| {
            told += usize::from(statistics.workers_busy == 1 && lags(statistics) == 200);
            told == 5 && partitions(statistics) == [0, 1, 2, 3]
        }),
    );

    // Many look while half of the partitions leave and come back.
    let (ended, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let lookers: Vec<_> = (0..4)
        .map(|_| {
            let (app, ended, looks) = (app.clone(), Arc::clone(&ended), Arc::clone(&looks));
            std::thread::spawn(move || {
                while !ended.load(Ordering::SeqCst) {
                    let statistics = app.statistics(PATIENCE).unwrap();
                    let mut owned = partitions(&statistics);
                    owned.dedup();
                    assert_eq!(owned.len(), partitions(&statistics).len(), "a partition is told twice");
                    assert_eq!(owned.len(), statistics.assigned_partitions as usize);
                    looks.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(1));
                }
            })
        })
        .collect();
    let mut second = member(bootstrap, &group, &topic, &[]);
    emitted("half of the partitions", Box::new(|statistics| partitions(statistics).len() == 2));
    second.send("stop");
    assert!(second.wait(PATIENCE).success());
    emitted("all of them again", Box::new(|statistics| partitions(statistics).len() == 4));
    ended.store(true, Ordering::SeqCst);
    for looker in lookers {
        looker.join().unwrap();
    }
    assert!(looks.load(Ordering::SeqCst) > 100, "{looks:?} looks only");
    drop(gate);
    app.stop();
    assert!(app.join(Some(PATIENCE)).unwrap());
}
