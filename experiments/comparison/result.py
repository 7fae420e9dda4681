"""What came out: each method's metric, its difference to Plain, and the verdict on RWF in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from experiments.metrics import Metric
from experiments.records import Row
from experiments.reporting.metrics import CONTROL, PARAMETERIZATIONS, column_label, metric_named
from experiments.reporting.selection import diverged, seconds_a_seed, values
from experiments.reporting.statistics import interval_text, paired_interval, summarise
from experiments.reporting.verdicts import (
    BETTER,
    EQUIVALENT,
    PENDING,
    WORSE,
    Comparison,
    compare,
    decide,
)

METHODS = (*PARAMETERIZATIONS, CONTROL)
SAYS = {BETTER: "is better than", WORSE: "is worse than", EQUIVALENT: "is as good as"}
RATE = "optimizer.learning_rate="


@dataclass(frozen=True)
class Result:
    """The rows of each method, by its name; `data` names what they were trained on."""

    data: str
    rows: Mapping[str, Sequence[Row]]

    @property
    def metric(self) -> Metric:
        """The metric that the rows are compared by."""
        return metric_named(self.name)

    @property
    def name(self) -> str:
        """Its name in the rows."""
        return next(rows[0].metric for rows in self.rows.values() if rows)

    def table(self) -> list[tuple[str, ...]]:
        """Heading, and a line for each method: metric with its spread, difference to Plain, seconds of a seed."""
        plain = values(self.rows.get("plain", ()), self.name)
        rates = any(_rate(rows) for rows in self.rows.values())
        heading = ("", self.metric.heading, "against Plain", "seconds a seed")
        lines = [(*heading, "learning rate") if rates else heading]
        for name in METHODS:
            rows = self.rows.get(name, ())
            own = values(rows, self.name)
            lost = len(diverged(rows, self.name)) if rows else 0
            interval = None if name == "plain" else paired_interval(own, plain, self.metric)
            cells = (
                self._value(own, lost) if rows else "not finished",
                "" if interval is None else interval_text(interval, self.metric),
                f"{median(seconds_a_seed(rows)):.1f}" if rows else "",
            )
            lines.append((column_label(name), *cells, *([_rate(rows)] if rates else [])))
        return lines

    def _value(self, own: Mapping, lost: int) -> str:
        if not own:
            return "diverged"
        found = summarise(own)
        return self.metric.text(found.mean, found.spread) + (f" ({lost} diverged)" if lost else "")

    def verdict(self) -> str:
        """Whether RWF is better here than Plain, and than Plain with the learning rate that RWF starts with."""
        texts = [self._against(rival) for rival in ("plain", CONTROL)]
        return f"On {self.data}, {texts[0]}; {texts[1]}."

    def _against(self, rival: str) -> str:
        ours, theirs = (self.rows.get(name, ()) for name in ("rwf", rival))
        label = "Plain with its learning rate times e^μ" if rival == CONTROL else column_label(rival)
        subject = "RWF" if rival == "plain" else "it"
        if not ours or not theirs:
            return f"{subject} is not compared with {label} yet"
        both = compare(
            *(values(rows, self.name) for rows in (ours, theirs)),
            self.metric,
            lost=(diverged(ours, self.name), diverged(theirs, self.name)),
        )
        return f"{subject} {_judged(decide([both], [self.metric], label)[0], label, self.metric)}"


def _judged(one: Comparison, label: str, metric: Metric) -> str:
    said = SAYS.get(one.verdict, "is not told apart from")
    if one.interval is None:
        return f"{said} {label} ({one.reason or PENDING})"
    reason = f"; {one.reason}" if one.reason else ""
    return f"{said} {label} ({interval_text(one.interval, metric)}, {one.interval.units}{reason})"


def _rate(rows: Sequence[Row]) -> str:
    """The learning rate that rows were given, or nothing."""
    found = [
        setting.removeprefix(RATE) for row in rows for setting in row.variant if setting.startswith(RATE)
    ]
    return found[0] if found else ""


def text_table(lines: Sequence[Sequence[str]]) -> str:
    """Lines in columns for a terminal."""
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def markdown_table(lines: Sequence[Sequence[str]]) -> str:
    """Lines as a table of Markdown."""
    rows = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([rows[0], "|" + " :-- |" * len(lines[0]), *rows[1:]])


def best_rate(rows: Mapping[str, Sequence[Row]], name: str) -> str | None:
    """Of learning rates and their rows the one with the best mean of metric `name`; None where all diverged."""
    metric = metric_named(name)
    means = {}
    for rate, own in rows.items():
        known = values(own, name)
        if known and not diverged(own, name):
            scale = [float(metric.transform(value)) for value in known.values()]
            means[rate] = metric.better_sign * sum(scale) / len(scale)
    return max(means, key=means.__getitem__) if means else None
