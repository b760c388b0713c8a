#!/bin/sh
# Installs the built library for C and C++.
#
#   bindings/install.sh PREFIX [BUILD_DIR]
#
# PREFIX gets include/, lib/ (shared and static library, pkg-config file,
# CMake package), and bin/epochwal with its manual and completions in share/.
# BUILD_DIR is where cargo left the library, target/release by default. DESTDIR is put before PREFIX in paths that are
# written, not in those that are written down.

set -eu

root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
prefix=${1:?usage: bindings/install.sh PREFIX [BUILD_DIR]}
build=${2:-${CARGO_TARGET_DIR:-$root/target}/release}
case $prefix in
/*) ;;
*) prefix=$(pwd)/$prefix ;;
esac
dest=${DESTDIR:-}$prefix

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)
major=${version%%.*}
minor=${version#*.}
minor=${minor%%.*}
soversion=$(sed -n 's/^soname=libepochwal\.so\.//p' "$root/bindings/build.sh")
if [ -z "$version" ] || [ -z "$soversion" ]; then
    echo "install.sh: no version in Cargo.toml, or no soname in bindings/build.sh" >&2
    exit 1
fi

# What `bindings/build.sh -- --print native-static-libs`
# says, without libc and libgcc_s, which the compiler's driver adds as a shared
# or a static link needs them. tests/cpp/run.sh compares.
native_libs="-lutil -lrt -lpthread -lm -ldl"

for file in libepochwal.so libepochwal.a; do
    if [ ! -f "$build/$file" ]; then
        echo "install.sh: $build/$file is missing: build it first (bindings/build.sh --release)" >&2
        exit 1
    fi
done

mkdir -p "$dest/include/epochwal" "$dest/lib/pkgconfig" "$dest/lib/cmake/epochwal"

install -m 644 "$root/include/epochwal.h" "$dest/include/"
install -m 644 "$root"/bindings/cpp/include/epochwal/*.hpp "$dest/include/epochwal/"

install -m 755 "$build/libepochwal.so" "$dest/lib/libepochwal.so.$version"
ln -sf "libepochwal.so.$version" "$dest/lib/libepochwal.so.$soversion"
ln -sf "libepochwal.so.$soversion" "$dest/lib/libepochwal.so"
install -m 644 "$build/libepochwal.a" "$dest/lib/"

if [ -f "$build/epochwal" ]; then
    mkdir -p "$dest/bin"
    install -m 755 "$build/epochwal" "$dest/bin/"
    share=$dest/share
    mkdir -p "$share/man/man1" "$share/bash-completion/completions" \
        "$share/zsh/site-functions" "$share/fish/vendor_completions.d"
    "$build/epochwal" man "$share/man/man1"
    "$build/epochwal" completions bash >"$share/bash-completion/completions/epochwal"
    "$build/epochwal" completions zsh >"$share/zsh/site-functions/_epochwal"
    "$build/epochwal" completions fish >"$share/fish/vendor_completions.d/epochwal.fish"
fi

# '|' is taken as sed's delimiter; a prefix with one, or with what sed reads as
# its own, is escaped.
escaped_prefix=$(printf '%s' "$prefix" | sed 's/[&|\\]/\\&/g')
fill_in() {
    sed -e "s|@PREFIX@|$escaped_prefix|g" \
        -e "s|@VERSION@|$version|g" \
        -e "s|@VERSION_MAJOR@|$major|g" \
        -e "s|@VERSION_MINOR@|$minor|g" \
        -e "s|@SOVERSION@|$soversion|g" \
        -e "s|@NATIVE_LIBS@|$native_libs|g" \
        -e "s|@NATIVE_LIBS_CMAKE@|$(printf '%s' "$native_libs" | sed 's/ /;/g')|g" \
        "$1" >"$2"
    chmod 644 "$2"
}
fill_in "$root/bindings/cpp/epochwal.pc.in" "$dest/lib/pkgconfig/epochwal.pc"
for file in epochwal-config epochwal-config-version; do
    fill_in "$root/bindings/cpp/cmake/$file.cmake.in" "$dest/lib/cmake/epochwal/$file.cmake"
done

echo "epochwal $version is installed in $dest"
