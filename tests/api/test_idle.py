"""Connections that are kept, and closed from afar in the moment in which they are used again."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fleetish.client import Client
from fleetish.errors import OutcomeUnknown

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"machines":[]}'


@contextmanager
def closing() -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers the first question of all and closes its connection at the second;
    later connections are for one question each."""
    asked: list[bytes] = []

    def serve(listening: socket.socket) -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            with near:
                asked.append(near.recv(4096))
                near.sendall(ANSWER)
                if len(asked) == 1:
                    asked.append(near.recv(4096))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_question_is_asked_again_on_another_connection() -> None:
    with closing() as (url, asked), Client(url) as fleet:
        assert [fleet.machines(), fleet.machines()] == [(), ()]
        assert len(asked) == 3


def test_a_wish_is_not_repeated() -> None:
    with closing() as (url, asked), Client(url) as fleet:
        fleet.machines()
        with pytest.raises(OutcomeUnknown, match=r"cannot tell .* it closed the connection"):
            fleet.set_target(["a.service"], "loaded")
        assert len(asked) == 2
