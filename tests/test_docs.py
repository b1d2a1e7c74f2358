"""Reference pages are as new as their tables, links lead somewhere, examples are good units."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from fleetish.units.file import parse
from fleetish.units.sections import NOT_TRANSIENT, PROPERTIES
from fleetish.units.template import render
from fleetish.units.verify import verify

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_pages_are_as_new_as_their_tables() -> None:
    for name, page in generator().PAGES.items():
        assert (ROOT / "docs" / "reference" / name).read_text() == page()


def test_every_directive_has_a_line_under_one_manual_page() -> None:
    rows = [line.split(" | ")[0] for line in generator().directives().splitlines()]
    for tables in (PROPERTIES, NOT_TRANSIENT):
        missing = [
            f"[{section}] {name}"
            for section, names in tables.items()
            for name in names
            if not any(f"`{name}=`" in row for row in rows)
        ]
        assert not missing


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]


def test_examples_are_good_units() -> None:
    values = {"size": 32, "team": "blue", "rack": "r1"}
    for path in sorted((ROOT / "examples").glob("*.service*")):
        text = path.read_text()
        name = path.name.removesuffix(".j2")
        if path.suffix == ".j2":
            text = render(text, path.name, values)
        assert verify(parse(text, path.name), name) == ()


def test_tests_that_pages_name_exist() -> None:
    for page in PAGES:
        for path, _, name in re.findall(r"`(tests/[\w/.]+)(::(\w+))?`", page.read_text()):
            assert (ROOT / path).exists(), f"{page.name}: {path}"
            assert not name or f"def {name}(" in (ROOT / path).read_text(), f"{page.name}: {name}"
