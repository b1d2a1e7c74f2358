"""Requests that are not as they seem, or never end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from starlette.requests import Request

from marathon_compat.apps.bodies import body_of
from marathon_compat.apps.errors import BadBody
from marathon_compat.apps.replies import fault
from tests.marathon.face import Marathon, marathon


@pytest.fixture
def still() -> Iterator[Marathon]:
    with marathon(moving=False) as client:
        yield client


@pytest.mark.parametrize(
    "path", ["/v2/apps/web%3Fforce=true", "/v2/apps/web%23", "/v2/apps/w%0Aeb"]
)
def test_an_escaped_character_is_one_of_the_id(still: Marathon, path: str) -> None:
    assert still.ask("POST", "/v2/apps", {"id": "/web", "cmd": "sleep 10"}).status_code == 201
    assert still.ask("GET", path).status_code == 404
    assert still.ask("DELETE", path).status_code == 404
    assert still.ask("PUT", path, {"cmd": "sleep 20"}).status_code == 422
    assert still.get("/v2/apps/web")["app"]["cmd"] == "sleep 10"


def test_a_body_that_is_too_large_ends_its_connection(still: Marathon) -> None:
    where = urlsplit(still.url)
    head = "POST /v2/apps HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with socket.create_connection((where.hostname, where.port), 10) as connection:
        connection.sendall(f"{head}Content-Length: 99999999999\r\n\r\n{{}}".encode())
        answer = b""
        while more := connection.recv(4096):
            answer += more
        assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_must_come_in_time() -> None:
    async def silence() -> dict[str, object]:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    request = Request({"type": "http", "method": "POST", "headers": []}, silence)
    with pytest.raises(BadBody) as caught:
        asyncio.run(body_of(request, patience=0.01))
    assert (caught.value.status, fault(caught.value).headers["connection"]) == (408, "close")
