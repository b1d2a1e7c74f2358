"""What is read from the machine's files: facts, figures, markers."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetish.agent import facts
from fleetish.agent.base import Figures, Marker
from fleetish.agent.figures import CgroupFigures, slice_path
from fleetish.agent.markers import Markers
from fleetish.agent.settings import AgentSettings
from fleetish.errors import BadConfig
from fleetish.resources import Resources


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_markers_are_found_again_and_gone_when_dropped(tmp_path: Path) -> None:
    long = f"{'x' * 247}.service"
    markers = Markers(tmp_path / "units")
    markers.put("a.service", Marker("h", 1, started=False))
    markers.put("a.service", Marker("h", 2))
    markers.put(long, Marker("g", 1))
    again = Markers(tmp_path / "units")
    assert dict(again) == {"a.service": Marker("h", 2), long: Marker("g", 1)}
    again.drop(long)
    again.drop("never.service")
    assert dict(Markers(tmp_path / "units")) == {"a.service": Marker("h", 2)}


def test_a_marker_that_cannot_be_read_is_as_none(tmp_path: Path) -> None:
    write(tmp_path / "a.service", '{"hash":')
    assert dict(Markers(tmp_path)) == {}
    assert not (tmp_path / "a.service").exists()


def test_slices_nest_by_their_names() -> None:
    assert slice_path("fleetish-web.slice") == "fleetish.slice/fleetish-web.slice"
    assert slice_path("fleetish-a\\x2db.slice") == "fleetish.slice/fleetish-a\\x2db.slice"


def test_figures_are_read_from_one_hierarchy_with_cgroup_v2(tmp_path: Path) -> None:
    unit = tmp_path / "fleetish.slice/fleetish-a.slice/a.service"
    write(tmp_path / "cgroup.controllers", "cpu memory\n")
    write(unit / "memory.current", "4096\n")
    write(unit / "cpu.stat", "usage_usec 2500000\nuser_usec 1\n")
    read = CgroupFigures(tmp_path).read
    assert read("a.service", "fleetish-a.slice") == Figures(4096, 2.5)
    assert read("b.service", "fleetish-a.slice") == Figures(0, 0.0)


def test_figures_are_read_from_both_sides_of_the_hybrid_layout(tmp_path: Path) -> None:
    below = "fleetish.slice/fleetish-a.slice/a.service"
    write(tmp_path / "unified/cgroup.controllers", "")
    write(tmp_path / "memory" / below / "memory.usage_in_bytes", "8192\n")
    write(tmp_path / "unified" / below / "cpu.stat", "usage_usec 1000000\n")
    assert CgroupFigures(tmp_path).read("a.service", "fleetish-a.slice") == Figures(8192, 1.0)


def test_figures_are_read_from_cpuacct_with_plain_cgroup_v1(tmp_path: Path) -> None:
    below = "fleetish.slice/fleetish-a.slice/a.service"
    write(tmp_path / "cpu,cpuacct" / below / "cpuacct.usage", "3000000000\n")
    assert CgroupFigures(tmp_path).read("a.service", "fleetish-a.slice") == Figures(0, 3.0)


def test_capacity_is_as_measured_unless_the_settings_say_otherwise(tmp_path: Path) -> None:
    write(tmp_path / "proc/meminfo", "MemTotal:  2048 kB\nMemFree: 1 kB\n")
    measured = facts.capacity(AgentSettings(), tmp_path)
    assert measured.memory == 2 * 2**20
    assert measured.millicpus >= 1000
    assert measured.disk > 0
    said = AgentSettings(cpus=0.5, memory=7, disk=9)
    assert facts.capacity(said, tmp_path) == Resources(500, 7, 9)


@pytest.mark.parametrize("text", ["", "uninitialized\n", "x" * 32])
def test_a_machine_without_an_id_is_refused(tmp_path: Path, text: str) -> None:
    write(tmp_path / "etc/machine-id", text)
    with pytest.raises(BadConfig, match="systemd-machine-id-setup"):
        facts.machine_id(tmp_path)


def test_the_machine_record_is_made_of_facts_and_settings() -> None:
    settings = AgentSettings(metadata={"rack": "r1"}, address="10.0.0.1", machine_id="m" * 32)
    found = facts.machine(facts.read(settings), settings, "252", 5.0)
    assert (found.id, found.address, found.metadata, found.systemd, found.since) == (
        "m" * 32,
        "10.0.0.1",
        {"rack": "r1"},
        "252",
        5.0,
    )
    assert found.boot
