"""How long an app's tasks wait before they are launched again; pure. Times are epoch seconds.

1. A task that fails, is refused, or just ends makes the delay longer: ``backoffSeconds`` at first,
   then times ``backoffFactor``, up to ``maxLaunchDelaySeconds``. A task that is killed does not.
2. Each launch begins the delay anew.
3. It belongs to a definition: another one begins without. It is forgotten when nothing has
   happened for ``maxLaunchDelaySeconds``.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from marathon_compat.apps.app import App
from marathon_compat.apps.records import Delay, Failure


class Wait(NamedTuple):
    """The current delay in seconds (0: none), and when it is over (seconds since the epoch)."""

    seconds: float
    until: float


NO_WAIT = Wait(0.0, 0.0)


def effective(delay: Delay | None, app: App, config: str, now: float) -> Wait:
    """The delay that holds for a definition now; ``config`` is when it last changed."""
    if delay is None or delay.config != config or delay.seconds <= 0:
        return NO_WAIT
    base = delay.until - delay.seconds
    if now > base + app.max_launch_delay_seconds and now >= delay.until:
        return NO_WAIT
    return Wait(delay.seconds, delay.until)


def longer(delay: Delay | None, app: App, config: str, now: float) -> Delay:
    """The delay after one more task has ended by itself."""
    before = effective(delay, app, config, now).seconds
    seconds = before * app.backoff_factor if before else float(app.backoff_seconds)
    seconds = min(seconds, float(app.max_launch_delay_seconds))
    held = delay or Delay(app=app.id)
    return msgspec.structs.replace(held, config=config, seconds=seconds, until=now + seconds)


def launched(delay: Delay | None, app: App, config: str, now: float) -> Delay | None:
    """The delay after a launch."""
    wait = effective(delay, app, config, now)
    if delay is None or not wait.seconds:
        return delay
    return msgspec.structs.replace(delay, until=now + wait.seconds)


def failed(delay: Delay | None, app: str, failure: Failure) -> Delay:
    """The same delay with the last failure noted."""
    return msgspec.structs.replace(delay or Delay(app=app), failure=failure)


def of_run(app: App, failures: int) -> float:
    """Seconds that an instance of a former definition waits after so many failures in a row."""
    steps = min(max(failures - 1, 0), 200)
    seconds = float(app.backoff_seconds) * app.backoff_factor**steps
    return min(seconds, float(app.max_launch_delay_seconds))
