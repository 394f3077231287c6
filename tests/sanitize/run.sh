#!/usr/bin/env bash
# run.sh [thread] [address] [runtime] [c] [ruby] [python]: the suites under ThreadSanitizer and AddressSanitizer.
#
# Everything that is compiled here is instrumented: the Rust crates with the standard library (for threads), and librdkafka.
# The interpreters are not; the sanitizer is loaded before them. Nothing named means everything. `make sanitize` runs it.
set -uo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
out=$root/target/sanitize
machine=x86_64-unknown-linux-gnu
read -ra cargo_flags <<<"${CARGO_FLAGS:---no-default-features --features system-ssl}"
results=$out/results-$$.txt

wants() {
    local given=" $wanted " one
    [[ $given == *" $1 "* ]] && return
    # A kind without suites means all suites, and the other way round.
    shift
    for one in "$@"; do
        [[ $given == *" $one "* ]] && return 1
    done
    return 0
}
wanted=$*

# note NAME STATUS LOG: what a suite said; a report of the sanitizer fails it whatever it returned.
note() {
    local name=$1 ended=$2 log=$3 reports
    reports=$(grep -cE '^(WARNING: ThreadSanitizer|==[0-9]+==ERROR: (Address|Leak)Sanitizer)' "$log")
    if [ "$ended" -eq 0 ] && [ "$reports" -eq 0 ]; then
        echo "ok      $name: $(tail -n 40 "$log" | grep -oE '[0-9]+ (passed|runs,.*|tests?,.*)' | tail -n 1)" >>"$results"
    else
        echo "FAILED  $name: ended with $ended, $reports reports; see ${log#"$root/"}" >>"$results"
        grep -E '^(SUMMARY: |test .* FAILED|FAILED)' "$log" | sort | uniq -c | sort -rn | head -n 20
    fi
}

suite() {
    local name=$1 log
    shift
    log=$out/$(tr ' ' '-' <<<"$name").log
    printf '\n==== %s\n' "$name"
    # A function limits its programs itself.
    local limit=(timeout --kill-after=30 900)
    [ "$(type -t "$1")" = function ] && limit=()
    "${limit[@]}" "$@" >"$log" 2>&1
    note "$name" $? "$log"
}

# What to load before an interpreter: the runtime of the C compiler, for that of the nightly one comes for programs only. It is
# older and lacks three names, which do as the C library does, and that it watches.
preloaded() {
    local kind=$1 library
    library=$(cc -print-file-name="lib$kind.so")
    if [ "$kind" = tsan ]; then
        cc -shared -fPIC -O1 -fno-builtin -x c - -o "$out/more-tsan.so" <<'MORE'
#include <string.h>
void *__tsan_memcpy(void *to, const void *from, size_t size) { return memcpy(to, from, size); }
void *__tsan_memmove(void *to, const void *from, size_t size) { return memmove(to, from, size); }
void *__tsan_memset(void *to, int byte, size_t size) { return memset(to, byte, size); }
MORE
        library="$library $out/more-tsan.so"
    fi
    echo "$library"
}

# C programs are linked with the same runtime as the library.
c_suite() {
    local kind=$1 flag=$2 archive program failed=0
    archive=$(rustc +nightly --print target-libdir --target $machine)/librustc-nightly_rt.$kind.a
    for program in misuse producer producing consume completion lifecycle observe fork; do
        cc -std=gnu99 -g -O1 -fno-omit-frame-pointer "$flag" -Iinclude -c "ffi/tests/c/$program.c" -o "$built/c-$program.o" &&
            c++ -o "$built/c-$program" "$built/c-$program.o" "$built/libkarafka.a" \
                -Wl,--whole-archive "$archive" -Wl,--no-whole-archive -Wl,--export-dynamic \
                -lssl -lcrypto -lz -lpthread -ldl -lm -lrt -lresolv && {
            # A forked child leaves alone what it inherited.
            ASAN_OPTIONS="$ASAN_OPTIONS:detect_leaks=$([ $program = fork ] && echo 0 || echo 1)" \
                timeout --kill-after=10 300 "$built/c-$program"
        }
        local ended=$?
        echo "$program ended with $ended"
        [ $ended -eq 0 ] || failed=1
    done
    return $failed
}

sanitize() {
    local name=$1 kind=$2 flag=-fsanitize=$1 std=() suppress=
    export CARGO_TARGET_DIR=$out/$name
    built=$CARGO_TARGET_DIR/$machine/debug
    mkdir -p "$CARGO_TARGET_DIR"
    export RUSTFLAGS="-Zsanitizer=$name"
    # librdkafka: instrumented, with libc's allocator, and with threads of pthread, since the sanitizers know no others.
    export KARAFKA_ALLOCATOR=libc CPPFLAGS=-D_THREADS_H PYO3_BUILD_EXTENSION_MODULE=1
    export CFLAGS="$flag -g -O1 -fno-omit-frame-pointer -D_THREADS_H" CXXFLAGS="$flag -g -O1"
    if [ "$name" = thread ]; then
        # Else the standard library's own synchronisation is not seen.
        std=(-Zbuild-std)
    fi
    export TSAN_OPTIONS="exitcode=66 history_size=4 die_after_fork=0 suppressions=$root/tests/sanitize/thread.supp"
    export ASAN_OPTIONS="detect_stack_use_after_return=1:symbolize=1"
    local build=(cargo +nightly build --locked "${std[@]}" --target $machine "${cargo_flags[@]}")
    if wants runtime c ruby python; then
        local tests=(cargo +nightly test --locked "${std[@]}" --target $machine -p karafka "${cargo_flags[@]}" --test runtime)
        # Built before, for the limit is that of the suite.
        "${tests[@]}" --no-run || exit 1
        suite "$name runtime" "${tests[@]}" -- --test-threads=2
    fi
    if wants c runtime ruby python; then
        "${build[@]}" -p karafka-ffi --lib || exit 1
        suite "$name c" c_suite "$kind" "$flag"
    fi
    local runtime options
    runtime=$(preloaded "$kind")
    # A program that is forced to stop leaves clients behind that handlers may still use.
    export TSAN_OPTIONS="$TSAN_OPTIONS report_thread_leaks=0"
    # In a fork's child, ThreadSanitizer still counts the parent's threads, and ends it when one of its own is at the same
    # address ("dup thread with used id"). AddressSanitizer runs the tests that are left out for it below.
    # What an interpreter keeps until its end is no leak of ours. Ruby gives its threads stacks for signals, and AddressSanitizer
    # would unmap them as its own.
    export ASAN_OPTIONS="detect_leaks=0:use_sigaltstack=0:symbolize=0" CARGO_FLAGS="--target $machine ${std[*]} ${cargo_flags[*]}"
    if wants ruby runtime c python; then
        "${build[@]}" -p libkarafka || exit 1
        mkdir -p "$built/ruby"
        ln -sf "$built/liblibkarafka.so" "$built/ruby/libkarafka.so"
        options=(-v)
        [ "$name" = thread ] && options+=(--exclude "/test_handles_of_the_parent_refuse_to_work_and_new_ones_work|test_a_child_opens_its_parents_producer_again/")
        # Ruby ends a killed thread, also one that is blocked when the program ends, by a jump that AddressSanitizer does not see: it
        # takes what the frames held for still in use, and reports whoever uses that part of the stack next.
        [ "$name" = address ] && options+=(--exclude "/killed|test_ending_with_blocked_workers/")
        # Unbuffered: the log of a run that ends early tells in which test.
        suite "$name ruby" env LD_PRELOAD="$runtime" RUBYLIB="$built/ruby:$root/bindings/ruby/lib:$root/bindings/ruby/test" \
            ruby -w -r support $(cd bindings/ruby/test && ls test_*.rb | sed 's/^/-r /; s/\.rb$//') \
            -e '$stdout.sync = true' -- "${options[@]}"
    fi
    if wants python runtime c ruby; then
        "${build[@]}" -p libkarafka-python || exit 1
        rm -rf "$built/python"
        mkdir -p "$built/python"
        cp -r bindings/python/libkarafka "$built/python/libkarafka"
        cp "$built/lib_native.so" "$built/python/libkarafka/_native.abi3.so"
        options=(-v)
        [ "$name" = thread ] && options+=(-k "not os_fork_leaves_a_child and not forked_child_is_refused and not opens_its_parents_producer")
        suite "$name python" env LD_PRELOAD="$runtime" PYTHONPATH="$built/python" PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
            "$root/.deps/venv/bin/python" -m pytest -c bindings/python/tests/pytest.ini "${options[@]}" bindings/python/tests
    fi
}

tests/setup/install.sh build test nightly || exit 1
mkdir -p "$out"
rm -f "$results"
# A subshell each: they set what compilers and programs read from the environment.
for one in 'thread tsan' 'address asan'; do
    read -r name kind <<<"$one"
    others=$([ "$name" = thread ] && echo address || echo thread)
    wants "$name" "$others" && { (sanitize "$name" "$kind") || echo "FAILED  $name: does not build" >>"$results"; }
done
echo
cat "$results"
! grep -q '^FAILED' "$results"
