"""Copies SQLite's sources into a folder; `cargo metadata` on the standard input."""

import json
import shutil
import sys
from pathlib import Path

for package in json.load(sys.stdin)["packages"]:
    if package["name"] == "libsqlite3-sys":
        sources = Path(package["manifest_path"]).parent / "sqlite3"
        for name in ("sqlite3.h", "sqlite3ext.h", "sqlite3.c"):
            shutil.copyfile(sources / name, Path(sys.argv[1]) / name)
