#!/usr/bin/env bash
# run.sh: what programs rely on is unchanged: the header, exported symbols, SONAME, layout of structs, numbers of enums.
#
# After a change that is wanted: `tests/abi/run.sh --write` refreshes include/karafka.h and symbols.txt; layout.c is changed
# by hand, and so is the ABI number in ffi/build.rs and ffi/src/version.rs when programs break.
set -uo pipefail
cd "$(dirname "$0")/../.."
read -ra cargo_flags <<<"${CARGO_FLAGS:---no-default-features --features system-ssl}"
here=tests/abi
built=$PWD/${CARGO_TARGET_DIR:-target}/debug
[[ "${CARGO_TARGET_DIR:-}" == /* ]] && built=$CARGO_TARGET_DIR/debug
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0
failed=0

check() {
    local what=$1
    shift
    if "$@" >"$scratch/output" 2>&1; then
        echo "ok: $what"
        passed=$((passed + 1))
    else
        echo "FAILED: $what"
        sed 's/^/    /' "$scratch/output"
        failed=$((failed + 1))
    fi
}

cargo build --locked -p karafka-ffi "${cargo_flags[@]}" || exit 1
nm -D --defined-only "$built/libkarafka.so" | awk '{ print $3 }' | LC_ALL=C sort >"$scratch/symbols.txt"
if [ "${1:-}" = --write ]; then
    export KARAFKA_WRITE_HEADER=1
    cp "$scratch/symbols.txt" "$here/symbols.txt"
fi

compiles() {
    local compiler=$1
    shift
    "$compiler" "$@" -Wall -Wextra -Werror -pedantic -Iinclude -fsyntax-only "$here/layout.c"
}

declared_is_exported() {
    grep -oE '\bkarafka_[a-z0-9_]+\(' include/karafka.h | tr -d '(' | LC_ALL=C sort -u | diff - "$here/symbols.txt"
}

soname() {
    readelf -d "$built/libkarafka.so" | grep -F 'SONAME' | grep -F '[libkarafka.so.0]'
}

layout() {
    cc -std=c99 -Iinclude "$here/layout.c" -L"$built" -lkarafka -o "$scratch/layout" &&
        ln -sf "$built/libkarafka.so" "$scratch/libkarafka.so.0" && LD_LIBRARY_PATH=$scratch "$scratch/layout"
}

only_own_symbols() {
    ! grep -v '^karafka_' "$scratch/symbols.txt"
}

check 'the header is the generated one' cargo test --locked -q -p karafka-ffi "${cargo_flags[@]}" --test header
check 'the header compiles as C99' compiles cc -std=c99
check 'the header compiles as C11' compiles cc -std=c11
check 'the header compiles as C++17' compiles c++ -x c++ -std=c++17
check 'the exported symbols are those of symbols.txt' diff "$here/symbols.txt" "$scratch/symbols.txt"
check 'nothing but karafka_ is exported' only_own_symbols
check 'the header declares what is exported' declared_is_exported
check 'the SONAME is libkarafka.so.0' soname
check 'structs, numbers and versions are unchanged' layout

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
