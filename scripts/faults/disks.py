"""Faults of disks: full ones, for runs, for the cache and for results, and folders that cannot be written."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

from experiments.files import load_arrays
from scripts.faults.places import (
    LONG,
    OFTEN,
    Place,
    Untried,
    compare_runs,
    expect,
    fill,
    good,
    lasting,
    left_over,
    read_only_disk,
    shown,
    small_disk,
    wait,
)


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
            compare_runs(alone, place, "regression_1d")
    with small_disk(folder / "cache-disk", 64) as disk:
        place = Place(folder / "cached", {"RWF_CACHE": str(disk)})
        lines.append(_out_of_room(place, disk, 4096, lambda: place.train("experiment=diffusion_reaction")))
        for path in disk.glob("*.npz"):
            load_arrays(path)
        compare_runs(alone, place, "diffusion_reaction")
    with small_disk(folder / "results-disk", 4) as disk:
        place = Place(folder / "rendered", {"RWF_CACHE": str(alone.cache)})
        filler = fill(disk, 4096)
        words = ("figure_2", "--profile", "smoke", "--tracking", "none", "--runs", str(place.runs))
        start = ("experiments.reproduce", *words, "--output", str(disk / "output"))
        ended = wait(place.start(*start))
        expect(ended.code == 1 and "Traceback" not in ended.errors, ended.errors[-800:])
        expect("No space left on device" in ended.errors, ended.errors[-800:])
        expect(not left_over(disk), "half-written files were left")
        filler.unlink()
        good(place.start(*start))
        expect(len(lasting(disk / "output")) == 4, "rows are missing")
    return (
        f"a tmpfs with room for none to {max(shares):.0%} of a run's files, one with none for the cache, one with none "
        f"for results: each time one line, such as “{shown(lines[0], folder)}”, no half-written file, and "
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
    return f"no small disk may be mounted here; with files limited to 4 kB: “{shown(line, folder)}”, then a good run"


def read_only(folder: Path, quick: bool) -> str:
    """A runs folder that cannot be written: by one run, and by a reproduction."""
    with read_only_disk(folder / "disk") as disk:
        place = Place(folder / "place")
        runs = f"runs={disk / 'runs'}"
        line = wait(place.train("experiment=regression_1d", runs)).refused(
            "choose folders that can be written"
        )
        words = ("figure_2", "--profile", "smoke", "--tracking", "none", "--runs", str(disk / "runs"))
        ended = wait(place.start("experiments.reproduce", *words, "--output", str(place.output)))
        ended.refused("choose folders that can be written")
        expect(not place.output.exists(), "results were written")
    return f"one line from train and from reproduce: “{shown(line, folder)}”"
