//! The allocator of a library or program that is made of this crate: mimalloc where the code is optimised, else the system's.
//!
//! Set as the global one by the crate that is linked last (the C library, the extensions, the command), called on any thread.
//! It serves what is inside that library and nothing else of the process that loads it. What librdkafka allocates takes the
//! same way by `allocator/allocator.c`; `build.rs` says when it is which.

#[cfg(karafka_mimalloc)]
pub use mimalloc::MiMalloc as Allocator;
#[cfg(not(karafka_mimalloc))]
pub use std::alloc::System as Allocator;
