"""What to do with the units of this machine: assignments beside what systemd says; pure.

    assigned?  target          on the machine              step
    ---------  --------------  --------------------------  -----------------------------------
    no         -               ours, alive                 Stop
    no         -               ours, failed or finished    Forget
    yes        inactive,       ours, alive                 Stop
               loaded          anything else               -
               loaded, and     ours, alive, launched once  Stop
               kept ready      ours, alive, other text     Restart
                               ours, alive                 -
                               ours, dead, other text      Define
                               not there, but activated    Define
                               anything else               -
    yes        launched        ours, alive, other text     Restart
                               ours, alive, older launch   Restart
                               ours, alive                 - (Adopt, if not marked as started)
                               failed, this launch         - (by failure policy: Start or Wait)
                               finished, this launch       -
                               anything else               Start

1. What runs is always systemd's word; a marker only tells a finished unit from one never started.
2. An assignment that cannot be read is left alone, and so is its unit.
3. A unit that is not ours is never touched; that its name is taken comes out when it is started.
4. A unit is kept ready while one that brings it up is launched here (``View.companions``): it may
   run without being launched itself. A text that changed is put in the place of the old one, with
   a daemon-reload: what activates the unit goes on listening, and what it waits for is not lost.
5. An exclusive unit is started only while the lease was renewed lately (``View.fenced``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from fleetish.agent.backoff import Progress
from fleetish.agent.base import UNLABELLED, Labels, Marker, ObservedUnit
from fleetish.agent.companions import Companions
from fleetish.agent.steps import Adopt, Define, Forget, Restart, Start, Step, Stop, Wait, rank
from fleetish.model import Assignment, Target
from fleetish.units.xfleet import Class

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class View:
    """All that a plan is made from. ``fenced``: exclusive units may be started before it."""

    assigned: Mapping[str, Assignment] = field(default_factory=dict)
    observed: Mapping[str, ObservedUnit] = field(default_factory=dict)
    markers: Mapping[str, Marker] = field(default_factory=dict)
    progress: Mapping[str, Progress] = field(default_factory=dict)
    companions: Companions = field(default_factory=Companions)
    quarantined: Collection[str] = ()
    fenced: float = NEVER


def plan(view: View, names: Iterable[str], now: float) -> tuple[Step, ...]:
    """The steps for the named units, what ends before what begins (:func:`rank`)."""
    found = [step for name in names if (step := plan_unit(view, name, now)) is not None]
    return tuple(sorted(found, key=rank))


def plan_unit(view: View, name: str, now: float) -> Step | None:
    """The step for one unit, or None when all is as it should be."""
    if name in view.quarantined:
        return None
    assignment = view.assigned.get(name)
    if assignment is None:
        return _unassigned(view, name)
    if assignment.target is Target.LAUNCHED:
        step = _launched(view, assignment, now)
        return _fenced(view, step, now) if assignment.requirements.klass is _EXCLUSIVE else step
    if assignment.target is Target.LOADED and (keeper := view.companions.keeper(name)):
        return _ready(view, assignment, keeper, now)
    return _stopped(view, name, f"its target is {assignment.target}")


_EXCLUSIVE = Class.EXCLUSIVE


def owner(name: str, unit: ObservedUnit | None, marker: Marker | None) -> Labels | None:
    """The labels of a unit that is ours; of a type that carries none, by its marker.

    A unit that another brought up and that was launched since is of the launch that it was taken
    for, which its marker says.
    """
    if unit is None:
        return None
    if unit.labels is not None:
        taken = marker is not None and marker.started and marker.hash == unit.labels.hash
        if marker is not None and taken and marker.launch > unit.labels.launch:
            return unit.labels._replace(launch=marker.launch)
        return unit.labels
    if marker is not None and name.rpartition(".")[2] in UNLABELLED:
        return Labels("", name, marker.hash, marker.launch)
    return None


def _unassigned(view: View, name: str) -> Step | None:
    unit, marker = view.observed.get(name), view.markers.get(name)
    if unit is not None and unit.alive:
        return _stopped(view, name, "it is not assigned to this machine")
    ours = owner(name, unit, marker)
    if marker is None and (unit is None or ours is None):
        return None
    failed = ours is not None and unit is not None and unit.active == "failed"
    kept = bool(view.companions.keeper(name))
    return Forget(name, "it is not assigned to this machine", failed=failed, kept=kept)


def _stopped(view: View, name: str, reason: str) -> Step | None:
    unit = view.observed.get(name)
    if unit is None or not unit.alive or unit.active == "deactivating":
        return None
    return Stop(name, reason) if owner(name, unit, view.markers.get(name)) else None


def _ready(view: View, wish: Assignment, keeper: str, now: float) -> Step | None:
    """A unit that is only loaded, and may be brought up by ``keeper`` at any time."""
    unit, marker = view.observed.get(wish.unit), view.markers.get(wish.unit)
    ours = owner(wish.unit, unit, marker)
    progress = view.progress.get(wish.unit, Progress())
    if progress.blocks(wish) and now < progress.retry_at:
        return Wait(wish.unit, progress.retry_at, progress.error)
    if unit is None:
        return _late(view, wish)
    if ours is None:
        return None
    launched = marker is not None and marker.started
    if unit.alive and launched:
        return _stopped(view, wish.unit, f"its target is {wish.target}")
    if ours.hash != wish.hash or (unit.alive and _outlived(marker, wish)):
        return (Restart if unit.alive else Define)(wish.unit, wish, "its text changed")
    if launched or _outlived(marker, wish):
        waiting = Marker(ours.hash, ours.launch, started=False)
        return Adopt(wish.unit, waiting, f"{keeper} brings it up from now on")
    return None


def _late(view: View, wish: Assignment) -> Step | None:
    """A unit that came to this machine after one was started that activates it."""
    for name in view.companions.activators(wish.unit):
        unit = view.observed.get(name)
        if unit is not None and unit.alive and owner(name, unit, view.markers.get(name)):
            return Define(wish.unit, wish, f"{name} activates it and was started before it came")
    return None


def _launched(view: View, wish: Assignment, now: float) -> Step | None:
    unit, marker = view.observed.get(wish.unit), view.markers.get(wish.unit)
    ours = owner(wish.unit, unit, marker)
    progress = view.progress.get(wish.unit, Progress())
    if progress.blocks(wish) and now < progress.retry_at:
        return Wait(wish.unit, progress.retry_at, progress.error)
    if unit is not None and unit.alive:
        return _running(view, wish, ours, marker) if ours else None
    failed = ours is not None and unit is not None and unit.active == "failed"
    last = Marker(ours.hash, ours.launch) if failed and ours else marker
    if marker is not None and not marker.started:
        last = marker
    reason = _why_start(wish, last)
    if reason:
        return Start(wish.unit, wish, reason, failed=failed)
    return _again(wish, progress, now) if failed else None


def _running(view: View, wish: Assignment, ours: Labels, marker: Marker | None) -> Step | None:
    if ours.hash != wish.hash or _outlived(marker, wish):
        return Restart(wish.unit, wish, "its text changed")
    if ours.launch < wish.launch:
        keeper = view.companions.keeper(wish.unit)
        if keeper and marker is not None and not marker.started:
            return Adopt(wish.unit, Marker(ours.hash, wish.launch), f"{keeper} brought it up")
    if min(ours.launch, marker.launch if marker else ours.launch) < wish.launch:
        return Restart(wish.unit, wish, f"launch {wish.launch} was asked for")
    noted = Marker(ours.hash, ours.launch)
    return None if marker == noted else Adopt(wish.unit, noted, "it runs as assigned")


def _outlived(marker: Marker | None, wish: Assignment) -> bool:
    """Whether a unit may run by its old text, though systemd has read the new one already: until it
    is started anew its marker tells the old one (:meth:`fleetish.agent.launch.Launcher.renew`)."""
    return marker is not None and marker.hash != wish.hash


def _why_start(wish: Assignment, last: Marker | None) -> str:
    """Why a unit that is not running is to be started, or "" when it had its run."""
    if last is None:
        return "it is assigned to this machine"
    if not last.started:
        return "its last run did not begin, or was cut off"
    if last.hash != wish.hash:
        return "its text changed"
    return f"launch {wish.launch} was asked for" if last.launch < wish.launch else ""


def _again(wish: Assignment, progress: Progress, now: float) -> Step | None:
    """The failure policy: with Reschedule=on-failure a failed unit is tried again, some times."""
    asked = wish.requirements
    if not asked.reschedule or progress.failures >= asked.reschedule_after:
        return None
    times = "once" if progress.failures == 1 else f"{progress.failures} times"
    if now < progress.retry_at:
        return Wait(wish.unit, progress.retry_at, f"it failed {times} and backs off")
    return Start(wish.unit, wish, f"it failed {times}; the back-off is over", failed=True)


def _fenced(view: View, step: Step | None, now: float) -> Step | None:
    if isinstance(step, Start | Restart) and now >= view.fenced:
        return Wait(step.unit, NEVER, "it is exclusive and the machine's lease is not renewed")
    return step
