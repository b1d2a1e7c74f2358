"""Bodies of apps as people write them, for hypothesis."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

Body = dict[str, Any]

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
SEGMENT = st.lists(LABEL, min_size=1, max_size=2).map(".".join)
RESERVED = ("restart", "tasks", "versions")
PATHS = st.lists(SEGMENT, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
APP_IDS = PATHS.filter(lambda path: path.rpartition("/")[2] not in RESERVED)
UUIDS = st.uuids().map(str)

WORDS = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_characters="\x7f"), max_size=20
)
LINES = st.text(st.sampled_from("ab $\"'\\%{}\n\t;é"), min_size=1, max_size=30)
NAMES = LABEL
LABELS = st.dictionaries(WORDS, WORDS, max_size=3)
VARIABLES = st.from_regex("[A-Z_][A-Z0-9_]{0,12}", fullmatch=True)
SECONDS = st.integers(0, 100_000)
PORTS = st.integers(0, 65535)
SHARES = st.integers(0, 100).map(lambda part: part / 100)


def given_some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Body]:
    """Objects with some of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


FETCH = given_some(
    extract=st.booleans(), executable=st.booleans(), cache=st.booleans(), destPath=NAMES
).flatmap(lambda row: NAMES.map(lambda name: {**row, "uri": f"http://host/{name}.tgz"}))

HEALTH_CHECK = given_some(
    protocol=st.sampled_from(["HTTP", "HTTPS", "TCP"]),
    path=NAMES.map(lambda name: f"/{name}"),
    portIndex=st.just(0),
    gracePeriodSeconds=SECONDS,
    intervalSeconds=SECONDS,
    timeoutSeconds=SECONDS,
    maxConsecutiveFailures=st.integers(0, 10),
    ignoreHttp1xx=st.booleans(),
    delaySeconds=SECONDS,
)
COMMAND_CHECK = LINES.map(lambda line: {"protocol": "COMMAND", "command": {"value": line}})

CONSTRAINT = st.sampled_from([
    ["hostname", "UNIQUE"], ["rack", "CLUSTER", "a"], ["rack", "CLUSTER"], ["zone", "GROUP_BY"],
    ["zone", "GROUP_BY", "3"], ["@zone", "LIKE", "eu-(a|b)"], ["kind", "UNLIKE", "old.*"],
    ["rack", "MAX_PER", "2"], ["rank", "IS", "1.5"],
])  # fmt: skip

VOLUMES = st.lists(
    st.builds(
        lambda path, mode: {"containerPath": path, "hostPath": f"/srv/{path}", **mode},
        NAMES,
        given_some(mode=st.sampled_from(["RO", "RW"])),
    ),
    max_size=2,
)

MAPPINGS = st.lists(
    given_some(
        containerPort=PORTS,
        hostPort=PORTS,
        servicePort=PORTS,
        protocol=st.sampled_from(["tcp", "udp", "udp,tcp"]),
        labels=LABELS,
    ),
    min_size=1,
    max_size=3,
)

HOST_PORTS = st.lists(
    given_some(port=st.just(0), protocol=st.sampled_from(["tcp", "udp", "udp,tcp"]), labels=LABELS),
    min_size=1,
    max_size=3,
)

ON_HOST = given_some(networks=st.just([{"mode": "host"}]), portDefinitions=HOST_PORTS)
IN_CONTAINER = st.builds(
    lambda kind, network, volumes, mappings: {
        "container": {**kind, "volumes": volumes, "portMappings": mappings},
        "networks": [network],
    },
    st.sampled_from(
        [
            {
                "type": "DOCKER",
                "docker": {"image": "alpine:3", "parameters": [{"key": "a", "value": "b"}]},
            },
            {"docker": {"image": "alpine", "forcePullImage": True}},
            {"type": "MESOS", "docker": {"image": "alpine"}},
            {"type": "MESOS"},
        ]
    ),
    st.sampled_from([{"mode": "container/bridge"}, {"mode": "container", "name": "dcos"}]),
    VOLUMES,
    MAPPINGS,
)

ANY_FIELDS = given_some(
    instances=st.integers(0, 1000),
    cpus=st.integers(1, 64_000).map(lambda milli: milli / 1000),
    mem=st.integers(0, 10**6),
    disk=st.integers(0, 10**6),
    user=st.sampled_from(["root", "www-data", "1000"]),
    env=st.dictionaries(VARIABLES, LINES, max_size=3),
    labels=LABELS,
    constraints=st.lists(CONSTRAINT, max_size=3),
    fetch=st.lists(FETCH, max_size=2),
    healthChecks=st.lists(HEALTH_CHECK | COMMAND_CHECK, max_size=2),
    dependencies=st.lists(APP_IDS, max_size=2),
    upgradeStrategy=given_some(minimumHealthCapacity=SHARES, maximumOverCapacity=SHARES),
    backoffSeconds=SECONDS,
    backoffFactor=st.integers(100, 300).map(lambda part: part / 100),
    maxLaunchDelaySeconds=SECONDS,
    killSelection=st.sampled_from(["YOUNGEST_FIRST", "OLDEST_FIRST"]),
    unreachableStrategy=st.sampled_from(
        ["disabled", {"inactiveAfterSeconds": 300, "expungeAfterSeconds": 600}]
    ),
    taskKillGracePeriodSeconds=SECONDS,
    acceptedResourceRoles=st.just(["*"]),
    resourceLimits=st.sampled_from([{"mem": "unlimited"}, {"cpus": 100, "mem": 2e6}]),
    tty=st.booleans(),
    requirePorts=st.booleans(),
)


@st.composite
def app_bodies(draw: st.DrawFn) -> Body:
    """Valid definitions, of all kinds that go together."""
    body = draw(ANY_FIELDS) | draw(ON_HOST | IN_CONTAINER)
    line = draw(LINES)
    return {**body, "id": draw(APP_IDS), **draw(st.sampled_from([{"cmd": line}, {"args": [line]}]))}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def bent_bodies(draw: st.DrawFn) -> Body:
    """Definitions in which something, somewhere, is anything."""
    body: Body = json.loads(json.dumps(draw(app_bodies())))
    here: Any = body
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            return body
        key = draw(st.sampled_from(keys))
        if isinstance(here[key], dict | list) and here[key] and draw(st.booleans()):
            here = here[key]
        else:
            here[key] = draw(JSON)
            return body
