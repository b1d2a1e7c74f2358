"""The wheels of this project and of all that it needs, for machines without a package index."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from vagrant.steps import run

SOURCES = ("pyproject.toml", "README.md", "fleetish", "marathon_compat")
BUILD_BACKEND = "setuptools>=77"  # as in pyproject.toml: an sdist or tree is built without an index


def build(checkout: Path, folder: Path) -> None:
    """Fill ``folder`` with wheels; the checkout is only read. Raises StepFailed."""
    with tempfile.TemporaryDirectory(prefix="fleetish-wheels-") as copy:
        for name in SOURCES:
            source = checkout / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, Path(copy) / name, ignore=ignored)
            else:
                shutil.copy(source, copy)
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(folder)]
        run([*pip, copy, BUILD_BACKEND])
