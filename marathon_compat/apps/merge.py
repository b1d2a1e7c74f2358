"""What an app is after an update, and which version that is.

Each field that is given replaces the whole field (Marathon's partial update); what is not given
stays, except a field that an old one stands for, and ports that make no sense on another network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from marathon_compat.apps import defaults, ids, legacy
from marathon_compat.apps.app import App, VersionInfo
from marathon_compat.apps.decode import Findings, Sent, Update, define, judge, read_sent
from marathon_compat.apps.show import show

#: Fields that another default would be found for, were they not the app's own by now.
_OWN = {"upgradeStrategy", "unreachableStrategy"}


def merged(app: App | None, update: Update) -> App:
    """The app after the update; without one, a new app. Raises BadBody with all that is wrong."""
    findings = Findings()
    found = _merged(app, update, findings)
    findings.raise_any()
    assert found is not None
    return found


def merge_all(apps: Mapping[str, App], updates: Iterable[Update]) -> tuple[App, ...]:
    """The apps after their updates, all or none. Raises BadBody with all that is wrong."""
    findings = Findings()
    found = [_merged(apps.get(update.id), update, findings) for update in updates]
    findings.raise_any()
    return tuple(app for app in found if app is not None)


def _merged(app: App | None, update: Update, findings: Findings) -> App | None:
    given = {**update.given, "id": update.id}
    if app is None or update.whole:
        return define(given, update.prefix, ids.ROOT, findings)
    sent = read_sent(given, update.prefix, findings)
    if sent is None:
        return None
    kept = {key: value for key, value in show(app).items() if key not in _superseded(sent)}
    both = read_sent({**kept, **given}, update.prefix, findings)
    if both is None:
        return None
    found = _without_strange_ports(legacy.upgraded(both.app, sent.old), sent)
    found = defaults.completed(found, sent.given.keys() | _OWN)
    judge(sent, found, update.prefix, findings)
    return replace(found, version=app.version, version_info=app.version_info)


def _superseded(sent: Sent) -> set[str]:
    """The fields of today that the update has an old field for; of cmd and args, which exclude
    each other, the one that it does not give."""
    found = {"args"} if sent.app.cmd else {"cmd"} if sent.app.args else set()
    if legacy.names_network(sent.old):
        found.add("networks")
    if sent.old.ports is not None:
        found.add("portDefinitions")
    if sent.old.uris is not None:
        found.add("fetch")
    return found


def _without_strange_ports(app: App, sent: Sent) -> App:
    """Ports that were kept from another network are dropped: they have no meaning on this one."""
    if not defaults.is_host(app):
        kept = "portDefinitions" not in sent.given and sent.old.ports is None
        return replace(app, port_definitions=None) if kept else app
    if app.container and "container" not in sent.given:
        return replace(app, container=replace(app.container, port_mappings=None))
    return app


def is_scale_only(old: App, new: App) -> bool:
    """True when nothing but the number of instances has changed."""
    return old.instances != new.instances and _config(old) == _config(new)


def versioned(old: App | None, new: App, version: str) -> App:
    """The new definition with its version and when it was last scaled and configured. Unchanged:
    the old one. To be called when service ports are assigned, for they are part of it."""
    if old is None or old.version_info is None:
        return _at(new, version, scaled=version, configured=version)
    if _config(old) != _config(new):
        return _at(new, version, scaled=version, configured=version)
    if old.instances != new.instances:
        configured = old.version_info.last_config_change_at
        return _at(new, version, scaled=version, configured=configured)
    return old


def restarted(app: App, version: str) -> App:
    """The same definition as a new one, so that every task is replaced."""
    scaled = app.version_info.last_scaling_at if app.version_info else version
    return _at(app, version, scaled=scaled, configured=version)


def _config(app: App) -> App:
    return replace(app, instances=0, version="", version_info=None)


def _at(app: App, version: str, *, scaled: str, configured: str) -> App:
    info = VersionInfo(last_scaling_at=scaled, last_config_change_at=configured)
    return replace(app, version=version, version_info=info)
