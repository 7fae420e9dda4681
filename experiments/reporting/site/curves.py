"""Learning curves of every configuration that has runs, as SVG that takes the colours of the page it stands in."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import matplotlib.pyplot as plt

from experiments.reporting.figures import style
from experiments.reporting.loading import Drawn, Group, Run, find
from experiments.reporting.metrics import find_metric
from experiments.reporting.provenance import mapping

INK = "#010203"  # stands for the page's own text colour
SETTINGS = {
    name: INK for name in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
}
SETTINGS |= {"svg.fonttype": "none", "svg.hashsalt": "rwf", "grid.color": "#80808060", "axes.facecolor": "none",
             "figure.facecolor": "none", "legend.facecolor": "none", "legend.framealpha": 0}  # fmt: skip


@dataclass(frozen=True)
class Curves:
    """The curves of one configuration: what it is, the runs drawn, and a picture of each quantity as SVG."""

    title: str
    runs: Sequence[Run]
    pictures: Sequence[str]


def learning_curves(experiment: str, runs: Iterable[Run], origin: str = "") -> list[Curves]:
    """Loss and test metric during training for each configuration of `experiment` that has a history.

    `origin`, where there is one, is a word for whose runs they are.
    """
    runs = [run for run in runs if run.row.experiment == experiment and run.curves]
    places = dict.fromkeys((run.row.embedding, run.row.model) for run in runs if not run.row.variant)
    found = []
    for embedding, model in places:
        drawn = find(Group(experiment, embedding, model), runs)
        used = [run for group in drawn.runs.values() for run in group]
        words = (mapping(embedding), model, used[0].row.profile, origin)
        title = ", ".join(filter(None, words))
        name = "-".join(filter(None, (experiment, embedding, model, origin)))
        quantities = dict.fromkeys(("loss", used[0].row.metric))
        pictures = [_picture(drawn, quantity, name) for quantity in quantities if _has(used, quantity)]
        found.append(Curves(title, used, pictures))
    return found


def _has(runs: Sequence[Run], quantity: str) -> bool:
    return any(len(run.series(quantity)[0]) > 1 for run in runs)


def _picture(drawn: Drawn, quantity: str, name: str) -> str:
    metric = find_metric(quantity)
    label = metric.heading if metric else "training loss"
    with style.look(), mpl.rc_context(SETTINGS):
        figure, axes = plt.subplots(figsize=(3.6, 2.5), layout="constrained")
        try:
            groups = {p: drawn.of(p) for p in drawn.group.parameterizations}
            style.curves(axes, groups, quantity, metric.scale if metric else 1.0)
            if metric is None:
                axes.set_yscale("log")
            elif metric.ratio:
                style.logarithmic(axes)
            axes.set_ylabel(label)
            style.iterations(axes)
            axes.grid(True)
            axes.legend()
            out = io.StringIO()
            figure.savefig(out, format="svg")
        finally:
            plt.close(figure)
    return inline(
        out.getvalue(), f"{label} over the iterations, {drawn.group.experiment}", f"{name}-{quantity}"
    )


def inline(svg: str, label: str, prefix: str) -> str:
    """An SVG file as an element of a page: its own names for what it refers to, colours from the page's style."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}-", svg)
    svg = re.sub(
        r'<svg ([^>]*?)(?:width|height)="[^"]*"([^>]*?)(?:width|height)="[^"]*"', r"<svg \1\2", svg, count=1
    )
    svg = svg.replace(INK, "currentColor")
    for parameterization, colour in style.COLOURS.items():
        svg = svg.replace(colour.lower(), f"var(--{parameterization}, {colour})")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
