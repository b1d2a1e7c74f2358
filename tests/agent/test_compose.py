from __future__ import annotations

import pytest

from fleetish.agent import guard
from fleetish.agent.base import Labels
from fleetish.agent.compose import Composed, Composer, Sidekicks
from fleetish.agent.keep import quoted
from fleetish.agent.slices import Caps
from fleetish.errors import BadUnit
from fleetish.model import Assignment, Target
from fleetish.resources import Resources
from fleetish.units.specifiers import Context
from fleetish.units.xfleet import Class, Requirements


def compose(
    text: str,
    name: str = "web@7.service",
    *,
    ports: tuple[int, ...] = (),
    requirements: Requirements = Requirements(),  # noqa: B008 - frozen
    sidekicks: Sidekicks = ((), ()),
) -> Composed:
    wish = Assignment(
        unit=name,
        machine="m1",
        hash="h",
        launch=3,
        target=Target.LAUNCHED,
        ports=ports,
        requirements=requirements,
    )
    return Composer(Context(hostname="node1"), "c", 10.0).compose(wish, text, sidekicks)


def found(composed: Composed, name: str) -> list[object]:
    return [one.value for one in composed.unit.properties if one.name == name]


TEXT = "[Service]\nExecStart=/bin/echo %i %H\n"


def test_a_unit_goes_to_the_slice_of_its_template_and_carries_its_labels() -> None:
    composed = compose(TEXT)
    assert composed.labels == Labels("c", "web@7.service", "h", 3)
    assert (composed.slice, found(composed, "Slice")) == (
        "fleetish-web.slice",
        ["fleetish-web.slice"],
    )
    assert found(composed, "LogExtraFields") == [
        [
            b"FLEETISH_CLUSTER=c",
            b"FLEETISH_UNIT=web@7.service",
            b"FLEETISH_HASH=h",
            b"FLEETISH_LAUNCH=3",
        ]
    ]


def test_specifiers_are_those_of_this_host() -> None:
    (line,) = [
        one.value for one in compose(TEXT).unit.properties if one.name.startswith("ExecStart")
    ]
    assert "['/bin/echo', '7', 'node1']" in str(line)


def test_granted_ports_are_in_the_environment_but_what_the_file_sets_stays() -> None:
    composed = compose(TEXT + "Environment=PORT=1\n", ports=(31000, 31001))
    assert found(composed, "Environment") == [
        ["PORT=1"],
        ["FLEETISH_MACHINE=m1", "PORTS=31000,31001", "PORT0=31000", "PORT1=31001"],
    ]


def test_variables_are_made_of_what_the_machine_grants_but_what_the_file_sets_stays() -> None:
    made = ("TASK=t.${LAUNCH}@${MACHINE}", "PORT_WEB=${PORT1}", "A=1", "GONE=${PORT7}")
    asked = Requirements(environment=made)
    composed = compose(TEXT + "Environment=A=2\n", ports=(5, 6), requirements=asked)
    told = found(composed, "Environment")[1]
    assert isinstance(told, list)
    assert told[-3:] == ["TASK=t.3@m1", "PORT_WEB=6", "GONE="]


def test_requests_become_weight_and_limit_where_the_file_sets_none() -> None:
    asked = Requirements(resources=Resources(millicpus=500, memory=2**20))
    composed = compose(TEXT, requirements=asked)
    assert (found(composed, "CPUWeight"), found(composed, "MemoryMax")) == ([50], [2**20])
    assert composed.caps == Caps(500, (("MemoryMax", 2**20),))
    own = compose(TEXT + "MemoryMax=5M\nCPUWeight=7\n", requirements=asked)
    assert (found(own, "CPUWeight"), found(own, "MemoryMax")) == ([7], [5 * 2**20])


def test_a_file_may_name_another_slice_of_the_cluster_but_none_of_the_host() -> None:
    assert compose(TEXT + "Slice=fleetish-batch.slice\n").slice == "fleetish-batch.slice"
    for name in ("system.slice", "fleetish.slice", "user.slice"):
        with pytest.raises(BadUnit, match="leave Slice= out"):
            compose(TEXT + f"Slice={name}\n")


def test_an_exclusive_unit_is_bound_to_the_guard() -> None:
    composed = compose(TEXT, requirements=Requirements(klass=Class.EXCLUSIVE))
    assert found(composed, "BindsTo") == [[guard.NAME]]
    assert found(composed, "TimeoutStopUSec") == [3_800_000]


def test_a_daemon_reload_reads_the_file_and_what_was_added_to_it() -> None:
    asked = Requirements(resources=Resources(millicpus=500, memory=1 << 20), klass=Class.EXCLUSIVE)
    text = TEXT + 'Environment="PORT=a b"\n\n[Install]\nWantedBy=x.target\n'
    assert compose(text, ports=(31000,), requirements=asked).text == (
        "[Service]\n"
        "ExecStart=/bin/echo %i %H\n"
        'Environment="PORT=a b"\n'
        "Slice=fleetish-web.slice\n"
        "CPUWeight=50\n"
        "MemoryMax=1048576\n"
        "TimeoutStopSec=3800000us\n"
        'Environment="FLEETISH_MACHINE=m1"\n'
        'Environment="PORTS=31000"\n'
        'Environment="PORT0=31000"\n'
        'LogExtraFields="FLEETISH_CLUSTER=c"\n'
        'LogExtraFields="FLEETISH_UNIT=web@7.service"\n'
        'LogExtraFields="FLEETISH_HASH=h"\n'
        'LogExtraFields="FLEETISH_LAUNCH=3"\n'
        "\n"
        "[Unit]\n"
        "BindsTo=fleetish-guard.service\n"
        "After=fleetish-guard.service\n"
    )


def test_words_are_kept_from_being_specifiers_and_escapes() -> None:
    assert quoted('50% of \\ "x"') == '"50%% of \\\\ \\"x\\""'


def test_a_unit_wants_and_requires_those_that_say_so_in_their_install_sections() -> None:
    composed = compose(TEXT, sidekicks=(("log.service",), ("a.service", "b.service")))
    assert found(composed, "Wants") == [["log.service"]]
    assert found(composed, "Requires") == [["a.service", "b.service"]]
    lines = "[Unit]\nWants=log.service\nRequires=a.service\nRequires=b.service\n"
    assert composed.text.endswith(lines)


def test_a_timer_has_neither_slice_nor_labels_but_its_text_is_kept() -> None:
    composed = compose("[Timer]\nOnActiveSec=1h\n", "web.timer", sidekicks=(("x.service",), ()))
    assert (composed.slice, composed.caps) == ("", Caps(0))
    assert {one.name for one in composed.unit.properties} == {"TimersMonotonic", "Wants"}
    assert composed.text == "[Timer]\nOnActiveSec=1h\n\n[Unit]\nWants=x.service\n"


def test_a_socket_goes_to_a_slice_and_carries_labels() -> None:
    composed = compose("[Socket]\nListenStream=80\n", "web.socket")
    assert found(composed, "Slice") == [composed.slice] == ["fleetish-web.slice"]
    assert len(found(composed, "LogExtraFields")) == 1
    assert "[Socket]\nListenStream=80\nSlice=fleetish-web.slice\n" in composed.text
