"""Result rows: what one finished run states about itself, where rows are kept, and how they are added.

A results folder holds `<profile>/rows/<experiment>.jsonl`, one JSON object a line, one line for each
(id, seed); a runs folder holds `<experiment>/<id>/result.json` with `{"rows": [...]}`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge
from pydantic import AfterValidator, with_config
from pydantic.dataclasses import dataclass as validated_dataclass
from typing_extensions import TypedDict

from experiments.files import finite, locked, write_text
from experiments.validation import FILE, parsed, validated

THEN = ", then "  # between the devices of a run that moved
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")


@dataclass(frozen=True, order=True)
class Cell:
    """What a row of results is about: one experiment in one configuration, seeds and items apart.

    `variant` are the "key=value" settings that differ from the named experiment; it is kept sorted and
    whole numbers are written without a decimal point, so that equal cells compare equal.

    >>> Cell("image_natural", "plain", "none", "siren", ("model.omega_0=10.0",)).variant
    ('model.omega_0=10',)
    """

    experiment: str
    parameterization: str
    embedding: str
    model: str
    variant: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "variant", tuple(sorted(_canonical(setting) for setting in self.variant)))

    @property
    def overrides(self) -> list[str]:
        """The command-line words that select this cell in `experiments.train`."""
        groups = {
            name: getattr(self, name) for name in ("experiment", "parameterization", "embedding", "model")
        }
        return [f"{name}={value}" for name, value in groups.items()] + list(self.variant)


def _canonical(setting: str) -> str:
    key, separator, value = setting.partition("=")
    if not (key and separator):
        raise ValueError(f"a variant is written key=value, not {setting!r}")
    try:
        number = float(value)
    except ValueError:
        return setting
    whole = number.is_integer() and abs(number) < 1e15
    return f"{key}={int(number) if whole else repr(number)}"


@with_config(FILE)
class DataSource(TypedDict):
    """What a run was trained on, as its row states it; the fields are those of `task.Source`."""

    checksum: str
    name: str
    stand_in: str | None


Measured = Annotated[float | None, AfterValidator(finite)]
"""A number, or None in place of one that is not finite."""


@validated_dataclass(frozen=True, config=FILE)
class Row:
    """One run: its cell, seed, profile and data, one value per item for each metric, and its provenance.

    `protocol` is the experiment's version when the run was made (`experiments.config.protocols`).
    `metrics` has one entry per name, each with one value per item, None where that item diverged.
    `metric` names the entry that tables read. `each` has for some metrics, for each item, the values for each
    test function or view that the metric is the mean of, None where the item diverged; rows of older runs have
    none. `seconds` is wall-clock time of the training, for runs trained in one program an equal share of it;
    `iterations_per_second` is the speed of one member, None where a member of the run diverged, as training may have
    ended early, or where it went on on another device: `device_name` then names all, in their order, and `device` is
    the last one's kind. `commit` and `dirty` are None outside a git checkout.
    `together` counts the runs that were one program, whose speeds cannot be told apart.
    `collapsed` says of each item whether its training loss rose again at the end (`training.collapse`); None in
    older rows, of which it is not known.
    A field with a default is left out of files where it has it, so that older rows keep their bytes.
    """

    id: str
    protocol: int
    experiment: str
    parameterization: str
    embedding: str
    model: str
    variant: tuple[str, ...]
    seed: int
    profile: str
    reduced: str | None
    data: DataSource
    items: tuple[str, ...]
    metric: str
    metrics: dict[str, tuple[Measured, ...]]
    status: Literal["finished", "diverged"]
    steps: int
    seconds: float
    iterations_per_second: float | None
    device: str
    device_name: str
    precision: str
    packages: dict[str, str]
    commit: str | None
    dirty: bool | None
    date: str
    each: dict[str, tuple[tuple[Measured, ...] | None, ...]] = field(default_factory=dict)
    collapsed: tuple[bool, ...] | None = None
    together: Annotated[int, Ge(1)] = 1

    def __post_init__(self) -> None:
        if self.metric not in self.metrics:
            raise ValueError(
                f"metric {self.metric!r} is not among the metrics ({', '.join(self.metrics) or 'none'})"
            )
        for name, values in self.metrics.items():
            if len(values) != len(self.items):
                raise ValueError(f"metric {name} has {len(values)} values for {len(self.items)} items")
        for name, lists in self.each.items():
            if name not in self.metrics:
                raise ValueError(
                    f"each has {name!r}, which is not among the metrics ({', '.join(self.metrics)})"
                )
            if len(lists) != len(self.items):
                raise ValueError(f"each {name} has {len(lists)} lists for {len(self.items)} items")
        if self.collapsed is not None and len(self.collapsed) != len(self.items):
            raise ValueError(f"collapsed has {len(self.collapsed)} values for {len(self.items)} items")

    @property
    def cell(self) -> Cell:
        """The cell that the row measures; the precision it was measured at is no part of it, as the device is none."""
        settings = tuple(word for word in self.variant if not word.startswith("trainer.precision="))
        return Cell(self.experiment, self.parameterization, self.embedding, self.model, settings)

    @property
    def exact_cell(self) -> Cell:
        """The cell with the precision, where it was set."""
        return Cell(self.experiment, self.parameterization, self.embedding, self.model, self.variant)

    @property
    def moved(self) -> bool:
        """Whether training went on on another device: `seconds` are then no cost of either."""
        return THEN in self.device_name

    @property
    def stand_in(self) -> str | None:
        """What the data stands in for, None where it is the real data."""
        return self.data["stand_in"]

    def to_json(self) -> dict[str, Any]:
        """The row as plain JSON values, keys in the order of the fields."""
        kept = (entry for entry in dataclasses.fields(self) if getattr(self, entry.name) != _default(entry))
        return finite({entry.name: getattr(self, entry.name) for entry in kept})

    @classmethod
    def from_json(cls, value: object, where: str = "row") -> Row:
        """Build a row from parsed JSON. Raises ValueError, one line naming `where`, on any other shape."""
        return validated(cls, value, where)


def _default(entry: dataclasses.Field) -> Any:
    """What a field is where it is not given; MISSING, which equals nothing, where it must be."""
    return entry.default if entry.default_factory is dataclasses.MISSING else entry.default_factory()


@with_config(FILE)
class Result(TypedDict):
    """The content of a run's result.json."""

    rows: list[Row]


def read_results(results: Path) -> list[Row]:
    """All rows of a results folder, in the order of files and lines. An absent folder has none."""
    rows = []
    for path in sorted(Path(results).glob("*/rows/*.jsonl")):
        rows.extend(read_rows(path))
    return rows


def read_rows(path: Path) -> list[Row]:
    lines = enumerate(_text(path).split("\n"), start=1)
    return [parsed(Row, line, f"{path}:{number}") for number, line in lines if line.strip()]


def read_runs(runs: Path) -> list[Row]:
    """All rows of a runs folder. An absent folder, or a run without a result, has none."""
    return [row for path in sorted(Path(runs).glob("*/*/result.json")) for row in read_result(path)]


def read_result(path: Path) -> list[Row]:
    """The rows of one run's `result.json`."""
    return parsed(Result, _text(path), str(path))["rows"]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not text in UTF-8 ({error.reason})") from error


def add_rows(results: Path, rows: Iterable[Row]) -> list[Path]:
    """Add rows to a results folder; return the files that hold them.

    A row replaces the one of the same id and seed, and is appended where there is none. Each file is
    read, changed and replaced under a lock, so that processes adding at once lose nothing and a
    reader never sees a part.
    """
    by_file: dict[Path, list[Row]] = defaultdict(list)
    for row in rows:
        by_file[Path(results) / row.profile / "rows" / f"{row.experiment}.jsonl"].append(row)
    for path, new in by_file.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(f".{path.name}.lock")):
            kept = {(row.id, row.seed): row for row in (read_rows(path) if path.exists() else [])}
            kept.update({(row.id, row.seed): row for row in new})
            write_text(path, "".join(row_line(row) for row in kept.values()))
    return sorted(by_file)


def row_line(row: Row) -> str:
    return json.dumps(row.to_json(), allow_nan=False, ensure_ascii=False) + "\n"


def provenance() -> dict[str, Any]:
    """Device, package versions, git commit and date of now, under the names that `Row` has for them."""
    import jax  # late: reading rows and drawing tables must not start a device

    device = jax.devices()[0]
    commit, dirty = git_state(Path(__file__).resolve().parent.parent)
    return {
        "device": device.platform,
        "device_name": _processor() if device.platform == "cpu" else device.device_kind,
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "commit": commit,
        "dirty": dirty,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def git_state(root: Path) -> tuple[str | None, bool | None]:
    """Short commit of the checkout at `root`, and whether tracked files outside results/ differ from it.

    (None, None) where git is absent or `root` is not itself the top of a checkout: a copy that lies
    in some other repository must not claim that one's commit.
    """
    top = _git(root, "rev-parse", "--show-toplevel")
    commit = _git(root, "rev-parse", "--short", "HEAD")
    if top is None or commit is None or Path(top).resolve() != root.resolve():
        return None, None
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")
    return commit, bool(changed)


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's name and the number of cores this process may use."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{name}, {cores} core{'' if cores == 1 else 's'}"


def newest_per_seed(rows: Sequence[Row]) -> list[Row]:
    """Of rows of one cell, the newest for each seed, ordered by seed."""
    best: dict[int, Row] = {}
    for row in rows:
        if row.seed not in best or row.date >= best[row.seed].date:
            best[row.seed] = row
    return [best[seed] for seed in sorted(best)]
