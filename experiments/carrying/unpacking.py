"""Unpacking: first all is read and compared with what is here, then new files are written aside, then put in place.

What is here is kept unless the archive is ahead of it: a run that is finished there and not here, or has come
further. Two finished runs with different numbers are a conflict, which stays as it is here or is replaced on demand.
"""

from __future__ import annotations

import dataclasses
import shutil
import tarfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from filelock import Timeout

from experiments.carrying import contents
from experiments.carrying.contents import Places
from experiments.carrying.parts import ArchiveError
from experiments.files import locked, write_atomically
from experiments.records import Result, Row, add_rows, read_rows
from experiments.training.checkpoints import reached
from experiments.validation import parsed

STAGE = ".carry"  # in the folder of runs: what is not in place yet
Standing = Literal["new", "ahead", "same", "behind", "different"]
"""How a run of an archive stands to the one here: absent here, further there, equal, further here, in conflict."""
MACHINE = (
    "seconds",
    "iterations_per_second",
    "device",
    "device_name",
    "packages",
    "commit",
    "dirty",
    "date",
    "together",
)
"""Fields of a row that say where and when it was made, not what came of it."""


@dataclass(frozen=True)
class State:
    """How far a run is: its result as text, None where it is not finished, and the group and step it has reached."""

    result: str | None
    reached: tuple[int, int]
    names: frozenset[str]  # of its files

    def __str__(self) -> str:
        group, step = self.reached
        return "finished" if self.result is not None else f"at step {step} of group {group + 1}"


@dataclass(frozen=True)
class Arriving:
    """A run of an archive: its name, its entries by their path within the run, and how it stands to the one here."""

    name: str  # EXPERIMENT/ID
    entries: Mapping[str, tarfile.TarInfo]
    there: State
    here: State | None
    standing: Standing


@dataclass
class Unpacked:
    """What an archive holds and what becomes of it here."""

    runs: list[Arriving]
    replace: bool
    rows: list[Row] = field(default_factory=list)  # to be added
    rows_same: int = 0
    rows_kept: list[Row] = field(default_factory=list)  # which differ from those here
    kept_files: dict[str, tarfile.TarInfo] = field(default_factory=dict)  # of caches, to be added
    cached_before: int = 0
    busy: list[str] = field(default_factory=list)

    def taken(self) -> Iterator[Arriving]:
        """The runs that are put in place."""
        wanted = {"new", "ahead"} | ({"different"} if self.replace else set())
        return (run for run in self.runs if run.standing in wanted)

    def counts(self) -> Counter[Standing]:
        """Runs by how they stand."""
        return Counter(run.standing for run in self.runs)

    @property
    def conflicts(self) -> bool:
        """Whether something of the archive was left that somebody has to decide about."""
        different = any(run.standing == "different" for run in self.runs)
        return bool(self.busy) or (not self.replace and (different or bool(self.rows_kept)))


def compare(archive: IO[bytes], places: Places, replace: bool) -> Unpacked:
    """What would become of each thing in `archive`, a compressed tar; nothing is written.

    Raises ArchiveError, one line, where an entry may not be unpacked or cannot be read.
    """
    with opened(archive) as tar:
        entries = contents.checked(tar)
        found = Unpacked([], replace)
        by_run: dict[str, dict[str, tarfile.TarInfo]] = defaultdict(dict)
        for name, info in entries.items():
            kind, *rest = PurePosixPath(name).parts
            if kind == "runs":
                by_run["/".join(rest[:2])]["/".join(rest[2:])] = info
            elif kind == "rows":
                _compare_rows(_text(tar, info), places.output / Path(*_inside(name)), found)
            elif (contents.root_of(kind, places) / Path(*rest)).exists():
                found.cached_before += 1
            else:
                found.kept_files[name] = info
        for name, own in by_run.items():
            found.runs.append(_arriving(tar, name, own, places))
        return found


def carry_in(archive: IO[bytes], places: Places, plan: Unpacked) -> None:
    """Do what `plan` says. Where there is no room for it, or it is interrupted, runs are left as they were."""
    with opened(archive) as tar:
        if runs := list(plan.taken()):
            with _stage(places.runs) as stage:
                for run in runs:
                    for path, info in run.entries.items():
                        _extract(tar, info, stage / "new" / run.name / path)
                for run in runs:
                    _put_in_place(stage, places.runs, run, plan.busy)
        for run in plan.runs:
            if run.standing == "same" and run.here is not None and run.here.result == run.there.result:
                for path in sorted(set(run.entries) - run.here.names):  # left out the first time
                    if run.there.result is not None:
                        _extract(tar, run.entries[path], places.runs / run.name / path)
        add_rows(places.output, plan.rows + (plan.rows_kept if plan.replace else []))
        for name, info in plan.kept_files.items():
            kind, *rest = PurePosixPath(name).parts
            _extract(tar, info, contents.root_of(kind, places) / Path(*rest))


@contextmanager
def opened(archive: IO[bytes]) -> Iterator[tarfile.TarFile]:
    """A compressed tar. Raises ArchiveError where it is none."""
    archive.seek(0)
    try:
        with tarfile.open(fileobj=archive, mode="r:gz") as tar:
            yield tar
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ArchiveError(f"it holds no archive that can be read ({error})") from error


def state_of(folder: Path) -> State | None:
    """How far the run in `folder` is; None where there is none."""
    if not (folder / "config.yaml").exists():
        return None
    result = folder / "result.json"
    names = frozenset(path.relative_to(folder).as_posix() for path in contents.files_in(folder))
    return State(result.read_text(encoding="utf-8") if result.exists() else None, _reached(names), names)


def standing(there: State, here: State | None, name: str) -> Standing:
    """How a run of an archive stands to the one here. Raises ValueError where a result cannot be read."""
    if here is None:
        return "new"
    if there.result is not None and here.result is not None:
        return "same" if _numbers(there.result, name) == _numbers(here.result, name) else "different"
    if there.result is not None or here.result is not None:
        return "ahead" if there.result is not None else "behind"
    if there.reached == here.reached:
        return "same"
    return "ahead" if there.reached > here.reached else "behind"


def _arriving(
    tar: tarfile.TarFile, name: str, entries: Mapping[str, tarfile.TarInfo], places: Places
) -> Arriving:
    if "config.yaml" not in entries:
        raise ArchiveError(f"runs/{name} has no config.yaml: pack it again")
    result = _text(tar, entries["result.json"]) if "result.json" in entries else None
    there, here = State(result, _reached(entries), frozenset(entries)), state_of(places.runs / name)
    if result is not None and any(row.id != name.split("/")[1] for row in _rows(result, name)):
        raise ArchiveError(f"runs/{name}: its result is of another run: pack it again")
    return Arriving(name, entries, there, here, standing(there, here, name))


def _compare_rows(text: str, path: Path, found: Unpacked) -> None:
    here = {(row.id, row.seed): row for row in (read_rows(path) if path.exists() else [])}
    for number, line in enumerate(text.splitlines(), start=1):
        row = parsed(Row, line, f"{path.name}:{number} of the archive")
        known = here.get((row.id, row.seed))
        if known is None:
            found.rows.append(row)
        elif _without_machine(row) == _without_machine(known):
            found.rows_same += 1
        else:
            found.rows_kept.append(row)


def _inside(name: str) -> tuple[str, ...]:
    """Where the rows of an archive's entry lie below an output folder."""
    _, profile, file = PurePosixPath(name).parts
    return profile, "rows", file


def _reached(names: Iterable[str]) -> tuple[int, int]:
    return reached(name.removeprefix("checkpoints/") for name in names)


def _rows(result: str, name: str) -> list[Row]:
    return parsed(Result, result, f"result.json of {name}")["rows"]


def _numbers(result: str, name: str) -> list[dict]:
    return [_without_machine(row) for row in _rows(result, name)]


def _without_machine(row: Row) -> dict:
    return {key: value for key, value in dataclasses.asdict(row).items() if key not in MACHINE}


def _text(tar: tarfile.TarFile, info: tarfile.TarInfo) -> str:
    try:
        return tar.extractfile(info).read().decode("utf-8")
    except (UnicodeDecodeError, OSError, EOFError, tarfile.TarError) as error:
        raise ArchiveError(f"{info.name} cannot be read: {error}") from error


def _extract(tar: tarfile.TarFile, info: tarfile.TarInfo, path: Path) -> None:
    content = tar.extractfile(info)
    assert content is not None  # a regular file, as `contents.checked` has seen
    write_atomically(path, lambda file: shutil.copyfileobj(content, file))


@contextmanager
def _stage(runs: Path) -> Iterator[Path]:
    """An empty folder beside the runs, for one process at a time, removed at the end."""
    stage = runs / STAGE
    try:
        with locked(runs / f"{STAGE}.lock", timeout=0):
            shutil.rmtree(stage, ignore_errors=True)  # of a process that was killed
            try:
                yield stage
            finally:
                shutil.rmtree(stage, ignore_errors=True)
    except Timeout as error:
        raise ArchiveError(
            f"another process unpacks into {runs}: repeat the command when it has ended"
        ) from error


def _put_in_place(stage: Path, runs: Path, run: Arriving, busy: list[str]) -> None:
    """Move a run's new folder to its place; what another process trains, or has changed by now, is left."""
    new, place = stage / "new" / run.name, runs / run.name
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        new.rename(place)
        return
    try:
        with locked(place / ".lock", timeout=0):
            if state_of(place) != run.here:
                busy.append(run.name)
                return
            for path in list(place.iterdir()):  # what is not carried stays: the lock, a tracker's files
                if not contents.is_carried(path.relative_to(place)):
                    path.rename(new / path.name)
            old = stage / "old" / run.name
            old.parent.mkdir(parents=True, exist_ok=True)
            place.rename(old)
            new.rename(place)
    except Timeout:
        busy.append(run.name)


def described(plan: Unpacked) -> list[str]:
    """What becomes of an archive's things, in lines; those on what is not taken come last."""
    lines, counts = [], plan.counts()
    if plan.runs:
        words = {
            "new": "new",
            "ahead": "further than here",
            "same": "the same here",
            "behind": "further here",
        }
        parts = [f"{counts[key]} {text}" for key, text in words.items() if counts[key]]
        taken = "replaced" if plan.replace else "kept"
        parts += [f"{counts['different']} different, {taken}"] if counts["different"] else []
        lines.append(f"runs: {', '.join(parts)}")
    if plan.rows or plan.rows_same or plan.rows_kept:
        differing = f", {len(plan.rows_kept)} different, {'replaced' if plan.replace else 'kept'}"
        lines.append(
            f"rows: {len(plan.rows)} new, {plan.rows_same} the same here{differing if plan.rows_kept else ''}"
        )
    if plan.kept_files or plan.cached_before:
        lines.append(
            f"cache and programs: {len(plan.kept_files)} files new, {plan.cached_before} here before"
        )
    for run in plan.runs:
        if run.standing == "behind":
            lines.append(f"kept: {run.name} is {run.here} here, {run.there} in the archive")
        elif run.standing == "ahead" or (run.standing == "different" and plan.replace):
            lines.append(f"replaced: {run.name}, {run.here} here, {run.there} in the archive")
        elif run.standing == "different":
            lines.append(
                f"kept: {run.name} is finished with other numbers here: --replace takes the archive's"
            )
    for row in [] if plan.replace else plan.rows_kept:
        lines.append(
            f"kept: the row of {row.id}, seed {row.seed}, differs here: --replace takes the archive's"
        )
    return lines
