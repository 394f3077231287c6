#!/bin/sh
# Builds the extension with cargo, lays the package out under target/, and runs its tests there.
#
#   tests/run.sh [pytest arguments]
#
# With BROKERS=host:port the tests run against that Kafka, but for those that are programs of their own.
# The interpreter is $PYTHON, else .deps/venv/bin/python, else python3; it needs pytest, pytest-asyncio, pytest-xdist and mypy.
# CARGO_FLAGS replaces the features to build with; LIBKARAFKA_STAGE says where to lay the package out.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
if [ -z "${PYTHON:-}" ]; then
    PYTHON=python3
    if [ -x "$root/.deps/venv/bin/python" ]; then PYTHON=$root/.deps/venv/bin/python; fi
fi
target=${CARGO_TARGET_DIR:-$root/target}
stage=${LIBKARAFKA_STAGE:-$target/python}

# shellcheck disable=SC2086
(cd "$root" && cargo build --quiet -p libkarafka-python ${CARGO_FLAGS:---no-default-features --features system-ssl})

profile=debug
case " ${CARGO_FLAGS:-} " in *" --release "*) profile=release ;; esac
rm -rf "$stage/libkarafka"
mkdir -p "$stage"
cp -r "$here/../libkarafka" "$stage/libkarafka"
find "$stage/libkarafka" -name __pycache__ -prune -exec rm -rf {} +
cp "$target/$profile/lib_native.so" "$stage/libkarafka/_native.abi3.so"

export PYTHONPATH="$stage" PYTHONDONTWRITEBYTECODE=1
cd "$here"
if [ "$#" -gt 0 ]; then exec "$PYTHON" -m pytest -c "$here/pytest.ini" "$@"; fi
# Most tests wait most of the time: in four processes they take half as long.
"$PYTHON" -m pytest -c "$here/pytest.ini" -n 4 --dist worksteal "$here"
cd "$stage"
"$PYTHON" -m mypy --cache-dir "$stage/.mypy_cache" --strict -p libkarafka
"$PYTHON" -m mypy.stubtest --mypy-config-file "$here/stubtest.ini" libkarafka
