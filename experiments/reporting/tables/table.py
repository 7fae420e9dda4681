"""From result rows and a description to the table: paper and ours side by side, compared, with marks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from experiments.config.protocols import protocol_of
from experiments.criteria import CRITERIA
from experiments.metrics import Metric
from experiments.records import Row
from experiments.reporting import selection
from experiments.reporting.metrics import (
    CONTROL,
    PARAMETERIZATIONS,
    column_label,
    metric_named,
    rival_label,
)
from experiments.reporting.statistics import Interval, Summary, summarise
from experiments.reporting.tables.specs import Line, Printed, TableSpec
from experiments.reporting.verdicts import Comparison, against_each, compare, decide

FURTHER = "Columns after RWF are not the paper's; they take no part in what is bold."
CONTROL_CAPTION = (
    "“Plain, rate × e^μ” is the control, which the paper lacks: Plain with its learning rate multiplied by e^μ, "
    "μ being the mean of RWF."
)


@dataclass(frozen=True)
class Entry:
    """One parameterization in one line: the paper's number, our rows and their summary.

    `ours` is None where there are no rows (pending) or none of them has a finite value (diverged). `collapsed` are
    the (item, seed) that collapsed, which `ours` holds; where a column of the line has some, `survivors` is over those
    that collapsed in no column, so that its means are of the same runs. `median` is over the test
    functions within a run, averaged over seeds, where the runs state it. `published` is what the project publishes
    for it, where `rows` are a user's own.
    """

    paper: Printed | None
    rows: Sequence[Row]
    ours: Summary | None
    diverged: int = 0
    best: bool = False
    paper_best: bool = False
    median: float | None = None
    collapsed: Sequence[tuple[str, int]] = ()
    survivors: Summary | None = None
    published: Summary | None = None


@dataclass(frozen=True)
class Mark:
    """A word in the notes of a line, explained once below the table."""

    word: str
    explanation: str


@dataclass(frozen=True)
class TableLine:
    """One line; `comparisons` are those of RWF with each other column, with verdicts where the table has them."""

    group: str
    label: str
    metric: Metric
    entries: Mapping[str, Entry]
    comparisons: Mapping[str, Comparison]
    marks: Sequence[Mark]

    @property
    def interval(self) -> Interval | None:
        """RWF against Plain."""
        return self.comparisons["plain"].interval

    @property
    def units(self) -> str:
        """What the interval of RWF against Plain is over, such as "3 seeds"."""
        return "" if self.interval is None else self.interval.units

    @property
    def against_others(self) -> str:
        """The verdict on RWF against the paper's three others: against each of them."""
        return against_each(self.comparisons[name].verdict for name in PARAMETERIZATIONS if name != "rwf")


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

    @property
    def beside(self) -> bool:
        """Whether published values stand beside a user's own."""
        return any(entry.published for line in self.lines for entry in line.entries.values())

    def number(self, mark: Mark) -> int:
        """The number of the footnote that explains a mark, from 1."""
        return self.footnotes.index(_footnote(mark)) + 1


def build(spec: TableSpec, rows: Iterable[Row], published: Iterable[Row] = ()) -> Table:
    """The table of a description with the numbers of `rows`; lines without rows are marked pending.

    With `published`, `rows` are a user's own: a line without any has the published numbers, marked as such, and
    in the others those of the same profile stand beside one's own.
    """
    rows, published = list(rows), list(published)
    lines = _judged([_own_or_published(line, rows, published, spec) for line in spec.rows])
    columns = list(dict.fromkeys([*spec.columns, *(name for line in lines for name in line.entries)]))
    footnotes = list(dict.fromkeys(_footnote(mark) for line in lines for mark in line.marks))
    further = [FURTHER] if len(columns) > len(PARAMETERIZATIONS) else []
    control = [CONTROL_CAPTION] if CONTROL in columns else []
    caption = " ".join([spec.caption.strip(), *further, *control])
    return Table(spec.name, spec.title, caption, columns, lines, spec.spread, spec.verdict, footnotes)


def _own_or_published(
    line: Line, rows: Sequence[Row], published: Sequence[Row], spec: TableSpec
) -> TableLine:
    own = selection.choose(rows, line)
    if own.any is None:
        choice = selection.choose(published, line)
        built = _line(line, choice, spec)
        mark = [Mark("published", "by the project; nothing of your own")] if choice.any else []
        return replace(built, marks=[*mark, *built.marks])
    built = _line(line, own, spec)
    same = [row for row in published if row.profile == own.any.profile]
    alike = [row for row in same if (row.reduced, row.data) == (own.any.reduced, own.any.data)]
    choice = selection.choose(alike, line)
    if choice.any is None:
        choice = selection.choose(same, line)
    if choice.any is None:
        return built
    beside = {name: _entry(line, name, rows).ours for name, rows in choice.rows.items()}
    nothing = Entry(None, (), None)
    entries = {
        name: replace(built.entries.get(name, nothing), published=beside.get(name))
        for name in dict.fromkeys([*built.entries, *choice.rows])
    }
    return replace(built, entries=entries, marks=[*built.marks, _beside_mark(choice, own.any)])


def _beside_mark(choice: selection.Choice, own: Row) -> Mark:
    """Of how many seeds the published values are, and in what they differ from one's own."""
    seeds = len({row.seed for rows in choice.rows.values() for row in rows})
    row = choice.any
    differences = [row.data["name"]] if row.data != own.data else []
    differences += [row.reduced or "nothing reduced"] if row.reduced != own.reduced else []
    text = f"published values are of {seeds} seed{'s' * (seeds > 1)}, {row.device_name}"
    return Mark("beside", "; with ".join([text, *differences]))


def _line(line: Line, choice: selection.Choice, spec: TableSpec) -> TableLine:
    metric = metric_named(line.metric)
    names = dict.fromkeys([*spec.columns, *choice.rows])
    entries = {name: _entry(line, name, choice.rows.get(name, ())) for name in names}
    entries = _with_survivors(_with_best(entries, line.metric), line.metric)
    comparisons = {name: _comparison(entries, name, line.metric) for name in names if name != "rwf"}
    marks = _marks(line, choice, entries, spec)
    return TableLine(line.group, line.label, metric, entries, comparisons, marks)


def _judged(lines: Sequence[TableLine]) -> list[TableLine]:
    """The lines with verdicts, those on one rival corrected for the number of lines."""
    rivals = dict.fromkeys(name for line in lines for name in line.comparisons)
    found: list[dict[str, Comparison]] = [{} for _ in lines]
    metrics = [line.metric for line in lines]
    for name in rivals:
        own = [line.comparisons.get(name, Comparison()) for line in lines]
        for verdicts, one in zip(found, decide(own, metrics, rival_label(name)), strict=True):
            verdicts[name] = one
    return [replace(line, comparisons=own) for line, own in zip(lines, found, strict=True)]


def _entry(line: Line, name: str, rows: Sequence[Row]) -> Entry:
    values = selection.values(rows, line.metric)
    ours = summarise(values) if values else None
    spread, median = (selection.inner(rows, line.metric, what) for what in ("std", "median"))
    if ours is not None and ours.items == 1 and spread is not None:
        ours = replace(ours, spread=spread)
    return Entry(
        paper=line.paper.get(name),
        rows=rows,
        ours=ours,
        diverged=len(selection.diverged(rows, line.metric)),
        median=median,
        collapsed=selection.collapsed(rows, line.metric),
    )


def _with_survivors(entries: Mapping[str, Entry], metric: str) -> dict[str, Entry]:
    lost = {pair for entry in entries.values() for pair in entry.collapsed}
    left = {name: selection.values(entry.rows, metric) for name, entry in entries.items() if lost}
    return {
        name: replace(entry, survivors=_summary(left.get(name, {}), lost)) for name, entry in entries.items()
    }


def _summary(values: Mapping[tuple[str, int], float], lost: set[tuple[str, int]]) -> Summary | None:
    kept = {pair: value for pair, value in values.items() if pair not in lost}
    return summarise(kept) if kept else None


def _with_best(entries: Mapping[str, Entry], name: str) -> dict[str, Entry]:
    """Mark the best of the four columns, ours and the paper's; ties in the shown decimals are all best.

    Ours are compared over the (item, seed) that all columns with rows were run for. A column that diverged in one of
    them has no mean over them and is not best.
    """
    metric = metric_named(name)
    sign = 1 if metric.higher_is_better else -1
    run = {column: entries[column].rows for column in PARAMETERIZATIONS if entries[column].rows}
    common = set.intersection(*(selection.pairs(rows, name) for rows in run.values())) if run else set()
    ours = {}
    for column, rows in run.items():
        values = selection.values(rows, name)
        if common and common <= values.keys():
            mean = summarise({pair: values[pair] for pair in common}).mean
            ours[column] = sign * float(metric.text(mean))
    paper = {column: sign * entry.paper.value for column, entry in entries.items() if entry.paper}
    return {
        column: replace(
            entry,
            best=len(ours) > 1 and ours.get(column) == max(ours.values()),
            paper_best=bool(paper) and paper.get(column) == max(paper.values()),
        )
        for column, entry in entries.items()
    }


def _comparison(entries: Mapping[str, Entry], rival: str, metric: str) -> Comparison:
    rows = entries["rwf"].rows, entries[rival].rows
    if not all(rows):
        return Comparison()
    first, second = (selection.values(own, metric) for own in rows)
    lost = selection.diverged(rows[0], metric), selection.diverged(rows[1], metric)
    return compare(first, second, metric_named(metric), lost)


def _footnote(mark: Mark) -> str:
    return f"{mark.word}: {mark.explanation}"


def _marks(line: Line, choice: selection.Choice, entries: Mapping[str, Entry], spec: TableSpec) -> list[Mark]:
    marks = []
    row = choice.any
    pending = [column_label(name) for name in spec.columns if name not in choice.rows]
    if row is not None:
        if pending:
            marks.append(Mark("pending", f"not run yet: {', '.join(pending)}"))
        marks += source_marks(row)
        if line.metric == selection.RATE:
            marks.append(Mark("device", f"{row.device_name}, {row.precision}"))
    marks += _losses(line, entries)
    if len({frozenset(selection.pairs(rows, line.metric)) for rows in choice.rows.values()}) > 1:
        marks.append(
            Mark(
                "uneven",
                "the columns differ in items or seeds; bold and differences are over the common ones",
            )
        )
    if spec.verdict and line.paper and not entries["rwf"].paper_best:
        marks.append(Mark("paper", "RWF is not the best of the paper's own four numbers here"))
    if line.note:
        marks.append(Mark("note", line.note))
    return marks


def _losses(line: Line, entries: Mapping[str, Entry]) -> list[Mark]:
    """Marks for runs that diverged, which have no value, and that collapsed, which have one."""
    marks = []
    run = {name: entry for name, entry in entries.items() if entry.rows}
    of = {name: len(selection.pairs(entry.rows, line.metric)) for name, entry in run.items()}
    lost = [
        f"{column_label(name)} {entry.diverged} of {of[name]}"
        for name, entry in run.items()
        if entry.diverged
    ]
    if lost:
        marks.append(
            Mark("diverged", ", ".join(lost) + "; in no mean, and counted against the one that lost it")
        )
    gone = [
        f"{column_label(name)} {len(entry.collapsed)} of {of[name]} ({_named(entry)})"
        for name, entry in run.items()
        if entry.collapsed
    ]
    if gone:
        rule = (
            f"last training loss above {CRITERIA.collapse:g} times the smallest; means and differences hold them, "
            "the second mean is over what no column lost"
        )
        marks.append(Mark("collapsed", f"{', '.join(gone)}: {rule}"))
    return marks


def _named(entry: Entry) -> str:
    seeds = len({row.seed for row in entry.rows}) > 1
    return ", ".join(f"{item}, seed {seed}" if seeds else item for item, seed in entry.collapsed)


def source_marks(row: Row) -> list[Mark]:
    """Marks for what makes a row differ from the paper's setting: its protocol, profile, data and precision."""
    marks = []
    current = protocol_of(row.experiment)
    if row.protocol != current:
        marks.append(Mark("stale", f"made under protocol {row.protocol}, now {current}; run again"))
    if row.reduced:
        marks.append(Mark("reduced", f"profile {row.profile}: {row.reduced}"))
    if row.stand_in:
        marks.append(Mark("stand-in", f"{row.data['name']} in place of {row.stand_in}"))
    if row.precision != "float32":
        word = row.precision.replace("tensorfloat32", "TF32").replace("bfloat16", "bf16").replace("_", " ")
        marks.append(
            Mark(word, f"computed in {word} on {row.device_name}; in float32 the numbers may differ")
        )
    return marks
