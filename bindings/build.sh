#!/bin/sh
# Builds libepochwal.so and libepochwal.a, where cargo puts them.
#
#   bindings/build.sh [CARGO OPTION...] [-- RUSTC OPTION...]     (--release)
#
# They are no crate types of the manifest: cargo would then make them for
# each crate that depends on this one as well, by the same file names, and the
# Python package and the tool want them without the C ABI.
set -eu
cd "$(dirname "$0")/.."

# The number changes only with an incompatible ABI.
soname=libepochwal.so.0
case " $* " in
*" -- "*) ;;
*) set -- "$@" -- ;;
esac
# A thread that outlives a dlclose would run destructors of thread-local state
# in unmapped code; `nodelete` keeps the code mapped.
exec ${CARGO:-cargo} rustc --package epochwal --lib --crate-type cdylib,staticlib "$@" \
    -C "link-arg=-Wl,-soname,$soname" -C link-arg=-Wl,-z,nodelete
