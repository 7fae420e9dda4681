"""The fault script: what it generates is wrong, what it compares it can tell apart, what it reports it saw."""

import json
import random

import pytest

from experiments.config.compose import ConfigError, check_network, configure
from scripts.faults import __main__ as faults
from scripts.faults import configs
from scripts.faults.places import Broken, Ended, Place, lasting, same_results


@pytest.mark.parametrize("kind", configs.KINDS)
def test_generated_configurations_are_refused_in_one_line(kind):
    chance = random.Random(3)
    base = {"experiment": "image_natural", "profile": "smoke", "tracking": "none", "parameterization": "rwf"}
    words = kind([f"{key}={value}" for key, value in base.items()], base, chance)
    if words[-1] == "seed=0,1":
        return  # a sweep, refused by the command
    with pytest.raises(ConfigError) as raised:
        check_network(configure(words))
    assert "\n" not in str(raised.value)


def test_misspelt_words_are_other_words():
    chance = random.Random(0)
    for word in ("a", "steps", "aa", "tensorfloat32"):
        assert all(configs.misspell(word, chance) not in ("", word) for _ in range(50))


@pytest.mark.parametrize(
    ("code", "errors", "says"),
    [
        (0, "error: x\n", "exit code 0"),
        (1, "", "0 lines"),
        (1, "error: x\nmore\n", "2 lines"),
        (1, "error: y\n", "'x' is missing"),
        (1, "Traceback x", "Traceback"),
    ],
)
def test_anything_but_one_line_is_not_a_refusal(code, errors, says):
    assert Ended(1, "", "error: x\n").refused("x") == "error: x"
    with pytest.raises(Broken, match=says):
        Ended(code, "", errors).refused("x")


def results(folder, row, history):
    """The place of one finished run and its table."""
    place = Place(folder)
    (place.output / "smoke" / "rows").mkdir(parents=True)
    (place.output / "smoke" / "rows" / "darcy.jsonl").write_text(json.dumps(row) + "\n")
    (place.output / "smoke" / "table_12.md").write_text("the table")
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
    assert lasting(first.output) == lasting(second.output)
    assert same_results(first, second, ["table_12"]) == 1
    history = {"step": 1, "loss": 0.5}
    other = {**ROW, "metrics": {"relative_l2": [0.5000001]}}
    for number, (row, entry, says) in enumerate(
        [(other, history, "differs in metrics"), (ROW, {"step": 1, "loss": 0.6}, "histories differ")]
    ):
        with pytest.raises(Broken, match=says):
            same_results(first, results(tmp_path / str(number), row, entry), ["table_12"])
    (second.output / "smoke" / "table_12.md").write_text("another table")
    with pytest.raises(Broken, match=r"table_12\.md differs"):
        same_results(first, second, ["table_12"])


def test_the_report_says_what_was_seen_and_the_exit_code_whether_all_was_survived(
    tmp_path, monkeypatch, capsys
):
    def broken(folder, quick):
        """A fault."""
        raise Broken("two lines\ninstead of one")

    def survived(folder, quick):
        """Another fault."""
        return "all is well"

    monkeypatch.setattr(faults, "FAULTS", {"one": broken, "two": survived})
    assert faults.main(["two"]) == 0
    assert faults.main(["--output", str(tmp_path / "page.md")]) == 1
    text = (tmp_path / "page.md").read_text()
    first, second = text.splitlines()[-2:]
    assert first.startswith("- **one**: A fault. **Not survived** (")
    assert first.endswith("): two lines instead of one.")
    assert second.startswith("- **two**: Another fault. Survived (") and second.endswith("): all is well.")
    monkeypatch.setattr(faults, "FAULTS", {"one": survived, "two": broken})
    assert faults.main(["one", "--output", str(tmp_path / "page.md")]) == 0
    third, fourth = (tmp_path / "page.md").read_text().splitlines()[-2:]
    assert "Survived" in third and "all is well" in third and fourth == second
    assert "BROKEN" in capsys.readouterr().out


def test_the_page_itself_is_no_change_to_the_checkout(tmp_path, monkeypatch):
    page = tmp_path / "page.md"

    def survived(folder, quick):
        """A fault."""
        return "all is well"

    monkeypatch.setattr(faults, "FAULTS", {"one": survived, "two": survived})
    monkeypatch.setattr(faults, "git_state", lambda folder: ("abc", page.exists()))
    assert faults.main(["--output", str(page)]) == 0
    assert page.read_text().count("commit abc): all is well") == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["configs", "files", "read-only", "checkpoints"])
def test_a_fault_is_survived(name, tmp_path):
    outcome = faults.attempt(name, tmp_path / name, quick=True)
    assert outcome.survived is not False, outcome.seen
