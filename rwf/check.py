"""Which random weight factorization is it? A diagnosis of an implementation from its initial values.

Published code disagrees on whether the scale or its logarithm is trained, on whether the kernel is divided
by the scale, and on the standard deviation. All of that shows in what a layer is initialised with.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

SHAPE = (256, 4096)  # large enough for the statistics: the standard error of the std is 1 %


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found; `str` makes a report of it."""

    trained: str  # "scale", "log scale" or "something else": what the factor is that multiplies the columns
    divided: bool  # whether v was divided by the scale, so that the effective kernel does not depend on it
    mean: float  # of the logarithm of the columns' multipliers
    std: float
    problems: tuple[str, ...]  # differences from Listing 2 of the paper, one sentence each

    @property
    def agrees(self) -> bool:
        """Whether this is the paper's Listing 2 with the mean and std asked for."""
        return not self.problems

    def __str__(self) -> str:
        lines = [
            f"trained beside v:    {self.trained}",
            f"v divided by scale:  {'yes' if self.divided else 'no'}",
            f"log scale:           mean {self.mean:.2f}, std {self.std:.3f}",
        ]
        return "\n".join(
            [*lines, *(f"- {problem}" for problem in self.problems or ["agrees with the paper"])]
        )


def diagnose(
    init: Callable[[Any, tuple[int, int]], tuple[Any, Any]],
    kernel: Callable[[Any, Any], Any],
    *,
    mean: float = 1.0,
    std: float = 0.1,
    key: Any = None,
) -> Diagnosis:
    """Compare one dense layer's factorization with Listing 2 of the paper.

    `init(key, (fan_in, fan_out))` returns the initial factors `(scale, v)` of the implementation, whatever
    it means by a scale, and `kernel(scale, v)` the effective kernel (fan_in, fan_out) that its forward pass
    multiplies with. `mean` and `std` are those asked for in it. `key` is what `init` gets (a JAX key by
    default). The initialiser of the kernel itself does not matter.

    Raises ValueError where shapes do not fit, or where the kernel is not v times one number for each neuron.
    """
    factors = init(jax.random.key(0) if key is None else key, SHAPE)
    scale, v, effective = (np.asarray(array, np.float64) for array in (*factors, kernel(*factors)))
    if v.shape != SHAPE or effective.shape != SHAPE:
        raise ValueError(
            f"v {v.shape} and the kernel {effective.shape} must have the shape {SHAPE}, fan_in first: "
            "transpose them if the layer stores (fan_out, fan_in)"
        )
    if scale.size != SHAPE[1]:
        raise ValueError(
            f"the scale has {scale.size} entries for {SHAPE[1]} neurons; it must be one for each"
        )
    multipliers = _column_multipliers(v, effective)
    exponents = np.log(np.abs(multipliers))
    trained = _what_is_trained(scale.ravel(), multipliers)
    divided = _slope(exponents, np.log(np.linalg.norm(effective, axis=0))) < 0.5
    found = (float(exponents.mean()), float(exponents.std()))
    problems = (
        *_problems_of_form(trained, divided, found[0]),
        *_problems_of_distribution(multipliers, found, mean, std),
    )
    return Diagnosis(trained, bool(divided), *found, problems)


def _column_multipliers(v: np.ndarray, effective: np.ndarray) -> np.ndarray:
    multipliers = np.sum(effective * v, axis=0) / np.sum(v * v, axis=0)
    if not np.allclose(effective, multipliers * v, rtol=1e-3, atol=1e-6 * np.abs(effective).max()):
        raise ValueError("the kernel is not v times one number for each output neuron: look at the axes")
    return multipliers


def _what_is_trained(scale: np.ndarray, multipliers: np.ndarray) -> str:
    if np.allclose(multipliers, scale, rtol=1e-3):
        return "scale"
    if np.allclose(multipliers, np.exp(scale), rtol=1e-3):
        return "log scale"
    return "something else"


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    """Least-squares slope: 1 where column norms grow with the multipliers, 0 where V was divided by them."""
    x = x - x.mean()
    variance = np.sum(x * x)
    if variance < 1e-12 * x.size:
        raise ValueError("all neurons have the same scale: choose a std that is not zero")
    return float(np.sum(x * (y - y.mean())) / variance)


def _problems_of_form(trained: str, divided: bool, mean: float) -> list[str]:
    problems = []
    if trained == "log scale":
        problems.append(
            "the exponent is trained: that is the paper's Algorithm 1, but its Listing 2 and its authors' "
            "code exponentiate once and train the result (here: rwf.RWFLogScale)"
        )
    if trained == "something else":
        problems.append("the columns are multiplied neither by the factor nor by its exponential")
    if not divided:
        problems.append(
            f"v is not divided by the scale: every layer starts about {math.exp(mean):.2g} times too large"
        )
    return problems


def _problems_of_distribution(
    multipliers: np.ndarray, found: tuple[float, float], mean: float, std: float
) -> list[str]:
    if _close(found, (mean, std)):
        return []
    if _close((float(multipliers.mean()), float(multipliers.std())), (mean, std)):
        return [f"the exponential is missing: the scale itself is drawn from mean {mean}, std {std}"]
    for taken, name in ((math.sqrt(std), "a variance"), (std * std, "a square root of the std")):
        if _close(found, (mean, taken)):
            return [f"std={std} is taken as {name}: the log scale has std {found[1]:.3g}"]
    return [f"the log scale has mean {found[0]:.2f} and std {found[1]:.3g}, not {mean} and {std}"]


def _close(found: tuple[float, float], wanted: tuple[float, float]) -> bool:
    """Within six standard errors of a sample of that many neurons, and 1 % for rounding."""
    error = 6 * wanted[1] / math.sqrt(SHAPE[1])
    return abs(found[0] - wanted[0]) < error + 1e-3 and abs(found[1] - wanted[1]) < error + 0.01 * wanted[1]
