"""What systemd says of an assigned unit, as the state to publish, when it changed; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fleetish.agent.backoff import Progress
from fleetish.agent.base import Labels, Marker, ObservedUnit
from fleetish.changes import PublishState
from fleetish.model import Assignment, UnitState


def state_of(
    wish: Assignment,
    unit: ObservedUnit | None,
    ours: Labels | None,
    marker: Marker | None,
    progress: Progress,
    before: UnitState | None,
    *,
    settled: bool = True,
    ready: bool = False,
) -> UnitState:
    """The state of an assigned unit, without memory and CPU figures.

    ``ours`` are the labels of a unit that is ours, ``before`` what was published last. Only when
    the unit is ``settled`` (no step under way) does the state answer the assignment's generation.
    A unit that is kept ``ready`` is there also when it is dead, with the end of its last run.
    """
    seen = wish.generation if settled else (before.seen if before else 0)
    if unit is not None and unit.loaded and ours is not None:
        return _observed(wish, unit, ours.hash, ours.launch, progress, seen)
    if progress.blocks(wish):
        return UnitState(
            unit=wish.unit,
            machine=wish.machine,
            hash=wish.hash,
            load=progress.load,
            failures=progress.failures,
            launch=marker.launch if marker and marker.started else 0,
            seen=seen,
            error=progress.error,
        )
    if ready and unit is not None and ours is not None:
        launched = marker is not None and marker.started
        return _observed(wish, unit, ours.hash, ours.launch if launched else 0, progress, seen)
    digest, launch = (marker.hash, marker.launch) if marker and marker.started else (wish.hash, 0)
    if unit is None or not launch:
        unit = _remembered(wish.unit, before, digest, launch)
    return _observed(wish, unit, digest, launch, progress, seen)


def _observed(
    wish: Assignment, unit: ObservedUnit, digest: str, launch: int, progress: Progress, seen: int
) -> UnitState:
    return UnitState(
        unit=wish.unit,
        machine=wish.machine,
        hash=digest,
        load=unit.load,
        active=unit.active,
        sub=unit.sub,
        since=unit.since,
        result=unit.result,
        exit_code=unit.exit_code,
        exit_status=unit.exit_status,
        main_pid=unit.main_pid if unit.alive else 0,
        invocation=unit.invocation,
        restarts=unit.restarts,
        failures=progress.failures,
        launch=launch,
        seen=seen,
        error=progress.error if progress.blocks(wish) else "",
    )


def _remembered(name: str, before: UnitState | None, digest: str, launch: int) -> ObservedUnit:
    """How a unit ended that systemd has unloaded, by what was published of the same run."""
    if before is None or not launch or (before.hash, before.launch) != (digest, launch):
        return ObservedUnit(name)
    if before.active != "inactive":
        return ObservedUnit(name, invocation=before.invocation)
    return ObservedUnit(
        name,
        since=before.since,
        result=before.result,
        exit_code=before.exit_code,
        exit_status=before.exit_status,
        invocation=before.invocation,
        restarts=before.restarts,
    )


def diff(
    published: Mapping[str, UnitState], states: Iterable[UnitState]
) -> tuple[PublishState, ...]:
    """A change for each state that differs from what was published, with what is new in it."""
    return tuple(
        PublishState(state, _news(published.get(state.unit), state))
        for state in states
        if published.get(state.unit) != state
    )


def _news(before: UnitState | None, state: UnitState) -> str:
    if state.error and (before is None or before.error != state.error):
        return state.error
    if before is None or (before.active, before.sub) != (state.active, state.sub):
        return f"{state.active} ({state.sub})"
    if before.health != state.health:
        return _health_news(state)
    if state.ready and not before.ready:
        return "it is ready"
    return f"answers generation {state.seen}" if before.seen != state.seen else "details changed"


def _health_news(state: UnitState) -> str:
    failing = [row for row in state.health if row.failures]
    if failing:
        return f"a health check failed ({failing[0].failures}): {failing[0].cause}"
    good = sum(bool(row.alive) for row in state.health)
    return f"{good} of {len(state.health)} health checks are good"
