"""A lab, as an object: bring it up, do things to its hosts, take it down.

    with Lab("t1", machines=3) as lab:
        lab.exec("node1", ["systemctl", "is-system-running"])
        lab.kill("node2")

Everything is found again from the lab's name, so another process may go on where one left off.
"""

from __future__ import annotations

import compileall
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from ipaddress import IPv4Network
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Self

import msgspec

from fleetish.errors import LabError
from fleetish.lab import forward, guest, image, network, prerequisites, removal
from fleetish.lab.boot import Booting, await_ready, begin
from fleetish.lab.cgroups import Groups, groups
from fleetish.lab.layout import (
    BASE,
    FACES,
    Fault,
    Host,
    Member,
    Places,
    Record,
    State,
    check_name,
    choose_subnet,
    environment,
    grow,
    plan_lab,
)
from fleetish.lab.member import etcd_command
from fleetish.lab.processes import run, start
from fleetish.lab.record import load, locked, save, taken_subnets
from fleetish.lab.registration import await_machines

FORWARD = "forward"
BOOT_S = 60.0
REGISTER_S = 60.0
_CUTS = (Fault.CUT_ETCD, Fault.CUT_ALL)


class Seen(NamedTuple):
    """A host or member and how it was found."""

    part: Host | Member
    state: State


class Lab:
    """A cluster of real systemd hosts on this machine; ``report`` gets one line for each step.

    A new lab has 3 ``machines`` and 1 ``etcd`` member, unless told otherwise; one that is up stays
    as it is, or gets more machines. ``settings`` are further settings for every host's
    fleetish.toml. The hosts of a ``bare`` lab run systemd and dbus, but no fleetish.
    """

    def __init__(
        self,
        name: str = "default",
        *,
        machines: int | None = None,
        etcd: int | None = None,
        settings: Mapping[str, object] | None = None,
        bare: bool = False,
        base: Path = BASE,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.name = check_name(name)
        self.places = Places(name, base)
        self._machines = machines
        self._etcd = etcd
        self._settings = dict(settings or {})
        self._bare = bare
        self._report = report

    def __enter__(self) -> Self:
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()

    # -- bringing up and down -------------------------------------------------------------------

    def up(self, *, wait: bool = True) -> Record:
        """Make what is missing, start what is dead, mend what is cut or frozen.

        Returns when all hosts have booted and, with ``wait``, when all machines are registered.
        Raises LabError, or WaitTimeout with what was last seen.
        """
        prerequisites.check()
        venv = image.environment()
        for package in ("fleetish", "marathon_compat"):
            compileall.compile_dir(image.checkout() / package, quiet=2)  # hosts see it read-only
        with locked(self.places.lock):
            record = self._prepare()
            network.make_bridge(self.places, IPv4Network(record.subnet))
            for part in record.parts:
                prefix = IPv4Network(record.subnet).prefixlen
                network.attach(self.places, part.name, part.address, prefix)
            image.write_names(self.places, record)
            record = self._mend(record)
            self._boot(record, record.parts, venv)
            record = self._forward(record)
        if wait and not record.bare:
            await_machines(self.endpoint, record.hosts, REGISTER_S, self._report)
        return record

    def down(self) -> None:
        """Take away all that the lab made, however far its `up` came; safe to repeat."""
        removal.remove(self.places, self._groups())

    # -- faults ---------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """Cut a host's or member's power: silence on the wire first, then every process dies."""
        with locked(self.places.lock):
            record = self.record
            record.part(name)
            self._change(record.with_fault(name, Fault.POWER).without_fault(name, Fault.FROZEN))
            self._groups().kill(name)

    def start(self, name: str) -> None:
        """Boot a host or member that is dead; its disk and identity are those it had."""
        with locked(self.places.lock):
            record = self.record
            part = record.part(name)
            record = self._change(record.without_fault(name, Fault.POWER))
            self._boot(record, (part,), image.environment())

    def freeze(self, name: str) -> None:
        """Stop every process of a host or member where it is, as if the machine hung."""
        with locked(self.places.lock):
            self._need_alive(name)
            self._change(self.record.with_fault(name, Fault.FROZEN))
            self._groups().freeze(name)

    def thaw(self, name: str) -> None:
        """Let a frozen host or member go on."""
        with locked(self.places.lock):
            self._need_alive(name)
            self._groups().thaw(name)
            self._change(self.record.without_fault(name, Fault.FROZEN))

    def partition(self, name: str, from_: Literal["etcd", "all"] = "all") -> None:
        """Drop every packet between a host or member and the etcd members, or all others."""
        with locked(self.places.lock):
            record = self.record
            record.part(name)
            self._change(record.without_fault(name, *_CUTS).with_fault(name, Fault(from_)))

    def heal(self, name: str) -> None:
        """Undo ``partition``."""
        with locked(self.places.lock):
            record = self.record
            record.part(name)
            self._change(record.without_fault(name, *_CUTS))

    # -- looking and doing ----------------------------------------------------------------------

    @property
    def record(self) -> Record:
        """The lab's record; NotFound when the lab is not up."""
        return load(self.places)

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The systemd hosts."""
        return self.record.hosts

    @property
    def endpoint(self) -> str:
        """The native API's URL on 127.0.0.1."""
        return f"http://127.0.0.1:{self.record.ports['api']}"

    @property
    def etcd_endpoints(self) -> tuple[str, ...]:
        """The members' URLs, as seen by the hosts."""
        return tuple(member.endpoint for member in self.record.etcd)

    def env(self) -> tuple[str, ...]:
        """The export lines for a shell."""
        return environment(self.record.ports)

    def status(self) -> tuple[Seen, ...]:
        """Every member and host, with its state as it is now."""
        record, found = self.record, self._groups()
        return tuple(Seen(p, self._state(record, found, p.name)) for p in record.parts)

    def command(self, host: str, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` inside a host."""
        self.record.host(host)
        return guest.command_inside(self.places.part(host), host, argv)

    def exec(
        self,
        host: str,
        argv: Sequence[str],
        *,
        stdin: str = "",
        check: bool = False,
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside a host to its end; output as text, ``timeout`` in seconds.

        With ``check``, a failure is a LabError that carries what the command wrote.
        """
        done = subprocess.run(
            self.command(host, argv),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
        if check and done.returncode:
            raise LabError(
                f"cannot run {' '.join(argv)} on {host}: exit status {done.returncode}:"
                f" {(done.stderr or done.stdout).strip()}"
            )
        return done

    # -- steps ----------------------------------------------------------------------------------

    def _groups(self) -> Groups:
        return groups(self.name)

    def _prepare(self) -> Record:
        """The record of what there is to be, written before anything else is made."""
        if self.places.root.is_mount() and self.places.record.exists():
            return save(self.places, self._extended(self.record))
        with locked(self.places.base / ".lock"):
            subnet = choose_subnet(self.name, taken_subnets(self.places.base))
            record = msgspec.structs.replace(
                plan_lab(self.name, subnet, self._machines or 3, self._etcd or 1),
                settings=self._settings,
                bare=self._bare,
            )
            self.places.root.mkdir(parents=True, exist_ok=True)
            if not self.places.root.is_mount():
                options = ["-t", "tmpfs", "-o", "mode=0755", f"fleetish-{self.name}"]
                run(["mount", *options, str(self.places.root)])
            self._report(f"lab {self.name}: network {subnet}")
            return save(self.places, record)

    def _extended(self, record: Record) -> Record:
        """The record of a lab that is up, with what is asked for now."""
        if (self._bare and not record.bare) or self._settings not in ({}, record.settings):
            raise LabError(
                f"cannot change the settings of lab {self.name} while it is up",
                hint=f"fleetish lab down --name {self.name}",
            )
        return grow(record, self._machines or len(record.hosts), self._etcd or len(record.etcd))

    def _mend(self, record: Record) -> Record:
        for name, faults in record.faults.items():
            if Fault.FROZEN in faults:
                self._groups().thaw(name)
        return self._change(msgspec.structs.replace(record, faults={}))

    def _change(self, record: Record) -> Record:
        """Write the record and make the network what it says."""
        save(self.places, record)
        network.cut(self.places, record)
        return record

    def _boot(self, record: Record, parts: Sequence[Host | Member], venv: Path) -> None:
        """Start those of the parts that do not run, all at once; returns when all are ready."""
        with ExitStack() as stack:
            boots: list[Booting] = []
            for part in parts:
                if guest.leader(self.places.part(part.name)) is not None:
                    continue
                self._groups().kill(part.name)  # what is left of one that died by itself
                argv = self._command_for(record, part, venv)
                entered = self._groups().make(part.name)
                folder = self.places.part(part.name)
                boots.append(stack.enter_context(begin(folder, argv, entered)))
            await_ready(boots, BOOT_S, self._report)

    def _command_for(self, record: Record, part: Host | Member, venv: Path) -> list[str]:
        self.places.part(part.name).mkdir(parents=True, exist_ok=True)
        if isinstance(part, Member):
            return etcd_command(self.places, record, part)
        image.mount_root(self.places, record, part, venv)
        guest.forget(self.places, part)
        return guest.boot_command(self.places, part, image.bound(venv))

    def _forward(self, record: Record) -> Record:
        """Start the forwarder unless it runs; the sockets are bound here and handed to it."""
        folder = self.places.part(FORWARD)
        if guest.leader(folder) is not None:
            return record
        folder.mkdir(exist_ok=True)
        with ExitStack() as stack:
            faces = {
                face: stack.enter_context(forward.listen(face, record.ports.get(face, default)))
                for face, default in FACES.items()
            }
            ports = {face: listening.getsockname()[1] for face, listening in faces.items()}
            record = save(self.places, msgspec.structs.replace(record, ports=ports))
            argv = [sys.executable, "-m", forward.__name__, str(self.places.record)]
            argv += [str(self.places.net()), *(f"{f}={s.fileno()}" for f, s in faces.items())]
            fds = [listening.fileno() for listening in faces.values()]
            process = start(argv, folder / "log", self._groups().make(FORWARD), pass_fds=fds)
        guest.remember_leader(folder, process)
        return record

    def _state(self, record: Record, found: Groups, name: str) -> State:
        if guest.leader(self.places.part(name)) is None:
            return State.DEAD
        if found.frozen(name):
            return State.FROZEN
        cut = any(record.having(name, fault) for fault in _CUTS)
        return State.PARTITIONED if cut else State.RUNNING

    def _need_alive(self, name: str) -> None:
        self.record.part(name)
        if guest.leader(self.places.part(name)) is None:
            raise LabError(
                f"cannot freeze or thaw {name}: it is dead",
                hint=f"fleetish lab start {name} --name {self.name}",
            )
