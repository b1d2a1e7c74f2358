"""What the machines must show: they join, limits bite on cgroup v2, a power cut moves a unit."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fleetish.client import Client
from fleetish.errors import Unavailable
from fleetish.wire import MachineView, StateView
from vagrant import hypervisor
from vagrant.steps import StepFailed, await_true, follow, run, say, step

BOX = "fleetish/emulated"
FORWARDED = "http://127.0.0.1:7100"
LIMIT_BYTES = 50 << 20
KEEPER = f"""\
[Unit]
Description=Keeps running within its limits

[Service]
ExecStart=/bin/sleep infinity
MemoryMax={LIMIT_BYTES}
CPUQuota=20%
"""
HOG = f"""\
[Unit]
Description=Wants four times the memory that it may have

[Service]
ExecStart=/usr/bin/python3 -c "len(b'x' * {4 * LIMIT_BYTES})"
MemoryMax={LIMIT_BYTES}
MemorySwapMax=0
"""
# Emulated machines are ten to twenty times slower than real ones.
REGISTER_S = 240.0
START_S = 120.0
MOVE_S = 180.0


@dataclass(frozen=True, slots=True)
class Site:
    """Where the test happens: the checkout, a directory for files, the environment of Vagrant."""

    checkout: Path
    folder: Path
    environ: Mapping[str, str]

    def vagrant(self, *args: str) -> None:
        """Run Vagrant in its directory of the checkout; its output goes through."""
        argv = ["vagrant", *args, *([] if args[0] == "box" else ["--no-tty"])]
        follow(argv, environ=self.environ, folder=self.checkout / "vagrant")

    def fleetish(self, *args: str, endpoint: str = FORWARDED) -> str:
        """Run the checkout's command against the cluster and return its output."""
        argv = [sys.executable, "-m", "fleetish.cli.main", *args]
        return run(argv, environ={**self.environ, "FLEETISH_ENDPOINT": endpoint})

    def inside(self, address: str, command: str) -> str:
        """Run a shell command as root on the machine at an address and return its output."""
        key = Path(self.environ["VAGRANT_HOME"]) / "insecure_private_key"
        unasked = "-oBatchMode=yes -oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null"
        login = [*unasked.split(), "-oLogLevel=ERROR", "-i", str(key), f"vagrant@{address}"]
        return run(["ssh", *login, f"sudo sh -c '{command}'"], timeout=120).strip()


def address(number: int) -> str:
    """Where the Vagrantfile puts a node."""
    return f"192.168.56.{10 + number}"


def tell(site: Site, nodes: int) -> None:
    """Print what the machines have to say after a failure."""
    for number in range(1, nodes + 1):
        print(f"--- node{number}", flush=True)
        try:
            print(site.inside(address(number), "systemctl --failed --no-legend"))
            print(site.inside(address(number), "journalctl -n 30 -u fleetish -u etcd"))
        except StepFailed as error:
            print(error)


def play(site: Site, nodes: int) -> None:
    """All of it, one after the other. Raises StepFailed or WaitTimeout."""
    with step(f"{nodes} machines are registered"):
        machines = registered(nodes)
        print(site.fleetish("list-machines", "--fields", "machine,ip,metadata,host,state"))
    with step("a unit runs within its limits on cgroup v2"):
        keeper = started(site, "keeper.service", KEEPER, machines)
        check_limits(site, keeper)
    with step("memory.max kills"):
        check_kill(site, machines)
    with step(f"the power cut of {keeper.host} moves keeper.service"):
        cut_power(keeper, machines)


def registered(nodes: int) -> dict[str, MachineView]:
    """Wait until all machines are there with their own metadata; by id."""

    def look() -> dict[str, MachineView] | None:
        found = _machines(FORWARDED)
        return found if len(found) == nodes else None

    found = await_true(f"{nodes} machines to register", look, REGISTER_S)
    seen = {machine.host: (machine.ip, machine.metadata) for machine in found.values()}
    names = [(f"node{i}", address(i), f"r{i}") for i in range(1, nodes + 1)]
    wanted = {name: (ip, {"host": name, "rack": rack}) for name, ip, rack in names}
    if seen != wanted:
        raise StepFailed(f"cannot go on: the machines are {seen}, not {wanted}")
    return found


def started(site: Site, name: str, text: str, machines: Mapping[str, MachineView]) -> MachineView:
    """Start a unit from a file, and return the machine where it became active."""
    file = site.folder / name
    file.write_text(text)
    print(site.fleetish("start", f"--timeout={START_S:.0f}", str(file)), end="")
    (state,) = [state for state in _states(FORWARDED, name) if state.active == "active"]
    say(f"{name} is {state.sub} on {machines[state.machine].host}")
    return machines[state.machine]


def check_limits(site: Site, machine: MachineView) -> None:
    """The kernel has the unit's limits, in the unified hierarchy."""
    group = site.inside(machine.ip, "systemctl show -P ControlGroup keeper.service")
    files = " ".join(f"/sys/fs/cgroup{group}/{name}" for name in ("memory.max", "cpu.max"))
    seen = site.inside(machine.ip, f"stat -fc %T /sys/fs/cgroup; cat {files}").splitlines()
    say(f"{group}: {', '.join(seen)}")
    wanted = ["cgroup2fs", str(LIMIT_BYTES), "20000 100000"]
    if not group.startswith("/fleetish.slice/") or seen != wanted:
        raise StepFailed(f"cannot go on: below {group} there is {seen}, not {wanted}")


def check_kill(site: Site, machines: Mapping[str, MachineView]) -> None:
    """A unit that allocates beyond its limit is killed by the kernel, and the cluster says so."""
    (site.folder / "hog.service").write_text(HOG)
    site.fleetish("start", "--no-block", str(site.folder / "hog.service"))

    def look() -> StateView | None:
        failed = [state for state in _states(FORWARDED, "hog.service") if state.result]
        return next((state for state in failed if state.active == "failed"), None)

    state = await_true("hog.service to fail", look, START_S)
    machine = machines[state.machine]
    events = site.inside(machine.ip, "cat /sys/fs/cgroup/fleetish.slice/memory.events").split()
    kills = int(dict(zip(events[::2], events[1::2], strict=True))["oom_kill"])
    say(f"hog.service on {machine.host}: {state.result}; oom_kill {kills} in fleetish.slice")
    if state.result != "oom-kill" or kills < 1:
        raise StepFailed("cannot go on: hog.service was not killed for its memory")


def cut_power(lost: MachineView, machines: Mapping[str, MachineView]) -> None:
    """Pull a machine's plug, and wait until keeper.service is active on another one."""
    domains = hypervisor.domains()
    hypervisor.power_cut(next(name for name in domains if name.endswith(f"_{lost.host}")))
    left = [machine for machine in machines.values() if machine.id != lost.id]
    endpoint = ",".join(f"http://{machine.ip}:7100" for machine in left)

    def look() -> StateView | None:
        states = _states(endpoint, "keeper.service")
        elsewhere = [state for state in states if state.machine != lost.id]
        return next((state for state in elsewhere if state.active == "active"), None)

    state = await_true("keeper.service to run elsewhere", look, MOVE_S)
    say(f"keeper.service is {state.sub} on {machines[state.machine].host}")
    if _machines(endpoint).keys() != {machine.id for machine in left}:
        raise StepFailed(f"cannot pass: {lost.host} is still listed")


def _machines(endpoint: str) -> dict[str, MachineView]:
    """The registered machines; none while nobody answers."""
    try:
        with Client(endpoint, answer=10) as fleet:
            return {machine.id: machine for machine in fleet.machines()}
    except Unavailable:
        return {}


def _states(endpoint: str, unit: str) -> tuple[StateView, ...]:
    """What systemd says of a unit, everywhere; nothing while nobody answers."""
    try:
        with Client(endpoint, answer=10) as fleet:
            return fleet.states(unit=unit)
    except Unavailable:
        return ()
