"""Result rows: strict reading, and adding from several processes at once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.records import (
    Cell,
    Row,
    add_rows,
    git_state,
    newest_per_seed,
    provenance,
    read_results,
    read_runs,
)

EXAMPLE = {
    "id": "rwf-gaussian-mlp-s0-1a2b3c4d5e",
    "protocol": 1,
    "experiment": "image_natural",
    "parameterization": "rwf",
    "embedding": "gaussian",
    "model": "mlp",
    "variant": [],
    "seed": 0,
    "profile": "quick",
    "reduced": "64x64 training pixels, 4x128 network, 500 steps",
    "data": {"name": "photographs of scikit-image", "checksum": "ab", "stand_in": "DIV2K crops"},
    "items": ["astronaut", "coffee"],
    "metric": "psnr",
    "metrics": {"psnr": [26.1, None], "psnr_held_out": [24.0, None]},
    "status": "diverged",
    "steps": 500,
    "seconds": 35.2,
    "iterations_per_second": 14.2,
    "device": "cpu",
    "device_name": "a processor, 1 core",
    "precision": "float32",
    "packages": {"jax": "0.10.2"},
    "commit": "abc1234",
    "dirty": False,
    "date": "2026-11-23T22:30:00+00:00",
}


def row(**changes) -> Row:
    return Row.from_json({**EXAMPLE, **changes})


def test_json_round_trip_keeps_every_value():
    assert json.loads(json.dumps(row().to_json())) == EXAMPLE


def test_values_behind_a_metric_are_kept_and_older_rows_have_none():
    each = {"psnr": [[25.0, 27.2], None]}
    kept = row(each=each)
    assert kept.each == {"psnr": ((25.0, 27.2), None)}
    assert json.loads(json.dumps(kept.to_json())) == {**EXAMPLE, "each": each}
    assert row().each == {} and "each" not in row().to_json()
    assert row(each={"psnr": [[float("nan")], None]}).each == {"psnr": ((None,), None)}


@pytest.mark.parametrize(
    ("each", "says"),
    [
        ({"psnr": [[1.0]]}, "each psnr has 1 lists for 2 items"),
        ({"iou": [[1.0], [1.0]]}, "each has 'iou', which is not among the metrics"),
        ({"psnr": [1.0, 2.0]}, "each, psnr 1: must be"),
    ],
)
def test_values_that_belong_to_no_metric_or_item_are_one_line(each, says):
    with pytest.raises(ValueError, match=says):
        row(each=each)


def test_what_is_not_known_of_older_rows_is_not_written():
    assert row().collapsed is None
    assert row(collapsed=[False, True]).to_json() == {**EXAMPLE, "collapsed": [False, True]}


def test_not_a_number_becomes_null():
    assert row(metrics={"psnr": [float("nan"), float("inf")]}).metrics["psnr"] == (None, None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"colour": 1}, "unknown key colour"),
        ({"seed": "0"}, "seed: must be a valid integer, not '0'"),
        ({"status": "fine"}, "status: must be 'finished' or 'diverged', not 'fine'"),
        ({"metric": "iou"}, "metric 'iou' is not among the metrics"),
        ({"items": ["one"]}, "metric psnr has 2 values for 1 items"),
        ({"collapsed": [True]}, "collapsed has 1 values for 2 items"),
        ({"data": {"name": "x"}}, "data: missing key checksum; data: missing key stand_in"),
        ({"variant": ["omega"]}, "key=value"),
        ({"metrics": {"psnr": [1.0, "2"]}}, "metrics, psnr 2: must be a valid number, not '2'"),
    ],
)
def test_wrong_rows_are_refused_in_one_line(changes, words):
    with pytest.raises(ValueError, match=words) as caught:
        row(**changes).cell  # noqa: B018
    assert "\n" not in str(caught.value)


def test_a_damaged_line_is_named_by_file_and_line(tmp_path):
    path = add_rows(tmp_path, [row()])[0]
    incomplete = {key: value for key, value in EXAMPLE.items() if key != "commit"}
    path.write_text(path.read_text() + json.dumps(incomplete) + "\n")
    with pytest.raises(ValueError, match=r"image_natural\.jsonl:2: missing key commit"):
        read_results(tmp_path)
    path.write_text(path.read_text().splitlines()[0] + "\n{half")
    with pytest.raises(ValueError, match=r"image_natural\.jsonl:2: not valid JSON"):
        read_results(tmp_path)


def test_a_row_replaces_the_one_of_its_id_and_seed_and_is_appended_otherwise(tmp_path):
    add_rows(tmp_path, [row(), row(seed=1)])
    add_rows(tmp_path, [row(steps=501), row(id="other")])
    found = read_results(tmp_path)
    assert [(r.id[:3], r.seed, r.steps) for r in found] == [("rwf", 0, 501), ("rwf", 1, 500), ("oth", 0, 500)]


def test_rows_are_filed_by_profile_and_experiment(tmp_path):
    paths = add_rows(tmp_path, [row(), row(profile="paper", reduced=None), row(experiment="burgers")])
    assert [str(path.relative_to(tmp_path)) for path in paths] == [
        "paper/rows/image_natural.jsonl",
        "quick/rows/burgers.jsonl",
        "quick/rows/image_natural.jsonl",
    ]


WORKER = """
import json, sys, time
from pathlib import Path
from experiments.records import Row, add_rows
folder, worker, example = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
while not (folder / "go").exists():
    time.sleep(0.01)
for seed in range(12):
    add_rows(folder, [Row.from_json({**example, "id": worker, "seed": seed})])
"""


def test_processes_adding_at_once_lose_nothing(tmp_path):
    names = ["first", "second", "third"]
    root = Path(__file__).resolve().parents[2]
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path), name, json.dumps(EXAMPLE)], cwd=root)
        for name in names
    ]
    (tmp_path / "go").touch()
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    added = {(r.id, r.seed) for r in read_results(tmp_path)}
    assert added == {(name, seed) for name in names for seed in range(12)}


def test_runs_folder(tmp_path):
    folder = tmp_path / "image_natural" / EXAMPLE["id"]
    folder.mkdir(parents=True)
    (folder.parent / "unfinished").mkdir()
    (folder / "result.json").write_text(json.dumps({"rows": [EXAMPLE]}))
    assert read_runs(tmp_path) == [row()]
    (folder / "result.json").write_text(json.dumps([EXAMPLE]))
    with pytest.raises(ValueError, match=r"result\.json: must be an object of keys and values, not a list"):
        read_runs(tmp_path)


def test_equal_cells_compare_equal_however_their_numbers_are_written():
    first = Cell("image_text", "plain", "none", "siren", ("model.omega_0=10.0", "a=b"))
    second = Cell("image_text", "plain", "none", "siren", ("a=b", "model.omega_0=10"))
    assert first == second
    assert (
        Cell("x", "p", "e", "m", ("parameterization.std=0.01",)).overrides[-1] == "parameterization.std=0.01"
    )
    assert row().cell.overrides[:2] == ["experiment=image_natural", "parameterization=rwf"]


def test_newest_row_of_a_seed_wins():
    rows = [row(seed=1), row(date="2026-11-24T00:00:00+00:00", steps=7), row()]
    assert [(r.seed, r.steps) for r in newest_per_seed(rows)] == [(0, 7), (1, 500)]


def test_provenance_fills_a_row():
    assert row(**provenance()).packages["jax"]


def test_no_commit_is_claimed_outside_a_checkout(tmp_path, monkeypatch):
    assert git_state(tmp_path) == (None, None)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert git_state(tmp_path) == (None, None)  # no commit yet
    (tmp_path / "file").write_text("a")
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["add", "file"], [*author, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    commit, dirty = git_state(tmp_path)
    assert len(commit) >= 7 and dirty is False
    (tmp_path / "file").write_text("b")
    assert git_state(tmp_path)[1] is True
    (tmp_path / "inner").mkdir()
    assert git_state(tmp_path / "inner") == (None, None)
    monkeypatch.setenv("PATH", "")
    assert git_state(tmp_path) == (None, None)


def test_a_file_that_is_not_text_is_named(tmp_path):
    path = tmp_path / "quick" / "rows" / "darcy.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"darcy\.jsonl: not text in UTF-8"):
        read_results(tmp_path)


def test_committed_rows_are_written_as_they_were_read(tmp_path):
    results = Path(__file__).resolve().parents[2] / "results"
    add_rows(tmp_path, read_results(results))
    committed = sorted(results.glob("*/rows/*.jsonl"))
    assert committed
    for path in committed:
        assert (tmp_path / path.relative_to(results)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["line\u2028two", "next\u0085line", "a\u000bb"])
def test_a_name_with_a_line_separator_is_read_back(tmp_path, name):
    add_rows(tmp_path, [row(items=[name, "coffee"])])
    add_rows(tmp_path, [row(seed=1)])
    assert sorted(found.items[0] for found in read_results(tmp_path)) == sorted(["astronaut", name])
