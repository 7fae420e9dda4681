"""What is published of runs: enough to draw every figure and curve as from the runs themselves, in little room."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from experiments.records import read_results
from experiments.reporting import compact
from experiments.reporting.figures.drawing import draw, figure_spec
from experiments.reporting.loading import load_published, load_runs
from experiments.reporting.publishing import publish, render
from experiments.reporting.site.curves import learning_curves
from experiments.reporting.tables import specs


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Runs of every cell of every figure, and the results they are published in."""
    from tests.experiments.conftest import _make_row
    from tests.experiments.reporting import conftest as synthetic

    folder = tmp_path_factory.mktemp("published")
    make = synthetic.make_runs.__wrapped__(_make_row)
    cells = dict.fromkeys(cell for name in specs.names("figure") for cell in figure_spec(name).cells)
    runs = []
    for number, cell in enumerate(cells):  # each has dates, and so ids, of its own
        date = f"2026-11-23T{number // 60:02}:{number % 60:02}:00+00:00"
        (one,) = make(folder / "runs" / str(number), [cell], date=date)
        runs += load_runs([one])
    publish(runs, folder / "results")
    return runs, folder / "results"


def shown(figure) -> tuple[list, list]:
    """All words of a figure but numbers on axes, and the values of all its pictures and lines."""
    words, values = [], []
    for axes in figure.axes:
        words += [axes.get_title(), axes.get_xlabel(), axes.get_ylabel(), *(t.get_text() for t in axes.texts)]
        values += [np.ma.filled(np.ma.asarray(image.get_array(), float), np.nan) for image in axes.images]
        values += [np.asarray(line.get_ydata(), float) for line in axes.lines]
    plt.close(figure)
    return words, values


@pytest.mark.parametrize("name", specs.names("figure")[1:])
def test_a_figure_of_published_runs_is_that_of_the_runs(published, name):
    runs, results = published
    spec, kept = figure_spec(name), load_published(results)
    assert spec.covered(kept) == spec.covered(runs) == len(spec.cells)
    (ours, caption), (theirs, other) = draw(spec, runs), draw(spec, kept)
    assert caption == other and "Pending" not in caption
    (words, values), (kept_words, kept_values) = shown(ours), shown(theirs)
    assert words == kept_words and len(values) == len(kept_values) > 0
    for one, other in zip(values, kept_values, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-3 * np.nanmax(np.abs(one)))


def test_a_figure_needs_the_files_that_it_draws(published, tmp_path):
    _, results = published
    (tmp_path / "quick").mkdir()
    (tmp_path / "quick" / "rows").symlink_to(results / "quick" / "rows")
    kept = load_published(tmp_path)
    covered = {name: figure_spec(name).covered(kept) for name in ("figure_5", "figure_7", "figure_9")}
    assert covered == {"figure_5": 0, "figure_7": 0, "figure_9": len(figure_spec("figure_9").cells)}
    assert not learning_curves("image_natural", kept)


def test_curves_are_those_of_the_runs(published):
    runs, results = published
    ours = next(run for run in runs if run.row.experiment == "image_natural" and run.row.seed == 1)
    kept = next(run for run in load_published(results) if (run.row.id, run.row.seed) == (ours.row.id, 1))
    assert kept.curves.keys() == ours.curves.keys() >= {"loss", "psnr"}
    for name, (steps, values) in ours.curves.items():
        assert kept.series(name)[0].tolist() == steps.tolist()
        np.testing.assert_allclose(kept.series(name)[1], values, rtol=5e-4)
    assert learning_curves("image_natural", load_published(results))


def test_long_curves_are_thinned_alike_and_keep_their_ends(tmp_path):
    steps = np.arange(0, 100_001, 100)
    values = np.exp(-steps / 2e4)
    compact.write(
        tmp_path / "a.npz", {0: ({"loss": (steps, values), "error": (steps[::10], values[::10])}, {})}
    )
    curves, _ = compact.read(tmp_path / "a.npz", 0)
    kept = curves["loss"][0]
    assert {0, 100_000} <= set(kept.tolist()) and 60 < len(kept) <= compact.STEPS
    assert curves["error"][0].tolist() == steps[::10].tolist()
    np.testing.assert_allclose(curves["loss"][1], np.exp(-kept / 2e4), rtol=5e-4)
    assert set(compact.thinned(steps[:500]).tolist()) >= set(kept[kept < steps[499]].tolist())
    assert compact.read(tmp_path / "a.npz", 7) == ({}, {})


def test_rounding_keeps_range_and_marks(tmp_path):
    values = np.tile([0.0, -1e-30, 3e12, np.nan, np.inf, 1 / 3], compact.FEW)
    rounded = compact.rounded(values)
    np.testing.assert_allclose(rounded, values, rtol=2.0**-compact.BITS)
    assert rounded.dtype == np.float32


def test_pictures_are_published_no_finer_than_a_page_and_views_with_their_number(make_runs, tmp_path):
    spec = figure_spec("figure_15")
    folders = make_runs(tmp_path / "runs", spec.cells)
    rng = np.random.default_rng(0)
    truth = np.uint8(rng.integers(0, 255, (1, 4, 600, 600, 3)))
    from experiments.files import save_arrays

    for folder in folders:
        noisy = np.uint8(np.clip(truth + rng.normal(size=truth.shape) * 9, 0, 255))
        save_arrays(folder / "predictions.npz", {"truth": truth, "prediction": noisy})
    publish(load_runs(folders), tmp_path / "results")
    kept = [run for run in load_published(tmp_path / "results") if run.row.seed == 0]
    assert {run.predictions["prediction"].shape for run in kept} == {(1, 3, 200, 200, 3)}
    assert sum("truth" in run.predictions for run in kept) == 1
    ours, theirs = draw(spec, load_runs(folders))[0], draw(spec, kept)[0]
    labels = [[axes.get_xlabel() for axes in figure.axes] for figure in (ours, theirs)]
    assert labels[0] == labels[1] and sum("dB" in label for label in labels[0]) == 12
    plt.close("all")


def test_a_second_publication_replaces_and_adds_and_keeps_pictures_without_runs(make_runs, tmp_path):
    cells, results = figure_spec("figure_16").cells, tmp_path / "results"
    first = load_runs(make_runs(tmp_path / "a", cells[:2]))
    publish(first, results)
    publish(first, results)
    assert len(read_results(results)) == len(first) == 4
    written = {path.name for path in render(results, "quick")}
    assert {"figure_16.png", "table_10.md"} <= written and "figure_3.png" not in written
    picture = results / "quick" / "figure_17.png"
    picture.write_bytes(b"kept")
    publish(load_runs(make_runs(tmp_path / "b", figure_spec("figure_17").cells[:3])), results)
    assert "figure_17.png" not in {path.name for path in render(results, "quick")}
    assert picture.read_bytes() == b"kept" and len(read_results(results)) == 10
