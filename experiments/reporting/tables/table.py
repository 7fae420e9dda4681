"""From result rows and a description to the table: paper and ours side by side, compared, with marks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from experiments.config.protocols import protocol_of
from experiments.records import Row
from experiments.reporting import selection
from experiments.reporting.metrics import CONTROL, PARAMETERIZATIONS, Metric, column_label, metric_named
from experiments.reporting.statistics import (
    PENDING,
    UNDECIDED,
    Interval,
    Summary,
    paired_interval,
    summarise,
    verdict,
)
from experiments.reporting.tables.specs import Line, Printed, TableSpec

FURTHER = "Columns after RWF are not the paper's; they take no part in what is bold or in the verdict."
CONTROL_CAPTION = (
    "“Plain, rate × e^μ” is a control that the paper lacks, where it was run: Plain with its learning rate "
    "multiplied by e^μ, μ being the mean of RWF."
)


@dataclass(frozen=True)
class Entry:
    """One parameterization in one line: the paper's number, our rows and their summary.

    `ours` is None where there are no rows (pending) or none of them has a finite value (diverged). `median` is
    over the test functions within a run, averaged over seeds, where the runs state it.
    """

    paper: Printed | None
    rows: Sequence[Row]
    ours: Summary | None
    diverged: int = 0
    best: bool = False
    paper_best: bool = False
    median: float | None = None


@dataclass(frozen=True)
class Mark:
    """A word in the notes of a line, explained once below the table."""

    word: str
    explanation: str


@dataclass(frozen=True)
class TableLine:
    group: str
    label: str
    metric: Metric
    entries: Mapping[str, Entry]
    interval: Interval | None  # RWF against Plain
    units: str  # what the interval counts
    verdict: str
    marks: Sequence[Mark]
    # RWF better than Plain, than the best of the other three, than the control
    claims: tuple[str, ...] = ("", "", "")


@dataclass(frozen=True)
class Table:
    """What the writers write. `columns` are parameterizations: the paper's four, then others that were run."""

    name: str
    title: str
    caption: str
    columns: Sequence[str]
    lines: Sequence[TableLine]
    spread: bool
    verdict: bool
    footnotes: Sequence[str] = field(default=())

    def number(self, mark: Mark) -> int:
        """The number of the footnote that explains a mark, from 1."""
        return self.footnotes.index(_footnote(mark)) + 1


def build(spec: TableSpec, rows: Iterable[Row]) -> Table:
    """The table of a description with the numbers of `rows`; lines without rows are marked pending."""
    rows = list(rows)
    lines = [_line(line, selection.choose(rows, line), spec) for line in spec.rows]
    columns = list(dict.fromkeys([*PARAMETERIZATIONS, *(name for line in lines for name in line.entries)]))
    footnotes = list(dict.fromkeys(_footnote(mark) for line in lines for mark in line.marks))
    further = [FURTHER] if len(columns) > len(PARAMETERIZATIONS) else []
    control = [CONTROL_CAPTION] if CONTROL in columns else []
    caption = " ".join([spec.caption.strip(), *further, *control])
    return Table(spec.name, spec.title, caption, columns, lines, spec.spread, spec.verdict, footnotes)


def _line(line: Line, choice: selection.Choice, spec: TableSpec) -> TableLine:
    metric = metric_named(line.metric)
    names = dict.fromkeys([*PARAMETERIZATIONS, *choice.rows])
    entries = _with_best({name: _entry(line, name, choice.rows.get(name, ())) for name in names}, metric)
    values = {name: selection.values(rows, line.metric) for name, rows in choice.rows.items()}
    interval = (
        paired_interval(values["rwf"], values["plain"], metric) if {"plain", "rwf"} <= values.keys() else None
    )
    claims = _claims(entries, values, metric) if spec.verdict else ("", "", "")
    return TableLine(
        group=line.group,
        label=line.label,
        metric=metric,
        entries=entries,
        interval=interval,
        units=_units(interval, values),
        verdict=_verdict(claims, entries, metric) if spec.verdict else "",
        marks=_marks(line, choice, entries, metric, spec),
        claims=claims,
    )


def _entry(line: Line, name: str, rows: Sequence[Row]) -> Entry:
    values = selection.values(rows, line.metric)
    ours = summarise(values) if values else None
    spread, median = (selection.inner(rows, line.metric, what) for what in ("std", "median"))
    if ours is not None and ours.items == 1 and spread is not None:
        ours = Summary(ours.mean, spread, ours.items, ours.seeds)
    return Entry(line.paper.get(name), rows, ours, selection.diverged(rows, line.metric), median=median)


def _with_best(entries: dict[str, Entry], metric: Metric) -> dict[str, Entry]:
    """Mark the best of the four columns, ours and the paper's; ties in the shown decimals are all best."""
    sign = 1 if metric.higher_is_better else -1
    ours = {
        name: sign * float(metric.text(entries[name].ours.mean))
        for name in PARAMETERIZATIONS
        if entries[name].ours
    }
    paper = {name: sign * entry.paper.value for name, entry in entries.items() if entry.paper}
    return {
        name: replace(
            entry,
            best=len(ours) > 1 and ours.get(name) == max(ours.values()),
            paper_best=bool(paper) and paper.get(name) == max(paper.values()),
        )
        for name, entry in entries.items()
    }


def _units(interval: Interval | None, values: Mapping[str, selection.Values]) -> str:
    if interval is None:
        return ""
    pairs = values["rwf"].keys() & values["plain"].keys()
    items, seeds = {item for item, _ in pairs}, {seed for _, seed in pairs}
    if len(items) == 1:
        return f"n = {len(seeds)} seed{'s' if len(seeds) > 1 else ''}"
    return f"n = {len(items)} items" + (f", {len(seeds)} seeds each" if len(seeds) > 1 else "")


def _claims(
    entries: Mapping[str, Entry], values: Mapping[str, selection.Values], metric: Metric
) -> tuple[str, ...]:
    """Verdicts on "RWF is better than": Plain, the best of the other three, and the control where it was run."""
    if any(not entries[name].rows for name in PARAMETERIZATIONS):
        return PENDING, PENDING, PENDING
    control = UNDECIDED if values.get(CONTROL) else PENDING
    if entries["rwf"].diverged or entries["plain"].ours is None:
        return UNDECIDED, UNDECIDED, control
    rivals = ["plain", _best_other(entries, metric), *([CONTROL] if control == UNDECIDED else [])]
    intervals = (paired_interval(values["rwf"], values[rival], metric) for rival in rivals)
    found = [verdict(interval, metric) for interval in intervals]
    return tuple(found + [PENDING] * (3 - len(found)))


def _best_other(entries: Mapping[str, Entry], metric: Metric) -> str:
    sign = 1 if metric.higher_is_better else -1
    others = [name for name in PARAMETERIZATIONS if name != "rwf" and entries[name].ours is not None]
    return max(others, key=lambda name: sign * entries[name].ours.mean)


def _verdict(claims: tuple[str, ...], entries: Mapping[str, Entry], metric: Metric) -> str:
    """Both claims in words: one word where they agree."""
    first, second, _ = claims
    if first == PENDING:
        return PENDING
    if entries["rwf"].diverged:
        return f"{UNDECIDED} (RWF diverged)"
    if entries["plain"].ours is None:
        return f"{UNDECIDED} (Plain diverged)"
    if second == first:
        return first
    return f"{first} against Plain, {second} against {PARAMETERIZATIONS[_best_other(entries, metric)]}"


def _footnote(mark: Mark) -> str:
    return f"{mark.word}: {mark.explanation}"


def _marks(
    line: Line, choice: selection.Choice, entries: Mapping[str, Entry], metric: Metric, spec: TableSpec
) -> list[Mark]:
    marks = []
    row = choice.any
    pending = [label for name, label in PARAMETERIZATIONS.items() if name not in choice.rows]
    if row is not None:
        if pending:
            marks.append(Mark("pending", f"not run yet: {', '.join(pending)}"))
        marks += source_marks(row)
        if line.metric == selection.RATE:
            marks.append(Mark("device", f"{row.device_name}, {row.precision}"))
    lost = {name: entry.diverged for name, entry in entries.items() if entry.diverged}
    if lost:
        counts = (
            f"{column_label(name)} {n} of {_count(entries[name].rows, line.metric)}"
            for name, n in lost.items()
        )
        marks.append(Mark("diverged", ", ".join(counts) + "; left out of means and differences"))
    shapes = {frozenset((item, r.seed) for r in rows for item in r.items) for rows in choice.rows.values()}
    if len(shapes) > 1:
        marks.append(Mark("uneven", "the columns differ in items or seeds; differences use the common ones"))
    if spec.verdict and line.paper and not entries["rwf"].paper_best:
        marks.append(Mark("paper", "RWF is not the best of the paper's own four numbers here"))
    if line.note:
        marks.append(Mark("note", line.note))
    return marks


def source_marks(row: Row) -> list[Mark]:
    """Marks for what makes a row differ from the paper's setting: its protocol, profile and data."""
    marks = []
    current = protocol_of(row.experiment)
    if row.protocol != current:
        marks.append(Mark("stale", f"made under protocol {row.protocol}, now {current}; run again"))
    if row.reduced:
        marks.append(Mark("reduced", f"profile {row.profile}: {row.reduced}"))
    if row.stand_in:
        marks.append(Mark("stand-in", f"{row.data['name']} in place of {row.stand_in}"))
    return marks


def _count(rows: Sequence[Row], metric: str) -> int:
    return sum(len(row.metrics[metric]) for row in rows)
