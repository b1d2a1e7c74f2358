"""All that a unit fetches, one after the other, into its sandbox.

    download or copy ─▶ sum ─▶ unpack, beside ─▶ rename into place

What was not finished is left in ``.fetching-…`` and removed by the next run. The first file that
cannot be had ends it.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from fleetish.errors import FetchFailed
from fleetish.fetch import place
from fleetish.fetch.cache import Cache
from fleetish.fetch.download import Policy, get
from fleetish.fetch.unpack import Budget, unpack
from fleetish.units.fetch import Fetch, shown

_UNFINISHED = ".fetching-"


def fetch_all(
    items: Iterable[Fetch],
    sandbox: Path,
    policy: Policy,
    cache: Cache | None,
    say: Callable[[str], None],
) -> None:
    """Fetch every item; what was done is said, a line each. Raises FetchFailed naming the URI."""
    for stale in sandbox.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(stale, ignore_errors=True)
    for item in items:
        try:
            say(f"{_fetch(item, sandbox, policy, cache)} {shown(item.uri)}")
        except FetchFailed as error:
            why = f"cannot fetch {shown(item.uri)}: {error.message}"
            raise FetchFailed(why, hint=error.hint) from None
        except OSError as error:
            why = f"cannot fetch {shown(item.uri)}: {error.strerror or error}"
            raise FetchFailed(why) from None


def _fetch(item: Fetch, sandbox: Path, policy: Policy, cache: Cache | None) -> str:
    """Fetch one item; the word for what became of it."""
    with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=sandbox) as name:
        beside = Path(name)
        file = beside / "file"
        _get(item, file, policy, cache)
        if item.sha256:
            _check_sum(item, file)
        if item.archive:
            content = beside / "content"
            content.mkdir()
            unpack(item.archive, file, _archive_name(item), content, Budget(policy.size))
            place.merge(content, place.make(sandbox, item.directory))
            return "unpacked"
        file.chmod(0o755 if item.executable else 0o644)
        place.put(file, sandbox, item.parts)
    return "fetched"


def _archive_name(item: Fetch) -> str:
    """What a compressed file is called, its ending included."""
    name = item.parts[-1]
    return name if name.lower().endswith(".gz") else f"{name}.gz"


def _get(item: Fetch, file: Path, policy: Policy, cache: Cache | None) -> None:
    with file.open("wb") as writer:
        if item.cache and cache is not None:
            cache.fill(item.uri, writer, partial(get, item.uri, policy))
        else:
            get(item.uri, policy, writer)


def _check_sum(item: Fetch, file: Path) -> None:
    with file.open("rb") as reader:
        found = hashlib.file_digest(reader, "sha256").hexdigest()
    if found != item.sha256:
        raise FetchFailed(f"its SHA-256 is {found}, not {item.sha256}")
