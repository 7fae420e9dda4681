"""The paper's figures for the report: drawn anew from the runs, or as they were kept, or pending."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.reporting.figures.drawing import (
    FigureSpec,
    draw,
    figure_spec,
    own_or_published,
    save_picture,
)
from experiments.reporting.loading import Records, Run
from experiments.reporting.selection import PROFILES


@dataclass(frozen=True)
class Illustration:
    """A figure: its picture's file name (None while pending), its caption in Markdown, and how it came about."""

    name: str
    title: str
    caption: str
    file: str | None
    status: str


def illustrate(name: str, records: Records, results: Path, folder: Path) -> Illustration:
    """Put the picture of a figure into `folder`.

    It is drawn where a user's own runs, or the published ones, have every cell; else a picture kept in
    `results/<profile>/` is taken; else it is drawn from what there is.
    """
    spec = figure_spec(name)
    runs, origin = own_or_published(spec, records)
    have = spec.covered(runs)
    kept = next((p for profile in PROFILES if (p := Path(results) / profile / f"{name}.png").exists()), None)
    if have < len(spec.cells) and kept is not None:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kept, folder / kept.name)
        caption = kept.with_suffix(".md").read_text(encoding="utf-8").split("\n\n!")[0]
        return Illustration(name, spec.title, caption, kept.name, f"kept from profile {kept.parent.name}")
    if spec.cells and not have:
        number = name.split("_")[1]
        caption = f"**Figure {number}: {spec.title}.** {spec.caption.strip()}"
        return Illustration(name, spec.title, caption, None, "pending")
    caption = _draw(spec, runs, origin, folder / f"{name}.png")
    missing = len(spec.cells) - have
    status = f"{missing} of {len(spec.cells)} cells pending" if missing else "complete"
    return Illustration(name, spec.title, caption, f"{name}.png", status)


def _draw(spec: FigureSpec, runs: Sequence[Run], origin: Sequence[str], path: Path) -> str:
    figure, caption = draw(spec, runs, origin)
    save_picture(figure, path)
    return caption
