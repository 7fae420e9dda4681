"""Four verdicts on RWF against a rival: better, worse, equivalent, or undecided with the reason.

Better and worse: the difference is not zero. Equivalent: two one-sided tests (Schuirmann 1987) show that it is
smaller than the margin of `configs/paper/criteria.yaml`; a difference that is not zero and yet smaller than the
margin counts as equivalent. All p-values of one rival are corrected over the rows of a table (Holm 1979). Pairs
that diverged have no value and cannot enter an interval, so they bar the verdicts that they speak against.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from experiments.criteria import CRITERIA
from experiments.metrics import Metric
from experiments.reporting.statistics import Interval, Values, paired_interval

BETTER, WORSE, EQUIVALENT, UNDECIDED, PENDING = "better", "worse", "equivalent", "undecided", "pending"
VERDICTS = (BETTER, EQUIVALENT, WORSE, UNDECIDED, PENDING)
Pairs = Collection[tuple[str, int]]


@dataclass(frozen=True)
class Comparison:
    """RWF against one rival in one row of a table.

    `diverged`: pairs that RWF and the rival lost, of how many that both were run for. `p` belongs to "no
    difference", `p_equivalence` to "a difference of the margin or more"; `holm` are the two, corrected. None
    where nothing can be tested. `reason` says why a verdict is undecided.
    """

    interval: Interval | None = None
    diverged: tuple[int, int] = (0, 0)
    attempted: int = 0
    p: float | None = None
    p_equivalence: float | None = None
    holm: tuple[float | None, float | None] = (None, None)
    verdict: str = PENDING
    reason: str = ""


def margin(metric: Metric) -> float | None:
    """The margin of equivalence on the metric's scale of comparison; None where there is none.

    >>> from experiments.metrics import METRICS
    >>> margin(METRICS["psnr"]), round(math.exp(margin(METRICS["iou"])), 3)
    (0.2, 1.1)
    """
    found = CRITERIA.margins.get(metric.ratio or metric.unit)
    return math.log(found) if found is not None and metric.ratio else found


def compare(
    first: Values, second: Values, metric: Metric, lost: tuple[Pairs, Pairs] = ((), ())
) -> Comparison:
    """Compare the values of RWF with those of a rival that was run, before any correction.

    `lost`: the pairs of each that were run and have no value.
    """
    both = (first.keys() | set(lost[0])) & (second.keys() | set(lost[1]))
    diverged = len(both & set(lost[0])), len(both & set(lost[1]))
    interval = paired_interval(first, second, metric)
    if interval is None or not interval.general:
        return Comparison(interval, diverged, len(both), verdict=UNDECIDED)
    limit = margin(metric)
    equivalence = None if limit is None else interval.p_beyond(limit)
    return Comparison(interval, diverged, len(both), interval.p_difference(), equivalence, verdict=UNDECIDED)


def decide(comparisons: Sequence[Comparison], metrics: Sequence[Metric], rival: str) -> list[Comparison]:
    """The verdicts of the rows of a table on one rival, called `rival` in the reasons; pending rows stay so."""
    corrected = zip(
        holm([one.p for one in comparisons]), holm([one.p_equivalence for one in comparisons]), strict=True
    )
    return [
        one if one.verdict == PENDING else _decided(replace(one, holm=pair), metric, rival)
        for one, metric, pair in zip(comparisons, metrics, corrected, strict=True)
    ]


def _decided(one: Comparison, metric: Metric, rival: str) -> Comparison:
    verdict = _tested(one.interval, metric, one.holm)
    barred = {BETTER, EQUIVALENT} if one.diverged[0] else set()
    barred |= {WORSE, EQUIVALENT} if one.diverged[1] else set()
    if verdict not in (UNDECIDED, *barred):
        return replace(one, verdict=verdict)
    return replace(one, verdict=UNDECIDED, reason=_reason(one, rival))


def _tested(interval: Interval | None, metric: Metric, holm: tuple[float | None, float | None]) -> str:
    difference, equivalence = holm
    threshold = 1 - CRITERIA.level
    if equivalence is not None and equivalence < threshold:
        return EQUIVALENT
    if difference is not None and difference < threshold:
        return BETTER if metric.better_sign * interval.mean > 0 else WORSE
    return UNDECIDED


def _reason(one: Comparison, rival: str) -> str:
    names = ("RWF", rival)
    lost = [
        f"{name} diverged in {n} of {one.attempted}" for name, n in zip(names, one.diverged, strict=True) if n
    ]
    if lost:
        return ", ".join(lost)
    if one.interval is None:
        return "no common run"
    if not one.interval.general:
        return "one seed"
    before = [p for p in (one.p, one.p_equivalence) if p is not None and p < 1 - CRITERIA.level]
    return "not after Holm's correction" if before else "wide interval"


def against_each(verdicts: Iterable[str]) -> str:
    """The verdict against several rivals: better where it is against each, worse where it is against any.

    >>> against_each([BETTER, EQUIVALENT]), against_each([BETTER, UNDECIDED]), against_each([WORSE, PENDING])
    ('equivalent', 'undecided', 'worse')
    """
    found = set(verdicts)
    order = (WORSE, PENDING, UNDECIDED, EQUIVALENT, BETTER)
    return next((verdict for verdict in order if verdict in found), PENDING)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for their number by Holm's step-down method; None stays and is not counted.

    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    known = [n for n, value in enumerate(values) if value is not None]
    order = sorted(known, key=lambda n: values[n])
    steps = np.maximum.accumulate([(len(order) - rank) * values[n] for rank, n in enumerate(order)])
    corrected: list[float | None] = [None] * len(values)
    for n, value in zip(order, steps, strict=True):
        corrected[n] = min(1.0, float(value))
    return corrected
