#!/bin/sh
# The library as its users find it: installed into a scratch prefix, and built
# against with pkg-config and with CMake, from C and from C++, shared, in one
# static program, and as an archive in one that is otherwise shared.
#
#   tests/install/run.sh
#
# CC and CXX choose the compilers, CARGO_TARGET_DIR where cargo builds. CMake is
# used where there is one.

set -eu

cd "$(dirname "$0")/../.."
root=$PWD
: "${CC:=cc}" "${CXX:=c++}"
build=${CARGO_TARGET_DIR:-$root/target}/debug
SCRATCH=$(mktemp -d)
export SCRATCH
trap 'rm -rf "$SCRATCH"' EXIT

warnings="-Wall -Wextra -Wpedantic -Werror"
passed=0
failed=0

# expect NAME COMMAND...: one test, which holds when the command succeeds.
expect() {
    name=$1
    shift
    if "$@" >"$SCRATCH/output" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $name"
        cat "$SCRATCH/output"
    fi
}

bindings/build.sh --quiet
cargo build --quiet -p epochwal-cli

# What debuggers want of it is most of it, and linked into each program.
mkdir "$SCRATCH/build"
cp "$build/libepochwal.so" "$build/libepochwal.a" "$build/epochwal" "$SCRATCH/build"
build=$SCRATCH/build
strip -g "$build/libepochwal.a" "$build/libepochwal.so" "$build/epochwal"

# Whatever the umask of who installs, all may read; and a prefix may have spaces.
prefix="$SCRATCH/a prefix"
installs() {
    (umask 077 && sh bindings/install.sh "$prefix" "$build") &&
        test -z "$(find "$prefix" ! -type l ! -perm -444)" &&
        test -z "$(find "$prefix" -type d ! -perm -555)"
}
expect "installs" installs
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"

# As they are written down.
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
soname=$(sed -n 's/^soname=//p' bindings/build.sh)

soname_and_links() {
    readelf -d "$prefix/lib/libepochwal.so" | grep -q "SONAME.*\[$soname\]" &&
        test "$(readlink "$prefix/lib/libepochwal.so")" = "$soname" &&
        test "$(readlink "$prefix/lib/$soname")" = "libepochwal.so.$version" &&
        test -f "$prefix/lib/libepochwal.so.$version"
}
expect "the shared library has its name and links" soname_and_links

the_tool() {
    "$prefix/bin/epochwal" --version | grep -q '^epochwal ' &&
        grep -q 'EXIT STATUS' "$prefix/share/man/man1/epochwal.1" &&
        test -s "$prefix/share/man/man1/epochwal-spool-cat.1" &&
        grep -q epochwal "$prefix/share/bash-completion/completions/epochwal" &&
        grep -q epochwal "$prefix/share/zsh/site-functions/_epochwal" &&
        grep -q epochwal "$prefix/share/fish/vendor_completions.d/epochwal.fish"
}
expect "the tool has its manual and its completions" the_tool

# A program of a user, by its flags from pkg-config; the quotes around a prefix
# with spaces are the shell's to take off.
compile() {
    language=$1 source=$2
    case $language in
    c) driver="$CC -std=c99" ;;
    cpp) driver="$CXX -std=c++17" ;;
    esac
    eval "$driver -pthread $warnings $(pkg-config --cflags epochwal) \
        -c $source.$language -o '$SCRATCH/$(basename "$source")-$language.o'"
}
link() {
    language=$1 kind=$2 program=$3
    case $language in
    c) driver=$CC ;;
    cpp) driver=$CXX ;;
    esac
    case $kind in
    shared) libs="$(pkg-config --libs epochwal) -Wl,-rpath,'$prefix/lib'" ;;
    static) libs="-static $(pkg-config --static --libs epochwal)" ;;
    archive) libs=$(pkg-config --static --libs epochwal | sed 's/-lepochwal/-l:libepochwal.a/') ;;
    esac
    eval "$driver -pthread '$SCRATCH/$program-$language.o' -o '$SCRATCH/$program-$language-$kind' $libs"
}

# Two transactions of 8-byte pages: (1: 1) and (2: 1, 2).
printf '\1\0\0\0''\1\0\0\0\1\0\0\0\10\0\0\0''first001' >"$SCRATCH/frames"
printf '\2\0\0\0''\1\0\0\0\0\0\0\0\10\0\0\0''second01' >>"$SCRATCH/frames"
printf '\2\0\0\0\2\0\0\0\10\0\0\0''second02' >>"$SCRATCH/frames"

# Pages: committed by one program, recovered by another.
pages() {
    db=$(mktemp -d "$SCRATCH/pages-XXXXXX")/db
    "$1" "$db" "$SCRATCH/frames" && "$2" "$db" "$db.out" 8 &&
        test "$(cat "$db.out")" = second01second02
}
# Records, and a replica of them.
records() {
    db=$(mktemp -d "$SCRATCH/records-XXXXXX")/db
    printf 'a\nb\n' | "$1" "$db" >"$SCRATCH/said" && cat "$SCRATCH/said" &&
        printf '1 a\n2 b\npruned through 2\n' | diff - "$SCRATCH/said"
}

# What a program needs at run time shows how it was linked.
links() {
    readelf -d "$2" >"$SCRATCH/dynamic" || return 1
    case $1 in
    shared) grep -q "NEEDED.*\[$soname\]" "$SCRATCH/dynamic" ;;
    static) ! grep -q NEEDED "$SCRATCH/dynamic" ;;
    archive) grep -q NEEDED "$SCRATCH/dynamic" && ! grep -q libepochwal "$SCRATCH/dynamic" ;;
    esac
}

compiles() {
    for example in commit recover primary; do
        compile "$1" "examples/$1/$example" || return 1
    done
}
by_pkg_config() {
    for example in commit recover primary; do
        link "$1" "$2" "$example" && links "$2" "$SCRATCH/$example-$1-$2" || return 1
    done
    pages "$SCRATCH/commit-$1-$2" "$SCRATCH/recover-$1-$2" &&
        records "$SCRATCH/primary-$1-$2"
}
for language in c cpp; do
    expect "pkg-config, $language" compiles "$language"
    for kind in shared static archive; do
        expect "pkg-config, $language, $kind" by_pkg_config "$language" "$kind"
    done
done

# The native libraries that the .pc file names are those that rustc names for
# its standard library. That there are no others a static program above has shown.
native_libs() {
    says=$(rustc --crate-type staticlib --print native-static-libs -o "$SCRATCH/none.a" - \
        </dev/null 2>&1 | sed -n 's/.*native-static-libs: //p')
    test -n "$says" || { echo "rustc names no native libraries" && return 1; }
    pkg-config --static --libs-only-l epochwal | tr ' ' '\n' | grep -v '^-lepochwal$' |
        grep . | sort -u >"$SCRATCH/ours"
    # libc and libgcc_s come from the compiler's driver.
    echo "$says" | tr ' ' '\n' | grep -v -e '^-lc$' -e '^-lgcc_s$' |
        grep . | sort -u >"$SCRATCH/theirs"
    # Ours may name more: what older C libraries keep apart.
    missing=$(comm -13 "$SCRATCH/ours" "$SCRATCH/theirs")
    test -z "$missing" || { echo "epochwal.pc lacks: $missing" && return 1; }
}
expect "the native libraries are complete" native_libs

# What a packager gives: a root to put it all under, and a place for libraries.
staged() {
    DESTDIR=$SCRATCH/stage LIBDIR=lib/x86_64-linux-gnu \
        sh bindings/install.sh /opt/ewal "$build" || return 1
    test ! -e /opt/ewal &&
        ! grep -rI "$SCRATCH" "$SCRATCH/stage" &&
        test "$(ls "$SCRATCH/stage")" = opt &&
        PKG_CONFIG_PATH=$SCRATCH/stage/opt/ewal/lib/x86_64-linux-gnu/pkgconfig \
            pkg-config --cflags --libs epochwal >"$SCRATCH/flags" &&
        printf '%s %s %s \n' -I/opt/ewal/include -L/opt/ewal/lib/x86_64-linux-gnu -lepochwal |
        diff "$SCRATCH/flags" -
}
expect "under a DESTDIR, with a LIBDIR" staged

# Below the directory that make is run in, not below that of the script.
relative() {
    (cd "$SCRATCH" && sh "$root/bindings/install.sh" nested/prefix/ "$build") &&
        grep -qx "prefix=$SCRATCH/nested/prefix" "$SCRATCH/nested/prefix/lib/pkgconfig/epochwal.pc"
}
expect "into a relative prefix" relative

# CMake finds its package where pkg-config is told of the prefix.
build_by_cmake() {
    at=$1
    shift
    cmake -S tests/install/consumer -B "$SCRATCH/cmake" -DCMAKE_PREFIX_PATH="$at" \
        -DCMAKE_C_COMPILER="$CC" -DCMAKE_CXX_COMPILER="$CXX" -DEXAMPLES="$root/examples" "$@" &&
        cmake --build "$SCRATCH/cmake"
}
find_package() {
    # Moved: the package finds its files from where it stands.
    cp -a "$prefix" "$SCRATCH/moved"
    rm -rf "$SCRATCH/cmake"
    build_by_cmake "$SCRATCH/moved" >"$SCRATCH/cmake.log" || { cat "$SCRATCH/cmake.log" && return 1; }
    grep -qx -e "-- found epochwal $version" "$SCRATCH/cmake.log" || return 1
    for language in c cpp; do
        for kind in shared static; do
            program=$SCRATCH/cmake/commit_${language}_$kind
            links "$(echo $kind | sed s/static/archive/)" "$program" &&
                pages "$program" "$SCRATCH/recover-c-static" || return 1
        done
    done
}
# In the libdir that Debian has, and by a way that leads over a link.
find_package_elsewhere() {
    rm -rf "$SCRATCH/cmake"
    ln -s opt/ewal/lib "$SCRATCH/stage/lib"
    build_by_cmake "$SCRATCH/stage" -DCMAKE_LIBRARY_ARCHITECTURE=x86_64-linux-gnu
}
other_version() {
    rm -rf "$SCRATCH/cmake"
    ! build_by_cmake "$prefix" -DWANTED=0.2
}
if command -v cmake >/dev/null; then
    expect "find_package, after a move" find_package
    expect "find_package in a libdir of its own" find_package_elsewhere
    expect "find_package refuses another minor version" other_version
else
    echo "cmake is missing: find_package is not tested"
fi

# One version, whoever is asked.
says() { test "$2" = "$version" || { echo "$1 says $2, and Cargo.toml $version" && return 1; }; }
one_version() {
    cat >"$SCRATCH/version.c" <<-'C'
	#include <epochwal.h>
	#include <stdio.h>
	int main(void) { return printf("%s %s\n", EWAL_VERSION, ewal_version()) < 0; }
	C
    cat >"$SCRATCH/version.cpp" <<-'CPP'
	#include <epochwal/epochwal.hpp>
	#include <cstdio>
	int main() { std::puts(epochwal::version()); }
	CPP
    for language in c cpp; do
        (cd "$SCRATCH" && compile $language version && link $language shared version) || return 1
    done
    said=$("$SCRATCH/version-c-shared")
    says "the header" "${said% *}" &&
        says "the library" "${said#* }" &&
        says "C++" "$("$SCRATCH/version-cpp-shared")" &&
        says "epochwal.pc" "$(pkg-config --modversion epochwal)" &&
        says "the tool" "$("$prefix/bin/epochwal" --version | sed 's/^epochwal //')" &&
        says "the manual" "$(sed -n 's/^\.TH.*"epochwal \([^"]*\)".*/\1/p' "$prefix/share/man/man1/epochwal.1")" &&
        says "the wheel's crate" "$(sed -n 's/^version = "\(.*\)"$/\1/p' python/Cargo.toml | head -n 1)"
}
expect "all have one version" one_version

# What others have put beside it stays.
uninstalls() {
    for place in include lib lib/pkgconfig lib/cmake bin share/man/man1; do
        echo other >"$prefix/$place/other" || return 1
    done
    sh bindings/install.sh --uninstall "$prefix" || return 1
    test "$(find "$prefix" ! -type d | wc -l)" -eq 6 &&
        test "$(find "$prefix" -name other | wc -l)" -eq 6 &&
        test ! -e "$prefix/include/epochwal" && test ! -e "$prefix/lib/cmake/epochwal"
}
expect "is taken away again" uninstalls

echo "$passed passed, $failed failed"
test "$failed" -eq 0
