//! libkarafka.
