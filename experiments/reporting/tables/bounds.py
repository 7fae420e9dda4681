"""What a step of Table 1 takes on an H100 at least, what was measured there, and how long all of Table 1 would take.

The bounds are those of the compiled programs (`scripts.gpu_program`); the measured rates are a file of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from experiments.config.compose import configure
from experiments.reporting.tables import specs
from experiments.reporting.tables.grid import Cell, Grid

SAME = {
    "image_text": "image_natural",
    "shape_armadillo": "shape_dragon",
}  # programs that are equal but for data
COLUMNS = 4  # Plain, AA, WN and RWF
REFERENCE = "ct_shepp"  # whose measured time over its bound stands for a large program's
VISION = (
    "image_natural",
    "image_text",
    "shape_dragon",
    "shape_armadillo",
    "ct_shepp",
    "ct_atlas",
    "nerf_lego",
)
# Precisions of Table 1: of images, shapes, tomography and rendering; of Burgers' equation; of the others.
CHOICES = {
    "float32": ("float32", "float32", "float32"),
    "TF32, float32": ("tensorfloat32", "tensorfloat32", "float32"),
    "bfloat16, TF32, float32": ("bfloat16", "tensorfloat32", "float32"),
}
SHORT = {
    "float32": "float32",
    "tensorfloat32": "TF32",
    "tensorfloat32_x3": "3 × TF32",
    "bfloat16": "bfloat16",
}


@dataclass(frozen=True)
class Bounds:
    """The compiled programs and the measured rates of Table 1, by experiment; JSON values as they were written."""

    programs: Mapping[str, Mapping[str, Any]]
    rates: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, folder: Path, rates: Path) -> Bounds:
        """Of a folder with a file for each program and a file of rates. Raises OSError where they cannot be read."""
        found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}
        measured = json.loads(rates.read_text(encoding="utf-8"))["runs_times_steps_per_second"]
        return cls(found, {name: rate for name, rate in measured.items() if "assumed_from" not in rate})

    @cached_property
    def lines(self) -> dict[str, str]:
        """The labels of Table 1's experiments."""
        return {line.cell["experiment"]: line.label for line in specs.table_spec("table_1").rows}

    def steps(self, experiment: str) -> Mapping[str, Any]:
        """The programs of an experiment by precision; those of another one where its program is the same."""
        return self.programs[SAME.get(experiment, experiment)]["steps"]

    def bound(self, experiment: str, precision: str) -> float:
        """Milliseconds that a step of one program takes at least: the larger of its two bounds."""
        step = self.steps(experiment)[precision]
        return max(step["memory_bound_ms"], step["product_bound_ms"])

    def measured(self, experiment: str) -> tuple[str, float]:
        """The precision in which a step was measured, and its milliseconds, of as many runs as were one program."""
        rate = self.rates[experiment]
        return rate["precision"], 1e3 * rate["runs"] / rate["rate"]

    def ratio(self, experiment: str) -> float:
        """The measured milliseconds of one run's step over their bound; of `REFERENCE` where none was measured.

        A rate has the bound of its own program, `bound_ms`, where today's is another.
        """
        if experiment not in self.rates:
            return self.ratio(REFERENCE)
        precision, milliseconds = self.measured(experiment)
        rate, step = self.rates[experiment], self.steps(experiment)[precision]
        bound = rate.get("bound_ms", self.bound(experiment, precision))
        return milliseconds / rate["runs"] / (bound / step["runs"])

    def minutes(self, experiment: str, precision: str, ratio: float) -> float:
        """Minutes of the four columns of one row of Table 1, one seed, if a step takes `ratio` times its bound."""
        each = self.bound(experiment, precision) / self.steps(experiment)[precision]["runs"]
        return row_minutes(experiment, ratio * each)

    def total(self, choice: Sequence[str], own: bool) -> float:
        """Minutes of Table 1 in the precisions of one of `CHOICES`.

        With the ratio of `REFERENCE` for all, or each experiment's `own`.
        """
        ratios = {name: self.ratio(name if own else REFERENCE) for name in self.lines}
        return sum(self.minutes(name, chosen(choice, name), ratio) for name, ratio in ratios.items())


def row_minutes(experiment: str, milliseconds: float, profile: str = "paper") -> float:
    """Minutes of the four columns of a row of Table 1, one seed, where a step of one run of one item takes so long."""
    config = configure([f"experiment={experiment}", f"profile={profile}", "tracking=none"])
    return COLUMNS * getattr(config.task, "images", 1) * config.trainer.steps * milliseconds / 6e4


def chosen(choice: Sequence[str], experiment: str) -> str:
    """The precision that one of `CHOICES` gives an experiment."""
    vision, burgers, others = choice
    return vision if experiment in VISION else burgers if experiment == "burgers" else others


def programs(bounds: Bounds) -> Grid:
    """A row for each program of Table 1 and precision: what it needs, its bounds, and what was measured."""
    head = (
        "one step of",
        "precision",
        "runs",
        "MB",
        "kernels",
        "GB",
        "GFLOP",
        "ms, bytes",
        "ms, FLOP",
        "ms, measured",
    )
    names = [name for name in bounds.lines if name in bounds.programs]
    body = [_program(bounds, name, precision) for name in names for precision in bounds.steps(name)]
    return Grid("bounds", "", "", head, frozenset(range(2, len(head))), tuple(body))


def _program(bounds: Bounds, name: str, precision: str) -> tuple[Cell, ...]:
    step = bounds.steps(name)[precision]
    found, milliseconds = bounds.measured(name) if name in bounds.rates else ("", 0.0)
    alike = found == precision and bounds.rates[name]["runs"] == step["runs"]
    numbers = (
        f"{step['temporary_bytes'] / 1e6:.0f}",
        f"{step['kernels']}",
        f"{step['bytes'] / 1e9:.2f}",
        f"{sum(step['flops'].values()) / 1e9:.1f}",
        f"{step['memory_bound_ms']:.3f}",
        f"{step['product_bound_ms']:.3f}",
        f"{milliseconds:.2f}" if alike else "",
    )
    words = (bounds.lines[name], SHORT.get(precision, precision), str(step["runs"]))
    return tuple(Cell(text) for text in (*words, *numbers))


def totals(bounds: Bounds) -> Grid:
    """Predicted minutes of each row of Table 1 and of all, one seed in four columns, for some choices of precision."""
    reference = bounds.ratio(REFERENCE)
    body = [
        (label, [bounds.minutes(name, chosen(choice, name), reference) for choice in CHOICES.values()])
        for name, label in bounds.lines.items()
    ]
    body.append(("all", [bounds.total(choice, own=False) for choice in CHOICES.values()]))
    body.append(
        ("all, each by its own ratio", [bounds.total(choice, own=True) for choice in CHOICES.values()])
    )
    rows = tuple((Cell(words), *(Cell(f"{minutes:.1f}") for minutes in numbers)) for words, numbers in body)
    return Grid("totals", "", "", ("minutes of", *CHOICES), frozenset(range(1, 1 + len(CHOICES))), rows)


def ratios(bounds: Bounds) -> str:
    """The measured time over the bound, for each experiment that was measured, in words."""
    found = [
        f"{bounds.lines[name]} {bounds.ratio(name):.1f}" for name in bounds.lines if name in bounds.rates
    ]
    return f"Measured time over bound: {', '.join(found)}."
