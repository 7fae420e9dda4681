"""The Makefile's choices: what is installed with and without a GPU, and which words reach the commands."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def dry_run(*words: str, path: str = os.environ["PATH"]) -> str:
    done = subprocess.run(
        ["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PATH": path}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("driver", "extras"), [(False, "experiments,dev"), (True, "experiments,dev,gpu")])
def test_a_driver_brings_the_gpu_build_beside_all_else(tmp_path, driver, extras):
    if driver:
        (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    words = ("setup", f"VENV={tmp_path / 'venv'}")
    assert f'--editable ".[{extras}]"' in dry_run(*words, path=f"{tmp_path}:{os.environ['PATH']}")


def test_further_columns_are_named_to_the_command():
    printed = dry_run("table-6", "ADD=offset", "PROFILE=smoke")
    assert "table_6" in printed and "--profile smoke" in printed
    assert "--columns offset" in printed and "control" not in printed


def test_the_control_is_trained_unless_it_is_not_wanted():
    assert "--no-control" not in dry_run("table-6") + dry_run("table-6", "CONTROL=1")
    assert "--no-control" in dry_run("table-6", "CONTROL=0")


def test_a_launcher_is_named_to_the_command():
    assert "--launcher ray" in dry_run("table-6", "LAUNCHER=ray") and "--launcher" not in dry_run("table-6")
