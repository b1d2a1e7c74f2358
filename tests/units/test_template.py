"""Jinja2 templates of unit files."""

from __future__ import annotations

import pytest

from fleetish.errors import BadTemplate
from fleetish.units.template import is_template_name, render, unit_name

SOURCE = """\
[Unit]
Description={{ unit }} in {{ zone }}
{% if memory %}
[Service]
MemoryMax={{ memory }}
{% endif %}
  {% for port in ports %}
Environment=PORT{{ loop.index }}={{ port }}
  {% endfor %}
# end
"""


def test_tags_leave_no_blank_lines_and_the_last_newline_stays() -> None:
    values: dict[str, object] = {"zone": "a<b", "memory": "1G", "ports": [80, 81]}
    assert render(SOURCE, "dir/web.service.j2", values) == (
        "[Unit]\nDescription=web.service in a<b\n[Service]\nMemoryMax=1G\n"
        "Environment=PORT1=80\nEnvironment=PORT2=81\n# end\n"
    )


def test_the_unit_is_named_after_the_template() -> None:
    assert (unit_name("web@.service.j2"), unit_name("a/b.timer")) == ("web@.service", "b.timer")
    assert (is_template_name("web.service.j2"), is_template_name("web.service")) == (True, False)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a\n{{ b }}\n", "w.j2:2: cannot render the template: 'b' is undefined"),
        ("a\n{{ b.c }}\n", "w.j2:2: cannot render the template: 'b' is undefined"),
        ("a\n\n{% if %}\n", "w.j2:3: cannot read the template: Expected an expression"),
        ("{{ 1 / 0 }}", "w.j2:1: cannot render the template: division by zero"),
        ("{{ ''.__class__ }}", "w.j2:1: cannot render the template: access to attribute"),
        ("{{ ''|attr('__class__') }}", "w.j2:1: cannot render the template: "),
        ("\n{{ xs.append(1) }}", "w.j2:2: cannot render the template: "),
        ("{% include 'x' %}", "w.j2:1: cannot render the template: no loader"),
        ("{{ range(10**9)|list }}", "w.j2:1: cannot render the template: Range too big"),
    ],
)
def test_what_does_not_render_is_refused_with_its_line(source: str, message: str) -> None:
    with pytest.raises(BadTemplate) as caught:
        render(source, "w.j2", {"xs": []})
    assert str(caught.value).startswith(message)
