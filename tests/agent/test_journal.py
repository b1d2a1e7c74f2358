"""The journal's commands, and this machine's routes, called as an API would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.applications import Starlette

from fleetish.agent.base import Figures, JournalQuery
from fleetish.agent.journal import SystemJournal
from fleetish.agent.serve import local_routes
from fleetish.errors import BadName, Refused


class Said:
    """A journal that holds what it is given; keeps the Journal protocol."""

    def __init__(self, *entries: bytes) -> None:
        self.asked: list[JournalQuery] = []
        self.ended = False
        self._entries = entries

    async def entries(self, query: JournalQuery) -> AsyncGenerator[bytes, None]:
        self.asked.append(query)
        try:
            for entry in self._entries:
                yield entry
            while query.follow:
                await asyncio.Event().wait()
        finally:
            self.ended = True

    async def status(self, unit: str) -> str:
        return f"status of {unit}"


async def get(journal: Said, target: str, *, leave_after: int = 1000) -> tuple[int, bytes]:
    """Ask a route over ASGI; the client leaves after so many pieces of the body."""
    figures = {"a.service": Figures(4096, 1.5)}
    app = Starlette(routes=local_routes(journal, lambda: figures))
    path, _, query = target.partition("?")
    body: list[bytes] = []
    status: list[int] = []
    left = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])
        elif message.get("body"):
            body.append(message["body"])
            if len(body) >= leave_after:
                left.set()

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [],
        "root_path": "",
    }
    async with asyncio.timeout(5):
        await app(scope, receive, send)
    return status[0], b"".join(body)


def test_entries_come_as_a_line_each() -> None:
    said = Said(b'{"a":1}', b'{"a":2}')
    path = "/v1/local/journal/web@1.service?lines=2&since=-1h"
    assert asyncio.run(get(said, path)) == (200, b'{"a":1}\n{"a":2}\n')
    assert said.asked == [JournalQuery("web@1.service", 2, since="-1h")]


def test_following_ends_with_its_reader() -> None:
    said = Said(b"1", b"2")
    path = "/v1/local/journal/a.service?follow=1"
    assert asyncio.run(get(said, path, leave_after=2)) == (200, b"1\n2\n")
    assert said.ended


def test_status_and_figures_are_this_machines() -> None:
    said = Said()
    assert asyncio.run(get(said, "/v1/local/status/a.service")) == (200, b"status of a.service")
    expected = b'{"a.service":{"memory":4096,"cpu":1.5}}'
    assert asyncio.run(get(said, "/v1/local/figures")) == (200, expected)


def test_names_and_numbers_of_lines_are_checked_before_a_command_is_run() -> None:
    with pytest.raises(BadName):
        asyncio.run(get(Said(), "/v1/local/journal/--merge"))
    for lines in ("-1", "1e9", "999999999", "x"):
        with pytest.raises(Refused):
            asyncio.run(get(Said(), f"/v1/local/journal/a.service?lines={lines}"))


def test_each_value_of_a_query_is_one_word_of_the_command() -> None:
    query = JournalQuery("a.service", 5, follow=True, cursor="s=1;i=2", since="1 hour ago")
    assert SystemJournal().command(query)[4:] == (
        "--unit=a.service",
        "--after-cursor=s=1;i=2",
        "--since=1 hour ago",
        "--follow",
    )
    assert SystemJournal(user=True).command(JournalQuery("a.service", 5))[4:] == (
        "--user-unit=a.service",
        "-n5",
    )
