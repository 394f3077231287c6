#!/usr/bin/env bash
# run.sh: builds what the demo needs and runs it. `make demo` calls it after tests/setup/install.sh.
#
# BROKERS=host:port uses that Kafka instead of the embedded broker. CARGO_FLAGS are the features to build with.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
read -ra cargo_flags <<<"${CARGO_FLAGS:---no-default-features --features system-ssl}"
export PYO3_BUILD_EXTENSION_MODULE=1
target=${CARGO_TARGET_DIR:-$root/target}
stage=$target/demo
python=$root/.deps/venv/bin/python

cargo build --locked -p karafka-cli -p karafka-ffi -p libkarafka -p libkarafka-python "${cargo_flags[@]}"

# Each language finds the library in a directory of the demo's own; nothing is installed.
mkdir -p "$stage/lib" "$stage/ruby" "$stage/python"
cp -u "$target/debug/libkarafka.so" "$stage/lib/"
ln -sf libkarafka.so "$stage/lib/libkarafka.so.0"
cp -u "$target/debug/liblibkarafka.so" "$stage/ruby/libkarafka.so"
rm -rf "$stage/python/libkarafka"
cp -r bindings/python/libkarafka "$stage/python/libkarafka"
cp "$target/debug/lib_native.so" "$stage/python/libkarafka/_native.abi3.so"
${CC:-cc} -std=c11 -D_POSIX_C_SOURCE=200809L -O2 -Wall -Wextra -pthread -Iinclude -o "$stage/aggregate" \
    tests/demo/aggregate.c -L"$stage/lib" -lkarafka -Wl,-rpath,"$stage/lib"

export RUBYLIB=$stage/ruby:$root/bindings/ruby/lib
export PYTHONPATH=$stage/python:$root/tests/demo
export DEMO_STAGE=$stage DEMO_TOOL=$target/debug/libkarafka
exec "$python" -u "$root/tests/demo/demo.py"
