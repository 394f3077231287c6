//! What the engine costs: `cargo bench -p karafka-engine`, about half a minute.
//!
//! Every figure is the time of one thing: a message from its delivery to the end of its job, in batches of 1,000
//! (`message/…`); one mark (`mark`, `mark_prefix`); a job of one message, with all that is done for the message (`job/…`).
//! The number in a name is that of the virtual partitions; `job/…_of_200000` are jobs while so many messages wait, with
//! `_turns` under a priority, a limit and unique keys. `message/ahead_…` are five partitions with a backlog, read as
//! far as the engine allows: what reading ahead costs in caches shows there.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod load;

use std::collections::VecDeque;
use std::time::Duration;

use criterion::{Bencher, Criterion, criterion_group, criterion_main};
use karafka_engine::{Extent, TopicOptions};
use load::{Poller, backlogged, by_key, job_each, job_each_with_turns};

/// The time of `wanted` things, when they are made many at a time.
fn of_many(wanted: u64, mut some: impl FnMut() -> (u64, Duration)) -> Duration {
    let (mut made, mut time) = (0, Duration::ZERO);
    while made < wanted {
        let (more, took) = some();
        made += more;
        time += took;
    }
    time.mul_f64(wanted as f64 / made as f64)
}

fn messages(bencher: &mut Bencher<'_>, keys: u64, configure: fn(&mut TopicOptions)) {
    let mut poller = Poller::new(1, 1, keys, configure);
    bencher.iter_custom(|wanted| {
        of_many(wanted, || {
            let (_, time) = poller.round();
            (load::ROUND as u64, time)
        })
    });
}

fn ahead(bencher: &mut Bencher<'_>, keys: u64, configure: fn(&mut TopicOptions)) {
    let mut poller = Poller::new(5, 4, keys, configure);
    let mut out = VecDeque::new();
    bencher.iter_custom(|wanted| of_many(wanted, || poller.pass(&mut out)));
}

fn marks(bencher: &mut Bencher<'_>, extent: Extent) {
    let mut poller = Poller::new(1, 1, 1_000, |options| {
        by_key(options);
        options.manual_offset_management = true;
    });
    bencher.iter_custom(|wanted| of_many(wanted, || poller.marks(extent)));
}

fn jobs(bencher: &mut Bencher<'_>, keys: u64) {
    let mut poller = Poller::new(1, 1, keys, job_each);
    bencher.iter_custom(|wanted| of_many(wanted, || poller.round()));
}

/// Jobs of one message, out of 200,000 that wait in 1,000 virtual partitions.
fn backlog(bencher: &mut Bencher<'_>, configure: fn(&mut TopicOptions)) {
    let mut poller = Poller::new(1, 1, 1_000, configure);
    bencher.iter_custom(|wanted| of_many(wanted, || poller.backlog(200)));
}

fn engine(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("message");
    group.bench_function("off", |bencher| messages(bencher, 1_000, |_| ()));
    group.bench_function("1", |bencher| messages(bencher, 1, by_key));
    group.bench_function("1000", |bencher| messages(bencher, 1_000, by_key));
    group.bench_function("ahead_off", |bencher| ahead(bencher, 1_000, |_| ()));
    group.bench_function("ahead_1000", |bencher| ahead(bencher, 1_000, by_key));
    group.finish();
    criterion.bench_function("mark", |bencher| marks(bencher, Extent::Message));
    criterion.bench_function("mark_prefix", |bencher| marks(bencher, Extent::Prefix));
    let mut group = criterion.benchmark_group("job");
    group.bench_function("1", |bencher| jobs(bencher, 1));
    group.bench_function("1000", |bencher| jobs(bencher, 1_000));
    group.bench_function("1000_of_200000", |bencher| backlog(bencher, backlogged));
    group.bench_function("1000_of_200000_turns", |bencher| backlog(bencher, job_each_with_turns));
    group.finish();
}

fn short() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_millis(1_500))
}

criterion_group! {
    name = benches;
    config = short();
    targets = engine
}
criterion_main!(benches);
