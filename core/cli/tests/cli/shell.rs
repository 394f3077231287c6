//! What shells and `man` get knows every command.

use std::path::PathBuf;
use std::process::Command;

fn said(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_libkarafka")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn completions_and_manual_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let text = said(&["completions", shell]);
        for command in ["redrive", "topics", "doctor", "plan", "align", "flow", "acls", "configs", "restart", "send"] {
            assert!(text.contains(command), "{command} for {shell}");
        }
    }
    assert!(said(&["man"]).contains(".TH libkarafka 1"));
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("man-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    said(&["man", "--directory", directory.to_str().unwrap()]);
    let page = std::fs::read_to_string(directory.join("libkarafka-dlq-redrive.1")).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(page.contains("dry"), "{page}");
}
