#!/bin/sh
# Builds the package for a free-threaded interpreter, which takes no abi3 wheel,
# and runs its tests there: with threads that truly run side by side.
#
#   PYTHON=python3.14t python/tests/check_free_threaded.sh
#
# Needs what pip fetches. PyO3 supports 3.14 and newer.
set -eu

python=$(command -v "$PYTHON")
cd "$(dirname "$0")/.."
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -c '
import sys, sysconfig
sys.exit(not sysconfig.get_config_var("Py_GIL_DISABLED"))' || {
	echo "$python is not free-threaded" >&2
	exit 1
}
"$python" -m venv "$work/venv"
grep -E '^(maturin|numpy|pytest)==' requirements-dev.txt >"$work/requirements.txt"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check -r "$work/requirements.txt"
"$work/venv/bin/maturin" build --quiet --interpreter "$work/venv/bin/python" \
	--profile dev --out "$work"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "$work"/epochwal-*.whl
cd "$work/venv"
bin/python -W error -X faulthandler -m pytest -q -p no:cacheprovider \
	-c "$here/pyproject.toml" "$here/tests"
