"""A user's own configs, outside the checkout, add to every group and are used by the processes of a plan too."""

import subprocess
import sys
from pathlib import Path

import pytest

from experiments.config.compose import OWN_CONFIGS, ConfigError, configure, group_options
from experiments.config.own import use_own_configs

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with an experiment, a reduction, a parameterization and a model."""
    folder = tmp_path / "my configs"
    for name, text in {
        "experiment/mine.yaml": "# @package _global_\ndefaults: [regression_1d]\nabout: {title: my own signal}\n",
        "reduction/mine-smoke.yaml": "# @package _global_\ndefaults: [regression_1d-smoke]\n",
        "parameterization/wide.yaml": "_target_: rwf.RWF\nmean: 2.5\nstd: 0.5\n",
        "model/tiny.yaml": "_target_: rwf.models.ModifiedMLP\n_partial_: true\ndepth: 1\nwidth: 4\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setenv(OWN_CONFIGS, "")
    return folder


def test_own_configs_add_to_the_groups(own):
    use_own_configs(str(own))
    config = configure(["experiment=mine", "profile=smoke", "parameterization=wide", "model=tiny"])
    found = (config.experiment, config.parameterization.mean, config.model.func.__name__)
    assert found == ("mine", 2.5, "ModifiedMLP")
    assert "mine" in group_options("experiment") and "advection" in group_options("experiment")


def test_a_folder_that_is_none_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv(OWN_CONFIGS, "")
    with pytest.raises(ConfigError, match="is no folder"):
        use_own_configs(str(tmp_path / "nothing"))


def test_a_sweep_trains_with_them(own, tmp_path):
    words = ["experiment=mine", "profile=smoke", "parameterization=plain,wide", "tracking=none"]
    command = [sys.executable, "-m", "experiments.train", "--multirun", "--config-dir", str(own), *words]
    command.append(f"runs={tmp_path / 'runs'}")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "2 of 2 runs are finished" in done.stdout, done.stderr
