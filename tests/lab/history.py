"""etcd's own history of a lab: every write, in order, and who led when it was made.

etcdctl runs on the lab's bridge, so that it sees what is true whatever is done to the hosts.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from fleetish.lab.cluster import Lab

PREFIX = "/fleetish/v1/"
_END = "/end-of-history"


class Write(NamedTuple):
    """One key written (or, without a value, deleted) at a revision."""

    revision: int
    key: str
    create: int
    value: dict[str, Any] | None


class Tenure(NamedTuple):
    """A time of leading: from the revision of the election up to that of its end."""

    host: str
    begin: int
    end: float

    def holds(self, revision: int) -> bool:
        """True when a revision lies in it."""
        return self.begin < revision < self.end


def etcdctl(lab: Lab, *argv: str) -> list[str]:
    """The command line of an etcdctl that reaches the lab's members."""
    ends = ",".join(lab.etcd_endpoints)
    command = ["env", "ETCDCTL_API=3", "etcdctl", f"--endpoints={ends}", "--command-timeout=10s"]
    return ["nsenter", f"--net={lab.places.net()}", *command, *argv]


def etcd(lab: Lab, *argv: str) -> str:
    """What an etcdctl command prints."""
    command = etcdctl(lab, *argv)
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def put(lab: Lab, key: str, value: str) -> None:
    """Write a key below the cluster's prefix, past fleetish; it stays on the lease it is on."""
    known = etcd(lab, "get", "--keys-only", PREFIX + key)
    same = ["--ignore-lease"] if known else []
    etcd(lab, "put", *same, "--", PREFIX + key, value)


def get(lab: Lab, key: str) -> str:
    """What a key below the cluster's prefix holds."""
    return etcd(lab, "get", "--print-value-only", PREFIX + key).removesuffix("\n")


def wishes(lab: Lab) -> dict[str, int]:
    """Key -> revision of its last write, of all that units consist of but their states."""
    found = json.loads(etcd(lab, "get", "--prefix", "--keys-only", "-w", "json", PREFIX))
    rows = {_text(row["key"]): int(row["mod_revision"]) for row in found.get("kvs", [])}
    kinds = ("units/", "content/", "placement/", "assigned/")
    return {key: mod for key, mod in rows.items() if key.removeprefix(PREFIX).startswith(kinds)}


def revision(lab: Lab) -> int:
    """The revision of the store now."""
    return int(json.loads(etcd(lab, "get", "-w", "json", _END))["header"]["revision"])


def history(lab: Lab, since: int = 1) -> list[Write]:
    """Every write below the cluster's prefix from a revision on, until now."""
    last = int(json.loads(etcd(lab, "put", _END, "", "-w", "json"))["header"]["revision"])
    command = etcdctl(lab, "watch", "--prefix", "/", f"--rev={since}", "-w", "json")
    found: list[Write] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        for line in watch.stdout:
            found += [_write(event) for event in json.loads(line)["Events"]]
            if found and found[-1].revision >= last:
                break
        watch.kill()
    return [write for write in found if write.key]


def _write(event: dict[str, Any]) -> Write:
    kv = event["kv"]
    key = _text(kv["key"])
    ours = key.removeprefix(PREFIX) if key.startswith(PREFIX) else ""
    gone = event.get("type") == 1
    value = None if gone or not ours else _record(kv.get("value", ""))
    return Write(int(kv["mod_revision"]), ours, int(kv.get("create_revision", 0)), value)


def _record(value: str) -> dict[str, Any]:
    try:
        found = json.loads(base64.b64decode(value))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()


def tenures(writes: Iterable[Write]) -> list[Tenure]:
    """Who led when, in order."""
    found: list[Tenure] = []
    for write in writes:
        if write.key != "leader":
            continue
        if found and found[-1].end == float("inf"):
            found[-1] = found[-1]._replace(end=write.revision)
        if write.value is not None:
            found.append(Tenure(str(write.value.get("host", "")), write.revision, float("inf")))
    return found


def decisions(writes: Iterable[Write]) -> list[Write]:
    """The writes that only a leader may make."""
    return [write for write in writes if write.key.startswith(("placement/", "assigned/"))]


def unled(writes: Sequence[Write]) -> list[Write]:
    """The decisions that were written while nobody led: there must be none."""
    known = tenures(writes)
    return [
        write
        for write in decisions(writes)
        if not any(tenure.holds(write.revision) for tenure in known)
    ]
