"""`make corpus`: the whole list through a lab host; prints what came out and writes the page."""

from __future__ import annotations

import os
import sys

from fleetish.errors import FleetishError
from fleetish.lab.cluster import Lab
from tests.corpus.fetch import CannotFetch
from tests.corpus.packages import listed
from tests.corpus.page import page
from tests.corpus.run import ROOT, Found, compare, files_of, versions

PAGE = ROOT / "docs" / "reference" / "corpus.md"
#: Directives that must translate, as a share.
SHARE = 0.995


def say(line: str) -> None:
    """Progress, on stderr."""
    print(line, file=sys.stderr, flush=True)


def faults(found: Found) -> list[str]:
    """What is not as it must be, a line each."""
    verdicts = {f"{one.package}/{one.name}" for one in found.sums.verdicts if one.refused}
    return [
        *(
            f"{key}: {name}: {native!r} in the file, {other!r} when started"
            for part in (found.different, found.placed_different)
            for key, pairs in part.items()
            for name, (native, other) in pairs.items()
        ),
        *(f"{key}: started, though systemd says: {said}" for key, said in found.complaints.items()),
        *(
            f"{key}: verify and host do not agree: {found.refused.get(key, 'started')}"
            for key in sorted(verdicts ^ found.refused.keys())
        ),
        *([f"only {found.sums.share:.2%} translate"] if found.sums.share < SHARE else []),
    ]


def main() -> int:
    """Compare everything; 1 when something is not as it must be."""
    try:
        files = files_of(listed(), say)
        say(f"comparing {len(files)} unit files on a host of the lab")
        with Lab(f"tc{os.getpid()}", machines=1, bare=True, report=say) as host:
            found = compare(host, files)
            text = page(found, *versions(host))
    except (CannotFetch, FleetishError) as error:
        say(str(error))
        return 1
    PAGE.write_text(text)
    wrong = faults(found)
    print("\n".join(wrong or [f"{PAGE.relative_to(ROOT)}: {found.sums.share:.2%}"]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
