#!/usr/bin/env bash
# run.sh: measures libkarafka beside plain librdkafka and bare sleeping threads. `make bench` runs it.
#
# BROKERS=host:port measures on that Kafka; otherwise one is started for the run. run.py tells the other settings.
set -euo pipefail
cd "$(dirname "$0")/../.."

read -ra cargo_flags <<<"${CARGO_FLAGS:---no-default-features --features system-ssl}"
export CARGO_FLAGS="${cargo_flags[*]}"
# One value everywhere, or every step builds the Python extension again.
export PYO3_BUILD_EXTENSION_MODULE=1
export PYTHONDONTWRITEBYTECODE=1

if [ -n "${BROKERS:-}" ]; then
    export KAFKA_BOOTSTRAP=$BROKERS
    exec python3 tests/bench/run.py
fi
exec cargo run --locked --quiet --release -p libkarafka-tests --bin with-broker "${cargo_flags[@]}" -- \
    python3 tests/bench/run.py
