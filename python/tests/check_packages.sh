#!/bin/sh
# Builds the wheel and the source distribution, installs each into an empty
# environment, and runs the package's tests there, on what was installed.
#
#   python/tests/check_packages.sh [PROFILE]    of cargo's; release by default
#
# The tools are those of $PYTHON's environment. Needs what pip fetches.
set -eu

profile=${1:-release}
python=$(command -v "${PYTHON:-python3}")
cd "$(dirname "$0")/.."
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

"$python" -m maturin build --quiet --profile "$profile" --out "$work" --sdist
cd "$work"
wheel=$(echo epochwal-"$version"-cp311-abi3-*linux*.whl)
sdist=epochwal-$version.tar.gz
"$python" - "$wheel" "$sdist" <<'PYTHON'
import sys, tarfile, zipfile

wheel, sdist = sys.argv[1:]
names = {name.partition("/")[2]: name for name in zipfile.ZipFile(wheel).namelist()}
for part in ("_native.abi3.so", "_native.pyi", "py.typed", "aio.py"):
    assert part in names, f"{part} is not in {wheel}"
assert not [name for name in names if "test" in name], "tests in the wheel"
for part in ("licenses/LICENSE-MIT", "licenses/LICENSE-APACHE"):
    assert part in names, f"{part} is not in {wheel}"
with tarfile.open(sdist) as archive:
    members = {name.partition("/")[2] for name in archive.getnames()}
for part in ("PKG-INFO", "pyproject.toml", "src/lib.rs", "LICENSE-MIT", "LICENSE-APACHE"):
    assert part in members, f"{part} is not in {sdist}"
PYTHON

try() {
	"$python" -m venv "$work/venv"
	"$work/venv/bin/pip" install --quiet --disable-pip-version-check "$1[test]"
	# From elsewhere, so that nothing but what is installed can be imported.
	(cd "$work/venv" && bin/python -c '
import epochwal, sys
assert epochwal.__file__.startswith(sys.prefix), epochwal.__file__
assert epochwal.__version__ == sys.argv[1]' "$version")
	"$work/venv/bin/python" -m pytest -q -p no:cacheprovider \
		-c "$here/pyproject.toml" "$here/tests"
	# Whether all that is public has a type, as who installs it finds it.
	if ! command -v node >/dev/null; then
		echo 'missing: node, for pyright'
	elif ! (cd "$work/venv" && PATH="$work/venv/bin:$PATH" "$python" -m pyright \
		--verifytypes epochwal --ignoreexternal >"$work/types"); then
		cat "$work/types"
		exit 1
	fi
	rm -rf "$work/venv"
}


echo "== $wheel"
try "./$wheel"
echo "== $sdist"
MATURIN_PEP517_ARGS="--profile $profile" try "./$sdist"
