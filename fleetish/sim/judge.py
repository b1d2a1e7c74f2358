"""An etcd that watches what is written to it, and machines that are watched: the invariants.

    I1  nothing is placed or assigned by who does not lead
    I2  of an exclusive unit at most one is alive
    I3  a unit that is not global is assigned to one machine at most
    I4  no machine is over-committed, no port granted twice
    I5  a machine writes only its own states, and only while it is registered

Checked at every revision, from the store's own content: not from what anybody believes.
"""

from __future__ import annotations

from fleetish.clock import Clock
from fleetish.resources import NOTHING
from fleetish.store.base import Batch, Compare, Put, Txn, TxnResult
from fleetish.store.fold import Fold
from fleetish.store.keys import Keys
from fleetish.store.memory import MemoryEtcd
from fleetish.units.xfleet import Class
from fleetish.world import World


class Broken(AssertionError):
    """An invariant does not hold."""


class JudgedEtcd(MemoryEtcd):
    """A store in memory that refuses to let a broken invariant pass."""

    def __init__(self, clock: Clock, prefix: str) -> None:
        super().__init__(clock)
        self.keys = Keys(prefix)
        self.world = World()
        self.writes = 0
        self.alive: dict[str, set[str]] = {}
        self.trace: list[str] = []
        self._fold = Fold(self.keys, self.world)
        self._seen = self.revision

    def apply(self, txn: Txn) -> TxnResult:
        """Do it, and judge it."""
        leader = self.current(self.keys.key(("leader",)))
        result = super().apply(txn)
        if result.done:
            self.writes += 1
            self._who(txn, leader.create if leader else 0)
            self.look()
        return result

    def look(self) -> None:
        """Judge what was written since the last look."""
        while (batch := self.next(self._seen + 1)) is not None:
            self._seen = batch.revision
            touched = self._fold.events(batch)
            self._note(batch)
            for unit in touched.units:
                self._unique(unit)
            for machine in self.world.assigned:
                self._capacity(machine)

    def starts(self, unit: str, machine: str, klass: Class) -> None:
        """A process of the unit begins on a machine."""
        alive = self.alive.setdefault(unit, set())
        if klass is Class.EXCLUSIVE and alive - {machine}:
            raise Broken(f"I2: {unit} starts on {machine} while it runs on {sorted(alive)}")
        alive.add(machine)
        self.tell(f"{machine} starts {unit}")

    def ends(self, unit: str, machine: str) -> None:
        """The unit's last process on a machine has ended."""
        self.alive.get(unit, set()).discard(machine)
        self.tell(f"{machine} ends {unit}")

    def tell(self, text: str) -> None:
        """Add a line to the trace."""
        self.trace.append(f"{self.clock.monotonic():8.3f} {text}")

    def _note(self, batch: Batch) -> None:
        for event in batch.events:
            what = "delete" if event.value is None else "put"
            self.tell(f"r{batch.revision} {what} {event.key.removeprefix(self.keys.root)}")

    def _who(self, txn: Txn, leader: int) -> None:
        """I1 and I5: whose write was that, and was it compared?"""
        key = self.keys.key(("leader",))
        led = leader and Compare(key, "create", "=", leader) in txn.compares
        for operation in txn.operations:
            where = self.keys.ident(operation.key)
            kind = where[0] if where else ""
            if kind in ("placement", "assigned") and not led:
                raise Broken(f"I1: {operation.key} written by who does not lead")
            if where and kind == "states" and isinstance(operation, Put):
                held = self.current(self.keys.key(("machines", where[1])))
                own = held and Compare(held.key, "create", "=", held.create) in txn.compares
                if not own:
                    raise Broken(f"I5: {operation.key} written without the machine's registration")

    def _unique(self, unit: str) -> None:
        known = self.world.units.get(unit)
        if known is not None and known.requirements.global_:
            return
        on = [m for m, held in self.world.assigned.items() if unit in held]
        if len(on) > 1 and known is not None and unit in self.world.placements:
            raise Broken(f"I3: {unit} is assigned to {sorted(on)}")

    def _capacity(self, machine: str) -> None:
        known = self.world.machines.get(machine)
        held = self.world.assignments(machine)
        if known is not None and not self.world.used.get(machine, NOTHING).fits(known.capacity):
            raise Broken(f"I4: {machine} holds {self.world.used[machine]} of {known.capacity}")
        granted = [port for one in held.values() for port in one.ports]
        if len(granted) != len(set(granted)):
            raise Broken(f"I4: a port of {machine} is granted twice: {sorted(granted)}")
