"""Reads the recorded conversations (see conversations/README.md) and holds them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import requests

from tests.fleet_api.speak import Fleet

FOLDER = Path(__file__).parent / "conversations"

_ROW = re.compile(
    r"(?P<again>AGAIN )?(?P<verb>[A-Z]+) (?P<path>\S+)(?: (?P<body>[{\[].*?))?"
    r" -> (?P<status>\d{3})(?: (?P<answer>\{.*))?"
)


class Turn(NamedTuple):
    """One request and what must come back; None is an empty body."""

    again: bool
    verb: str
    path: str
    body: Any
    status: int
    answer: Any


def read(path: Path) -> list[Turn]:
    """The turns of a file. Raises ValueError naming a row that cannot be read."""
    rows: list[str] = []
    for line in path.read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line[0] == " ":
            rows[-1] += " " + line.strip()
        else:
            rows.append(line.strip())
    return [_turn(path, row) for row in rows]


def _turn(path: Path, row: str) -> Turn:
    found = _ROW.fullmatch(row)
    if found is None:
        raise ValueError(f"cannot read a row of {path.name}: {row}")
    body, answer = (json.loads(found[key]) if found[key] else None for key in ("body", "answer"))
    return Turn(
        bool(found["again"]), found["verb"], found["path"], body, int(found["status"]), answer
    )


def hold(fleet: Fleet, turn: Turn) -> None:
    """Take one turn; what comes back must be what was recorded."""
    if turn.again:
        fleet.until(turn.path, lambda found: fits(found, turn.answer, exact=False))
        return
    said = fleet.ask(turn.verb, turn.path, json=turn.body)
    assert said.status_code == turn.status, f"{turn.verb} {turn.path}: {said.text}"
    assert fits(spoken(said), turn.answer), f"{turn.verb} {turn.path}: {said.text}"


def spoken(said: requests.Response) -> Any:
    """The JSON of an answer, None for an empty one."""
    return said.json() if said.content else None


def fits(found: Any, wanted: Any, *, exact: bool = True) -> bool:
    """True when an answer is what is wanted; ``"*"`` is anything that is there."""
    if wanted == "*":
        return bool(found)
    if isinstance(wanted, dict) and isinstance(found, dict):
        keys = found.keys() == wanted.keys() if exact else found.keys() >= wanted.keys()
        return keys and all(fits(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list) and isinstance(found, list):
        pairs = zip(found, wanted, strict=False)
        return len(found) == len(wanted) and all(fits(one, other) for one, other in pairs)
    return bool(found == wanted)
