"""Runs trained as one program: as they are alone, after kills too, one that diverges or is finished among them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.config.compose import ConfigError, configure
from experiments.records import Cell
from experiments.running import run as runs
from experiments.running import worker
from experiments.running.cores import Cores
from experiments.running.messages import Advanced, Done, Failed
from experiments.running.plan import estimated_seconds, ordered, parts, plan, requests
from experiments.running.run import data_source, folder_of, run, run_stack
from experiments.training.checkpoints import to_host
from experiments.training.history import read_history
from experiments.training.step import programs

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("plain", "aa", "wn", "rwf", "plain_lr")
WORDS = ["experiment=regression_1d", "profile=smoke", "tracking=none"]


def configs(folder: Path, *names: str, words: tuple[str, ...] = ()) -> list:
    common = dict(word.split("=") for word in (*WORDS, *words))
    common |= {"runs": str(folder), "execution.compilation_cache": "false"}
    given = [f"{key}={value}" for key, value in common.items()]
    return [configure([*given, f"parameterization={name}"]) for name in names]


def silent(_):
    pass


def folders(stack: list) -> list[Path]:
    return [folder_of(config, data_source(config)) for config in stack]


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files if name != "__checksum__"}


def history(folder: Path) -> list[dict]:
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in read_history(folder)]


def assert_close(left: Path, right: Path) -> None:
    """Two folders of runs hold the same files, and in them the same numbers to rounding."""
    assert sorted(path.name for path in left.iterdir()) == sorted(path.name for path in right.iterdir())
    for name in ("weights.npz", "predictions.npz"):
        ours, theirs = arrays(left / name), arrays(right / name)
        assert sorted(ours) == sorted(theirs)
        for key, array in ours.items():
            np.testing.assert_allclose(array, theirs[key], rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(history(left), history(right), strict=True):
        assert ours.pop("item") == theirs.pop("item")
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-5)


def trained_alone(config) -> dict[str, np.ndarray]:
    """The weights after all steps of the run's program, called once, of seed 0."""
    data, built = config.task.items(), programs([config], 1)
    seeds, indices = jnp.zeros(1, jnp.uint32), jnp.zeros(1, jnp.uint32)
    states = built.start(seeds, data.shared, jax.tree.map(jnp.asarray, data.items))
    steps = jnp.int32(0), jnp.int32(config.trainer.steps)
    (state,) = built.advance(states, data.shared, data.items, seeds, indices, *steps)
    return to_host({name: state[name] for name in ("factors", "constants")})


def test_each_run_of_a_stack_is_trained_as_alone(tmp_path):
    words = ("experiment=image_natural", "embedding=gaussian", "task.images=1", "model.width=8", "seeds=2")
    together = configs(tmp_path / "together", *NAMES, words=words)
    found = run_stack(together, [silent] * len(NAMES))
    for config, place, rows in zip(together, folders(together), found, strict=True):
        assert [(row.id, row.seed) for row in rows] == [(place.name, 0), (place.name, 1)]
        assert {row.together for row in rows} == {len(NAMES)}
        weights = trained_alone(config)
        for key, array in arrays(place / "weights.npz").items():
            np.testing.assert_allclose(array, weights[key], rtol=1e-5, atol=1e-5)
    (alone,) = configs(tmp_path / "alone", "rwf", words=words)
    run(alone, silent)
    assert_close(folders(together)[NAMES.index("rwf")], *folders([alone]))


def test_the_network_is_in_the_program_once(tmp_path):
    products = []
    for names in (NAMES[:1], NAMES):
        stack = configs(tmp_path, *names)
        data = stack[0].task.items()
        built = programs(stack, 2)
        seeds, indices = jnp.arange(2, dtype=jnp.uint32), jnp.zeros(2, jnp.uint32)
        items = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf]), data.items)
        states = jax.eval_shape(built.start, seeds, data.shared, items)
        rest = (data.shared, items, seeds, indices, jnp.int32(0), jnp.int32(1))
        products.append(str(jax.make_jaxpr(built.advance)(states, *rest)).count("dot_general"))
    assert products[0] == products[1] > 0


def test_a_diverging_run_ends_at_a_record_and_the_others_go_on(tmp_path):
    good = configs(tmp_path, "wn", "rwf")
    bad = configs(tmp_path, "plain", words=("optimizer.learning_rate=1e30",))
    stack = [good[0], *bad, good[1]]
    wn, plain, rwf = run_stack(stack, [silent] * 3)
    assert [rows[0].status for rows in (wn, plain, rwf)] == ["finished", "diverged", "finished"]
    assert plain[0].metrics["relative_l2"] == (None,) and rwf[0].metrics["relative_l2"][0] < 2
    steps = [[entry["step"] for entry in history(folder)] for folder in folders(stack)]
    assert steps == [[0, 5, 10, 15, 20], [0, 5], [0, 5, 10, 15, 20]]


def test_a_finished_run_is_not_repeated_and_the_stack_holds_the_others(tmp_path):
    stack = configs(tmp_path, "plain", "rwf")
    run(stack[1], silent)
    before = [path.stat().st_mtime_ns for path in sorted(folders(stack)[1].iterdir()) if path.name != ".lock"]
    heard = []
    found = run_stack(stack, [lambda news, n=n: heard.append(n) for n in range(2)])
    assert set(heard) == {0} and [rows[0].parameterization for rows in found] == ["plain", "rwf"]
    after = [path.stat().st_mtime_ns for path in sorted(folders(stack)[1].iterdir()) if path.name != ".lock"]
    assert before == after
    run_stack(stack, [lambda _: heard.append("again")] * 2)
    assert "again" not in heard


@pytest.mark.parametrize(
    "words, key",
    [(["trainer.steps=25"], "trainer.steps"), (["task.points=16"], "task.points"), (["seed=1"], "seed"),
     (["execution.members=2"], "execution.members")],
)  # fmt: skip
def test_what_cannot_be_stacked_is_one_line_that_names_the_key(tmp_path, words, key):
    stack = [*configs(tmp_path, "plain"), *configs(tmp_path, "rwf", words=tuple(words))]
    with pytest.raises(ConfigError, match=rf"runs that differ in `{key}` .* cannot be stacked") as raised:
        run_stack(stack, [silent] * 2)
    assert "\n" not in str(raised.value) and not list(tmp_path.iterdir())


def planned(folder: Path, mode: str, *names: str) -> list:
    cells = [Cell("regression_1d", name, "none", "mlp") for name in names]
    cells += [Cell("regression_1d", "rwf", "none", "mlp", ("model.width=8",))]
    words = [f"runs={folder}", "tracking=none", "seeds=2", f"execution.stack={mode}"]
    return plan(requests(cells, "smoke", words))[0]


def test_runs_of_a_cell_and_seed_go_to_a_worker_together_where_the_config_says_so(tmp_path):
    todo = planned(tmp_path, "always", *NAMES)
    sizes = [len(part) for part in parts(todo)]
    assert sorted(sizes) == [1, 1, 5, 5] and {
        len({run.words[-2:] for run in part}) for part in parts(todo)
    } == {1}
    assert [run.folder for part in parts(ordered(todo, [1.0] * 12)) for run in part] == [
        run.folder for run in ordered(todo, [1.0] * 12)
    ]
    assert estimated_seconds(todo, [1.0] * 12, 4) == 5.0
    for mode in ("never", "accelerator"):  # the latter on a CPU
        assert {len(part) for part in parts(planned(tmp_path, mode, *NAMES))} == {1}


def test_a_worker_reports_each_run_of_a_stack(tmp_path):
    todo = parts(planned(tmp_path, "always", "plain", "rwf"))[0]
    assert len(todo) == 2
    heard = {run.label: [] for run in todo}
    Cores(workers=1).carry_out(
        [todo], tmp_path / "logs", lambda run, message: heard[run.label].append(message)
    )
    for one, messages in zip(todo, heard.values(), strict=True):
        assert {type(message) for message in messages[:-1]} == {Advanced}
        assert f"parameterization={messages[-1].rows[0].parameterization}" in one.words
        assert (one.folder / "result.json").exists()


def test_a_stack_that_fails_is_trained_run_by_run(monkeypatch):
    def run_one(stack, listeners):
        if len(stack) > 1 or stack[0].parameterization_name == "aa":
            raise RuntimeError("too large")
        return [[]]

    monkeypatch.setattr(runs, "run_stack", run_one)
    heard = []
    words = {n: [*WORDS, f"parameterization={name}"] for n, name in enumerate(("plain", "aa", "wn"))}
    worker.train(words, lambda n, message: heard.append((n, type(message))))
    assert [one for one in heard if one[1] is not Advanced] == [(0, Done), (1, Failed), (2, Done)]


LONG = ("trainer.steps=40000", "trainer.record_every=2000", "trainer.evaluate_every=4000")
OFTEN = ("execution.checkpoint_seconds=0.1", "execution.progress_seconds=0.02")
SCRIPT = """
import sys
from experiments.config.compose import configure
from experiments.running.run import run_stack
stack = [configure([*sys.argv[1:], f"parameterization={name}"]) for name in ("plain", "rwf")]
run_stack(stack, [lambda _: None] * 2)
"""


def start(folder: Path, *words: str) -> subprocess.Popen:
    command = [sys.executable, "-c", SCRIPT, *WORDS, *LONG, f"runs={folder}", *words]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def saved(folder: Path) -> list[list[Path]]:
    """The checkpoints of each run."""
    return [sorted(place.glob("checkpoints/group-*.npz")) for place in sorted(folder.glob("*/*/"))]


def outcome(folder: Path) -> list:
    return [
        (place.name, history(place), json.loads((place / "result.json").read_text())["rows"][0]["metrics"],
         {key: array.tobytes() for name in ("weights.npz", "predictions.npz")
          for key, array in arrays(place / name).items()})
        for place in sorted(folder.glob("*/*/"))
    ]  # fmt: skip


def test_a_killed_stack_goes_on_to_the_bits_of_an_uninterrupted_one(tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    finish(start(undisturbed))
    process = start(killed, *OFTEN)
    deadline = time.monotonic() + 240
    while len(files := saved(killed)) < 2 or any(len(own) < 2 for own in files):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not list(killed.glob("*/*/result.json"))
    newest = max(path.name for own in saved(killed) for path in own)
    (saved(killed)[1][0].parent / newest).unlink(
        missing_ok=True
    )  # as if killed between the files of one step
    finish(start(killed))
    assert outcome(killed) == outcome(undisturbed)


def test_a_stack_that_ends_between_two_results_keeps_what_it_trained(tmp_path, monkeypatch):
    stack = configs(tmp_path / "disturbed", "plain", "rwf")
    write = runs.write_json

    def fail_second(path, value):
        if path.parent == folders(stack)[1]:
            raise OSError("no room")
        write(path, value)

    monkeypatch.setattr(runs, "write_json", fail_second)
    with pytest.raises(OSError, match="no room"):
        run_stack(stack, [silent] * 2)
    monkeypatch.setattr(runs, "write_json", write)
    heard = []
    found = run_stack(stack, [heard.append] * 2)
    assert len(heard) == 1 and heard[0].kept  # nothing is trained, the tracker is told what was
    for rows, place in zip(found, folders(stack), strict=True):
        assert rows[0].metrics["relative_l2"][0] == history(place)[-1]["relative_l2"]
        assert not (place / "checkpoints").exists()
