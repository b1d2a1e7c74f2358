"""Journal entries as journalctl prints them, from its JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

FORMATS = ("short", "short-iso", "cat", "json")


def line(entry: Mapping[str, Any], how: str) -> str:
    """One entry as a line (or more, when its message has several)."""
    if how == "json":
        return json.dumps(entry, ensure_ascii=False)
    message = text_of(entry.get("MESSAGE"))
    if how == "cat":
        return message
    return f"{stamp(entry, how)} {text_of(entry.get('_HOSTNAME'))} {source(entry)}: {message}"


def stamp(entry: Mapping[str, Any], how: str) -> str:
    """When, in local time, as journalctl writes it."""
    seconds = int(entry.get("__REALTIME_TIMESTAMP", 0)) / 1e6
    form = "%Y-%m-%dT%H:%M:%S%z" if how == "short-iso" else "%b %d %H:%M:%S"
    return time.strftime(form, time.localtime(seconds))


def source(entry: Mapping[str, Any]) -> str:
    """Who said it: ``name[pid]``."""
    name = text_of(entry.get("SYSLOG_IDENTIFIER") or entry.get("_COMM") or "unknown")
    pid = entry.get("_PID") or entry.get("SYSLOG_PID")
    return f"{name}[{pid}]" if pid else name


def text_of(value: Any) -> str:
    """A field's text; journalctl gives what is not UTF-8 as a list of bytes, and what it finds too
    long as null."""
    if isinstance(value, list):
        if all(isinstance(byte, int) for byte in value):
            return bytes(value).decode(errors="replace")
        return "\n".join(map(text_of, value))
    return "[too long]" if value is None else str(value)
