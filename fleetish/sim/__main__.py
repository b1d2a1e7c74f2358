"""``python -m fleetish.sim [SEED | FIRST-LAST]``: one seed with its trace, or many, briefly."""

from __future__ import annotations

import logging
import sys

from fleetish.sim.cluster import simulate


def main(argument: str) -> int:
    """Run the seeds; 1 when one of them breaks an invariant."""
    logging.disable(logging.CRITICAL)
    first, dash, last = argument.partition("-")
    if not dash:
        outcome = simulate(int(first))
        print("\n".join(outcome.trace))
        print(outcome.problem or "all invariants held")
        return bool(outcome.problem)
    bad = 0
    for seed in range(int(first), int(last) + 1):
        outcome = simulate(seed)
        if outcome.problem:
            bad += 1
            print(f"seed {seed}: {outcome.problem}")
    print(f"{bad} of {int(last) - int(first) + 1} seeds broke an invariant")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "1-100"))
