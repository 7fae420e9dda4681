"""Equal runs have one id, whatever words they were written in; what changes their numbers from outside is refused."""

import dataclasses
import functools
from pathlib import Path

import jax
import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from experiments.config import arithmetic, identity
from experiments.config.compose import ConfigError, configure
from experiments.running.run import identity as run_id
from experiments.task import Source

TINY = ["experiment=regression_1d", "profile=smoke", "parameterization=rwf"]
SOURCE = Source("", "abc")


@dataclasses.dataclass(frozen=True)
class Setting:
    steps: int = 3
    lid: str | None = None


@pytest.mark.parametrize(
    "words",
    [
        ["parameterization.mean=1"],
        ["++parameterization.std=1.0e-1"],
        ["model.activation=relu"],
        ["optimizer.restarts=[]"],
        ["trainer.microbatches=1"],
        ["trainer.relative_steps=false"],
        ["execution.members=1", "tracking=none", "launcher=basic", "runs=/elsewhere"],
    ],
)
def test_what_is_equal_has_one_id_and_no_variant(words):
    usual, other = configure(TINY), configure([*TINY, *words])
    assert run_id(other, SOURCE) == run_id(usual, SOURCE) and other.variant == ()


def test_what_differs_has_another_id_and_a_variant_that_composes_to_it():
    words = ["parameterization.mean=3", "model.width=8", "optimizer.restarts=[5,10]"]
    other = configure([*TINY, *words])
    assert run_id(other, SOURCE) != run_id(configure(TINY), SOURCE)
    again = configure([*TINY, *other.variant])
    assert other.variant == tuple(sorted(words)) == again.variant and run_id(again, SOURCE) == run_id(
        other, SOURCE
    )


def test_a_strategy_stands_by_its_name_and_nested_settings_compose():
    base = ["experiment=advection", "profile=smoke"]
    assert configure([*base, "strategy=causal"]).variant == ("strategy=causal",)
    assert configure([*base, "strategy=regular"]).variant == ()
    stages = "protocol.stages=[{value:10,steps:1},{value:20,steps:3}]"
    lesson = configure(["experiment=navier_stokes", "profile=smoke", stages])
    (word,) = lesson.variant
    assert word == "task.strategy.stages=[{value:10,steps:1},{value:20,steps:3}]"
    again = configure(["experiment=navier_stokes", "profile=smoke", word])
    assert again.choices == lesson.choices and again.variant == (word,)


def test_an_option_that_is_off_changes_no_id_and_the_place_of_a_class_neither():
    canonical = identity.without_off(identity.canonical(Setting()))
    assert canonical == {"_target_": "Setting", "steps": 3}
    moved = dataclasses.make_dataclass("Setting", [("steps", int, 3), ("new", bool, False)], frozen=True)
    moved.__module__ = "elsewhere"
    assert identity.without_off(identity.canonical(moved())) == canonical
    assert identity.without_off(identity.canonical(moved(new=True))) != canonical


def test_a_partial_states_the_defaults_of_its_target():
    def model(in_features, *, depth=4, rate=1.0, rngs):
        raise AssertionError

    assert identity.canonical(functools.partial(model, depth=2)) == {
        "_target_": "model",
        "depth": 2,
        "rate": 1,
    }
    with pytest.raises(TypeError, match="ndarray"):
        identity.canonical(Setting(steps=np.ones(2)))


@pytest.mark.parametrize(
    ("name", "value"),
    [("jax_enable_x64", True), ("jax_default_prng_impl", "rbg"), ("jax_random_seed_offset", 3)],
)
def test_settings_of_jax_that_change_numbers_are_refused(name, value):
    before = jax.config.values[name]
    jax.config.update(name, value)
    try:
        with pytest.raises(ConfigError, match=name) as raised:
            configure(TINY)
        assert "\n" not in str(raised.value)
    finally:
        jax.config.update(name, before)
    configure(TINY)


def test_variables_of_jax_that_are_not_known_to_be_harmless_are_refused():
    for environment in (
        {"JAX_SOFTMAX_CUSTOM_JVP": "1"},
        {"JAX_SOMETHING_NEW": "3"},
        {"XLA_FLAGS": "--xla_dump_to=x --xla_cpu_enable_fast_math=true"},
    ):
        with pytest.raises(ConfigError, match=next(iter(environment))):
            arithmetic.check(environment)
    arithmetic.check({
        "JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": "x", "JAX_LOG_COMPILES": "1", "JAX_SOMETHING_NEW": "0",
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false --xla_cpu_enable_fast_math=false", "HOME": str(Path.home()),
    })  # fmt: skip


@pytest.mark.parametrize(
    "value",
    ["café.png", "图.png", "2024", "1e-3", "nan", "inf", "null", "True", "a b", "it's", "c\\d", "c\\'d", "end\\",
     "photo-1_2.png", None, 0.5, ["é", "7", {"kind": "null"}]],
)  # fmt: skip
def test_hydra_reads_the_word_of_a_value_as_the_value(value):
    (override,) = OverridesParser.create().parse_overrides([f"key={identity.word(value)}"])
    assert override.value() == value
