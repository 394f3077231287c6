#!/usr/bin/env bash
# run.sh: the C ABI from C programs, on the broker inside the process: plain, under valgrind, and with AddressSanitizer and
# UndefinedBehaviorSanitizer. The examples are run, too.
#
# `ffi/tests/run.sh [plain] [valgrind] [sanitized]` runs only these; ONLY_PROGRAMS="misuse fork" only these programs. What a
# program says is shown when it fails.
set -uo pipefail
cd "$(dirname "$0")/../.."
read -ra cargo_flags <<<"${CARGO_FLAGS:---no-default-features --features system-ssl}"
target=${CARGO_TARGET_DIR:-$PWD/target}
built=$target/debug
out=$target/c-tests
programs=(${ONLY_PROGRAMS:-misuse producer producing consume completion lifecycle observe fork})
ways=("$@")
[ $# -eq 0 ] && ways=(plain valgrind sanitized)
limit=240
# Most of what a program does is wait, under valgrind too: two side by side for each processor leave some of it idle.
lanes=$((2 * $(nproc)))
passed=0
failed=0

cargo build --locked -p karafka-ffi "${cargo_flags[@]}" || exit 1
mkdir -p "$out"
# Programs look for the library by its SONAME.
ln -sf "$built/libkarafka.so" "$out/libkarafka.so.0"

flags=(-std=gnu99 -g -Wall -Wextra -Werror -pedantic -Iinclude)
# What the static library needs from the system; the system's TLS only where it is not linked in.
system_libraries=(-lpthread -ldl -lm)
[[ " ${cargo_flags[*]} " == *system-ssl* ]] && system_libraries=(-lssl -lcrypto -lz "${system_libraries[@]}")
sanitize=(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)

build() {
    local way=$1 source=$2 program=$3
    case $way in
    sanitized) cc "${flags[@]}" "${sanitize[@]}" "$source" "$built/libkarafka.a" "${system_libraries[@]}" -o "$program" ;;
    *) cc "${flags[@]}" "$source" -L"$built" -lkarafka -lpthread -Wl,-rpath,"$out" -o "$program" ;;
    esac
}

run() {
    local way=$1 program=$2 leaks=full
    # A child leaves alone what it inherited, on purpose: the threads that it belongs to stayed in the parent.
    [[ $program == */fork-* ]] && leaks=no
    case $way in
    # librdkafka keeps some memory until the process ends; only what nobody can reach any more is a leak.
    valgrind)
        timeout --kill-after=10 "$limit" valgrind -q --error-exitcode=9 --leak-check=$leaks --show-leak-kinds=definite \
            --errors-for-leak-kinds=definite --child-silent-after-fork=yes --fair-sched=yes "$program"
        ;;
    sanitized)
        UBSAN_OPTIONS=print_stacktrace=1 ASAN_OPTIONS=detect_stack_use_after_return=1:detect_leaks=$([ $leaks = no ] && echo 0 || echo 1) \
            timeout --kill-after=10 "$limit" "$program"
        ;;
    plain) timeout --kill-after=10 "$limit" "$program" ;;
    esac
}

# test WAY NAME SOURCE: builds and runs a program, which says "ok: ..." for each test that has passed. Its end is left in a file.
test_program() {
    local way=$1 name=$2 source=$3
    local program=$out/$name-$way
    rm -f "$program.end"
    if ! build "$way" "$source" "$program" >"$program.log" 2>&1; then
        echo 'not built' >"$program.end"
        return
    fi
    run "$way" "$program" >"$program.log" 2>&1
    echo "$?" >"$program.end"
}

# tell WAY NAME: what became of it.
tell() {
    local way=$1 name=$2 end fine
    local program=$out/$name-$way
    end=$(cat "$program.end" 2>/dev/null || echo 'nothing at all')
    fine=$(grep -c '^ok: ' "$program.log")
    passed=$((passed + fine))
    if [ "$end" = 0 ] && [ "$fine" -gt 0 ]; then
        sed -n "s/^ok: /ok: $way: /p" "$program.log"
    else
        failed=$((failed + 1))
        echo "FAILED: $way: $name ended with $end; it said:"
        tail -n 60 "$program.log" | sed 's/^/    /'
    fi
}

# An example passes by ending well.
test_example() {
    local name=$1 status
    build plain "ffi/examples/$name.c" "$out/example-$name" || { failed=$((failed + 1)) && return; }
    shift
    "$@" "$out/example-$name" >"$out/example-$name.log" 2>&1
    status=$?
    if [ "$status" -eq 0 ]; then
        passed=$((passed + 1))
        echo "ok: example $name"
    else
        failed=$((failed + 1))
        echo "FAILED: example $name ended with $status; it said:"
        tail -n 20 "$out/example-$name.log" | sed 's/^/    /'
    fi
}

# hello reads for ever, so it is told to stop, which it has to obey: as soon as it catches SIGINT, the second signal.
interrupted() {
    "$@" embedded:// orders &
    local process=$! give_up=$((SECONDS + 60))
    until grep -qs '^SigCgt:.*[2367abef]$' "/proc/$process/status" || [ $SECONDS -gt $give_up ]; do
        sleep 0.05
    done
    kill -INT $process
    while kill -0 $process 2>/dev/null; do
        [ $SECONDS -gt $give_up ] && kill -KILL $process
        sleep 0.05
    done
    wait $process
}

for way in "${ways[@]}"; do
    for name in "${programs[@]}"; do
        while [ "$(jobs -rp | wc -l)" -ge "$lanes" ]; do
            wait -n
        done
        test_program "$way" "$name" "ffi/tests/c/$name.c" &
    done
done
wait
for way in "${ways[@]}"; do
    for name in "${programs[@]}"; do
        tell "$way" "$name"
    done
done
if [[ " ${ways[*]} " == *" plain "* ]]; then
    test_example virtual_partitions timeout "$limit"
    test_example hello interrupted
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
