"""Faults of processes and disks: kills, two at once, full and read-only folders, a silent server, bad checkpoints."""

from __future__ import annotations

import random
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from experiments.files import load_arrays
from scripts.faults_common import (
    Broken,
    Place,
    Untried,
    end,
    expect,
    fill,
    good,
    lasting,
    left_over,
    read_only_disk,
    same_results,
    small_disk,
    wait,
)

OFTEN = ("execution.checkpoint_seconds=0.05", "execution.progress_seconds=0.02")
LONG = ("experiment=regression_1d", "parameterization=rwf", "trainer.steps=20000", "trainer.record_every=100")
LONG += ("trainer.evaluate_every=1000",)
SEED = 7


def kills(folder: Path, quick: bool) -> str:
    """kill -9 of a reproduction and all its workers at random moments, again and again; then one clean pass."""
    target, count = ("table_11", 3) if quick else ("table_1", 20)
    undisturbed, disturbed = Place(folder / "undisturbed"), Place(folder / "disturbed")
    process = undisturbed.reproduce(target)
    _until_planned(process)
    begun = time.monotonic()
    good(process)
    span = 2 * (time.monotonic() - begun) / count  # kills spread over about the time that all runs take
    moments = random.Random(SEED)
    words = [word for setting in OFTEN for word in ("--set", setting)]
    planning, training = 0, 0
    for number in range(count):
        process = disturbed.reproduce(target, *words)
        if number % 5 == 0:
            time.sleep(moments.uniform(0.5, 5.0))
        else:
            _until_planned(process)
            time.sleep(moments.uniform(0.0, span))
        end(process)
        begun_runs = list(disturbed.runs.glob("*/*/config.yaml"))
        cut = any(not path.with_name("result.json").exists() for path in begun_runs)
        planning, training = planning + (number % 5 == 0), training + (cut and number % 5 > 0)
    finished = len(list(disturbed.runs.glob("*/*/result.json")))
    good(disturbed.reproduce(target))
    rows = same_results(undisturbed, disturbed, [target])
    expect(not list(disturbed.runs.glob("*/*/checkpoints")), "checkpoints of finished runs were left")
    return (
        f"{count} kills of {target} ({planning} of them while it started or planned, {training} with runs begun and "
        f"not ended; {finished} of {rows} runs were finished after the last), one clean pass: {rows} rows, their "
        "histories and the table are those of an undisturbed pass"
    )


def _until_planned(process: subprocess.Popen) -> None:
    """Wait until a reproduction has printed its plan."""
    for line in process.stdout:
        if line.startswith(("estimated time", "[1/")):
            return


def two_at_once(folder: Path, quick: bool) -> str:
    """Two reproductions of the same table in the same folders at the same time."""
    target = "table_11" if quick else "table_6"
    alone, shared = Place(folder / "alone"), Place(folder / "shared")
    good(alone.reproduce(target))
    both = [shared.reproduce(target) for _ in range(2)]
    ended: list = [None, None]

    def collect(n: int) -> None:
        try:
            ended[n] = wait(both[n])
        except Broken as error:
            ended[n] = error

    threads = [threading.Thread(target=collect, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in ended:
        if isinstance(one, Broken):
            raise one
        expect(one.code == 0, f"exit code {one.code}: {one.errors[-800:]}")
    rows = same_results(alone, shared, [target])
    return f"both ended well; {rows} rows of {target}, none twice, equal to those of one alone"


def full_disk(folder: Path, quick: bool) -> str:
    """A disk with no room for the run's files, for the cache, and for the results; then with room again."""
    try:
        with small_disk(folder / "trial", 1):
            pass
    except Untried:
        return _limited_files(folder)
    alone = Place(folder / "alone")
    good(alone.train(*LONG))
    good(alone.train("experiment=diffusion_reaction"))
    lines = []
    whole = sum(path.stat().st_size for path in alone.runs.glob("regression_1d/*/*"))
    shares = (0.0, 0.6) if quick else (0.0, 0.2, 0.4, 0.6, 0.8)
    for number, share in enumerate(shares):
        with small_disk(folder / f"disk-{number}", 4) as disk:
            place = Place(disk, {"RWF_CACHE": str(alone.cache)})
            room = int(share * whole)
            lines.append(_out_of_room(place, disk, room, lambda p=place: p.train(*LONG, *OFTEN)))
            _compare_runs(alone, place, "regression_1d")
    with small_disk(folder / "cache-disk", 64) as disk:
        place = Place(folder / "cached", {"RWF_CACHE": str(disk)})
        lines.append(_out_of_room(place, disk, 4096, lambda: place.train("experiment=diffusion_reaction")))
        for path in disk.glob("*.npz"):
            load_arrays(path)
        _compare_runs(alone, place, "diffusion_reaction")
    with small_disk(folder / "results-disk", 4) as disk:
        place = Place(folder / "rendered", {"RWF_CACHE": str(alone.cache)})
        filler = fill(disk, 4096)
        words = ("figure_2", "--profile", "smoke", "--tracking", "none", "--runs", str(place.runs))
        start = ("experiments.reproduce", *words, "--results", str(disk / "results"))
        ended = wait(place.start(*start))
        expect(ended.code == 1 and "Traceback" not in ended.errors, ended.errors[-800:])
        expect("No space left on device" in ended.errors, ended.errors[-800:])
        expect(not left_over(disk), "half-written files were left")
        filler.unlink()
        good(place.start(*start))
        expect(len(lasting(disk / "results")) == 4, "rows are missing")
    return (
        f"a tmpfs with room for none to {max(shares):.0%} of a run's files, one with none for the cache, one with none "
        f"for results: each time one line, such as “{_shown(lines[0], folder)}”, no half-written file, and "
        "with room again the same command ended with the numbers of an undisturbed run"
    )


def _out_of_room(place: Place, disk: Path, room: int, start: Callable[[], subprocess.Popen]) -> str:
    """Run without room, then with; return the line that was said without."""
    filler = fill(disk, room)
    line = wait(start()).refused("No space left on device")
    expect(not list(place.runs.glob("*/*/result.json")), "a run without room has a result")
    expect(not left_over(disk), f"half-written files were left: {left_over(disk)}")
    filler.unlink()
    good(start())
    return line


def _compare_runs(first: Place, second: Place, experiment: str) -> None:
    """Raise Broken unless both have the same metrics and predictions of their one run."""
    import numpy as np

    from experiments.records import read_result

    folders = [next(place.runs.glob(f"{experiment}/*")) for place in (first, second)]
    rows = [[row.metrics for row in read_result(folder / "result.json")] for folder in folders]
    expect(rows[0] == rows[1], "the metrics differ from those of an undisturbed run")
    left, right = (load_arrays(folder / "predictions.npz")[0] for folder in folders)
    equal = all(np.array_equal(left[name], right[name], equal_nan=True) for name in left)
    expect(equal and left.keys() == right.keys(), "the predictions differ from those of an undisturbed run")


def _limited_files(folder: Path) -> str:
    """Instead of a small disk, which may not be mounted: a limit to the size of a file."""
    place = Place(folder / "limited")

    def limited(words: tuple[str, ...]) -> subprocess.Popen:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            return place.train(*words)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    line = wait(limited((*LONG, "execution.compilation_cache=false"))).refused("File too large")
    expect(not list(place.runs.glob("*/*/result.json")) and not left_over(place.folder), "files were left")
    good(place.train(*LONG))
    return f"no small disk may be mounted here; with files limited to 4 kB: “{_shown(line, folder)}”, then a good run"


def read_only(folder: Path, quick: bool) -> str:
    """A runs folder that cannot be written: by one run, and by a reproduction."""
    with read_only_disk(folder / "disk") as disk:
        place = Place(folder / "place")
        runs = f"runs={disk / 'runs'}"
        line = wait(place.train("experiment=regression_1d", runs)).refused(
            "choose folders that can be written"
        )
        words = ("figure_2", "--profile", "smoke", "--tracking", "none", "--runs", str(disk / "runs"))
        ended = wait(place.start("experiments.reproduce", *words, "--results", str(place.results)))
        ended.refused("choose folders that can be written")
        expect(not place.results.exists(), "results were written")
    return f"one line from train and from reproduce: “{_shown(line, folder)}”"


def no_server(folder: Path, quick: bool) -> str:
    """W&B online with a server that does not answer: a closed local port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"WANDB_BASE_URL": f"http://127.0.0.1:{port}", "WANDB_API_KEY": "0" * 40}
    place = Place(folder / "place", settings)
    begun = time.monotonic()
    ended = good(place.train("experiment=regression_1d", "tracking=wandb", "tracking.mode=online"))
    seconds = time.monotonic() - begun
    expect(list(place.runs.glob("*/*/result.json")), "there is no result")
    warnings = [line for line in ended.lines if "tracking" in line and "goes on without it" in line]
    expect(len(warnings) == 1, f"{len(warnings)} warnings: {ended.errors[-800:]}")
    said = warnings[0].split("UserWarning: ")[-1]
    return f"the run ended well after {seconds:.0f} s, with one warning: “{said[:160]}”"


def bad_checkpoints(folder: Path, quick: bool) -> str:
    """A run killed once it has two checkpoints, the newest then cut short, or with one bit changed."""
    whole, killed = Place(folder / "whole"), Place(folder / "killed")
    good(whole.train(*LONG))
    process = killed.train(*LONG, *OFTEN)
    while len(_checkpoints(killed.runs, past=1000)) < 2:
        expect(process.poll() is None, "the run ended before it could be killed")
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    wait(process)
    steps = []
    for name, damage in (("cut", _cut), ("flipped", _flip)):
        place = Place(folder / name, {"RWF_CACHE": str(killed.cache)})
        shutil.copytree(killed.runs, place.runs)
        *_, before, newest = _checkpoints(place.runs)
        damage(newest)
        ended = good(place.train(*LONG))
        said = [line for line in ended.lines if "checkpoint passed over" in line]
        expect(len(said) == 1 and newest.name in said[0], f"no word of {newest.name}: {ended.errors[-500:]}")
        _compare_runs(whole, place, "regression_1d")
        steps.append(_step(before))
    return (
        "the newest checkpoint cut in half, and with one bit changed: each time a warning that names it, the run went "
        f"on from the one before (step {steps[0]}), to the numbers of an undisturbed run"
    )


def _checkpoints(runs: Path, past: int = 0) -> list[Path]:
    """The checkpoints of the one run there, oldest first, of steps beyond `past`."""
    return [path for path in sorted(runs.glob("*/*/checkpoints/group-*.npz")) if _step(path) > past]


def _step(path: Path) -> int:
    return int(path.stem.split("-")[-1])


def _cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _shown(line: str, folder: Path) -> str:
    """A line without the place where the fault was tried."""
    return line.replace(str(folder), "...")
