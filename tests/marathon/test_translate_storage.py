"""Volumes and secrets of apps, as unit files."""

from __future__ import annotations

import pytest

from fleetish.errors import BadUnit
from marathon_compat.apps.app import (
    App,
    Container,
    Docker,
    PersistentVolume,
    PullConfig,
    SecretRef,
    SecretSource,
    Volume,
)
from tests.marathon.translated import UUID, started

UNIT = f"marathon_db@{UUID}.service"
BOX = f"/var/lib/fleetish/sandbox/{UNIT}"
KEPT = f"/var/lib/fleetish/volumes/{UNIT}"
RECURSIVE = 16384


def with_volumes(*volumes: Volume, image: str = "") -> App:
    docker = Docker(image=image) if image else None
    kind = "DOCKER" if image else "MESOS"
    container = Container(type=kind, docker=docker, volumes=volumes)  # type: ignore[arg-type]
    secrets = {"pw": SecretSource(source="/run/pw")}
    return App(id="/db", cmd="sleep 1", container=container, secrets=secrets)


VOLUMES = (
    Volume(container_path="/data", host_path="/srv/x y:%$", mode="RW"),
    Volume(container_path="conf", host_path="etc", mode="RO"),
    Volume(container_path="pg", persistent=PersistentVolume(size=10), mode="RW"),
    Volume(container_path="/run/key", secret="pw"),
)


def test_volumes_of_a_process_are_bound_and_its_own_ones_kept() -> None:
    found = started(with_volumes(*VOLUMES)).properties
    own = f"fleetish/sandbox/{UNIT}"
    assert found["BindPaths"] == [
        ["/srv/x y:%$", "/data", False, RECURSIVE],
        [f"{KEPT}/pg", f"{BOX}/pg", False, RECURSIVE],
    ]
    assert found["BindReadOnlyPaths"] == [
        [f"{BOX}/etc", f"{BOX}/conf", False, RECURSIVE],
        [f"/run/credentials/{UNIT}/pw", "/run/key", False, RECURSIVE],
    ]
    assert found["StateDirectory"] == [f"{own}/etc", f"fleetish/volumes/{UNIT}/pg", own]
    assert found["LoadCredential"] == [["pw", "/run/pw"]]


def test_volumes_of_a_container_are_mounted_by_podman() -> None:
    volumes = (VOLUMES[0], *VOLUMES[1:])
    with pytest.raises(BadUnit, match="podman parts at the :"):
        started(with_volumes(*volumes, image="db"))
    found = started(with_volumes(*VOLUMES[1:], image="db"))
    assert [word for word in found.argv if word.startswith("--volume=")] == [
        f"--volume={BOX}:/mnt/mesos/sandbox",
        f"--volume={BOX}/etc:/mnt/mesos/sandbox/conf:ro",
        f"--volume={KEPT}/pg:/mnt/mesos/sandbox/pg",
        f"--volume=/run/credentials/{UNIT}/pw:/run/key:ro",
    ]
    assert f"fleetish/volumes/{UNIT}/pg" in found.properties["StateDirectory"]


@pytest.mark.parametrize("path", ["../x", "/a/../../etc"])
def test_a_path_that_leads_upwards_is_refused(path: str) -> None:
    with pytest.raises(BadUnit, match="leads upwards"):
        started(with_volumes(Volume(container_path=path, host_path="/srv", mode="RW")))


def with_secret(source: str, name: str = "pw", image: str = "") -> App:
    container = Container(docker=Docker(image=image)) if image else None
    return App(
        id="/db",
        cmd="run",
        env={"PASSWORD": SecretRef(secret=name)},
        secrets={name: SecretSource(source=source)},
        container=container,
    )


READ = 'PASSWORD=$(cat "$CREDENTIALS_DIRECTORY/pw") && export PASSWORD && exec "$@"'


def test_a_secret_is_read_into_the_environment_just_before_the_start() -> None:
    found = started(with_secret("/etc/pw"))
    assert found.argv == ["/bin/sh", "-c", READ, "sh", "/bin/sh", "-c", "run"]
    assert found.properties["LoadCredential"] == [["pw", "/etc/pw"]]
    assert "PASSWORD" not in found.environ


def test_a_container_gets_a_secret_by_name_so_it_is_in_no_list_of_processes() -> None:
    found = started(with_secret("x", image="db"))
    assert found.argv[:5] == ["/bin/sh", "-c", READ, "sh", "/usr/bin/podman"]
    assert "--env=PASSWORD" in found.argv


@pytest.mark.parametrize(
    ("source", "path"),
    [("pw", "pw"), ("db/pw", "/etc/credstore/db/pw"), ("/a%b/c d", "/a%b/c d")],
)
def test_where_a_secret_comes_from(source: str, path: str) -> None:
    assert started(with_secret(source)).properties["LoadCredential"] == [["pw", path]]


def test_a_secret_with_a_name_that_no_credential_can_have_goes_by_number() -> None:
    found = started(with_secret("/x", name="my/secret key"))
    assert found.properties["LoadCredential"] == [["secret.0", "/x"]]
    assert '"$CREDENTIALS_DIRECTORY/secret.0"' in found.argv[2]


def test_the_secret_for_pulling_an_image_is_podmans_authfile() -> None:
    docker = Docker(image="r.example/x", pull_config=PullConfig(secret="pull"))
    app = App(
        id="/db",
        container=Container(type="MESOS", docker=docker),
        secrets={"pull": SecretSource(source="registry.json")},
    )
    found = started(app)
    assert f"--authfile=/run/credentials/{UNIT}/pull" in found.argv
    assert found.properties["LoadCredential"] == [["pull", "registry.json"]]


@pytest.mark.parametrize("source", ["", "../x", "a\nb", "/a/../b"])
def test_a_source_that_is_no_file_is_refused(source: str) -> None:
    with pytest.raises(BadUnit, match="as the source of a secret"):
        started(with_secret(source))


def test_a_secret_that_is_not_defined_is_refused() -> None:
    app = App(id="/db", cmd="x", env={"A": SecretRef(secret="none")})
    with pytest.raises(BadUnit, match="the app defines none of that name"):
        started(app)
