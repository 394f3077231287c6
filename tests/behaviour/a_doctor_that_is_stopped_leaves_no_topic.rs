//! `libkarafka doctor --clocks` makes a topic: whoever stops it by Ctrl-C or `kill`, at whatever time, finds nothing left.

use crate::support::{PATIENCE, libkarafka};
use karafka::Admin;
use libkarafka_tests::broker;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn whenever_it_is_stopped() {
    let mut stopped = 0;
    for round in 0..10 {
        let (name, code) = if round % 2 == 0 { ("INT", 130) } else { ("TERM", 143) };
        let mut command = Command::new(libkarafka());
        command.args(["doctor", "--clocks", "--brokers", broker::shared()]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("knows the requests")), "it came to the clocks");
        // At any time of what follows.
        std::thread::sleep(Duration::from_millis(30 * round));
        let own = child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &own]).status().unwrap().success());
        let began = Instant::now();
        let ended = child.wait().unwrap();
        assert!(began.elapsed() < PATIENCE);
        stopped += usize::from(ended.code() == Some(code));
        assert!(ended.success() || ended.code() == Some(code), "{ended}");
    }
    assert!(stopped > 0, "each had ended before its signal");
    let admin = Admin::connect(broker::shared(), BTreeMap::new(), PATIENCE).unwrap();
    let left: Vec<_> = admin.topics().unwrap().into_iter().map(|topic| topic.name).collect();
    assert!(!left.iter().any(|name| name.starts_with("libkarafka-doctor-")), "{left:?}");
}
