"""Unit files on this machine: reading, Jinja2 templates, checking. ``render`` and ``verify``."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from fleetish.errors import BadTemplate, NotFound
from fleetish.units.file import decode
from fleetish.units.name import TYPES, parse_name, with_suffix

F = TypeVar("F", bound=Callable[..., Any])

TEMPLATE = ".j2"


class Source(NamedTuple):
    """A unit as it was named on the command line: its name, and its file if there is one here."""

    name: str
    path: Path
    text: str | None


def values_options(command: F) -> F:
    """``--set`` and ``--values``, for commands that may render templates."""
    for option in (
        click.option(
            "--values",
            "values_files",
            multiple=True,
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Values for Jinja2 templates: a TOML or JSON file.",
        ),
        click.option(
            "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A value for templates."
        ),
    ):
        command = option(command)
    return command


def read_values(files: Iterable[Path], settings: Iterable[str]) -> dict[str, Any]:
    """Values for templates: the files in order, then the settings, later ones win.

    A setting's value that is a JSON number, true or false is one; ``a.b=1`` sets b in a. Raises
    BadTemplate.
    """
    found: dict[str, Any] = {}
    for path in files:
        try:
            text = path.read_text()
            read = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        except (ValueError, OSError) as error:
            raise BadTemplate(f"cannot read the values in {path}: {error}") from None
        if not isinstance(read, dict):
            raise BadTemplate(f"cannot read the values in {path}: it holds no table")
        found |= read
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not key or not equals:
            raise BadTemplate(f"cannot use --set {setting}: it is not key=value")
        _set(found, key.split("."), _value(text))
    return found


def _value(text: str) -> Any:
    if re.fullmatch(r"-?\d+(\.\d+)?|true|false", text):
        return json.loads(text) if not re.match(r"-?0\d", text) else text
    return text


def _set(found: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = found.get(key)
        found[key] = dict(inner) if isinstance(inner, dict) else {}
        found = found[key]
    found[keys[-1]] = value


def unit_name(argument: str, types: Collection[str] = TYPES) -> str:
    """The unit that a path or name on the command line means; a service, unless it ends in one of
    the unit types. Raises BadName."""
    return parse_name(with_suffix(Path(argument).name.removesuffix(TEMPLATE), types)).full


def expand(arguments: Iterable[str]) -> list[str]:
    """Numeric ranges in braces, for shells that leave them alone: ``web@{1..3}``."""
    found: list[str] = []
    for argument in arguments:
        braces = re.search(r"\{(\d+)\.\.(\d+)\}", argument)
        if braces is None:
            found.append(argument)
            continue
        first, last = int(braces[1]), int(braces[2])
        step = 1 if first <= last else -1
        head, tail = argument[: braces.start()], argument[braces.end() :]
        found += expand(f"{head}{number}{tail}" for number in range(first, last + step, step))
    return found


def names_of(arguments: Iterable[str]) -> list[str]:
    """The units that arguments mean, each once. Raises UsageError when there are none."""
    found = list(dict.fromkeys(unit_name(one) for one in expand(arguments)))
    if not found:
        raise click.UsageError("cannot tell which units: no units given")
    return found


def sources(
    arguments: Iterable[str], values: Mapping[str, Any], types: Collection[str] = TYPES
) -> list[Source]:
    """The units that arguments mean, with the text of those whose file is here."""
    found: dict[str, Source] = {}
    for argument in expand(arguments):
        name, path = unit_name(argument, types), Path(argument)
        found.setdefault(name, Source(name, path, local_text(path, name, values)))
    if not found:
        raise click.UsageError("cannot tell which units: no units given")
    return list(found.values())


def local_text(path: Path, name: str, values: Mapping[str, Any]) -> str | None:
    """The text of a unit file here, rendered if it is a template; None when there is none."""
    for one in (path, path.with_name(name)):
        if one.is_file():
            return _text(one, name, values)
    if path.name.endswith(TEMPLATE):
        raise NotFound(f"cannot read {path}: there is no such file")
    return None


def template_text(source: Source, values: Mapping[str, Any]) -> str | None:
    """The text of an instance's template beside it, plain or Jinja2; None when there is none."""
    template = parse_name(source.name).template
    if not template or template == source.name:
        return None
    for name in (template, template + TEMPLATE):
        one = source.path.with_name(name)
        if one.is_file():
            return _text(one, source.name, values)
    return None


def _text(path: Path, name: str, values: Mapping[str, Any]) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise NotFound(f"cannot read {path}: {error}") from None
    text = decode(raw, str(path))
    if not path.name.endswith(TEMPLATE):
        return text
    from fleetish.units.template import render as render_template

    return render_template(text, name, values)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="The unit's name; else the file's, without .j2.")
@values_options
def render(
    file: Path, name: str | None, values_files: tuple[Path, ...], settings: tuple[str, ...]
) -> None:
    """Print the unit file that a Jinja2 template makes, without submitting it.

    \b
    fleetish render web.service.j2 --set port=8080
    fleetish render web.service.j2 --values production.toml
    """
    click.echo(
        _text(file, name or unit_name(file.name), read_values(values_files, settings)), nl=False
    )


@click.command()
@click.argument("files", nargs=-1, required=True)
@values_options
def verify(
    files: tuple[str, ...], values_files: tuple[Path, ...], settings: tuple[str, ...]
) -> int:
    """Check unit files and say all that is wrong with them; needs no cluster.

    \b
    fleetish verify web.service web@.service
    fleetish verify web.service.j2 --set port=8080
    """
    from fleetish.units import file as unit_file
    from fleetish.units.verify import verify as problems_in

    values = read_values(values_files, settings)
    wrong = 0
    for source in sources(files, values):
        if source.text is None:
            raise NotFound(f"cannot read {source.path}: there is no such file")
        shown = str(source.path)
        found = unit_file.problems(source.text, shown)
        found = found or problems_in(unit_file.parse(source.text, shown), source.name)
        wrong += len(found)
        for problem in found:
            click.echo(str(problem), err=True)
    return 1 if wrong else 0
