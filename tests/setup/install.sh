#!/usr/bin/env bash
# install.sh NEED...: makes sure that what the needs ask for is on this machine, and is quick when it is.
#
#   build   compilers, OpenSSL, zlib, Ruby and Python to build everything with
#   demo    the flights that `make demo` processes
#   test    what the test suites need beside that: valgrind, kcat, pytest, ...
#   bench   the peer that `make bench` runs
#   kafka   Java and the jars of a real Apache Kafka
#   nightly a nightly Rust with Miri and its own sources, for `make miri`, `make sanitize` and `make fuzz`
#   proxy   Toxiproxy, built where there is Go; what needs it is skipped where there is none
#   kfake   a broker of Go with transactions (tests/kfake), built where there is Go, too
#
# Debian packages are installed where that is allowed (root, or sudo without a password), else listed. Everything else
# goes to .deps/ in the source tree.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=tests/setup
deps=$PWD/.deps

say() { printf 'set-up: %s\n' "$*"; }
has() { command -v "$1" >/dev/null 2>&1; }

# ---- what can be missing: a check each ------------------------------------------------------------------------------

has_rust() { has cargo && printf '1.88\n%s\n' "$(cargo --version | cut -d' ' -f2)" | sort --version-sort --check=quiet; }
has_rust_tools() { cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1; }
has_nightly() { has rustup && rustup run nightly cargo --version >/dev/null 2>&1; }
has_nightly_parts() {
    local parts
    parts=$(rustup component list --toolchain nightly --installed 2>/dev/null) && [[ $parts == *miri* && $parts == *rust-src* ]]
}
has_ruby() { has ruby && ruby -e 'exit RUBY_VERSION.split(".").first(2).map(&:to_i).<=>([3, 1]) >= 0' 2>/dev/null; }
has_ruby_headers() { has_ruby && ruby -rrbconfig -e 'exit File.exist?(RbConfig::CONFIG["rubyhdrdir"] + "/ruby.h")'; }
has_minitest() { has_ruby && ruby -e 'require "minitest"' 2>/dev/null; }
has_python() { has python3 && python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; }
has_venv() { has_python && python3 -c 'import venv, ensurepip' 2>/dev/null; }
has_library() { has pkg-config && pkg-config --exists "$1"; }
# Not libclang-cpp, which is another library, and there wherever LLVM is.
has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] ||
        [[ $(ldconfig -p 2>/dev/null; compgen -G '/usr/lib/llvm-*/lib/libclang*.so*') =~ libclang(-[0-9.]+)?\.so ]]
}
java_command() { if [ -n "${JAVA_HOME:-}" ] && [ -x "$JAVA_HOME/bin/java" ]; then echo "$JAVA_HOME/bin/java"; else echo java; fi; }
has_java() {
    local version
    has "$(java_command)" || return 1
    version=$("$(java_command)" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
    [ "${version:-0}" -ge 17 ]
}

# need PACKAGE WHAT CHECK...: remembers WHAT and the Debian package that has it (if one does), when the check fails.
packages=()
missing=()
need() {
    local package=$1 what=$2
    shift 2
    "$@" && return
    missing+=("$what")
    [ -z "$package" ] || packages+=("$package")
}

look_for() {
    packages=()
    missing=()
    local one
    for one in "$@"; do
        case $one in
        build)
            need '' 'Rust 1.88 or newer (cargo), from rustup' has_rust
            need build-essential 'a C compiler (cc)' has cc
            need build-essential 'a C++ compiler (c++)' has c++
            need build-essential 'make' has make
            need pkg-config 'pkg-config' has pkg-config
            need libssl-dev 'the headers of OpenSSL' has_library openssl
            need zlib1g-dev 'the headers of zlib' has_library zlib
            need libclang-dev 'libclang, which reads the headers of Ruby' has_libclang
            need ruby 'Ruby 3.1 or newer' has_ruby
            need ruby-dev 'the headers of Ruby' has_ruby_headers
            need python3 'Python 3.11 or newer, as python3' has_python
            ;;
        demo | bench) need python3-venv 'the Python module venv' has_venv ;;
        test)
            need '' 'rustfmt and clippy: rustup component add rustfmt clippy' has_rust_tools
            need python3-venv 'the Python module venv' has_venv
            need ruby-minitest 'minitest, for the Ruby suite' has_minitest
            need valgrind 'valgrind' has valgrind
            need kcat 'kcat' has kcat
            ;;
        kafka)
            need default-jre-headless 'Java 17 or newer' has_java
            need maven 'Maven (mvn)' has mvn
            ;;
        nightly)
            need '' 'rustup, which installs a nightly Rust' has rustup
            need '' 'a nightly Rust: rustup toolchain install nightly --profile minimal' has_nightly
            need '' 'Miri and the sources of Rust: rustup component add --toolchain nightly miri rust-src' has_nightly_parts
            ;;
        proxy | kfake) ;;
        *)
            echo "install.sh: unknown need '$one'; known: build demo test bench kafka nightly proxy kfake" >&2
            exit 2
            ;;
        esac
    done
}

# ---- Debian packages ------------------------------------------------------------------------------------------------

install_packages() {
    look_for "$@"
    if [ ${#packages[@]} -gt 0 ] && may_install; then
        say "installing $(each_once "${packages[@]}")"
        mkdir -p "$deps"
        if ! { apt update && apt install -y --no-install-recommends "${packages[@]}"; } >"$deps/apt.log" 2>&1; then
            tail -n 20 "$deps/apt.log" >&2
        fi
        look_for "$@"
    fi
    [ ${#missing[@]} -eq 0 ] && return
    {
        echo 'libkarafka needs these, and cannot install them here by itself:'
        printf '  - %s\n' "${missing[@]}"
        if [ ${#packages[@]} -gt 0 ]; then
            echo 'On Debian or Ubuntu:'
            echo "  sudo apt-get update && sudo apt-get install --no-install-recommends $(each_once "${packages[@]}")"
        fi
    } >&2
    exit 1
}

is_root() { [ "$(id -u)" -eq 0 ]; }
may_install() { has apt-get && { is_root || sudo -n true 2>/dev/null; }; }
each_once() { printf '%s\n' "$@" | sort -u | paste -s -d ' '; }

apt() {
    local as_root=()
    is_root || as_root=(sudo -n)
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

# Installs what rustup can get; what is still missing is said by look_for.
install_nightly() {
    has rustup || return 0
    mkdir -p "$deps"
    has_nightly || { say 'installing a nightly Rust' && rustup toolchain install nightly --profile minimal; } >"$deps/rustup.log" 2>&1 || true
    has_nightly_parts || rustup component add --toolchain nightly miri rust-src >>"$deps/rustup.log" 2>&1 || true
}

# ---- .deps ----------------------------------------------------------------------------------------------------------

# is_current STAMP FILE: whether what FILE describes was set up by exactly this FILE.
is_current() { cmp -s "$1" "$2"; }

make_venv() {
    local is_of
    # A virtual environment dies with the Python it was made from.
    is_of=$(python3 -c 'import sys; print(sys.version, sys.base_prefix)')
    if ! [ -x "$deps/venv/bin/python" ] || [ "$(cat "$deps/venv/made-by" 2>/dev/null)" != "$is_of" ]; then
        say 'making a Python environment in .deps/venv'
        rm -rf "$deps/venv"
        python3 -m venv "$deps/venv"
        echo "$is_of" >"$deps/venv/made-by"
    fi
}

install_requirements() {
    local list=$here/requirements-$1.txt stamp=$deps/venv/requirements-$1.txt
    make_venv
    is_current "$stamp" "$list" && return
    say "installing $list"
    "$deps/venv/bin/python" -m pip install --quiet --disable-pip-version-check --use-pep517 --no-deps --requirement "$list"
    cp "$list" "$stamp"
}

fetch_kafka() {
    local list=$here/kafka/pom.xml
    is_current "$deps/kafka/pom.xml" "$list" && return
    say 'fetching the jars of Apache Kafka'
    rm -rf "$deps/kafka"
    mkdir -p "$deps"
    mvn --quiet --batch-mode --file "$list" dependency:copy-dependencies -DoutputDirectory="$deps/kafka/lib"
    cp "$list" "$deps/kafka/pom.xml"
}

build_toxiproxy() {
    local module=github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0 stamp=$deps/toxiproxy/module
    [ "$(cat "$stamp" 2>/dev/null)" = "$module" ] && return
    if ! has go; then
        say 'there is no Go here: behaviour behind a proxy will be skipped'
        return
    fi
    say 'building Toxiproxy'
    if GOBIN=$deps/toxiproxy go install "$module" >"$deps/toxiproxy.log" 2>&1; then
        echo "$module" >"$stamp"
    else
        tail -n 5 "$deps/toxiproxy.log" >&2
        say 'Toxiproxy could not be built: behaviour behind a proxy will be skipped'
    fi
}

build_kfake() {
    local source=tests/kfake stamp=$deps/kfake/source
    is_current "$stamp" <(cat "$source"/go.sum "$source"/main.go) && return
    if ! has go; then
        say 'there is no Go here: behaviour on kfake will be skipped'
        return
    fi
    say 'building kfake'
    mkdir -p "$deps/kfake"
    # Unoptimized, as debug builds are: half of the time that it takes.
    if go build -C "$source" -gcflags='github.com/twmb/franz-go/...=-N -l' -ldflags='-s -w' -o "$deps/kfake/server" . \
        >"$deps/kfake.log" 2>&1; then
        cat "$source"/go.sum "$source"/main.go >"$stamp"
    else
        tail -n 5 "$deps/kfake.log" >&2
        say 'kfake could not be built: behaviour on it will be skipped'
    fi
}

# ---------------------------------------------------------------------------------------------------------------------

[[ " $* " == *" nightly "* ]] && install_nightly
install_packages "$@"
for one in "$@"; do
    case $one in
    demo | test | bench) install_requirements "$one" ;;
    kafka) fetch_kafka ;;
    proxy) build_toxiproxy ;;
    # Beside what waits for downloads.
    kfake) build_kfake & ;;
    esac
done
wait
