//! Compiles what stands between librdkafka and its allocator: mimalloc where the code is optimised, libc's where it is
//! debugged, because valgrind and the sanitizers only see errors in memory that libc's allocator gave.
//!
//! `KARAFKA_ALLOCATOR=libc` or `mimalloc` chooses for any profile.

use std::env;

fn main() {
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
    }
    // All of it, whatever the linker has seen so far: librdkafka comes later on its command line.
    build.cargo_metadata(false).compile("karafka_allocator");
    println!("cargo:rustc-link-search=native={}", env::var("OUT_DIR").unwrap_or_default());
    println!("cargo:rustc-link-lib=static:+whole-archive=karafka_allocator");
}
