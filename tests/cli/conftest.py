"""The command line, as people call it, against a real API over a store in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from fleetish.cli.main import run
from tests.api.cluster import SERVICE, Cluster, machine, running


class Done(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with running() as one:
        one.register(machine())
        yield one


@pytest.fixture
def fleetish(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``fleetish …`` in an empty directory that holds web@.service."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "web@.service").write_text(SERVICE)
    return lambda *args: call(cluster.url, *args)


def call(url: str, *args: str) -> Done:
    """One command, with its exit code, standard output and standard error."""
    runner = CliRunner(env={"FLEETISH_ENDPOINT": url, "NO_COLOR": "1"})
    with runner.isolation() as (out, err, _):
        code = run(list(args))
        return Done(code, out.getvalue().decode(), err.getvalue().decode())


@pytest.fixture
def fleetctl(cluster: Cluster, tmp_path: Path) -> Run:
    """Runs ``fleetctl …`` as a process in an empty directory that holds web@.service."""
    from tests.cli import fleetctl as face

    (tmp_path / "web@.service").write_text(SERVICE)
    program, environ = face.link(tmp_path), face.environment(cluster.url)
    return lambda *args, **more: face.call(program, args, {**environ, **more})
