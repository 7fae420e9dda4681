"""Programs compiled ahead: none in their turn, equal ones once, the same bits; a carried cache is found."""

import threading
from collections import Counter
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import pytest
from jax import monitoring
from jax.experimental.compilation_cache import compilation_cache

from experiments.carry import main as carry
from experiments.config.compose import configure
from experiments.running import worker
from experiments.running.messages import Done
from experiments.running.run import data_source, folder_of, run_stack, use_compilation_cache
from experiments.training.ahead import Workshop
from experiments.training.history import read_history

WORDS = ["experiment=regression_1d", "profile=smoke", "tracking=none", "trainer.evaluate_every=10"]
COMPILED, FOUND = "/jax/core/compile/backend_compile_duration", "/jax/compilation_cache/cache_hits"
OF_ALL = ("start", "advance", "composed", "evaluate", "predict", "analyse", "weight_change")
TRAINING = {
    f"jit({name})" for name in ("single", "precise", *OF_ALL)
}  # the programs of a run, by their names


@contextmanager
def compilations():
    """Counts of what was compiled, by thread: (main or ahead, name), and of what was found in the cache."""
    counts: Counter = Counter()

    def heard(event, _, **about):
        if event == COMPILED:
            thread = "main" if threading.current_thread() is threading.main_thread() else "ahead"
            counts[thread, about.get("fun_name")] += 1

    def found(event, **_):
        counts["found"] += event == FOUND

    monitoring.register_event_duration_secs_listener(heard)
    monitoring.register_event_listener(found)
    try:
        yield counts
    finally:
        monitoring.unregister_event_duration_listener(heard)
        monitoring.unregister_event_listener(found)


def in_training(counts: Counter, thread: str) -> int:
    return sum(counts[thread, name] for name in TRAINING)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A compilation cache of the test's own, which keeps every program."""
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.setenv("RWF_CACHE", str(tmp_path / "cache"))
    jax.clear_caches()
    compilation_cache.reset_cache()
    yield
    jax.config.update("jax_compilation_cache_dir", before)
    compilation_cache.reset_cache()


def stack(folder, *words, names=("rwf",)):
    return [configure([*WORDS, f"runs={folder}", f"parameterization={name}", *words]) for name in names]


def silent(_):
    pass


def left(config):
    """What a run left behind, but for times."""
    folder = folder_of(config, data_source(config))
    history = [{**entry, "seconds": None} for entry in read_history(folder)]
    return history, *((folder / name).read_bytes() for name in ("weights.npz", "predictions.npz"))


@pytest.mark.parametrize("names", [("rwf",), ("plain", "rwf")])
@pytest.mark.parametrize("words", [(), ("seeds=2", "execution.members=2", "trainer.weight_change=true")])
def test_a_run_whose_programs_were_compiled_ahead_compiles_none_and_has_the_same_bits(tmp_path, names, words):
    with compilations() as usual:
        run_stack(stack(tmp_path / "usual", *words, names=names), [silent] * len(names))
    assert in_training(usual, "main") > 3
    jax.clear_caches()
    configs, workshop = stack(tmp_path / "ahead", *words, names=names), Workshop(2)
    with compilations() as counts:
        workshop.expect([configs])
        run_stack(configs, [silent] * len(names), workshop.take)
    assert in_training(counts, "main") == 0 and in_training(counts, "ahead") == in_training(usual, "main")
    assert workshop.empty
    usually = stack(tmp_path / "usual", *words, names=names)
    assert [left(config) for config in configs] == [left(config) for config in usually]


def test_what_fails_or_is_no_longer_wanted_is_left_to_its_turn(tmp_path):
    workshop = Workshop(1)
    (broken,) = stack(tmp_path, "trainer.microbatches=7")
    workshop.expect([[broken]])
    assert workshop.take([broken]) is None and workshop.take(stack(tmp_path)) is None
    workshop.expect([stack(tmp_path), stack(tmp_path, "seed=1")])
    workshop.expect([stack(tmp_path)])
    assert workshop.take(stack(tmp_path, "seed=1")) is None and workshop.take(stack(tmp_path)) is not None


def test_a_worker_compiles_what_follows_while_it_trains(tmp_path):
    heard, following = [], worker.Following()
    words = [[*WORDS, f"runs={tmp_path}", f"parameterization={name}"] for name in ("plain", "aa", "wn")]
    with compilations() as counts:
        for n, own in enumerate(words):
            following.parts = [[other] for other in words[n + 1 : n + 3]]
            worker.train({n: own}, lambda run, message: heard.append((run, message)), following)
            if n == 0:
                first = in_training(counts, "main")
    assert [run for run, message in heard if isinstance(message, Done)] == [0, 1, 2]
    assert first > 3 and in_training(counts, "main") == first and in_training(counts, "ahead") > first
    assert following.empty


def test_runs_that_differ_in_the_mean_of_their_scales_train_by_one_program(tmp_path, monkeypatch):
    programs: list[str] = []
    for mean in ("0.5", "1"):
        (config,) = stack(tmp_path, f"parameterization.mean={mean}", "trainer.weight_change=true")
        workshop = Workshop(1)
        monkeypatch.setattr(
            workshop, "_once", lambda lowered: programs.append(lowered.as_text()) or lowered.compile()
        )
        workshop.expect([[config]])
        workshop.take([config])
    half = len(programs) // 2
    equal = [one == other for one, other in zip(programs[:half], programs[half:], strict=True)]
    assert equal == [False, *[True] * (half - 2), False]  # but what starts, and what compares with the start


def test_a_carried_compilation_cache_is_found_in_another_folder(tmp_path, monkeypatch):
    def compute():
        jax.clear_caches()
        compilation_cache.reset_cache()
        use_compilation_cache(True)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        with compilations() as counts:
            jax.jit(lambda x: jnp.sin(x) @ x)(jnp.ones((3, 3))).block_until_ready()
        return counts["found"]

    assert compute() == 0
    folders = ["--runs", str(tmp_path / "runs"), "--output", str(tmp_path / "output")]
    assert carry(["pack", str(tmp_path / "a.carry"), *folders, "--programs"]) == 0
    monkeypatch.setenv("RWF_CACHE", str(tmp_path / "elsewhere"))
    assert carry(["unpack", str(tmp_path / "a.carry"), *folders]) == 0
    assert compute() >= 1
