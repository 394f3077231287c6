#!/usr/bin/env bash
# miri.sh: the engine's tests and those of the ABI's handles, interpreted by Miri, which finds what Rust calls undefined.
#
# Miri is some hundred times slower than the processor, so property tests draw few cases here. `make miri` runs it.
set -euo pipefail
cd "$(dirname "$0")/../.."
tests/setup/install.sh nightly
# Registries last as long as the process, and so does what some tests leak to have it for ever.
export MIRIFLAGS=${MIRIFLAGS:--Zmiri-disable-isolation -Zmiri-ignore-leaks}
export PROPTEST_CASES=${PROPTEST_CASES:-2} PROPTEST_MAX_SHRINK_ITERS=0
miri=(cargo +nightly miri test --quiet --locked --target-dir target/miri)

echo '==== the handles of the C ABI, over a client that is made up'
for seed in ${MIRI_SEEDS:-0 1 2}; do
    MIRIFLAGS="$MIRIFLAGS -Zmiri-seed=$seed" "${miri[@]}" -p libkarafka-handles
done
echo '==== the engine'
# Sizes are smaller here, by `cfg!(miri)`. Not the simulator, the model and the product of all policies, which take hours and run
# the same lines as the others.
for part in --lib '--test rules commits::' '--test rules dispatch::' '--test rules ledger::' '--test rules life::' '--test rules metadata::' '--test rules retry::' \
    '--test rules transactions::'; do
    # shellcheck disable=SC2086
    "${miri[@]}" -p karafka-engine $part
done
