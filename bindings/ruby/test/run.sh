#!/bin/sh
# Builds the extension and runs its tests against it, without installing the gem. Arguments go to minitest: -n /fork/
# With FILES="test_fork test_gc" only these files run.
set -eu
root=$(cd "$(dirname "$0")/../../.." && pwd)
cd "$root"
target=${CARGO_TARGET_DIR:-$root/target}
# shellcheck disable=SC2086
cargo build -q --locked -p libkarafka ${CARGO_FLAGS:---no-default-features --features system-ssl}
mkdir -p "$target/ruby"
ln -sf "$target/debug/liblibkarafka.so" "$target/ruby/libkarafka.so"
export RUBYLIB="$target/ruby:$root/bindings/ruby/lib:$root/bindings/ruby/test"
requires=
for file in ${FILES:-$(cd bindings/ruby/test && ls test_*.rb)}; do
    requires="$requires -r ${file%.rb}"
done
# shellcheck disable=SC2086
exec ruby -w -r support $requires -e '' -- "$@"
