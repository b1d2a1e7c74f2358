"""A unit's own directory: what systemd is told of it, and when it goes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from fleetish.agent.compose import Composed, Composer
from fleetish.agent.sandboxes import Sandboxes
from fleetish.model import Assignment, Target
from fleetish.units.file import parse
from fleetish.units.specifiers import Context
from fleetish.units.xfleet import requirements

NAME = "web@1.service"
HERE = f"/var/lib/fleetish/sandbox/{NAME}"


def compose(text: str, name: str = NAME) -> Composed:
    asked = requirements(parse(text), name)
    wish = Assignment(unit=name, machine="m1", hash="h", target=Target.LAUNCHED, requirements=asked)
    return Composer(Context(), "c", 10.0, ("/bin/fleetish", "fetch")).compose(wish, text)


def found(composed: Composed, *names: str) -> list[tuple[str, object]]:
    return [(one.name, one.value) for one in composed.unit.properties if one.name in names]


def lines(composed: Composed, *keys: str) -> list[str]:
    return [line for line in composed.text.splitlines() if line.partition("=")[0] in keys]


def test_a_sandbox_is_a_state_directory_that_the_unit_works_in() -> None:
    names = ("StateDirectory", "WorkingDirectory", "Environment", "ExecStartPre")
    composed = compose("[Service]\nExecStart=/bin/true\n[X-Fleet]\nSandbox=yes\n")
    assert found(composed, *names) == [
        ("StateDirectory", [f"fleetish/sandbox/{NAME}"]),
        ("WorkingDirectory", HERE),
        ("Environment", ["FLEETISH_MACHINE=m1", f"FLEETISH_SANDBOX={HERE}"]),
    ]
    assert lines(composed, *names) == [
        f'StateDirectory="fleetish/sandbox/{NAME}"',
        f"WorkingDirectory={HERE}",
        'Environment="FLEETISH_MACHINE=m1"',
        f'Environment="FLEETISH_SANDBOX={HERE}"',
    ]


def test_without_one_nothing_is_added() -> None:
    composed = compose("[Service]\nExecStart=/bin/true\n[X-Fleet]\nSandbox=no\n")
    assert found(composed, "StateDirectory", "WorkingDirectory", "ExecStartPre") == []


def test_what_the_file_says_of_its_directories_stays() -> None:
    text = "[Service]\nExecStart=/bin/true\nWorkingDirectory=/srv\nStateDirectory=a b\n"
    composed = compose(f"{text}[X-Fleet]\nSandbox=yes\n")
    assert found(composed, "WorkingDirectory") == [("WorkingDirectory", "/srv")]
    assert found(composed, "StateDirectory")[0] == ("StateDirectory", ["a", "b"])
    environment = str(found(composed, "Environment"))
    assert "STATE_DIRECTORY=/var/lib/a:/var/lib/b'" in environment


def test_names_that_systemd_would_read_as_something_else_are_escaped() -> None:
    composed = compose(
        "[Service]\nExecStart=/bin/true\n[X-Fleet]\nSandbox=yes\n", r"a\x2d:b.service"
    )
    (line,) = lines(composed, "StateDirectory")
    assert line == r'StateDirectory="fleetish/sandbox/a\\x2d\:b.service"'


def test_fetching_comes_first_and_dollars_stay_dollars() -> None:
    text = (
        "[Service]\nExecStartPre=/bin/dropped\nExecStartPre=\nExecStartPre=/bin/own\n"
        "ExecStart=/bin/true\nTimeoutStartSec=30\n[X-Fleet]\nFetch=http://h/$a%20b?c=%i extract\n"
    )
    composed = compose(text)
    ((_, first), (_, own)) = found(composed, "ExecStartPre")
    arguments = [
        "/bin/fleetish",
        "fetch",
        f"--into={HERE}",
        "--report=.fetch-failed",
        "--cache=/var/cache/fleetish/fetch",
        "--seconds=28",
        "--",
        "http://h/$$a%20b?c=1 extract",
    ]
    assert first == [["/bin/fleetish", arguments, False]]
    assert own == [["/bin/own", ["/bin/own"], False]]
    words = " ".join(f'"{word}"'.replace("%", "%%") for word in arguments)
    assert lines(composed, "ExecStartPre") == [
        "ExecStartPre=/bin/dropped",
        "ExecStartPre=",
        f"ExecStartPre={words}",
        "ExecStartPre=/bin/own",
    ]


def seconds(service: str) -> str:
    text = f"[Service]\nExecStart=/bin/true\n{service}\n[X-Fleet]\nFetch=http://h/a\n"
    ((_, commands),) = found(compose(text), "ExecStartPre")
    assert isinstance(commands, list)
    return next(str(word) for word in commands[0][1] if word.startswith("--seconds"))


def test_fetching_gives_up_before_systemd_does() -> None:
    assert seconds("") == "--seconds=88"
    assert seconds("TimeoutStartSec=2") == "--seconds=1"
    assert seconds("TimeoutStartSec=infinity") == "--seconds=3600"
    assert seconds("Type=oneshot") == "--seconds=3600"


class Home:
    """The directories of a machine below another one than /."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.context = Context(state_dir=f"{top}/lib", cache_dir=f"{top}/cache")

    def sandboxes(self, cluster: str = "c") -> Sandboxes:
        return Sandboxes(self.context, cluster)

    def make(self, name: str, kind: str = "fleetish/sandbox") -> Path:
        """As systemd makes it."""
        found = self.top / "lib" / kind / name
        (found / "deep").mkdir(parents=True)
        (found / "deep" / "file").write_text("x")
        return found

    def left(self) -> list[str]:
        kinds = ("fleetish/sandbox", "fleetish/volumes", "private/fleetish/sandbox")
        held = (self.top / "lib" / kind for kind in kinds)
        return sorted(one.name for kind in held if kind.is_dir() for one in kind.iterdir())


def test_the_directories_of_a_unit_go_when_it_is_forgotten(tmp_path: Path) -> None:
    home = Home(tmp_path)
    sandboxes = home.sandboxes()
    for name in ("a.service", "b.service"):
        sandboxes.note(name)
        home.make(name)
        home.make(name, "fleetish/volumes")
    private = home.make("d.service", "private/fleetish/sandbox")
    sandboxes.note("d.service")
    (tmp_path / "lib/fleetish/sandbox/d.service").symlink_to(private)
    asyncio.run(sandboxes.drop("a.service"))
    asyncio.run(sandboxes.drop("d.service"))
    assert home.left() == ["b.service", "b.service"]


def test_nothing_is_removed_that_is_not_of_the_cluster(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make("other.service")
    home.sandboxes("other").note("other.service")
    mine = home.sandboxes()
    asyncio.run(mine.drop("other.service"))
    mine.set_aside(())
    asyncio.run(mine.clear())
    assert home.left() == ["other.service"]


def test_what_was_left_behind_goes_when_the_agent_begins(tmp_path: Path) -> None:
    home = Home(tmp_path)
    before = home.sandboxes()
    for name in ("kept.service", "gone.service"):
        before.note(name)
        home.make(name)
    after = home.sandboxes()
    after.set_aside({"kept.service"})
    home.make("gone.service")  # it comes back at once
    after.note("gone.service")
    asyncio.run(after.clear())
    assert home.left() == ["gone.service", "kept.service"]
    home.sandboxes().set_aside({"kept.service"})
    assert len(home.left()) == 2  # removed by whoever begins next
    asyncio.run(home.sandboxes().clear())
    assert home.left() == ["kept.service"]


def test_a_tree_that_is_deeper_than_a_path_may_be_is_removed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    sandboxes = home.sandboxes()
    sandboxes.note("a.service")
    top = os.open(home.make("a.service"), os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deeper", dir_fd=top)
        below = os.open("deeper", os.O_RDONLY, dir_fd=top)
        os.close(top)
        top = below
    os.close(top)
    asyncio.run(sandboxes.drop("a.service"))
    assert home.left() == []


def test_everybody_may_make_a_cache(tmp_path: Path) -> None:
    Home(tmp_path).sandboxes().note("a.service")
    assert (tmp_path / "cache/fleetish/fetch").stat().st_mode & 0o7777 == 0o1777


def test_why_fetching_failed_is_quoted_but_nothing_else_is_read(tmp_path: Path) -> None:
    home = Home(tmp_path)
    sandboxes, report = home.sandboxes(), home.make("a.service") / ".fetch-failed"
    assert sandboxes.why_failed("a.service") == sandboxes.why_failed("none.service") == ""
    report.write_text("Failed:\x1b[31m \u202ewhy\n" + "x" * 5000)
    told = sandboxes.why_failed("a.service")
    assert told.startswith("Failed: [31m  why x")
    assert len(told) < 2001
    report.unlink()
    report.symlink_to("/etc/passwd")
    assert sandboxes.why_failed("a.service") == ""
    report.unlink()
    os.mkfifo(report)
    assert sandboxes.why_failed("a.service") == ""
