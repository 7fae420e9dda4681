"""A table as Markdown, LaTeX, CSV, and aligned plain text for the terminal."""

from __future__ import annotations

import csv
import io
import textwrap
from pathlib import Path

from experiments.files import write_text
from experiments.reporting.metrics import column_label
from experiments.reporting.statistics import interval_text
from experiments.reporting.tables.layout import aligned, tex
from experiments.reporting.tables.summary import summary
from experiments.reporting.tables.table import Entry, Table, TableLine

LEGEND = (
    "Each cell is ours, with the paper's number in parentheses; the best of each line is bold. "
    "The interval is a 95 % Student-t interval of RWF against Plain, paired by item and seed."
)
LEGEND_VERDICT = " The verdict: whether RWF is better than Plain, and than the best of the other three."
LEGEND_RATIO = " Errors (1 − IoU for IoU) and rates are compared as ratios."
LEGEND_MEDIAN = " The median is over the test functions of one trained network, averaged over seeds."
LEGEND_SPREAD = " ± is the standard deviation over items or, for a single item, within it or over seeds."


def write_all(table: Table, folder: Path) -> list[Path]:
    """Write `<name>.md`, `.csv` and `.tex` into `folder`; return their paths."""
    texts = {"md": markdown(table), "csv": csv_text(table), "tex": latex(table)}
    paths = []
    for suffix, text in texts.items():
        paths.append(Path(folder) / f"{table.name}.{suffix}")
        write_text(paths[-1], text)
    return paths


def heading(table: Table) -> str:
    """Number and title, such as "Table 6: Natural images"; of a study, its name."""
    kind, _, number = table.name.partition("_")
    return f"{kind.capitalize()} {number}: {table.title}"


def ours_text(entry: Entry, line: TableLine, table: Table) -> str:
    """Our number in a cell, or why there is none."""
    if entry.ours is None:
        return "diverged" if entry.rows else "pending"
    text = line.metric.text(entry.ours.mean, entry.ours.spread if table.spread else None)
    if entry.median is None or not table.spread:
        return text
    return f"{text}, median {line.metric.text(entry.median)}"


def paper_text(entry: Entry, line: TableLine, table: Table) -> str | None:
    """The paper's number in a cell, None where it has none."""
    if entry.paper is None:
        return None
    text = f"{entry.paper.value:.{line.metric.decimals}f}"
    return text if entry.paper.spread is None else f"{text} ± {entry.paper.spread:.{line.metric.decimals}f}"


def difference_text(line: TableLine) -> str:
    """RWF against Plain with its interval; a dash where it is not known."""
    return interval_text(line.interval, line.metric) if line.interval else "–"


def measure(line: TableLine) -> str:
    """What a line measures, such as "PSNR, dB ↑"."""
    unit = f", {line.metric.unit}" if line.metric.unit else ""
    return f"{line.metric.label}{unit} {'↑' if line.metric.higher_is_better else '↓'}"


def shared_measure(table: Table) -> str:
    """What the whole table measures, empty where its lines differ."""
    measures = {measure(line) for line in table.lines}
    return measures.pop() if len(measures) == 1 else ""


def heads(table: Table) -> list[str]:
    """The headings of all columns, the first being what the table measures."""
    columns = [column_label(name) for name in table.columns]
    return [shared_measure(table), *columns, "RWF vs Plain", *(["RWF better?"] * table.verdict), "Notes"]


def markdown(table: Table) -> str:
    """GitHub Markdown: two lines a cell, ours above the paper's; the summary and numbered footnotes below."""
    head = heads(table)
    rule = [":--", *("--:" for _ in table.columns), "--:", *([":--"] * table.verdict), ":--"]
    body = []
    group = ""
    for line in table.lines:
        if line.group != group and shared_measure(table):
            body.append([f"**{line.group}**", *([""] * (len(head) - 1))])
        group = line.group
        body.append(_markdown_line(table, line))
    rows = ["| " + " | ".join(cells) + " |" for cells in (head, rule, *body)]
    notes = [f"{number}. {text}" for number, text in enumerate(table.footnotes, 1)]
    title = f"**{heading(table)}.** {table.caption.strip()} {legend(table)}"
    return (
        "\n\n".join(part for part in (title, "\n".join(rows), *summary(table), "\n".join(notes)) if part)
        + "\n"
    )


def _markdown_line(table: Table, line: TableLine) -> list[str]:
    place = ", ".join(part for part in (line.group, measure(line)) if part)
    cells = [line.label + ("" if shared_measure(table) else f"<br><sub>{place}</sub>")]
    for name in table.columns:
        entry = line.entries.get(name)
        if entry is None:
            cells.append("")
            continue
        ours, comma, median = ours_text(entry, line, table).replace(" ± ", "±").partition(", ")
        paper = (paper_text(entry, line, table) or "").replace(" ± ", "±")
        ours = f"**{ours}**" if entry.best else ours
        ours += f"<br><sub>{median}</sub>" if comma else ""
        cells.append(f"{ours}<br>({paper})" if paper else ours)
    difference, bracket, limits = difference_text(line).partition(" [")
    cells.append(_unbroken(difference) + (f"<br>{_unbroken(bracket[1:] + limits)}" if bracket else ""))
    units = f"<br><sub>{_unbroken(line.units)}</sub>" if line.units else ""
    if table.verdict:
        cells.append(line.verdict + units)
    else:
        cells[-1] += units
    cells.append(", ".join(f"{mark.word}<sup>{table.number(mark)}</sup>" for mark in line.marks))
    return [cell.replace("|", "\\|") for cell in cells]


def _unbroken(text: str) -> str:
    """`text` with no-break spaces and hyphens, so that a narrow column does not tear it apart."""
    return text.replace(" ", "\u00a0").replace("-", "\u2011")


def legend(table: Table) -> str:
    """How to read the table, as sentences."""
    ratio = any(line.metric.ratio for line in table.lines)
    median = table.spread and any(e.median is not None for line in table.lines for e in line.entries.values())
    parts = (LEGEND_RATIO * ratio, LEGEND_VERDICT * table.verdict, LEGEND_SPREAD * table.spread)
    return LEGEND + "".join(parts) + LEGEND_MEDIAN * median


def terminal(table: Table) -> str:
    """Aligned plain text: for each line of the table, ours above the paper's; the summary below."""
    blocks = [[heads(table)]]
    for line in table.lines:
        top = [f"{line.group}: {line.label}" if line.group else line.label]
        bottom = ["" if shared_measure(table) else f"  {measure(line)}"]
        for name in table.columns:
            entry = line.entries.get(name)
            top.append("" if entry is None else ours_text(entry, line, table) + ("*" if entry.best else " "))
            paper = None if entry is None else paper_text(entry, line, table)
            bottom.append("" if paper is None else f"({paper})")
        top += [difference_text(line), *([line.verdict] * table.verdict)]
        bottom += [line.units, *([""] * table.verdict)]
        top.append(" ".join(f"{mark.word}[{table.number(mark)}]" for mark in line.marks))
        blocks.append([top, [*bottom, ""]])
    text = aligned([row for block in blocks for row in block], right=range(1, len(table.columns) + 1))
    summarised = "\n".join(textwrap.fill(sentence, 120) for sentence in summary(table))
    notes = "\n".join(f"[{number}] {note}" for number, note in enumerate(table.footnotes, 1))
    key = "ours above, the paper's in parentheses below, * best of the four"
    return "\n\n".join(part for part in (f"{heading(table)} ({key})", text, summarised, notes) if part) + "\n"


def csv_text(table: Table) -> str:
    """One line for each cell of the table (parameterization in a line), raw numbers in stored units."""
    out = io.StringIO()
    names = [
        "table",
        "group",
        "label",
        "metric",
        "parameterization",
        "paper",
        "paper_spread",
        "ours",
        "spread",
        "median",
    ]
    names += [
        "items",
        "seeds",
        "diverged",
        "profile",
        "reduced",
        "data",
        "stand_in",
        "protocol",
        "device_name",
    ]
    names += ["rwf_minus_plain", "low", "high", "n", "verdict", "runs"]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for line in table.lines:
        for name in (name for name in table.columns if name in line.entries):
            writer.writerow(
                [table.name, line.group, line.label, line.metric.label, name, *_csv_cells(line, name)]
            )
    return out.getvalue()


def _csv_cells(line: TableLine, name: str) -> list:
    entry = line.entries[name]
    scale = line.metric.scale
    paper = [None, None]
    if entry.paper:
        spread = entry.paper.spread
        paper = [f"{entry.paper.value / scale:.6g}", None if spread is None else f"{spread / scale:.6g}"]
    ours = (
        [entry.ours.mean, entry.ours.spread, entry.median, entry.ours.items, entry.ours.seeds]
        if entry.ours
        else [None] * 5
    )
    row = entry.rows[0] if entry.rows else None
    source = [None] * 6
    if row:
        source = [row.profile, row.reduced, row.data["name"], row.stand_in, row.protocol, row.device_name]
    compared = [None] * 5
    if name == "rwf" and line.interval:
        interval = line.interval
        compared = [interval.mean, interval.low, interval.high, interval.n, line.verdict]
    return [*paper, *ours, entry.diverged, *source, *compared, " ".join(row.id for row in entry.rows)]


def latex(table: Table) -> str:
    r"""A `booktabs` table with footnotes as a list below, in `\footnotesize`."""
    columns = len(table.columns) + 3 + table.verdict
    align = "l" + "r" * len(table.columns) + "r" + "l" * (1 + table.verdict)
    head = [tex(text) for text in heads(table)]
    lines = [r"\begin{table}", r"\centering", r"\footnotesize"]
    kind, _, number = table.name.partition("_")
    place = f"Table {number} of the paper" if kind == "table" else f"study {number}"
    caption = tex(f"{table.title} ({place}). {table.caption.strip()} {legend(table)}")
    lines += [rf"\caption{{{caption}}}", rf"\label{{tab:{table.name.replace('_', '-')}}}"]
    lines += [rf"\begin{{tabular}}{{{align}}}", r"\toprule", " & ".join(head) + r" \\", r"\midrule"]
    group = ""
    for line in table.lines:
        if line.group != group:
            group = line.group
            lines.append(rf"\multicolumn{{{columns}}}{{l}}{{\emph{{{tex(group)}}}}} \\")
        lines += _latex_lines(table, line)
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\medskip {tex(sentence)}" for sentence in summary(table)]
    if table.footnotes:
        notes = (rf"\textsuperscript{{{i}}}\,{tex(note)}" for i, note in enumerate(table.footnotes, 1))
        lines += [
            r"\par\medskip",
            r"\begin{minipage}{\linewidth}\raggedright",
            r" \\".join(notes),
            r"\end{minipage}",
        ]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _latex_lines(table: Table, line: TableLine) -> list[str]:
    ours, paper = (
        [tex(line.label)],
        ["" if shared_measure(table) else rf"\scriptsize {tex(measure(line))}"],
    )
    for name in table.columns:
        entry = line.entries.get(name)
        text = "" if entry is None else tex(ours_text(entry, line, table))
        ours.append(rf"\textbf{{{text}}}" if entry and entry.best else text)
        printed = None if entry is None else paper_text(entry, line, table)
        paper.append("" if printed is None else f"({tex(printed)})")
    marks = ", ".join(rf"{tex(mark.word)}\textsuperscript{{{table.number(mark)}}}" for mark in line.marks)
    ours += [tex(difference_text(line)), *([tex(line.verdict)] * table.verdict), marks]
    paper += [tex(line.units), *([""] * table.verdict), ""]
    return [" & ".join(ours) + r" \\", " & ".join(paper) + r" \\[2pt]"]
