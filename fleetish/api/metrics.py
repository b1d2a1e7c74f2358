"""Prometheus text of a world and of this process' counters."""

from __future__ import annotations

import os
import resource
from collections import Counter as Count
from collections.abc import Iterator, Mapping

from fleetish import __version__
from fleetish.api.views import machine_state
from fleetish.engine.losses import registered
from fleetish.world import World

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(world: World | None, counters: Mapping[str, float]) -> bytes:
    """The page; ``world`` None while nobody asks this process for the cluster.

    ``counters`` are totals of this process by name, without the ``fleetish_`` in front.
    """
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

    def gauge(name: str, doc: str, rows: Mapping[str, float], label: str = "") -> Metric:
        family = GaugeMetricFamily(f"fleetish_{name}", doc, labels=[label] if label else [])
        for value, amount in sorted(rows.items()):
            family.add_metric([value] if label else [], amount)
        return family

    class Page:
        def collect(self) -> Iterator[Metric]:
            yield gauge("info", "The version that runs here.", {__version__: 1}, "version")
            yield gauge("process_cpu_seconds", "CPU used by this process.", {"": _cpu()})
            yield gauge("process_memory_bytes", "Resident memory of this process.", {"": _rss()})
            for name, total in sorted(counters.items()):
                yield CounterMetricFamily(f"fleetish_{name}", f"Total of {name}.", value=total)
            if world is None:
                return
            for name, doc, rows, label in families(world):
                yield gauge(name, doc, rows, label)

    registry = CollectorRegistry()
    registry.register(Page())
    return generate_latest(registry)


def families(world: World) -> Iterator[tuple[str, str, Mapping[str, float], str]]:
    """(name, meaning, values by label, label) of everything that is told of a world."""
    machines = {*world.machines, *world.assigned}
    yield "revision", "etcd's revision that this process has seen.", {"": world.revision}, ""
    yield (
        "machines",
        "Machines by state.",
        Count(machine_state(world, one) for one in machines),
        "state",
    )
    yield "units", "Units by target.", Count(u.target.value for u in world.units.values()), "target"
    yield (
        "unit_states",
        "Reported unit states by systemd's active state.",
        Count(
            s.active if registered(world, s.machine) else "unknown"
            for held in world.states.values()
            for s in held.values()
        ),
        "active",
    )
    unplaced = sum(
        1
        for unit in world.units.values()
        if world.target(unit.name).value != "inactive"
        and unit.name not in world.placements
        and not unit.requirements.global_
    )
    yield "units_waiting", "Units wanted somewhere and placed nowhere.", {"": unplaced}, ""
    yield "records_unreadable", "Records nobody can read.", {"": len(world.quarantined)}, ""
    yield "leader", "1 for the leading machine.", _leader(world), "machine"
    yield (
        "machine_assignments",
        "Units assigned to a machine.",
        {one: len(world.assignments(one)) for one in machines},
        "machine",
    )


def _leader(world: World) -> dict[str, float]:
    return {world.leader.machine: 1} if world.leader else {}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _rss() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
