#!/usr/bin/env bash
# run.sh [word...]: the behaviours (those whose names contain a word) on a real Apache Kafka that is started for them.
#
# KAFKA_BOOTSTRAP=host:port runs them on that Kafka. Most of them wait most of the time, for sessions to run out, say: side by side they
# take minutes, not half an hour.
set -euo pipefail
cd "$(dirname "$0")/../.."
read -ra flags <<<"${CARGO_FLAGS:--p libkarafka-tests --no-default-features --features system-ssl}"
cargo build --locked --quiet "${flags[@]}"
exec "${CARGO_TARGET_DIR:-target}/debug/with-broker" \
    cargo test --locked "${flags[@]}" --test behaviour -- --test-threads 8 "$@"
