#!/bin/sh
# Checks the package's style and types: ruff, mypy, stubtest and pyright, with
# the tools of $PYTHON's environment. The package must be installed in it.
set -eu

python=$(command -v "${PYTHON:-python3}")
cd "$(dirname "$0")/.."

"$python" -m ruff check .
"$python" -m ruff format --check .
"$python" -m mypy
"$python" -m mypy.stubtest epochwal --mypy-config-file pyproject.toml
"$python" -m pyright --pythonpath "$python" --warnings
