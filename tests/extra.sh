#!/usr/bin/env bash
# Checks that take long or need more than Rust, a C compiler and Python: those of
# the benchmarks, of the Python packages, the reference by doxygen, the C and C++
# tests by each compiler there is, with sanitizers and under valgrind, Rust's own
# tests with sanitizers and Miri on a nightly toolchain, and Python's on a
# free-threaded interpreter. What is missing is named; it is not counted as passed,
# and does not fail the run.
#
#   tests/extra.sh [STEP...]    all steps, or those whose names begin so
set -uo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
triple=$(rustc -vV | sed -n 's/^host: //p')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 missing=()
wanted=("$@")

# step NAME COMMAND...: one that hangs fails.
step() {
	local name=$1 begun=$SECONDS some want
	shift
	if [ ${#wanted[@]} -gt 0 ]; then
		for want in "${wanted[@]}"; do
			case $name in "$want"*) some=1 ;; esac
		done
		[ -n "${some:-}" ] || return 1
	fi
	echo "== $name"
	if timeout --kill-after=10 600 "$@" >"$work/log" 2>&1; then
		passed=$((passed + 1))
		tail -n 1 "$work/log"
		echo "   $((SECONDS - begun)) s"
	else
		failed=$((failed + 1))
		cat "$work/log"
		echo "FAILED: $name"
		return 1
	fi
}

# A sanitizer that a compiler has but cannot link is as good as missing.
links_with() {
	echo 'int main(void) { return 0; }' >"$work/a.c"
	# shellcheck disable=SC2086
	"$1" $2 "$work/a.c" -o "$work/a" 2>/dev/null && "$work/a"
}

# Every warning that clang has. Not meant: what layout a structure has, what
# older languages lack, a class of a header alone that has no other home, and a
# field that stands in the place of the C structure's.
pedantic() {
	local quiet="-Wno-padded -Wno-c++98-compat-pedantic -Wno-pre-c++17-compat-pedantic
		-Wno-declaration-after-statement -Wno-weak-vtables -Wno-unsafe-buffer-usage
		-Wno-shadow-field"
	# shellcheck disable=SC2086
	clang -std=c11 -Weverything $quiet -Wno-unknown-warning-option -Werror \
		-Iinclude -fsyntax-only tests/c/header_alone.c &&
		clang++ -std=c++17 -Weverything $quiet -Wno-unknown-warning-option -Werror \
			-Iinclude -Ibindings/cpp/include -fsyntax-only \
			-x c++ -include epochwal/epochwal.hpp /dev/null
}
export -f pedantic

# What is tested as it is built; the runs below build other things in its place.
bindings/build.sh --quiet && cargo build --quiet -p epochwal-cli || exit
plain=$work/libepochwal.so
cp "$target/debug/libepochwal.so" "$plain"

step "the benchmarks" make check-benches
step "the wheel and the sdist" make check-packages PACKAGES_PROFILE=dev

# Each public name has a text, and each text refers to what there is.
if command -v doxygen >/dev/null; then
	step "doxygen" make doxygen
else
	missing+=("doxygen")
fi

if cargo cinstall --version >/dev/null 2>&1; then
	step "cargo-c" tests/install/cargo_c.sh
else
	missing+=("cargo-c (cargo install cargo-c)")
fi

if ! command -v abidiff >/dev/null; then
	missing+=("abidiff (abigail-tools)")
elif tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null); then
	step "the ABI of $tag" tests/c/abidiff.sh "$tag"
else
	echo "no tag yet: there is no ABI to go on with"
fi

compilers=("${CC:-cc} ${CXX:-c++}")
if command -v clang >/dev/null && command -v clang++ >/dev/null; then
	compilers+=("clang clang++")
	step "clang, C headers" env CC=clang CXX=clang++ EWAL_TESTS= tests/c/run.sh
	step "clang, C++" env CXX=clang++ EWAL_STANDARDS=20 tests/cpp/run.sh
	step "clang, every warning over the headers" bash -c pedantic
else
	missing+=("clang")
fi

# Addresses, leaks and undefined behaviour, which ends a program by SIGILL. A
# nightly rustc instruments the library too; its runtime then serves both sides
# of the ABI, whatever compiler made the other one.
nightly() {
	local sanitizer=$1 command=$2
	shift 2
	local flags="-Zsanitizer=$sanitizer -Cforce-frame-pointers=yes"
	# A standard library that came with the compiler has no sanitizer in it.
	case " $* " in
	*" -Zbuild-std"*) ;;
	*) flags+=" -Cunsafe-allow-abi-mismatch=sanitizer" ;;
	esac
	local build=(cargo +nightly "$command")
	[ "$command" != library ] || build=(env CARGO="cargo +nightly" bindings/build.sh)
	RUSTFLAGS=$flags CARGO_TARGET_DIR="$target/$sanitizer" "${build[@]}" --target "$triple" "$@"
}
export -f nightly
export target triple

library=$plain link=
runtime=$(rustc +nightly --print target-libdir 2>/dev/null)/librustc-nightly_rt
if [ ! -f "$runtime.asan.a" ]; then
	missing+=("a nightly Rust with its sanitizers (the library is not instrumented)")
elif step "addresses, the library" bash -c 'nightly address library'; then
	library=$target/address/$triple/debug/libepochwal.so
	link="-rdynamic -Wl,--whole-archive $runtime.asan.a -Wl,--no-whole-archive -ldl -lrt -lm"
	# Wrong designs may do what a sanitizer ends a program for.
	step "addresses, Rust" bash -c 'nightly address test --quiet --lib --test coordinator \
		--test recovery --test history --test corpus --test segment_files --test golden_v1 \
		--test golden_recovery --test fork_storage --test processes -- --skip wrong::'
fi

# What orders threads is in part inside the standard library: Arc, OnceLock,
# channels. A copy that is not instrumented makes races of all that they order,
# and to suppress those is to miss true ones: so it is built as well, or the
# step is missing. No fence orders anything here, as the sanitizer sees none:
# Arc's are loads in such a build, and the library has none (tests/house.rs).
races() {
	nightly thread test -Zbuild-std=std,test --quiet --lib --test coordinator --test history "$@"
}
export -f races
sources=$(rustc +nightly --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library
if [ ! -f "$runtime.tsan.a" ]; then
	missing+=("a nightly Rust with its thread sanitizer")
elif [ ! -d "$sources" ] ||
	! cargo +nightly fetch --quiet -Zbuild-std --target "$triple" 2>/dev/null; then
	missing+=("the standard library's sources (rustup +nightly component add rust-src)")
else
	step "races, building" bash -c 'races --no-run' &&
		step "races, Rust" bash -c 'races -- --skip wrong::'
fi
for compiler in "${compilers[@]}"; do
	read -r cc cxx <<<"$compiler"
	flags="-fsanitize=address,undefined -fno-omit-frame-pointer"
	for trap in -fsanitize-trap=undefined -fsanitize-undefined-trap-on-error; do
		links_with "$cc" "$flags $trap" && break
		trap=
	done
	if [ -z "$trap" ]; then
		missing+=("the sanitizers of $cc")
		continue
	fi
	flags+=" $trap"
	settings=(EWAL_LIBRARY="$library" EWAL_LDFLAGS="${link:-$flags}")
	step "addresses, C, $cc" env CC="$cc" "${settings[@]}" \
		EWAL_CFLAGS="$flags ${link:+-DEWAL_ASAN_FORKS}" tests/c/run.sh
	step "addresses, C++, $cxx" env CXX="$cxx" "${settings[@]}" \
		EWAL_CXXFLAGS="$flags" EWAL_STANDARDS=20 tests/cpp/run.sh
done

if cargo +nightly miri --version >/dev/null 2>&1 && [ -d "$sources" ]; then
	# Bytes to values and back, and C's values: what needs no mapped memory.
	step "Miri" env MIRIFLAGS=-Zmiri-disable-isolation CARGO_TARGET_DIR="$target/miri" \
		cargo +nightly miri test --quiet --lib -- \
		format::group format::item format::state format::prelude format::names \
		format::bytes format::crc format::v1 error:: ffi::status ffi::error ffi::arg
else
	missing+=("Miri (rustup +nightly component add miri rust-src)")
fi

# Valgrind sees all of the library, and what is lost of it. Helgrind and DRD
# know locks by pthread's names and would call each futex here a race.
if command -v valgrind >/dev/null; then
	under="valgrind --quiet --error-exitcode=99 --child-silent-after-fork=yes --fair-sched=yes
		--suppressions=$PWD/tests/valgrind.supp"
	leaks="--leak-check=full --errors-for-leak-kinds=definite,indirect,possible"
	step "valgrind, C" env EWAL_LIGHT=1 EWAL_UNDER="$under $leaks" \
		EWAL_LIBRARY="$plain" \
		EWAL_TESTS="test_abi test_commit_recover test_guard test_signals test_threads \
			test_spool_abi test_primary test_primary_abi test_faults" \
		tests/c/run.sh
	# A child has lost what only its parent's threads still knew.
	step "valgrind, C that forks" env EWAL_LIGHT=1 EWAL_UNDER="$under" \
		EWAL_LIBRARY="$plain" \
		EWAL_TESTS="test_every_function test_fork test_processes test_spool test_spool_rdlw test_spool_reader" \
		tests/c/run.sh
	step "valgrind, C++" env EWAL_UNDER="$under $leaks" EWAL_STANDARDS=17 \
		EWAL_LIBRARY="$plain" tests/cpp/run.sh
	python3 - "$work/frames" <<-'PYTHON'
		import pathlib, sys
		sys.path[:0] = ["tests/cross", "examples/demo"]
		import model
		model.write_frames(pathlib.Path(sys.argv[1]), model.transactions(1, 50))
	PYTHON
	for language in c cpp; do
		programs=${EPOCHWAL_EXAMPLES:-build/examples}/$language
		# shellcheck disable=SC2086
		step "valgrind, commit from $language" $under $leaks \
			"$programs/commit" "$work/$language.db" "$work/frames"
		# shellcheck disable=SC2086
		step "valgrind, recover from $language" $under $leaks \
			"$programs/recover" "$work/$language.db" "$work/$language.out" 1024
	done
else
	missing+=("valgrind")
fi

# Python without its lock: a build of its own. That it compiles can be checked
# without such an interpreter.
free_threaded() {
	printf '%s\n' implementation=CPython version=3.14 shared=true abi3=false \
		build_flags=Py_GIL_DISABLED suppress_build_script_link_lines=true >"$1"
	cd python && PYO3_CONFIG_FILE=$1 CARGO_TARGET_DIR="$target/free-threaded" \
		cargo clippy --quiet --all-targets -- -D warnings
}
export -f free_threaded
step "Python, free-threaded, compiled only" bash -c "free_threaded '$work/pyo3.txt'"
free=$(command -v python3.15t || command -v python3.14t)
if [ -n "$free" ]; then
	step "Python, free-threaded" env PYTHON="$free" python/tests/check_free_threaded.sh
else
	missing+=("a free-threaded Python (python3.14t)")
fi

step "SQL through the SQLite host" env EPOCHWAL_SQL_SEEDS=100 .venv/bin/python -m pytest \
	--quiet tests/cross/test_sqlite_sql.py

# The host's databases, in a program that is not ours.
if command -v sqlite3 >/dev/null; then
	step "SQLite's own shell" make sqlite-shell
else
	missing+=("sqlite3, SQLite's own shell")
fi

for name in "${missing[@]}"; do echo "missing: $name"; done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
