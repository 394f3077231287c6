#!/usr/bin/env bash
# run.sh: the tests of the crates that decide, 20,000 new schedules of the simulator, and the planted defects, which it has to
# find. Called by make test.
set -euo pipefail
cd "$(dirname "$0")/../../.."

cargo test --locked -p karafka-engine -- --skip every_schedule
cargo test --locked -p karafka-schedule
# The seeds and the speed are worth a line, so that they can be run again.
SIM_SEEDS=${SIM_SEEDS:-20000} cargo test --locked -p karafka-engine --test simulation -- --nocapture every_schedule
cargo test --locked -p karafka-engine --features planted --test simulation -- --nocapture planted::
