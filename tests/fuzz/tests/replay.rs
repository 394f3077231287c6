//! The corpus, replayed on any compiler: inputs that reach what fuzzing has reached, and those that once failed.
#![allow(clippy::unwrap_used, missing_docs)]

use libkarafka_fuzz::{abi, configuration, encryption, metadata};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::{env, fs};

/// Runs every input of a target; `FUZZ_INPUT=path` names one other to run alone.
fn replay(target: &str, run: fn(&[u8])) {
    let given = env::var_os("FUZZ_INPUT").map(PathBuf::from);
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = || fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    let inputs: Vec<PathBuf> = given.map_or_else(entries, |path| vec![path]);
    assert!(!inputs.is_empty(), "{} has no inputs", corpus.display());
    for path in inputs {
        let data = fs::read(&path).unwrap();
        if let Err(cause) = std::panic::catch_unwind(|| run(&data)) {
            eprintln!("{target} fails with {}", path.display());
            std::panic::resume_unwind(cause);
        }
    }
}

#[test]
fn commit_metadata() {
    replay("metadata", metadata::run);
}

#[test]
fn settings() {
    replay("configuration", configuration::run);
}

#[test]
fn sealed_records() {
    replay("encryption", encryption::run);
}

#[test]
fn sequences_of_abi_calls() {
    replay("abi", abi::run);
}

#[test]
fn every_function_of_the_abi_is_called() {
    let symbols = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../abi/symbols.txt");
    let symbols = fs::read_to_string(symbols).unwrap();
    let called: BTreeSet<_> = abi::names().collect();
    // Called by the target itself, or for ever.
    let others = ["karafka_handle_count", "karafka_error_code", "karafka_error_message", "karafka_app_run"];
    let missing: Vec<_> = symbols.lines().filter(|name| !called.contains(name) && !others.contains(name)).collect();
    assert!(missing.is_empty(), "not called: {missing:?}");
}
