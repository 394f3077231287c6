#!/usr/bin/env bash
# run.sh [words]: builds what the examples of docs/options need, and runs them (those of pages whose names contain a word).
set -euo pipefail
cd "$(dirname "$0")/../.."
read -ra flags <<<"${CARGO_FLAGS:---no-default-features --features system-ssl}"
target=${CARGO_TARGET_DIR:-$PWD/target}
export BUILT=$target/debug STAGE=$target/docs PYO3_BUILD_EXTENSION_MODULE=1
python=${PYTHON:-}
if [ -z "$python" ]; then
    python=python3
    [ -x .deps/venv/bin/python ] && python=$PWD/.deps/venv/bin/python
fi
cargo build --locked --quiet -p karafka-ffi -p libkarafka -p libkarafka-python "${flags[@]}"
rm -rf "$STAGE"
mkdir -p "$STAGE/ruby" "$STAGE/python"
# Programs look for the library by its SONAME.
ln -sf "$BUILT/libkarafka.so" "$STAGE/libkarafka.so.0"
ln -sf "$BUILT/liblibkarafka.so" "$STAGE/ruby/libkarafka.so"
cp -r bindings/python/libkarafka "$STAGE/python/"
cp "$BUILT/lib_native.so" "$STAGE/python/libkarafka/_native.abi3.so"
export RUBYLIB=$STAGE/ruby:$PWD/bindings/ruby/lib PYTHONPATH=$STAGE/python PYTHONDONTWRITEBYTECODE=1
# Ruby's global producer and the like know no other way to be told where the broker is.
export BROKERS=
"$python" tests/docs/run.py "$@"
