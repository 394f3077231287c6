//! What `flow` makes of programs, and of what they tell.

use crate::support::LIBKARAFKA;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const FLOW: &str = r#"{"client_id":"c","topics":[{"topic":"orders","is_pattern":false,"group":"billing","bootstrap_servers":"b:1","writes":[{"topic":"invoices","required":true,"multiple":false}],"dead_letter_queue_topic":null}]}"#;

fn flow(options: &[&str], script: &str) -> Output {
    let mut command = Command::new(LIBKARAFKA);
    command.arg("flow").args(options).args(["--", "sh", "-c", script]).env("FLOW", FLOW).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_program_that_tells_its_flow_is_understood_whatever_else_it_prints() {
    let script = r#"echo noise; echo "$FLOW" >> "$LIBKARAFKA_FLOW""#;
    let told = flow(&[], script);
    assert!(told.status.success(), "{told:?}");
    assert_eq!(text(&told.stdout), "orders read by billing\n  -> invoices (required)\n");
    assert_eq!(text(&told.stderr), "noise\n");
    let json: serde_json::Value = serde_json::from_slice(&flow(&["--json"], script).stdout).unwrap();
    assert_eq!((&json["topic"], &json["writes"][0]["topic"]), (&"orders".into(), &"invoices".into()));
    assert!(text(&flow(&["--mermaid"], script).stdout).starts_with("flowchart LR\n"));
}

#[test]
fn a_program_without_an_app_is_no_flow() {
    for (options, script, said) in [
        (&[][..], "exit 3", "it ended without starting an app (exit status: 3)"),
        (&[], "echo nonsense > \"$LIBKARAFKA_FLOW\"", "is no flow"),
        (&["--within", "200ms"], "exec sleep 60", "it started no app within 200ms, and was killed"),
    ] {
        let began = Instant::now();
        let output = flow(options, script);
        assert_eq!(output.status.code(), Some(1), "{script}");
        assert!(text(&output.stderr).contains(said), "{script}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty() && began.elapsed() < Duration::from_secs(20));
    }
    let output = Command::new(LIBKARAFKA).args(["flow", "/no/such/program"]).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert_eq!(Command::new(LIBKARAFKA).arg("flow").output().unwrap().status.code(), Some(64));
}

/// Ctrl-C comes to the program too, `kill` to the command alone.
#[test]
fn a_signal_leaves_neither_program_nor_file() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("flow-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let mut command = Command::new(LIBKARAFKA);
        command.args(["flow", "--", "sh", "-c", "echo $$ >&2; exec sleep 60"]).env("TMPDIR", &directory);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut program = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut program).unwrap();
        let own = child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &own]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0, "{name}");
        assert!(!Path::new("/proc").join(program.trim()).exists(), "{name}: the program is left");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}

#[test]
fn nothing_is_left_of_the_file() {
    let name = "flow-file";
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut command = Command::new(LIBKARAFKA);
    command.args(["flow", "--", "sh", "-c", r#"echo "$FLOW" >> "$LIBKARAFKA_FLOW""#]);
    assert!(command.env("FLOW", FLOW).env("TMPDIR", &directory).status().unwrap().success());
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
    std::fs::remove_dir_all(&directory).unwrap();
}
