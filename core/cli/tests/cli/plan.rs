//! Declared topics by the command, on the embedded broker: what is different, and with which code that is said.

use crate::support::Broker;
use std::path::PathBuf;

fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.toml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_plan_says_by_its_code_whether_there_is_a_difference() {
    let broker = Broker::start(&["orders:2"]);
    let plan = |name: &str, text: &str| {
        let path = file(name, text);
        let output = broker.ask(&["plan", path.to_str().unwrap(), "--json"]);
        std::fs::remove_file(path).unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, out, _) = plan("same", "[topics.orders]\npartitions = 2\n[topics.gone]\nabsent = true\n");
    assert_eq!((code, out.as_str()), (Some(0), ""));
    let (code, out, _) =
        plan("other", "[topics.orders]\nabsent = true\n[topics.new]\nconfigs = { \"retention.ms\" = 5 }\n");
    assert_eq!(code, Some(2), "{out}");
    assert!(out.contains("create new, retention.ms=5") && out.contains("\"destructive\":true"), "{out}");
    let deep = format!("topics = {}{}", "[".repeat(10_000), "]".repeat(10_000));
    let large = format!("# {}", "x".repeat(1 << 20));
    for (text, reason) in [
        ("[topics.a]\npartition = 1", "partition"),
        ("[topics.\"a/b\"]", "a/b"),
        ("nonsense", "expected"),
        ("[topics.a]\n[topics.a]", "duplicate key"),
        ("[topics.a]\npartitions = \"10\"", "invalid type"),
        ("[topics.a]\npartitions = 2147483648", "i32"),
        ("[topics.a]\npartitions = 1e400", "float"),
        ("[topics.new]\n[topics.orders]\npartitions = 0", "at least 1 partition, not 0"),
        ("[topics.new]\nreplicas = -3", "at least 1 replica, not -3"),
        ("[topics.orders]\nconfigs = { a = 1, b = 2 }\ndefaults = [\"b\"]", "a value and its default: b"),
        (deep.as_str(), "recursion"),
        (large.as_str(), "larger than 1 MiB"),
    ] {
        let (code, _, err) = plan("wrong", text);
        assert_eq!(code, Some(78), "{text}");
        assert!(err.contains(reason), "{text:.40}: {err}");
    }
    let (code, _, err) = plan("bom", "\u{feff}[topics.orders]\n");
    assert_eq!(code, Some(0), "a mark of the byte order is none of the text: {err}");
    let path = file("latin", "");
    std::fs::write(&path, b"# caf\xe9\n").unwrap();
    let output = broker.ask(&["plan", path.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("valid UTF-8"), "{output:?}");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn what_is_destructive_is_refused_without_being_allowed() {
    let broker = Broker::start(&["orders:2"]);
    let path = file("destructive", "[topics.orders]\nabsent = true\n");
    let output = broker.ask(&["apply", path.to_str().unwrap()]);
    std::fs::remove_file(path).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("records can be lost by this, and it is not allowed"));
}

#[test]
fn an_alignment_makes_nothing() {
    let broker = Broker::start(&["orders:2"]);
    let path = file("alignment", "[topics.new]\npartitions = 1\n[topics.orders]\npartitions = 3\n");
    let output = broker.ask(&["align", path.to_str().unwrap()]);
    std::fs::remove_file(path).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"everything is as declared\n"[..]));
    let listed = broker.ask(&["topics", "list"]);
    assert!(!String::from_utf8(listed.stdout).unwrap().contains("new"));
}
