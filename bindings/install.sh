#!/bin/sh
# Installs the built library for C and C++, or takes it away again.
#
#   bindings/install.sh PREFIX [BUILD_DIR]
#   bindings/install.sh --uninstall PREFIX
#
# PREFIX gets include/, lib/ (shared and static library, pkg-config file, CMake
# package), and bin/epochwal with its manual and completions in share/, where
# the tool was built too. BUILD_DIR is where cargo left the library,
# target/release by default. LIBDIR is where the libraries go, from PREFIX or
# from the root: lib by default, lib64 or lib/x86_64-linux-gnu elsewhere. DESTDIR
# is put before paths that are written, not before those that are written down.

set -eu

root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
usage="usage: bindings/install.sh [--uninstall] PREFIX [BUILD_DIR]"
uninstall=
if [ "${1-}" = --uninstall ]; then
    uninstall=yes
    shift
fi
prefix=${1:?$usage}
build=${2:-${CARGO_TARGET_DIR:-$root/target}/release}
case $prefix in
/*) prefix=${prefix%/} ;;
*) prefix=$(pwd)/${prefix%/} ;;
esac
libdir=${LIBDIR:-lib}
case $libdir in
/*) libdir=${libdir%/} ;;
*) libdir=$prefix/${libdir%/} ;;
esac
dest=${DESTDIR:-}

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)
major=${version%%.*}
minor=${version#*.}
minor=${minor%%.*}
soversion=$(sed -n 's/^soname=libepochwal\.so\.//p' "$root/bindings/build.sh")
if [ -z "$version" ] || [ -z "$soversion" ]; then
    echo "install.sh: no version in Cargo.toml, or no soname in bindings/build.sh" >&2
    exit 1
fi

include=$dest$prefix/include
lib=$dest$libdir
bin=$dest$prefix/bin
man=$dest$prefix/share/man/man1
bash=$dest$prefix/share/bash-completion/completions
zsh=$dest$prefix/share/zsh/site-functions
fish=$dest$prefix/share/fish/vendor_completions.d

if [ -n "$uninstall" ]; then
    rm -f "$include/epochwal.h" "$lib/libepochwal.a" "$lib"/libepochwal.so* \
        "$lib/pkgconfig/epochwal.pc" "$bin/epochwal" "$man/epochwal.1" "$man"/epochwal-*.1 \
        "$bash/epochwal" "$zsh/_epochwal" "$fish/epochwal.fish"
    # Directories of our own; those that others share stay.
    rm -rf "$include/epochwal" "$lib/cmake/epochwal"
    echo "epochwal is no longer in $dest$prefix"
    exit
fi

# What `rustc --crate-type staticlib --print native-static-libs` says, without
# libc and libgcc_s, which the compiler's driver adds as a shared or a static link
# needs them. tests/install/run.sh compares.
native_libs="-lutil -lrt -lpthread -lm -ldl"

for file in libepochwal.so libepochwal.a; do
    if [ ! -f "$build/$file" ]; then
        echo "install.sh: $build/$file is missing: build it first (bindings/build.sh --release)" >&2
        exit 1
    fi
done

# Readable by all, whatever the umask of who installs.
umask 022
mkdir -p "$include/epochwal" "$lib/pkgconfig" "$lib/cmake/epochwal"

install -m 644 "$root/include/epochwal.h" "$include/"
install -m 644 "$root"/bindings/cpp/include/epochwal/*.hpp "$include/epochwal/"

install -m 755 "$build/libepochwal.so" "$lib/libepochwal.so.$version"
ln -sf "libepochwal.so.$version" "$lib/libepochwal.so.$soversion"
ln -sf "libepochwal.so.$soversion" "$lib/libepochwal.so"
install -m 644 "$build/libepochwal.a" "$lib/"

if [ -f "$build/epochwal" ]; then
    mkdir -p "$bin" "$man" "$bash" "$zsh" "$fish"
    install -m 755 "$build/epochwal" "$bin/"
    "$build/epochwal" man "$man"
    "$build/epochwal" completions bash >"$bash/epochwal"
    "$build/epochwal" completions zsh >"$zsh/_epochwal"
    "$build/epochwal" completions fish >"$fish/epochwal.fish"
fi

# In files that pkg-config and CMake read, a libdir below the prefix is named
# from there, so that both can be told of a prefix that was moved.
case $libdir in
"$prefix"/*)
    below=${libdir#"$prefix"/}
    pc_libdir="\${prefix}/$below"
    # From lib/cmake/epochwal, a step up for each of the libdir's names.
    cmake_prefix="\${_epochwal_libdir}$(printf '%s' "/$below" | sed 's|/[^/]*|/..|g')"
    ;;
*)
    pc_libdir=$libdir
    cmake_prefix=$prefix
    ;;
esac

# '|' is taken as sed's delimiter; a path with one, or with what sed reads as
# its own, is escaped.
escape() { printf '%s' "$1" | sed 's/[&|\\]/\\&/g'; }
fill_in() {
    sed -e "s|@PREFIX@|$(escape "$prefix")|g" \
        -e "s|@LIBDIR@|$(escape "$pc_libdir")|g" \
        -e "s|@CMAKE_PREFIX@|$(escape "$cmake_prefix")|g" \
        -e "s|@VERSION@|$version|g" \
        -e "s|@VERSION_MAJOR@|$major|g" \
        -e "s|@VERSION_MINOR@|$minor|g" \
        -e "s|@SOVERSION@|$soversion|g" \
        -e "s|@NATIVE_LIBS@|$native_libs|g" \
        -e "s|@NATIVE_LIBS_CMAKE@|$(printf '%s' "$native_libs" | sed 's/ /;/g')|g" \
        "$1" >"$2"
    chmod 644 "$2"
}
fill_in "$root/bindings/cpp/epochwal.pc.in" "$lib/pkgconfig/epochwal.pc"
for file in epochwal-config epochwal-config-version; do
    fill_in "$root/bindings/cpp/cmake/$file.cmake.in" "$lib/cmake/epochwal/$file.cmake"
done

echo "epochwal $version is installed in $dest$prefix"
