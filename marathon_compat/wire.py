"""What a client reads of Marathon's answers. Fields that are not named here are passed over, and
those that an older or newer Marathon leaves out have a default.

Times are Marathon's timestamps, memory and disk MiB.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of every part of an answer."""


class Started(Answer, frozen=True, kw_only=True, rename="camel"):
    """A change that was taken, and the deployment that makes it."""

    version: str = ""
    deployment_id: str


class Check(Answer, frozen=True, kw_only=True, rename="camel"):
    """What a health check has shown of a task."""

    alive: bool = False
    consecutive_failures: int = 0
    last_failure_cause: str = ""


class Task(Answer, frozen=True, kw_only=True, rename="camel"):
    """One run of an instance."""

    id: str
    app_id: str = ""
    host: str = ""
    state: str = ""
    ports: tuple[int, ...] = ()
    staged_at: str = ""
    started_at: str = ""
    version: str = ""
    health_check_results: tuple[Check, ...] = ()

    @property
    def health(self) -> str:
        """healthy, unhealthy, or "" while no check has told."""
        if not self.health_check_results:
            return ""
        return "healthy" if all(one.alive for one in self.health_check_results) else "unhealthy"


class Failure(Answer, frozen=True, kw_only=True, rename="camel"):
    """How the last task that failed did."""

    task_id: str = ""
    state: str = ""
    message: str = ""
    host: str = ""
    timestamp: str = ""


class Named(Answer, frozen=True, kw_only=True, rename="camel"):
    id: str


class Image(Answer, frozen=True, kw_only=True, rename="camel"):
    image: str = ""


class Box(Answer, frozen=True, kw_only=True, rename="camel"):
    type: str = "DOCKER"
    docker: Image | None = None


class VersionInfo(Answer, frozen=True, kw_only=True, rename="camel"):
    last_config_change_at: str = ""


class AppView(Answer, frozen=True, kw_only=True, rename="camel"):
    """An app with its counters; ``tasks`` and ``last_task_failure`` when it was asked for alone."""

    id: str
    cmd: str = ""
    args: tuple[str, ...] = ()
    container: Box | None = None
    instances: int = 1
    cpus: float = 0.0
    mem: float = 0.0
    disk: float = 0.0
    labels: dict[str, str] = {}
    health_checks: tuple[msgspec.Raw, ...] = ()
    version: str = ""
    version_info: VersionInfo = VersionInfo()
    tasks_staged: int = 0
    tasks_running: int = 0
    tasks_healthy: int = 0
    tasks_unhealthy: int = 0
    deployments: tuple[Named, ...] = ()
    tasks: tuple[Task, ...] = ()
    last_task_failure: Failure | None = None


class Action(Answer, frozen=True, kw_only=True, rename="camel"):
    """What a deployment does to an app or a pod."""

    action: str
    app: str = ""
    pod: str = ""


class DeploymentView(Answer, frozen=True, kw_only=True, rename="camel"):
    """A deployment under way; ``current_step`` counts from 1."""

    id: str
    version: str = ""
    affected_apps: tuple[str, ...] = ()
    current_actions: tuple[Action, ...] = ()
    current_step: int = 0
    total_steps: int = 0


class Wait(Answer, frozen=True, kw_only=True, rename="camel"):
    """How long an app's next launch waits. ``overdue``: for a machine that takes it."""

    time_left_seconds: int = 0
    overdue: bool = False


class Declined(Answer, frozen=True, kw_only=True, rename="camel"):
    """How many machines a reason turned away, of those that were left."""

    reason: str
    declined: int = 0
    processed: int = 0


class Offers(Answer, frozen=True, kw_only=True, rename="camel"):
    reject_summary_last_offers: tuple[Declined, ...] = ()


class Queued(Answer, frozen=True, kw_only=True, rename="camel"):
    """An app that has something left to launch, and why."""

    app: Named | None = None
    count: int = 0
    delay: Wait = Wait()
    processed_offers_summary: Offers = Offers()


class Apps(Answer, frozen=True, kw_only=True, rename="camel"):
    apps: tuple[AppView, ...]


class OneApp(Answer, frozen=True, kw_only=True, rename="camel"):
    app: AppView


class Versions(Answer, frozen=True, kw_only=True, rename="camel"):
    versions: tuple[str, ...]


class Queue(Answer, frozen=True, kw_only=True, rename="camel"):
    queue: tuple[Queued, ...]


class Detail(Answer, frozen=True, kw_only=True, rename="camel"):
    """What is wrong at one place of a definition."""

    path: str = ""
    errors: tuple[str, ...] = ()


class Refusal(Answer, frozen=True, kw_only=True, rename="camel"):
    """An error: what is wrong and where, or which deployments are in the way."""

    message: str
    details: str | tuple[Detail, ...] = ()
    deployments: tuple[Named, ...] = ()


class Event(Answer, frozen=True, kw_only=True, rename="camel"):
    """An event: its id ("" from a server that gives none), its kind, and its body."""

    id: str
    kind: str
    body: dict[str, Any]

    def text(self, name: str) -> str:
        """A field of the body as text; "" where it has none."""
        found = self.body.get(name)
        return found if isinstance(found, str) else ""
