"""Means, spreads and paired comparisons of results over items and seeds.

Values are mappings {(item, seed): value}. The four parameterizations start from the same function for
the same item and seed, so they are compared in pairs. Where there are several items (images, phantoms),
the independent unit is the item: its seeds are averaged first, because repeats on one image say nothing
about another and counting them as independent would make the interval too narrow. Where there is one
item, the unit is the seed. A Student-t interval is used since the percentile bootstrap covers too
seldom below about 20 units.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from experiments.reporting.metrics import Metric

Values = Mapping[tuple[str, int], float]
HOLDS, FAILS, UNDECIDED, PENDING = "holds", "does not hold", "undecided", "pending"


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
    """A mean difference of paired values with its confidence limits; no limits for a single unit."""

    mean: float
    low: float | None
    high: float | None
    n: int


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


def student_interval(differences: np.ndarray, level: float = 0.95) -> Interval:
    """Student-t interval of the mean of independent `differences`, shape (n,).

    >>> interval = student_interval(np.array([1.0, 2.0, 3.0]))
    >>> round(interval.low, 3), round(interval.high, 3)
    (-0.484, 4.484)
    """
    differences = np.asarray(differences, float)
    n, mean = differences.size, float(np.mean(differences))
    if n < 2:
        return Interval(mean, None, None, n)
    half = float(stats.t.ppf(0.5 + level / 2, n - 1) * stats.sem(differences))
    return Interval(mean, mean - half, mean + half, n)


def paired_interval(first: Values, second: Values, metric: Metric, level: float = 0.95) -> Interval | None:
    """Interval of `first` minus `second` on the metric's scale of comparison, over the pairs both have.

    None where they have no (item, seed) in common.
    """
    pairs = sorted(first.keys() & second.keys())
    if not pairs:
        return None
    items = {item for item, _ in pairs}
    units = defaultdict(list)
    for item, seed in pairs:
        difference = metric.transform(first[item, seed]) - metric.transform(second[item, seed])
        units[item if len(items) > 1 else seed].append(float(difference))
    return student_interval(np.array([np.mean(unit) for unit in units.values()]), level)


def verdict(interval: Interval | None, metric: Metric) -> str:
    """Whether "the first is better than the second" holds: the interval lies wholly on one side of zero.

    A single unit decides nothing.
    """
    if interval is None or interval.low is None:
        return UNDECIDED
    low, high = sorted((metric.better_sign * interval.low, metric.better_sign * interval.high))
    return HOLDS if low > 0 else FAILS if high < 0 else UNDECIDED


def interval_text(interval: Interval, metric: Metric) -> str:
    """The interval as the tables show it: a difference with sign, or a ratio.

    >>> from experiments.reporting.metrics import METRICS
    >>> interval_text(Interval(0.25, 0.1, 0.4, 4), METRICS["psnr"])
    '+0.25 dB [+0.10, +0.40]'
    >>> interval_text(Interval(np.log(0.5), None, None, 1), METRICS["relative_l2"])
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
