"""Intervals against tabulated values of Student's t, and their coverage by simulation."""

import numpy as np
import pytest

from experiments.reporting.metrics import METRICS
from experiments.reporting.statistics import (
    Interval,
    interval_text,
    paired_interval,
    student_interval,
    summarise,
    verdict,
)

# 97.5 % points of Student's t as printed in statistical tables, by degrees of freedom.
T_TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262, 15: 2.131, 19: 2.093}


def by_seed(numbers) -> dict:
    return {("only", seed): float(number) for seed, number in enumerate(numbers)}


@pytest.mark.parametrize(("freedom", "quantile"), T_TABLE.items())
def test_half_width_is_the_tabulated_quantile_times_the_standard_error(freedom, quantile):
    sample = np.random.default_rng(freedom).normal(size=freedom + 1)
    interval = student_interval(sample)
    error = np.sqrt(np.sum((sample - sample.mean()) ** 2) / freedom / (freedom + 1))
    assert interval.high - interval.mean == pytest.approx(
        quantile * error, rel=3e-4
    )  # the table has four digits
    assert interval.mean - interval.low == pytest.approx(interval.high - interval.mean)
    assert interval.n == freedom + 1


@pytest.mark.parametrize("n", [3, 5, 16])
def test_coverage_is_nominal(n):
    samples = np.random.default_rng(n).normal(1.0, 2.0, size=(2000, n))
    covered = [i.low <= 1.0 <= i.high for i in map(student_interval, samples)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


def test_seeds_of_one_item_do_not_count_as_independent_items():
    """With an effect that varies by image, counting all pairs as independent covers far too seldom."""
    rng = np.random.default_rng(0)
    items, seeds, covered, naive = 4, 8, [], []
    for _ in range(600):
        effect = rng.normal(0.5, 1.0, size=items)
        noise = rng.normal(0.0, 0.3, size=(items, seeds))
        plain = {(str(i), s): 20.0 for i in range(items) for s in range(seeds)}
        rwf = {(str(i), s): 20.0 + effect[i] + noise[i, s] for i in range(items) for s in range(seeds)}
        interval = paired_interval(rwf, plain, METRICS["psnr"])
        assert interval.n == items
        covered.append(interval.low <= 0.5 <= interval.high)
        all_pairs = student_interval((effect[:, None] + noise).ravel())
        naive.append(all_pairs.low <= 0.5 <= all_pairs.high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)
    assert np.mean(naive) < 0.75


def test_pairing_removes_what_item_and_seed_share():
    rng = np.random.default_rng(1)
    level = rng.normal(25, 5, size=10)
    plain, rwf = by_seed(level), by_seed(level + 0.3 + rng.normal(0, 0.01, 10))
    interval = paired_interval(rwf, plain, METRICS["psnr"])
    assert 0.28 < interval.low < 0.3 < interval.high < 0.32
    assert verdict(interval, METRICS["psnr"]) == "holds"


def test_only_common_pairs_are_compared():
    plain, rwf = {("a", 0): 1.0, ("a", 1): 2.0, ("b", 0): 9.0}, {("a", 0): 2.0, ("a", 1): 4.0, ("c", 0): 0.0}
    assert paired_interval(rwf, plain, METRICS["psnr"]).mean == 1.5
    assert paired_interval(rwf, {("z", 0): 1.0}, METRICS["psnr"]) is None


def test_errors_are_compared_as_ratios():
    interval = paired_interval(by_seed([0.02, 0.01]), by_seed([0.08, 0.01]), METRICS["relative_l2"])
    assert np.exp(interval.mean) == pytest.approx(0.5)  # geometric mean of 1/4 and 1
    assert interval_text(student_interval(np.log([0.25, 0.25])), METRICS["relative_l2"]) == (
        "×0.25 error [0.25, 0.25]"
    )
    shapes = paired_interval(by_seed([0.984]), by_seed([0.980]), METRICS["iou"])
    assert interval_text(shapes, METRICS["iou"]) == "×0.80 error"


@pytest.mark.parametrize(
    ("metric", "low", "high", "expected"),
    [
        ("psnr", 0.1, 0.5, "holds"),
        ("psnr", -0.5, -0.1, "does not hold"),
        ("psnr", -0.1, 0.5, "undecided"),
        ("psnr", 0.0, 0.0, "undecided"),
        ("psnr", None, None, "undecided"),
        ("relative_l2", -0.5, -0.1, "holds"),
        ("relative_l2", 0.1, 0.5, "does not hold"),
        ("iou", -0.5, -0.1, "holds"),
    ],
)
def test_verdict(metric, low, high, expected):
    assert verdict(Interval(0.0, low, high, 1 if low is None else 3), METRICS[metric]) == expected


def test_summary_is_the_papers_plus_minus():
    one_seed = summarise({("a", 0): 26.0, ("b", 0): 30.0})
    assert (one_seed.mean, one_seed.spread) == (28.0, 2.0)  # population standard deviation
    seeds = summarise({("a", 0): 26.0, ("b", 0): 30.0, ("a", 1): 27.0, ("b", 1): 27.0})
    assert (seeds.mean, seeds.spread, seeds.items, seeds.seeds) == (27.5, 1.0, 2, 2)
    assert summarise(by_seed([1, 3])).spread == 1.0
    assert summarise(by_seed([1])).spread is None
    # A seed that lost an item weighs as much as the others.
    assert summarise({("a", 0): 1.0, ("b", 0): 3.0, ("a", 1): 4.0}).mean == 3.0
