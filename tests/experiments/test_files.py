"""The cache and the locks: any RWF_CACHE, folders that cannot be written, file systems without locks."""

import argparse
import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import Timeout

from experiments.command import add_folders, folder_of_runs
from experiments.config.compose import configure
from experiments.datasets.local import data_folders
from experiments.datasets.meshes import surface
from experiments.files import (
    cache,
    cache_folder,
    cached_arrays,
    load_arrays,
    locked,
    save_arrays,
    system_error,
    warn,
)
from experiments.running.run import run, use_compilation_cache

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ["experiment=regression_1d", "profile=smoke", "tracking=none"]


home = pytest.mark.reliability(
    "Folders with a tilde (runs=, --output, RWF_CACHE, RWF_DATA), and RWF_CACHE that is empty."
)


@home
def test_an_empty_cache_variable_is_none_at_all(monkeypatch):
    monkeypatch.setenv("RWF_CACHE", "")
    assert cache_folder() == ROOT / "data" / "cache"
    monkeypatch.delenv("RWF_CACHE")
    assert cache_folder() == ROOT / "data" / "cache"


@home
@pytest.mark.parametrize(("given", "where"), [("~", "."), ("~/x", "x"), ("~/a b/ü", "a b/ü")])
def test_a_tilde_in_the_cache_variable_is_the_home_folder(monkeypatch, tmp_path, given, where):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RWF_CACHE", given)
    assert cache_folder() == tmp_path / where and cache("made") == tmp_path / where / "made"


@home
@pytest.mark.parametrize("word", ["runs=~/a b", "++runs=~/a b"])
def test_a_tilde_in_a_folder_that_is_typed_is_the_home_folder(monkeypatch, tmp_path, word):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder_of_runs(["experiment=regression_1d", word]) == tmp_path / "a b"
    parser = argparse.ArgumentParser()
    add_folders(parser)
    assert parser.parse_args(["--output=~/x"]).output == tmp_path / "x"
    monkeypatch.setenv("RWF_DATA", "~")
    assert data_folders()[0] == tmp_path


@home
@pytest.mark.parametrize("path", ["~nobody-of-this-name/x", "a~/x", "./~"])
def test_a_tilde_that_is_no_home_folder_is_a_name(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RWF_CACHE", path)
    monkeypatch.setenv("RWF_DATA", f"{path}-of-data")
    assert cache_folder() == folder_of_runs(["experiment=regression_1d", f"runs={path}"]) == Path(path)
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        data_folders()


def read_only(*_, **__):
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.fixture(params=["a file", "below a file", "read-only", "no folders", "too long", "a circle"])
def unwritable(request, tmp_path, monkeypatch):
    """RWF_CACHE as something in which no file can be made."""
    path = tmp_path / "cache"
    if request.param == "read-only":  # as root, the permissions of a folder forbid nothing
        path.mkdir()
        monkeypatch.setattr("tempfile.TemporaryFile", read_only)
        monkeypatch.setattr("tempfile.mkstemp", read_only)
    elif request.param == "no folders":
        path = Path("/proc/cache") if Path("/proc/self").exists() else Path("/dev/fd/cache")
    elif request.param == "too long":
        path = tmp_path / ("x" * 300)
    elif request.param == "a circle":
        path.symlink_to(path)
        path = path / "below"
    else:
        path.write_text("text")
        path = path / "below" if request.param == "below a file" else path
    monkeypatch.setenv("RWF_CACHE", str(path))
    warn.cache_clear()  # an earlier test may have had the same folder
    return path


without_cache = pytest.mark.reliability(
    "A cache (RWF_CACHE) that is a file, lies below a file, or can only be read."
)


@without_cache
def test_what_cannot_be_kept_is_made_and_said_once(unwritable, capsys):
    for value in (1.0, 2.0):
        arrays, _ = cached_arrays("name", {"choice": 1}, lambda value=value: {"a": np.array(value)})
        assert arrays["a"] == value
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: nothing is kept in {unwritable} (RWF_CACHE): ")


def test_arrays_have_the_same_checksum_kept_or_not(unwritable, tmp_path, monkeypatch):
    kept = {"a": np.arange(3.0), "b": np.array(1)}
    _, checksum = cached_arrays("name", {}, lambda: kept)
    monkeypatch.undo()
    monkeypatch.setenv("RWF_CACHE", str(tmp_path / "other"))
    assert checksum == cached_arrays("name", {}, lambda: kept)[1] == save_arrays(tmp_path / "a.npz", kept)


def test_a_read_only_cache_of_others_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("RWF_CACHE", str(tmp_path))
    cached_arrays("name", {}, lambda: {"a": np.array(1.0)})
    monkeypatch.setattr("tempfile.TemporaryFile", read_only)
    assert cached_arrays("name", {}, lambda: {"a": np.array(2.0)})[0]["a"] == 1.0


@without_cache
def test_configurations_compose_without_a_cache(unwritable):
    assert configure([*SMOKE, "seed=7"]).root.seed == 7


def test_generated_meshes_and_compiled_programs_do_without_a_cache(unwritable):
    import jax

    before = jax.config.jax_compilation_cache_dir
    use_compilation_cache(True)
    assert jax.config.jax_compilation_cache_dir == before
    if (unwritable.parent / "cache").is_dir():
        return  # a mesh needs a temporary folder, which the mended `mkstemp` refuses
    assert len(surface("armadillo", real=False).faces) > 1000


def test_a_run_trains_where_the_cache_is_a_file(tmp_path):
    (tmp_path / "cache").write_text("text")
    command = [sys.executable, "-m", "experiments.train", *SMOKE, f"runs={tmp_path / 'runs'}"]
    environment = os.environ | {"RWF_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and list((tmp_path / "runs").glob("*/*/result.json"))
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["warning"]


def test_a_full_disk_is_no_unwritable_cache(tmp_path, monkeypatch):
    """There is a remedy, and what took long to make would be lost: the command stops and says so."""

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setenv("RWF_CACHE", str(tmp_path))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        cached_arrays("name", {}, lambda: {"a": np.array(1.0)})


@pytest.mark.reliability("A file system without locks, for a run, the cache and a lock alone.")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
@pytest.mark.parametrize("what", ["a lock", "a run", "the cache"])
def test_a_file_system_without_locks_is_named_with_a_remedy(
    tmp_path, monkeypatch, number, what, record_property
):
    config = configure([*SMOKE, f"runs={tmp_path / 'runs'}"])
    monkeypatch.setenv("RWF_CACHE", str(tmp_path))

    def lockless(*_):
        raise OSError(number, os.strerror(number))

    def take():
        if what == "a lock":
            with locked(tmp_path / ".lock"):
                pass
        elif what == "a run":
            run(config, lambda news: None)
        else:
            cached_arrays("name", {}, lambda: {"a": np.array(1.0)})

    monkeypatch.setattr(fcntl, "flock", lockless)
    with pytest.raises(OSError) as raised:
        take()
    said = system_error(raised.value)
    assert str(tmp_path) in said and "lock: " in said and "choose folders on a file system with locks" in said
    remedy = said.split(": ")[-1]
    record_property("seen", f"one line that names the lock and a remedy: {remedy}")


def test_a_lock_waits_no_longer_than_asked_and_is_given_back(tmp_path):
    with (
        locked(tmp_path / "a" / ".lock"),
        pytest.raises(Timeout),
        locked(tmp_path / "a" / ".lock", timeout=0),
    ):
        pass
    with locked(tmp_path / "a" / ".lock", timeout=0):
        pass


def test_a_changed_byte_is_found_or_without_effect(tmp_path):
    arrays = {"x": np.arange(6, dtype=np.float32)}
    save_arrays(tmp_path / "a.npz", arrays, compressed=True)
    content = (tmp_path / "a.npz").read_bytes()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        (tmp_path / "b.npz").write_bytes(changed)
        try:
            found, _ = load_arrays(tmp_path / "b.npz")
        except ValueError as error:
            assert "b.npz is damaged" in str(error)
        else:
            assert found.keys() == arrays.keys() and (found["x"] == arrays["x"]).all()
