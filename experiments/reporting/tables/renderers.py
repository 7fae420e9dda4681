"""A grid of cells as Markdown, LaTeX, and aligned plain text for the terminal."""

from __future__ import annotations

import itertools
import textwrap
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from experiments.files import write_text
from experiments.reporting.tables.grid import Cell, Grid

TEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
}
TEX |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "×": r"$\times$", "−": r"$-$"}
TEX |= {
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "μ": r"$\mu$",
    "–": "--",
    "²": r"\textsuperscript{2}",
    "σ": r"$\sigma$",
}


def write_all(grid: Grid, csv: str, folder: Path) -> list[Path]:
    """Write `<name>.md`, `.csv` (whose text is given, as it holds more than the grid) and `.tex`; return the paths."""
    texts = {"md": markdown(grid), "csv": csv, "tex": latex(grid)}
    paths = [Path(folder) / f"{grid.name}.{suffix}" for suffix in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        write_text(path, text)
    return paths


def markdown(grid: Grid) -> str:
    """GitHub Markdown: the lines of a cell below each other, notes as a numbered list."""
    head = [list(grid.head), ["--:" if n in grid.numbers else ":--" for n in range(len(grid.head))]]
    body = [[_markdown_cell(cell, n in grid.numbers) for n, cell in enumerate(row)] for row in grid.rows]
    rows = "\n".join("| " + " | ".join(cells) + " |" for cells in head + body)
    notes = "\n".join(f"{number}. {note}" for number, note in enumerate(grid.notes, 1))
    title = f"**{grid.heading}.** {grid.caption}".rstrip() if grid.heading else ""
    return "\n\n".join(part for part in (title, rows, *grid.below, notes) if part) + "\n"


def _markdown_cell(cell: Cell, number: bool) -> str:
    lines = [f"**{cell.text}**" if cell.bold else cell.text, *cell.below]
    if number:  # a narrow column must not tear it apart
        lines = [line.replace(" ± ", "±").replace(" ", "\u00a0").replace("-", "\u2011") for line in lines]
    lines[0] += ", ".join(f"{word}<sup>{place}</sup>" for word, place in cell.notes)
    small = ("<br>{}" if number else "<br><sub>{}</sub>").format
    return (lines[0] + "".join(map(small, lines[1:]))).replace("|", "\\|")


def terminal(grid: Grid, key: str = "") -> str:
    """Aligned plain text, the best with an asterisk; `key` explains the cells and stands beside the heading."""
    starred = {n for row in grid.rows for n, cell in enumerate(row) if cell.bold or _bracketed(cell)}
    rows = [list(grid.head)]
    for row in grid.rows:
        plain = [
            replace(cell, text=cell.text + ("*" if cell.bold else " " * (n in starred)), bold=False)
            for n, cell in enumerate(row)
        ]
        lines = list(_stacked(plain, "{}[{}]", " "))
        rows += [*lines, *([[""] * len(row)] if len(lines) > 1 else [])]
    below = "\n".join(textwrap.fill(sentence, 120) for sentence in grid.below)
    notes = "\n".join(f"[{number}] {note}" for number, note in enumerate(grid.notes, 1))
    heading = f"{grid.heading} ({key})" if key else grid.heading
    return (
        "\n\n".join(part for part in (heading, aligned(rows, grid.numbers).rstrip(), below, notes) if part)
        + "\n"
    )


def _bracketed(cell: Cell) -> bool:
    """Whether the last line is in parentheses, whose end the number above leaves room for."""
    return bool(cell.below) and cell.below[-1].startswith("(")


def _stacked(row: Sequence[Cell], note: str, between: str) -> Iterator[list[str]]:
    """The lines of a row of cells, each a list of texts, with `note` as the form of a word and its number."""
    yield [cell.text + between.join(note.format(word, place) for word, place in cell.notes) for cell in row]
    yield from map(list, itertools.zip_longest(*(cell.below for cell in row), fillvalue=""))


def latex(grid: Grid) -> str:
    r"""A `booktabs` table with notes as a list below, in `\footnotesize`."""
    place, _, title = grid.heading.partition(": ")
    caption = tex(f"{title} ({place}). {grid.caption}")
    align = "".join("r" if n in grid.numbers else "l" for n in range(len(grid.head)))
    lines = [r"\begin{table}", r"\centering", r"\footnotesize", rf"\caption{{{caption}}}"]
    lines += [rf"\label{{tab:{grid.name.replace('_', '-')}}}"]
    lines += [
        rf"\begin{{tabular}}{{{align}}}",
        r"\toprule",
        " & ".join(map(tex, grid.head)) + r" \\",
        r"\midrule",
    ]
    for row in grid.rows:
        stack = list(_stacked([_escaped(cell) for cell in row], r"{}\textsuperscript{{{}}}", ", "))
        lines += [" & ".join(texts) + r" \\" for texts in stack[:-1]]
        lines.append(" & ".join(stack[-1]) + (r" \\[2pt]" if len(stack) > 1 else r" \\"))
    lines += [
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\medskip {tex(sentence)}" for sentence in grid.below),
    ]
    if grid.notes:
        notes = (rf"\textsuperscript{{{number}}}\,{tex(note)}" for number, note in enumerate(grid.notes, 1))
        lines += [
            r"\par\medskip",
            r"\begin{minipage}{\linewidth}\raggedright",
            r" \\".join(notes),
            r"\end{minipage}",
        ]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _escaped(cell: Cell) -> Cell:
    text = rf"\textbf{{{tex(cell.text)}}}" if cell.bold else tex(cell.text)
    return Cell(
        text, tuple(map(tex, cell.below)), notes=tuple((tex(word), place) for word, place in cell.notes)
    )


def tex(text: str) -> str:
    """`text` with what LaTeX reads as commands escaped."""
    return "".join(TEX.get(letter, letter) for letter in text)


def aligned(rows: Sequence[Sequence[str]], right: Collection[int]) -> str:
    """Rows of cells as lines of one width a column, a rule below the first; columns in `right` end together."""
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = []
        for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
            padding = " " * (width - _width(cell))
            cells.append(padding + cell if column in right else cell + padding)
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "-" * max(len(line) for line in lines))
    return "\n".join(lines)


def _width(text: str) -> int:
    """Columns that `text` takes in a terminal."""
    return sum(0 if unicodedata.combining(letter) else 1 for letter in text)
