//! libkarafka.
fn main() {}
