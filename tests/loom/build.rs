//! Gives loom and shuttle the runtime's own source files, with a defect planted in them when `PLANTED` names one.
//!
//! `tests/loom/planted.sh` plants one after the other, and each has to turn the tests red.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

const FILES: [&str; 2] = ["pool", "wake"];

fn main() {
    let package = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap());
    let out = PathBuf::from(env::var("OUT_DIR").unwrap());
    println!("cargo:rerun-if-env-changed=PLANTED");
    let planted = env::var("PLANTED").ok().filter(|name| !name.is_empty());
    let defects = package.join("../loom/planted.tsv");
    println!("cargo:rerun-if-changed={}", defects.display());
    let defects = fs::read_to_string(defects).unwrap();
    let defect = planted.map(|name| {
        let line = defects.lines().find(|line| line.split('\t').next() == Some(&name));
        line.unwrap_or_else(|| panic!("planted.tsv has no {name}")).split('\t').collect::<Vec<_>>()
    });
    let mut modules = String::new();
    for file in FILES {
        let mut path = package.join(format!("../../core/runtime/src/{file}.rs")).canonicalize().unwrap();
        println!("cargo:rerun-if-changed={}", path.display());
        if let Some([_, at, sound, broken, ..]) = defect.as_deref()
            && *at == file
        {
            let source = fs::read_to_string(&path).unwrap();
            assert_eq!(source.matches(sound).count(), 1, "{sound:?} has to be in {file}.rs once; see planted.tsv");
            path = out.join(format!("{file}.rs"));
            fs::write(&path, source.replace(sound, broken)).unwrap();
        }
        writeln!(modules, "#[path = \"{}\"]\nmod {file};", path.display()).unwrap();
    }
    fs::write(out.join("runtime.rs"), modules).unwrap();
}
