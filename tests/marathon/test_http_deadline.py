"""A deployment that must be over in time, asked for over HTTP."""

from __future__ import annotations

from tests.marathon.face import marathon

HUGE = {"id": "/huge", "cmd": "sleep 1000", "cpus": 100_000}


def test_what_is_late_is_undone() -> None:
    with marathon() as client:
        assert client.ask("POST", "/v2/apps?deadlineSeconds=0.5", HUGE).status_code == 201
        client.until("/v2/deployments", lambda found: found == [])
        assert client.ask("GET", "/v2/apps//huge").status_code == 404


def test_what_is_late_stays_when_that_was_asked() -> None:
    with marathon() as client:
        path = "/v2/apps?deadlineSeconds=0.5&rollback=false"
        assert client.ask("POST", path, HUGE).status_code == 201
        client.until("/v2/deployments", lambda found: found == [])
        assert client.get("/v2/apps//huge")["app"]["cmd"] == "sleep 1000"


def test_a_deadline_that_is_no_time_is_refused() -> None:
    with marathon(moving=False) as client:
        found = client.ask("POST", "/v2/apps?deadlineSeconds=soon", HUGE)
        assert (found.status_code, found.json()) == (
            422,
            {"message": "cannot use deadlineSeconds=soon: it is no number of seconds"},
        )
        assert client.get("/v2/apps") == {"apps": []}
