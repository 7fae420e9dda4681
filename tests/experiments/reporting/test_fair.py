"""The fair comparison: what runs next, which rate is chosen, and what is reported, on rows with known answers."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from experiments import fair as command
from experiments.config.compose import configure
from experiments.reporting.fair import comparison, writer
from experiments.reporting.fair.comparison import GRID, LOST, Point, best, rate, wanted, width
from experiments.reporting.fair.published import results_of

ADVECTION = replace(comparison.read("advection"), methods=("plain", "rwf"), rivals=(), optimizers=())


def runs(make_row, method, exponent, part, error, seeds=(0, 1, 2, 3, 4), items=("wave",)):
    """Rows whose errors scatter around `error` by a per cent; None: diverged."""
    rng = np.random.default_rng([exponent + 100, len(method), len(part)])
    return [
        make_row(
            experiment="advection",
            parameterization=method,
            seed=seed,
            items=items,
            metric="relative_l2",
            metrics={
                "relative_l2": [
                    None if error is None else error * math.exp(0.01 * rng.standard_normal()) for _ in items
                ]
            },
            status="finished" if error is not None else "diverged",
        )
        for seed in seeds
    ]


def parabola(exponent, optimum, least):
    """An error that is least at `optimum`, a factor e more one and a half decades away."""
    return least * math.exp(((exponent - optimum) / 3) ** 2)


def simulated(make_row, optima, least):
    """A comparison carried out to its end, every run having the error of a parabola."""
    results = writer.Results(ADVECTION, {})
    for _ in range(20):
        points = results.wanted()
        if not points:
            return results
        for point in points:
            error = parabola(point.exponent, optima[point.method], least[point.method])
            results.rows[point] = runs(make_row, point.method, point.exponent, point.part, error)
    raise AssertionError("it goes on for ever")


def test_the_grid_comes_first_then_the_report_at_the_best():
    assert wanted(ADVECTION, {}) == [Point(m, "select", k) for m in ("plain", "rwf") for k in GRID]
    scores = {k: -abs(k - 1.0) for k in GRID}
    done = {"plain": scores, "rwf": {k: v for k, v in scores.items() if k != 2}}
    assert wanted(ADVECTION, done) == [Point("plain", "report", 1), Point("rwf", "select", 2)]


@pytest.mark.parametrize(("optimum", "last"), [(-20, -8), (20, 7), (4, 5), (-6, -7)])
def test_a_grid_whose_best_lies_at_its_edge_is_extended_until_it_is_inside_or_the_limit_is_reached(
    optimum, last
):
    scores = {k: -abs(k - optimum) for k in GRID}
    for _ in range(20):
        (point,) = wanted(replace(ADVECTION, methods=("plain", "plain")), {"plain": scores})[:1]
        if point.part == "report":
            break
        scores[point.exponent] = -abs(point.exponent - optimum)
    assert (min(scores) if last < 0 else max(scores)) == last
    assert point.exponent == max(-8, min(7, optimum))


def test_a_rate_with_which_one_run_diverged_is_lost(make_row):
    whole = runs(make_row, "plain", 0, "select", 0.5, (0, 1))
    assert np.isfinite(ADVECTION.score(whole))
    assert ADVECTION.score([*whole, *runs(make_row, "plain", 0, "select", None, (2,))]) == LOST
    assert best({0: LOST, 1: LOST}) is None
    assert wanted(ADVECTION, {m: dict.fromkeys(GRID, LOST) for m in ("plain", "rwf")}) == []


def test_smaller_errors_and_larger_psnr_score_higher(make_row):
    scores = [ADVECTION.score(runs(make_row, "plain", 0, "select", error)) for error in (0.1, 0.5)]
    assert scores[0] > scores[1]


def test_the_width_is_the_factor_of_neighbouring_rates_within_the_margin():
    margin = math.log(1.1)  # of errors
    scores = {-2: 0.0, -1: 1 - margin / 2, 0: 1.0, 1: 1 - margin / 2, 2: 0.0, 3: 1.0}
    assert math.isclose(width(ADVECTION, scores), 10.0)
    assert width(ADVECTION, {0: 1.0, 1: 0.0}) == 1.0


def test_a_shifted_curve_is_equivalent_and_a_deeper_one_is_better(make_row, tmp_path):
    shifted = simulated(make_row, {"plain": 1, "rwf": 0}, {"plain": 0.1, "rwf": 0.1})
    assert (shifted.report("plain")[0], shifted.report("rwf")[0]) == (1, 0)
    deeper = simulated(make_row, {"plain": 1, "rwf": 0}, {"plain": 0.1, "rwf": 0.05})
    verdicts = [writer.verdicts_on([own], "plain")[0].verdict for own in (shifted, deeper)]
    assert verdicts == ["equivalent", "better"]
    paths = writer.write_all([shifted, deeper], tmp_path)
    assert {path.suffix for path in paths} == {".md", ".csv", ".tex", ".png", ".pdf"}
    text = (tmp_path / "fair.md").read_text(encoding="utf-8").replace("\xa0", " ")
    assert "RWF equivalent" in text and "RWF better" in text and "rate 0.00316" in text


def test_what_is_not_there_is_pending(tmp_path):
    grid = writer.table([writer.Results(ADVECTION, {})])
    assert [cell.text for cell in grid.rows[0][1:]] == ["pending", "pending"]
    assert writer.write_all([writer.Results(ADVECTION, {})], tmp_path)


def test_items_that_select_are_not_reported(make_row):
    images = replace(ADVECTION, held_out="items")
    rows = runs(make_row, "rwf", 0, "report", 0.1, (0, 1), items=("a", "b", "c"))
    values, lost = images.reported(rows, runs(make_row, "rwf", 0, "select", 0.1, (9,), items=("a", "b")))
    assert set(values) == {("c", 0), ("c", 1)} and not lost


@pytest.mark.parametrize("name", comparison.names())
def test_every_task_composes_and_its_parts_share_nothing(name):
    fair = comparison.read(name)
    parts = [configure(fair.words(Point("rwf", part, -1), "smoke")) for part in ("select", "report")]
    for config in parts:
        assert math.isclose(config.optimizer.learning_rate, rate(-1), rel_tol=1e-2)
    for column in fair.columns:
        method, optimizer = comparison.parted(column)
        config = configure(fair.words(Point(column, "select", -1), "smoke"))
        assert config.parameterization_name == method
        assert type(config.optimizer).__name__.lower() == (optimizer or "adam").replace("_", "")
    seeds = [set(range(own.root.seed, own.root.seed + own.root.seeds)) for own in parts]
    assert not seeds[0] & seeds[1] and len(seeds[1]) == 5


@pytest.mark.parametrize("name", ["image_natural", "ct_shepp"])
def test_the_items_that_select_are_the_first_of_those_that_report(name):
    fair = comparison.read(name)
    selecting, reported = (
        configure(fair.words(Point("rwf", part, 0), "smoke")).task.items().names
        for part in ("select", "report")
    )
    assert reported[: len(selecting)] == selecting and len(reported) >= len(selecting) + 4


def test_rwf_under_an_optimizer_is_compared_with_plain_under_the_same(make_row):
    own = replace(ADVECTION, optimizers=("muon",))
    results = writer.Results(own, {})
    least = {"plain": 0.1, "rwf": 0.1, "plain under muon": 0.08, "rwf under muon": 0.04}
    while points := results.wanted():
        for point in points:
            error = parabola(point.exponent, 0, least[point.method])
            results.rows[point] = runs(make_row, point.method, point.exponent, point.part, error)
    (part,) = (part for part in writer.PARTS if part.name == "fair_optimizers")
    grid = writer.table([results], part)
    assert grid.head == ("", "Plain", "RWF", "Plain, Muon", "RWF, Muon")
    _, plain, _, muon, _ = grid.rows[0]
    assert "RWF equivalent" in plain.below and "RWF better" in muon.below
    assert any(text.startswith("×0.50 error") for text in muon.below)


def test_rows_alone_say_which_point_they_belong_to(make_row):
    facts = {
        "experiment": "advection",
        "embedding": "periodic",
        "metric": "relative_l2",
        "items": ("advection",),
    }
    facts |= {"metrics": {"relative_l2": (0.1,)}}
    rows = [
        make_row("rwf", 1000, variant=("optimizer.learning_rate=0.000316",), **facts),
        make_row("rwf", 3, variant=(), **facts),
        make_row("plain", 1001, variant=("optimizer.learning_rate=0.0316", "optimizer=muon"), **facts),
        make_row("plain", 0, **{**facts, "experiment": "burgers"}),
        make_row(
            "rwf", 3, variant=("trainer.steps=50",), **facts
        ),  # of other settings, and of another protocol
        make_row("rwf", 3, protocol=7, **facts),
    ]
    (found,) = results_of(rows, "quick")
    assert found.fair.name == "advection"
    assert set(found.rows) == {
        Point("rwf", "select", -1), Point("rwf", "report", 0), Point("plain under muon", "select", 3)
    }  # fmt: skip
    assert all(len(own) == 1 for own in found.rows.values())


def test_the_command_says_what_its_first_round_would_run(tmp_path, capsys, monkeypatch):
    two = dataclasses.replace(comparison.read("regression_1d"), methods=("plain", "rwf"))
    monkeypatch.setattr(comparison, "read", lambda _: two)
    words = ["regression_1d", "--profile", "smoke", "--dry-run", "--set", "execution.stack=never"]
    folders = ["--runs", str(tmp_path / "runs"), "--output", str(tmp_path / "out")]
    assert command.main([*words, *folders]) == 0
    line = next(own for own in capsys.readouterr().out.splitlines() if own.startswith("regression_1d"))
    assert line.split()[1] == str(2 * len(GRID) * 2)
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_writes_nothing_though_runs_are_done(tmp_path, monkeypatch, make_row):
    from experiments.running import plan as planning

    def plan(wanted):
        ((point, *_),) = wanted
        error = parabola(point.exponent, 0, 0.1)
        rows = runs(make_row, point.method, point.exponent, point.part, error)
        return [SimpleNamespace(rows=rows, experiment="advection")], []

    monkeypatch.setattr(planning, "plan", plan)
    monkeypatch.setattr(comparison.Fair, "words", lambda self, point, profile: (point,))
    monkeypatch.setattr(writer, "write_all", lambda *_: [])
    folders = ["--runs", str(tmp_path / "runs"), "--output", str(tmp_path / "out")]
    assert command.main(["advection", "--dry-run", *folders]) == 0
    assert not list(tmp_path.iterdir())
    assert command.main(["advection", *folders]) == 0
    assert list((tmp_path / "out").glob("*/rows/advection.jsonl"))


def test_an_unknown_task_is_one_line(capsys):
    assert command.main(["nothing"]) == 2
    assert "known are advection" in capsys.readouterr().err
