"""The comparisons of the faults can tell apart what they compare."""

import json

import pytest

from tests.faults.places import Place, lasting, refusal, same_results


@pytest.mark.parametrize(
    ("code", "errors", "says"),
    [
        (0, "error: x\n", "exit code 0"),
        (1, "", "0 lines"),
        (1, "error: x\nmore\n", "2 lines"),
        (1, "error: y\n", "error: y"),
        (1, "Traceback x", "Traceback"),
    ],
)
def test_anything_but_one_line_is_not_a_refusal(code, errors, says):
    assert refusal(1, "error: x\n", "x") == "error: x"
    with pytest.raises(AssertionError, match=says):
        refusal(code, errors, "x")


def results(folder, row, history):
    """The place of one finished run and its table."""
    place = Place(folder, folder / "cache")
    (place.results / "smoke" / "rows").mkdir(parents=True)
    (place.results / "smoke" / "rows" / "darcy.jsonl").write_text(json.dumps(row) + "\n")
    (place.results / "smoke" / "table_12.md").write_text("the table")
    (place.runs / "darcy" / "one").mkdir(parents=True)
    (place.runs / "darcy" / "one" / "history.jsonl").write_text(json.dumps(history) + "\n")
    return place


ROW = {
    "id": "one", "protocol": 1, "experiment": "darcy", "parameterization": "rwf", "embedding": "none",
    "model": "deeponet", "variant": [], "seed": 0, "profile": "smoke", "reduced": "all of it",
    "data": {"name": "generated", "checksum": "c", "stand_in": None}, "items": ["darcy"], "metric": "relative_l2",
    "metrics": {"relative_l2": [0.5]}, "status": "finished", "steps": 20, "seconds": 1.0,
    "iterations_per_second": 20.0, "device": "cpu", "device_name": "one", "precision": "float32", "packages": {},
    "commit": None, "dirty": None, "date": "2026-01-01T00:00:00+00:00",
}  # fmt: skip


def test_results_are_compared_but_for_dates_and_times(tmp_path):
    first = results(tmp_path / "first", ROW, {"step": 1, "loss": 0.5, "seconds": 1.0})
    later = {**ROW, "date": "2027-01-01T00:00:00+00:00", "seconds": 2.0, "iterations_per_second": 10.0}
    second = results(tmp_path / "second", later, {"step": 1, "loss": 0.5, "seconds": 2.0})
    assert lasting(first.results) == lasting(second.results)
    assert same_results(first, second, ["table_12"]) == 1
    history = {"step": 1, "loss": 0.5}
    other = {**ROW, "metrics": {"relative_l2": [0.5000001]}}
    for number, (row, entry, says) in enumerate(
        [(other, history, "differs in metrics"), (ROW, {"step": 1, "loss": 0.6}, "histories differ")]
    ):
        with pytest.raises(AssertionError, match=says):
            same_results(first, results(tmp_path / str(number), row, entry), ["table_12"])
    (second.results / "smoke" / "table_12.md").write_text("another table")
    with pytest.raises(AssertionError, match=r"table_12\.md differs"):
        same_results(first, second, ["table_12"])
