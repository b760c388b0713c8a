#!/bin/sh
# Builds libepochwal.so and libepochwal.a, where cargo puts them.
#
#   bindings/build.sh [CARGO OPTION...]     (--release)
#
# They are no crate types of the manifest: cargo would then make them for
# each crate that depends on this one as well, by the same file names, and the
# Python package and the tool want them without the C ABI.
set -eu
cd "$(dirname "$0")/.."
exec ${CARGO:-cargo} rustc --package epochwal --lib --crate-type cdylib,staticlib "$@"
