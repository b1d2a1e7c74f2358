"""What is answered to a body that cannot be taken, in Marathon's shapes.

    not JSON at all        400  {"message": "Invalid JSON", "details": "…why"}
    another shape or type  422  {"message": "Invalid JSON", "details": [{"path", "errors"}]}
    against a rule         422  {"message": "Object is not valid", "details": [{"path", "errors"}]}
    a bad argument         422  {"message": "…"}

Paths are those of Play JSON: ``/apps(0)/id``; ``/`` is the whole object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fleetish.errors import Refused

#: What a rule finds: the path below what it looks at ("": all of it), and a sentence.
Wrong = Iterator[tuple[str, str]]


class Violation(NamedTuple):
    """One thing that is wrong, and where."""

    path: str
    error: str


class BadBody(Refused):
    """A body or an argument that cannot be taken; nothing was changed."""

    def __init__(
        self, status: int, message: str, details: str | tuple[Violation, ...] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.details = details

    def __str__(self) -> str:
        if isinstance(self.details, tuple):
            return f"{self.message}: " + "; ".join(f"{v.path}: {v.error}" for v in self.details)
        return f"{self.message}: {self.details}" if self.details else self.message

    def body(self) -> dict[str, object]:
        """The JSON that is answered."""
        if self.details is None:
            return {"message": self.message}
        if isinstance(self.details, str):
            return {"message": self.message, "details": self.details}
        return {"message": self.message, "details": _by_path(self.details)}


def not_json(reason: str) -> BadBody:
    """For a body that is no JSON."""
    return BadBody(400, "Invalid JSON", reason)


def no_body() -> BadBody:
    """For a body that is missing."""
    return BadBody(400, "Please specify data in JSON format")


def bad_shape(violations: Iterable[Violation]) -> BadBody:
    """For JSON with values that are missing or of the wrong type."""
    return BadBody(422, "Invalid JSON", tuple(violations))


def not_valid(violations: Iterable[Violation]) -> BadBody:
    """For a definition that breaks rules."""
    return BadBody(422, "Object is not valid", tuple(violations))


def bad_argument(message: str) -> BadBody:
    """For an argument, such as a version or a selector, that cannot be read."""
    return BadBody(422, message)


def _by_path(violations: Iterable[Violation]) -> list[dict[str, object]]:
    rows: dict[str, list[str]] = {}
    for violation in violations:
        errors = rows.setdefault(violation.path or "/", [])
        if violation.error not in errors:
            errors.append(violation.error)
    return [{"path": path, "errors": errors} for path, errors in rows.items()]
