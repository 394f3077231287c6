#!/usr/bin/env bash
# install-library.sh: builds the C library for release and puts library, header and karafka.pc in place.
#
# PREFIX (/usr/local) is where they will be found, LIBDIR (PREFIX/lib) where the libraries among them; DESTDIR is put before
# both while copying, for packagers. `make install` runs it.
set -euo pipefail
cd "$(dirname "$0")/../.."
prefix=${PREFIX:-/usr/local}
libdir=${LIBDIR:-$prefix/lib}
to=${DESTDIR:-}
read -ra cargo_flags <<<"${CARGO_FLAGS:---no-default-features --features system-ssl}"

cargo build --locked --release -p karafka-ffi "${cargo_flags[@]}"
built=${CARGO_TARGET_DIR:-target}/release

package=$(cargo pkgid -p karafka-ffi)
version=${package##*[@#]}
description=$(sed -n 's/^description = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
soname=$(readelf -d "$built/libkarafka.so" | sed -n 's/.*(SONAME).*\[\(.*\)\]$/\1/p')
# Linked in, or needed from the system by whoever links the static library.
requires='openssl zlib'
[[ " ${cargo_flags[*]} " == *vendored* ]] && requires=

install -d "$to$libdir/pkgconfig" "$to$prefix/include"
install -m 755 "$built/libkarafka.so" "$to$libdir/libkarafka.so.$version"
install -m 644 "$built/libkarafka.a" "$to$libdir/libkarafka.a"
strip --strip-unneeded "$to$libdir/libkarafka.so.$version"
strip --strip-debug "$to$libdir/libkarafka.a"
ln -sf "libkarafka.so.$version" "$to$libdir/$soname"
ln -sf "$soname" "$to$libdir/libkarafka.so"
install -m 644 include/karafka.h "$to$prefix/include/karafka.h"
sed -e "s|@PREFIX@|$prefix|" -e "s|@LIBDIR@|$libdir|" -e "s|@VERSION@|$version|" -e "s|@DESCRIPTION@|$description|" \
    -e "s|@REQUIRES_PRIVATE@|$requires|" ffi/karafka.pc.in >"$to$libdir/pkgconfig/karafka.pc"
chmod 644 "$to$libdir/pkgconfig/karafka.pc"

echo "installed $soname (version $version), libkarafka.a, karafka.h and karafka.pc under $to$prefix"
[ -n "$to" ] || [ "$(id -u)" -ne 0 ] || ldconfig "$libdir" 2>/dev/null || true
