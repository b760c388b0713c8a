#!/bin/sh
# Builds the shared library (debug), compiles each test against the committed
# header, runs them, and ends with "N passed, M failed". EWAL_CFLAGS adds
# compiler flags (a sanitizer), also for linking unless EWAL_LDFLAGS is set;
# EWAL_TESTS picks programs; EWAL_UNDER is what runs them (valgrind). EWAL_LIBRARY is
# tested instead of what cargo builds (a library with a sanitizer in it).
set -eu
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
cc=${CC:-gcc}
cxx=${CXX:-g++}
warn="-Wall -Wextra -Wpedantic -Werror"
tests=${EWAL_TESTS-"test_every_function test_abi test_commit_recover test_guard test_fork test_signals test_dlopen test_threads test_processes test_faults test_kill test_spool test_spool_abi test_spool_rdlw test_spool_reader test_primary test_primary_abi"}

lib=${EWAL_LIBRARY:-}
if [ -z "$lib" ]; then
  bindings/build.sh --quiet
  cargo build --quiet -p epochwal -p header
  lib=$target/debug/libepochwal.so
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/lib"
cp "$lib" "$scratch/lib/libepochwal.so.0"
ln -s libepochwal.so.0 "$scratch/lib/libepochwal.so"

passed=0
failed=0
pass() {
  passed=$((passed + 1))
  echo "ok $1"
}
fail() {
  failed=$((failed + 1))
  echo "FAILED $1"
}
# A check by name: the rest is the command.
check() {
  name=$1
  shift
  if "$@"; then pass "$name"; else fail "$name"; fi
}

exported() {
  nm -D --defined-only "$lib" | awk '{print $3}' | sort |
    diff tests/c/exported-symbols.txt -
}
# The switches of src/wrong.rs are for test builds.
no_wrong_designs() {
  ! grep -q EPOCHWAL_WRONG "$lib"
}
soname() {
  readelf -d "$lib" >"$scratch/dynamic"
  grep -q 'SONAME.*\[libepochwal\.so\.0\]' "$scratch/dynamic" &&
    grep -q NODELETE "$scratch/dynamic"
}
# Sizes and offsets are those of layout.txt, to C and to Rust.
layout() {
  awk -v language=c -f tests/c/layout.awk include/epochwal.h >"$scratch/layout.c"
  awk -v language=rust -f tests/c/layout.awk include/epochwal.h >"$scratch/layout.rs"
  # shellcheck disable=SC2086
  $cc -std=c99 $warn -I include "$scratch/layout.c" -o "$scratch/layout-c" &&
    rustc --edition=2024 --extern "epochwal=$target/debug/libepochwal.rlib" \
      -L "dependency=$target/debug/deps" "$scratch/layout.rs" -o "$scratch/layout-rust" &&
    "$scratch/layout-c" | diff tests/c/layout.txt - &&
    "$scratch/layout-rust" | diff tests/c/layout.txt -
}
# Each function says these four things, each in a paragraph.
four_paragraphs() {
  awk '
    /^\/\/ (Ownership|Threads|Blocking|Errors)(:|,)/ { said[$2] = 1 }
    /^[a-z].*[ *]ewal_[a-z_]+\(/ {
      if (!("Ownership:" in said && "Threads:" in said && "Blocking:" in said &&
            ("Errors:" in said || "Errors," in said))) { print; bad = 1 }
      delete said
      functions++
    }
    END { exit bad || functions != symbols }' \
    symbols="$(wc -l <tests/c/exported-symbols.txt)" include/epochwal.h
}
# The wheel has that of its crate, and the .pc file that of the library's.
one_version() {
  sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml cli/Cargo.toml python/Cargo.toml >"$scratch/versions"
  [ "$(wc -l <"$scratch/versions")" = 3 ] &&
    [ "$(sort -u "$scratch/versions")" = "$(sed -n 's/^#define EWAL_VERSION "\(.*\)"$/\1/p' include/epochwal.h)" ]
}
# Nothing that a system without its own packages for it would lack.
needed() {
  sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p' "$scratch/dynamic" >"$scratch/needed"
  grep -q '^libc\.so' "$scratch/needed" &&
    ! grep -v -e '^libc\.so' -e '^libm\.so' -e '^libgcc_s\.so' -e '^ld-linux' "$scratch/needed"
}
# Three transactions of pages of 4 bytes, through the two example programs.
example_frames() {
  printf '\1\0\0\0' && printf '\1\0\0\0\1\0\0\0\4\0\0\0AAAA'
  printf '\2\0\0\0' && printf '\2\0\0\0\0\0\0\0\4\0\0\0BBBB'
  printf '\3\0\0\0\3\0\0\0\4\0\0\0CCCC'
  printf '\1\0\0\0' && printf '\1\0\0\0\3\0\0\0\4\0\0\0DDDD'
}
examples() {
  for example in commit recover spool primary; do
    # shellcheck disable=SC2086
    $cc -std=c99 $warn -I include -o "$scratch/$example" "examples/c/$example.c" \
      -L "$scratch/lib" -lepochwal -lpthread || return 1
  done
  example_frames >"$scratch/frames"
  (
    export LD_LIBRARY_PATH="$scratch/lib"
    "$scratch/commit" "$scratch/example" "$scratch/frames" &&
      "$scratch/recover" "$scratch/example" "$scratch/example.out" 4
  ) >"$scratch/said" || return 1
  grep -q '^3 transactions durable' "$scratch/said" &&
    grep -q '^3 transactions, 4 frames, 16 bytes of pages; 3 pages' "$scratch/said" &&
    [ "$(cat "$scratch/example.out")" = DDDDBBBBCCCC ]
}

# Appended in two runs, and read from the beginning and from the middle.
example_spool() {
  export LD_LIBRARY_PATH="$scratch/lib"
  printf 'a\nb\n' | "$scratch/spool" "$scratch/example" 0 >"$scratch/said" &&
    printf 'c\n' | "$scratch/spool" "$scratch/example" 1 >>"$scratch/said" &&
    printf '1 a\n2 b\n2 b\n3 c\n' | diff - "$scratch/said" || return 1
  # Beyond the end: an error with a name.
  ! "$scratch/spool" "$scratch/example" 9 </dev/null 2>"$scratch/said" &&
    grep -q EWAL_E_AHEAD "$scratch/said"
}

# A replica goes on where it was.
example_primary() {
  export LD_LIBRARY_PATH="$scratch/lib"
  printf 'a\nb\n' | "$scratch/primary" "$scratch/replicated" >"$scratch/said" &&
    printf 'c\n' | "$scratch/primary" "$scratch/replicated" >>"$scratch/said" &&
    printf '1 a\n2 b\npruned through 2\n3 c\npruned through 3\n' | diff - "$scratch/said"
}

if [ -z "${EWAL_TESTS-}${EWAL_LIBRARY-}" ]; then
  check examples_commit_and_recover examples
  check example_spool example_spool
  check example_primary example_primary
  check header_is_generated "$target/debug/header" --check
  check exported_symbols_are_the_committed_ones exported
  check no_wrong_design_can_be_switched_on no_wrong_designs
  check structs_are_laid_out_as_committed layout
  check each_function_says_four_things four_paragraphs
  check soname_and_nodelete soname
  check needs_the_c_library_alone needed
  check all_have_one_version one_version
  for std in c99 c11 c17 c2x; do
    # shellcheck disable=SC2086
    check "header_alone_$std" $cc -std=$std $warn -I include \
      -o "$scratch/alone" tests/c/header_alone.c
    check "initialisers_$std" "$scratch/alone"
  done
  for std in c++11 c++14 c++17 c++20 c++2b; do
    # shellcheck disable=SC2086
    check "header_alone_$std" $cxx -x c++ -std=$std $warn -I include \
      -o "$scratch/alone" tests/c/header_alone.c
    check "initialisers_$std" "$scratch/alone"
  done
fi

for test in $tests; do
  link="-L $scratch/lib -lepochwal"
  std=c99
  source=tests/c/$test.c
  case $test in
  test_every_function)
    awk -v symbols="$(wc -l <tests/c/exported-symbols.txt)" -f tests/c/every_function.awk \
      include/epochwal.h >"$scratch/every_function.h"
    ;;
  test_dlopen) link=-ldl ;;
  test_threads | test_signals | test_fork | test_processes | test_faults | test_kill) std=c11 ;; # <stdatomic.h>
  esac
  # shellcheck disable=SC2086
  $cc -std=$std -D_GNU_SOURCE -g -O1 $warn ${EWAL_CFLAGS:-} -I include \
    -I tests/c -I "$scratch" -c "$source" -o "$scratch/$test.o"
  # shellcheck disable=SC2086
  $cc "$scratch/$test.o" -o "$scratch/$test" $link ${EWAL_LDFLAGS-${EWAL_CFLAGS:-}} -lpthread
  mkdir "$scratch/$test.d"
  # shellcheck disable=SC2086
  if LD_LIBRARY_PATH=$scratch/lib ${EWAL_UNDER:-} "$scratch/$test" "$scratch/$test.d" \
    >"$scratch/log"; then
    :
  else
    fail "$test (status $?)"
  fi
  cat "$scratch/log"
  passed=$((passed + $(grep -c '^ok ' "$scratch/log" || true)))
  rm -rf "$scratch/$test.d"
done

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
