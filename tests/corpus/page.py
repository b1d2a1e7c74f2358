"""docs/reference/corpus.md: what was compared and what came out; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from tests.corpus.count import Count, Refusal
from tests.corpus.differences import ADDED, EXCUSES, NAMED, ONCE, ONCE_A_LINE, REMARKS
from tests.corpus.run import Found

HEAD = """\
# Unit files of Debian, read by systemd and started by fleetish

Made by `make corpus` with {systemd} on Debian {debian}. The packages are those of
`tests/corpus/packages.txt`, fetched from Debian; each unit file is loaded from
`/run/systemd/system` on a host of the lab, and the same text is started as a transient unit under
the same name. All that `systemctl show --all` says of both is compared to the letter. Templates are
tried as the instance `x`. A condition that never holds is appended to both, so nothing runs.

| what | count |
|---|---:|
"""


def page(found: Found, systemd: str, debian: str) -> str:
    """The whole page."""
    count = found.sums
    head = HEAD.format(systemd=systemd, debian=debian)
    return (
        head
        + "".join(f"| {what} | {value} |\n" for what, value in _sums(found))
        + "\n## Types\n\n| type | files | started | directives | refused |\n"
        + "|---|---:|---:|---:|---:|\n"
        + "".join(_types(count))
        + _others(count)
        + "\n## Refused\n\n`fleetish verify` says these with file, line and directive.\n\n"
        + "| type | directive | times | for instance | in |\n|---|---|---:|---|---|\n"
        + "".join(_refused(count.refused))
        + _kept_out(found)
        + "\n## Differences that are none\n\n| property | why |\n|---|---|\n"
        + _rows(NAMED)
        + "".join(f"| {row.property} of a {row.kind} | {row.why} |\n" for row in EXCUSES)
        + f"\nOf words said twice the bus keeps one: {', '.join(sorted(ONCE | ONCE_A_LINE))}.\n"
        + "`%y` and `%Y` stand for the file that systemd keeps of the unit.\n"
        + "\nsystemd remarks on some files that it takes as they are: "
        + "; ".join(REMARKS)
        + ".\n\nWhat an agent adds to a unit that runs processes was compared too:\n\n"
        + "| property | what is added |\n|---|---|\n"
        + _rows(ADDED)
    )


def _sums(found: Found) -> Iterable[tuple[str, str]]:
    count = found.sums
    started = len(count.verdicts) - len(found.refused)
    different = len(found.different.keys() | found.placed_different.keys())
    yield "packages", f"{count.packages}"
    yield "unit files of types that systemd starts over the bus", f"{len(count.verdicts):,}"
    yield "directives in them, without [Install]", f"{count.directives:,}"
    yield "directives that translate", f"{count.directives - len(count.refused):,}"
    yield "share of directives that translate", f"{count.share:.2%}"
    yield "unit files that are started", f"{started:,}"
    yield "… of which systemctl shows the same", f"{started - different:,}"
    yield "… share", f"{(started - different) / started:.2%}"
    installs = sum(one.installs for one in count.verdicts)
    yield "lines in [Install], which is for the engine", f"{installs:,}"


def _types(count: Count) -> Iterable[str]:
    for kind in dict.fromkeys(sorted(one.kind for one in count.verdicts)):
        rows = [one for one in count.verdicts if one.kind == kind]
        accepted = sum(not one.refused for one in rows)
        directives = sum(one.directives for one in rows)
        refused = sum(len(one.refused) for one in rows)
        yield f"| {kind} | {len(rows)} | {accepted} | {directives:,} | {refused} |\n"


def _others(count: Count) -> str:
    if not count.others:
        return ""
    named = ", ".join(
        f"{files} files of type {kind} with {lines} directives"
        for kind, files, lines in count.others
    )
    return (
        "\nsystemd takes no transient units of other types, so `fleetish verify` refuses such files"
        f"\nas a whole. They are not counted above: {named}.\n"
    )


def _refused(refused: Iterable[Refusal]) -> Iterable[str]:
    rows = list(refused)
    first = {(row.kind, row.directive): row for row in reversed(rows)}
    times = Counter((row.kind, row.directive) for row in rows)
    for (kind, directive), number in sorted(times.items(), key=lambda row: (-row[1], row[0])):
        one = first[kind, directive]
        reason = one.reason.replace("|", "\\|")
        yield f"| {kind} | `{directive}=` | {number} | {reason} | `{one.file}` |\n"


def _kept_out(found: Found) -> str:
    names = sorted(set(found.kept_out) - set(found.refused))
    if not names:
        return ""
    shown = ", ".join(f"`{name}`" for name in names)
    return (
        "\nTranslated and compared, but not placed on a machine because of a `Slice=` outside of"
        f"\nfleetish.slice: {shown}.\n"
    )


def _rows(table: Mapping[str, str]) -> str:
    return "".join(f"| {name} | {why} |\n" for name, why in table.items())
