"""Descriptions of figures in configs/paper/figure_*.yaml, and the way from runs to files."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from experiments.files import Arrays, write_atomically, write_text
from experiments.records import Cell
from experiments.reporting.figures import style
from experiments.reporting.loading import Drawn, Group, Records, Run, find
from experiments.reporting.tables import specs
from experiments.reporting.tables import table as tables
from experiments.validation import FILE, validated

PUBLISHED = "Drawn from the published runs."


@dataclasses.dataclass(frozen=True)
class Drawing:
    """The function that draws, and what its module says of the runs that it needs and of what it reads of them."""

    draw: Callable[..., Figure]
    needs: tuple[str, ...]  # what a run must have beside its row: "predictions", "curves"
    reads: Callable[[Drawn], Iterable[tuple[Run, Arrays]]]


def _drawing(content: dict[str, Any]) -> Drawing:
    """What stands at `_target_`, with the settings beside it."""
    module, _, name = content.pop("_target_").rpartition(".")
    try:
        found = importlib.import_module(module)
        draw = functools.partial(getattr(found, name), **content)
    except (ImportError, AttributeError) as error:
        raise ValueError(str(error)) from error
    reads = getattr(found, "reads", None)
    return Drawing(
        draw, getattr(found, "NEEDS", ()), functools.partial(reads, **content) if reads else _nothing
    )


def _nothing(drawn: Drawn) -> Iterable[tuple[Run, Arrays]]:
    return ()


@dataclass(frozen=True, config=FILE)
class FigureSpec:
    """One figure: its groups of cells by name, and the function that draws them, with its settings."""

    name: str
    title: str
    caption: str
    drawing: Annotated[Any, AfterValidator(_drawing)] = Field(alias="draw")
    groups: dict[str, Group] = Field(alias="cells", default_factory=dict)

    @property
    def draw(self) -> Callable[..., Figure]:
        """The function that draws the groups."""
        return self.drawing.draw

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(dict.fromkeys(cell for group in self.groups.values() for cell in group.cells))

    def covered(self, runs: Iterable[Run]) -> int:
        """How many of the cells have a run with all that the figure needs of it."""
        cells, found = set(self.cells), set()
        for run in runs:
            cell = run.row.cell
            if cell in cells - found and all(getattr(run, need) for need in self.drawing.needs):
                found.add(cell)
        return len(found)


def figure_spec(name: str) -> FigureSpec:
    """The description of a figure. Raises ValueError that names the file and the key at fault."""
    return validated(FigureSpec, {"name": name, **specs.read(name)}, f"{name}.yaml")


def own_or_published(spec: FigureSpec, records: Records) -> tuple[Sequence[Run], list[str]]:
    """The runs to draw a figure from, and a sentence where they are not the user's own.

    They are the published ones where these have more of its cells than the user's own.
    """
    own, published = spec.covered(records.own), spec.covered(records.published)
    return (records.published, [PUBLISHED]) if published > own else (records.own, [])


def draw(spec: FigureSpec, runs: Iterable[Run], origin: Sequence[str] = ()) -> tuple[Figure, str]:
    """The figure and its caption, from whatever runs there are. Close the figure after use.

    `origin`: sentences on where the runs are from.
    """
    runs = list(runs)
    groups = {key: find(group, runs) for key, group in spec.groups.items()}
    remarks = [*origin, *_remarks(groups)]
    with style.look():
        figure = spec.draw(groups)
        if remarks:
            width = int(figure.get_figwidth() * 22)
            text = textwrap.fill(" ".join(remarks), width)
            figure.supxlabel(text, fontsize=6.5, color="#555555", x=0.01, ha="left")
    number = spec.name.split("_")[1]
    caption = f"**Figure {number}: {spec.title}.** {spec.caption.strip()}"
    return figure, " ".join([caption, *remarks])


def _remarks(groups: Mapping[str, Drawn]) -> list[str]:
    """What makes the runs differ from the paper's setting, and what is missing, as sentences."""
    remarks: dict[str, list[str]] = {}
    for drawn in groups.values():
        place = drawn.group.label or drawn.group.experiment
        run = drawn.first
        for mark in tables.source_marks(run.row) if run else ():
            remarks.setdefault(f"{mark.word}: {mark.explanation}", []).append(place)
        missing = len(set(drawn.group.cells) - drawn.runs.keys())
        if missing:
            remarks.setdefault(f"pending: {missing} of {len(drawn.group.cells)} cells", []).append(place)
    several = len({drawn.group.label or drawn.group.experiment for drawn in groups.values()}) > 1
    sentences = []
    for text, places in remarks.items():
        where = f" ({', '.join(dict.fromkeys(places))})" if several else ""
        sentences.append(f"{text[0].upper()}{text[1:]}{where}.")
    return sentences


def draw_and_save(
    spec: FigureSpec, runs: Iterable[Run], folder: Path, origin: Sequence[str] = ()
) -> list[Path]:
    """Write `<name>.png`, `.pdf` and the caption `.md` into `folder`; return their paths."""
    figure, caption = draw(spec, runs, origin)
    paths = save(figure, spec.name, folder)
    paths.append(Path(folder) / f"{spec.name}.md")
    write_text(paths[-1], f"{caption}\n\n![{spec.title}]({spec.name}.png)\n")
    return paths


def save(figure: Figure, name: str, folder: Path) -> list[Path]:
    """Write `<name>.png` and `.pdf` into `folder`, without dates in them, and close the figure."""
    paths = []
    try:
        with style.look():
            figure.draw_without_rendering()
            figure.set_layout_engine("none")  # laid out once, not again for each file
            for suffix, facts in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
                paths.append(Path(folder) / f"{name}.{suffix}")
                write_atomically(paths[-1], functools.partial(figure.savefig, format=suffix, metadata=facts))
    finally:
        plt.close(figure)
    return paths


def save_picture(figure: Figure, path: Path) -> None:
    """Write `path` as PNG of a screen's resolution, and close the figure."""
    facts = {"Software": None}
    try:
        with style.look():
            write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=160, metadata=facts))
    finally:
        plt.close(figure)
