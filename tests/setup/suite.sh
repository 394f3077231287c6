#!/usr/bin/env bash
# suite.sh: every test of libkarafka, the quick ones first. `make test` runs it.
#
# ONLY="ruby python" runs these steps only. A step that fails does not keep the others from running: the last lines say
# which steps failed, and before them which tests and why. Each step prints what its test runner prints, and leaves it in
# target/steps/.
set -uo pipefail
# Each step gets a process group of its own, so that it can be ended whole.
set -m
cd "$(dirname "$0")/../.."

step_limit=900
logs=${CARGO_TARGET_DIR:-$PWD/target}/steps
mkdir -p "$logs"
read -ra features <<<"${CARGO_FLAGS:---no-default-features --features system-ssl}"
# Cargo gives a dependency those features that the packages of one command ask for together: other packages, other features,
# and everything above is compiled anew. So every step names the same ones, and chooses by targets.
core=(-p karafka -p karafka-cli -p karafka-encryption -p karafka-ffi -p libkarafka -p libkarafka-fuzz -p libkarafka-python
    -p libkarafka-tests "${features[@]}")
export CARGO_FLAGS="${core[*]}"
export PYO3_BUILD_EXTENSION_MODULE=1
export CARGO_TERM_PROGRESS_WHEN=never

began=$SECONDS
results=()
failed=()
running=

stop() {
    [ -n "$running" ] && kill -TERM -- "-$running" 2>/dev/null
    echo "stopped in the middle; done so far:"
    summary
    exit 130
}
trap stop INT TERM

summary() {
    printf '  %s\n' ${results[@]+"${results[@]}"}
}

# step NAME WHAT COMMAND...
step() {
    local name=$1 what=$2 start=$SECONDS status
    shift 2
    if [ -n "${ONLY:-}" ] && [ "$name" != set-up ] && [[ " $ONLY " != *" $name "* ]]; then
        return
    fi
    printf '\n==== %s: %s (at %d s)\n' "$name" "$what" $((start - began))
    : >"$logs/$name.log"
    timeout --kill-after=30 "$step_limit" "$@" >>"$logs/$name.log" 2>&1 &
    running=$!
    # By way of the file, for a pipe would wait for whatever a step leaves running.
    tail -n +1 -f -s 0.2 --pid=$running "$logs/$name.log" &
    local shown=$!
    wait "$running"
    status=$?
    running=
    wait "$shown"
    local result='ok'
    if [ $status -ne 0 ]; then
        result="FAILED with $status"
        [ $status -eq 124 ] && result="FAILED: not done after $step_limit s"
        failed+=("$name")
    fi
    results+=("$(printf '%-10s %4d s  %s' "$name" $((SECONDS - start)) "$result")")
    [ $status -eq 0 ]
}

# Without what the library says to people about misuse, of which some tests are full.
quietly=(bash -c '"$@" 2> >(grep -v "^libkarafka: " >&2)' quietly)

step set-up 'what is missing on this machine' tests/setup/install.sh kfake build demo test kafka proxy || {
    echo 'make test: FAILED in set-up'
    exit 1
}

step format 'rustfmt' cargo fmt --all --check
# What is tested only by name is no part of all targets.
step clippy 'clippy, warnings are errors' bash -c '
    cargo clippy --locked --workspace --all-targets "$@" -- -D warnings &&
        cargo clippy --locked --workspace --test behaviour --test replay "$@" -- -D warnings' clippy "${features[@]}"
step engine 'the decisions: examples, properties, 20,000 new simulated schedules, planted defects' \
    core/engine/tests/run.sh
step loom 'waking protocols under every interleaving' cargo test --locked -p libkarafka-loom
step shuttle 'queue, seats, revocation and end under random schedules' cargo test --locked -p libkarafka-shuttle
step handles 'the handles of the C ABI, over a client that is made up' "${quietly[@]}" cargo test --locked -p libkarafka-handles
step fuzz 'what fuzzing has found and reached, replayed' \
    "${quietly[@]}" cargo test --locked "${core[@]}" --test replay
step runtime 'encryption, the runtime, the C ABI and the command, with the examples of the reference; the judges' \
    cargo test --locked "${core[@]}"
step abi 'the header and the exported symbols are unchanged' tests/abi/run.sh
step c 'C, on the embedded broker' ffi/tests/run.sh
step ruby 'Ruby, on the embedded broker' bindings/ruby/test/run.sh
step python 'Python, on the embedded broker' bindings/python/tests/run.sh
step parity 'one scenario table in every language' tests/parity/run.sh
step docs 'every example of the documentation' tests/docs/run.sh
step behaviour 'behaviour on a real Apache Kafka' tests/behaviour/run.sh

for name in ${failed[@]+"${failed[@]}"}; do
    printf '\n==== what failed in %s (all that it said: %s)\n' "$name" "$logs/$name.log"
    awk -f tests/setup/failures.awk "$logs/$name.log"
done
printf '\n==== %d s in all\n' $((SECONDS - began))
summary
if [ ${#failed[@]} -gt 0 ]; then
    echo "make test: FAILED in ${failed[*]}"
    exit 1
fi
echo 'make test: all good'
