"""The version of an experiment's protocol: where it is stated, and what it is good for."""

import pytest

from experiments.config import compose as configuration
from experiments.config import protocols
from experiments.config.compose import ConfigError, compose_config, configure
from experiments.config.protocols import protocol_of
from experiments.reporting import selection
from experiments.reporting.tables import table as tables
from experiments.running.run import identity
from experiments.task import Source


@pytest.fixture(autouse=True)
def no_memory():
    protocol_of.cache_clear()
    yield
    protocol_of.cache_clear()


def stating(monkeypatch, experiment, version):
    """The configs as they are, but for the version that one experiment states."""

    def changed(words):
        config, groups = compose_config(words)
        if f"experiment={experiment}" in words:
            config["about"] = config["about"] | {"protocol": version}
        return config, groups

    monkeypatch.setattr(protocols, "compose_config", changed)


def test_it_is_the_experiment_s_own_one_where_it_states_none():
    assert [protocol_of(name) for name in ("diffusion_reaction", "darcy", "burgers")] == [2, 2, 2]
    assert [protocol_of(name) for name in ("image_natural", "navier_stokes_modified", "gone")] == [1, 1, 1]


def test_an_experiment_made_from_another_has_the_other_s(tmp_path, monkeypatch):
    copied = tmp_path / "own"
    copied.mkdir()
    for entry in configuration.CONFIGS.iterdir():
        if entry.name != "experiment":
            (copied / entry.name).symlink_to(entry)
    (copied / "experiment").mkdir()
    for file in (configuration.CONFIGS / "experiment").glob("*.yaml"):
        (copied / "experiment" / file.name).write_text(file.read_text())
    (copied / "experiment" / "heir.yaml").write_text("# @package _global_\ndefaults: [darcy]\n")
    monkeypatch.setattr(configuration, "CONFIGS", copied)
    assert protocol_of("heir") == 2


def test_raising_one_changes_the_ids_of_that_experiment_alone(monkeypatch):
    source = Source("data", "c0")
    configs = [configure([f"experiment={name}", "profile=smoke"]) for name in ("image_natural", "image_text")]
    before = [identity(config, source) for config in configs]
    protocol_of.cache_clear()
    stating(monkeypatch, "image_natural", 2)
    after = [identity(config, source) for config in configs]
    assert after[0] != before[0] and after[1] == before[1]


def test_raising_one_makes_the_rows_of_that_experiment_alone_stale(monkeypatch, make_row):
    natural, text = make_row(), make_row(experiment="image_text")
    protocol_of.cache_clear()
    stating(monkeypatch, "image_natural", 2)
    marks = [[mark.word for mark in tables.source_marks(row)] for row in (natural, text)]
    assert marks == [["stale", "reduced"], ["reduced"]]
    newer = make_row(protocol=2, profile="smoke")
    assert selection.best_source([natural, newer], [natural.cell])[natural.cell] == [newer]


@pytest.mark.parametrize("version", [0, -1, 1.5, "two", True, None])
def test_a_version_that_is_none_is_one_line(monkeypatch, version):
    stating(monkeypatch, "darcy", version)
    with pytest.raises(
        ConfigError, match=r"experiment=darcy: `about.protocol`=.*must be an integer"
    ) as raised:
        protocol_of("darcy")
    assert "\n" not in str(raised.value)
