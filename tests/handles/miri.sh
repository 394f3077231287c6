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
# Not the simulator, nor what counts to thousands: minutes to hours here, and they run the same lines as the others.
slow=(what_was_marked_by_other_means_is_forgotten a_message_in_flight_takes_at_most_16_bytes_and_passed_ones_none)
slow+=(consecutive_messages_take_less_than_a_byte_each partitions_take_turns)
slow+=(a_changed_byte_never_makes_an_offset_done a_byte_taken_out_or_put_in_never_makes_an_offset_done)
slow+=(a_cut_text_never_makes_an_offset_done a_default_window_at_random_leaves_a_kilobyte_to_the_user)
skipped=()
for name in "${slow[@]}"; do skipped+=(--skip "$name"); done
for part in --lib '--test commits' '--test dispatch' '--test ledger' '--test life' '--test metadata' '--test retry'; do
    # shellcheck disable=SC2086
    "${miri[@]}" -p karafka-engine $part -- "${skipped[@]}"
done
