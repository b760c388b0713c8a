#!/usr/bin/env bash
# Checks that need more than Rust, a C compiler and Python: the C and C++ tests
# under valgrind and with sanitizers. What is missing is named; it is not
# counted as passed, and does not fail the run.
set -uo pipefail
cd "$(dirname "$0")/.."

passed=0 failed=0 missing=()

step() {
	local name=$1
	shift
	echo "== $name"
	if "$@"; then passed=$((passed + 1)); else
		failed=$((failed + 1))
		echo "FAILED: $name"
	fi
}

# A sanitizer that the compiler has but cannot link is as good as missing.
links_with() {
	local probe
	probe=$(mktemp -d)
	echo 'int main(void) { return 0; }' >"$probe/a.c"
	"${CC:-cc}" "$1" "$probe/a.c" -o "$probe/a" 2>/dev/null && "$probe/a"
	local rc=$?
	rm -rf "$probe"
	return $rc
}

for sanitizer in address undefined; do
	flags="-fsanitize=$sanitizer"
	if links_with "$flags"; then
		options="-O1 -g $flags -fno-sanitize-recover=all -fno-omit-frame-pointer"
		# A forked child leaves what its parent's threads held; valgrind looks
		# for leaks below.
		export ASAN_OPTIONS=detect_leaks=0
		step "C tests, $sanitizer sanitizer" env EWAL_CFLAGS="$options" tests/c/run.sh
		step "C++ tests, $sanitizer sanitizer" env EWAL_CXXFLAGS="$options" tests/cpp/run.sh
	else
		missing+=("$sanitizer sanitizer (${CC:-cc} $flags)")
	fi
done

if command -v valgrind >/dev/null; then
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	python3 - "$work/frames" <<-'PYTHON'
		import pathlib, sys
		sys.path[:0] = ["tests/cross", "examples/demo"]
		import model
		model.write_frames(pathlib.Path(sys.argv[1]), model.transactions(1, 50))
	PYTHON
	for language in c cpp; do
		programs=${EPOCHWAL_EXAMPLES:-build/examples}/$language
		check=(valgrind --quiet --error-exitcode=99 --leak-check=full
			--errors-for-leak-kinds=definite)
		step "valgrind, commit from $language" \
			"${check[@]}" "$programs/commit" "$work/$language.db" "$work/frames"
		step "valgrind, recover from $language" \
			"${check[@]}" "$programs/recover" "$work/$language.db" "$work/$language.out" 1024
	done
else
	missing+=("valgrind")
fi

for tool in clang abidiff doxygen; do
	command -v "$tool" >/dev/null || missing+=("$tool")
done

for name in "${missing[@]}"; do echo "missing: $name"; done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
