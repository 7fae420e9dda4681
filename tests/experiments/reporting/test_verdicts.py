"""A case with a known answer for each verdict, what bars one, and the correction for many rows."""

import numpy as np
import pytest

from experiments.criteria import CRITERIA, Criteria, read
from experiments.metrics import METRICS
from experiments.reporting import verdicts
from experiments.reporting.verdicts import (
    BETTER,
    EQUIVALENT,
    PENDING,
    UNDECIDED,
    WORSE,
    Comparison,
    against_each,
    compare,
    decide,
    holm,
)

PSNR, ERROR = METRICS["psnr"], METRICS["relative_l2"]
PLAIN = {("lego", seed): 25.0 + seed for seed in range(3)}


def moved(by, start=PLAIN) -> dict:
    return {pair: value + more for (pair, value), more in zip(start.items(), by, strict=True)}


def verdict(first, second=PLAIN, metric=PSNR, lost=((), ())) -> tuple[str, str]:
    (one,) = decide([compare(first, second, metric, lost)], [metric], "Plain")
    return one.verdict, one.reason


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ((0.9, 1.0, 1.1), (BETTER, "")),
        ((-0.9, -1.0, -1.1), (WORSE, "")),
        ((0.02, -0.02, 0.01), (EQUIVALENT, "")),
        ((0.09, 0.10, 0.11), (EQUIVALENT, "")),  # there is a difference, smaller than 0.2 dB
        ((-1.0, 0.1, 1.0), (UNDECIDED, "wide interval")),
    ],
)
def test_each_verdict(by, expected):
    assert verdict(moved(by)) == expected


def test_errors_are_judged_by_their_ratio():
    errors = {("advection", seed): 0.3 + 0.1 * seed for seed in range(3)}
    times = lambda *factors: {p: e * f for (p, e), f in zip(errors.items(), factors, strict=True)}  # noqa: E731
    assert verdict(times(0.5, 0.52, 0.48), errors, ERROR) == (BETTER, "")
    assert verdict(times(1.9, 2.0, 2.1), errors, ERROR) == (WORSE, "")
    assert verdict(times(1.01, 0.99, 1.02), errors, ERROR) == (EQUIVALENT, "")
    assert verdict(times(0.5, 0.9, 1.8), errors, ERROR) == (UNDECIDED, "wide interval")
    shapes = {("dragon", seed): 0.98 for seed in range(3)}
    better = {pair: 0.99 + 0.0001 * pair[1] for pair in shapes}
    assert verdict(better, shapes, METRICS["iou"]) == (BETTER, "")


def test_one_seed_decides_nothing_however_many_items():
    many = {(f"image {n}", 0): 25.0 for n in range(16)}
    assert verdict({pair: 27.0 for pair in many}, many) == (UNDECIDED, "one seed")
    assert verdict({("lego", 0): 30.0}, PLAIN) == (UNDECIDED, "one seed")
    assert verdict({("lego", 9): 30.0}, PLAIN) == (UNDECIDED, "no common run")


def test_a_diverged_pair_bars_the_verdicts_it_speaks_against():
    four = {("lego", seed): 25.0 for seed in range(4)}
    kept = {pair: value for pair, value in four.items() if pair[1]}
    lost = {("lego", 0)}
    up, down = {p: 27.0 + 0.01 * p[1] for p in four}, {p: 23.0 + 0.01 * p[1] for p in four}
    without = lambda values: {pair: values[pair] for pair in kept}  # noqa: E731
    assert verdict(up, kept, lost=((), lost)) == (
        BETTER,
        "",
    )  # the rival lost a run: no reason to think less of it
    assert verdict(down, kept, lost=((), lost)) == (UNDECIDED, "Plain diverged in 1 of 4")
    assert verdict(four, kept, lost=((), lost)) == (UNDECIDED, "Plain diverged in 1 of 4")
    assert verdict(without(up), four, lost=(lost, ())) == (UNDECIDED, "RWF diverged in 1 of 4")
    assert verdict(without(down), four, lost=(lost, ())) == (WORSE, "")
    assert verdict({}, four, lost=(set(four), ())) == (UNDECIDED, "RWF diverged in 4 of 4")


def test_several_rivals_are_each_a_rival():
    assert against_each([BETTER, BETTER]) == BETTER
    assert against_each([BETTER, EQUIVALENT]) == EQUIVALENT
    assert against_each([BETTER, UNDECIDED]) == UNDECIDED
    assert against_each([BETTER, WORSE, UNDECIDED]) == WORSE
    assert against_each([]) == against_each([PENDING, BETTER]) == PENDING


def test_p_values_are_corrected_over_the_rows():
    """Holm's own step-down: the smallest times their number, the next times one less, never falling."""
    corrected = holm([0.04, None, 0.01, 0.03, 0.5])
    assert corrected[1] is None
    np.testing.assert_allclose([p for p in corrected if p is not None], [0.09, 0.04, 0.09, 0.5])
    alone = compare(moved((0.5, 1.0, 0.8)), PLAIN, PSNR)
    assert 0.01 < alone.p < 0.05 and decide([alone], [PSNR], "Plain")[0].verdict == BETTER
    twelve = decide([alone] * 5 + [Comparison()], [PSNR] * 6, "Plain")
    assert twelve[0].holm[0] == pytest.approx(5 * alone.p)  # the pending row is not counted
    assert (twelve[0].verdict, twelve[0].reason) == (UNDECIDED, "not after Holm's correction")
    assert twelve[5].verdict == PENDING


def test_false_claims_over_a_table_are_rare():
    """Twelve rows without a difference and without a margin: in one table of twenty any is claimed."""
    rng, metric = np.random.default_rng(0), METRICS["iterations_per_second"]
    assert verdicts.margin(metric) is None
    zero = {("lego", seed): 1.0 for seed in range(3)}
    wrong = 0
    for _ in range(300):
        rows = [
            compare({pair: float(np.exp(rng.normal())) for pair in zero}, zero, metric) for _ in range(12)
        ]
        wrong += any(one.verdict != UNDECIDED for one in decide(rows, [metric] * 12, "Plain"))
    assert wrong / 300 < 0.09


def test_equivalence_is_rarely_claimed_at_the_margin():
    rng = np.random.default_rng(0)
    found = [verdict(moved(rng.normal(0.2, 0.05, size=3)))[0] for _ in range(400)]
    assert found.count(EQUIVALENT) / 400 < 0.09


def test_criteria_are_read_and_checked(tmp_path):
    assert CRITERIA.margins == {"dB": 0.2, "error": 1.1} and CRITERIA.collapse == 100
    with pytest.raises(ValueError, match="level"):
        Criteria(level=95, margins={}, collapse=100)
    path = tmp_path / "criteria.yaml"
    path.write_text("levle: 0.95")
    with pytest.raises(ValueError, match=r"criteria\.yaml.*levle"):
        read(path)
