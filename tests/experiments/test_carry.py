"""Runs, rows and caches carried to another folder, as to another machine: whole, in parts, damaged and in conflict."""

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest

from experiments.carry import main
from experiments.carrying import parts, unpacking
from experiments.files import locked
from experiments.records import add_rows, read_results, read_runs
from experiments.train import train_one
from experiments.training import walltime

ROOT = Path(__file__).resolve().parents[2]
TINY = ["experiment=regression_1d", "profile=smoke", "parameterization=rwf", "tracking=none"]
LONG = [*TINY, "trainer.steps=40000", "trainer.record_every=2000", "trainer.evaluate_every=4000"]
OFTEN = ["execution.checkpoint_seconds=0.2", "execution.progress_seconds=0.05"]


def carry(action: str, file: Path, machine: Path, *words: str) -> int:
    """The command on a machine whose files are in one folder."""
    return main([action, str(file), "--runs", f"{machine}/runs", "--output", f"{machine}/output", *words])


def content(folder: Path) -> dict[str, bytes]:
    """All that is in a folder but locks."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name != ".lock"}


def run_in(machine: Path) -> Path:
    (path,) = machine.glob("runs/*/*/config.yaml")
    return path.parent


def outcome(machine: Path) -> tuple:
    """What a run came to, but for times."""
    folder = run_in(machine)
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    arrays = {}
    for name in ("predictions.npz", "weights.npz"):
        with np.load(folder / name) as archive:
            arrays |= {f"{name}/{key}": archive[key].tobytes() for key in archive.files}
    (row,) = read_runs(machine / "runs")
    return row.id, row.metrics, [{k: v for k, v in e.items() if k != "seconds"} for e in history], arrays


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A machine with a finished run and its row."""
    machine = tmp_path_factory.mktemp("trained")
    train_one([*TINY, f"runs={machine}/runs"])
    add_rows(machine / "output", read_runs(machine / "runs"))
    return machine


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> tuple:
    machine = tmp_path_factory.mktemp("uninterrupted")
    train_one([*LONG, f"runs={machine}/runs"])
    return outcome(machine)


def interrupt(machine: Path, how: int) -> None:
    """Start the long run and end it by a signal once it has a checkpoint."""
    command = [sys.executable, "-m", "experiments.train", *LONG, *OFTEN, f"runs={machine}/runs"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while not list(machine.glob("runs/*/*/checkpoints/group-*.npz")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, how)
    assert process.wait() == (-how if how == signal.SIGKILL else walltime.EXIT_CODE)


@pytest.mark.reliability("A run killed in the middle, packed, unpacked elsewhere and gone on with there.")
@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_elsewhere_to_the_bits_of_an_uninterrupted_one(tmp_path, uninterrupted, how):
    here, there, archive = tmp_path / "here", tmp_path / "there", tmp_path / "runs.carry"
    interrupt(here, how)
    assert carry("pack", archive, here, "--part-size", "0.002") == 0
    files = parts.find([archive])
    assert len(files) > 1 and max(path.stat().st_size for path in files) <= 2000
    assert carry("unpack", archive, there) == 0
    assert content(there / "runs") == content(here / "runs") and not read_runs(there / "runs")
    train_one([*LONG, f"runs={there}/runs"])
    assert outcome(there) == uninterrupted
    # and back, where the run is still unfinished
    assert carry("pack", tmp_path / "back.carry", there) == 0
    assert carry("unpack", tmp_path / "back.carry", here) == 0
    assert outcome(here) == uninterrupted and not (run_in(here) / "checkpoints").exists()


def test_what_is_unpacked_is_what_was_packed_and_twice_is_once(trained, tmp_path, capsys):
    assert carry("pack", tmp_path / "a.carry", trained) == 0
    printed = capsys.readouterr().out
    assert "runs: 1 finished, 0 not, 5 files" in printed and "rows: 1 file" in printed
    for words in ("1 new", "1 the same here"):
        assert carry("unpack", tmp_path / "a.carry", tmp_path / "b") == 0
        assert f"runs: {words}" in capsys.readouterr().out
        assert content(tmp_path / "b") == content(trained)


def test_any_part_finds_the_others_and_renamed_ones_can_be_named(trained, tmp_path):
    carry("pack", tmp_path / "a.carry", trained, "--part-size", "0.002")
    files = parts.find([tmp_path / "a.carry"])
    assert len(files) > 2
    assert carry("unpack", files[1], tmp_path / "b") == 0
    moved = [path.rename(tmp_path / f"{n}.bin") for n, path in enumerate(files)]
    folders = ["--runs", f"{tmp_path}/c/runs", "--output", f"{tmp_path}/c/output"]
    assert main(["unpack", *map(str, moved[::-1]), *folders]) == 0
    assert content(tmp_path / "b") == content(tmp_path / "c") == content(trained)
    without_lines = b"".join(path.read_bytes().partition(b"\n")[2] for path in moved)
    with tarfile.open(fileobj=io.BytesIO(without_lines)) as tar:  # as `tail` would join them
        assert f"runs/regression_1d/{run_in(trained).name}/result.json" in tar.getnames()


def missing(files: list[Path]) -> str:
    files[1].unlink()
    return "part 2 of"


def cut_short(files: list[Path]) -> str:
    files[1].write_bytes(files[1].read_bytes()[:-1])
    return f"{files[1]} is damaged: "


def one_bit(files: list[Path]) -> str:
    whole = bytearray(files[2].read_bytes())
    whole[-7] ^= 16
    files[2].write_bytes(whole)
    return f"{files[2]} is damaged (its checksum"


def foreign(files: list[Path]) -> str:
    files[1].write_bytes(b"\x89PNG\r\n" + bytes(300))
    return f"{files[1]} is no part of an archive"


def empty(files: list[Path]) -> str:
    files[0].write_bytes(b"")
    return f"{files[0]} is no part of an archive"


def of_another(files: list[Path]) -> str:
    line, _, rest = files[1].read_bytes().partition(b"\n")
    header = json.loads(line) | {"archive": "0" * 64}
    files[1].write_bytes(json.dumps(header).encode() + b"\n" + rest)
    return f"{files[1]} is of another archive than {files[0]}"


@pytest.mark.reliability(
    "Archives with a part that is missing, cut short, changed by a bit, foreign, or of another."
)
@pytest.mark.parametrize("harm", [missing, cut_short, one_bit, foreign, empty, of_another])
def test_an_archive_that_is_not_whole_is_one_line_and_nothing_is_written(trained, tmp_path, harm, capsys):
    carry("pack", tmp_path / "a.carry", trained, "--part-size", "0.002")
    said = harm(parts.find([tmp_path / "a.carry"]))
    assert carry("unpack", tmp_path / "a.carry", tmp_path / "b") == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and said in errors
    assert not (tmp_path / "b").exists()


def packed(tmp_path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    """An archive made by somebody else."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as tar:
        for info, data in entries:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return parts.write(tmp_path / "evil.carry", whole, 10**6)[0]


def link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


@pytest.mark.reliability(
    "Archives with names that lead out of the folder, links, and things that are not carried."
)
@pytest.mark.parametrize(
    "info",
    [tarfile.TarInfo(name) for name in (
        "../evil", "/tmp/evil", "runs/../../evil", "runs/a/../../../evil/x", "runs/e/id/.lock", "rows/a/b/c/d.jsonl",
        "runs/evil", "evil", "cache/../evil", "cache", "programs/a\\..\\b", "runs//a/b/c")]
    + [link("runs/e/id/config.yaml", "/etc/passwd")],
    ids=lambda info: info.name,
)  # fmt: skip
def test_what_pack_does_not_write_is_refused(tmp_path, info, capsys):
    assert carry("unpack", packed(tmp_path, (info, b"")), tmp_path / "b") == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and "evil.carry: " in errors and "is nothing that" in errors
    assert [path.name for path in tmp_path.iterdir()] == ["evil.carry"]


def test_content_that_cannot_be_read_is_one_line(tmp_path, capsys):
    config, result = (tarfile.TarInfo(f"runs/e/id/{name}") for name in ("config.yaml", "result.json"))
    for entries, said in (
        ([(config, b""), (result, b'{"rows": [{}]}')], "result.json of e/id: row 1"),
        ([(result, b'{"rows": []}')], "runs/e/id has no config.yaml"),
        ([(tarfile.TarInfo("rows/smoke/e.jsonl"), b"{}")], "e.jsonl:1 of the archive"),
    ):
        file = packed(tmp_path, *entries)
        assert carry("unpack", file, tmp_path / "b") == 2
        errors = capsys.readouterr().err
        assert errors.count("\n") == 1 and said in errors and not (tmp_path / "b").exists()
        file.unlink()


def changed(folder: Path) -> bytes:
    """Give a finished run another number; return its result."""
    result = json.loads((folder / "result.json").read_text())
    result["rows"][0]["metrics"]["relative_l2"] = [0.125]
    (folder / "result.json").write_text(json.dumps(result))
    return (folder / "result.json").read_bytes()


def test_other_numbers_are_kept_and_named_until_they_are_to_be_replaced(trained, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    number = changed(run_in(other))
    add_rows(other / "output", read_runs(other / "runs"))
    before = content(other)
    carry("pack", tmp_path / "a.carry", trained)
    assert carry("unpack", tmp_path / "a.carry", other) == 1
    printed = capsys.readouterr().out
    assert f"kept: regression_1d/{run_in(other).name} is finished with other numbers here" in printed
    assert "kept: the row of" in printed and content(other) == before
    (run_in(other) / "wandb").mkdir()
    (run_in(other) / "wandb" / "file").write_text("of the tracker")
    assert carry("unpack", tmp_path / "a.carry", other, "--replace") == 0
    assert (run_in(other) / "wandb" / "file").read_text() == "of the tracker"
    shutil.rmtree(run_in(other) / "wandb")
    assert content(other) == content(trained) and (run_in(other) / "result.json").read_bytes() != number


def test_a_later_time_alone_is_no_other_number(trained, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    result = json.loads((run_in(other) / "result.json").read_text())
    result["rows"][0] |= {"date": "2030-01-01T00:00:00+00:00", "seconds": 1.0, "device_name": "another"}
    (run_in(other) / "result.json").write_text(json.dumps(result))
    before = content(other)
    carry("pack", tmp_path / "a.carry", trained)
    assert carry("unpack", tmp_path / "a.carry", other) == 0
    assert "runs: 1 the same here" in capsys.readouterr().out and content(other) == before


def half(machine: Path, trained: Path, step: int) -> Path:
    """A machine on which the run is at `step`."""
    folder = machine / "runs" / "regression_1d" / run_in(trained).name
    (folder / "checkpoints").mkdir(parents=True)
    for name in ("config.yaml", "history.jsonl"):
        shutil.copy(run_in(trained) / name, folder)
    (folder / "checkpoints" / f"group-0000-step-{step:09d}.npz").write_bytes(b"state")
    return machine


def test_who_has_come_further_is_kept(trained, tmp_path, capsys):
    near, far = half(tmp_path / "near", trained, 5), half(tmp_path / "far", trained, 10)
    for name, machine in (("near", near), ("far", far), ("done", trained)):
        carry("pack", tmp_path / f"{name}.carry", machine)
    before = content(far)
    assert carry("unpack", tmp_path / "near.carry", far) == 0
    assert "is at step 10 of group 1 here, at step 5 of group 1 in the archive" in capsys.readouterr().out
    assert content(far) == before
    assert carry("unpack", tmp_path / "far.carry", near) == 0
    assert "replaced: " in capsys.readouterr().out and content(near) == before
    assert carry("unpack", tmp_path / "far.carry", trained) == 0
    assert "is finished here" in capsys.readouterr().out
    assert carry("unpack", tmp_path / "done.carry", far) == 0
    assert content(far) == content(trained)


def test_what_was_left_out_is_added_later(trained, tmp_path):
    carry("pack", tmp_path / "light.carry", trained, "--without", "predictions", "weights")
    carry("pack", tmp_path / "whole.carry", trained)
    carry("unpack", tmp_path / "light.carry", tmp_path / "b")
    names = {path.name for path in run_in(tmp_path / "b").iterdir() if path.name != ".lock"}
    assert names == {"config.yaml", "history.jsonl", "result.json"}
    carry("unpack", tmp_path / "whole.carry", tmp_path / "b")
    assert content(tmp_path / "b") == content(trained)


def test_a_run_in_training_is_left_out_and_left_alone(trained, tmp_path, capsys):
    machine = half(tmp_path / "a", trained, 5)
    shutil.copytree(run_in(trained), machine / "runs" / "other" / "id")
    carry("pack", tmp_path / "done.carry", trained)
    with locked(machine / "runs" / "regression_1d" / run_in(trained).name / ".lock"):
        assert carry("pack", tmp_path / "a.carry", machine) == 1
        captured = capsys.readouterr()
        assert "is being trained" in captured.err and "1 finished, 0 not" in captured.out
        before = content(machine)
        assert carry("unpack", tmp_path / "done.carry", machine) == 1
        assert "is being trained by another process: repeat" in capsys.readouterr().err
        assert {**content(machine), **before} == content(machine)
    assert not (machine / "runs" / unpacking.STAGE).exists()


def test_without_room_runs_are_as_they_were(trained, tmp_path, monkeypatch, capsys):
    machine = half(tmp_path / "a", trained, 5)
    before = content(machine)
    carry("pack", tmp_path / "done.carry", trained)
    write = unpacking.write_atomically

    def full(path: Path, action) -> None:
        if path.name == "weights.npz":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, action)

    monkeypatch.setattr(unpacking, "write_atomically", full)
    assert carry("unpack", tmp_path / "done.carry", machine) == 1
    assert "No space left" in capsys.readouterr().err and content(machine) == before
    monkeypatch.setattr(unpacking, "write_atomically", write)
    assert carry("unpack", tmp_path / "done.carry", machine) == 0
    assert content(machine) == content(trained)


def test_an_archive_that_cannot_be_written_leaves_no_part(trained, tmp_path, monkeypatch, capsys):
    write = parts.write_atomically

    def full(path: Path, action) -> None:
        if ".3-of-" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, action)

    monkeypatch.setattr(parts, "write_atomically", full)
    assert carry("pack", tmp_path / "a.carry", trained, "--part-size", "0.002") == 1
    assert "No space left" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_patterns_choose_and_names_are_not_taken_twice(trained, tmp_path, capsys):
    for pattern in ("regression_1d", "reg*", f"regression_1d/{run_in(trained).name}", "*/rwf-*"):
        assert carry("pack", tmp_path / "a.carry", trained, "--only", pattern) == 0
        assert "runs: 1 finished" in capsys.readouterr().out
        (tmp_path / "a.carry").unlink()
    assert carry("pack", tmp_path / "a.carry", trained, "--only", "nerf_*") == 2
    assert "nothing to pack" in capsys.readouterr().err and not list(tmp_path.iterdir())
    carry("pack", tmp_path / "a.carry", trained)
    assert carry("pack", tmp_path / "a.carry", trained, "--part-size", "0.002") == 2
    assert "exists: choose another name" in capsys.readouterr().err


def test_the_cache_goes_where_it_is_asked_for(trained, tmp_path, monkeypatch, capsys):
    here, there = tmp_path / "cache_here", tmp_path / "cache_there"
    names = (
        "solution-0123.npz",
        "meshes/a.npz",
        "xla/jit_step-0123-cache",
        "configs/of-this-place.json",
        "a.lock",
    )
    for name in names:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(name)
    monkeypatch.setenv("RWF_CACHE", str(here))
    carry("pack", tmp_path / "a.carry", trained, "--cache", "--programs")
    monkeypatch.setenv("RWF_CACHE", str(there))
    (there / "meshes").mkdir(parents=True)
    (there / "meshes" / "a.npz").write_text("made here")
    assert carry("unpack", tmp_path / "a.carry", tmp_path / "b") == 0
    assert "cache and programs: 2 files new, 1 here before" in capsys.readouterr().out
    assert (there / "meshes" / "a.npz").read_text() == "made here"
    assert {name for name in names if (there / name).exists()} == set(names[:3])
    assert content(tmp_path / "b") == content(trained)


def test_a_dry_run_says_what_would_be_done(trained, tmp_path, capsys):
    carry("pack", tmp_path / "a.carry", trained)
    assert carry("unpack", tmp_path / "a.carry", tmp_path / "b", "--dry-run") == 0
    assert "runs: 1 new" in capsys.readouterr().out and not (tmp_path / "b").exists()
    assert not read_results(tmp_path / "b" / "output")
