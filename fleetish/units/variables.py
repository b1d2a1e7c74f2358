"""``Environment=`` of [X-Fleet]: variables made of what only the machine is told.

    Environment=PORT_HTTP=${PORT0}
    Environment=TASK=%i.${LAUNCH}

``${PORT}`` is the first granted port, ``${PORT0}``, ``${PORT1}`` … each of them, ``${PORTS}`` all
with commas between, ``${LAUNCH}`` the number of the launch from 1, ``${MACHINE}`` the machine's id.
What the unit says in its own Environment= wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from fleetish.units.file import CONTROL

#: Variables that one unit may have made, at most.
MOST = 1024

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.ASCII | re.DOTALL)
_FACT = re.compile(r"\$\{([^}]*)\}")
_PORT = re.compile(r"PORT(0|[1-9]\d{0,3})", re.ASCII)
_FACTS = ("PORT", "PORTS", "LAUNCH", "MACHINE")


def read_all(rows: list[str]) -> tuple[str, ...]:
    """The variables as ``NAME=text``, the last of each name. Raises ValueError."""
    for row in rows:
        _check(row)
    if len(rows) > MOST:
        raise ValueError(f"a unit may have {MOST} such variables at most")
    return tuple({row.partition("=")[0]: row for row in rows}.values())


def facts(ports: Sequence[int], launch: int, machine: str) -> dict[str, str]:
    """What stands for each fact on a machine that granted these ports."""
    granted = [str(port) for port in ports]
    first = {"PORT": granted[0], "PORTS": ",".join(granted)} if granted else {}
    numbered = {f"PORT{at}": port for at, port in enumerate(granted)}
    return {**first, **numbered, "LAUNCH": str(launch), "MACHINE": machine}


def filled(variable: str, known: dict[str, str]) -> tuple[str, str]:
    """The name and value of a variable; a fact that is not known leaves nothing in its place."""
    name, _, text = variable.partition("=")
    return name, _FACT.sub(lambda found: known.get(found[1], ""), text)


def problems(variables: Sequence[str], ports: int) -> Iterator[str]:
    """What is wrong with the variables of a unit that claims so many ports, as sentences."""
    for variable in variables:
        for fact in _FACT.findall(variable):
            number = _PORT.fullmatch(fact)
            at = int(number[1]) if number else 0 if fact in ("PORT", "PORTS") else -1
            if at >= ports:
                yield f"cannot use Environment={variable}: Ports= names too few, {ports}"


def _check(variable: str) -> None:
    if not _VARIABLE.fullmatch(variable) or CONTROL.search(variable) or "\n" in variable:
        raise ValueError(f"{variable!r} is not NAME=text")
    for fact in _FACT.findall(variable):
        if fact not in _FACTS and not _PORT.fullmatch(fact):
            known = ", ".join(f"${{{name}}}" for name in (*_FACTS, "PORT0"))
            raise ValueError(f"${{{fact}}} is none of {known} …")
