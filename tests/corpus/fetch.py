"""The unit files of Debian packages: downloaded by apt, which verifies them, and cached.

    names ──apt-get download --print-uris──► archives ──missing──apt-get download──► .deb
                                                 │                                   │
                                                 ▼                                   ▼ dpkg-deb
                                     CACHE/<archive>-<hash>.json ◄── the unit files in it

Only the unit files are kept: about a megabyte for the whole list. A package of another version is
another archive, so the cache is never stale. Nothing is installed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

#: Packages that one apt-get fetches, and how many of them run at once: Debian's mirrors are shared.
CHUNK = 20
AT_ONCE = 2

#: Where packages have the units of the system manager (systemd.unit(5)); symbolic links and
#: drop-ins are no files of their own.
UNIT = re.compile(
    r"\./(?:usr/)?lib/systemd/system/"
    r"([^/]+\.(?:service|socket|timer|path|mount|automount|slice|scope|target|swap))"
)
_URI = re.compile(r"'[^']+' (\S+)_(\S+)_(\S+)\.deb \d+ \w+:([0-9a-f]+)")


class CannotFetch(Exception):
    """apt is not there, or could not give what was asked of it; the text says which."""


class Archive(NamedTuple):
    """A package as apt would download it now; ``digest`` in hexadecimal."""

    package: str
    version: str
    digest: str

    @property
    def key(self) -> str:
        """Its name in the cache."""
        return f"{self.package}_{self.version}-{self.digest[:16]}.json"


Report = Callable[[str], None]


def default_cache() -> Path:
    """``$XDG_CACHE_HOME/fleetish/corpus``, by default below ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fleetish" / "corpus"


def fetch(names: Sequence[str], cache: Path, report: Report) -> dict[str, dict[str, str]]:
    """Package to its unit files, name to text. ``report`` gets a line for each step.

    Raises CannotFetch when apt cannot get them all.
    """
    cache.mkdir(parents=True, exist_ok=True)
    archives = locate(names)
    missing = [one for one in archives if not (cache / one.key).exists()]
    parts = [missing[at : at + CHUNK] for at in range(0, len(missing), CHUNK)]
    done = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for part in pool.map(lambda part: _download(part, cache), parts):
            done += len(part)
            report(f"fetched {done} of {len(missing)} packages")
    _forget_older(archives, cache)
    return {one.package: json.loads((cache / one.key).read_text()) for one in archives}


def locate(names: Sequence[str]) -> tuple[Archive, ...]:
    """The archives that apt would download for these packages; asks for fresh lists once."""
    try:
        return _locate(names)
    except CannotFetch:
        _apt("update", "-qq")
        return _locate(names)


def _locate(names: Sequence[str]) -> tuple[Archive, ...]:
    lines = _apt("download", "--print-uris", *names).splitlines()
    rows = [found.groups() for line in lines if (found := _URI.match(line))]
    archives = tuple(Archive(package, version, digest) for package, version, _, digest in rows)
    absent = set(names) - {one.package for one in archives}
    if absent:
        raise CannotFetch(f"cannot find {', '.join(sorted(absent))} in apt's lists")
    return archives


def _apt(*argv: str, folder: Path | None = None) -> str:
    """What apt-get writes. Raises CannotFetch with its complaint."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise CannotFetch("cannot fetch packages: there is no apt-get here (Debian 12 has it)")
    options = ["-q", "-o", "Acquire::Retries=2"]
    if os.geteuid() == 0:  # the cache is root's: apt's own user could not write there
        options += ["-o", "APT::Sandbox::User=root"]
    done = subprocess.run(
        ["apt-get", *options, *argv], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        why = " ".join(line for line in done.stderr.splitlines() if line.startswith("E:"))
        raise CannotFetch(f"cannot fetch packages: apt-get {argv[0]}: {why or done.stderr[-500:]}")
    return done.stdout


def _download(archives: Sequence[Archive], cache: Path) -> Sequence[Archive]:
    """Fetch some archives and keep the unit files of each."""
    with tempfile.TemporaryDirectory(dir=cache) as name:
        folder = Path(name)
        _apt("download", *(f"{one.package}={_version(one)}" for one in archives), folder=folder)
        for one in archives:
            (found,) = folder.glob(f"{one.package}_{one.version}_*.deb")
            _write(cache / one.key, dict(unit_files(found)))
    return archives


def _version(archive: Archive) -> str:
    """The version as apt takes it; in file names its colon is written ``%3a``."""
    return archive.version.replace("%3a", ":")


def _write(path: Path, files: Mapping[str, str]) -> None:
    """Whole or not at all: an interrupted run leaves no half file."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(files))
    fresh.replace(path)


def unit_files(archive: Path) -> Iterator[tuple[str, str]]:
    """Name and text of each unit file in a .deb. Raises CannotFetch when it is none."""
    argv = ["dpkg-deb", "--fsys-tarfile", str(archive)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as files:
                yield from _unit_files(files)
        except tarfile.TarError as error:
            raise CannotFetch(f"cannot read {archive.name}: {error}") from None
        assert process.stdout is not None
        process.stdout.read()  # the padding at the archive's end
    if process.returncode:
        raise CannotFetch(f"cannot read {archive.name}: dpkg-deb ended with {process.returncode}")


def _unit_files(files: tarfile.TarFile) -> Iterator[tuple[str, str]]:
    for member in files:
        found = UNIT.fullmatch(member.name)
        content = files.extractfile(member) if found and member.isfile() else None
        if found and content:
            yield found[1], content.read().decode()


def _forget_older(archives: Sequence[Archive], cache: Path) -> None:
    """Drop what is kept of other versions of these packages."""
    current = {one.key for one in archives}
    for one in archives:
        for path in cache.glob(f"{one.package}_*.json"):
            if path.name not in current:
                path.unlink()
