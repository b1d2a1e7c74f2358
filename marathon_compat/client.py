"""Marathon's API from Python, for the command line and for scripts.

    with Marathon() as marathon:
        begun = marathon.update("/web", {"instances": 3})

The endpoint comes from MARATHON_URL, ``http://127.0.0.1:8080`` by default; of several, separated by
commas, the next is tried when one does not answer. Answers are the structs of
:mod:`marathon_compat.wire`, errors those of :mod:`fleetish.errors`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from fleetish.errors import (
    Conflict,
    FleetishError,
    NotFound,
    OutcomeUnknown,
    Refused,
    Unavailable,
)
from fleetish.transport import CONNECT, Tls, lines_of, never_sent, reason_of, session
from marathon_compat import wire

if TYPE_CHECKING:
    import requests

DEFAULT_ENDPOINT = "http://127.0.0.1:8080"
#: Seconds to wait for an answer; a change of a thousand apps may take most of it.
ANSWER = 60.0
#: Seconds of silence after which a stream of events is dead; the server sends a sign every 10 s.
SILENCE = 30.0
DEPLOYMENT = "Marathon-Deployment-Id"

T = TypeVar("T")
Params = Mapping[str, str | Sequence[str]]


class Terms(NamedTuple):
    """How a change is asked for. ``force``: in place of the deployments that are at work on it.
    ``deadline``: seconds after which it has failed and is undone, 0 for never."""

    force: bool = False
    deadline: float = 0.0


PATIENT = Terms()


class Marathon:
    """A connection to a cluster's Marathon API."""

    def __init__(self, endpoint: str = "", answer: float = ANSWER) -> None:
        """``endpoint`` as MARATHON_URL; ``answer``: seconds to wait for an answer.

        Raises FleetishError when an endpoint is not http(s)://.
        """
        text = endpoint or os.environ.get("MARATHON_URL", "") or DEFAULT_ENDPOINT
        self.endpoints = [one.strip().rstrip("/") for one in text.split(",") if one.strip()]
        for one in self.endpoints:
            if urlsplit(one).scheme not in ("http", "https"):
                raise FleetishError(
                    f"cannot use {one!r} for Marathon's API", hint="http://host:8080"
                )
        self._answer = answer
        self._session = session(Tls())

    def __enter__(self) -> Marathon:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def again(self) -> Marathon:
        """A second connection to the same cluster, to be used beside this one."""
        return Marathon(",".join(self.endpoints), self._answer)

    # --- what there is --------------------------------------------------------------------------

    def apps(self, label: str = "") -> tuple[wire.AppView, ...]:
        """Every app, or those that a label selector takes."""
        params = {"label": label} if label else {}
        return self._get("/v2/apps", wire.Apps, params).apps

    def app(self, app: str) -> wire.AppView:
        """An app with its tasks and its last failure. Raises NotFound."""
        return self._get(f"/v2/apps{_path(app)}", wire.OneApp, _EMBED).app

    def app_json(self, app: str) -> dict[str, Any]:
        """The same as it was answered. Raises NotFound."""
        return self._get(f"/v2/apps{_path(app)}", dict[str, dict[str, Any]], _EMBED)["app"]

    def versions(self, app: str) -> tuple[str, ...]:
        """The versions of an app, newest first. Raises NotFound."""
        found = self._get(f"/v2/apps{_path(app)}/versions", wire.Versions).versions
        return tuple(sorted(found, reverse=True))

    def version(self, app: str, version: str) -> dict[str, Any]:
        """A definition as it was. Raises NotFound."""
        return self._get(f"/v2/apps{_path(app)}/versions/{quote(version)}", dict[str, Any])

    def deployments(self) -> tuple[wire.DeploymentView, ...]:
        """What is under way."""
        return self._get("/v2/deployments", tuple[wire.DeploymentView, ...])

    def queue(self) -> tuple[wire.Queued, ...]:
        """What waits to be launched."""
        return self._get("/v2/queue", wire.Queue).queue

    def events(self, kinds: Sequence[str] = (), after: str = "") -> Iterator[wire.Event]:
        """What happens from now on, or after the event with the id ``after``; of ``kinds`` alone.

        The stream is open when this returns. It raises Unavailable when the server ends it or falls
        silent.
        """
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
        params = {"event_type": kinds}
        response = self._send("GET", "/v2/events", None, params, headers, SILENCE, stream=True)
        return _events(response)

    # --- what is to be --------------------------------------------------------------------------

    def create(
        self, body: Mapping[str, Any], *, group: bool = False, terms: Terms = PATIENT
    ) -> str:
        """Create an app, or a group; the id of the deployment. Raises Conflict when it exists."""
        path = "/v2/groups" if group else "/v2/apps"
        return self._change("POST", path, body, terms, f"create {body.get('id', 'it')}")

    def update(
        self, app: str, body: Mapping[str, Any], *, whole: bool = False, terms: Terms = PATIENT
    ) -> str:
        """Change an app, or create it; the id of the deployment.

        What the body does not name stays; with ``whole`` it gets its default.
        """
        more = {"partialUpdate": "false"} if whole else {}
        return self._change("PUT", f"/v2/apps{_path(app)}", body, terms, f"change {app}", more)

    def update_many(
        self, bodies: Sequence[Mapping[str, Any]], *, whole: bool = False, terms: Terms = PATIENT
    ) -> str:
        """Change or create apps, all or none; the id of the deployment."""
        more = {"partialUpdate": "false"} if whole else {}
        return self._change("PUT", "/v2/apps", bodies, terms, "change these apps", more)

    def update_group(self, group: str, body: Mapping[str, Any], *, terms: Terms = PATIENT) -> str:
        """Make a group what the body says: what it does not name is removed; the id of the
        deployment."""
        return self._change("PUT", f"/v2/groups{_path(group)}", body, terms, f"change {group}")

    def restart(self, app: str, *, terms: Terms = PATIENT) -> str:
        """Replace every instance; the id of the deployment."""
        return self._change("POST", f"/v2/apps{_path(app)}/restart", None, terms, f"restart {app}")

    def destroy(self, path: str, *, group: bool = False, terms: Terms = PATIENT) -> str:
        """Stop and forget an app, or a group; the id of the deployment."""
        kind = "groups" if group else "apps"
        return self._change("DELETE", f"/v2/{kind}{_path(path)}", None, terms, f"destroy {path}")

    def undo(self, deployment: str) -> str:
        """Take back what a deployment does; the id of the deployment that does that."""
        path = f"/v2/deployments/{quote(deployment)}"
        return self._change("DELETE", path, None, PATIENT, f"undo {deployment}")

    def cancel(self, deployment: str) -> None:
        """End a deployment where it stands."""
        path, params = f"/v2/deployments/{quote(deployment)}", {"force": "true"}
        self._send("DELETE", path, params=params, what=f"cancel {deployment}")

    # --- how ------------------------------------------------------------------------------------

    def _get(self, path: str, kind: type[T], params: Params | None = None) -> T:
        response = self._send("GET", path, params=params)
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.MsgspecError as error:
            raise FleetishError(
                f"cannot read the answer of {response.url}: {error}", hint="is it Marathon's API?"
            ) from None

    def _change(
        self,
        method: str,
        path: str,
        body: object,
        terms: Terms,
        what: str,
        more: Params | None = None,
    ) -> str:
        """Send a change; ``force`` is always said, since its default differs from path to path."""
        params = {"force": "true" if terms.force else "false", **(more or {})}
        if terms.deadline:
            params["deadlineSeconds"] = f"{terms.deadline:g}"
        found = self._send(method, path, body, params, what=what).headers.get(DEPLOYMENT, "")
        if not found:
            raise FleetishError(f"cannot follow this change: no {DEPLOYMENT} was answered")
        return found

    def _send(
        self,
        method: str,
        path: str,
        body: object = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        answer: float = 0.0,
        stream: bool = False,
        what: str = "",
    ) -> requests.Response:
        """Ask each endpoint in turn until one answers. A write is not repeated once it was sent.

        ``what`` stands after "cannot" in what is told of a refusal.
        """
        import requests

        sent = {"Accept": "application/json", **(headers or {})}
        data = None
        if body is not None:
            data, sent["Content-Type"] = msgspec.json.encode(body), "application/json"
        refused: list[str] = []
        for endpoint in list(self.endpoints):
            try:
                response = self._session.request(
                    method,
                    endpoint + path,
                    params=params,
                    data=data,
                    headers=sent,
                    timeout=(CONNECT, answer or self._answer),
                    stream=stream,
                )
            except requests.exceptions.RequestException as error:
                if method != "GET" and not never_sent(error):
                    raise OutcomeUnknown(
                        f"cannot tell whether {_shown(endpoint)} did it: {reason_of(error)}",
                        hint="see fleetish app deployments",
                    ) from None
                refused.append(f"{_shown(endpoint)}: {reason_of(error)}")
                self.endpoints.append(self.endpoints.pop(0))
                continue
            if response.status_code >= 400:
                raise fault(response, what or f"read {path.removeprefix('/v2/apps')}")
            return response
        raise Unavailable(
            f"cannot reach Marathon's API at {'; '.join(refused)}", hint="set MARATHON_URL"
        )


_EMBED = {"embed": ("app.tasks", "app.counts", "app.deployments", "app.lastTaskFailure")}


def _path(name: str) -> str:
    """An id as the end of a path."""
    return quote(name if name.startswith("/") else f"/{name}")


def _shown(endpoint: str) -> str:
    """An endpoint without the password that it may hold."""
    head, at, tail = endpoint.rpartition("@")
    return f"{head.partition('://')[0]}://{tail}" if at else endpoint


#: The error of a status; any other is a FleetishError.
STATUS: Mapping[int, type[FleetishError]] = {
    400: Refused,
    403: Refused,
    404: NotFound,
    409: Conflict,
    413: Refused,
    415: Refused,
    422: Refused,
    502: Unavailable,
    503: Unavailable,
}


def fault(response: requests.Response, what: str) -> FleetishError:
    """The error that an answer carries: what cannot be done, and each place that is wrong."""
    kind = STATUS.get(response.status_code, FleetishError)
    try:
        said = msgspec.json.decode(response.content, type=wire.Refusal)
    except msgspec.MsgspecError:
        return kind(f"cannot {what}: {_shown(response.url)} answers {response.status_code}")
    if said.deployments:
        held = ", ".join(one.id for one in said.deployments)
        return kind(
            f"cannot {what}: the deployment {held} is at work on it",
            hint="wait for it, fleetish app rollback it, or take over with --force",
        )
    wrong = said.details if isinstance(said.details, str) else _places(said.details)
    return kind(": ".join(filter(None, (f"cannot {what}", said.message.rstrip("."), wrong))))


def _places(details: Sequence[wire.Detail]) -> str:
    rows = (f"{one.path} {', '.join(one.errors)}".strip() for one in details)
    return "; ".join(rows)


def _events(response: requests.Response) -> Iterator[wire.Event]:
    """The events of a stream (HTML Standard, 9.2.6: fields by line, an empty line ends one)."""
    import requests
    from urllib3.exceptions import HTTPError

    fields: dict[str, str] = {}
    try:
        for raw in lines_of(response):
            line = raw.decode(errors="replace").rstrip("\r")
            if line:
                name, _, text = line.partition(":")
                fields[name] = text.removeprefix(" ")
                continue
            if "data" in fields:
                body = msgspec.json.decode(fields["data"], type=dict[str, Any])
                yield wire.Event(id=fields.get("id", ""), kind=fields.get("event", ""), body=body)
            fields = {}
    except (requests.exceptions.RequestException, HTTPError, msgspec.MsgspecError) as error:
        raise Unavailable(f"cannot go on reading events: {reason_of(error)}") from None
    finally:
        response.close()
