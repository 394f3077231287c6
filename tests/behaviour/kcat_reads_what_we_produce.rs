//! Another client reads byte for byte what the producer sent: keys, payloads, headers, tombstones.

use karafka::{Header, Producer, ProducerConfig, Record};
use libkarafka_tests::{broker, topics};
use std::process::Command;

#[test]
fn kcat_reads_what_we_produce() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 1);
    let config = ProducerConfig { bootstrap_servers: bootstrap.to_owned(), ..ProducerConfig::default() };
    let producer = Producer::new(config).unwrap();
    let headers = [Header { name: b"trace", value: Some(b"1") }, Header { name: b"trace", value: Some(b"2") }];
    let record = |key, payload, headers| Record { topic: &topic, key, payload, headers, ..Record::default() };
    let reports = producer
        .produce_many_sync(&[
            record(Some(&b"a"[..]), Some(&b"first"[..]), &headers),
            record(None, Some("zwölf".as_bytes()), &[]),
            record(Some(&b"a"[..]), None, &[]),
            record(Some(&b""[..]), Some(&b""[..]), &[]),
        ])
        .unwrap();
    assert_eq!(reports.iter().map(|report| report.offset).collect::<Vec<_>>(), [0, 1, 2, 3]);
    producer.close().unwrap();
    let output = Command::new("kcat")
        // cargo names the folder of our librdkafka, whose allocations are answered by our library only.
        .env_remove("LD_LIBRARY_PATH")
        .args(["-C", "-q", "-e", "-Z", "-b", bootstrap, "-t", &topic, "-f", "%o|%k|%K|%s|%S|%h\n"])
        .output()
        .expect("kcat is installed by the set-up");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    // kcat writes NULL for empty ones too; their size of 0, not -1, tells them apart from absent ones.
    let expected = "0|a|1|first|5|trace=1,trace=2\n1|NULL|-1|zwölf|6|\n2|a|1|NULL|-1|\n3|NULL|0|NULL|0|\n";
    assert_eq!(lines, expected);
}
