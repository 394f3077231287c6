//! Compiles what stands between librdkafka and its allocator: mimalloc where the code is optimised, libc's where it is
//! debugged, because valgrind and the sanitizers only see errors in memory that libc's allocator gave.
//!
//! `KARAFKA_ALLOCATOR=libc` or `mimalloc` chooses for any profile.
//!
//! Says so where librdkafka was built without the names of `.cargo/config.toml`, and goes on allocating by libc unseen: cargo
//! does not build it again when these change.
//!
//! And lists the pages of docs/options, docs/producer, docs/admin and docs/schedule, whose Rust examples are doctests.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// What librdkafka calls in place of `malloc`; see `.cargo/config.toml`.
const ALLOCATES: &[u8] = b"karafka_malloc";

fn main() -> io::Result<()> {
    list_examples()?;
    compile_allocator();
    Ok(())
}

/// A crate taken from a registry has no pages, and needs none.
fn list_examples() -> io::Result<()> {
    let docs = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../../docs");
    let mut paths = Vec::new();
    for folder in ["options", "producer", "admin", "schedule"] {
        let pages = docs.join(folder);
        println!("cargo:rerun-if-changed={}", pages.display());
        paths.extend(fs::read_dir(&pages).into_iter().flatten().flatten().map(|entry| entry.path()));
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    let mut list = String::new();
    for (number, path) in paths.iter().enumerate() {
        let _ = writeln!(list, "#[doc = include_str!(r#\"{}\"#)]\nstruct Page{number};", path.display());
    }
    fs::write(Path::new(&env::var("OUT_DIR").unwrap_or_default()).join("examples.rs"), list)
}

fn compile_allocator() {
    println!("cargo:rerun-if-changed=allocator/allocator.c");
    println!("cargo:rerun-if-env-changed=KARAFKA_ALLOCATOR");
    println!("cargo:rustc-check-cfg=cfg(karafka_mimalloc)");
    let is_optimised = env::var("OPT_LEVEL").is_ok_and(|level| level != "0");
    let has_mimalloc = match env::var("KARAFKA_ALLOCATOR").as_deref() {
        Ok("mimalloc") => true,
        Ok("libc") => false,
        _ => is_optimised,
    };
    let mut build = cc::Build::new();
    build.file("allocator/allocator.c").warnings(true);
    if has_mimalloc && let Ok(headers) = env::var("DEP_MIMALLOC_INCLUDE_DIR") {
        build.define("KARAFKA_MIMALLOC", None).include(headers);
        println!("cargo:rustc-cfg=karafka_mimalloc");
        warn_of_other_allocator();
    }
    // All of it, whatever the linker has seen so far: librdkafka comes later on its command line.
    build.cargo_metadata(false).compile("karafka_allocator");
    println!("cargo:rustc-link-search=native={}", env::var("OUT_DIR").unwrap_or_default());
    println!("cargo:rustc-link-lib=static:+whole-archive=karafka_allocator");
}

/// The archive names every function that it calls.
fn warn_of_other_allocator() {
    let archive = Path::new(&env::var("DEP_RDKAFKA_ROOT").unwrap_or_default()).join("src/librdkafka.a");
    println!("cargo:rerun-if-changed={}", archive.display());
    let Ok(built) = fs::read(&archive) else { return };
    if !built.windows(ALLOCATES.len()).any(|bytes| bytes == ALLOCATES) {
        println!(
            "cargo:warning=librdkafka was built without the CPPFLAGS of .cargo/config.toml and allocates by libc, which costs a \
             third of the throughput; `cargo clean -p rdkafka-sys` (with the profile: `--release`) builds it anew"
        );
    }
}
