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
requires() {
    for file in "$@"; do
        printf ' -r %s' "${file%.rb}"
    done
}
if [ $# -gt 0 ] || [ -n "${FILES:-}" ]; then
    # shellcheck disable=SC2046,SC2086
    exec ruby -w -r support $(requires ${FILES:-$(cd bindings/ruby/test && ls test_*.rb)}) -e '' -- "$@"
fi

# Most tests wait most of the time: three processes are done in half the time of one. Each gets every third file.
# Started by xargs, for what a shell starts in the background ignores Ctrl-C, and so do its children.
output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT
(cd bindings/ruby/test && ls test_*.rb) | awk '{ group[NR % 3] = group[NR % 3] " -r " $1 } END { for (one in group) print group[one] }' |
    sed 's/\.rb//g' | xargs -P 3 -I{} sh -c "ruby -w -r support {} -e '' >\$(mktemp $output/XXXXXX) 2>&1" && status=0 || status=$?
cat "$output"/*
exit "$status"
