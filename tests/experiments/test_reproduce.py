"""Plan, run, survive, render: `experiments.reproduce` at the smoke profile, in real processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.config.compose import group_options
from experiments.records import Cell, read_results, read_runs
from experiments.reproduce import main
from experiments.running.cores import Cores
from experiments.running.engine import Ended, carry_out
from experiments.running.messages import Done, Failed
from experiments.running.plan import (
    START,
    describe,
    duration,
    estimated_seconds,
    expected_seconds,
    ordered,
    parts,
    requests,
)
from experiments.running.plan import plan as plan_words
from experiments.training import walltime

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("plain", "aa", "wn", "rwf")


def cells(*names: str, variant: tuple[str, ...] = ()) -> list[Cell]:
    return [Cell("image_natural", name, "gaussian", "mlp", variant) for name in names]


def plan(wanted: list[Cell], profile: str, words: list[str]):
    return plan_words(requests(wanted, profile, words))


def options(runs: Path) -> list[str]:
    return [f"runs={runs}", "tracking=none", "task.images=1"]


def arguments(folder: Path, *words: str) -> list[str]:
    """The words of a command that keeps all its files in `folder`."""
    fixed = ["--profile", "smoke", "--tracking", "none"]
    return [
        *words,
        *fixed,
        "--runs",
        str(folder / "runs"),
        "--output",
        str(folder / "output"),
        "--results",
        str(folder / "published"),
    ]


def reproduce(folder: Path, *words: str) -> subprocess.CompletedProcess:
    """The command as a user gives it; `main(arguments(...))` is the same without starting a process."""
    command = [sys.executable, "-m", "experiments.reproduce", *arguments(folder, *words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    return folder, reproduce(folder, "table_6")


def test_a_table_is_trained_and_rendered(table):
    folder, done = table
    assert done.returncode == 0, done.stderr
    assert "estimated time: unknown" in done.stdout and "[15/15]" in done.stdout
    markdown = (folder / "output" / "smoke" / "table_6.md").read_text()
    assert "pending" not in markdown and "reduced" in markdown and "27.35" in markdown
    rows = read_results(folder / "output")
    assert {(row.parameterization, row.embedding) for row in rows} == {
        (name, embedding) for name in (*NAMES, "plain_lr") for embedding in ("none", "positional", "gaussian")
    }


def test_a_second_command_repeats_nothing_and_draws_from_what_is_there(table, capsys):
    folder, _ = table
    assert main(arguments(folder, "table_6", "figure_7", "--dry-run")) == 0
    assert "image_natural               15    15       0" in capsys.readouterr().out
    assert main(arguments(folder, "table_6", "figure_7")) == 0
    assert "[1/" not in capsys.readouterr().out
    assert (folder / "output" / "smoke" / "figure_7.png").stat().st_size > 10_000


def test_the_estimate_is_learnt_from_earlier_rows(table, tmp_path):
    todo, _ = plan(cells("aa", "wn"), "smoke", options(tmp_path))
    assert expected_seconds(todo, []) == [None, None] and estimated_seconds(todo, [None, 1.0], 2) == 1.0
    row = read_runs(table[0] / "runs")[0]
    times = expected_seconds(todo, [row])
    assert estimated_seconds(todo, times, 1) == pytest.approx(2 * (START + row.seconds), rel=1e-3)
    longer, _ = plan(cells("aa"), "smoke", [*options(tmp_path), f"trainer.steps={3 * row.steps}"])
    assert expected_seconds(longer, [row]) == [pytest.approx(START + 3 * row.seconds, rel=1e-3)]
    assert estimated_seconds(todo, [3.0, 1.0], 2) == 3.0
    assert ordered(todo, [1.0, 2.0]) == todo[::-1] and ordered(todo, [1.0, None]) == todo[::-1]
    assert ordered(todo, [1.0, 2.0], shortest=True) == todo
    assert duration(3 * 3600 + 60) == "3 h 01 min"


@pytest.mark.parametrize("target", ["table_6", pytest.param("table_1", marks=pytest.mark.slow)])
def test_a_dry_run_writes_nothing(tmp_path, target):
    assert main(arguments(tmp_path, target, "--dry-run")) == 0
    assert not list(tmp_path.iterdir())


def test_the_control_is_planned_unless_it_is_not_wanted(tmp_path, capsys):
    words = ["table_6", "--dry-run", "--profile", "smoke", "--runs", str(tmp_path)]
    assert main(words) == 0
    assert "image_natural               15     0" in capsys.readouterr().out
    assert main([*words, "--no-control"]) == 0
    assert "image_natural               12     0" in capsys.readouterr().out


def test_all_is_every_table_and_figure_and_only_settings_tables_need_no_runs(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("experiments.running.plan.plan", lambda wanted: (asked.extend(wanted) or [], []))
    words = ["all", "--dry-run", "--profile", "quick", "--runs", str(tmp_path), "--output", str(tmp_path)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    names = [*(f"table_{n}" for n in range(1, 13)), *(f"figure_{n}" for n in range(1, 22))]
    assert printed.startswith(", ".join(names) + " at profile=quick")
    beside = {"navier_stokes_pseudo_time", "diffusion_reaction_notebook"}  # not the paper's
    beside |= {"image", "shape", "volume", "scene", "signal"}  # of the user's own data
    found = {words[0].removeprefix("experiment=") for words in asked}
    assert found == set(group_options("experiment")) - beside


def test_settings_are_rendered_without_runs(tmp_path, capsys):
    words = ["table_4", "--runs", str(tmp_path / "runs"), "--output", str(tmp_path / "output")]
    assert main([*words, "--profile", "smoke"]) == 0
    assert "Navier-Stokes  0.5   0.1" in capsys.readouterr().out
    assert (tmp_path / "output" / "smoke" / "table_4.md").exists()


def test_an_unknown_target_is_one_line(tmp_path, capsys):
    assert main(arguments(tmp_path, "table_66")) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and "table_66" in errors


def test_a_plan_names_each_run_once(tmp_path):
    runs, blocked = plan([*cells(*NAMES), *cells("rwf")], "smoke", options(tmp_path))
    assert len(runs) == 4 and not blocked
    runs, _ = plan(cells(*NAMES), "smoke", [*options(tmp_path), "seeds=3"])
    assert len(runs) == 12 and {run.words[-2] for run in runs} == {"seed=0", "seed=1", "seed=2"}


def test_short_runs_hold_the_seeds_of_a_cell_and_long_ones_have_one(tmp_path):
    cell = Cell("advection", "plain", "periodic", "mlp")
    folders = [f"runs={tmp_path}", "tracking=none"]

    def seeds(profile, *options):
        runs, _ = plan([cell], profile, [*folders, *options])
        return [run.label.partition("mlp ")[2] for run in runs]

    assert seeds("quick") == ["seeds 0 to 4"]
    assert seeds("quick", "seeds=7") == ["seeds 0 to 4", "seeds 5 to 6"]
    assert seeds("quick", "seeds=2", "seed=3") == ["seeds 3 to 4"]
    assert seeds("paper") == ["seed 0"]
    assert seeds("paper", "seeds=2") == ["seed 0", "seed 1"]


def test_cells_without_their_data_do_not_stop_the_others(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RWF_DATA", str(tmp_path / "empty"))
    (tmp_path / "empty").mkdir()
    lego = Cell("nerf_lego", "plain", "gaussian", "mlp")
    runs, blocked = plan([Cell("regression_1d", "rwf", "none", "mlp"), lego], "paper", ["tracking=none"])
    assert (
        len(runs) == 1
        and [run.experiment for run in blocked] == ["nerf_lego"]
        and "lego" in blocked[0].reason
    )
    text = describe(runs, blocked, 0.0, {"regression_1d"})
    assert f"cannot run: nerf_lego: {blocked[0].reason}" in text and "estimated time: unknown" in text
    assert "about 1 min 30 s, without" in describe(runs, [], 90.0, {"regression_1d"})
    words = ["figure_14", "--profile", "paper", "--runs", str(tmp_path / "runs"), "--dry-run"]
    assert main(words) == 2  # nothing is left to run
    assert capsys.readouterr().err.count("\n") == 1


def test_a_failing_cell_and_a_dying_worker_do_not_stop_the_others(tmp_path):
    runs, _ = plan(cells(*NAMES), "smoke", [*options(tmp_path), "trainer.steps=60000"])
    broken, _ = plan(cells("rwf", variant=("trainer.microbatches=7",)), "smoke", options(tmp_path))
    quick, _ = plan(cells("plain", "aa"), "smoke", options(tmp_path))
    outcomes = {}
    killed = threading.Event()

    def report(run, message):
        if isinstance(message, Done | Failed):
            outcomes[run.label + str(run.steps)] = message
        elif run.steps == 60000 and not killed.is_set():
            killed.set()
            found = subprocess.run(
                ["pgrep", "-f", "experiments.running.worker$"], capture_output=True, text=True
            )
            for process in found.stdout.split():
                if (Path("/proc") / process / "stat").read_text().split()[3] == str(os.getpid()):
                    os.kill(int(process), signal.SIGKILL)

    Cores(workers=1).carry_out(parts([runs[0], *broken, *quick]), tmp_path / "logs", report)
    messages = list(outcomes.values())
    assert [type(message) for message in messages] == [Failed, Failed, Done, Done]
    assert "exit code -9" in messages[0].error
    assert "microbatches=7 does not divide" in messages[1].error


@pytest.mark.slow
def test_an_interrupted_reproduction_goes_on(tmp_path):
    words = ["table_6", "--profile", "smoke", "--tracking", "none"]
    words += ["--runs", str(tmp_path / "runs"), "--output", str(tmp_path / "output")]
    script = (  # a process started in the background may be deaf to interrupts
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        f"from experiments.reproduce import main; sys.exit(main({words!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("[3/15]"):
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    finished = len(list((tmp_path / "runs").glob("*/*/result.json")))
    assert 3 <= finished < 15
    done = reproduce(tmp_path, "table_6")
    assert done.returncode == 0 and f"[{15 - finished}/{15 - finished}]" in done.stdout
    assert "pending" not in (tmp_path / "output" / "smoke" / "table_6.md").read_text()


def test_with_little_time_cheap_rows_come_first_then_what_is_begun_then_seed_by_seed(tmp_path):
    words = [*options(tmp_path), "seeds=2"]
    images, _ = plan(cells("plain", "rwf"), "smoke", words)
    lines, _ = plan([Cell("regression_1d", "rwf", "none", "mlp")], "smoke", words[:2])
    text, _ = plan([Cell("image_text", "rwf", "gaussian", "mlp", ("trainer.steps=90",)),
                    Cell("image_text", "rwf", "gaussian", "mlp")], "smoke", words[:2])  # fmt: skip
    assert [(run.seed, run.begun) for run in images] == [(0, False), (1, False)] * 2
    images[3] = replace(images[3], begun=True)
    order = ordered([*text, *images, *lines], [None, None, 9.0, 9.0, 9.0, 9.0, 2.0], shortest=True)
    assert order == [*lines, images[3], images[0], images[2], images[1], text[1], text[0]]


def test_a_checkpoint_makes_a_run_begun(tmp_path):
    (run,), _ = plan(cells("rwf"), "smoke", options(tmp_path))
    (run.folder / "checkpoints").mkdir(parents=True)
    (run.folder / "checkpoints" / "group-0000-step-000000005.npz").touch()
    assert [one.begun for one in plan(cells("rwf"), "smoke", options(tmp_path))[0]] == [True]


def test_rows_of_other_devices_order_what_this_one_has_not_run(table, tmp_path):
    todo, _ = plan(cells("aa"), "smoke", options(tmp_path))
    row = read_runs(table[0] / "runs")[0]
    other = replace(row, device="gpu", iterations_per_second=row.iterations_per_second / 3)
    assert expected_seconds(todo, [other]) == [None]
    assert expected_seconds(todo, [other], anywhere=True) == [
        pytest.approx(START + 3 * row.seconds, rel=1e-2)
    ]
    assert expected_seconds(todo, [other, row], anywhere=True) == expected_seconds(todo, [row])


def test_time_that_is_up_is_worth_repeating_whatever_failed():
    codes = [Ended(failed, stopped).exit_code for failed in ({}, {"a": "why"}) for stopped in ([], ["b"])]
    assert codes == [0, walltime.EXIT_CODE, 1, walltime.EXIT_CODE]


@pytest.mark.slow
def test_a_limit_ends_a_reproduction_in_time_at_a_checkpoint_with_nothing_rendered(tmp_path):
    words = ["table_6", "--no-control", "--workers", "1", "--set", "trainer.steps=1000000000"]
    begun, limit = time.monotonic(), 120
    done = reproduce(tmp_path, *words, "--time-limit", str(limit))
    assert done.returncode == walltime.EXIT_CODE and time.monotonic() - begun < limit + 90, done.stderr
    assert "time is up: 12 runs are not finished" in done.stderr and "stopped in time at step" in done.stdout
    assert len(list((tmp_path / "runs").glob("*/*/checkpoints"))) == 1 and "wrote" not in done.stdout


def test_a_worker_that_does_not_end_in_time_is_ended_and_its_run_is_not_failed(tmp_path, monkeypatch):
    todo, _ = plan(cells("plain", "rwf"), "smoke", options(tmp_path))
    slow = tmp_path / "slow"
    slow.mkdir()
    (slow / "sitecustomize.py").write_text(
        "import time\n\ntime.sleep(60)\n"
    )  # a worker that never gets to its run
    monkeypatch.setenv("PYTHONPATH", str(slow))
    monkeypatch.setenv(walltime.UNTIL, repr(time.time() + 2))
    monkeypatch.setattr(walltime, "LATEST", 0.5)
    begun = time.monotonic()
    ended = carry_out(todo, Cores(workers=1), tmp_path / "logs")
    assert time.monotonic() - begun < 30 and not ended.failed
    assert sorted(ended.stopped) == sorted(run.label for run in todo)
