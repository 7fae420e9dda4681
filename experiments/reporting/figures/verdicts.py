"""The verdicts of a table as a picture: a row for each benchmark, a column for each that RWF is compared with."""

from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from experiments.reporting.figures import style
from experiments.reporting.metrics import CONTROL, PARAMETERIZATIONS, rival_label
from experiments.reporting.statistics import interval_text
from experiments.reporting.tables.table import Table, TableLine
from experiments.reporting.verdicts import BETTER, EQUIVALENT, PENDING, UNDECIDED, WORSE, Comparison

FILLS = {BETTER: "#9CCAE6", EQUIVALENT: "#F3E3A1", WORSE: "#F2B79B", UNDECIDED: "#FFFFFF", PENDING: "#F4F4F4"}
SIGNS = {BETTER: "▲", EQUIVALENT: "=", WORSE: "▼", UNDECIDED: "?", PENDING: ""}
EDGE, SOFT = "#888888", "#666666"


def matrix(table: Table) -> Figure:
    """Each cell has the verdict's colour and sign, the difference, and its interval, or of one seed what it is over.

    Rows that are reduced, on a stand-in or stale say so at their label.
    """
    rivals = [name for name in (*PARAMETERIZATIONS, CONTROL) if name != "rwf" and name in table.columns]
    height = 1.1 + 0.36 * len(table.lines)
    figure, axes = plt.subplots(figsize=(style.PAGE, height), layout="constrained")
    for row, line in enumerate(table.lines):
        for column, rival in enumerate(rivals):
            _cell(axes, column, row, line, line.comparisons[rival])
    axes.set_xlim(0, len(rivals))
    axes.set_ylim(len(table.lines), 0)
    heads = ["the control:\nPlain, rate × e^μ" if name == CONTROL else rival_label(name) for name in rivals]
    axes.set_xticks([n + 0.5 for n in range(len(rivals))], heads)
    axes.xaxis.tick_top()
    axes.set_yticks([n + 0.5 for n in range(len(table.lines))], [_label(line) for line in table.lines])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title("RWF against", loc="left", fontsize=9)
    legend = [
        Patch(facecolor=FILLS[name], edgecolor=EDGE, linewidth=0.5, label=f"{SIGNS[name]} {name}".strip())
        for name in FILLS
    ]
    figure.legend(handles=legend, loc="outside lower center", ncols=len(legend))
    return figure


def _cell(axes: Axes, column: int, row: int, line: TableLine, one: Comparison) -> None:
    frame = {"facecolor": FILLS[one.verdict], "edgecolor": EDGE, "linewidth": 0.5}
    axes.add_patch(Rectangle((column + 0.03, row + 0.06), 0.94, 0.88, **frame))
    middle = column + 0.5
    if one.interval is None:
        axes.text(
            middle, row + 0.5, one.reason or PENDING, ha="center", va="center", fontsize=6.5, color=SOFT
        )
        return
    centre, _, limits = interval_text(one.interval, line.metric).partition(" [")
    weight = "normal" if one.verdict == UNDECIDED else "bold"
    text = f"{SIGNS[one.verdict]} {centre}"
    axes.text(middle, row + 0.34, text, ha="center", va="center", fontsize=7.5, weight=weight)
    below = f"[{limits}, {one.interval.units}" if one.interval.general else one.interval.units
    axes.text(middle, row + 0.7, below, ha="center", va="center", fontsize=5.5, color=SOFT)


def _label(line: TableLine) -> str:
    words = [mark.word for mark in line.marks if mark.word in ("stale", "reduced", "stand-in")]
    run = any(entry.rows for entry in line.entries.values())
    scale = ", ".join(words) or ("paper's scale" if run else PENDING)
    return f"{line.label}\n({scale})"
