"""A table of results as a grid of cells and as records for CSV, and both written to files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.criteria import CRITERIA
from experiments.reporting.metrics import CONTROL, PARAMETERIZATIONS, column_label, rival_label
from experiments.reporting.statistics import Summary, interval_text
from experiments.reporting.tables import renderers
from experiments.reporting.tables.grid import Cell, Grid, csv_text
from experiments.reporting.tables.summary import summary
from experiments.reporting.tables.table import Entry, Table, TableLine
from experiments.reporting.verdicts import BETTER, EQUIVALENT, PENDING, UNDECIDED, VERDICTS, WORSE

LEGEND = (
    "Each cell is ours, with the paper's number in parentheses; the best of the paper's four columns is bold. "
    f"Intervals are {100 * CRITERIA.level:g} % intervals of RWF against a column, paired, over items and seeds."
)
LEGEND_VERDICT = (
    " Verdicts are corrected for the number of rows (Holm); equivalent: the difference is shown to be below "
    f"{CRITERIA.margins['dB']:g} dB or a factor of {CRITERIA.margins['error']:g}; one seed decides nothing."
)
LEGEND_RATIO = " Errors (1 − IoU for IoU) and rates are compared as ratios."
LEGEND_SPREAD = " ± is the standard deviation over items or, for a single item, within it or over seeds."
LEGEND_PUBLISHED = " Ours are your own runs; what the project has published for the same profile is below."
LEGEND_MEDIAN = " The median is over the test functions of one trained network, averaged over seeds."
KEY = "ours above, the paper's in parentheses below, * best of the four"
WORDS = {
    BETTER: "better than",
    EQUIVALENT: "equivalent to",
    WORSE: "worse than",
    UNDECIDED: "undecided against",
    PENDING: "pending against",
}


def write_all(table: Table, folder: Path) -> list[Path]:
    """Write `<name>.md`, `.csv` and `.tex` into `folder`; return their paths."""
    return renderers.write_all(grid(table), csv_of(table), folder)


def markdown(table: Table) -> str:
    """GitHub Markdown."""
    return renderers.markdown(grid(table))


def terminal(table: Table) -> str:
    """Aligned plain text; a table with verdicts ends with them: a line for each row, then their counts."""
    if not table.verdict:
        return renderers.terminal(grid(table), KEY)
    return f"{renderers.terminal(replace(grid(table), below=()), KEY)}\n{renderers.terminal(verdict_grid(table))}"


def verdict_grid(table: Table) -> Grid:
    """The verdicts of a table: a row for each line, a column for each that RWF is compared with."""
    rivals = [name for name in (*PARAMETERIZATIONS, CONTROL) if name != "rwf" and name in table.columns]
    return Grid(
        name=f"{table.name}_verdicts",
        heading="RWF against",
        caption="",
        head=("", *map(rival_label, rivals)),
        numbers=frozenset(),
        rows=tuple((Cell(line.label), *(_verdict(line, name) for name in rivals)) for line in table.lines),
        below=tuple(summary(table)),
    )


def _verdict(line: TableLine, rival: str) -> Cell:
    one = line.comparisons[rival]
    size = "" if one.interval is None else interval_text(one.interval, line.metric).partition(" [")[0]
    return Cell(f"{one.verdict} {size}".strip(), tone=one.verdict)


def grid(table: Table) -> Grid:
    """The cells of a table: ours above the paper's, RWF against Plain and the control, the verdicts, the notes."""
    columns = [column_label(name) for name in table.columns]
    compared = [name for name in ("plain", CONTROL) if name in table.columns]
    differences = [f"RWF vs {rival_label(name)}" for name in compared]
    head = [shared_measure(table), *columns, *differences, *(["RWF is"] * table.verdict), "Notes"]
    return Grid(
        name=table.name,
        heading=heading(table),
        caption=f"{table.caption.strip()} {legend(table)}",
        head=tuple(head),
        numbers=frozenset(range(1, len(columns) + len(compared) + 1)),
        rows=tuple(_row(line, table, compared) for line in table.lines),
        below=tuple(summary(table)),
        notes=tuple(table.footnotes),
    )


def _row(line: TableLine, table: Table, compared: list[str]) -> tuple[Cell, ...]:
    place = [line.group] if shared_measure(table) else [line.group, measure(line)]
    cells = [Cell(line.label, tuple(part for part in [", ".join(filter(None, place))] if part))]
    cells += [_number(line.entries.get(name), line, table) for name in table.columns]
    cells += [_difference(line, name) for name in compared]
    if table.verdict:
        first, *others = verdict_lines(line)
        cells.append(Cell(first, tuple(others), tone=line.comparisons["plain"].verdict))
    return *cells, Cell(notes=tuple((mark.word, table.number(mark)) for mark in line.marks))


def _number(entry: Entry | None, line: TableLine, table: Table) -> Cell:
    if entry is None:
        return Cell()
    below = []
    if entry.median is not None and entry.ours is not None and table.spread:
        below.append(f"median {line.metric.text(entry.median)}")
    if entry.survivors is not None:
        below.append(f"{_mean(entry.survivors, line, table)} without those collapsed")
    if entry.paper is not None:
        spread = entry.paper.spread
        unit = line.metric.decimals
        below.append(f"({entry.paper.value:.{unit}f}" + (")" if spread is None else f" ± {spread:.{unit}f})"))
    if entry.published is not None:
        below.append(f"published {_mean(entry.published, line, table)}")
    text = _mean(entry.ours, line, table) if entry.ours else "diverged" if entry.rows else PENDING
    return Cell(text, tuple(below), entry.best, rows=tuple(entry.rows))


def _mean(summary: Summary, line: TableLine, table: Table) -> str:
    return line.metric.text(summary.mean, summary.spread if table.spread else None)


def _difference(line: TableLine, rival: str) -> Cell:
    interval = line.comparisons[rival].interval if rival in line.comparisons else None
    if interval is None:
        return Cell("–")
    centre, bracket, limits = interval_text(interval, line.metric).partition(" [")
    below = [f"[{limits}"] if bracket else []
    rows = [row for name in ("rwf", rival) for row in line.entries[name].rows]
    return Cell(centre, (*below, interval.units), rows=tuple(rows))


def verdict_lines(line: TableLine) -> list[str]:
    """The verdicts of a line, one text for each verdict with its rivals, such as "better than Plain, AA"."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, one in sorted(line.comparisons.items(), key=lambda pair: VERDICTS.index(pair[1].verdict)):
        groups.setdefault((one.verdict, one.reason), []).append(rival_label(name))
    if len(groups) == 1 and {verdict for verdict, _ in groups} <= {UNDECIDED, PENDING}:
        ((verdict, reason),) = groups
        return [verdict + (f" ({reason})" if reason else "")]
    return [
        f"{WORDS[verdict]} {', '.join(rivals)}" + (f" ({reason})" if reason else "")
        for (verdict, reason), rivals in groups.items()
    ]


def heading(table: Table) -> str:
    """Number and title, such as "Table 6: Natural images"; of a study, its name."""
    kind, _, number = table.name.partition("_")
    return f"{kind.capitalize()} {number}: {table.title}"


def measure(line: TableLine) -> str:
    """What a line measures, such as "PSNR, dB ↑"."""
    unit = f", {line.metric.unit}" if line.metric.unit else ""
    return f"{line.metric.label}{unit} {'↑' if line.metric.higher_is_better else '↓'}"


def shared_measure(table: Table) -> str:
    """What the whole table measures, empty where its lines differ."""
    measures = {measure(line) for line in table.lines}
    return measures.pop() if len(measures) == 1 else ""


def legend(table: Table) -> str:
    """How to read the table."""
    ratio = any(line.metric.ratio for line in table.lines)
    median = table.spread and any(e.median is not None for line in table.lines for e in line.entries.values())
    parts = (LEGEND_RATIO * ratio, LEGEND_VERDICT * table.verdict, LEGEND_SPREAD * table.spread)
    return LEGEND + "".join(parts) + LEGEND_MEDIAN * median + LEGEND_PUBLISHED * table.beside


def csv_of(table: Table) -> str:
    """One line for each cell of the table (parameterization in a line), raw numbers in stored units.

    The comparison in a line is that of RWF with its parameterization, on the metric's scale of comparison.
    """
    return csv_text(
        [
            {"table": table.name, "group": line.group, "label": line.label, "metric": line.metric.label}
            | {
                "parameterization": name,
                **_measured(line, name),
                **_published(line, name, table),
                **_compared(line, name),
                **_source(line, name),
            }
            for line in table.lines
            for name in table.columns
            if name in line.entries
        ]
    )


def _measured(line: TableLine, name: str) -> Mapping[str, Any]:
    entry = line.entries[name]
    ours, left = entry.ours, entry.survivors
    in_stored_units = lambda value: None if value is None else f"{value / line.metric.scale:.6g}"  # noqa: E731
    return {
        "paper": in_stored_units(entry.paper and entry.paper.value),
        "paper_spread": in_stored_units(entry.paper and entry.paper.spread),
        "ours": ours and ours.mean,
        "spread": ours and ours.spread,
        "median": entry.median,
        "items": ours and ours.items,
        "seeds": ours and ours.seeds,
        "diverged": entry.diverged,
        "collapsed": len(entry.collapsed),
        "ours_without_collapsed": left and left.mean,
        "best": entry.best if name in PARAMETERIZATIONS else None,
    }


def _published(line: TableLine, name: str, table: Table) -> Mapping[str, Any]:
    published = line.entries[name].published
    return {"published": published and published.mean} if table.beside else {}


def _compared(line: TableLine, name: str) -> Mapping[str, Any]:
    names = ("difference", "low", "high", "common_items", "common_seeds", "common_pairs", "p", "p_holm")
    names += ("p_equivalence", "p_equivalence_holm", "verdict", "reason")
    if name not in line.comparisons:
        return dict.fromkeys(names)
    one = line.comparisons[name]
    part = ("mean", "low", "high", "items", "seeds", "pairs")
    shown = [getattr(one.interval, key) if one.interval else None for key in part]
    tested = (one.p, one.holm[0], one.p_equivalence, one.holm[1], one.verdict, one.reason)
    return dict(zip(names, (*shown, *tested), strict=True))


def _source(line: TableLine, name: str) -> Mapping[str, Any]:
    rows = line.entries[name].rows
    names = ("profile", "reduced", "data", "stand_in", "protocol", "device_name")
    values: Any = [None] * len(names)
    if rows:
        row = rows[0]
        values = (row.profile, row.reduced, row.data["name"], row.stand_in, row.protocol, row.device_name)
    return dict(zip(names, values, strict=True)) | {"runs": " ".join(row.id for row in rows)}
