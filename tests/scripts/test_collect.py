"""Rows of finished runs reach the results once, however often they are collected."""

from experiments.config.compose import configure
from experiments.records import read_results
from experiments.running.run import run
from scripts import collect


def test_collecting_twice_adds_each_row_once(tmp_path, capsys):
    runs, results = tmp_path / "runs", tmp_path / "results"
    words = ["experiment=image_natural", "profile=smoke", "tracking=none", "task.images=1", f"runs={runs}"]
    (row,) = run(configure(words), lambda news: None)
    for _ in range(2):
        assert collect.main(["--runs", str(runs), "--results", str(results)]) == 0
    assert read_results(results) == [row]
    assert "1 rows of" in capsys.readouterr().out


def test_an_unreadable_result_is_one_line_and_changes_nothing(tmp_path, capsys):
    folder = tmp_path / "runs" / "image_natural" / "broken"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text('{"rows": [')
    assert collect.main(["--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "results").exists()
