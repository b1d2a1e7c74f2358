"""Figures as values, and the page that shows them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured figure: ``value`` in ``unit``, beside a baseline of the same run if any.

    ``aim`` is the bound as a sentence; ``met`` None means that there is no bound.
    """

    what: str
    value: float
    unit: str
    baseline: str = ""
    baseline_value: float = 0.0
    aim: str = ""
    met: bool | None = None
    before: str = ""

    @property
    def ratio(self) -> float | None:
        """How often the baseline goes into the value; None without a baseline."""
        return self.value / self.baseline_value if self.baseline_value else None


def against(figure: Figure, most: float) -> Figure:
    """The same figure, judged: its ratio (or its value, without a baseline) is at most ``most``."""
    measured = figure.ratio if figure.ratio is not None else figure.value
    return Figure(**{**vars(figure), "met": measured <= most})


def render(figures: list[Figure], *, commit: str, machine: str, command: str) -> str:
    """The whole page ``bench/RESULTS.md``."""
    head = (
        "# Measured\n\n"
        f"`{command}` at commit `{commit}` on {machine}.\n"
        "Ratios are between figures of the same run; absolute times move with the machine.\n\n"
        "| what | value | baseline, same run | ratio | aim | met | fleet 1.0, same hosts |\n"
        "|---|---:|---:|---:|---|---|---|\n"
    )
    return head + "".join(map(_row, figures))


def _row(figure: Figure) -> str:
    base = (
        f"{figure.baseline}: {figure.baseline_value:.4g} {figure.unit}" if figure.baseline else "–"
    )
    ratio = f"{figure.ratio:.2f}" if figure.ratio is not None else "–"
    met = {True: "yes", False: "**no**", None: "–"}[figure.met]
    return (
        f"| {figure.what} | {figure.value:.4g} {figure.unit} | {base} | {ratio} "
        f"| {figure.aim or '–'} | {met} | {figure.before or '–'} |\n"
    )
