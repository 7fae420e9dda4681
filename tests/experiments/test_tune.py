"""A search: spaces are checked, diverged trials are pruned, a study goes on where it was."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import tune
from experiments.config.compose import ConfigError, configure
from experiments.records import Row, read_runs
from experiments.running.engine import Ended
from experiments.running.search_space import check_space, load_space

ROOT = Path(__file__).resolve().parents[2]
TINY = ["experiment=regression_1d", "profile=smoke", "parameterization=rwf", "tracking=none"]
optuna = pytest.importorskip("optuna", reason="the extra tune is not installed")


def row_with(values) -> Row:
    """A row of which only the values matter."""
    fields = {field.name: "" for field in dataclasses.fields(Row) if field.default is dataclasses.MISSING}
    fields = {name: value for name, value in fields.items() if name not in ("each", "collapsed")}
    fields |= {"protocol": 1, "seed": 0, "steps": 1, "variant": (), "items": tuple(map(str, values))}
    fields |= {"metric": "relative_l2", "metrics": {"relative_l2": values}, "status": "finished"}
    fields |= {"seconds": 1.0, "iterations_per_second": None, "packages": {}, "commit": None, "dirty": None}
    return Row(**{**fields, "data": {"name": "", "checksum": "", "stand_in": None}})


@pytest.fixture
def trained(monkeypatch):
    """Runs replaced by a bowl around mean 1, std 0.5; it diverges above mean 3 and fails below 0.4."""
    words = []

    def carry_out(todo, launcher, logs, keep):
        ended = Ended()
        for run in todo:
            chosen = configure(run.words).parameterization
            words.append((chosen.mean, chosen.std))
            if chosen.mean < 0.4:
                ended.failed[run.label] = "no luck"
                continue
            value = None if chosen.mean > 3 else (chosen.mean - 1) ** 2 + (chosen.std - 0.5) ** 2 + 0.1
            keep([dataclasses.replace(row_with([value]), experiment=run.experiment, id=run.folder.name)])
        return ended

    monkeypatch.setattr(tune, "carry_out", carry_out)
    return words


def study_in(folder: Path):
    (path,) = (folder / "studies").glob("*.log")
    return path, tune.open_study(path, "minimize")


def test_a_study_counts_all_its_trials_and_goes_on(tmp_path, trained, capsys):
    words = ["rwf_scale", *TINY, f"runs={tmp_path}"]
    assert tune.main([*words, "--trials", "4"]) in (0, 1)
    assert len(trained) == 4
    assert tune.main([*words, "--trials", "7"]) in (0, 1)
    assert tune.main([*words, "--trials", "7"]) in (0, 1)
    assert len(trained) == 7 == len(set(trained))  # a study that goes on draws anew
    _, study = study_in(tmp_path)
    states = {"complete": 0, "pruned": 0, "fail": 0}
    for trial, (mean, std) in zip(study.trials, trained, strict=True):
        states[trial.state.name.lower()] += 1
        expected = "FAIL" if mean < 0.4 else "PRUNED" if mean > 3 else "COMPLETE"
        assert trial.state.name == expected
        if expected == "COMPLETE":
            assert trial.value == pytest.approx((mean - 1) ** 2 + (std - 0.5) ** 2 + 0.1)
    output = capsys.readouterr().out
    assert "7 trials: " in output and f"{states['complete']} finished" in output
    best = min((m - 1) ** 2 + (s - 0.5) ** 2 + 0.1 for m, s in trained if 0.4 <= m <= 3)
    assert f"relative_l2 {best:.5g}" in output


def test_a_trial_whose_process_died_is_taken_again_with_its_settings(tmp_path, trained):
    words = ["rwf_scale", *TINY, f"runs={tmp_path}"]
    tune.main([*words, "--trials", "1"])
    path, study = study_in(tmp_path)
    space = load_space("rwf_scale")
    lost, lock = tune._take(study, path, space, 2, 0)
    assert tune._take(study, path, space, 2, 0) is None  # while its lock is held, it counts
    lock.release()
    tune.main([*words, "--trials", "2"])
    assert len(trained) == 2
    settings = dict(zip(("mean", "std"), trained[1], strict=True))
    assert lost.user_attrs["words"] == [
        f"parameterization.{name}={value:g}" for name, value in settings.items()
    ]


def test_the_mean_of_what_did_not_diverge_is_no_objective():
    assert tune.objective([row_with([1.0, 3.0])]) == 2.0
    assert tune.objective([row_with([1.0]), row_with([None])]) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "space.yaml: must be an object of keys and values, not None"),
        ("parameterization.mean: 3", "needs {low, high}"),
        ("parameterization.mean: { low: 3, high: 1 }", "low=3 must be a number below high=1"),
        ("parameterization.mean: { low: 0, high: 1, log: true }", "log needs low above 0"),
        (
            "parameterization.mean: { low: 0, high: 1, lgo: true }",
            "parameterization.mean, interval: unknown key lgo",
        ),
        ("parameterization.mean: []", "should have at least 1 item"),
        ("parameterization.maen: [1, 2]", "did you mean `parameterization.mean`"),
        ("parameterization.std: { low: -1.0, high: 1.0 }", "std"),
    ],
)
def test_a_wrong_space_is_one_line(tmp_path, text, says):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        check_space(TINY, load_space(str(path)))
    assert says in str(raised.value) and "\n" not in str(raised.value)


def test_an_unknown_space_names_the_known_ones(capsys):
    assert tune.main(["rwf_scal", *TINY]) == 2
    assert "choices: rwf_scale" in capsys.readouterr().err


@pytest.mark.slow
def test_a_search_trains_real_runs_in_two_processes(tmp_path):
    command = [
        sys.executable,
        "-m",
        "experiments.tune",
        "rwf_scale",
        *TINY,
        f"runs={tmp_path}",
        "--trials",
        "5",
    ]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(re.findall(r"^trial (\d+):", "".join(outputs), re.M)) == list("01234")
    assert len(read_runs(tmp_path)) == 5
