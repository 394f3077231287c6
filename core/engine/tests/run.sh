#!/usr/bin/env bash
# run.sh: the engine's tests, 5,000 new schedules of the simulator, and the planted defects, which it has to find. Called
# by make test.
set -euo pipefail
cd "$(dirname "$0")/../../.."

cargo test --locked -p karafka-engine -- --skip every_schedule
# The seeds and the speed are worth a line, so that they can be run again.
cargo test --locked -p karafka-engine --test simulation -- --nocapture every_schedule
cargo test --locked -p karafka-engine --features planted --test simulation -- --nocapture planted::
