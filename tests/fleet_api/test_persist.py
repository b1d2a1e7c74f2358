"""A write goes on while etcd is silent, as long as somebody waits for its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from fleetish.api.fleet.persist import PATIENCE, PAUSE, persist
from fleetish.errors import Conflict, FleetishError, OutcomeUnknown, StoreUnavailable
from fleetish.testing.virtual import VirtualClock, run_virtual

TRY = 1.8
SILENT = StoreUnavailable("cannot reach etcd: it does not answer")


class Etcd:
    """Refuses a write after some time, until so many were refused."""

    def __init__(self, refusals: int, error: FleetishError = SILENT) -> None:
        self.left, self.error = refusals, error
        self.tried = 0

    async def write(self) -> str:
        self.tried += 1
        if self.left:
            self.left -= 1
            await VirtualClock().sleep(TRY)
            raise self.error
        return "written"


def gone_after(seconds: float) -> Callable[[], Awaitable[bool]]:
    async def gone() -> bool:
        return VirtualClock().monotonic() >= seconds

    return gone


def held_on(etcd: Etcd, gone: float = 1e9) -> tuple[str, float]:
    """How a write ends, and when."""

    async def work() -> tuple[str, float]:
        clock = VirtualClock()
        try:
            said = await persist(etcd.write, clock, gone_after(gone))
        except FleetishError as error:
            said = str(error)
        return said, clock.monotonic()

    return run_virtual(work())


@pytest.mark.parametrize("error", [SILENT, OutcomeUnknown("cannot tell")])
def test_a_write_is_tried_again_until_etcd_answers(error: FleetishError) -> None:
    etcd = Etcd(3, error)
    said, at = held_on(etcd)
    assert (said, etcd.tried) == ("written", 4)
    assert at == pytest.approx(3 * (TRY + PAUSE), abs=0.01)


def test_a_write_is_refused_in_the_end() -> None:
    said, at = held_on(Etcd(1000))
    assert said == str(SILENT)
    assert PATIENCE <= at < PATIENCE + TRY + PAUSE


def test_a_write_is_given_up_when_nobody_waits_for_it() -> None:
    etcd = Etcd(1000)
    assert held_on(etcd, gone=3.0)[0] == str(SILENT)
    assert etcd.tried == 2


def test_any_other_refusal_stands() -> None:
    etcd = Etcd(1, Conflict("cannot write: somebody else did"))
    assert held_on(etcd)[0] == "cannot write: somebody else did"
    assert etcd.tried == 1
