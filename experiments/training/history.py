"""The history of a run: one line per member and record, in a file that survives being cut off."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from experiments.files import finite, naming, write_text
from experiments.training.members import Member


class History:
    """history.jsonl: one line per member and record, cut back to the last checkpoint on resuming."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = path.read_text().splitlines() if path.exists() else []
        if self.lines and not self.lines[-1].endswith("}"):  # cut off in the middle of a write
            self.lines.pop()

    def rewind(self, count: int) -> None:
        """Keep the first `count` lines."""
        self.lines = self.lines[:count]
        write_text(self.path, "".join(line + "\n" for line in self.lines))

    def entries(self) -> Iterator[dict[str, Any]]:
        """The lines, read."""
        return map(json.loads, self.lines)

    def records(self, names: Sequence[str], finished: Sequence[Sequence[Member]]) -> list[dict[str, Any]]:
        """The lines put together again: `group`, `step` and `entries` of each record.

        `finished` are the members of the groups that ended; lines of other members are of the one after these.
        """
        groups = {(m.seed, names[m.item]): n for n, members in enumerate(finished) for m in members}

        def place(entry: dict[str, Any]) -> tuple[int, int]:
            return groups.get((entry["seed"], entry["item"]), len(finished)), entry["step"]

        each = itertools.groupby(self.entries(), key=place)
        return [{"group": group, "step": step, "entries": list(found)} for (group, step), found in each]

    def add(self, entries: list[dict[str, Any]]) -> None:
        """Append one line per entry and hand them to the operating system."""
        new = [json.dumps(finite(entry), allow_nan=False) for entry in entries]
        self.lines += new
        with naming(self.path), self.path.open("a") as file:
            file.writelines(line + "\n" for line in new)


def read_history(folder: Path) -> Iterator[dict[str, Any]]:
    """The entries of the history of the run in `folder`, in order."""
    with (folder / "history.jsonl").open() as file:
        yield from map(json.loads, file)
