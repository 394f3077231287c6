#!/usr/bin/env bash
# run.sh [words]: plays the scenarios of scenarios.json (those whose names contain the words) in Rust, C, Ruby and Python, each in
# a process of its own with its own embedded broker, and compares what they saw with the table and with each other.
#
# CARGO_FLAGS replaces the features and profile to build with, LANGUAGES the languages, PYTHON and RUBY the interpreters.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."

read -ra flags <<<"${CARGO_FLAGS:---no-default-features --features system-ssl}"
read -ra languages <<<"${LANGUAGES:-rust c ruby python}"
words=${1:-}
# A scenario gives up after its own deadlines; this one is for a runner that hangs.
limit=600
target=${CARGO_TARGET_DIR:-$PWD/target}
profile=debug
[[ " ${flags[*]} " == *" --release "* ]] && profile=release
built=$target/$profile
stage=$target/parity
python=${PYTHON:-}
if [ -z "$python" ]; then
    python=python3
    [ -x .deps/venv/bin/python ] && python=$PWD/.deps/venv/bin/python
fi
# One value everywhere, or every step builds the Python extension again.
export PYO3_BUILD_EXTENSION_MODULE=1
table=$here/scenarios.json
mkdir -p "$stage"

build() {
    cargo build --locked --quiet "$@" "${flags[@]}"
}

# Each language: what it needs, then its runner.
build_rust() {
    build -p libkarafka-tests --bin parity-rust
}
run_rust() {
    timeout "$limit" "$built/parity-rust" "$table" "$words"
}

build_c() {
    build -p karafka-ffi
    # Programs look for the library by its SONAME.
    ln -sf "$built/libkarafka.so" "$stage/libkarafka.so.0"
    ${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -O1 -g -I include -o "$stage/run-c" "$here"/c/*.c \
        -L "$built" -Wl,-rpath,"$stage" -lkarafka -lpthread
    "$python" "$here/judge.py" flat "$table" >"$stage/scenarios.txt"
}
run_c() {
    timeout "$limit" "$stage/run-c" "$stage/scenarios.txt" "$words"
}

build_ruby() {
    build -p libkarafka
    mkdir -p "$stage/ruby"
    ln -sf "$built/liblibkarafka.so" "$stage/ruby/libkarafka.so"
}
run_ruby() {
    RUBYLIB=$stage/ruby:$PWD/bindings/ruby/lib timeout "$limit" "${RUBY:-ruby}" -w "$here/run.rb" "$table" "$words"
}

build_python() {
    build -p libkarafka-python
    rm -rf "$stage/python"
    mkdir -p "$stage/python"
    cp -r bindings/python/libkarafka "$stage/python/"
    cp "$built/lib_native.so" "$stage/python/libkarafka/_native.abi3.so"
}
run_python() {
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$stage/python timeout "$limit" "$python" "$here/run.py" "$table" "$words"
}

for language in "${languages[@]}"; do
    "build_$language"
done

results=()
declare -A runners
for language in "${languages[@]}"; do
    ("run_$language" >"$stage/$language.jsonl") &
    runners[$language]=$!
    results+=("$language=$stage/$language.jsonl")
done
crashed=()
for language in "${languages[@]}"; do
    wait "${runners[$language]}" || crashed+=("$language ended with $?")
done

status=0
"$python" "$here/judge.py" compare "$table" "${results[@]}" "$words" || status=1
for crash in ${crashed[@]+"${crashed[@]}"}; do
    echo "the runner of $crash"
    status=1
done
exit $status
