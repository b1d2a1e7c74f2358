"""Marathon's own description of its API (RAML 1.0), as a check of what is answered.

A type of the description becomes a JSON Schema: properties with ``?`` may be missing, any that is
not named is refused. The files are data beside this project; where they are not, ``here()`` is
False and the checks that need them are not made.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).parents[3] / "shared" / "reference" / "marathon-api"
TYPES = ROOT / "raml" / "v2" / "types"

Schema = dict[str, Any]

_PLAIN: dict[str, Schema] = {
    "string": {"type": "string"},
    "datetime": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "object": {"type": "object"},
    "array": {"type": "array"},
    "nil": {"type": "null"},
    "any": {},
}
_FACETS = (
    "minimum", "maximum", "minLength", "maxLength", "pattern", "enum", "minItems", "maxItems",
    "uniqueItems",
)  # fmt: skip


def here() -> bool:
    """True where the description can be read."""
    return TYPES.is_dir()


def faults(
    file: str, name: str, value: object, *, missing: frozenset[str] = frozenset()
) -> list[str]:
    """How a value differs from a type, as ``$.path: why``; properties in ``missing`` may be missing
    everywhere, for there are keys that strict clients refuse."""
    validator = _validator(file, name, missing)
    return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(value)]


@cache
def _validator(file: str, name: str, missing: frozenset[str]) -> jsonschema.Draft202012Validator:
    book = _Book(missing)
    schema = book.named(file, name)
    return jsonschema.Draft202012Validator({**schema, "$defs": book.definitions})


@cache
def _library(file: str) -> dict[str, Any]:
    loaded = yaml.safe_load((TYPES / file).read_text())
    assert isinstance(loaded, dict)
    return loaded


class _Book:
    """The types that one schema needs, each converted once."""

    def __init__(self, missing: frozenset[str]) -> None:
        self.definitions: dict[str, Schema] = {}
        self._missing = missing

    def named(self, file: str, name: str) -> Schema:
        """A reference to a named type, which is converted when it is first met."""
        key = f"{file.removesuffix('.raml')}.{name}"
        if key not in self.definitions:
            self.definitions[key] = {}
            self.definitions[key] = self.convert(file, _library(file)["types"][name])
        return {"$ref": f"#/$defs/{key}"}

    def convert(self, file: str, node: object) -> Schema:
        """A type, by its name or spelled out."""
        if node is None:
            return {}
        if isinstance(node, str):
            return self._expression(file, node)
        assert isinstance(node, dict)
        facets = {key: node[key] for key in _FACETS if key in node}
        if self._is_object(file, node):
            return {**self._object(file, node), **facets}
        if "items" in node:
            return {"type": "array", "items": self.convert(file, node["items"]), **facets}
        kind = str(node.get("type", "string"))
        return {"allOf": [self._expression(file, kind), facets]}

    def _expression(self, file: str, text: str) -> Schema:
        text = text.strip().removeprefix("(").removesuffix(")").strip()
        if "|" in text:
            return {"anyOf": [self._expression(file, part) for part in text.split("|")]}
        if text.endswith("[]"):
            return {"type": "array", "items": self._expression(file, text[:-2])}
        if text in _PLAIN:
            return _PLAIN[text]
        return self.named(*self._where(file, text))

    def _where(self, file: str, text: str) -> tuple[str, str]:
        alias, dot, name = text.rpartition(".")
        return (str(_library(file)["uses"][alias]), name) if dot else (file, name)

    def _is_object(self, file: str, node: dict[str, Any]) -> bool:
        return "properties" in node or node.get("type") == "object"

    def _object(self, file: str, node: dict[str, Any]) -> Schema:
        fields, patterns = self._fields(file, node)
        required = [key for key, (_, needed) in fields.items() if needed]
        return {
            "type": "object",
            "properties": {key: schema for key, (schema, _) in fields.items()},
            "patternProperties": patterns,
            "required": [key for key in required if key not in self._missing],
            "additionalProperties": not fields and not patterns,
        }

    def _fields(
        self, file: str, node: dict[str, Any]
    ) -> tuple[dict[str, tuple[Schema, bool]], dict[str, Schema]]:
        """The object's own properties and those that it has from the type it is made of."""
        fields: dict[str, tuple[Schema, bool]] = {}
        patterns: dict[str, Schema] = {}
        base = str(node.get("type", "object"))
        if base not in _PLAIN:
            where, name = self._where(file, base)
            fields, patterns = self._fields(where, _library(where)["types"][name])
        for key, item in (node.get("properties") or {}).items():
            needed = not (isinstance(item, dict) and item.get("required") is False)
            schema = self.convert(file, item)
            if found := re.fullmatch("/(.*)/", key):
                patterns[found[1]] = schema
            else:
                fields[key.removesuffix("?")] = schema, needed and not key.endswith("?")
        return fields, patterns
