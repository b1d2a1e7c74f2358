"""Flags as Go programs take them, in click's form.

fleetctl 1.0 read its command line with pflag, the versions before it with Go's own flag package.
Both know ``--flag=false``, global flags after the command, and values that begin with a dash; the
older one also took a single dash. Scripts use all of these, so all are read here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import click

#: What Go's strconv.ParseBool takes.
TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class Form(NamedTuple):
    """How click is told of a flag: ``yes`` turns it on or precedes its value, ``no`` turns it off
    ("" when off is all that it can be)."""

    is_switch: bool
    yes: str
    no: str = ""


def forms_of(params: Sequence[click.Parameter]) -> dict[str, Form]:
    """A command's flags by their names without dashes, short ones and long ones."""
    found: dict[str, Form] = {}
    for option in params:
        if isinstance(option, click.Option):
            off = option.secondary_opts[0] if option.secondary_opts else ""
            form = Form(option.is_flag, option.opts[0], off)
            found |= {name.lstrip("-"): form for name in option.opts}
            found |= {name.lstrip("-"): Form(True, name) for name in option.secondary_opts}
    return found


def canonical(args: Sequence[str], forms: Mapping[str, Form]) -> list[str]:
    """The arguments with each known flag in click's form; the rest, and all after ``--``, as is."""
    return list(_canonical(iter(args), forms))


def _canonical(args: Iterator[str], forms: Mapping[str, Form]) -> Iterator[str]:
    for arg in args:
        if arg == "--":
            yield arg
            yield from args
            return
        name, equals, value = arg.partition("=")
        form = forms.get(name.lstrip("-")) if name.startswith("-") else None
        if form is None:
            yield arg
        elif form.is_switch:
            yield from _switch(form, value) if equals else (form.yes,)
        elif equals:
            yield f"{form.yes}={value}"
        else:
            yield "=".join((form.yes, *_next(args)))


def _next(args: Iterator[str]) -> Iterator[str]:
    """The value that follows a flag, if any does."""
    for value in args:
        yield value
        return


def _switch(form: Form, value: str) -> tuple[str, ...]:
    """A switch with a value; one that is no boolean is left for click to refuse."""
    if value in TRUE:
        return (form.yes,)
    if value in FALSE:
        return (form.no,) if form.no else ()
    return (f"{form.yes}={value}",)


class GoCommand(click.Command):
    """A command that takes its flags as Go does, and ``everywhere``, the flags of the group."""

    everywhere: tuple[click.Option, ...] = ()

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *self.everywhere]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, canonical(args, forms_of(self.get_params(ctx))))


def keep_in_root(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """The callback of a global flag after the command: as if it had stood before it."""
    if value is not None and param.name:
        ctx.find_root().params[param.name] = value
