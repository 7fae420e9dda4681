"""Places for trials, and small disks."""

import contextlib
import os
import shutil
import subprocess

import pytest

from tests.faults.places import Place


@pytest.fixture
def place(tmp_path):
    """place(name, **environment): a folder of its own with a cache of its own, unless told to share one."""

    def make(name, cache=None, **environment):
        return Place(tmp_path / name, cache or tmp_path / name / "cache", tuple(environment.items()))

    return make


@pytest.fixture
def small_disk(tmp_path):
    """small_disk(name, megabytes): a tmpfs mounted for the test, which is skipped where that is not allowed."""
    with contextlib.ExitStack() as mounted:

        def mount(name, megabytes):
            folder = tmp_path / name
            folder.mkdir()
            command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)]
            if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
                pytest.skip("a small disk cannot be mounted by this user")
            mounted.callback(subprocess.run, ["umount", str(folder)], check=True)
            return folder

        yield mount


@pytest.fixture
def fill():
    """fill(folder, leave): a file that takes all of a disk but `leave` bytes."""

    def write(folder, leave):
        statistics = os.statvfs(folder)
        path = folder / "filler"
        path.write_bytes(b"\0" * max(0, statistics.f_bavail * statistics.f_frsize - leave))
        return path

    return write
