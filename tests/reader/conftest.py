"""Puts the reader's own modules on the path; they are no package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
