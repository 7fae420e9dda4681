"""Tables and figures by name, as the planner uses them."""

import pytest

from experiments.records import Cell
from experiments.reporting.loading import Records, Run, load_runs
from experiments.reporting.tables import specs
from experiments.reporting.targets import load_target


def test_every_table_and_figure_loads_and_its_cells_are_distinct():
    for name in specs.names():
        target = load_target(name)
        assert target.name == name and target.title and target.caption
        assert len(set(target.cells)) == len(target.cells)
    assert len(load_target("table_1").cells) == 5 * 12  # the control too
    assert load_target("table_6").cells[5] == Cell("image_natural", "plain", "positional", "mlp")


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="nothing named 'figure_22': known are table_1, table_2"):
        load_target("figure_22")
    with pytest.raises(ValueError, match="nothing named 'tabel_1'"):
        load_target("tabel_1")


def test_a_table_is_rendered_from_run_folders_and_rows_alone(tmp_path, make_runs, make_row):
    target = load_target("table_6")
    folders = make_runs(tmp_path / "runs", target.cells[10:])  # the line of Gaussian features
    (tmp_path / "unfinished").mkdir()
    records = Records(load_runs([*folders, tmp_path / "unfinished"]))
    paths = target.render(records, tmp_path / "out")
    assert [path.name for path in paths] == ["table_6.md", "table_6.csv", "table_6.tex"]
    text = paths[0].read_text()
    assert "25.65" in text  # RWF: the mean of 28.95, 24.95 and 23.055, each a mean over two seeds
    further = make_row("rwf", embedding="none", metrics={"psnr": (11.0, 13.0)})
    text = target.text(Records([*records.own, Run(further)]))
    assert "12.00 ± 1.00" in text and "pending" in text


def test_a_figure_of_metrics_alone_is_drawn_from_rows(tmp_path, make_row):
    rows = [
        make_row(
            "plain", embedding="symmetric", model="siren", variant=variant, metrics={"psnr": (20.0, 22.0)}
        )
        for variant in ((), ("model.omega_0=10.0",))
    ]
    caption = load_target("figure_9").render(Records(list(map(Run, rows))), tmp_path)[2].read_text()
    assert "Pending: 5 of 7 cells (Natural)." in caption
