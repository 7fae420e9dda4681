"""Text in columns for the terminal, and text that LaTeX takes."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int]) -> str:
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


def tex(text: str) -> str:
    """`text` with what LaTeX reads as commands escaped."""
    return "".join(TEX.get(letter, letter) for letter in text)
