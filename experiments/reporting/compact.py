"""What is published of a run beside its rows: learning curves, and what figures draw of its predictions, in a few kB.

One file for each run, `<results>/<profile>/runs/<experiment>/<id>.npz`. Of each seed it has `<seed>.steps` (T,),
`<seed>.quantities` (Q,) and `<seed>.curves` (Q, T), NaN where a quantity has no value at a step, and
`<seed>.prediction.<name>`, the arrays of `predictions.npz` as far as figures draw them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from experiments.files import load_arrays, save_arrays
from experiments.records import Row

Curves = Mapping[str, tuple[np.ndarray, np.ndarray]]
STEPS = 128  # of a curve, at most: a picture of it is hardly wider in points
BITS = 16  # of a significand: figures show differences of predictions and truth too; float16 has 11, and less range
FEW = 16  # numbers that are kept as they are


def path_of(results: Path, row: Row) -> Path:
    """The compact file of the run that a row is of."""
    return Path(results) / row.profile / "runs" / row.experiment / f"{row.id}.npz"


def write(path: Path, seeds: Mapping[int, tuple[Curves, Mapping[str, np.ndarray]]]) -> None:
    """Write the curves, thinned to `STEPS`, and predictions of each seed, both rounded to `BITS`."""
    arrays: dict[str, np.ndarray] = {}
    for seed, (curves, predictions) in seeds.items():
        steps = sorted({step for own, _ in curves.values() for step in thinned(own)})
        values = [_at(steps, *curve) for curve in curves.values()]
        arrays[f"{seed}.steps"] = np.array(steps, np.int32)
        arrays[f"{seed}.quantities"] = np.array(list(curves), str)
        arrays[f"{seed}.curves"] = rounded(np.array(values, np.float32).reshape(len(curves), len(steps)))
        arrays |= {f"{seed}.prediction.{name}": rounded(array) for name, array in predictions.items()}
    save_arrays(path, arrays, compressed=True)


def read(path: Path, seed: int) -> tuple[Curves, dict[str, np.ndarray]]:
    """Curves and predictions of one seed. Raises ValueError, naming the file, where it is damaged."""
    arrays, _ = load_arrays(path)
    if f"{seed}.steps" not in arrays:
        return {}, {}
    steps, curves = arrays[f"{seed}.steps"], {}
    for name, values in zip(arrays[f"{seed}.quantities"], arrays[f"{seed}.curves"], strict=True):
        known = ~np.isnan(values)
        curves[str(name)] = (steps[known], values[known].astype(float))
    start = f"{seed}.prediction."
    return curves, {name.removeprefix(start): a for name, a in arrays.items() if name.startswith(start)}


def thinned(steps: np.ndarray) -> np.ndarray:
    """At most `STEPS` of increasing steps, the first and the last among them.

    Those kept are the first at or after each multiple of a round number, the same ones in runs of equal length.

    >>> thinned(np.arange(0, 1001))[:4].tolist(), len(thinned(np.arange(0, 1001)))
    ([0, 10, 20, 30], 101)
    """
    if len(steps) <= STEPS:
        return steps
    spacing = _spacing(float(steps[-1] - steps[0]) / (STEPS - 2))
    firsts = np.unique(steps // spacing, return_index=True)[1]
    return steps[np.unique([*firsts, len(steps) - 1])]


def _spacing(least: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, ... that is not below `least`."""
    decade = 10 ** int(np.floor(np.log10(max(least, 1.0))))
    return next(n * decade for n in (1, 2, 5, 10) if n * decade >= least)


def _at(steps: list[int], own: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The values at `steps`, NaN where there is none."""
    known = dict(zip(own.tolist(), values.tolist(), strict=True))
    return np.array([known.get(step, np.nan) for step in steps], np.float32)


def rounded(array: np.ndarray) -> np.ndarray:
    """Floats as float32 rounded to `BITS` significant bits, which take less room; a `FEW`, and others, as they are.

    >>> set(rounded(np.full(FEW + 1, 1 / 3)).tolist()), rounded(np.array(1 / 3)).item()
    ({0.33333587646484375}, 0.3333333333333333)
    """
    if not np.issubdtype(array.dtype, np.floating) or array.size <= FEW:
        return array
    significand, exponent = np.frexp(array.astype(np.float32))
    return np.ldexp(np.round(np.ldexp(significand, BITS)), exponent - BITS).astype(np.float32)
