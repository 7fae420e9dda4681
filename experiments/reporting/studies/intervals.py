"""What a study shows, as a table of intervals, and which choice comes nearest the paper.

Each choice is compared with the first, the reading taken elsewhere: the columns that it changes, RWF against Plain
under it, and RWF's advantage, its difference from Plain within a choice, against that under the first. Verdicts are
those of the tables, corrected over the choices. Levels are set beside the paper's only to say which choice is
nearest; where runs are smaller than the paper's, or on other data, that is said to decide nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from experiments.metrics import Metric
from experiments.reporting import selection
from experiments.reporting.metrics import PARAMETERIZATIONS
from experiments.reporting.statistics import Values, interval_text
from experiments.reporting.studies.study import Study
from experiments.reporting.tables.grid import Cell, Grid
from experiments.reporting.tables.table import Table, TableLine
from experiments.reporting.verdicts import (
    BETTER,
    EQUIVALENT,
    PENDING,
    UNDECIDED,
    WORSE,
    Comparison,
    compare,
    decide,
)

ADVANTAGE = {
    BETTER: "larger",
    WORSE: "smaller",
    EQUIVALENT: "the same",
    UNDECIDED: UNDECIDED,
    PENDING: PENDING,
}
SAME = "same runs"
COMMON = "the same numbers for what both have"  # more items say nothing of the others
SOURCE = ("reduced", "stand-in")


def changes(study: Study, table: Table) -> Grid:
    """Plain and RWF (where neither is changed, the columns that are) of each choice against the first.

    Choices without any run are named below.
    """
    first, *others = table.lines
    columns = _changed(first, others)
    found = {name: _against(first, others, name) for name in columns}
    advantage = _advantages(first, others)
    rows = [(Cell(first.label), *(Cell("–") for _ in columns), _own(first), Cell("–"))]
    absent = [line.label for line in others if not any(entry.rows for entry in line.entries.values())]
    for n, line in enumerate(others):
        if line.label in absent:
            continue
        cells = [_cell(found[name][n], line.metric) for name in columns]
        rows.append((Cell(line.label), *cells, _own(line), _cell(advantage[n], line.metric, ADVANTAGE)))
    against = f"against “{first.label}”"
    return Grid(
        name=f"{table.name}_changes",
        heading="",
        caption="",
        head=(
            "",
            *(f"{PARAMETERIZATIONS[name]} {against}" for name in columns),
            "RWF against Plain",
            f"RWF's advantage {against}",
        ),
        numbers=frozenset(range(1, len(columns) + 3)),
        rows=tuple(rows),
        below=(*nearest(study, table.lines), *([f"Not run yet: {'; '.join(absent)}."] if absent else [])),
    )


def _changed(first: TableLine, others: Sequence[TableLine]) -> list[str]:
    """Of the columns that some choice changes, Plain and RWF; where it changes neither, all of them."""
    names = [
        name
        for name in PARAMETERIZATIONS
        if any(line.entries[name].rows and not _same_runs(first, line, name) for line in others)
    ]
    return [name for name in names if name in ("plain", "rwf")] or names


def _against(first: TableLine, others: Sequence[TableLine], name: str) -> list[Comparison | None]:
    """A column of each choice against the first's; None where the runs are the same."""
    found = [_compared(line, first, name) for line in others]
    verdicts = decide(found, [line.metric for line in others], "the first")
    same = [_same_runs(first, line, name) and bool(first.entries[name].rows) for line in others]
    return [None if equal else one for equal, one in zip(same, verdicts, strict=True)]


def _compared(line: TableLine, first: TableLine, name: str) -> Comparison:
    rows = line.entries[name].rows, first.entries[name].rows
    if not all(rows) or _same_runs(first, line, name):
        return Comparison()
    metric = rows[0][0].metric
    ours, theirs = (selection.values(own, metric) for own in rows)
    lost = selection.diverged(rows[0], metric), selection.diverged(rows[1], metric)
    return compare(ours, theirs, line.metric, lost)


def _advantages(first: TableLine, others: Sequence[TableLine]) -> list[Comparison | None]:
    """Of each choice, RWF's difference from Plain against that under the first; None where both runs are the same."""
    found = []
    for line in others:
        linear = dataclasses.replace(line.metric, transform=np.asarray)
        complete = all(one.entries[name].rows for one in (line, first) for name in ("plain", "rwf"))
        found.append(compare(_advantage(line), _advantage(first), linear) if complete else Comparison())
    verdicts = decide(found, [line.metric for line in others], "the first")
    same = [all(_same_runs(first, line, name) for name in ("plain", "rwf")) for line in others]
    return [None if equal else one for equal, one in zip(same, verdicts, strict=True)]


def _own(line: TableLine) -> Cell:
    return _cell(line.comparisons["plain"], line.metric)


def _cell(one: Comparison | None, metric: Metric, words: dict[str, str] | None = None) -> Cell:
    """A comparison: difference, limits, what it is over, verdict."""
    if one is None:
        return Cell(SAME)
    verdict = (words or {}).get(one.verdict, one.verdict) + (f" ({one.reason})" if one.reason else "")
    if one.interval is None:
        return Cell(verdict)
    if one.interval.low == one.interval.high == 0:
        return Cell(COMMON)
    centre, bracket, limits = interval_text(one.interval, metric).partition(" [")
    return Cell(centre, (*([f"[{limits}"] if bracket else []), one.interval.units, verdict), tone=one.verdict)


def nearest(study: Study, lines: Sequence[TableLine]) -> list[str]:
    """Which choice comes nearest the paper's Plain, among those that the paper's number is of."""
    own = {choice.label for choice in study.choices if choice.paper is not None}
    lines = [line for line in lines if line.label not in own and line.entries["plain"].ours is not None]
    if not study.paper or len({_key(line) for line in lines}) < 2:
        return []
    metric = lines[0].metric
    printed = study.paper["plain"]
    best = min(lines, key=lambda line: _distance(study, line))
    ours = best.entries["plain"].ours
    unit = f" {metric.unit}" if metric.unit else ""
    paper, found = f"{printed.value:.{metric.decimals}f}", metric.text(ours.mean)
    if study.spread_counts:
        paper += f" ± {printed.spread:.{metric.decimals}f}"
        found += f" ± {metric.text(ours.spread)}"
    text = f"Nearest the paper's Plain, {paper}{unit}, is “{best.label}” with {found}{unit}"
    marks = {mark.word for line in lines for mark in line.marks} & set(SOURCE)
    if marks:
        causes = {"reduced": "the runs are smaller than the paper's", "stand-in": "the data is a stand-in"}
        text += f"; as {_listed([causes[word] for word in SOURCE if word in marks])}, that decides nothing"
    return [f"{text}."]


def _distance(study: Study, line: TableLine) -> float:
    """How far Plain is from the paper's on the metric's scale; where the spread counts, of spread over mean as well."""
    metric, printed, ours = line.metric, study.paper["plain"], line.entries["plain"].ours
    goal, mean = (metric.transform(np.array(value)) for value in (printed.value / metric.scale, ours.mean))
    distance = abs(float(mean - goal))
    if study.spread_counts:
        if not ours.spread:
            return float("inf")
        distance += abs(float(np.log(ours.spread / ours.mean) - np.log(printed.spread / printed.value)))
    return distance


def sources(table: Table) -> list[str]:
    """What makes the rows differ from the paper's setting, each once."""
    marks = [mark for line in table.lines for mark in line.marks if mark.word in SOURCE]
    return list(dict.fromkeys(f"{mark.word}: {mark.explanation}" for mark in marks))


def _key(line: TableLine) -> tuple:
    return tuple(sorted((row.id, row.seed) for row in line.entries["plain"].rows))


def _same_runs(first: TableLine, second: TableLine, name: str) -> bool:
    ids = [{(row.id, row.seed) for row in line.entries[name].rows} for line in (first, second)]
    return ids[0] == ids[1]


def _advantage(line: TableLine) -> Values:
    """RWF minus Plain for each (item, seed), on the metric's scale of comparison."""
    rwf, plain = (
        selection.values(line.entries[name].rows, line.entries[name].rows[0].metric)
        for name in ("rwf", "plain")
    )
    transform = line.metric.transform
    return {key: float(transform(rwf[key]) - transform(plain[key])) for key in rwf.keys() & plain.keys()}


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
