#!/bin/sh
# What `cargo cinstall` of cargo-c makes of the manifest, beside what
# bindings/install.sh installs: the same files but for the tool and the CMake
# package, the same library by its names and symbols, the same to pkg-config.
#
#   tests/install/cargo_c.sh
#
# Its .pc names libgcc_s and libc, which a program that is static in all can't
# have: those take the .pc of install.sh.

set -eu

cd "$(dirname "$0")/../.."
: "${CC:=cc}"
build=${CARGO_TARGET_DIR:-$PWD/target}/debug
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
theirs=$scratch/theirs/usr
ours=$scratch/ours/usr

bindings/build.sh --quiet
DESTDIR=$scratch/ours sh bindings/install.sh /usr "$build" >/dev/null
# Where the library of the tests is, cargo-c would put another.
CARGO_TARGET_DIR=$build/../cargo-c cargo cinstall --locked --profile dev \
    --destdir "$scratch/theirs" --prefix /usr --libdir /usr/lib

files() { (cd "$1" && find include lib ! -type d ! -path '*/cmake/*' | sort); }
files "$ours" >"$scratch/files"
files "$theirs" | diff "$scratch/files" -
diff -r "$ours/include" "$theirs/include"

library() {
    readelf -d "$1/lib/libepochwal.so" | grep -e SONAME -e FLAGS_1 | sed 's/^ *//'
    nm -D --defined-only "$1/lib/libepochwal.so" | awk '{print $3}' | sort
}
library "$ours" >"$scratch/library"
grep -q SONAME "$scratch/library"
library "$theirs" | diff "$scratch/library" -

told() {
    export PKG_CONFIG_PATH="$1/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$2"
    pkg-config --modversion --print-provides epochwal
    pkg-config --cflags --libs epochwal | sed "s|$2||g"
    sed -n 's/^Description: //p' "$1/lib/pkgconfig/epochwal.pc"
}
told "$ours" "$scratch/ours" >"$scratch/told"
told "$theirs" "$scratch/theirs" | diff "$scratch/told" -

# A program of a user, with the shared library and with the archive.
printf 'a\nb\n' >"$scratch/records"
printf '1 a\n2 b\npruned through 2\n' >"$scratch/expected"
export PKG_CONFIG_PATH="$theirs/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$scratch/theirs"
# shellcheck disable=SC2046
$CC -std=c99 examples/c/primary.c -pthread -o "$scratch/shared" \
    $(pkg-config --cflags --libs epochwal) -Wl,-rpath,"$theirs/lib"
# shellcheck disable=SC2046
$CC -std=c99 examples/c/primary.c -pthread -o "$scratch/archive" \
    $(pkg-config --static --cflags --libs epochwal | sed 's/-lepochwal/-l:libepochwal.a/')
for program in shared archive; do
    "$scratch/$program" "$scratch/$program.db" <"$scratch/records" | diff "$scratch/expected" -
done
echo "$(wc -l <"$scratch/files") files, as bindings/install.sh has them"
