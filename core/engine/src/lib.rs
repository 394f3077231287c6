//! libkarafka.
pub mod ledger;
pub mod metadata;
