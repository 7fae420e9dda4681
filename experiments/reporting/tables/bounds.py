"""What a step of Table 1 takes on an H100 at least, what was measured there, and how long all of Table 1 would take.

The bounds are those of the compiled programs (`scripts.gpu_program`); the measured rates are a file of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
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
    "ct_atlas": "ct_shepp",
}  # but for data
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
CHOICES: Mapping[str, Callable[[str], str]] = {
    "float32": lambda name: "float32",
    "TF32 in images, shapes, tomography, rendering and Burgers, else float32": lambda name: (
        "tensorfloat32" if name in (*VISION, "burgers") else "float32"
    ),
    "bfloat16 in images, shapes, tomography and rendering, TF32 in Burgers, else float32": lambda name: (
        "bfloat16" if name in VISION else "tensorfloat32" if name == "burgers" else "float32"
    ),
    "the same, and three TF32 products for float32": lambda name: (
        "bfloat16" if name in VISION else "tensorfloat32" if name == "burgers" else "tensorfloat32_x3"
    ),
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
        return cls(found, measured)

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
        """The measured milliseconds of one run's step over their bound."""
        precision, milliseconds = self.measured(experiment)
        step = self.steps(experiment)[precision]
        runs = self.rates[experiment]["runs"]
        return milliseconds / runs / (self.bound(experiment, precision) / step["runs"])

    def minutes(self, experiment: str, precision: str, ratio: float) -> float:
        """Minutes of the four columns of one row of Table 1, one seed, if a step takes `ratio` times its bound."""
        config = configure([f"experiment={experiment}", "profile=paper", "tracking=none"])
        turns = COLUMNS * getattr(config.task, "images", 1) * config.trainer.steps
        each = self.bound(experiment, precision) / self.steps(experiment)[precision]["runs"]
        return turns * ratio * each / 6e4

    def total(self, choice: Callable[[str], str], own: bool) -> float:
        """Minutes of Table 1 with the precision that `choice` gives each experiment.

        With the ratio of `REFERENCE` for all, or each experiment's `own`.
        """
        return sum(
            self.minutes(name, choice(name), self.ratio(name if own else REFERENCE)) for name in self.lines
        )


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
    """Minutes of all of Table 1, one seed, for some choices of precision, predicted in two ways."""
    head = (
        "Table 1, one seed, four columns, in",
        "by tomography's ratio, min",
        "by each one's own ratio, min",
    )
    body = [
        (Cell(words), *(Cell(f"{bounds.total(choice, own):.0f}") for own in (False, True)))
        for words, choice in CHOICES.items()
    ]
    return Grid("totals", "", "", head, frozenset({1, 2}), tuple(body))


def ratios(bounds: Bounds) -> str:
    """The measured time over the bound, for each experiment that was measured, in words."""
    found = [
        f"{bounds.lines[name]} {bounds.ratio(name):.1f}" for name in bounds.lines if name in bounds.rates
    ]
    return f"Measured time over bound: {', '.join(found)}."
