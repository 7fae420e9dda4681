"""Means, spreads and paired comparisons of results over items and seeds.

Values are mappings {(item, seed): value}. The parameterizations start from the same function for the same item
and seed, so they are compared in pairs. Items and seeds are both random (`effects`): what is claimed is meant for
other images and for other seeds. With one item the seeds are the units. With one seed the items are, and the
interval speaks of this seed alone: all its items share initialisation and Fourier matrix. A single value has no
interval.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from experiments.criteria import CRITERIA
from experiments.metrics import Metric
from experiments.reporting.effects import Layout, half_width, mean_effect, tail

Values = Mapping[tuple[str, int], float]


@dataclass(frozen=True)
class Summary:
    """Mean of the per-seed means, and the spread in the sense of the paper's ±.

    `spread` is the population standard deviation over items (averaged over seeds) where there are
    several, over seeds where there is one item, None where there is a single value.
    """

    mean: float
    spread: float | None
    items: int
    seeds: int


@dataclass(frozen=True)
class Interval:
    """A mean difference of paired values with its confidence limits; no limits for a single pair.

    `errors` and `freedoms` are those of `effects.mean_effect`, by which p-values are taken.
    """

    mean: float
    low: float | None
    high: float | None
    items: int
    seeds: int
    pairs: int
    errors: tuple[float, ...] = ()
    freedoms: tuple[float, ...] = ()

    @property
    def general(self) -> bool:
        """Whether the interval speaks of the method, not of one seed alone."""
        return self.low is not None and self.seeds > 1

    @property
    def units(self) -> str:
        """What was compared, such as "4 items × 3 seeds"."""
        seeds = f"{self.seeds} seed{'s' * (self.seeds > 1)}"
        if self.items == 1:
            return seeds
        if self.seeds == 1:
            return f"{self.items} items, for this seed"
        missing = self.pairs < self.items * self.seeds
        return f"{self.items} items × {seeds}" + (f", {self.pairs} pairs" if missing else "")

    def p_difference(self) -> float:
        """Two-sided p-value of "there is no difference"."""
        return min(1.0, 2 * self._tail(abs(self.mean)))

    def p_beyond(self, margin: float) -> float:
        """p-value of "the difference is `margin` or more, in either direction" (two one-sided tests)."""
        return self._tail(margin - abs(self.mean))

    def _tail(self, excess: float) -> float:
        return tail(excess, np.array(self.errors), np.array(self.freedoms))


def summarise(values: Values) -> Summary:
    """Mean and spread of `values`, which must not be empty.

    >>> summarise({("a", 0): 1.0, ("b", 0): 3.0})
    Summary(mean=2.0, spread=1.0, items=2, seeds=1)
    """
    by_seed = defaultdict(list)
    for (_, seed), value in values.items():
        by_seed[seed].append(value)
    means = [float(np.mean(group)) for group in by_seed.values()]
    items = len({item for item, _ in values})
    if items > 1:
        spread = float(np.mean([np.std(group) for group in by_seed.values()]))
    else:
        spread = float(np.std(means)) if len(means) > 1 else None
    return Summary(float(np.mean(means)), spread, items, len(means))


def paired_interval(first: Values, second: Values, metric: Metric) -> Interval | None:
    """Interval of `first` minus `second` on the metric's scale of comparison, over the pairs both have.

    None where they have no (item, seed) in common.

    >>> from experiments.metrics import METRICS
    >>> ours, theirs = ({("a", seed): value + seed for seed in (0, 1)} for value in (3.0, 2.5))
    >>> paired_interval(ours, theirs, METRICS["psnr"]).units
    '2 seeds'
    """
    pairs = sorted(first.keys() & second.keys())
    if not pairs:
        return None
    differences = np.array(
        [float(metric.transform(first[pair]) - metric.transform(second[pair])) for pair in pairs]
    )
    items, seeds = (sorted(set(names)) for names in zip(*pairs, strict=True))
    counts = len(items), len(seeds), len(pairs)
    if len(pairs) == 1:
        return Interval(float(differences[0]), None, None, *counts)
    layout = Layout(
        tuple(items.index(item) for item, _ in pairs), tuple(seeds.index(seed) for _, seed in pairs)
    )
    mean, errors, freedoms = mean_effect(differences, layout)
    half = float(half_width(errors, freedoms, CRITERIA.level))
    centre = float(mean)
    return Interval(
        centre, centre - half, centre + half, *counts, tuple(errors.tolist()), tuple(freedoms.tolist())
    )


def interval_text(interval: Interval, metric: Metric) -> str:
    """The interval as the tables show it: a difference with sign, or a ratio.

    >>> from experiments.metrics import METRICS
    >>> interval_text(Interval(0.25, 0.1, 0.4, 4, 1, 4), METRICS["psnr"])
    '+0.25 dB [+0.10, +0.40]'
    >>> interval_text(Interval(np.log(0.5), None, None, 1, 1, 1), METRICS["relative_l2"])
    '×0.50 error'
    """
    if metric.ratio:
        centre = f"×{_ratio(interval.mean)} {metric.ratio}"
    else:
        centre = f"{_difference(interval.mean, metric)} {metric.unit}".rstrip()
    if interval.low is None or interval.high is None:
        return centre
    limits = (interval.low, interval.high)
    low, high = (_ratio(limit) if metric.ratio else _difference(limit, metric) for limit in limits)
    return f"{centre} [{low}, {high}]"


def _ratio(logarithm: float) -> str:
    ratio = float(np.exp(np.clip(logarithm, -100, 100)))
    return f"{ratio:.2f}" if 0.0995 <= ratio < 100 else f"{ratio:.1e}" if ratio >= 100 else f"{ratio:.2g}"


def _difference(value: float, metric: Metric) -> str:
    return f"{value * metric.scale:+.{metric.decimals}f}"
