"""Which machines are lost, and whether their units may be moved; pure.

1. A machine is lost when its key is absent and somebody (the loop) has seen that for long enough.
   A machine whose record cannot be read is there.
2. Exclusive units wait longer: the host's PID 1 must have had the time to end them.
3. Pinned units stay with their machine.
4. When most machines vanish at once, the fault is likely ours: nothing is moved (the brake). Only
   from a lost machine that an operator drains units are moved all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fleetish.engine.policy import DEFAULT, Policy
from fleetish.units.xfleet import Class
from fleetish.world import World


def draining(world: World, machine: str) -> bool:
    """True when an operator wants the machine empty."""
    overlay = world.overlays.get(machine)
    return overlay is not None and overlay.draining


def registered(world: World, machine: str) -> bool:
    """True when the machine's key is there, readable or not."""
    return machine in world.machines or ("machines", machine) in world.quarantined


def host(world: World, machine: str) -> str:
    """A machine's host name, or the first 8 characters of its id when it is not registered: a plan
    and its reasons come from the records alone, not from what was seen before."""
    known = world.machines.get(machine)
    return known.host if known else machine[:8]


@dataclass(frozen=True, slots=True)
class Losses:
    """The machines whose key is absent, since when (monotonic seconds), and what follows."""

    world: World
    now: float
    since: Mapping[str, float]
    policy: Policy = DEFAULT
    alarm: str = ""

    @staticmethod
    def of(world: World, now: float, since: Mapping[str, float], policy: Policy) -> Losses:
        """Judge the machines in ``since``; those that are registered again do not count."""
        gone = {m: t for m, t in sorted(since.items()) if not registered(world, m)}
        alarm = _brake(world, len(gone), policy)
        return Losses(world, now, gone, policy, alarm)

    def keeps(self, machine: str, klass: Class) -> str:
        """Why a unit stays placed on an absent machine, or "" when it may be moved now."""
        lost = host(self.world, machine)
        if machine not in self.since:
            return f"{lost} has not registered yet; this engine has not waited for it long enough"
        if klass is Class.PINNED:
            return f"{lost} is lost and the unit is pinned to it"
        if self.now < self.ripe(machine, klass):
            return f"{lost} is lost, and may return at once"
        if self.alarm and not draining(self.world, machine):
            return f"{lost} is lost; {self.alarm}"
        return ""

    def ripe(self, machine: str, klass: Class) -> float:
        """When (monotonic seconds) a unit of a class may leave a lost machine."""
        wait = self.policy.exclusive_settle if klass is Class.EXCLUSIVE else self.policy.settle
        return self.since[machine] + max(wait, self._spread())

    def _spread(self) -> float:
        """How long others that died with a machine may take to be missed; 0 where so few machines
        are known that the brake cannot hold while there is one to move to."""
        known = len(self.world.machines) + len(self.since)
        return self.policy.spread if known > self.policy.brake_above + 1 else 0.0

    def forgotten(self, machine: str) -> bool:
        """True when a machine is lost for so long that nothing is kept for it."""
        return machine in self.since and self.now >= self.since[machine] + self.policy.forget_after

    def wake(self) -> float | None:
        """The next time (monotonic seconds) at which one of the waits above is over."""
        policy = self.policy
        waits = (policy.settle, policy.exclusive_settle, policy.spread, policy.forget_after)
        ends = {begin + wait for begin in self.since.values() for wait in waits}
        return min((end for end in ends if end > self.now), default=None)


def _brake(world: World, lost: int, policy: Policy) -> str:
    known = len(world.machines) + lost
    if lost <= policy.brake_above or lost <= policy.brake_share * known:
        return ""
    return (
        f"{lost} of {known} machines are lost at once: no unit is moved off them "
        "(drain a machine to move its units all the same)"
    )
