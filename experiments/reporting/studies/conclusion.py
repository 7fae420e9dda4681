"""What a study shows, in words that follow from its rows by one rule.

Each choice is compared with the first, the reading taken elsewhere, by paired 95 % intervals over the
units (items, or seeds where there is one item). A difference is stated as one where its interval
excludes zero, and called undecided otherwise; a single unit decides nothing. RWF's advantage is its
difference from Plain within a choice; whether it differs between choices is asked of the difference
of the two, unit by unit. Levels are set beside the paper's only to say which choice is nearest; where runs are
smaller than the paper's, or on other data, that is said to decide nothing. The rule has no view on who wins.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from experiments.reporting import selection
from experiments.reporting.metrics import PARAMETERIZATIONS, Metric
from experiments.reporting.statistics import (
    FAILS,
    HOLDS,
    UNDECIDED,
    Interval,
    Values,
    interval_text,
    paired_interval,
    verdict,
)
from experiments.reporting.studies.study import Study
from experiments.reporting.tables.table import Table, TableLine

CHANGE = {HOLDS: "better", FAILS: "worse", UNDECIDED: "undecided"}
ADVANTAGE = {HOLDS: "larger", FAILS: "smaller", UNDECIDED: "not told apart"}
SOURCE = ("reduced", "stand-in")


def conclusion(study: Study, table: Table) -> list[str]:
    """One sentence or two for each choice after the first, then what holds overall; Markdown."""
    first, *others = table.lines
    done = [line for line in others if _complete(line)]
    if not _complete(first) or not done:
        return ["Pending: its runs are not there yet.", *_nearest(study, table.lines)]
    comparisons = [_Comparison.of(first, line) for line in done]
    decided = [f"“{c.line.label}”" for c in comparisons if c.decided]
    head = (
        f"The choice changes the numbers: {_listed(decided)} against “{first.label}”."
        if decided
        else f"Undecided: nothing tells another choice from “{first.label}”{_common_units([first, *done])}."
    )
    sentences = [f"**{head}**", *(comparison.text() for comparison in comparisons)]
    sentences.append(_claims([first, *done]))
    nearest = _nearest(study, [first, *done])
    pending = [f"“{line.label}”" for line in others if line not in done]
    return [*sentences, *nearest, *([f"Pending: {_listed(pending)}."] if pending else [])]


@dataclasses.dataclass(frozen=True)
class _Comparison:
    """A choice against the first: the columns compared, and RWF's advantage."""

    first: TableLine
    line: TableLine
    columns: dict[str, Interval]
    advantage: Interval | None

    @classmethod
    def of(cls, first: TableLine, line: TableLine) -> _Comparison:
        metric = line.metric
        changed = [name for name in PARAMETERIZATIONS if not _same_runs(first, line, name)]
        shown = [name for name in changed if name in ("plain", "rwf")] or changed
        columns = {}
        for name in shown:
            interval = paired_interval(_values(line, name), _values(first, name), metric)
            if interval is not None:
                columns[name] = interval
        linear = dataclasses.replace(metric, transform=np.asarray)
        advantage = None
        if {"plain", "rwf"} & set(changed):
            advantage = paired_interval(_advantage(line), _advantage(first), linear)
        return cls(first, line, columns, advantage)

    @property
    def verdicts(self) -> dict[str, str]:
        return {name: verdict(interval, self.line.metric) for name, interval in self.columns.items()}

    @property
    def decided(self) -> bool:
        advantage = verdict(self.advantage, self.line.metric)
        return any(found != UNDECIDED for found in (*self.verdicts.values(), advantage))

    def text(self) -> str:
        metric = self.line.metric
        parts = [
            f"{PARAMETERIZATIONS[name]} {interval_text(interval, metric)} ({CHANGE[self.verdicts[name]]})"
            for name, interval in self.columns.items()
        ]
        same = [PARAMETERIZATIONS[n] for n in PARAMETERIZATIONS if _same_runs(self.first, self.line, n)]
        changes = f"“{self.line.label}”: {', '.join(parts) or 'nothing to compare'}"
        if same:
            changes += f"; the same runs for {_listed(same)}"
        if self.advantage is None:
            return f"{changes}."
        found = ADVANTAGE[verdict(self.advantage, metric)]
        before, here = (_interval(line) for line in (self.first, self.line))
        both = f"{here} here and {before} with “{self.first.label}”"
        return f"{changes}. RWF against Plain is {both}: the advantage is {found}."


def _interval(line: TableLine) -> str:
    return interval_text(line.interval, line.metric) if line.interval else "not comparable"


def _claims(lines: Sequence[TableLine]) -> str:
    """Under which choices "RWF is better than Plain" holds, fails, or stays open."""
    common = _common_units(lines)
    groups: dict[str, list[str]] = {HOLDS: [], FAILS: [], UNDECIDED: []}
    for line in lines:
        own = "" if common or not line.units else f" ({line.units})"
        groups[verdict(line.interval, line.metric)].append(f"“{line.label}”{own}")
    words = {HOLDS: "holds with", FAILS: "does not hold with", UNDECIDED: "is undecided with"}
    parts = [f"{words[key]} {_listed(labels)}" for key, labels in groups.items() if labels]
    return f"That RWF is better than Plain {'; it '.join(parts)}{common}."


def _common_units(lines: Sequence[TableLine]) -> str:
    """What the intervals of all lines count, in parentheses; empty where they count differently."""
    units = {line.units for line in lines}
    return f" ({units.pop()})" if len(units) == 1 else ""


def _nearest(study: Study, lines: Sequence[TableLine]) -> list[str]:
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


def _complete(line: TableLine) -> bool:
    return all(line.entries[name].rows for name in PARAMETERIZATIONS)


def _mean(line: TableLine) -> float:
    return line.entries["plain"].ours.mean


def _key(line: TableLine) -> tuple:
    return tuple(sorted((row.id, row.seed) for row in line.entries["plain"].rows))


def _same_runs(first: TableLine, second: TableLine, name: str) -> bool:
    ids = [{(row.id, row.seed) for row in line.entries[name].rows} for line in (first, second)]
    return ids[0] == ids[1]


def _metric_name(line: TableLine) -> str:
    return next(iter(line.entries["plain"].rows)).metric


def _values(line: TableLine, name: str) -> Values:
    return selection.values(line.entries[name].rows, _metric_name(line))


def _advantage(line: TableLine) -> dict[tuple[str, int], float]:
    """RWF minus Plain for each (item, seed), on the metric's scale of comparison."""
    metric: Metric = line.metric
    rwf, plain = _values(line, "rwf"), _values(line, "plain")
    return {
        key: float(metric.transform(rwf[key]) - metric.transform(plain[key]))
        for key in rwf.keys() & plain.keys()
    }


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
