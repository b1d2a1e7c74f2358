"""From parsed JSON to structs: the shape of a body, checked with every fault found at once.

The structs themselves say what is read: a reader is made of each type once, from what msgspec
knows of it. Unknown fields are ignored, and null is as good as nothing, as in Marathon. Faults are
told in Play JSON's words with its paths: ``/apps(0)/cpus: error.expected.jsnumber``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from msgspec import inspect

from marathon_compat.apps.errors import Violation, bad_shape

#: (value, its path, where faults are gathered) -> what was read; of no use once there is a fault.
Reader = Callable[[object, str, list[Violation]], object]

#: The readers of structs, also of those that are still being made.
_structs: dict[type, Reader] = {}

T = TypeVar("T")

MISSING = "error.path.missing"
OBJECT = "error.expected.jsobject"
ARRAY = "error.expected.jsarray"
STRING = "error.expected.jsstring"
NUMBER = "error.expected.jsnumber"
WHOLE = "error.expected.int"
BOOLEAN = "error.expected.jsboolean"

#: Whole numbers are 64 bits wide at most.
_WIDEST = 2**63


def read(kind: type[T], tree: object, path: str, faults: list[Violation]) -> T:
    """The tree as a ``kind``; faults are added to ``faults``, and the result is of no use then."""
    return (_structs.get(kind) or _reader(inspect.type_info(kind)))(tree, path, faults)  # type: ignore[return-value]


def read_whole(kind: type[T], tree: object) -> T:
    """The tree as a ``kind``. Raises BadBody 422 with every fault."""
    faults: list[Violation] = []
    found = read(kind, tree, "", faults)
    if faults:
        raise bad_shape(faults)
    return found


def _reader(kind: inspect.Type) -> Reader:
    if isinstance(kind, inspect.StructType):
        return _structs.get(kind.cls) or _struct(kind)
    if isinstance(kind, inspect.VarTupleType):
        return _array(_reader(kind.item_type))
    if isinstance(kind, inspect.DictType):
        return _map(_reader(kind.value_type))
    if isinstance(kind, inspect.UnionType):
        return _union(kind)
    if isinstance(kind, inspect.LiteralType):
        return _literal(tuple(str(value) for value in kind.values))
    if isinstance(kind, inspect.EnumType):
        return _enum(kind)
    return _PLAIN[type(kind)]


def _struct(kind: inspect.StructType) -> Reader:
    make = kind.cls
    rows: list[tuple[str, str, Reader, bool]] = []

    def read_struct(value: object, path: str, faults: list[Violation]) -> object:
        if not isinstance(value, dict):
            return _fault(path, OBJECT, faults)
        found = {}
        for key, name, reader, required in rows:
            item = value.get(key)
            if item is not None:
                found[name] = reader(item, f"{path}/{key}", faults)
            elif required:
                faults.append(Violation(f"{path}/{key}", MISSING))
        return None if faults else make(**found)

    # A type may hold itself, as groups do, so it is known before its fields' readers are made.
    _structs[make] = read_struct
    rows.extend(
        (field.encode_name, field.name, _reader(field.type), field.required)
        for field in kind.fields
    )
    return read_struct


def _array(item: Reader) -> Reader:
    def read_array(value: object, path: str, faults: list[Violation]) -> object:
        if not isinstance(value, list):
            return _fault(path, ARRAY, faults)
        return tuple(item(part, f"{path}({at})", faults) for at, part in enumerate(value))

    return read_array


def _map(item: Reader) -> Reader:
    def read_map(value: object, path: str, faults: list[Violation]) -> object:
        if not isinstance(value, dict):
            return _fault(path, OBJECT, faults)
        return {
            key: item(part, f"{path}/{key}", faults)
            for key, part in value.items()
            if part is not None
        }

    return read_map


def _union(kind: inspect.UnionType) -> Reader:
    """Which of its types is meant is told by what JSON has there."""
    kinds = [part for part in kind.types if not isinstance(part, inspect.NoneType)]
    if len(kinds) == 1:
        return _reader(kinds[0])
    readers = {_json_type(part): _reader(part) for part in kinds}
    other = readers[_json_type(kinds[0])]

    def read_union(value: object, path: str, faults: list[Violation]) -> object:
        kind = float if type(value) is int else type(value)
        return readers.get(kind, other)(value, path, faults)

    return read_union


def _json_type(kind: inspect.Type) -> type:
    if isinstance(kind, inspect.StructType):
        return dict
    return float if isinstance(kind, inspect.FloatType) else str


def _enum(kind: inspect.EnumType) -> Reader:
    words = _literal(tuple(str(member.value) for member in kind.cls))

    def read_enum(value: object, path: str, faults: list[Violation]) -> object:
        before = len(faults)
        word = words(value, path, faults)
        return kind.cls(word) if len(faults) == before else None

    return read_enum


def _literal(words: tuple[str, ...]) -> Reader:
    def read_literal(value: object, path: str, faults: list[Violation]) -> object:
        if not isinstance(value, str):
            return _fault(path, STRING, faults)
        if value not in words:
            known = ", ".join(words)
            return _fault(path, f"error.unknown.enum.literal: one of {known}", faults)
        return value

    return read_literal


def _string(value: object, path: str, faults: list[Violation]) -> object:
    return value if isinstance(value, str) else _fault(path, STRING, faults)


def _boolean(value: object, path: str, faults: list[Violation]) -> object:
    return value if isinstance(value, bool) else _fault(path, BOOLEAN, faults)


def _whole(value: object, path: str, faults: list[Violation]) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _fault(path, NUMBER, faults)
    if isinstance(value, float):
        if not value.is_integer():
            return _fault(path, WHOLE, faults)
        value = int(value)
    return value if abs(value) < _WIDEST else _fault(path, WHOLE, faults)


def _number(value: object, path: str, faults: list[Violation]) -> object:
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _WIDEST:
        return float(value)
    return _fault(path, NUMBER, faults)


def _anything(value: object, path: str, faults: list[Violation]) -> object:
    """Any JSON, without its nulls."""
    if isinstance(value, dict):
        return _map(_anything)(value, path, faults)
    if isinstance(value, list):
        parts = [part for part in value if part is not None]
        return [_anything(part, f"{path}({at})", faults) for at, part in enumerate(parts)]
    if isinstance(value, int | float) and not isinstance(value, bool):
        whole = isinstance(value, int) and abs(value) < _WIDEST
        return value if whole else _number(value, path, faults)
    return value


def _fault(path: str, error: str, faults: list[Violation]) -> object:
    faults.append(Violation(path or "/", error))
    return None


_PLAIN: dict[type[inspect.Type], Reader] = {
    inspect.StrType: _string,
    inspect.BoolType: _boolean,
    inspect.IntType: _whole,
    inspect.FloatType: _number,
    inspect.AnyType: _anything,
    inspect.CustomType: _anything,
}
