"""The hash of a unit file is the one that fleetctl 1.0 computes: it compares files by it.

The hashes were recorded with fleetctl (``list-unit-files --full --fields=hash``).
"""

from __future__ import annotations

import pytest

from fleetish.units.file import content_hash, from_options, parse

PLAIN = "0291f12e379921025c603e454c0fe989ddb0f3dd"

RECORDED = {
    "no newline at the end": ("[Service]\nExecStart=/bin/sleep 1", PLAIN),
    "carriage returns": ("[Service]\r\nExecStart=/bin/sleep 1\r\n", PLAIN),
    "byte order mark": ("\ufeff[Service]\nExecStart=/bin/sleep 1\n", PLAIN),
    "empty sections": ("[Unit]\n\n[Service]\nExecStart=/bin/sleep 1\n[Install]\n", PLAIN),
    "letters that are no ASCII": (
        "[Unit]\nDescription=Grüße ☃\n[Service]\nExecStart=/bin/sleep 1\n",
        "ad5c9ccb292d4e637ef879a6cd1b6ec3e91bb7e5",
    ),
    "a section twice": (
        "[Service]\nExecStart=/bin/sleep 1\n[Unit]\nDescription=x\n[Service]\nRestart=no\n",
        "6dc0cc23839d9056b906c638567c8601050d4574",
    ),
    "lists reset": (
        "[Service]\nExecStart=/bin/false\nExecStart=\nExecStart=/bin/sleep 1\nEnvironment=\n",
        "bc4ca0ed41952fad221706c007f238f50219b67f",
    ),
    "space around names and values": (
        "[Service]\nExecStart =   /bin/sleep   1   \n  Restart=no\n\tUser = root\n",
        "acb33ef21893be1a8c954d5224571c6aed7604e7",
    ),
    "comments": (
        "# c\n; d\n[Service]\n# e\nExecStart=/bin/sleep 1\n;f\n\n[Unit]\nDescription=a # b\n",
        "fe56c096576ca3f15e04e4d6fe7aeaf256cedc08",
    ),
    "continued lines": (
        "[Service]\nExecStart=/bin/sh -c 'echo a; \\\n   echo b; \\\n\techo c'\n"
        "Environment=A=1 \\\n  B=2\n",
        "a0124d63e4194e74698b3df75376a09bca739dea",
    ),
    "a line continued by an empty one": (
        "[Service]\nExecStart=/bin/echo a \\\n\nRestart=no\n",
        "ce348362b20aa4f15bd54107847bd4dd127d0630",
    ),
    "tabs": (
        "[Service]\nExecStart=/bin/echo\ta\t\tb\n",
        "fc4e661f50cc86dfb421d77ba665ad875fc212fc",
    ),
    "quotes and escapes": (
        '[Service]\nExecStart=/bin/sh -c "echo \\"x\\" \'y\' $$HOME %% \\x41"\n'
        'Environment="A=b c" X==y\n',
        "cb093324aca8bb466561536fabb5f2560da1f23a",
    ),
    "several words in X-Fleet": (
        '[Service]\nExecStart=/bin/sleep 1\n\n[X-Fleet]\nMachineMetadata="a=b" "c=d"\n',
        "61eea240eebeb01346d18e567c1eac7b1109b7dc",
    ),
}


@pytest.mark.parametrize(("text", "digest"), RECORDED.values(), ids=list(RECORDED))
def test_the_hash_of_a_file_is_fleetctls(text: str, digest: str) -> None:
    file = parse(text)
    assert content_hash(file) == digest
    assert content_hash(from_options(file.options())) == digest
