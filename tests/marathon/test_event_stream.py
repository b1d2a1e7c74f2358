"""GET /v2/events, as it is on the wire, over the store in memory."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from marathon_compat.apps import records, role
from tests.api.cluster import B, machine
from tests.marathon.event_story import app, deployment, document, over, stored
from tests.marathon.face import Marathon, marathon, serving

SSE = {"Accept": "text/event-stream"}


class Client:
    """A reader of the stream on a socket of its own."""

    def __init__(self, url: str, query: str = "", **headers: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 0), 20)
        lines = [f"GET /v2/events{query} HTTP/1.1", f"Host: {parts.netloc}"]
        lines += [f"{name.replace('_', '-')}: {text}" for name, text in {**SSE, **headers}.items()]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self._file = self._socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        self.head = self._head()

    def _head(self) -> dict[str, str]:
        found = {}
        while line := self._file.readline().decode().strip():
            name, _, text = line.partition(": ")
            found[name.lower()] = text
        return found

    def part(self) -> bytes:
        """One chunk (RFC 9112, 7.1); b"" at the end of the stream."""
        size = int(self._file.readline() or b"0", 16)
        body = self._file.read(size)
        self._file.readline()
        return body

    def frames(self) -> Iterator[bytes]:
        """Events as they are on the wire, heartbeats left out."""
        held = b""
        while part := self.part():
            held += part
            while b"\r\n\r\n" in held:
                one, _, held = held.partition(b"\r\n\r\n")
                yield one.lstrip(b"\r\n")

    def until(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        """Ids and bodies of the events up to the first of a kind."""
        found = []
        for one in self.frames():
            rows = dict(line.split(": ", 1) for line in one.decode().split("\r\n"))
            body = json.loads(rows["data"])
            assert body["eventType"] == rows["event"]
            found.append((rows["id"], body))
            if rows["event"] == kind:
                return found
        raise EOFError(f"the stream ended before a {kind}")

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@pytest.fixture
def node() -> Iterator[Marathon]:
    with marathon(moving=False) as one:
        yield one


def reader(node: Marathon, query: str = "", **headers: str) -> Client:
    """A reader that is attached."""
    client = Client(node.url, query, **headers)
    assert client.status == 200
    return client


def kinds(found: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [body["eventType"] for _, body in found]


def begin(node: Marathon) -> None:
    """A deployment begins."""
    node.cluster.put(
        *stored(app()), document(records.DEPLOYMENT, "d1", deployment()), machine(B, "node2")
    )


def test_an_event_is_three_lines_and_an_empty_one(node: Marathon) -> None:
    with closing(reader(node)) as client:
        first = next(client.frames()).decode().split("\r\n")
    assert [line.split(": ")[0] for line in first] == ["id", "event", "data"]
    assert first[1] == "event: event_stream_attached"
    assert json.loads(first[2].removeprefix("data: "))["remoteAddress"] == "127.0.0.1"
    assert client.head["content-type"] == "text/event-stream; charset=utf-8"
    assert "content-encoding" not in client.head


@pytest.mark.parametrize("accept", ["", "*/*", "application/json"])
def test_who_does_not_ask_for_a_stream_gets_a_page_that_says_so(
    node: Marathon, accept: str
) -> None:
    answer = node.ask("GET", "/v2/events", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (405, "text/html")


def test_a_change_is_told_at_once_with_an_id_of_its_revision(node: Marathon) -> None:
    with closing(reader(node)) as client:
        client.until("event_stream_attached")
        begin(node)
        found = client.until("deployment_info")
    assert kinds(found) == ["api_post_event", "group_change_success", "deployment_info"]
    revisions = {id_.partition("-")[0] for id_, _ in found}
    assert [id_.partition("-")[2] for id_, _ in found] == ["1", "2", "3"]
    assert len(revisions) == 1


def test_only_the_kinds_that_were_asked_for_are_told(node: Marathon) -> None:
    asked = "?event_type=deployment_info&event_type=api_post_event"
    with closing(reader(node, asked)) as client:
        begin(node)
        assert kinds(client.until("deployment_info")) == ["api_post_event", "deployment_info"]


def test_old_clients_find_groups_in_a_plan_and_new_ones_need_not(node: Marathon) -> None:
    with closing(reader(node)) as old, closing(reader(node, "?plan-format=light")) as new:
        begin(node)
        full, light = (client.until("deployment_info")[-1][1]["plan"] for client in (old, new))
    assert full == {**light, "original": {}, "target": {}}


def test_who_comes_back_is_told_what_it_missed_and_nothing_twice(node: Marathon) -> None:
    with closing(reader(node)) as client:
        begin(node)
        last, _ = client.until("api_post_event")[-1]
    with closing(reader(node, Last_Event_ID=last)) as client:
        found = client.until("deployment_info")
    assert kinds(found)[:2] == ["group_change_success", "deployment_info"]


def test_any_other_node_goes_on_where_one_has_died(node: Marathon) -> None:
    with closing(reader(node)) as client:
        begin(node)
        told = client.until("deployment_info")
    with (
        serving(node.cluster) as other,
        closing(reader(other, Last_Event_ID=told[-3][0])) as client,
    ):
        assert client.until("deployment_info")[:2] == told[-2:]


def test_a_node_whose_readers_came_later_goes_back_for_one_that_was_told_less(
    node: Marathon,
) -> None:
    with closing(reader(node)) as client:
        begin(node)
        told = client.until("deployment_info")
    with serving(node.cluster) as other, closing(reader(other)) as late:
        late.until("event_stream_attached")
        with closing(reader(other, Last_Event_ID=told[-3][0])) as client:
            assert client.until("deployment_info")[:2] == told[-2:]
        node.cluster.put(document(records.DEPLOYMENT, "d1", deployment(step=1)))
        assert "deployment_step_success" in kinds(late.until("deployment_step_success"))


@pytest.mark.parametrize("id_", ["x", "-1", "1-0", "9" * 19, "18446744073709551616", "1 or 1"])
def test_an_id_that_never_was_starts_the_stream_anew_and_says_so(node: Marathon, id_: str) -> None:
    with closing(reader(node, Last_Event_ID=id_)) as client:
        found = client.until("event_stream_restarted")
    assert len(found) == 1
    assert found[0][1]["lastEventId"] == id_


def test_what_is_compacted_away_cannot_be_told_and_that_is_said(node: Marathon) -> None:
    begin(node)
    node.cluster.call(node.cluster.kv.compact(node.cluster.etcd.revision))
    with closing(reader(node, Last_Event_ID="1-1")) as client:
        found = client.until("event_stream_restarted")
        begin(node)
        client.until("event_stream_attached")
    assert "compacted" in found[0][1]["reason"]


def test_readers_are_told_of_each_other(node: Marathon) -> None:
    with closing(reader(node)) as first:
        first.until("event_stream_attached")
        with closing(reader(node)):
            first.until("event_stream_attached")
        first.until("event_stream_detached")


def test_a_reader_that_never_reads_loses_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the kernel, since there is no room left to tell it anything."""
    monkeypatch.setattr(role, "NOT_TAKEN_MS", 1000)
    with marathon(moving=False) as node, closing(reader(node)) as other, socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        parts = urlsplit(node.url)
        silent.connect((parts.hostname, parts.port))
        silent.sendall(b"GET /v2/events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n")
        lost = over(deployment(), "failed", "x" * 100_000)
        for number in range(45):
            node.cluster.put(document(records.HISTORY, str(number), lost))
            other.until("deployment_failed")
        other.until("event_stream_detached")


def test_a_stream_ends_when_its_node_stops() -> None:
    with marathon(moving=False) as node, serving(node.cluster) as other:
        client = reader(other)
        client.until("event_stream_attached")
    with closing(client):
        assert b"" in iter(client.part, None)


def test_who_hears_of_a_change_and_asks_sees_it() -> None:
    with marathon() as node, closing(reader(node)) as client:
        for number in range(10):
            changed = {"cmd": f"sleep {number}", "instances": 0}
            answer = node.ask("PUT", "/v2/apps/events/f", changed)
            assert answer.status_code in (200, 201), answer.text
            client.until("api_post_event")
            assert node.get("/v2/apps/events/f")["app"]["cmd"] == changed["cmd"]
            client.until("deployment_success")
            assert node.get("/v2/deployments") == []
