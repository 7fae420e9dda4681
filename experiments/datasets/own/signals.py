"""Signals of the user: WAV files, and arrays of one axis."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.datasets.local import reading
from experiments.datasets.own.paths import existing, item_names, source_name
from experiments.files import arrays_checksum
from experiments.task import Source

SUFFIXES = (".wav",)  # beside .npy with one axis
SMALLEST = 16  # samples


def own_signal(files: Sequence[str], points: int) -> tuple[np.ndarray, tuple[str, ...], Source]:
    """The signals of `files`: float32 (n, samples), mean 0 and standard deviation 1, their names, and their source.

    One longer than `points` samples is reduced to so many means of equal parts. Several channels are averaged.
    Raises FileNotFoundError and ValueError, naming the file, for one that is absent, no signal, constant, not finite
    or of another length than the first.
    """
    signals, names = _read(tuple(files), points)
    values = np.stack([(y - offset) / scale for y, offset, scale, _ in signals]).astype(np.float32)
    return values, names, Source(source_name(names), arrays_checksum({"signals": values}))


def placement(files: Sequence[str], points: int) -> dict[str, list[float]]:
    """What leads back to the files: a sample times `scale` plus `offset`; `rate` in samples a second, or 0."""
    signals, _ = _read(tuple(files), points)
    return {
        name: [float(s[n]) for s in signals] for n, name in enumerate(("offset", "scale", "rate"), start=1)
    }


def read_signal(path: Path) -> tuple[np.ndarray, float]:
    """The samples of a file, float64 (n,), and their rate in samples a second, 0 where the file has none.

    Raises ValueError, naming the file.
    """
    with reading(path, " as a signal"):
        if path.suffix.lower() == ".npy":
            array, rate = np.load(path, allow_pickle=False), 0.0
        else:
            array, rate = _wav(path)
        if array.ndim != 1 or array.dtype.kind not in "iuf":
            raise ValueError(f"it holds {array.dtype} of shape {array.shape}, not numbers along one axis")
        if len(array) < SMALLEST:
            raise ValueError(f"it has {len(array)} samples: at least {SMALLEST} are needed")
        signal = array.astype(np.float64)
        if not np.isfinite(signal).all():
            raise ValueError("it has values that are not finite")
        if signal.min() == signal.max():
            raise ValueError("it is constant: there is nothing to learn")
    return signal, rate


def _wav(path: Path) -> tuple[np.ndarray, float]:
    from scipy.io import wavfile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks that are not samples
        rate, array = wavfile.read(path)
    return (array.mean(axis=1) if array.ndim == 2 else array), float(rate)


@functools.lru_cache(maxsize=4)
def _read(files: tuple[str, ...], points: int) -> tuple[list[Any], tuple[str, ...]]:
    """Of each signal its samples, offset, scale and rate; and the names of all."""
    paths = existing(files, "task.files")
    signals = []
    for path in paths:
        y, rate = read_signal(path)
        count, y = len(y), reduced(y, points)
        with reading(path, " as a signal"):
            if not (scale := y.std()) > 0:
                raise ValueError(f"reduced to {points} samples it is constant: raise task.points")
            if signals and len(y) != len(signals[0][0]):
                first = f"{paths[0].name} {len(signals[0][0])}"
                raise ValueError(
                    f"it has {len(y)} samples and {first}: the signals of one run are alike; "
                    "python -m experiments.compare takes such files together"
                )
        signals.append((y, y.mean(), scale, rate * len(y) / count))
    return signals, item_names(paths)


def reduced(signal: np.ndarray, points: int) -> np.ndarray:
    """The means of `points` equal parts of a longer signal; a shorter one as it is.

    >>> reduced(np.arange(6.0), 3)
    array([0.5, 2.5, 4.5])
    """
    if len(signal) <= points:
        return signal
    total = np.concatenate([[0.0], np.cumsum(signal)])
    edges = np.linspace(0, len(signal), points + 1)
    return np.diff(np.interp(edges, np.arange(len(total)), total)) * points / len(signal)
