#!/usr/bin/env bash
# Runs the fuzz targets, all or those that are named, FUZZ_SECONDS each. What
# is found new stays in fuzz/work; `cargo fuzz cmin` brings it into the corpus.
set -euo pipefail
cd "$(dirname "$0")"

missing=()
cargo +nightly --version >/dev/null 2>&1 ||
	missing+=("a nightly toolchain (rustup toolchain install nightly)")
cargo fuzz --version >/dev/null 2>&1 || missing+=("cargo-fuzz (cargo install cargo-fuzz)")
if ((${#missing[@]})); then
	printf 'missing: %s\n' "${missing[@]}"
	exit 1
fi

# The Makefile's target directory is for another compiler.
unset CARGO_TARGET_DIR
targets=("$@")
((${#targets[@]})) || mapfile -t targets < <(cargo +nightly fuzz list)
failed=()
for target in "${targets[@]}"; do
	mkdir -p "work/$target"
	echo "== $target, ${FUZZ_SECONDS:-60} seconds"
	cargo +nightly fuzz run "$target" "work/$target" "corpus/$target" -- \
		-max_total_time="${FUZZ_SECONDS:-60}" -timeout=20 -print_final_stats=1 ||
		failed+=("$target")
done
((${#failed[@]} == 0)) || {
	echo "FAILED: ${failed[*]}; the inputs are in fuzz/artifacts"
	exit 1
}
