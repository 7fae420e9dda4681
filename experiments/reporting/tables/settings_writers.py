"""A table of hyper-parameters as Markdown, LaTeX, CSV, and aligned plain text; the paper's value where it differs."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from experiments.files import write_text
from experiments.reporting.tables.layout import aligned, tex
from experiments.reporting.tables.settings import Setting, SettingsTable, written


def write_all(table: SettingsTable, folder: Path) -> list[Path]:
    """Write `<name>.md`, `.csv` and `.tex` into `folder`; return their paths."""
    paths = []
    for suffix, text in {"md": markdown(table), "csv": csv_text(table), "tex": latex(table)}.items():
        paths.append(Path(folder) / f"{table.name}.{suffix}")
        write_text(paths[-1], text)
    return paths


def heading(table: SettingsTable) -> str:
    """Number and title, such as "Table 2: Network architectures"."""
    return f"Table {table.name.split('_')[1]}: {table.title}"


def difference(table: SettingsTable) -> str:
    """How many values differ from the printed ones, as a sentence."""
    cells = [cell for _, _, cells in table.lines for cell in cells]
    count = sum(cell.note is not None for cell in cells)
    if not count:
        return f"All {len(cells)} values are the printed ones."
    return (
        f"{count} of {len(cells)} values differ{'s' * (count == 1)} from the printed ones; the notes say why."
    )


def _marked(table: SettingsTable, cell: Setting, mark: str) -> str:
    """A cell's text, with the mark of its footnote where it differs from the paper."""
    return cell.text if cell.note is None else cell.text + mark.format(table.footnotes.index(cell.note) + 1)


def markdown(table: SettingsTable) -> str:
    """GitHub Markdown, footnotes as a numbered list."""
    rows = [["Task", "Case", *table.columns], [":--", ":--", *("--:" for _ in table.columns)]]
    for group, label, cells in table.lines:
        rows.append([group, label, *(_marked(table, cell, "<sup>{}</sup>") for cell in cells)])
    grid = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    notes = "\n".join(f"{number}. {note}" for number, note in enumerate(table.footnotes, 1))
    title = f"**{heading(table)}.** {table.caption} {difference(table)}"
    return "\n\n".join(part for part in (title, grid, notes) if part) + "\n"


def terminal(table: SettingsTable) -> str:
    """Aligned plain text."""
    rows = [["Task", "Case", *table.columns]]
    for group, label, cells in table.lines:
        rows.append([group, label, *(_marked(table, cell, "[{}]") for cell in cells)])
    notes = "\n".join(f"[{number}] {note}" for number, note in enumerate(table.footnotes, 1))
    text = aligned(rows, right=range(2, len(table.columns) + 2))
    return "\n\n".join(part for part in (heading(table), text, difference(table), notes) if part) + "\n"


def csv_text(table: SettingsTable) -> str:
    """One line for each cell: ours, the paper's, and why they differ."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["table", "group", "label", "setting", "ours", "paper", "note"])
    for group, label, cells in table.lines:
        for column, cell in zip(table.columns, cells, strict=True):
            writer.writerow([table.name, group, label, column, cell.text, written(cell.printed), cell.note])
    return out.getvalue()


def latex(table: SettingsTable) -> str:
    r"""A `booktabs` table with footnotes as a list below, in `\footnotesize`."""
    caption = tex(f"{table.title} ({heading(table).split(':')[0]} of the paper). {table.caption}")
    lines = [r"\begin{table}", r"\centering", r"\footnotesize", rf"\caption{{{caption}}}"]
    lines += [rf"\label{{tab:{table.name.replace('_', '-')}}}"]
    lines += [rf"\begin{{tabular}}{{ll{'r' * len(table.columns)}}}", r"\toprule"]
    lines += [" & ".join(map(tex, ("Task", "Case", *table.columns))) + r" \\", r"\midrule"]
    last = ""
    for group, label, cells in table.lines:
        texts = [_marked(table, cell, "[{}]") for cell in cells]
        row = [tex(text) for text in ("" if group == last else group, label, *texts)]
        lines.append(" & ".join(row) + r" \\")
        last = group
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\medskip [{number}] {tex(note)}" for number, note in enumerate(table.footnotes, 1)]
    return "\n".join([*lines, r"\end{table}"]) + "\n"
