"""The native API from Python: a typed client over requests, for the command line and for scripts.

    with Client() as fleet:
        fleet.submit([Wish(name="web@1.service", target="launched")])
        for event in fleet.events(kinds=["state"]): ...

The endpoint comes from FLEETISH_ENDPOINT: ``unix:///run/fleetish/api.sock`` (the default) or
``http://host:7100``; of several, separated by commas, the next is tried when one does not answer.
Answers are the structs of :mod:`fleetish.wire`, errors those of :mod:`fleetish.errors`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from fleetish import wire, wire_faults, wire_orders
from fleetish.errors import FleetishError, OutcomeUnknown, Unavailable
from fleetish.transport import (
    CONNECT,
    Tls,
    again_if_closed,
    lines_of,
    never_sent,
    reason_of,
    session,
    url_of,
)

if TYPE_CHECKING:
    import requests

DEFAULT_ENDPOINT = "unix:///run/fleetish/api.sock"
#: Seconds to wait for an answer.
ANSWER = 30.0
#: Seconds of silence after which an event stream is dead; the server sends a sign every 15 s.
SILENCE = 45.0
REVISION = "Fleetish-Revision"

T = TypeVar("T")
Params = Mapping[str, str | Sequence[str]]


class Client:
    """A connection to a cluster. What one client wrote it reads back, whichever node answers."""

    def __init__(self, endpoint: str = "", answer: float = ANSWER, tls: Tls | None = None) -> None:
        """``endpoint`` as FLEETISH_ENDPOINT; ``answer``: seconds to wait for an answer; ``tls``:
        files for https endpoints.

        Raises FleetishError when an endpoint is neither http(s):// nor unix://.
        """
        text = endpoint or os.environ.get("FLEETISH_ENDPOINT", "") or default_endpoints()
        self.endpoints = [one.strip().rstrip("/") for one in text.split(",") if one.strip()]
        for one in self.endpoints:
            if urlsplit(one).scheme not in ("http", "https", "unix"):
                raise FleetishError(
                    f"cannot use the endpoint {one!r}", hint="http://host:7100 or unix:///path"
                )
        self.revision = 0
        self._answer = answer
        self._tls = tls or Tls()
        self._session = session(self._tls)

    def __enter__(self) -> Client:
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

    def again(self) -> Client:
        """A second connection to the same cluster, to be used beside this one."""
        return Client(",".join(self.endpoints), self._answer, self._tls)

    # --- machines -------------------------------------------------------------------------------

    def machines(self, *, lost: bool = False) -> tuple[wire.MachineView, ...]:
        """Registered machines; with ``lost`` also those that are gone but not forgotten."""
        params = {"lost": "1"} if lost else {}
        return self._get("/v1/machines", wire.Machines, params).machines

    def machine(self, which: str) -> wire.MachineView:
        """A machine by id, beginning of it, host name or address."""
        return self._get(f"/v1/machines/{_part(which)}", wire.MachineView)

    def cordon(self, which: str, reason: str = "") -> wire.Written:
        """Place nothing new on a machine."""
        return self._machine(which, "cordon", reason)

    def uncordon(self, which: str) -> wire.Written:
        """End a cordon and a drain."""
        return self._machine(which, "uncordon", "")

    def drain(self, which: str, reason: str = "") -> wire.Written:
        """Move what runs on a machine elsewhere."""
        return self._machine(which, "drain", reason)

    def _machine(self, which: str, verb: str, reason: str) -> wire.Written:
        body = wire.WhyBody(reason=reason)
        return self._write("POST", f"/v1/machines/{_part(which)}/{verb}", body)

    def set_metadata(self, which: str, metadata: Mapping[str, str | None]) -> wire.Written:
        """Set the operator's metadata of a machine; None removes a key."""
        body = wire.MachinePatch(metadata=dict(metadata))
        return self._write("PATCH", f"/v1/machines/{_part(which)}", body)

    # --- units ----------------------------------------------------------------------------------

    def units(self, names: Sequence[str] = (), *, desc: bool = False) -> tuple[wire.UnitView, ...]:
        """Every unit, or those of the names that exist; ``desc`` reads their Description= too."""
        params: dict[str, str | Sequence[str]] = {"desc": "1"} if desc else {}
        if 0 < len(names) <= 200:
            return self._get("/v1/units", wire.Units, {**params, "name": names}).units
        wanted = set(names)
        found = self._get("/v1/units", wire.Units, params).units
        return tuple(unit for unit in found if not wanted or unit.name in wanted)

    def unit(self, name: str) -> wire.UnitView:
        """A unit with its text. Raises NotFound."""
        return self._get(f"/v1/units/{_part(name)}", wire.UnitView)

    def submit(
        self,
        wishes: Sequence[wire.Wish],
        *,
        texts: Mapping[str, str] | None = None,
        replace: bool = False,
        keep: bool = False,
        at_least: bool = False,
    ) -> wire.Written:
        """Submit units, all or none; see :class:`fleetish.wire.BulkWish`."""
        body = wire.BulkWish(
            units=tuple(wishes),
            texts=dict(texts or {}),
            replace=replace,
            keep=keep,
            at_least=at_least,
        )
        return self._write("POST", "/v1/units", body)

    def set_target(self, names: Sequence[str], target: str) -> wire.Written:
        """Set what is wanted of units that exist: inactive, loaded or launched."""
        return self._write(
            "POST", "/v1/targets", wire.TargetsWish(names=tuple(names), target=target)
        )

    def restart(self, names: Sequence[str]) -> wire.Written:
        """Start units once more."""
        return self._write(
            "POST", "/v1/targets", wire.TargetsWish(names=tuple(names), restart=True)
        )

    def destroy(self, names: Sequence[str]) -> wire.Written:
        """Forget units; names that do not exist are passed over."""
        return self._write(
            "POST", "/v1/targets", wire.TargetsWish(names=tuple(names), destroy=True)
        )

    def states(self, unit: str = "", machine: str = "") -> tuple[wire.StateView, ...]:
        """What systemd says of units, by unit and machine."""
        params = {k: v for k, v in (("unit", unit), ("machine", machine)) if v}
        return self._get("/v1/states", wire.States, params).states

    def verify(self, files: Sequence[wire.FileText]) -> tuple[wire.Problem, ...]:
        """What is wrong with some files; nothing is stored."""
        body = wire.VerifyBody(files=tuple(files))
        return self._decode(self._send("POST", "/v1/verify", body), wire.Verdict).problems

    def explain(self, unit: str) -> wire.Explanation:
        """Where a unit is and why, or per machine what turned it away."""
        return self._get(f"/v1/explain/{_part(unit)}", wire.Explanation)

    # --- standing orders ------------------------------------------------------------------------

    def replace(self, body: wire_orders.ReplaceBody) -> wire_orders.RolloutView:
        """Give units another text, a few at a time; the rollout that has begun."""
        return self._order("POST", "/v1/rollouts", wire_orders.RolloutView, body)

    def rollouts(self) -> tuple[wire_orders.RolloutView, ...]:
        """The rollouts that go on and the last that have ended, newest first."""
        return self._get("/v1/rollouts", wire_orders.Rollouts).rollouts

    def rollout(self, name: str) -> wire_orders.RolloutView:
        """A rollout, and how each of its units stands. Raises NotFound."""
        return self._get(f"/v1/rollouts/{_part(name)}", wire_orders.RolloutView)

    def undo_rollout(self, name: str) -> wire_orders.RolloutView:
        """Give the units of a rollout their old text back."""
        return self._order("POST", f"/v1/rollouts/{_part(name)}/undo", wire_orders.RolloutView)

    def cancel_rollout(self, name: str) -> wire.Written:
        """End a rollout where it is; forget one that has ended."""
        return self._write("DELETE", f"/v1/rollouts/{_part(name)}", None)

    def rebalance(
        self, *, dry_run: bool = False, most: int = 100, at_once: int = 1
    ) -> wire_orders.RebalanceView:
        """Even out the machines; with ``dry_run`` only say how."""
        body = wire_orders.RebalanceBody(dry_run=dry_run, most=most, at_once=at_once)
        return self._order("POST", "/v1/rebalance", wire_orders.RebalanceView, body)

    def rebalancing(self) -> wire_orders.RebalanceView:
        """The rebalance that goes on, if one does."""
        return self._get("/v1/rebalance", wire_orders.RebalanceView)

    def cancel_rebalance(self) -> wire.Written:
        """Move nothing more."""
        return self._write("DELETE", "/v1/rebalance", None)

    def _order(self, method: str, path: str, kind: type[T], body: object = None) -> T:
        response = self._send(method, path, body)
        self.revision = max(self.revision, int(response.headers.get(REVISION, "0")))
        return self._decode(response, kind)

    # --- from the machines ----------------------------------------------------------------------

    def status(self, unit: str, machine: str = "") -> str:
        """What ``systemctl status`` prints where the unit is."""
        params = {"machine": machine} if machine else {}
        return self._send("GET", f"/v1/status/{_part(unit)}", params=params).text

    def journal(
        self, unit: str, lines: int = 10, *, follow: bool = False, machine: str = ""
    ) -> Iterator[dict[str, Any]]:
        """Journal entries, oldest first, as journalctl's JSON objects; with ``follow`` for ever."""
        params = {"lines": str(lines), **({"follow": "1"} if follow else {})}
        if machine:
            params["machine"] = machine
        path = f"/v1/journal/{_part(unit)}"
        with self._stream(path, params, {}, None) as response:
            for line in lines_of(response):
                if line:
                    yield msgspec.json.decode(line, type=dict[str, Any])

    def top(self, units: Sequence[str] = ()) -> wire.Top:
        """Live figures of units, asked of every machine."""
        return self._get("/v1/top", wire.Top, {"unit": units} if units else {})

    # --- the cluster ----------------------------------------------------------------------------

    def leader(self) -> wire.LeaderView:
        """The elected engine."""
        return self._get("/v1/leader", wire.LeaderView)

    def version(self) -> str:
        """The server's version."""
        return self._get("/v1/version", wire.Version).fleetish

    def health(self) -> wire.Health:
        """Whether the node that answers is current with etcd, and what an operator should see."""
        return self._get("/v1/health", wire.Health)

    def events(
        self, kinds: Sequence[str] = (), units: Sequence[str] = (), after: int = 0
    ) -> Generator[wire.ClusterEvent, None, None]:
        """What happens from now on, or after an event's revision; ``units`` may be patterns.

        The first event is a ``hello``. Ends when the server ends the stream; raises Unavailable
        when it falls silent.
        """
        params: dict[str, str | Sequence[str]] = {"kind": kinds, "unit": units}
        headers = {"Last-Event-ID": str(after)} if after else {}
        with self._stream("/v1/events", params, headers, SILENCE) as response:
            for line in lines_of(response):
                if line.startswith(b"data:"):
                    yield msgspec.json.decode(line[5:], type=wire.ClusterEvent)

    # --- how ------------------------------------------------------------------------------------

    def _get(self, path: str, kind: type[T], params: Params | None = None) -> T:
        return self._decode(self._send("GET", path, params=params), kind)

    def _write(self, method: str, path: str, body: object) -> wire.Written:
        written = self._decode(self._send(method, path, body), wire.Written)
        self.revision = max(self.revision, written.revision)
        return written

    def _decode(self, response: requests.Response, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.MsgspecError as error:
            raise FleetishError(
                f"cannot read the answer of {response.url}: {error}", hint="is it fleetish?"
            ) from None

    def _send(
        self,
        method: str,
        path: str,
        body: object = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        answer: float | None = -1.0,
        stream: bool = False,
    ) -> requests.Response:
        """Ask each endpoint in turn until one answers. A write is not repeated once it was sent."""
        import requests

        sent = dict(headers or {})
        if self.revision:
            sent[REVISION] = str(self.revision)
        data = None
        if body is not None:
            data, sent["Content-Type"] = msgspec.json.encode(body), "application/json"
        patience = self._answer if answer == -1.0 else answer
        refused: list[str] = []
        for endpoint in list(self.endpoints):
            ask = functools.partial(
                self._session.request,
                method,
                url_of(endpoint) + path,
                params=params,
                data=data,
                headers=sent,
                timeout=(CONNECT, patience),
                stream=stream,
            )
            try:
                response = again_if_closed(ask) if method == "GET" else ask()
            except requests.exceptions.RequestException as error:
                if method != "GET" and not never_sent(error):
                    raise OutcomeUnknown(
                        f"cannot tell whether {endpoint} did it: {reason_of(error)}",
                        hint="look, then ask again: asking twice does no harm",
                    ) from None
                refused.append(f"{endpoint}: {reason_of(error)}")
                self._try_next(endpoint)
                continue
            if response.status_code >= 400:
                raise _fault(response)
            return response
        raise Unavailable(
            f"cannot reach the API at {'; '.join(refused)}",
            hint="set FLEETISH_ENDPOINT, or start fleetish here",
        )

    def _try_next(self, endpoint: str) -> None:
        """Ask the others first from now on."""
        if len(self.endpoints) > 1:
            self.endpoints.remove(endpoint)
            self.endpoints.append(endpoint)

    @contextmanager
    def _stream(
        self, path: str, params: Params, headers: Mapping[str, str], silence: float | None
    ) -> Iterator[requests.Response]:
        import requests
        from urllib3.exceptions import HTTPError

        response = self._send(
            "GET", path, params=params, headers=headers, answer=silence, stream=True
        )
        try:
            yield response
        except (requests.exceptions.RequestException, HTTPError) as error:
            raise Unavailable(f"cannot go on reading {path}: {reason_of(error)}") from None
        finally:
            response.close()


def default_endpoints() -> str:
    """This machine's socket; beside it, for users, that of a ``fleetish dev`` of their own."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if os.geteuid() == 0 or not runtime:
        return DEFAULT_ENDPOINT
    return f"{DEFAULT_ENDPOINT},unix://{runtime}/fleetish/api.sock"


def _part(text: str) -> str:
    return quote(text, safe="")


def _fault(response: requests.Response) -> FleetishError:
    """The error that an answer carries."""
    try:
        fault = msgspec.json.decode(response.content, type=wire_faults.FaultBody).error
    except msgspec.MsgspecError:
        return FleetishError(f"cannot do this: {response.url} answers {response.status_code}")
    return wire_faults.error_of(fault)
