"""Drives the two clients of fleet's API on PyPI, ``fleet`` and ``fleetpy``, as their users do.

Runs in an environment of its own: ``python_clients.py ENDPOINT``. Prints what the clients saw as
JSON. fleetpy can neither submit nor read a file under Python 3, so ``fleet`` submits for it.
"""

# mypy: ignore-errors

from __future__ import annotations

import json
import sys
import time

import fleet.v1
import fleetpy

TEXT = "[Unit]\nDescription=By a client\n[Service]\nExecStart=/bin/sleep 600\n"
MANY = 120


def until(what, seconds=20.0):
    """Look again and again, as these clients' users must, until something is so."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.1)
    return found


def unit_of():
    """A unit as users make it; without a state the client would ask for launched."""
    return fleet.v1.Unit(from_string=TEXT, desired_state="inactive")


def states(client, name):
    return [row.as_dict() for row in client.list_unit_states(unit_name=name)]


def with_fleet(endpoint):
    """A unit's life, an instance, an error, and more units than fit on a page."""
    client = fleet.v1.Client(endpoint)
    seen = {"machines": [one.as_dict() for one in client.list_machines()]}
    made = client.create_unit("client.service", unit_of())
    seen["made"] = made.as_dict()
    made.set_desired_state("launched")
    until(lambda: client.get_unit("client.service").currentState == "launched")
    seen["state"] = until(
        lambda: [s for s in states(client, "client.service") if s["systemdActiveState"] == "active"]
    )[0]
    client.create_unit("client@.service", unit_of())
    seen["instance"] = client.create_unit(
        "client@a:1.service", fleet.v1.Unit(desired_state="loaded", options=[])
    ).name
    for number in range(MANY):
        client.create_unit(f"page{number:03}.service", unit_of())
    seen["listed"] = [unit.name for unit in client.list_units()]
    for number in range(MANY):
        client.destroy_unit(f"page{number:03}.service")
    try:
        client.get_unit("page000.service")
    except fleet.v1.APIError as error:
        seen["error"] = [error.code, error.message]
    return seen


def with_fleetpy(endpoint):
    """The same cluster through the other client, which then takes the units away."""
    client = fleetpy.Client(endpoint)
    seen = {"machines": [one.id for one in client.machines()]}
    units = {unit.name: unit for unit in client.units()}
    seen["units"] = sorted(units)
    seen["full"] = [
        [row.id, row.unit, row.loaded, row.state] for row in client.state(True, "client.service")
    ]
    unit = units["client.service"]
    seen["stopped"] = unit.stop()
    until(lambda: unit.refresh() and unit.state == "inactive")
    seen["rows"] = len(client.state(unit_name="client.service"))
    seen["destroyed"] = [units[name].destroy() for name in sorted(units)]
    return seen


if __name__ == "__main__":
    print(json.dumps([with_fleet(sys.argv[1]), with_fleetpy(sys.argv[1])]))
