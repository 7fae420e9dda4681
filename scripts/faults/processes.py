"""Faults of processes: kills, two at once, a silent server, damaged checkpoints."""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from scripts.faults.places import (
    LONG,
    OFTEN,
    Broken,
    Place,
    compare_runs,
    end,
    expect,
    good,
    same_results,
    wait,
)

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
        compare_runs(whole, place, "regression_1d")
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
