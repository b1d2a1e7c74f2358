"""Marathon's API of a lab, spoken with curl alone: requests, and the stream of events."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from fleetish.lab.cluster import Lab

T = TypeVar("T")

#: Seconds until something that must come true is given up, and between looks while nothing is told.
PATIENCE, EVERY = 60.0, 0.5


class Answer(NamedTuple):
    """What curl got: the status (0: nobody answered), the headers in lower case, and the JSON."""

    status: int
    headers: dict[str, str]
    body: Any


class Event(NamedTuple):
    """An event as it was told."""

    id: str
    kind: str
    body: dict[str, Any]


class Curl:
    """A lab's Marathon API; ``told``: every event since it was opened."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.url = f"http://127.0.0.1:{lab.record.ports['marathon']}"
        self.told: list[Event] = []
        self._grown = threading.Condition()
        self._over = False
        self._stream: subprocess.Popen[str] | None = None
        threading.Thread(target=self._listen, name="curl -N", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._over = True
        if self._stream:
            self._stream.terminate()

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """One request."""
        argv = ["curl", "-sS", "-i", "-m", "20", "-X", method, self.url + path]
        sent = None
        if body is not None:
            argv += ["-H", "Content-Type: application/json", "--data-binary", "@-"]
            sent = json.dumps(body)
        done = subprocess.run(argv, input=sent, capture_output=True, text=True, check=False)
        head, _, text = done.stdout.replace("\r\n", "\n").partition("\n\n")
        first, *lines = head.splitlines() or ["HTTP/1.1 0"]
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        return Answer(int(first.split()[1]), headers, json.loads(text) if text else None)

    def get(self, path: str) -> Any:
        """The JSON of a GET that must succeed."""
        found = self.ask("GET", path)
        assert found.status == 200, found
        return found.body

    def begin(self, method: str, path: str, body: Any = None, status: int = 200) -> str:
        """Ask for a change that must be taken; the id of its deployment."""
        found = self.ask(method, path, body)
        assert found.status == status, found
        return found.headers["marathon-deployment-id"]

    def until(self, look: Callable[[], T], seconds: float = PATIENCE) -> T:
        """Look until what is seen is true, again after each event; gives that."""
        deadline = time.monotonic() + seconds
        while True:
            heard = len(self.told)
            if seen := look():
                return seen
            assert time.monotonic() < deadline, f"not so after {seconds:g} s: {seen!r}"
            with self._grown:
                if len(self.told) == heard:
                    self._grown.wait(EVERY)

    def heard(self, kind: str, since: int = 0, **wanted: object) -> list[Event]:
        """The events of a kind after the first ``since`` whose bodies have these fields."""
        return [
            one
            for one in self.told[since:]
            if one.kind == kind and wanted.items() <= one.body.items()
        ]

    def done(self, deployment: str) -> Event:
        """Wait until a deployment is told to be done."""
        return self.until(lambda: self.heard("deployment_success", id=deployment))[0]

    def tasks(self, app: str) -> list[dict[str, Any]]:
        """An app's tasks."""
        found: list[dict[str, Any]] = self.get(f"/v2/apps{app}/tasks")["tasks"]
        return found

    def _listen(self) -> None:
        """Read events; when the stream breaks, go on after the last one that was told."""
        while not self._over:
            argv = ["curl", "-sN", "-H", "Accept: text/event-stream", f"{self.url}/v2/events"]
            last = next((one.id for one in reversed(self.told) if one.id), "")
            argv += ["-H", f"Last-Event-ID: {last}"] if last else []
            with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as stream:
                self._stream = stream
                assert stream.stdout is not None
                self._read(iter(stream.stdout))
            time.sleep(0.2)

    def _read(self, lines: Iterator[str]) -> None:
        fields: dict[str, str] = {}
        for line in lines:
            name, _, text = line.rstrip("\r\n").partition(": ")
            if name:
                fields[name] = text
            elif "data" in fields:
                event = Event(fields.get("id", ""), fields["event"], json.loads(fields["data"]))
                fields = {}
                with self._grown:
                    self.told.append(event)
                    self._grown.notify_all()


@contextmanager
def curling(lab: Lab) -> Iterator[Curl]:
    """Speak with a lab, from when its API knows a leader and tells events."""
    found = Curl(lab)
    try:
        found.until(lambda: found.ask("GET", "/v2/leader").status == 200)
        found.until(lambda: found.heard("event_stream_attached"))
        yield found
    finally:
        found.close()
