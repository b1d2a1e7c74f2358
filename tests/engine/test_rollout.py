"""Rolling updates: what is replaced when, and what is left alone."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetish.changes import DropDocument, PutDocument, Refresh, ReplaceUnit
from fleetish.engine.orders import Orders
from fleetish.engine.plan import plan
from fleetish.engine.rollout import OnFailure, Rollout, Row, Stage, Text, allowed, document, read
from fleetish.engine.roster import Roster
from fleetish.errors import Refused
from fleetish.model import Target, Unit, UnitState
from fleetish.testing.build import apply, drop, machine, overlay, placed, put, unit, world
from fleetish.units.xfleet import Requirements
from fleetish.world import Touched, World

WEB = tuple(f"web@{n}.service" for n in range(1, 6))
HOSTS = ("a", "b", "c")
Judge = Callable[[str, str], str]


def rollout(*names: str, **fields: object) -> Rollout:
    """A rollout of units from the text "old" to "new"; global ones keep their launch number."""
    before = Text(hash="old", requirements=fields.pop("before", Requirements()), launch=1)  # type: ignore[arg-type]
    after = Text(hash="new", requirements=fields.pop("after", before.requirements))  # type: ignore[arg-type]
    rows = tuple(Row(unit=name, before=before, after=after) for name in names)
    return Rollout(id="r1", rows=rows, **{"settle": 0.0, **fields})  # type: ignore[arg-type]


class Course:
    """A cluster in which a rollout takes its course, step by step.

    ``fails`` says which (unit, machine) fail with the new text.
    """

    def __init__(self, known: World, order: Rollout, fails: Judge = lambda u, m: "") -> None:
        self.world = known
        self.orders = Orders()
        self.now = 0.0
        self.fails = fails
        self.replaced: list[str] = []
        self.worst = 0
        for on in known.machines:
            self.answer(on)
        put(known, document(order))

    @property
    def order(self) -> Rollout:
        found = read(self.world.documents["rollout", "r1"])
        assert found is not None
        return found

    def step(self) -> bool:
        """One round of the engine; False when there is nothing to do."""
        everything = Touched(everything=True)
        roster = Roster.of(self.world)
        due = self.orders.look(self.world, everything, roster, self.now, 1000.0)
        changes = plan(self.world, self.now, holds=due.holds).changes
        if changes:
            told = [change for change in changes if isinstance(change, Refresh)]
            self.replaced += [f"{one.unit} on {one.machine}" for one in told]
            apply(self.world, changes)
        for errand in due.errands[:1] if not changes else ():
            for change in errand.changes:
                self._write(change)
        self.worst = max(self.worst, self.down())
        return bool(changes or due.errands)

    def _write(self, change: object) -> None:
        match change:
            case ReplaceUnit(fresh):
                assert change.reason
                put(self.world, fresh)
            case PutDocument(stored):
                put(self.world, stored)
            case DropDocument(kind, name):
                drop(self.world, "docs", kind, name)

    def answer(self, on: str, only: str = "") -> None:
        """A machine does what it was told, of all its units or of one."""
        for held in [*self.world.assignments(on).values()]:
            if only and held.unit != only:
                continue
            failed = self.fails(held.unit, on) if held.hash == "new" else ""
            active = "failed" if failed else "active"
            wanted = held.target is Target.LAUNCHED
            state = UnitState(
                unit=held.unit, machine=on, hash=held.hash, load="loaded",
                active=active if wanted else "inactive", result=failed if wanted else "",
                launch=held.launch, seen=held.generation, invocation=f"{held.hash}{held.launch}",
            )  # fmt: skip
            if self.world.state(held.unit, on) != state:
                put(self.world, state)

    def down(self) -> int:
        """How many launched units are not active with what they were told, where they are."""
        return sum(
            not self._is_up(one.name, on)
            for one in self.world.units.values()
            if one.target is Target.LAUNCHED
            for on in self._homes(one)
        )

    def _homes(self, one: Unit) -> list[str]:
        if one.requirements.global_:
            return [m for m in self.world.machines if one.name in self.world.assignments(m)]
        placement = self.world.placements.get(one.name)
        return [placement.machine if placement else ""]

    def _is_up(self, name: str, on: str) -> bool:
        held, state = self.world.assignment(name, on), self.world.state(name, on)
        told = held is not None and state is not None and state.seen == held.generation
        return bool(told and state and state.active == "active")

    def run(self, rounds: int = 60) -> Stage:
        """Until the rollout has ended and nothing is left to do."""
        for _ in range(rounds):
            busy = self.step()
            for on in self.world.machines:
                self.answer(on)
            if not busy and self.order.stage not in (Stage.REPLACING, Stage.UNDOING):
                return self.order.stage
        raise AssertionError((self.order, self.texts()))

    def texts(self) -> str:
        """The text that each machine was told, as ``old new new``, by unit and machine."""
        rows = sorted(
            (held.unit, on, held.hash)
            for on in self.world.machines
            for held in self.world.assignments(on).values()
        )
        return " ".join(row[2] for row in rows)


def instances(count: int = 5, **asks: object) -> World:
    units = [unit(name, digest="old", **asks) for name in WEB[:count]]  # type: ignore[arg-type]
    where = zip(units, (HOSTS * 2)[:count], strict=True)
    return world(*map(machine, HOSTS), *(placed(one, on) for one, on in where))


def everywhere(**fields: object) -> World:
    one = unit("log.service", digest="old", global_=True, **fields)  # type: ignore[arg-type]
    assigned = [placed(one, on)[2] for on in HOSTS]
    return world(*map(machine, HOSTS), one, *assigned)


LOG = Requirements(global_=True)


@pytest.mark.parametrize(("most", "at_a_time"), [("1", 1), ("2", 2), ("50%", 2), ("10%", 1)])
def test_never_more_instances_are_down_than_allowed(most: str, at_a_time: int) -> None:
    course = Course(instances(), rollout(*WEB, most=most))
    assert course.run() is Stage.DONE
    assert course.texts() == "new new new new new"
    assert course.worst == at_a_time


def test_instances_are_replaced_in_the_order_asked_for_where_they_are() -> None:
    course = Course(instances(3), rollout(*reversed(WEB[:3])))
    course.run()
    assert course.replaced == [
        "web@3.service on c", "web@2.service on b", "web@1.service on a",
    ]  # fmt: skip


@pytest.mark.parametrize("most", ["1", "2"])
def test_a_global_unit_is_replaced_machine_by_machine(most: str) -> None:
    order = rollout("log.service", most=most, before=LOG)
    course = Course(everywhere(), order)
    assert course.run() is Stage.DONE
    assert (course.texts(), course.worst) == ("new new new", int(most))
    assert course.replaced == [f"log.service on {on}" for on in HOSTS]


def test_an_instance_that_fails_stops_the_rollout_and_the_others_keep_their_text() -> None:
    course = Course(instances(), rollout(*WEB), lambda u, m: "exit-code" if u == WEB[1] else "")
    assert course.run() is Stage.STOPPED
    assert course.order.reason == "web@2.service failed (exit-code) on b"
    assert course.texts() == "new new old old old"


def test_a_global_unit_that_fails_keeps_the_other_machines_as_they_are_for_good() -> None:
    order = rollout("log.service", before=LOG)
    course = Course(everywhere(), order, lambda u, m: "exit-code" if m == "b" else "")
    assert course.run() is Stage.STOPPED
    assert course.texts() == "new new old"
    assert plan(course.world, 0.0).changes != ()  # without the hold it would go on
    course.orders = Orders()  # the next leader
    assert not course.step()
    assert course.texts() == "new new old"


def test_a_restart_of_a_held_unit_waits_too_but_a_stop_does_not() -> None:
    order = rollout("log.service", before=LOG)
    course = Course(everywhere(), order, lambda u, m: "exit-code" if m == "a" else "")
    course.run()
    held = course.world.units["log.service"]
    put(course.world, msgspec.structs.replace(held, launch=held.launch + 1))
    course.run()
    assert course.texts() == "new old old"
    put(course.world, msgspec.structs.replace(held, target=Target.LOADED))
    course.run()
    assert {h.target for on in course.world.assigned.values() for h in on.values()} == {"loaded"}


def test_a_held_unit_leaves_a_machine_that_is_drained() -> None:
    order = rollout("log.service", before=LOG)
    course = Course(everywhere(), order, lambda u, m: "exit-code" if m == "a" else "")
    course.run()
    put(course.world, overlay("c", draining=True))
    course.run()
    assert not course.world.assignments("c")


def test_on_failure_rollback_gives_all_their_old_text_back_a_few_at_a_time() -> None:
    order = rollout(*WEB, on_failure=OnFailure.ROLLBACK)
    course = Course(instances(), order, lambda u, m: "exit-code" if u == WEB[3] else "")
    assert course.run() is Stage.UNDONE
    assert course.order.reason == "web@4.service failed (exit-code) on a"
    assert (course.texts(), course.worst) == ("old old old old old", 1)


def test_undoing_a_global_unit_does_not_touch_machines_that_were_never_replaced() -> None:
    order = rollout("log.service", before=LOG, on_failure=OnFailure.ROLLBACK)
    course = Course(everywhere(), order, lambda u, m: "exit-code" if m == "b" else "")
    assert course.run() is Stage.UNDONE
    assert course.texts() == "old old old"
    assert course.replaced == [f"log.service on {on}" for on in ("a", "b", "b", "a")]
    assert course.worst == 1


@pytest.mark.parametrize("stage", [Stage.DONE, Stage.UNDONE])
def test_a_rollout_that_came_to_its_end_holds_nothing_up_that_a_later_one_undoes(
    stage: Stage,
) -> None:
    order = rollout("log.service", before=LOG, on_failure=OnFailure.ROLLBACK)
    earlier = rollout("log.service", before=LOG, stage=stage)
    course = Course(everywhere(), order, lambda u, m: "exit-code" if m == "a" else "")
    put(course.world, document(msgspec.structs.replace(earlier, id="r0")))
    assert course.run() is Stage.UNDONE
    assert course.texts() == "old old old"


def test_on_failure_continue_goes_on_without_those_that_failed() -> None:
    order = rollout(*WEB, on_failure=OnFailure.CONTINUE)
    course = Course(instances(), order, lambda u, m: "exit-code" if u == WEB[1] else "")
    assert course.run() is Stage.DONE
    assert course.texts() == "new new new new new"
    assert course.order.reason == "web@2.service failed (exit-code) on b"


def test_what_is_down_already_is_replaced_first_and_costs_nothing() -> None:
    course = Course(instances(3), rollout(*WEB[:3]))
    put(course.world, UnitState(unit=WEB[2], machine="c", hash="old", active="failed", launch=1))
    course.run()
    assert course.replaced[0] == "web@3.service on c"
    assert course.worst == 1


def test_of_what_is_down_no_more_are_replaced_at_a_time_either() -> None:
    course = Course(instances(4), rollout(*WEB[:4], most="2"))
    for name, on in zip(WEB[:4], HOSTS * 2, strict=False):
        put(course.world, UnitState(unit=name, machine=on, hash="old", active="failed", launch=1))
    for _ in range(5):
        course.step()
    assert course.texts() == "new new old old"
    assert course.run() is Stage.DONE


def test_a_unit_that_nobody_wants_launched_only_gets_its_text() -> None:
    known = instances(2)
    put(known, unit("web@.service", digest="old", target=Target.INACTIVE))
    put(known, unit(WEB[0], digest="old", target=Target.LOADED))
    course = Course(known, rollout("web@.service", *WEB[:2]))
    course.step()
    course.step()
    assert known.units["web@.service"].hash == "new"
    assert known.units["web@.service"].launch == 1
    assert course.run() is Stage.DONE


def test_a_unit_with_another_text_stops_the_rollout_and_a_destroyed_one_does_not() -> None:
    course = Course(instances(3), rollout(*WEB[:3]))
    drop(course.world, "units", WEB[1])
    course.step()
    put(course.world, unit(WEB[2], digest="other"))
    assert course.run() is Stage.STOPPED
    assert course.order.reason == "web@3.service was given another text"


def test_a_unit_must_stay_up_for_a_while_before_the_next_one_is_replaced() -> None:
    course = Course(instances(2), rollout(*WEB[:2], settle=5.0))
    for _ in range(6):
        course.step()
        course.answer("a")
    assert course.texts() == "new old"
    course.now = 4.9
    assert not course.step()
    wake = course.orders.look(course.world, Touched(), Roster(), 4.9, 0.0).wake
    assert wake == 5.0
    course.now = wake
    assert course.step()


def test_a_unit_that_restarts_again_and_again_is_never_up_long_enough() -> None:
    course = Course(instances(2), rollout(*WEB[:2], settle=5.0))
    for at in range(10):
        course.now = at * 3.0
        course.step()
        course.answer("a")
        state = course.world.state(WEB[0], "a")
        assert state is not None
        put(course.world, msgspec.structs.replace(state, invocation=f"i{at}"))
    assert course.texts() == "new old"


def test_the_next_leader_goes_on_where_the_last_one_ended() -> None:
    course = Course(instances(), rollout(*WEB, most="2"))
    for _ in range(40):
        course.orders = Orders()
        course.step()
        for on in HOSTS:
            course.answer(on)
    assert (course.order.stage, course.texts()) == (Stage.DONE, "new new new new new")
    assert course.worst == 2


def test_an_order_that_cannot_be_read_is_passed_over() -> None:
    known = instances(1)
    put(known, msgspec.structs.replace(document(rollout(WEB[0])), body=msgspec.Raw(b'{"id":1}')))
    everything = Touched(everything=True)
    assert Orders().look(known, everything, Roster.of(known), 0.0, 0.0).errands == ()


@pytest.mark.parametrize(
    ("most", "total", "count"),
    [("1", 10, 1), ("3", 2, 3), ("25%", 10, 2), ("1%", 10, 1), ("100%", 7, 7)],
)
def test_how_many_may_be_down(most: str, total: int, count: int) -> None:
    assert allowed(most, total) == count


@pytest.mark.parametrize("most", ["0", "0%", "-1", "101%", "a", "", "1.5", "٣", "%"])
def test_what_is_no_number_and_no_share_is_refused(most: str) -> None:
    with pytest.raises(Refused, match="neither a number nor a share"):
        allowed(most, 10)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_limit_is_kept_whatever_machines_answer_and_when(data: st.DataObject) -> None:
    most = data.draw(st.integers(1, 4))
    everywhere_ = data.draw(st.booleans())
    how = data.draw(st.sampled_from([OnFailure.STOP, OnFailure.ROLLBACK]))
    bad = data.draw(st.sets(st.tuples(st.sampled_from((*WEB, "log.service")),
                                      st.sampled_from(HOSTS)), max_size=1))  # fmt: skip
    order = (
        rollout("log.service", most=str(most), on_failure=how, before=LOG)
        if everywhere_
        else rollout(*WEB, most=str(most), on_failure=how)
    )
    course = Course(
        everywhere() if everywhere_ else instances(),
        order,
        lambda u, m: "exit-code" if (u, m) in bad else "",
    )
    for _ in range(data.draw(st.integers(1, 40))):
        if data.draw(st.booleans()):
            course.step()
        else:
            course.answer(
                data.draw(st.sampled_from(HOSTS)),
                data.draw(st.sampled_from((*WEB, "log.service"))),
            )
        if data.draw(st.integers(0, 9)) == 0:
            course.orders = Orders()
    assert course.worst <= most
    course.run()
    assert course.worst <= most
