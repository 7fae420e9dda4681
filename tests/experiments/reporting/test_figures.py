"""Figures drawn from synthetic runs: what is in them, what is missing, what they say of their source."""

import itertools

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from experiments.records import Cell
from experiments.reporting.figures import landscape, style
from experiments.reporting.figures.drawing import draw, figure_spec
from experiments.reporting.figures.verdicts import FILLS, matrix
from experiments.reporting.loading import Group, Records, find, load_runs
from experiments.reporting.metrics import PARAMETERIZATIONS
from experiments.reporting.tables import specs
from experiments.reporting.tables import table as tables
from experiments.reporting.targets import load_target
from scripts import make_figure

FIGURES = specs.names("figure")


@pytest.fixture
def drawn(tmp_path, make_runs):
    """Draw a figure from runs of all its cells, less those `leave_out` picks; returns figure and caption."""
    numbers = itertools.count()

    def build(name, leave_out=lambda cell: False, **changes):
        spec = figure_spec(name)
        cells = [cell for cell in spec.cells if not leave_out(cell)]
        return draw(spec, load_runs(make_runs(tmp_path / str(next(numbers)), cells, **changes)))

    yield build
    plt.close("all")


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def is_pending(axes) -> bool:
    return "pending" in texts(axes)


def panels(figure):
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def test_all_figures_of_the_paper_are_described():
    assert [int(name.split("_")[1]) for name in FIGURES] == list(range(1, 22))
    for name in FIGURES:
        spec = figure_spec(name)
        assert spec.title and spec.caption and (spec.cells or name == "figure_1")


@pytest.mark.parametrize("name", FIGURES[1:])
def test_without_runs_every_panel_says_pending(name):
    figure, caption = draw(figure_spec(name), [])
    assert panels(figure) and all(is_pending(axes) for axes in panels(figure))
    assert "Pending" in caption
    plt.close(figure)


@pytest.mark.parametrize("name", FIGURES)
def test_with_all_runs_no_panel_is_pending(name, drawn):
    figure, caption = drawn(name)
    assert not any(is_pending(axes) for axes in panels(figure)) and "Pending" not in caption


@pytest.mark.parametrize("name", ["figure_1", "figure_14"])
def test_files(name, tmp_path, make_runs):
    target = load_target(name)
    records = Records(load_runs(make_runs(tmp_path / "runs", target.cells)))
    paths = target.render(records, tmp_path / "out")
    assert [path.name for path in paths] == [f"{name}.png", f"{name}.pdf", f"{name}.md"]
    assert paths[0].read_bytes()[1:4] == b"PNG" and paths[1].read_bytes()[:4] == b"%PDF"
    assert target.title in paths[2].read_text() and target.text is None
    assert not plt.get_fignums()


def test_image_grid_shows_truth_and_predictions_with_the_best_in_bold(drawn):
    figure, caption = drawn("figure_7")
    axes = np.array(panels(figure)).reshape(3, 5)
    assert [axis.get_title() for axis in axes[0]] == ["Truth", *PARAMETERIZATIONS.values()]
    truth, plain, rwf = (axes[0, n].images[0].get_array() for n in (0, 1, 4))
    assert np.abs(plain - truth).mean() > 3 * np.abs(rwf - truth).mean() > 0
    assert axes[1, 4].get_xlabel() == "25.00 dB" and axes[1, 4].xaxis.label.get_fontweight() == "bold"
    assert axes[1, 1].xaxis.label.get_fontweight() == "normal"
    assert "Reduced: profile quick: 64x64 pixels, 500 steps." in caption


def test_one_missing_parameterization_is_one_pending_column(drawn):
    figure, caption = drawn("figure_7", leave_out=lambda cell: cell.parameterization == "aa")
    axes = np.array(panels(figure)).reshape(3, 5)
    assert [[is_pending(axis) for axis in row] for row in axes] == [[False, False, True, False, False]] * 3
    assert "Pending: 1 of 4 cells." in caption


def test_views_of_a_scene_carry_their_own_psnr(drawn):
    figure, _ = drawn("figure_15")
    axes = np.array(panels(figure)).reshape(3, 5)
    truth, rwf = (np.asarray(axes[2, n].images[0].get_array(), float) for n in (0, 4))
    assert axes[2, 4].get_xlabel() == f"{-10 * np.log10(np.mean((truth - rwf) ** 2)):.2f} dB"


def test_shapes_are_shown_as_shaded_surfaces(drawn):
    figure, _ = drawn("figure_13")
    axes = np.array(panels(figure)).reshape(2, 5)
    truth, plain, rwf = (np.asarray(axes[0, n].images[0].get_array()) for n in (0, 1, 4))
    covered = [np.mean(picture < 1) for picture in (truth, plain, rwf)]  # the background is white
    np.testing.assert_allclose(covered[0], np.pi * 0.4**2 * 0.73 / 1.08**2, rtol=0.08)
    assert covered[1] < 0.9 * covered[0] and 0.95 * covered[0] < covered[2] <= covered[0]
    assert axes[0, 4].get_xlabel() == "0.988" and axes[1, 0].get_ylabel() == "Armadillo"


def test_field_comparison_has_errors_and_bands_over_seeds(drawn):
    figure, _ = drawn("figure_3")
    *fields, errors = panels(figure)
    assert [axes.get_title() for axes in fields[1:]] == [
        "Plain, error 40.00 %", "AA, error 30.00 %", "WN, error 35.00 %", "RWF, error 5.00 %"
    ]  # fmt: skip
    assert fields[0].get_xlabel() == "t" and fields[0].images[0].get_extent() == [0, 1, 0, 2]
    assert fields[0].images[0].get_array().shape == (41, 33)  # t is horizontal
    assert {axes.images[0].get_clim() for axes in fields} == {fields[0].images[0].get_clim()}
    assert len(errors.lines) == 4 and len(errors.collections) == 4 and errors.get_yscale() == "log"
    assert errors.lines[3].get_color() == style.COLOURS["rwf"]
    assert errors.lines[0].get_xdata().tolist() == [0, 200, 400, 600, 800, 1000]
    decay = 0.4 + 0.6 * np.exp(-1000 / 200) * 1.05  # median of two seeds
    assert errors.lines[0].get_ydata()[-1] == pytest.approx(100 * decay)


def test_regression_has_six_kinds_of_panels(drawn):
    figure, _ = drawn("figure_2")
    axes = panels(figure)
    assert len(axes) == 7  # four predictions, then loss, weight change and spectrum
    assert [len(panel.lines) for panel in axes] == [2, 2, 2, 2, 4, 4, 4]
    assert axes[6].lines[0].get_xdata().tolist() == list(range(1, 257))
    assert axes[4].get_yscale() == axes[6].get_yscale() == "log"


def test_ablation_has_a_line_per_deviation_and_the_default_setting_in_it(drawn):
    figure, _ = drawn("figure_6")
    (axes,) = panels(figure)
    labels = axes.get_legend_handles_labels()[1]
    assert sorted(labels) == sorted(["σ = 0.01", "σ = 0.1", "σ = 0.5", "σ = 1", "Plain"])
    assert all(len(container.lines[0].get_xdata()) == 6 for container in axes.containers)
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert dashed[0].get_ydata()[0] == pytest.approx(100 * 0.42)


def test_sweep_names_the_default_setting_by_no_override():
    cells = figure_spec("figure_6").groups["sweep"].cells
    assert len(cells) == 24 and [cell.variant for cell in cells].count(()) == 1
    assert Cell("regression_1d", "rwf", "none", "mlp", ("parameterization.std=0.01",)) in cells


def test_siren_panels_have_error_bars_over_items_and_two_references(drawn):
    figure, _ = drawn("figure_9")
    for axes in panels(figure):
        assert axes.containers[0].has_yerr and len(axes.containers[0].lines[0].get_xdata()) == 7
        assert sorted(axes.get_legend_handles_labels()[1]) == [
            "Plain, no mapping",
            "RWF, Gaussian features",
            "SIREN",
        ]


def test_operator_rows(drawn):
    figure, _ = drawn("figure_20")
    axes = panels(figure)
    assert len(axes) == 12 and [len(panel.images) for panel in axes] == [1] * 12
    error = np.abs(axes[1].images[0].get_array() - axes[2].images[0].get_array())
    np.testing.assert_allclose(axes[3].images[0].get_array(), error, atol=1e-12)
    figure, _ = drawn("figure_19")
    assert [len(panel.lines) for panel in panels(figure)[:4]] == [1, 0, 0, 0]


def test_diverged_runs_are_shown_as_such(drawn):
    figure, _ = drawn("figure_7", metrics={"psnr": (None, 20.0, None)})
    assert panels(figure)[1].get_xlabel() == "diverged"
    figure, _ = drawn("figure_6", metrics={"relative_l2": (None,)})
    (axes,) = panels(figure)
    assert sum(line.get_marker() == "x" for line in axes.lines) == 4 and not axes.containers


def test_runs_of_one_profile_only(tmp_path, make_runs):
    group = Group("image_natural", "gaussian", "mlp")
    quick = make_runs(tmp_path / "quick", group.cells)
    paper = make_runs(tmp_path / "paper", group.cells[:3], profile="paper", reduced=None)
    found = find(group, load_runs(quick + paper))
    assert {run.row.profile for name in PARAMETERIZATIONS for run in found.of(name)} == {"quick"}
    assert [run.position for run in found.of("rwf")] == [0, 1]


def test_stand_in_data_is_said_with_its_place(drawn):
    data = {"name": "procedural shape", "checksum": "c", "stand_in": "the mesh"}
    figure, caption = drawn("figure_13", data=data)
    assert "Stand-in: procedural shape in place of the mesh (Dragon, Armadillo)." in caption
    assert "Stand-in" in figure.get_supxlabel()


def test_loss_of_figure_1_and_its_nearest_points():
    w = np.linspace(-3, 4, 100001)
    values = landscape.loss(w)
    minima = w[1:-1][(values[1:-1] < values[:-2]) & (values[1:-1] < values[2:])]
    np.testing.assert_allclose(minima, [landscape.LOCAL, landscape.GLOBAL], atol=1e-4)
    for s, v, product in [(1.7, 0.2, 2.0), (1.7, 0.2, -0.6), (1.7, -1.0, 2.0), (0.5, 3.0, 0.35)]:
        a = np.linspace(0.01, 10, 1_000_000)
        brute = np.min(np.hypot(a - s, product / a - v))
        near = landscape.nearest_on_hyperbola(s, v, product)
        assert near[0] * near[1] == pytest.approx(product)
        assert np.hypot(near[0] - s, near[1] - v) == pytest.approx(brute, abs=1e-6)


def test_command(tmp_path, capsys):
    words = ["figure_14", "--runs", str(tmp_path / "runs"), "--output", str(tmp_path / "out")]
    assert make_figure.main(words) == 0
    assert (tmp_path / "out" / "figure_14.png").exists()
    assert make_figure.main(["figure_99"]) == 1 and "nothing named 'figure_99'" in capsys.readouterr().err
    assert make_figure.main(["table_1"]) == 1 and "not a figure: table_1" in capsys.readouterr().err


def test_the_matrix_has_the_verdict_and_the_size_of_each_difference(make_row):
    levels = {"plain": 25.0, "aa": 27.0, "wn": 26.0, "rwf": 26.0}
    rows = [
        make_row(name, seed, metrics={"psnr": (level + 0.01 * seed, level + 1)})
        for name, level in levels.items()
        for seed in range(3)
    ]
    with style.look():
        (axes,) = matrix(tables.build(specs.table_spec("table_6"), rows)).axes
    cells = np.array([patch.get_facecolor() for patch in axes.patches]).reshape(3, 4, 4)
    shown = [
        next(n for n, fill in FILLS.items() if np.allclose(mpl.colors.to_rgba(fill), c)) for c in cells[2]
    ]
    assert shown == ["better", "worse", "equivalent", "pending"]
    assert {"▲ +1.00 dB", "▼ -1.00 dB", "= +0.00 dB"} <= set(texts(axes))
    assert [label.get_text() for label in axes.get_yticklabels()][2] == "Gaussian\n(reduced)"
    plt.close("all")
