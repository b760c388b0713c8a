"""The package, its crate and the library have one version."""

import re
from pathlib import Path

import epochwal

ROOT = Path(__file__).parents[2]


def test_the_package_has_the_version_of_the_library() -> None:
    """It is that of both manifests, where these are at hand."""
    for manifest in (ROOT / "Cargo.toml", ROOT / "python" / "Cargo.toml"):
        if manifest.exists():
            found = re.search(r'^version = "(.*)"$', manifest.read_text("utf-8"), re.M)
            assert found is not None
            assert epochwal.__version__ == found[1]
