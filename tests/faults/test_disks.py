"""Faults of disks: full ones, for runs, for the cache and for results, and folders that cannot be written."""

import os
import resource
import subprocess

import numpy as np
import pytest

from experiments import compare, export
from experiments.files import load_arrays
from tests.faults.places import LONG, OFTEN, ended, good, lasting, nothing_half_written, refusal, same_run

pytestmark = pytest.mark.slow
AGAIN = (
    "no half-written file, and with room again the same command ended with the numbers of an undisturbed run"
)


@pytest.fixture
def without_room(fill, tmp_path, record_property):
    """without_room(disk, room, trial, start): run without room, then with; what was said goes to the page."""

    def run(disk, room, trial, start):
        filler = fill(disk, room)
        line = refusal(*ended(start()), "No space left on device")
        assert not list(trial.runs.glob("*/*/result.json"))
        nothing_half_written(disk)
        filler.unlink()
        good(start())
        record_property("seen", f"one line, “{line.replace(str(tmp_path), '...')}”, {AGAIN}")

    return run


@pytest.mark.reliability("A disk with no room, or too little, for the files of a run; then with room again.")
@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.6, 0.8])
def test_disk_full_of_runs(place, small_disk, without_room, share):
    alone = place("alone")
    disk = small_disk("disk", 4)
    good(alone.train(*LONG))
    whole = sum(path.stat().st_size for path in alone.runs.glob("regression_1d/*/*"))
    trial = place("disk", alone.cache)
    without_room(disk, int(share * whole), trial, lambda: trial.train(*LONG, *OFTEN))
    same_run(alone, trial, "regression_1d")


@pytest.mark.reliability("A disk with no room for the cache of generated data; then with room again.")
def test_disk_full_of_cache(place, small_disk, without_room):
    alone, disk, words = place("alone"), small_disk("disk", 64), "experiment=diffusion_reaction"
    good(alone.train(words))
    trial = place("trial", disk)
    without_room(disk, 4096, trial, lambda: trial.train(words))
    for path in disk.glob("*.npz"):
        load_arrays(path)
    same_run(alone, trial, "diffusion_reaction")


@pytest.mark.reliability("A disk with no room for the results of a reproduction; then with room again.")
def test_disk_full_of_results(place, small_disk, fill, record_property):
    disk, trial = small_disk("disk", 4), place("trial")
    words = ("figure_2", "--results", str(disk / "results"))
    filler = fill(disk, 4096)
    code, errors = ended(trial.reproduce(*words))
    assert code == 1 and "Traceback" not in errors and "No space left on device" in errors, errors[-800:]
    nothing_half_written(disk)
    filler.unlink()
    good(trial.reproduce(*words))
    assert len(lasting(disk / "results")) == 4
    record_property("seen", "the error was named; with room again all rows were added from the finished runs")


@pytest.mark.reliability("A disk with no room for an export; then with room again.")
def test_disk_full_of_an_export(place, small_disk, fill, capsys, record_property):
    disk, trial = small_disk("disk", 4), place("trial")
    good(trial.train(*LONG))
    (run,) = (path.parent for path in trial.runs.glob("*/*/weights.npz"))
    words = [str(run), str(disk / "kept.npz")]
    assert export.main(words) == 0
    kept = (disk / "kept.npz").read_bytes()
    filler = fill(disk, 0)
    for name in ("kept.npz", "new.npz", "new.msgpack"):
        capsys.readouterr()
        assert export.main([str(run), str(disk / name)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "No space left on device" in line and name in line, line
    nothing_half_written(disk)
    assert sorted(path.name for path in disk.iterdir()) == sorted([filler.name, "kept.npz"])
    assert (disk / "kept.npz").read_bytes() == kept
    filler.unlink()
    assert export.main([str(run), str(disk / "new.npz")]) == 0
    record_property("seen", f"one line, “{line.replace(str(disk), '...')}”, and the file from before stays")


@pytest.mark.reliability("A comparison whose output lies on a disk that is mounted to be read alone.")
def test_a_comparison_without_the_right_to_write_its_output_does_not_begin(
    small_disk, tmp_path, capsys, record_property
):
    disk = small_disk("disk", 1)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    np.save(tmp_path / "tone.npy", np.sin(np.arange(40.0)))
    words = [str(tmp_path / "tone.npy"), "profile=smoke", "tracking=none", f"runs={tmp_path / 'runs'}"]
    assert compare.main([*words, "--output", str(disk / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{disk} cannot be written to: choose another" in line and not (tmp_path / "runs").exists()
    record_property("seen", "one line before anything is trained")


@pytest.mark.reliability(
    "Files limited to 4 kB (ulimit -f), which stops a run's first large file; then unlimited."
)
def test_limited_files(place, record_property):
    trial = place("trial")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        process = trial.train(*LONG, "execution.compilation_cache=false")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    line = refusal(*ended(process), "File too large")
    assert not list(trial.runs.glob("*/*/result.json"))
    nothing_half_written(trial.folder)
    good(trial.train(*LONG))
    record_property("seen", f"one line, “{line.replace(str(trial.folder), '...')}”, then a good run")


@pytest.fixture
def read_only_folder(tmp_path, request):
    """A folder that cannot be written: by its permissions, or, for root whom they do not bind, a read-only tmpfs."""
    if os.geteuid() == 0:
        folder = request.getfixturevalue("small_disk")("disk", 1)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True, capture_output=True)
        return folder
    folder = tmp_path / "disk"
    folder.mkdir(mode=0o555)
    request.addfinalizer(lambda: folder.chmod(0o755))
    return folder


@pytest.mark.reliability("A runs folder that cannot be written, by one run and by a reproduction.")
def test_read_only(place, read_only_folder, record_property):
    trial, runs = place("place"), read_only_folder / "runs"
    says = "choose folders that can be written"
    line = refusal(*ended(trial.train("experiment=regression_1d", f"runs={runs}")), says)
    refusal(*ended(trial.reproduce("figure_2", "--runs", str(runs))), says)
    assert not trial.results.exists()
    record_property("seen", f"one line from each: “{line.replace(str(read_only_folder.parent), '...')}”")
