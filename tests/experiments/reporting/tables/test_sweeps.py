"""A sweep from rows with values computed by hand: settings, means, what diverged, what is missing, the picture."""

import csv
import io

import matplotlib.pyplot as plt
import numpy as np
import pytest

from experiments import sweep as command
from experiments.records import add_rows
from experiments.reporting.figures import heat_maps
from experiments.reporting.site.costs import costs
from experiments.reporting.tables.renderers import markdown, terminal
from experiments.reporting.tables.sweeps import completed, csv_of, sweep_of
from experiments.reporting.tables.sweeps import grid as grid_of

MEAN, STD = "parameterization.mean", "parameterization.std"


@pytest.fixture
def grid(make_row):
    """Means 1 (the standard) and 2, deviations 0.1 (the standard) and 0.5, two seeds; (2, 0.5) was not run."""

    def row(values, *variant, parameterization="rwf", seed=0, status="finished", **changes):
        changes = {"experiment": "regression_1d", "profile": "smoke", "embedding": "none", **changes}
        return make_row(
            parameterization, seed, items=("target",), metric="relative_l2", status=status,
            metrics={"relative_l2": values}, variant=(*variant, "task.points=16"), **changes,
            id=f"{parameterization}{'-'.join(variant)}-s{seed}",
        )  # fmt: skip

    return [
        row([0.2]),
        row([0.4], seed=1),
        row([0.05], f"{MEAN}=2"),
        row([0.15], f"{MEAN}=2.0", seed=1),
        row([None], f"{STD}=0.5", status="diverged"),
        row([None], f"{STD}=0.5", seed=1, status="diverged"),
        row([0.9], experiment="image_natural"),
        row([0.9], profile="quick"),
    ]


def test_settings_and_means_are_those_of_the_rows(grid):
    sweep = sweep_of(grid, "regression_1d", "smoke")
    assert sweep.names == (MEAN, STD)  # the parameterization and task.points do not vary
    found = {tuple(point.settings.values()): point for point in sweep.points}
    assert set(found) == {(1.0, 0.1), (2.0, 0.1), (1.0, 0.5)}  # standard values come from the configuration
    assert found[1.0, 0.1].summary.mean == pytest.approx(0.3)
    assert found[1.0, 0.1].summary.spread == pytest.approx(0.1)  # over the two seeds
    assert found[2.0, 0.1].summary.mean == pytest.approx(0.1) and sweep.best is found[2.0, 0.1]
    assert found[1.0, 0.5].summary is None and found[1.0, 0.5].note == "diverged"


def test_what_is_missing_from_the_grid_is_said_and_nothing_else_is_added(grid):
    sweep = completed(sweep_of(grid, "regression_1d", "smoke"), (MEAN, STD))
    assert [point.note for point in sweep.points] == ["", "diverged", "", "missing"]
    assert list(sweep.points[3].settings.values()) == [2.0, 0.5]


def test_the_table_in_its_three_forms(grid):
    sweep = completed(sweep_of(grid, "regression_1d", "smoke"), (MEAN, STD))
    lines = terminal(grid_of(sweep)).splitlines()[2:]
    assert lines[2].split() == ["1", "0.1", "30.00", "10.00", "2", "30.0"]
    assert lines[3].split() == ["1", "0.5", "30.0", "diverged"]
    assert lines[4].split()[2] == "10.00*" and lines[5].split() == ["2", "0.5", "missing"]
    assert "| 2 | 0.1 | **10.00** |" in markdown(grid_of(sweep)).replace("\u00a0", " ")
    rows = list(csv.DictReader(io.StringIO(csv_of(sweep))))
    assert [row["mean"] and float(row["mean"]) for row in rows] == pytest.approx([0.3, "", 0.1, ""])
    assert rows[0]["runs"] == "rwf-s0 rwf-s1" and rows[3]["note"] == "missing"


def test_a_combination_that_has_no_such_setting_stands_beside_the_grid(grid, make_row):
    plain = make_row(
        "plain", experiment="regression_1d", profile="smoke", embedding="none", items=("target",),
        metric="relative_l2", metrics={"relative_l2": [0.7]}, variant=("task.points=16",),
    )  # fmt: skip
    sweep = sweep_of([*grid, plain], "regression_1d", "smoke")
    assert sweep.names == ("parameterization", MEAN, STD) and sweep.numeric == [MEAN, STD]
    assert len(completed(sweep, (MEAN, STD)).points) == 5  # Plain is not crossed with the means
    figure = heat_maps.draw(sweep, (MEAN, STD))
    assert "plain: 70.00" in figure._supxlabel.get_text()
    plt.close(figure)
    only = sweep_of([*grid, plain], "regression_1d", "smoke", where=["parameterization=rwf"])
    assert only.names == (MEAN, STD) and len(only.points) == 3


def test_the_heat_map_shows_numbers_what_diverged_and_what_is_missing(grid):
    sweep = sweep_of(grid, "regression_1d", "smoke")
    assert heat_maps.axes_of(sweep, None, None) == (MEAN, STD)
    assert heat_maps.axes_of(sweep, STD, None) == (STD, MEAN)
    figure = heat_maps.draw(sweep, (MEAN, STD))
    panel = figure.axes[0]
    texts = {tuple(text.get_position()): text.get_text() for text in panel.texts}
    assert texts == {(0, 0): "30.00", (0, 1): "×", (1, 0): "10.00", (1, 1): "–"}
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["1", "2"]
    assert [tick.get_text() for tick in panel.get_yticklabels()] == ["0.1", "0.5"]
    colours = {tuple(np.add(p.get_xy(), 0.5)): p.get_facecolor() for p in panel.patches}
    assert colours[0.0, 1.0] != colours[1.0, 1.0] != colours[0.0, 0.0]
    plt.close(figure)


def test_one_setting_gives_a_line(grid):
    sweep = sweep_of(grid[:4], "regression_1d")
    figure = heat_maps.draw(sweep, heat_maps.axes_of(sweep, None, None))
    x, y = figure.axes[0].lines[0].get_data()
    assert list(x) == [1.0, 2.0] and list(y) == pytest.approx([30.0, 10.0])
    plt.close(figure)


def test_values_that_form_no_grid_are_drawn_as_dots(grid):
    rows = [
        type(grid[0])(**{**grid[0].to_json(), "id": str(n), "variant": (f"{MEAN}={n + 0.5}", f"{STD}={n + 0.25}")})
        for n in range(5)
    ]  # fmt: skip
    sweep = sweep_of(rows, "regression_1d", "smoke")
    assert heat_maps.scattered(sweep, (MEAN, STD))
    figure = heat_maps.draw(sweep, (MEAN, STD))
    assert len(figure.axes[0].collections[0].get_offsets()) == 5 and not figure.axes[0].patches
    plt.close(figure)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"experiment": "burgers"}, "no finished run of 'burgers'; there is image_natural, regression_1d"),
        ({}, "add --profile quick|smoke"),
        ({"profile": "paper"}, "no finished run of regression_1d at profile=paper"),
        ({"profile": "smoke", "metric": "psnr"}, "no metric 'psnr'"),
        ({"profile": "smoke", "where": ["parameterization=wn"]}, "parameterization=wn"),
    ],
)
def test_a_choice_that_has_no_rows_is_one_line(grid, changes, says):
    with pytest.raises(ValueError, match=r".") as raised:
        sweep_of(grid, **{"experiment": "regression_1d", **changes})
    assert says in str(raised.value) and "\n" not in str(raised.value)


def test_the_command_prints_and_writes(grid, write_run, tmp_path, capsys):
    for row in grid:
        write_run(tmp_path / "runs" / row.experiment / f"{row.profile}-{row.id}", [row])
    words = ["regression_1d", "--runs", str(tmp_path / "runs"), "--profile", "smoke"]
    assert command.main([*words, "--output", str(tmp_path / "out" / "scale")]) == 0
    assert "10.00*" in capsys.readouterr().out
    assert (tmp_path / "out" / "scale.png").stat().st_size > 5_000
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".md", ".csv", ".png"}
    assert command.main([*words, "--x", "model.width"]) == 2
    assert "model.width does not vary" in capsys.readouterr().err


def test_published_values_stand_beside_ones_own(grid):
    sweep = sweep_of(grid[:2], "regression_1d", "smoke", published=grid)
    assert [point.published.mean for point in sweep.points] == [point.summary.mean for point in sweep.points]
    lines = markdown(grid_of(sweep)).splitlines()
    head = next(line for line in lines if "published" in line)
    assert {line.count("|") for line in lines if line.startswith("|")} == {head.count("|")}
    (record, *_) = csv.DictReader(io.StringIO(csv_of(sweep)))
    assert record["published"] == record["mean"] != ""
    assert "published" not in terminal(grid_of(sweep_of(grid, "regression_1d", "smoke")))


def test_without_runs_of_ones_own_the_published_are_shown(grid, tmp_path, capsys):
    add_rows(tmp_path / "results", grid)
    words = ["regression_1d", "--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    assert command.main([*words, "--profile", "smoke"]) == 0
    assert capsys.readouterr().out.startswith("no run of your own: these are the published rows")


def test_a_run_of_several_seeds_takes_its_time_once(make_row):
    """In tables of sweeps and on the page of costs alike: a row states the time of its whole run."""
    facts = {"experiment": "regression_1d", "profile": "smoke", "embedding": "none", "items": ("target",)}
    facts |= {"metric": "relative_l2", "metrics": {"relative_l2": [0.2]}, "seconds": 6.0}
    rows = [make_row("rwf", seed, id="one run", **facts) for seed in range(3)]
    rows += [make_row("plain", seed, id=f"run {seed}", **{**facts, "seconds": 2.0}) for seed in range(3)]
    table = grid_of(sweep_of(rows, "regression_1d"))
    place = table.head.index("seconds a seed")
    assert [line[place].text for line in table.rows] == ["2.0", "2.0"]
    (cost,) = costs(rows)
    assert cost.seconds == 2.0 and cost.runs == 6
