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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from experiments.files import finite, locked, write_text

STATUSES = ("finished", "diverged")
OPTIONAL = ("each", "collapsed")  # of a row: what older ones do not have
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


@dataclass(frozen=True)
class Row:
    """One run: its cell, seed, profile and data, one value per item for each metric, and its provenance.

    `protocol` is the experiment's version when the run was made (`experiments.config.protocols`).
    `metrics` has one entry per name, each with one value per item, None where that item diverged.
    `metric` names the entry that tables read. `each` has for some metrics, for each item, the values for each
    test function or view that the metric is the mean of, None where the item diverged; rows of older runs have
    none. `seconds` is wall-clock time of the training, for runs trained
    in one program an equal share of it; `iterations_per_second` is the speed of one member, None where one
    diverged, as training may have ended early. `commit` and `dirty` are None outside a git checkout.
    `collapsed` says of each item whether its training loss rose again at the end (`training.collapse`); None in
    older rows, of which it is not known.
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
    data: Mapping[str, str | None]
    items: tuple[str, ...]
    metric: str
    metrics: Mapping[str, tuple[float | None, ...]]
    status: str
    steps: int
    seconds: float
    iterations_per_second: float | None
    device: str
    device_name: str
    precision: str
    packages: Mapping[str, str]
    commit: str | None
    dirty: bool | None
    date: str
    each: Mapping[str, tuple[tuple[float | None, ...] | None, ...]] = field(default_factory=dict)
    collapsed: tuple[bool, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "variant", tuple(self.variant))
        object.__setattr__(self, "items", tuple(self.items))
        metrics = {name: tuple(finite(list(values))) for name, values in self.metrics.items()}
        object.__setattr__(self, "metrics", metrics)
        each = {
            name: tuple(None if own is None else tuple(finite(list(own))) for own in items)
            for name, items in self.each.items()
        }
        object.__setattr__(self, "each", each)
        if self.collapsed is not None:
            object.__setattr__(self, "collapsed", tuple(self.collapsed))
        problem = _problem(self)
        if problem:
            raise ValueError(problem)

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
    def stand_in(self) -> str | None:
        """What the data stands in for, None where it is the real data."""
        return self.data["stand_in"]

    def to_json(self) -> dict[str, Any]:
        """The row as plain JSON values, keys in the order of the fields; without what older rows do not know."""
        values = {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self)}
        known = {name for name, value in values.items() if name not in OPTIONAL or value not in (None, {})}
        return finite({name: value for name, value in values.items() if name in known})

    @classmethod
    def from_json(cls, value: object, where: str = "row") -> Row:
        """Build a row from parsed JSON. Raises ValueError, one line naming `where`, on any other shape."""
        if not isinstance(value, Mapping):
            raise ValueError(f"{where}: a row is a JSON object, not {type(value).__name__}")
        names = {entry.name for entry in dataclasses.fields(cls)}
        missing = names - value.keys() - set(OPTIONAL)
        for problem, keys in (("unknown", value.keys() - names), ("missing", missing)):
            if keys:
                raise ValueError(f"{where}: {problem} key {', '.join(sorted(map(str, keys)))}")
        try:
            return cls(**value)
        except (TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{where}: {error}") from error


def _problem(row: Row) -> str | None:
    """What is wrong with a row's values, in words, or None."""
    kinds: dict[str, type | tuple[type, ...]] = {"protocol": int, "seed": int, "steps": int}
    kinds |= {name: str for name in ("id", "experiment", "parameterization", "embedding", "model", "profile")}
    kinds |= {name: str for name in ("metric", "device", "device_name", "precision", "date")}
    for name, kind in kinds.items():
        if not isinstance(getattr(row, name), kind):
            return f"{name} must be {kind.__name__}, not {getattr(row, name)!r}"
    if set(row.data) != {"name", "checksum", "stand_in"}:
        return f"data must have name, checksum and stand_in, not {', '.join(sorted(row.data)) or 'nothing'}"
    if row.status not in STATUSES:
        return f"status must be one of {', '.join(STATUSES)}, not {row.status!r}"
    if row.metric not in row.metrics:
        return f"metric {row.metric!r} is not among the metrics ({', '.join(row.metrics) or 'none'})"
    for name, values in row.metrics.items():
        if len(values) != len(row.items):
            return f"metric {name} has {len(values)} values for {len(row.items)} items"
    for name, items in row.each.items():
        if name not in row.metrics:
            return f"each has {name!r}, which is not among the metrics ({', '.join(row.metrics)})"
        if len(items) != len(row.items):
            return f"each {name} has {len(items)} lists for {len(row.items)} items"
    if row.collapsed is not None and len(row.collapsed) != len(row.items):
        return f"collapsed has {len(row.collapsed)} values for {len(row.items)} items"
    return None


def read_results(results: Path) -> list[Row]:
    """All rows of a results folder, in the order of files and lines. An absent folder has none."""
    rows = []
    for path in sorted(Path(results).glob("*/rows/*.jsonl")):
        rows.extend(read_rows(path))
    return rows


def read_rows(path: Path) -> list[Row]:
    rows = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if line.strip():
            rows.append(Row.from_json(_parse(line, f"{path}:{number}"), f"{path}:{number}"))
    return rows


def read_runs(runs: Path) -> list[Row]:
    """All rows of a runs folder. An absent folder, or a run without a result, has none."""
    return [row for path in sorted(Path(runs).glob("*/*/result.json")) for row in read_result(path)]


def read_result(path: Path) -> list[Row]:
    """The rows of one run's `result.json`."""
    value = _parse(_text(path), str(path))
    if not isinstance(value, Mapping) or set(value) != {"rows"} or not isinstance(value["rows"], list):
        raise ValueError(f'{path}: expected an object {{"rows": [...]}}')
    return [Row.from_json(row, f"{path}: row {number}") for number, row in enumerate(value["rows"], start=1)]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not text in UTF-8 ({error.reason})") from error


def _parse(text: str, where: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not valid JSON ({error.msg})") from error


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
