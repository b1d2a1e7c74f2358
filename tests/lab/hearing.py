"""Waiting in a lab: look, and look again as soon as the cluster says that something happened."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from fleetish.client import Client
from fleetish.errors import FleetishError
from fleetish.lab.cluster import Lab
from fleetish.wire import ClusterEvent, UnitView, Wish

T = TypeVar("T")

#: Seconds after which one looks again even if nothing was heard: hosts may be cut, the API away.
EVERY = 0.5


class Cluster:
    """A lab and its API; ``told`` is every event since it was opened."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.fleet = Client(lab.endpoint)
        self.told: list[ClusterEvent] = []
        self._grown = threading.Condition()
        self._over = False
        threading.Thread(target=self._listen, name=f"events of {lab.name}", daemon=True).start()

    def anew(self) -> None:
        """Connect again: to the first host that answers, which may have been away before."""
        self.fleet.close()
        self.fleet = Client(self.lab.endpoint)

    def close(self) -> None:
        """Stop listening; the thread ends with the stream."""
        self._over = True
        self.fleet.close()

    def _listen(self) -> None:
        while not self._over:
            try:
                with Client(self.lab.endpoint) as fleet:
                    for event in fleet.events():
                        with self._grown:
                            self.told.append(event)
                            self._grown.notify_all()
            except FleetishError:
                time.sleep(0.1)  # its host died; another answers

    def until(self, look: Callable[[], T], seconds: float = 40.0, every: float = EVERY) -> T:
        """Look until what is seen is true; gives that. The API may be away meanwhile."""
        deadline = time.monotonic() + seconds
        last: object = None
        while True:
            heard = len(self.told)
            try:
                seen = look()
                if seen:
                    return seen
                last = seen
            except FleetishError as error:
                last = error
            if time.monotonic() > deadline:
                raise AssertionError(f"not so after {seconds:g} s: {last!r}")
            with self._grown:
                if len(self.told) == heard:
                    self._grown.wait(every)

    def heard(self, wanted: Callable[[ClusterEvent], bool], since: int = 0) -> bool:
        """True when an event was told, after the first ``since``."""
        return any(wanted(event) for event in self.told[since:])

    def host(self, machine: str) -> str:
        """The name of the host with a machine id; "" for none."""
        return next((host.name for host in self.lab.hosts if host.machine == machine), "")

    def machine(self, host: str) -> str:
        """A host's machine id."""
        return self.lab.record.host(host).machine

    def home(self, unit: str) -> str:
        """The host on which a unit is placed; "" for none."""
        return self.host(self.fleet.unit(unit).machine)

    def leader(self) -> str:
        """The host whose engine leads; "" while nobody does."""
        return self.fleet.leader().host

    def views(self, units: Sequence[str]) -> dict[str, UnitView]:
        """The units that exist, by name."""
        return {view.name: view for view in self.fleet.units(units)}

    def running(self, units: Sequence[str]) -> bool:
        """True when all the units are what they are wanted to be."""
        found = self.views(units)
        return len(found) == len(units) and all(view.settled for view in found.values())

    def start(self, text: str, *units: str) -> None:
        """Submit and launch units with a text, and wait until all are active."""
        self.fleet.submit([Wish(name=unit, text=text, target="launched") for unit in units])
        self.until(lambda: self.running(units))

    def destroy(self, *units: str) -> None:
        """Forget units, and wait until no machine has them."""
        self.fleet.destroy(units)
        gone = set(units)
        self.until(lambda: not gone & {state.unit for state in self.fleet.states()})


@contextmanager
def opened(lab: Lab) -> Iterator[Cluster]:
    """Listen to a lab that is up."""
    found = Cluster(lab)
    try:
        yield found
    finally:
        found.close()


@contextmanager
def cluster(name: str, machines: int, **settings: object) -> Iterator[Cluster]:
    """A lab for one file of tests."""
    with Lab(name, machines=machines, settings=settings) as lab, opened(lab) as found:
        yield found


@contextmanager
def begun(found: Cluster, text: str, *units: str) -> Iterator[tuple[str, ...]]:
    """Units that are active at the beginning and gone at the end."""
    try:
        found.start(text, *units)
        yield units
    finally:
        found.destroy(*units)
