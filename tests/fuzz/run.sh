#!/usr/bin/env bash
# run.sh [metadata] [configuration] [encryption] [abi]: feeds each target with arbitrary bytes for FUZZ_SECONDS (60), guided by coverage.
#
# Starts from tests/fuzz/corpus and what earlier runs found (target/fuzz/corpus). An input that fails is kept in
# target/fuzz/found, and FUZZ_INPUT=that cargo test -p libkarafka-fuzz NAME replays it on any compiler. MINIMIZE=1 adds the
# fewest inputs that reach what the corpus does not to tests/fuzz/corpus. `make fuzz` runs it.
set -uo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
seconds=${FUZZ_SECONDS:-60}
out=$root/target/fuzz
machine=x86_64-unknown-linux-gnu
read -ra cargo_flags <<<"${CARGO_FLAGS:---no-default-features --features system-ssl}"
targets=("$@")
[ $# -eq 0 ] && targets=(metadata configuration encryption abi)

tests/setup/install.sh build nightly || exit 1
# C is instrumented, too: what it finds in librdkafka is found. libc's allocator, which the sanitizer knows.
export KARAFKA_ALLOCATOR=libc CPPFLAGS=-D_THREADS_H PYO3_BUILD_EXTENSION_MODULE=1
export CFLAGS='-fsanitize=address -g -O1 -D_THREADS_H' CXXFLAGS='-fsanitize=address -g -O1'
export RUSTFLAGS="-Zsanitizer=address -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1"
cargo +nightly build --locked --quiet -p libkarafka-fuzz --bins --target $machine --target-dir "$out" "${cargo_flags[@]}" \
    --features libfuzzer || exit 1
status=0
mkdir -p "$out/found"
for target in "${targets[@]}"; do
    program=$out/$machine/debug/fuzz-$target
    corpus=$root/tests/fuzz/corpus/$target
    mkdir -p "$out/corpus/$target"
    # What the library says to people about misuse would fill the screen. librdkafka keeps memory until the process ends. An app's producer
    # whose broker is gone waits for its delivery timeout, 120 seconds: what takes longer hangs.
    ASAN_OPTIONS=detect_leaks=0 "$program" -max_total_time="$seconds" -timeout=150 -rss_limit_mb=2048 -max_len=1024 \
        -close_fd_mask=2 -print_final_stats=1 -artifact_prefix="$out/found/$target-" "$out/corpus/$target" "$corpus" \
        >"$out/$target.log" 2>&1
    ended=$?
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$out/$target.log")
    if [ $ended -eq 0 ]; then
        echo "ok      $target: ${executions:-0} executions in $seconds s"
    else
        status=1
        echo "FAILED  $target: ended with $ended; see ${out#"$root/"}/$target.log and ${out#"$root/"}/found"
        grep -E 'panicked at|ERROR: |SUMMARY|Test unit written' "$out/$target.log" | head -n 5
    fi
    if [ -n "${MINIMIZE:-}" ]; then
        # By what code is reached and not how often, or hundreds would be kept.
        ASAN_OPTIONS=detect_leaks=0 "$program" -set_cover_merge=1 -use_counters=0 -max_len=300 -close_fd_mask=3 "$corpus" \
            "$out/corpus/$target" >"$out/$target-merge.log" 2>&1 || { status=1 && echo "FAILED  $target: the corpus was not merged"; }
    fi
done
exit $status
