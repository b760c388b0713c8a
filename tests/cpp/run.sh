#!/bin/sh
# Builds and runs the tests of the C++ face: the header in every language
# version and with and without exceptions, and the examples.
#
#   tests/cpp/run.sh
#
# CXX chooses the compiler (g++), CARGO_TARGET_DIR where cargo builds.
# EWAL_CXXFLAGS adds compiler flags (a sanitizer), also for linking unless
# EWAL_LDFLAGS is set; EWAL_UNDER is what runs the tests of the header
# (valgrind), EWAL_STANDARDS the language versions of these. With EWAL_LIBRARY
# that library is tested instead of what cargo builds (one with a sanitizer in
# it), in those tests alone.

set -eu

root=$(CDPATH= cd -- "$(dirname -- "$0")/../.." && pwd)
cd "$root"
: "${CXX:=g++}"
target=${CARGO_TARGET_DIR:-$root/target}
build=$target/debug
SCRATCH=$(mktemp -d)
export SCRATCH
trap 'rm -rf "$SCRATCH"' EXIT

warnings="-Wall -Wextra -Wpedantic -Werror"
headers="-Ibindings/cpp/include -Iinclude -Itests/cpp"
passed=0
failed=0

pass() { passed=$((passed + 1)); }
fail() {
    failed=$((failed + 1))
    echo "FAILED $1"
}
# expect NAME COMMAND...: one test, which holds when the command succeeds.
expect() {
    name=$1
    shift
    if "$@" >"$SCRATCH/output" 2>&1; then
        pass
    else
        fail "$name"
        cat "$SCRATCH/output"
    fi
}

# compile NAME FLAGS: builds tests/cpp/NAME.cpp as the program of these flags; what
# the compiler says is beside it.
program_of() { printf '%s/%s' "$SCRATCH" "$(printf %s "$1$2" | tr -c a-z0-9_ -)"; }
compile() {
    program=$(program_of "$1" "$2")
    # shellcheck disable=SC2086
    {
        $CXX $2 $warnings $headers -g ${EWAL_CXXFLAGS:-} -pthread -c "tests/cpp/$1.cpp" -o "$program.o" &&
            $CXX "$program.o" -o "$program" -pthread $link ${EWAL_LDFLAGS-${EWAL_CXXFLAGS:-}}
    } >"$program.said" 2>&1 || true
}

# suite NAME FLAGS: runs what was compiled, and adds up what it counted.
suite() {
    program=$(program_of "$1" "$2")
    if ! [ -x "$program" ]; then
        fail "$1 $2 (does not compile)"
        cat "$program.said"
        return
    fi
    code=0
    # shellcheck disable=SC2086
    ${EWAL_UNDER:-} "$program" >"$SCRATCH/output" 2>&1 || code=$?
    count=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$SCRATCH/output" | tail -n 1)
    if [ -z "$count" ]; then
        fail "$1 $2 (ended with $code before its last test)"
        cat "$SCRATCH/output"
        return
    fi
    passed=$((passed + ${count% *}))
    failed=$((failed + ${count#* }))
    if [ "$code" -ne 0 ]; then
        echo "in $1 $2:"
        cat "$SCRATCH/output"
        if [ "${count#* }" -eq 0 ]; then fail "$1 $2 (exit code $code)"; fi
    fi
}

supports() { echo 'int main() {}' | $CXX "$1" -x c++ - -o /dev/null 2>/dev/null; }

library=${EWAL_LIBRARY:-}
if [ -z "$library" ]; then
    bindings/build.sh --quiet
    cargo build --quiet -p epochwal-cli
    library=$build/libepochwal.so
fi
# Programs ask for the library by its soname.
mkdir "$SCRATCH/lib"
ln -s "$library" "$SCRATCH/lib/libepochwal.so"
ln -s "$library" "$SCRATCH/lib/libepochwal.so.0"
link="-L$SCRATCH/lib -lepochwal -Wl,-rpath,$SCRATCH/lib"

# each DO: does it with each suite, and the flags that it is compiled with.
each() {
    for standard in ${EWAL_STANDARDS:-17 20 23}; do
        flag=-std=c++$standard
        supports "$flag" || continue
        for name in views coordinator recovery segment spool primary; do
            "$1" "${name}_test" "$flag"
        done
        if [ "$standard" -ge 20 ]; then "$1" awaitable_test "$flag"; fi
        # Slow, and the same in each.
        if [ "$standard" -eq 20 ]; then "$1" process_test "$flag"; fi
        "$1" views_test "$flag -fno-exceptions"
        "$1" no_exceptions_test "$flag -fno-exceptions -fno-rtti"
    done
}
for standard in ${EWAL_STANDARDS:-17 20 23}; do
    supports "-std=c++$standard" || echo "$CXX does not know -std=c++$standard: left out"
done

# Compilers take most of the time: each processor gets every nth suite.
jobs=$(getconf _NPROCESSORS_ONLN)
own_of_lane() {
    if [ $((turn % jobs)) -eq "$lane" ]; then compile "$@"; fi
    turn=$((turn + 1))
}
lane=0
while [ "$lane" -lt "$jobs" ]; do
    (turn=0 && each own_of_lane) &
    lane=$((lane + 1))
done
wait
each suite

finish() {
    echo "$passed passed, $failed failed"
    test "$failed" -eq 0
}
if [ -n "${EWAL_LIBRARY:-}" ]; then
    finish
    exit
fi

# Each header alone, so that none leans on what another includes.
for header in bindings/cpp/include/epochwal/*.hpp; do
    standard=17
    case $header in */durable.hpp) standard=20 ;; esac
    # shellcheck disable=SC2086
    expect "$header compiles alone" $CXX -std=c++$standard $warnings $headers \
        -fsyntax-only -x c++ -include "$header" /dev/null
done

# Nothing of C is missing in C++, but what compares the versions of the C header.
whole() {
    missing=$(while read -r name; do
        grep -qw "$name" bindings/cpp/include/epochwal/*.hpp || echo "$name"
    done <tests/c/exported-symbols.txt)
    echo "$missing"
    [ "$missing" = ewal_abi_version ]
}
expect "each C function has its place in C++" whole

# Two translation units of different language versions in one program.
mixed() {
    for standard in 17 20; do
        # shellcheck disable=SC2086
        $CXX -std=c++$standard $warnings $headers -pthread -c -DSTANDARD=$standard \
            tests/cpp/mixed_standards.cpp -o "$SCRATCH/mixed$standard.o" || return 1
    done
    # shellcheck disable=SC2086
    $CXX "$SCRATCH/mixed17.o" "$SCRATCH/mixed20.o" -o "$SCRATCH/mixed" -pthread $link &&
        "$SCRATCH/mixed"
}
expect "C++17 and C++20 in one program" mixed

# What can't be right must not compile.
refused() {
    # shellcheck disable=SC2086
    if $CXX -std=c++17 $headers -fsyntax-only -DWRONG_$1 tests/cpp/must_not_compile.cpp \
        2>/dev/null; then
        echo "WRONG_$1 compiles"
        return 1
    fi
}
# shellcheck disable=SC2086
expect "the frame around the wrong programs compiles" \
    $CXX -std=c++17 $headers -fsyntax-only tests/cpp/must_not_compile.cpp
for wrong in TEMPORARY_IMAGE TEMPORARY_ARRAY COPIED_COORDINATOR COPIED_RECOVERY \
    NOT_PLAIN_DATA TEMPORARY_PAYLOAD COPIED_SPOOL COPIED_CURSOR COPIED_RECORDS COPIED_PRIMARY COPIED_WATCH; do
    expect "refuses $wrong" refused "$wrong"
done

# The examples, end to end, on a dump of their own; the tool writes it again.
examples() {
    for example in commit recover spool primary; do
        # shellcheck disable=SC2086
        $CXX -std=c++17 $warnings $headers -pthread "examples/cpp/$example.cpp" \
            -o "$SCRATCH/$example" $link || return 1
    done
    # Two transactions of 8-byte pages: (1: 1) and (2: 1, 2).
    printf '\1\0\0\0''\1\0\0\0\1\0\0\0\10\0\0\0''first001' >"$SCRATCH/frames"
    printf '\2\0\0\0''\1\0\0\0\0\0\0\0\10\0\0\0''second01' >>"$SCRATCH/frames"
    printf '\2\0\0\0\2\0\0\0\10\0\0\0''second02' >>"$SCRATCH/frames"
    mkdir "$SCRATCH/examples" || return 1
    "$SCRATCH/commit" "$SCRATCH/examples/db" "$SCRATCH/frames" || return 1
    "$SCRATCH/recover" "$SCRATCH/examples/db" "$SCRATCH/examples/out" 8 || return 1
    test "$(cat "$SCRATCH/examples/out")" = second01second02 || return 1
    "$build/epochwal" cat "$SCRATCH/examples/db" --raw >"$SCRATCH/frames.again" || return 1
    cmp "$SCRATCH/frames" "$SCRATCH/frames.again" || return 1
    # A dump that is cut off is refused, with the place.
    head -c 30 "$SCRATCH/frames" >"$SCRATCH/frames.cut"
    if "$SCRATCH/commit" "$SCRATCH/examples/cut" "$SCRATCH/frames.cut" 2>"$SCRATCH/said"; then
        return 1
    fi
    grep -q 'offset' "$SCRATCH/said"
}
expect "the examples commit and recover" examples

example_spool() {
    printf 'a\nb\n' | "$SCRATCH/spool" "$SCRATCH/examples/db" >"$SCRATCH/said" &&
        printf 'c\n' | "$SCRATCH/spool" "$SCRATCH/examples/db" >>"$SCRATCH/said" &&
        printf '1 a\n2 b\n4 c\n' | diff - "$SCRATCH/said"
}
expect "the example of the spool" example_spool

example_primary() {
    printf 'a\nb\n' | "$SCRATCH/primary" "$SCRATCH/examples/replicated" >"$SCRATCH/said" &&
        printf 'c\n' | "$SCRATCH/primary" "$SCRATCH/examples/replicated" >>"$SCRATCH/said" &&
        printf '1 a\n2 b\npruned through 2\n3 c\npruned through 3\n' |
        diff - "$SCRATCH/said"
}
expect "the example of the primary" example_primary

finish
