#!/usr/bin/env bash
# miri.sh [handles] [units] [GROUP...]: the engine's tests and those of the ABI's handles, interpreted by Miri, which finds what Rust
# calls undefined.
#
# A group is one file of core/engine/tests. Nothing named means everything. Miri is some hundred times slower than the processor,
# so property tests draw few cases here, and sizes are smaller, by `cfg!(miri)`. `make miri` runs it.
set -euo pipefail
cd "$(dirname "$0")/../.."
tests/setup/install.sh nightly
# Registries last as long as the process, and so does what some tests leak to have it for ever.
export MIRIFLAGS=${MIRIFLAGS:--Zmiri-disable-isolation -Zmiri-ignore-leaks}
export PROPTEST_CASES=${PROPTEST_CASES:-2} PROPTEST_MAX_SHRINK_ITERS=0
miri=(cargo +nightly miri test --quiet --locked --target-dir target/miri)
# Not the simulator, which takes hours and runs the same lines.
groups=(handles units)
for file in core/engine/tests/*.rs; do
    group=$(basename "$file" .rs)
    [ "$group" = rules ] || groups+=("$group")
done
[ $# -eq 0 ] || groups=("$@")

for group in "${groups[@]}"; do
    printf '\n==== %s\n' "$group"
    case $group in
    handles)
        for seed in ${MIRI_SEEDS:-0 1 2}; do
            MIRIFLAGS="$MIRIFLAGS -Zmiri-seed=$seed" "${miri[@]}" -p libkarafka-handles
        done
        ;;
    units) "${miri[@]}" -p karafka-engine --lib ;;
    *) "${miri[@]}" -p karafka-engine --test rules "$group::" ;;
    esac
done
