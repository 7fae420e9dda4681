"""Broken files, two writers, a full disk and wrong arguments: one clear line, and nothing half-written."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from experiments import files
from experiments.solvers import darcy, diffusion_reaction
from experiments.solvers.__main__ import main, one_line_errors

COMMANDS = {
    "diffusion_reaction": ["--functions", "2"],
    "darcy": ["--functions", "2"],
    "cavity": ["--reynolds", "10", "--elements", "8", "--resolution", "9"],
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RWF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_truncated_cache_file_is_built_again(cache, keep):
    first, checksum = darcy.dataset(2)
    (path,) = cache.glob("*.npz")
    path.write_bytes(path.read_bytes()[:keep])
    again, same = darcy.dataset(2)
    assert same == checksum
    np.testing.assert_array_equal(again["u"], first["u"])
    assert files.load_arrays(path)[1] == checksum


def test_two_processes_generate_one_file(cache):
    program = (
        "import sys; from experiments.solvers import darcy as d; generate = d.generate\n"
        "def counted(*a, **k): print('built'); return generate(*a, **k)\n"
        "d.generate = counted; print(d.dataset(30)[1])"
    )
    run = [sys.executable, "-c", program]
    both = [subprocess.Popen(run, stdout=subprocess.PIPE, text=True, env=os.environ.copy()) for _ in range(2)]
    lines = [line for process in both for line in process.communicate()[0].split()]
    assert [process.returncode for process in both] == [0, 0]
    assert lines.count("built") == 1 and len(set(lines)) == 2
    assert [path.suffix for path in sorted(cache.iterdir()) if path.suffix != ".lock"] == [".npz"]


def full_disk(file, **arrays):
    file.write(b"PK half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("name", COMMANDS)
def test_full_disk_leaves_the_old_output_and_one_line(name, tmp_path, monkeypatch):
    output = tmp_path / "out" / "file.npz"
    output.parent.mkdir()
    output.write_bytes(b"old")
    monkeypatch.setattr(files.np, "savez", full_disk)
    with pytest.raises(SystemExit, match=r"^error: cannot write .*file\.npz: No space left on device$"):
        one_line_errors(lambda: main([name, *COMMANDS[name], "--output", str(output)]))
    assert [path.name for path in output.parent.iterdir()] == ["file.npz"]
    assert output.read_bytes() == b"old"


def test_full_disk_leaves_no_cache_file(cache, monkeypatch):
    monkeypatch.setattr(files.np, "savez", full_disk)
    with pytest.raises(OSError, match="No space left"):
        diffusion_reaction.dataset(2)
    assert [path for path in cache.iterdir() if path.suffix != ".lock"] == []


def test_caches_of_different_choices_are_different_files(cache):
    darcy.dataset(1)
    darcy.dataset(1, length_scale=0.5)
    darcy.dataset(1, split="train")
    diffusion_reaction.dataset(1)
    diffusion_reaction.dataset(1, measurements=3)
    assert len(list(cache.glob("*.npz"))) == 5


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("cavity", ["--reynolds", "-5"], "Reynolds number must be above 0"),
        ("darcy", ["--length-scale", "-0.5", "--output", "x.npz"], "length scale must be positive"),
        ("burgers", ["--viscosity", "0", "--output", "x.npz"], "viscosity and step must be positive"),
        ("diffusion_reaction", ["--seed", "-1", "--output", "x.npz"], "seed must not be negative"),
    ],
)
def test_wrong_values_end_in_one_line_before_anything_is_written(
    name, arguments, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=f"^error: .*{message}[^\n]*$"):
        one_line_errors(lambda: main([name, *arguments]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [["--functions", "0"], ["--functions", "x"], ["--output", "a.txt"], ["--output", "none/a.npz"], []],
)
def test_wrong_arguments_are_refused_before_work_starts(arguments, capsys, monkeypatch):
    monkeypatch.setattr(darcy, "generate", lambda *_, **__: pytest.fail("work started"))
    with pytest.raises(SystemExit):
        main(["darcy", *arguments])
    assert "error:" in capsys.readouterr().err


def test_an_unknown_refinement_study_names_the_known_ones():
    with pytest.raises(SystemExit, match=r"^error: no refinement study of tea: there are cavity, "):
        one_line_errors(lambda: main(["refinement", "tea"]))
