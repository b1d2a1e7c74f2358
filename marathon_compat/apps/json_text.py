"""JSON as it may come in a body: strict, bounded, and each key said once.

Stricter than Marathon where leniency hides a mistake: of two equal keys it took the last, here they
are refused. ``NaN``, ``Infinity`` and numbers too large for a double are left to the reader of the
definition (:mod:`marathon_compat.apps.shape`), whose answer can name the field.
"""

from __future__ import annotations

import json
import re

from marathon_compat.apps.errors import BadBody, no_body, not_json

#: Bytes in a body, at most; the largest known real group of 1,000 apps has 1.8 MB.
MAX_BODY = 8 * 1024 * 1024

#: Objects and lists within each other, at most.
MAX_DEPTH = 32

_SURROGATE = re.compile("[\ud800-\udfff]")


def parse(body: bytes) -> object:
    """What the body says. Raises BadBody: 413 too large, 400 not JSON."""
    text = _text(body)
    try:
        tree: object = json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:  # also of a whole number with thousands of digits
        raise not_json(str(error)) from None
    _check(tree, text)
    return tree


def _text(body: bytes) -> str:
    if len(body) > MAX_BODY:
        raise BadBody(413, f"The body is larger than {MAX_BODY} bytes")
    if not body.strip():
        raise no_body()
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise not_json(f"it is not UTF-8: {error}") from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:80]!r} is given twice in one object")
    return found


def _check(tree: object, text: str) -> None:
    level = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _children(node)]
        if not level:
            break
    else:
        raise _too_deep()
    # Only an escape can bring half of a pair into a string, for the text itself is UTF-8.
    if "\\u" in text and _SURROGATE.search(json.dumps(tree, ensure_ascii=False)):
        raise not_json("a string holds half of a surrogate pair")


def _children(node: object) -> list[object]:
    values = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [value for value in values if isinstance(value, dict | list)]


def _too_deep() -> BadBody:
    return not_json(f"it is nested more than {MAX_DEPTH} deep")
