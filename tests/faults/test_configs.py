"""Wrong configurations, generated from right ones: each must end in one clear line."""

import random

import pytest

from experiments import train
from experiments.config.compose import compose_config, group_options
from experiments.config.identity import NODES, flatten
from tests.faults.places import refusal

GROUPS = ("experiment", "parameterization", "embedding", "model", "optimizer", "profile", "tracking")
FREE = (
    "_target_",
    "tracking.project",
    "tracking.entity",
    "tracking.group",
    "runs",
    "reduced",
)  # any string is right
POSITIVE = {
    "steps",
    "width",
    "depth",
    "record_every",
    "microbatches",
    "learning_rate",
    "points",
    "size",
    "images",
}
POSITIVE |= {"angles", "functions", "batch_size", "features", "pool", "samples", "decay_steps"}
WRONG = {int: ["many", "[1,2]", "1.5", "true"], float: ["much", "[0.1]", "{a:1}"], bool: ["7", "[]", "never"]}
GRAMMAR = [
    "seed=[1,",
    "seed=0,1",
    "trainer.steps={a",
    "task=null",
    "~model",
    "trainer.steps=null",
    "=3",
    "seed",
]
GRAMMAR += ["model._target_=rwf.models.MPL", "task._target_=nowhere.Task", "trainer.precision=float16"]
ROOT_SETTINGS = ["seed=-1", "seeds=0", "seeds=-2", "execution.checkpoint_seconds=0"]
FAST, ALL = 12, 200  # two of each kind; the rest are marked slow


def misspelt(word, chance):
    """`word` with two letters swapped, one left out, or one doubled; never the word itself."""
    found = word
    while found in ("", word):
        at = chance.randrange(len(word))
        before, letter, after = word[:at], word[at], word[at + 1 :]
        found = before + chance.choice([after[:1] + letter + after[1:], after, letter * 2 + after])
    return found


def misspelt_key(words, leaves, chance):
    key = chance.choice(sorted(key for key, value in leaves.items() if isinstance(value, (int, float, str))))
    node, _, name = key.rpartition(".")
    wrong = f"{node}.{misspelt(name, chance)}"
    return [*words, f"{chance.choice(['', '+', '++'])}{wrong}{'_' * (wrong in leaves)}={leaves[key]}"]


def wrong_type(words, leaves, chance):
    key = chance.choice(sorted(key for key, value in leaves.items() if type(value) in WRONG))
    return [*words, f"{key}={chance.choice(WRONG[type(leaves[key])])}"]


def out_of_range(words, leaves, chance):
    keys = sorted(key for key in leaves if key.rpartition(".")[2] in POSITIVE)
    settings = [f"{chance.choice(keys)}={value}" for value in ("0", "-3")] * 8
    return [*words, chance.choice(settings + ROOT_SETTINGS)]


def unknown_text(words, leaves, chance):
    key = chance.choice(sorted(key for key, value in leaves.items() if isinstance(value, str)))
    return [*words, f"{key}={misspelt(leaves[key], chance)}"]


def unknown_option(words, leaves, chance):
    group = chance.choice(GROUPS)
    option = misspelt(chance.choice(group_options(group)), chance)
    return [*(word for word in words if not word.startswith(f"{group}=")), f"{group}={option}"]


def addition(words, leaves, chance):
    node = chance.choice(("", "task.", "model.", "trainer.", "optimizer.", "parameterization.", "execution."))
    return [*words, f"{chance.choice(['+', '++'])}{node}{misspelt('novelty', chance)}={chance.choice('123')}"]


def broken_grammar(words, leaves, chance):
    return [*words, chance.choice(GRAMMAR)]


KINDS = (misspelt_key, wrong_type, out_of_range, unknown_text, unknown_option, addition, broken_grammar)


def wrong_configuration(number):
    """The words of a configuration with one thing wrong."""
    chance = random.Random(number)
    chosen = {name: chance.choice(group_options(name)) for name in ("experiment", "parameterization")}
    words = [f"{key}={value}" for key, value in chosen.items()] + ["profile=smoke", "tracking=none"]
    config, _ = compose_config(words)
    leaves = flatten({name: config[name] for name in (*NODES, "execution")})
    leaves = {key: value for key, value in leaves.items() if not key.endswith(FREE)}
    return KINDS[number % len(KINDS)](words, leaves, chance)


@pytest.mark.reliability(
    "Misspelt keys, wrong types, values out of range, unknown choices, + and ++ additions, broken grammar."
)
@pytest.mark.parametrize(
    "number", [*range(FAST), *(pytest.param(n, marks=pytest.mark.slow) for n in range(FAST, ALL))]
)
def test_a_wrong_configuration_is_one_line(number, tmp_path, capsys, monkeypatch, record_property):
    words = [*wrong_configuration(number), f"runs={tmp_path / 'runs'}"]
    monkeypatch.setattr("sys.argv", ["train", *words])  # which Hydra reads
    try:
        code = train.main(words)
    except SystemExit as stopped:
        code = stopped.code
    said = capsys.readouterr()
    line = refusal(code, said.err, "config error: ")
    assert code == 2 and not said.out and not list(tmp_path.iterdir()), words
    record_property("seen", f"“{line}”, exit code 2, nothing written")


def test_misspelt_words_are_other_words():
    chance = random.Random(0)
    for word in ("a", "steps", "aa", "tensorfloat32"):
        assert all(misspelt(word, chance) not in ("", word) for _ in range(50))
