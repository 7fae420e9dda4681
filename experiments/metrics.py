"""Metrics: the name, direction, unit and scale of a measured quantity, and how values of it are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Metric:
    """One measured quantity.

    A stored value times `scale` is shown with `decimals` and `unit`. Comparisons are made on
    `transform(value)`: differences there, shown as a difference in `unit`, or, where `ratio` names a
    quantity, as the ratio of that quantity (its logarithm being what `transform` gives).
    """

    label: str
    higher_is_better: bool
    transform: Callable[[np.ndarray], np.ndarray]
    better_sign: int  # of a difference of transformed values
    decimals: int
    unit: str = ""
    scale: float = 1.0
    ratio: str | None = None

    def text(self, value: float, spread: float | None = None) -> str:
        """A stored value, with its spread, in the decimals and scale of the tables; no unit."""
        number = f"{value * self.scale:.{self.decimals}f}"
        return number if spread is None else f"{number} ± {spread * self.scale:.{self.decimals}f}"

    @property
    def heading(self) -> str:
        """Name, unit and direction, such as "PSNR (dB, higher is better)"."""
        direction = "higher is better" if self.higher_is_better else "lower is better"
        return f"{self.label} ({', '.join(part for part in (self.unit, direction) if part)})"


METRICS = {
    "psnr": Metric("PSNR", True, np.asarray, +1, decimals=2, unit="dB"),
    # The gains are in the last per cent, so what counts is by how much the error 1 - IoU shrinks.
    "iou": Metric(
        "IoU", True, lambda v: np.log(np.maximum(1 - np.asarray(v), 1e-6)), -1, decimals=3, ratio="error"
    ),
    "relative_l2": Metric(
        "Relative L2",
        False,
        lambda v: np.log(np.maximum(v, 1e-12)),
        -1,
        decimals=2,
        unit="%",
        scale=100,
        ratio="error",
    ),
    "iterations_per_second": Metric("Iterations per second", True, np.log, +1, decimals=2, ratio="rate"),
}
"""What the suite's tasks measure; a task declares what is not among these beside itself (`Task.metrics`)."""
