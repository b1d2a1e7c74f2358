"""Questions over the network, answered by real servers; and units that are followed by an agent."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fleetish.agent.probe_unit import check_unit_name
from fleetish.agent.probes import MOST, ask
from fleetish.agent.probing import Answer, Place
from fleetish.health import Health, health
from fleetish.units.health import CheckKind, HealthCheck, OnUnhealthy, Probe, Readiness
from fleetish.units.xfleet import Requirements
from tests.agent.rig import SLEEP, Rig, tell

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def server(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[Place]:
    """A server on loopback; connections that are still open at the end are cut."""
    open_ones: set[asyncio.StreamWriter] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.add(writer)
        await serve(reader, writer)

    listening = await asyncio.start_server(served, "127.0.0.1", 0, ssl=tls)
    try:
        yield Place("127.0.0.1", listening.sockets[0].getsockname()[1])
    finally:
        listening.close()
        for writer in open_ones:
            writer.transport.abort()


def says(answer: bytes, *, close: bool = True) -> Serve:
    """A server that reads a request and answers this."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if close:
            writer.close()

    return serve


def asked(serve: Serve, probe: Probe, tls: ssl.SSLContext | None = None) -> Answer:
    async def run() -> Answer:
        async with asyncio.timeout(10), server(serve, tls) as where:
            return await ask(probe, where)

    return asyncio.run(run())


def status(line: str) -> bytes:
    return f"HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (OK, Answer(True)),
        (status("204 No Content"), Answer(True)),
        (status("302 Found"), Answer(True)),
        (status("399 Odd"), Answer(True)),
        (status("400 Bad Request"), Answer(False, "HTTP status 400")),
        (status("503 Service Unavailable"), Answer(False, "HTTP status 503")),
        (b"HTTP/1.0 200 OK\r\n\r\n", Answer(True)),
        (status("100 Continue") + OK, Answer(True)),
        (status("101 Switching Protocols"), Answer(False, "HTTP status 101")),
        (b"", Answer(False, "the connection was closed without an answer")),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Answer(False, "the answer is not HTTP")),
    ],
)
def test_a_status_from_200_to_399_is_good(answer: bytes, expected: Answer) -> None:
    assert asked(says(answer), HealthCheck()) == expected


@pytest.mark.parametrize("line", ["100 Continue", "101 Switching Protocols", "103 Early Hints"])
def test_an_informational_answer_may_be_ignored(line: str) -> None:
    assert asked(says(status(line)), HealthCheck(ignore1xx=True)) == Answer(None)


def test_readiness_has_codes_of_its_own() -> None:
    probe = Readiness(codes=(204, 503))
    assert asked(says(status("503 Busy")), probe).good
    assert asked(says(OK), probe) == Answer(False, "HTTP status 200")


def test_the_request_is_what_servers_expect() -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        writer.close()

    assert asked(serve, HealthCheck(path="/a?b=c%20d")).good
    head, *rest = seen[0].decode().split("\r\n")
    assert head == "GET /a?b=c%20d HTTP/1.1"
    assert "Connection: close" in rest
    assert any(line.startswith("Host: 127.0.0.1:") for line in rest)


def test_a_silent_server_has_no_more_than_its_time() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    found = asked(serve, HealthCheck(timeout=0.2))
    assert found == Answer(False, "no answer within 0.2 s")


def test_a_server_that_never_ends_its_head_is_cut_off() -> None:
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n")
        try:
            while True:
                writer.write(b"X-More: " + b"x" * 1000 + b"\r\n")
                await writer.drain()
                sent += 1000
        except OSError:
            pass

    assert not asked(serve, HealthCheck(timeout=5.0)).good
    assert sent < 100 * MOST


def test_a_giant_answer_is_not_read_and_a_good_head_counts_at_once() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 10 * MOST
    assert asked(says(answer, close=False), HealthCheck(timeout=0.3)).good


def test_nobody_there_is_said_so() -> None:
    async def run() -> list[Answer]:
        async with server(says(OK)) as where:
            pass
        kinds = (CheckKind.HTTP, CheckKind.HTTPS, CheckKind.TCP)
        return [await ask(HealthCheck(kind=kind), where) for kind in kinds]

    for answer in asyncio.run(run()):
        assert answer.good is False
        assert answer.cause.startswith("cannot reach 127.0.0.1:")
        assert answer.cause.endswith(": Connection refused")


def test_a_connection_is_enough_for_tcp() -> None:
    assert asked(says(b""), HealthCheck(kind=CheckKind.TCP)) == Answer(True)


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate that nobody vouches for."""
    folder = tmp_path_factory.mktemp("tls")
    request = "req -x509 -newkey rsa:2048 -nodes -subj /CN=elsewhere -days 1 -keyout key -out cert"
    subprocess.run(["openssl", *request.split()], cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    return context


def test_certificates_are_not_checked(certified: ssl.SSLContext) -> None:
    assert asked(says(OK), HealthCheck(kind=CheckKind.HTTPS), certified).good


def test_a_server_without_tls_fails_an_https_check() -> None:
    found = asked(says(OK), HealthCheck(kind=CheckKind.HTTPS, timeout=2.0))
    assert found.good is False


class Pulse:
    """A server whose health is turned by a test. ``asked`` counts the requests."""

    def __init__(self) -> None:
        self.line = "200 OK"
        self.asked = 0
        self._beat = asyncio.Event()

    async def beats(self, times: int) -> None:
        """Wait for so many requests more."""
        until = self.asked + times
        while self.asked < until:
            self._beat.clear()
            await self._beat.wait()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        self._beat.set()
        writer.write(status(self.line))
        writer.close()


def checks(where: Place, **fields: object) -> Requirements:
    quick = {"interval": 0.1, "delay": 0.0, "grace": 0.0, "failures": 2, "loopback": True}
    check = HealthCheck(port=where.port, **{**quick, **fields})  # type: ignore[arg-type]
    return Requirements(health=(check,))


def test_the_health_of_a_unit_is_in_its_state_and_an_agent_that_restarts_knows_it(
    tmp_path: Path,
) -> None:
    async def story(rig: Rig) -> None:
        pulse = Pulse()
        async with server(pulse) as where:
            asks = checks(where)
            async with rig.agent():
                await rig.assign("web.service", SLEEP, requirements=asks)
                await rig.state("web.service", lambda s: health(asks, s) is Health.HEALTHY)
                pulse.line = "500 Broken"
                found = await rig.state("web.service", lambda s: s.health[0].failures == 3)
                assert health(asks, found) is Health.UNHEALTHY
                assert found.health[0].cause == "HTTP status 500"
            revision = (await rig.kv.list("/t/states")).revision
            async with rig.agent():
                await pulse.beats(5)
                listed = await rig.kv.list(f"/t/states/{found.machine}/web.service")
                assert listed.items[0].mod <= revision
                pulse.line = "200 OK"
                last = await rig.state("web.service", lambda s: s.health[0].alive is True)
                assert last.health[0].first_success == found.health[0].first_success

    tell(tmp_path, story)


def test_a_unit_that_is_stopped_is_probed_no_more(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        pulse = Pulse()
        async with server(pulse) as where, rig.agent():
            asks = checks(where)
            await rig.assign("web.service", SLEEP, requirements=asks)
            await rig.state("web.service", lambda s: health(asks, s) is Health.HEALTHY)
            await rig.systemd.stop("web.service")
            stopped = await rig.state("web.service", lambda s: s.active == "inactive")
            assert stopped.health == ()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):  # five intervals, in which one may be under way
                    await pulse.beats(2)

    tell(tmp_path, story)


def test_an_unhealthy_unit_is_killed_and_its_failure_policy_starts_it_again(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        pulse = Pulse()
        pulse.line = "500 Broken"
        async with server(pulse) as where, rig.agent():
            held = checks(where).health
            asks = Requirements(
                health=held, on_unhealthy=OnUnhealthy.RESTART, reschedule=True, backoff_s=0.01
            )
            await rig.assign("web.service", SLEEP, requirements=asks)
            await rig.state("web.service", lambda s: s.failures == 1 and s.active == "active")
            assert ("kill", "web.service") in rig.systemd.calls

    tell(tmp_path, story)


def test_a_unit_becomes_ready_once_in_each_run(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        pulse = Pulse()
        pulse.line = "503 Warming up"
        async with server(pulse) as where, rig.agent():
            ready = Readiness(port=where.port, interval=0.1, loopback=True)
            asks = Requirements(readiness=ready)
            await rig.assign("web.service", SLEEP, requirements=asks)
            first = await rig.active("web.service")
            assert not first.ready
            pulse.line = "200 OK"
            await rig.state("web.service", lambda s: s.ready)
            pulse.line = "503 Warming up"
            await rig.assign("web.service", SLEEP, launch=2, generation=2, requirements=asks)
            again = await rig.state("web.service", lambda s: s.launch == 2 and s.active == "active")
            assert not again.ready

    tell(tmp_path, story)


def test_a_command_is_run_beside_the_unit_and_leaves_nothing(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        check = HealthCheck(
            kind=CheckKind.COMMAND, command="whatever", interval=0.1, delay=0.0, grace=0.0
        )
        asks = Requirements(health=(check,))
        name = check_unit_name("web.service", 0)
        units = rig.systemd.units
        async with rig.agent():
            await rig.assign("web.service", SLEEP, requirements=asks)
            await rig.systemd.until(lambda: name in units and units[name].alive)
            rig.systemd.exit(name, 0)
            await rig.state("web.service", lambda s: health(asks, s) is Health.HEALTHY)
            await rig.systemd.until(lambda: name in units and units[name].alive)
            rig.systemd.exit(name, 7)
            bad = await rig.state("web.service", lambda s: s.health[0].alive is False)
            assert bad.health[0].cause == "the command exited with 7"
            await rig.systemd.until(lambda: name in units and units[name].alive)
            await rig.systemd.stop("web.service")
            await rig.systemd.until(lambda: ("stop", name) in rig.systemd.calls)

    tell(tmp_path, story)


def test_an_advisory_check_tells_the_status_of_any_answer() -> None:
    check = HealthCheck(advisory=True)
    assert asked(says(status("200 OK")), check) == Answer(True, "", 200)
    assert asked(says(status("404 Not Found")), check) == Answer(False, "HTTP status 404", 404)
