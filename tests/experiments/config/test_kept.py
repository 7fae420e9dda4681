"""Kept compositions are those that Hydra makes, and are made anew with whatever they depend on."""

import pytest

from experiments.config import kept as composed
from experiments.config.compose import CONFIGS, _compose, compose_config
from experiments.records import Cell
from experiments.running.grid import expand
from experiments.running.plan import plan, requests


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RWF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "configs"


@pytest.fixture
def configs(tmp_path):
    (tmp_path / "configs" / "paper").mkdir(parents=True)
    (tmp_path / "configs" / "a.yaml").write_text("a: 1")
    return tmp_path / "configs"


def test_it_is_composed_once_and_again_when_words_or_files_change(configs):
    calls = []

    def compose(_):
        calls.append(1)
        return {"number": len(calls), "none": None, "list": [0.1, "x"]}

    def kept(*words):
        return composed.kept([configs], words, compose)["number"]

    assert (kept("x"), kept("x"), kept("y"), kept("x")) == (1, 1, 2, 1)
    (configs / "paper" / "table.yaml").write_text("b: 1")  # enters no composition
    assert kept("x") == 1
    (configs / "a.yaml").write_text("a: 22")
    assert (kept("x"), kept("x")) == (3, 3)
    (configs / "b.yaml").write_text("b: 1")
    assert kept("x") == 4


@pytest.mark.reliability(
    "Folders of runs with spaces, umlauts, quotes, brackets, commas, dollars and backslashes in their names."
)
@pytest.mark.parametrize(
    "folder",
    [
        "a/b",
        "/x/My Drive/runs",
        "läufe/α",
        "a+b=c, [1] {2}",
        "it's",
        'say "so"',
        "$HOME",
        "a\\b",
        "(x)",
        "~y",
    ],
)
def test_a_folder_of_runs_is_taken_as_the_shell_hands_it_over(folder, cache, record_property):
    words = ["experiment=regression_1d", "profile=smoke"]
    assert compose_config([*words, f"runs={folder}"])[0]["runs"] == folder
    assert compose_config([*words, f"runs='{folder}'"])[0]["runs"] == folder  # quotes of Hydra's own grammar
    assert len(list(cache.iterdir())) == 1  # one entry serves all folders
    (job,) = expand([*words, f"runs={folder}"], several=False)
    assert job[-1] == f"runs={folder}"
    record_property("seen", "taken as the shell hands it over, with and without quotes")


def test_a_cache_that_cannot_be_written_is_done_without(configs, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RWF_CACHE", str(tmp_path / "file"))
    assert composed.kept([configs], ["x"], lambda _: 7) == 7


def test_what_reads_the_environment_is_composed_each_time(configs, cache):
    numbers = iter(range(9))
    words = ["tracking.project=${oc.env:HOME}"]
    assert [composed.kept([configs], words, lambda _: next(numbers)) for _ in range(2)] == [0, 1]
    (configs / "a.yaml").write_text("a: ${oc.env:HOME}")
    assert [composed.kept([configs], ["x"], lambda _: next(numbers)) for _ in range(2)] == [2, 3]
    assert not cache.exists()


def test_damaged_entries_are_made_anew_and_old_ones_go(configs, cache, monkeypatch):
    composed.kept([configs], ["x"], lambda _: 1)
    (entry,) = cache.glob("*.json")
    entry.write_text("{")
    assert composed.kept([configs], ["x"], lambda _: 2) == 2
    assert composed.kept([configs], ["x"], lambda _: 3) == 2
    monkeypatch.setattr(composed, "LIMIT", 4)
    for number in range(9):
        composed.kept([configs], [f"x={number}"], lambda _: 0)
    assert len(list(cache.glob("*.json"))) <= 4


def test_a_kept_config_is_the_composed_one_and_an_error_is_not_kept(cache):
    words = ["experiment=advection_causal", "profile=quick", "parameterization=rwf", "seed=3"]
    for _ in range(2):
        assert list(compose_config(words)) == _compose(words)
    assert [path.name.count(".json") for path in cache.iterdir()] == [1]
    with pytest.raises(ValueError, match="experiment=nothing"):
        compose_config(["experiment=nothing"])
    assert len(list(cache.iterdir())) == 1
    assert (CONFIGS / "config.yaml").exists()


def test_a_second_plan_composes_nothing(tmp_path, monkeypatch):
    words = [f"runs={tmp_path}", "tracking=none", "seeds=2"]
    cells = [Cell("advection", name, "periodic", "mlp") for name in ("plain", "rwf")]
    first = plan(requests(cells, "smoke", words))
    monkeypatch.setattr("experiments.config.compose._compose", None)
    assert plan(requests(cells, "smoke", words)) == first and len(first[0]) == 4
