"""A fresh clone stays as it is, whatever the commands of the README write."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RUN = ["profile=smoke", "tracking=none", "experiment=regression_1d", "parameterization=rwf"]
COMMANDS = {
    "reproduce": ["experiments.reproduce", "table_3", "figure_2", "--profile", "smoke", "--tracking", "none"],
    "train": ["experiments.train", *RUN],
    "sweep": ["experiments.train", "--multirun", *RUN, "parameterization.mean=0,1"],
    "show": ["experiments.sweep", "regression_1d", "--profile", "smoke", "--output", "output/sweep"],
    "table": ["scripts.make_table", "table_12", "study_depth"],
    "figure": ["scripts.make_figure", "figure_9"],
    "report": ["experiments.report"],
}
LONG = ("sweep", "report")


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone of the last commit, with the files of the working tree that differ committed to it."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    folder = tmp_path_factory.mktemp("clone") / "rwf"
    git(ROOT, "clone", "--quiet", str(ROOT), str(folder))
    changes = git(ROOT, "diff", "HEAD", "--binary")
    if changes:
        apply = ["git", "-C", str(folder), "apply", "-"]
        subprocess.run(apply, input=changes, text=True, check=True)
        author = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        git(folder, *author, "commit", "--quiet", "--all", "--message", "as it is here")
    return folder


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in COMMANDS]
)
def test_git_status_is_clean_after(clone, name):
    environment = {key: value for key, value in os.environ.items() if key not in ("RWF_CACHE", "PYTHONPATH")}
    done = subprocess.run(
        [sys.executable, "-m", *COMMANDS[name]], cwd=clone, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert git(clone, "status", "--porcelain") == ""
    if name == "reproduce":
        assert (clone / "output" / "smoke" / "figure_2.png").exists()
        assert len(list((clone / "runs" / "regression_1d").glob("*/result.json"))) == 4
