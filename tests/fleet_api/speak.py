"""HTTP as a fleet client speaks it: the paths, the bodies, and waiting by asking again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Self

import requests

#: Seconds between two questions and until it is given up, as fleetctl and its tests have them.
EVERY, PATIENCE = 0.05, 15.0

SLEEP = [{"section": "Service", "name": "ExecStart", "value": "/bin/sleep 600"}]
OTHER = [{"section": "Service", "name": "ExecStart", "value": "/bin/sleep 601"}]


def option(section: str, name: str, value: str) -> dict[str, str]:
    return {"section": section, "name": name, "value": value}


def fleet_options(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    """A service with these lines in [X-Fleet]."""
    return [*SLEEP, *(option("X-Fleet", name, value) for name, value in pairs)]


class Fleet:
    """A connection to fleet's API below ``prefix``."""

    def __init__(self, url: str, prefix: str = "/fleet/v1") -> None:
        self.url = url
        self.prefix = prefix
        self._session = requests.Session()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        """One request, below the prefix."""
        return self._session.request(
            method, f"{self.url}{self.prefix}{path}", timeout=20, allow_redirects=False, **more
        )

    def get(self, path: str) -> Any:
        """The JSON of a GET that must succeed."""
        answer = self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, method: str, path: str, **more: Any) -> tuple[int, str]:
        """Status and text of a request that must be refused, in fleet's shape."""
        answer = self.ask(method, path, **more)
        assert answer.headers["Content-Type"] == "application/json"
        error = answer.json()["error"]
        assert set(error) == {"code", "message"}
        assert error["code"] == answer.status_code
        return answer.status_code, error["message"]

    def put(self, name: str, options: Any = None, state: str = "") -> requests.Response:
        """PUT a unit with options, a state, or both."""
        body: dict[str, Any] = {"name": name}
        if options is not None:
            body["options"] = options
        if state:
            body["desiredState"] = state
        return self.ask("PUT", f"/units/{name}", json=body)

    def want(self, name: str, state: str) -> None:
        """Set what is wanted of a unit that exists."""
        assert self.put(name, state=state).status_code == 204

    def submit(self, name: str, options: Any = None, state: str = "") -> None:
        """A new unit, or new options for one."""
        answer = self.put(name, SLEEP if options is None else options, state)
        assert answer.status_code == 201, answer.text

    def destroy(self, name: str) -> None:
        assert self.ask("DELETE", f"/units/{name}").status_code == 204

    def listed(self, what: str, **query: str) -> list[Any]:
        """All rows of a list, page by page."""
        rows: list[Any] = []
        asked = dict(query)
        while True:
            answer = self.ask("GET", f"/{what}", params=asked)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            key = "states" if what == "state" else what
            rows += page.get(key, [])
            if "nextPageToken" not in page:
                return rows
            asked["nextPageToken"] = page["nextPageToken"]

    def until(self, path: str, fits: Callable[[Any], bool], patience: float = PATIENCE) -> Any:
        """Ask until the answer fits, as fleetctl does; the answer."""
        deadline = time.monotonic() + patience
        while True:
            answer = self.ask("GET", path)
            found = answer.json()
            if answer.status_code == 200 and fits(found):
                return found
            assert time.monotonic() < deadline, f"{path} stays {answer.status_code} {found}"
            time.sleep(EVERY)

    def reaches(self, name: str, state: str) -> Any:
        """Wait for a unit's current state."""
        return self.until(f"/units/{name}", lambda unit: unit.get("currentState") == state)
