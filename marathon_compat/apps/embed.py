"""What a query asks for besides the thing itself: flags, embedded parts, filters; pure.

``embed=apps.tasks``, ``app.tasks``, ``group.apps.tasks`` and ``tasks`` mean the same. Words that
nobody knows are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from marathon_compat.apps import selector
from marathon_compat.apps.app import App
from marathon_compat.apps.errors import bad_argument
from marathon_compat.apps.selector import Selector

#: What each word brings, for clients have come to rely on more than the word says.
WORDS: Mapping[str, frozenset[str]] = {
    "tasks": frozenset({"tasks", "deployments"}),
    "counts": frozenset({"counts"}),
    "deployments": frozenset({"deployments"}),
    "readiness": frozenset({"readiness"}),
    "lastTaskFailure": frozenset({"lastTaskFailure"}),
    "failures": frozenset({"tasks", "lastTaskFailure", "deployments"}),
    "taskStats": frozenset({"taskStats"}),
}
_PREFIXES = ("group.apps.", "apps.", "app.")

#: What lists of apps always hold, and what a single app does.
LISTED = frozenset({"counts", "deployments"})
SINGLE = LISTED | {"tasks", "lastTaskFailure"}

_GROUP_WORDS = ("group.groups", "group.apps", "group.pods")


def embedded(words: Iterable[str], always: frozenset[str] = frozenset()) -> frozenset[str]:
    """The parts of an app that are to be answered."""
    found = set(always)
    for word in words:
        found |= WORDS.get(_bare(word), frozenset())
    return frozenset(found)


def _bare(word: str) -> str:
    return next((word.removeprefix(one) for one in _PREFIXES if word.startswith(one)), word)


class Shown(NamedTuple):
    """The parts of a group that are to be answered, and the parts of its apps."""

    groups: bool
    apps: bool
    pods: bool
    parts: frozenset[str]


def group_shown(words: Iterable[str]) -> Shown:
    """Apps, pods and groups when none of them is named; else those that are."""
    asked = tuple(words)
    named = set(_GROUP_WORDS) & {*asked} or {*_GROUP_WORDS}
    return Shown(
        groups="group.groups" in named,
        apps="group.apps" in named,
        pods="group.pods" in named,
        parts=embedded(asked),
    )


class Filters(NamedTuple):
    """Which apps are asked for; all that is given must hold."""

    cmd: str = ""
    id: str = ""
    label: Selector | None = None

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Filters:
        """From ``cmd``, ``id`` and ``label``. Raises BadBody 422 for a bad selector."""
        label = query.get("label", "")
        found = selector.parse(label) if label else None
        return cls(query.get("cmd", "").lower(), query.get("id", "").lower(), found)

    def take(self, app: App) -> bool:
        """True when the app is asked for; texts are searched without regard to case."""
        return (
            self.cmd in (app.cmd or "").lower()
            and self.id in app.id.lower()
            and (self.label is None or self.label.matches(app.labels))
        )


def flag(query: Mapping[str, str], name: str, default: bool = False) -> bool:
    """A query's boolean by Java's rule: ``true`` in any case is true, all else is false."""
    text = query.get(name)
    return default if text is None else text.strip().lower() == "true"


def seconds(query: Mapping[str, str], name: str) -> float:
    """A query's time in seconds; 0.0 when it is not given. Raises BadBody 422."""
    text = query.get(name, "0")
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise bad_argument(f"cannot use {name}={text[:40]}: it is no number of seconds")
    return found
