"""What is carried: runs, rows, the data cache and compiled programs, and the names they have in an archive.

An archive is a compressed tar with `runs/EXPERIMENT/ID/...`, `rows/PROFILE/EXPERIMENT.jsonl`, `cache/...` and
`programs/...`. A run goes with its result, history, configuration, predictions and weights, and with the checkpoints
of what is not finished; what a tracker keeps beside it, and locks, stay.
"""

from __future__ import annotations

import fnmatch
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from filelock import Timeout

from experiments.carrying.parts import ArchiveError
from experiments.files import locked

KINDS = ("runs", "rows", "cache", "programs")
PROGRAMS = "xla"  # the folder of the cache that compiled programs lie in
OWN = (
    PROGRAMS,
    "configs",
)  # folders of the cache that are no data; the second is of this checkout's place alone
STAYS = ("wandb",)  # folders of a run that a tracker keeps
LEAVABLE = ("predictions", "weights", "unfinished")


@dataclass(frozen=True)
class Places:
    """The folders on this machine that things are carried from, or to."""

    runs: Path
    output: Path
    cache: Path


@dataclass(frozen=True)
class Selection:
    """Which things go: of the runs those that fit a pattern EXPERIMENT[/ID], without some of their files."""

    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()  # of LEAVABLE
    cache: bool = False
    programs: bool = False

    def wants(self, experiment: str, run: str = "") -> bool:
        """Whether a run, or the rows of an experiment, go."""
        if not run:
            return not self.only or any(fnmatch.fnmatch(experiment, p.split("/")[0]) for p in self.only)
        names = (experiment, f"{experiment}/{run}")
        return not self.only or any(fnmatch.fnmatch(name, p) for name in names for p in self.only)


@dataclass
class Packed:
    """What went into an archive: files and bytes of each kind, runs by whether they were finished."""

    files: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    finished: int = 0
    unfinished: int = 0
    busy: list[str] = field(default_factory=list)  # left out: being trained by another process


def pack(tar: tarfile.TarFile, places: Places, selection: Selection) -> Packed:
    """Add what is selected to `tar`, which follows links; a run that another process trains now is left out."""
    packed = Packed()

    def add(path: Path, name: str) -> None:
        tar.add(path, name, recursive=False, filter=_plain)
        packed.files[name.split("/")[0]] += 1
        packed.bytes[name.split("/")[0]] += path.stat().st_size

    for folder in sorted(path.parent for path in places.runs.glob("*/*/config.yaml")):
        if selection.wants(folder.parent.name, folder.name):
            _pack_run(folder, selection, packed, add)
    for path in sorted(places.output.glob("*/rows/*.jsonl")):
        if selection.wants(path.stem):
            add(path, f"rows/{path.parent.parent.name}/{path.name}")
    for kind, wanted in (("cache", selection.cache), ("programs", selection.programs)):
        root = root_of(kind, places)
        for path in files_in(root) if wanted else ():
            relative = path.relative_to(root)
            if kind == "programs" or (relative.parts[0] not in OWN and path.suffix != ".lock"):
                add(path, f"{kind}/{relative.as_posix()}")
    return packed


def _pack_run(folder: Path, selection: Selection, packed: Packed, add: Callable[[Path, str], None]) -> None:
    name = f"{folder.parent.name}/{folder.name}"
    if "unfinished" in selection.without and not (folder / "result.json").exists():
        return
    with ExitStack() as held:
        try:
            held.enter_context(locked(folder / ".lock", timeout=0))
        except Timeout:
            packed.busy.append(name)
            return
        finished = (folder / "result.json").exists()
        packed.finished += finished
        packed.unfinished += not finished
        for path in files_in(folder):
            if path.name.split(".")[0].split("-")[0] not in selection.without:
                add(path, f"runs/{name}/{path.relative_to(folder).as_posix()}")


def files_in(folder: Path) -> Iterator[Path]:
    """The files below `folder` that are carried, in the order of their names."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and is_carried(path.relative_to(folder)):
            yield path


def is_carried(path: Path) -> bool:
    """Whether a file or folder goes, by its path within its run or cache."""
    return path.parts[0] not in STAYS and not any(part.startswith(".") for part in path.parts)


def root_of(kind: str, places: Places) -> Path:
    """The folder that the names of a kind are below."""
    return {
        "runs": places.runs,
        "rows": places.output,
        "cache": places.cache,
        "programs": places.cache / PROGRAMS,
    }[kind]


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """An entry without what belongs to this machine: owner and rights."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o644
    return info


def checked(tar: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    """The entries of an archive by their names. Raises ArchiveError where one may not be unpacked."""
    found: dict[str, tarfile.TarInfo] = {}
    try:
        for info in tar:
            if not info.isreg() or not _allowed(info.name):
                raise ArchiveError(
                    f"{info.name!r} is nothing that `experiments.carry pack` packs: not unpacked"
                )
            found[info.name] = info
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ArchiveError(f"it holds no archive that can be read ({error})") from error
    return found


def _allowed(name: str) -> bool:
    parts = PurePosixPath(name).parts
    plain = all(part not in ("", ".", "..") and not part.startswith(".") for part in name.split("/"))
    depth: dict[str, Sequence[int]] = {
        "runs": (4, 5),
        "rows": (3,),
        "cache": range(2, 8),
        "programs": range(2, 8),
    }
    safe = plain and "\\" not in name and "\0" not in name and ":" not in name
    return safe and len(parts) > 0 and parts[0] in KINDS and len(parts) in depth[parts[0]]
