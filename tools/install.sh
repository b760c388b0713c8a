#!/usr/bin/env bash
# Installs headers, both libraries, the pkg-config file and the CMake package.
#
#   tools/install.sh BUILD DESTDIR PREFIX
#
# BUILD is the folder that cargo left the libraries in. DESTDIR, which may be
# empty, is put before PREFIX when files are written, and appears in none.
set -euo pipefail
cd "$(dirname "$0")/.."

build=$1
prefix=$3
case $prefix in
/*) ;;
*) echo "install: PREFIX=$prefix is not an absolute path" >&2 && exit 2 ;;
esac
root=$2$prefix

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
IFS=. read -r major minor _ <<<"$version"
# As build.rs sets it in the library.
soversion=$(sed -n 's/.*-soname,libepochwal\.so\.\([0-9]*\).*/\1/p' build.rs)
# What `cargo rustc -- --print native-static-libs` says for Linux with glibc.
native='gcc_s util rt pthread m dl c'

fill() {
	sed -e "s|@PREFIX@|$prefix|g" \
		-e "s|@VERSION@|$version|g" \
		-e "s|@VERSION_MAJOR@|$major|g" \
		-e "s|@VERSION_MINOR@|$minor|g" \
		-e "s|@SOVERSION@|$soversion|g" \
		-e "s|@NATIVE_LIBS@|$(printf -- '-l%s ' $native | sed 's/ $//')|g" \
		-e "s|@NATIVE_LIBS_CMAKE@|${native// /;}|g" "$1" >"$2"
	chmod 644 "$2"
}

include=$root/include
lib=$root/lib
cmake=$lib/cmake/epochwal
mkdir -p "$include/epochwal" "$lib/pkgconfig" "$cmake"

install -m 644 include/epochwal.h "$include/"
install -m 644 bindings/cpp/include/epochwal/*.hpp "$include/epochwal/"
install -m 755 "$build/libepochwal.so" "$lib/libepochwal.so.$version"
ln -sfn "libepochwal.so.$version" "$lib/libepochwal.so.$soversion"
ln -sfn "libepochwal.so.$soversion" "$lib/libepochwal.so"
install -m 644 "$build/libepochwal.a" "$lib/"
fill bindings/cpp/epochwal.pc.in "$lib/pkgconfig/epochwal.pc"
fill bindings/cpp/cmake/epochwal-config.cmake.in "$cmake/epochwal-config.cmake"
fill bindings/cpp/cmake/epochwal-config-version.cmake.in "$cmake/epochwal-config-version.cmake"

echo "installed epochwal $version under $root"
