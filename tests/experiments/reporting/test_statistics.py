"""Intervals against a table worked by hand, tabulated values of Student's t, and their coverage by simulation."""

import numpy as np
import pytest
from scipy import stats

from experiments.metrics import METRICS
from experiments.reporting.effects import Layout, half_width, mean_effect
from experiments.reporting.statistics import Interval, interval_text, paired_interval, summarise

# 97.5 % points of Student's t as printed in statistical tables, by degrees of freedom.
T_TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262, 15: 2.131, 19: 2.093}
PSNR = METRICS["psnr"]


def by_seed(numbers) -> dict:
    return {("only", seed): float(number) for seed, number in enumerate(numbers)}


def crossed(table) -> dict:
    """Values by item (rows of `table`) and seed (columns); nan: no such run."""
    cells = np.ndenumerate(np.asarray(table, float))
    return {(f"item {i}", s): float(value) for (i, s), value in cells if not np.isnan(value)}


def against_zero(table) -> Interval:
    values = crossed(table)
    return paired_interval(values, dict.fromkeys(values, 0.0), PSNR)


@pytest.mark.parametrize(("freedom", "quantile"), T_TABLE.items())
def test_with_one_item_half_width_is_the_tabulated_quantile_times_the_standard_error(freedom, quantile):
    sample = np.random.default_rng(freedom).normal(size=freedom + 1)
    interval = paired_interval(by_seed(sample), by_seed(np.zeros(freedom + 1)), PSNR)
    error = np.sqrt(np.sum((sample - sample.mean()) ** 2) / freedom / (freedom + 1))
    assert interval.high - interval.mean == pytest.approx(quantile * error, rel=3e-4)  # four digits
    assert interval.mean - interval.low == pytest.approx(interval.high - interval.mean)
    assert (interval.seeds, interval.units) == (freedom + 1, f"{freedom + 1} seeds")
    assert interval.p_difference() == pytest.approx(stats.ttest_1samp(sample, 0).pvalue)


def test_a_two_way_table_worked_by_hand():
    """Rows 1 2 3, 3 5 4, 8 8 11: means 2, 4, 9 and 4, 5, 6 about 5.

    SS_items = 3 (9 + 1 + 16) = 78, SS_seeds = 3 (1 + 0 + 1) = 6, SS_total = 88, SS_rest = 88 - 84 = 4 with 4 degrees
    of freedom: MS 39, 3, 1. Variance of the mean (39 + 3 - 1) / 9 = 41/9; Satterthwaite's degrees of freedom
    41^2 / (39^2/2 + 3^2/2 + 1^2/4) = 1681/765.25.
    """
    interval = against_zero([[1, 2, 3], [3, 5, 4], [8, 8, 11]])
    assert interval.mean == pytest.approx(5)
    np.testing.assert_allclose(np.square(interval.errors), [41 / 9, 39 / 9, 3 / 9])
    np.testing.assert_allclose(interval.freedoms, [1681 / 765.25, 2, 2])
    half = max(stats.t.ppf(0.975, 1681 / 765.25) * np.sqrt(41 / 9), 4.30265 * np.sqrt(39 / 9))
    assert interval.high - 5 == pytest.approx(half, rel=1e-5)


def test_the_variance_is_never_below_the_larger_mean_square():
    """Seeds that vary less than the rest: (MS_items + MS_seeds - MS_rest) would be smaller than MS_items."""
    interval = against_zero([[1, 5], [5, 1], [9, 9]])  # means 3, 3, 9 and 5, 5: MS 24, 0, 8
    assert interval.errors[0] ** 2 == pytest.approx(24 / 6)


def simulated_coverage(items, seeds, by_item, by_seed, rest, missing=0, repeats=2000):
    rng = np.random.default_rng(items * 100 + seeds)
    item, seed = (index.ravel() for index in np.indices((items, seeds)))
    kept = np.sort(rng.permutation(items * seeds)[missing:])
    item, seed = (np.unique(index[kept], return_inverse=True)[1] for index in (item, seed))
    effects = [rng.normal(0, sd, size=(repeats, n)) for sd, n in ((by_item, items), (by_seed, seeds))]
    noise = rng.normal(0, rest, size=(repeats, len(kept)))
    values = effects[0][:, item] * (items > 1) + effects[1][:, seed] + noise
    mean, errors, freedoms = mean_effect(values, Layout(tuple(item), tuple(seed)))
    return np.mean(np.abs(mean) <= half_width(errors, freedoms))


@pytest.mark.parametrize("by_seed", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize(
    ("items", "seeds"), [(1, 3), (1, 5), (2, 3), (3, 3), (4, 3), (16, 2), (16, 3), (5, 5), (20, 3), (20, 5)]
)
def test_coverage_whatever_varies_with_the_seed(items, seeds, by_seed):
    """The item's effect is 1, or none; what neither explains is a tenth of it, its half, or as large."""
    for by_item in (1.0, 0.0):
        for rest in (0.1, 0.5, 1.0):
            assert simulated_coverage(items, seeds, by_item, by_seed, rest) >= 0.92, (by_item, rest)


@pytest.mark.parametrize(("items", "seeds", "missing"), [(4, 3, 2), (16, 3, 5), (16, 3, 20), (20, 5, 40)])
def test_coverage_with_missing_runs(items, seeds, missing):
    for by_seed in (0.0, 0.5, 1.0):
        assert simulated_coverage(items, seeds, 1.0, by_seed, 0.5, missing) >= 0.92


def test_items_of_a_seed_are_not_independent():
    """Seed means +1.42, +2.30, +3.34 with items alike: only three units, whose t-test has p = 0.07."""
    seeds = np.array([1.42, 2.30, 3.34])
    interval = against_zero(seeds + np.array([[-0.1], [0.0], [0.1]]))
    error = np.std(seeds, ddof=1) / np.sqrt(3)
    assert interval.low <= seeds.mean() - T_TABLE[2] * error * 0.999
    assert interval.p_difference() >= stats.ttest_1samp(seeds, 0).pvalue * 0.999


def test_one_seed_speaks_for_itself_and_one_value_for_nothing():
    interval = against_zero([[1.0], [1.1], [0.9]])
    assert interval.low > 0 and not interval.general and interval.units == "3 items, for this seed"
    assert against_zero([[1.0]]).low is None


def test_runs_that_share_neither_item_nor_seed_are_units():
    interval = against_zero([[1.0, np.nan], [np.nan, 3.0]])
    assert np.max(interval.errors) == pytest.approx(1.0)  # the standard error of 1 and 3
    assert interval.units == "2 items × 2 seeds, 2 pairs"


def test_pairing_removes_what_item_and_seed_share():
    rng = np.random.default_rng(1)
    level = rng.normal(25, 5, size=10)
    plain, rwf = by_seed(level), by_seed(level + 0.3 + rng.normal(0, 0.01, 10))
    interval = paired_interval(rwf, plain, PSNR)
    assert 0.28 < interval.low < 0.3 < interval.high < 0.32


def test_only_common_pairs_are_compared():
    plain, rwf = {("a", 0): 1.0, ("a", 1): 2.0, ("b", 0): 9.0}, {("a", 0): 2.0, ("a", 1): 4.0, ("c", 0): 0.0}
    assert paired_interval(rwf, plain, PSNR).mean == 1.5
    assert paired_interval(rwf, {("z", 0): 1.0}, PSNR) is None


def test_errors_are_compared_as_ratios():
    interval = paired_interval(by_seed([0.02, 0.01]), by_seed([0.08, 0.01]), METRICS["relative_l2"])
    assert np.exp(interval.mean) == pytest.approx(0.5)  # geometric mean of 1/4 and 1
    same = paired_interval(by_seed([0.25, 0.25]), by_seed([1, 1]), METRICS["relative_l2"])
    assert interval_text(same, METRICS["relative_l2"]) == "×0.25 error [0.25, 0.25]"
    shapes = paired_interval(by_seed([0.984]), by_seed([0.980]), METRICS["iou"])
    assert interval_text(shapes, METRICS["iou"]) == "×0.80 error"


def test_summary_is_the_papers_plus_minus():
    one_seed = summarise({("a", 0): 26.0, ("b", 0): 30.0})
    assert (one_seed.mean, one_seed.spread) == (28.0, 2.0)  # population standard deviation
    seeds = summarise({("a", 0): 26.0, ("b", 0): 30.0, ("a", 1): 27.0, ("b", 1): 27.0})
    assert (seeds.mean, seeds.spread, seeds.items, seeds.seeds) == (27.5, 1.0, 2, 2)
    assert summarise(by_seed([1, 3])).spread == 1.0
    assert summarise(by_seed([1])).spread is None
    # A seed that lost an item weighs as much as the others.
    assert summarise({("a", 0): 1.0, ("b", 0): 3.0, ("a", 1): 4.0}).mean == 3.0
