"""Wrong configurations, generated from right ones: each must end in one clear line."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments import train
from experiments.config.compose import NUMERIC_NODES, compose_config, flatten, group_options
from scripts.faults.places import expect, in_process, telling

SEED = 11
GROUPS = ("experiment", "parameterization", "embedding", "model", "optimizer", "profile", "tracking")
PASSING = ("task.real_data",)  # false as well as true is right, and so is any string of these:
FREE = ("_target_", "tracking.project", "tracking.entity", "tracking.group", "runs", "reduced")


def configs(folder: Path, quick: bool) -> str:
    """Misspelt keys, wrong types, values out of range, unknown choices, + and ++ additions, broken grammar."""
    count = 24 if quick else 200
    chance = random.Random(SEED)
    lines = set()
    for number in range(count):
        words = _wrong(chance)
        place = folder / "runs"
        ended = in_process(train.main, [*words, f"runs={place}"])
        with telling(" ".join(words)):
            lines.add(ended.refused("config error: "))
            expect(ended.code == 2, f"exit code {ended.code}")
            expect(not ended.output, f"it printed {ended.output!r}")
            expect(not place.exists() and not list(folder.iterdir()), "files were written")
        if number % 20 == 19 and sys.stderr.isatty():
            print(f"{number + 1} of {count}", file=sys.stderr)
    return f"{count} wrong configurations, {len(lines)} different lines, exit code 2 each, nothing written"


def _wrong(chance: random.Random) -> list[str]:
    """The words of a configuration with one thing wrong."""
    base = {"experiment": chance.choice(group_options("experiment")), "profile": "smoke", "tracking": "none"}
    base["parameterization"] = chance.choice(group_options("parameterization"))
    words = [f"{key}={value}" for key, value in base.items()]
    kind = chance.choice(KINDS)
    return kind(words, base, chance)


def _leaves(words: Sequence[str]) -> dict[str, Any]:
    config, _ = compose_config(words)
    nodes = {name: config[name] for name in (*NUMERIC_NODES, "execution")}
    return {key: value for key, value in flatten(nodes).items() if not key.endswith(FREE)}


def _misspelt_key(words: list[str], base: dict, chance: random.Random) -> list[str]:
    leaves = _leaves(words)
    key, value = chance.choice(sorted((k, v) for k, v in leaves.items() if isinstance(v, (int, float, str))))
    node, _, name = key.rpartition(".")
    wrong = f"{node}.{misspell(name, chance)}"
    if wrong in leaves:
        wrong += "_"
    return [*words, f"{chance.choice(['', '+', '++'])}{wrong}={value}"]


def _wrong_type(words: list[str], base: dict, chance: random.Random) -> list[str]:
    leaves = _leaves(words)
    kinds = {
        int: ["many", "[1,2]", "1.5", "true"],
        float: ["much", "[0.1]", "{a:1}"],
        bool: ["7", "[]", "never"],
    }
    keys = sorted(key for key, value in leaves.items() if type(value) in kinds)
    key = chance.choice(keys)
    return [*words, f"{key}={chance.choice(kinds[type(leaves[key])])}"]


def _out_of_range(words: list[str], base: dict, chance: random.Random) -> list[str]:
    leaves = _leaves(words)
    positive = ("steps", "width", "depth", "record_every", "microbatches", "learning_rate", "points", "size")
    positive += ("images", "angles", "functions", "batch_size", "features", "pool", "samples", "decay_steps")
    keys = [key for key in leaves if key.rpartition(".")[2] in positive]
    if chance.random() < 0.2:
        return [*words, chance.choice(["seed=-1", "seeds=0", "seeds=-2", "execution.checkpoint_seconds=0"])]
    return [*words, f"{chance.choice(sorted(keys))}={chance.choice(['0', '-3'])}"]


def _unknown_choice(words: list[str], base: dict, chance: random.Random) -> list[str]:
    leaves = _leaves(words)
    texts = sorted(key for key, value in leaves.items() if isinstance(value, str))
    if texts and chance.random() < 0.5:
        key = chance.choice(texts)
        return [*words, f"{key}={misspell(leaves[key], chance)}"]
    group = chance.choice(GROUPS)
    option = misspell(base.get(group, group_options(group)[0]), chance)
    return [*(word for word in words if not word.startswith(f"{group}=")), f"{group}={option}"]


def _addition(words: list[str], base: dict, chance: random.Random) -> list[str]:
    node = chance.choice(("", "task.", "model.", "trainer.", "optimizer.", "parameterization.", "execution."))
    return [*words, f"{chance.choice(['+', '++'])}{node}{misspell('novelty', chance)}={chance.choice('123')}"]


def _grammar(words: list[str], base: dict, chance: random.Random) -> list[str]:
    broken = [
        "seed=[1,",
        "seed=0,1",
        "trainer.steps={a",
        "task=null",
        "~model",
        "trainer.steps=null",
        "=3",
        "seed",
    ]
    broken += ["model._target_=rwf.models.MPL", "task._target_=nowhere.Task", "trainer.precision=float16"]
    return [*words, chance.choice(broken)]


KINDS = (_misspelt_key, _wrong_type, _out_of_range, _unknown_choice, _addition, _grammar)


def misspell(word: str, chance: random.Random) -> str:
    """`word` with two letters swapped, one left out, or one doubled; never the word itself.

    >>> misspell("steps", random.Random(0)) != "steps"
    True
    """
    while True:
        at = chance.randrange(len(word))
        swapped = word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :]
        found = chance.choice(
            [swapped, word[:at] + word[at + 1 :], word[:at] + word[at] * 2 + word[at + 1 :]]
        )
        if found not in ("", word):
            return found
