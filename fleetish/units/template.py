"""Jinja2 templates of unit files: ``web.service.j2`` and values give the text of ``web.service``.

Rendered on the client, in Jinja2's immutable sandbox. A name that has no value is an error, never
an empty text; a tag on a line of its own leaves no blank line behind.
"""

from __future__ import annotations

from collections.abc import Mapping

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from fleetish.errors import BadTemplate

SUFFIX = ".j2"


def is_template_name(name: str) -> bool:
    """True for a file name that is to be rendered, ``web.service.j2``."""
    return name.endswith(SUFFIX)


def unit_name(name: str) -> str:
    """The unit that a template file makes: the name, without directory and ``.j2``."""
    return name.rpartition("/")[2].removesuffix(SUFFIX)


_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # unit files are no HTML
)


def render(source_text: str, name: str, values: Mapping[str, object]) -> str:
    """The text that the template gives with these values; ``name`` is that of its file.

    ``unit`` is always defined: the name of the unit without ``.j2``. Raises BadTemplate, with file
    and line, on a syntax error, a name without a value, or anything that fails while rendering.
    """
    try:
        template = _compiled(source_text, name)
        return template.render({"unit": unit_name(name), **values})
    except jinja2.TemplateSyntaxError as error:
        raise BadTemplate(
            f"{name}:{error.lineno}: cannot read the template: {error.message}"
        ) from None
    except Exception as error:  # a template can raise whatever the filters and operators it uses do
        line = _line(error, name)
        raise BadTemplate(
            f"{name}:{line}: cannot render the template: {error}",
            hint="give the value with --set or --values"
            if isinstance(error, jinja2.UndefinedError)
            else "",
        ) from error


def _compiled(source_text: str, name: str) -> jinja2.Template:
    # By way of compile, for the traceback then names the file and its lines.
    code = _ENVIRONMENT.compile(source_text, name, name)
    names = _ENVIRONMENT.make_globals(None)
    return _ENVIRONMENT.template_class.from_code(_ENVIRONMENT, code, names)


def _line(error: BaseException, name: str) -> int:
    """The template's line that failed: Jinja2 gives frames of templates their file and line."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == name:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
