"""The discovery document: this API as Google's client libraries read it (Discovery v1, rest).

It is what fleet 1.0 serves, to the schema names, method ids and the placeholder that a client
replaces by the endpoint it was given.
"""

from __future__ import annotations

from typing import Any

STRING: dict[str, Any] = {"type": "string"}
STATE: dict[str, Any] = {"type": "string", "enum": ["inactive", "loaded", "launched"]}


def _list_of(schema: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": schema}}


def _schema(schema: str, /, **properties: dict[str, Any]) -> dict[str, Any]:
    return {"id": schema, "type": "object", "properties": properties}


def _method(verb: str, path: str, says: str, **more: Any) -> dict[str, Any]:
    return {"description": says, "httpMethod": verb, "path": path, **more}


def _page(kind: str, path: str, says: str, of: str, *queries: str) -> dict[str, Any]:
    asked = {name: {"type": "string", "location": "query"} for name in ("nextPageToken", *queries)}
    return _method(
        "GET", path, says, id=f"fleet.{kind}.List", parameters=asked, response={"$ref": of}
    )


def _item(verb: str, path: str, says: str, **more: Any) -> dict[str, Any]:
    named = {"unitName": {"type": "string", "location": "path", "required": True}}
    return _method(verb, path, says, parameters=named, parameterOrder=["unitName"], **more)


SCHEMAS = {
    "Machine": _schema(
        "Machine",
        id=STRING,
        primaryIP=STRING,
        metadata={"type": "object", "properties": {}, "additionalProperties": STRING},
    ),
    "MachinePage": _schema("MachinePage", machines=_list_of("Machine"), nextPageToken=STRING),
    "UnitOption": _schema("UnitOption", section=STRING, name=STRING, value=STRING),
    "Unit": _schema(
        "Unit",
        name=STRING,
        options=_list_of("UnitOption"),
        desiredState=STATE,
        currentState=STATE,
        machineID={"type": "string", "required": True},
    ),
    "UnitPage": _schema("UnitPage", units=_list_of("Unit"), nextPageToken=STRING),
    "UnitState": _schema(
        "UnitState",
        name=STRING,
        hash=STRING,
        machineID=STRING,
        systemdLoadState=STRING,
        systemdActiveState=STRING,
        systemdSubState=STRING,
    ),
    "UnitStatePage": _schema("UnitStatePage", states=_list_of("UnitState"), nextPageToken=STRING),
}

RESOURCES = {
    "Machines": {
        "methods": {"List": _page("Machine", "machines", "The machines, by id.", "MachinePage")}
    },
    "Units": {
        "methods": {
            "List": _page("Unit", "units", "The units, by name.", "UnitPage"),
            "Get": _item(
                "GET", "units/{unitName}", "One unit.",
                id="fleet.Unit.Get", response={"$ref": "Unit"},
            ),
            "Delete": _item(
                "DELETE", "units/{unitName}", "Forget a unit.", id="fleet.Unit.Delete"
            ),
            "Set": _item(
                "PUT", "units/{unitName}", "Make a unit, replace it, or set what is wanted of it.",
                id="fleet.Unit.Set", request={"$ref": "Unit"},
            ),
        }
    },
    "UnitState": {
        "methods": {
            "Get": _item(
                "GET", "state/{unitName}", "How a unit is where it runs.",
                id="fleet.UnitState.Get", response={"$ref": "UnitState"},
            ),
            "List": _page(
                "UnitState", "state", "How the units are, by name and machine.", "UnitStatePage",
                "unitName", "machineID",
            ),
        }
    },
}  # fmt: skip

DOCUMENT: dict[str, Any] = {
    "kind": "discovery#restDescription",
    "discoveryVersion": "v1",
    "id": "fleet:v1",
    "name": "schema",
    "version": "v1",
    "title": "fleet API",
    "description": "",
    "documentationLink": "http://github.com/coreos/fleet",
    "protocol": "rest",
    "icons": {"x16": "", "x32": ""},
    "labels": [],
    "baseUrl": "$ENDPOINT/fleet/v1/",
    "basePath": "/fleet/v1/",
    "rootUrl": "$ENDPOINT/",
    "servicePath": "fleet/v1/",
    "batchPath": "batch",
    "parameters": {},
    "auth": {},
    "schemas": SCHEMAS,
    "resources": RESOURCES,
}
