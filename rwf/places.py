"""Where a layer stands in its network, as far as its name says: first, hidden or last of a sequence."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from rwf.typing import Path


@dataclass(frozen=True)
class Place:
    """A layer's index in its sequence, and how many layers that has. One on its own is the first of one."""

    index: int
    count: int

    @property
    def is_first(self) -> bool:
        """Whether it takes the network's input, or that of a part such as a branch or an encoder."""
        return self.index == 0

    @property
    def is_last(self) -> bool:
        """Whether it makes the output; a layer on its own does not."""
        return 0 < self.index == self.count - 1

    @property
    def is_hidden(self) -> bool:
        """Whether it stands between others."""
        return not self.is_first and not self.is_last


def places(paths: Iterable[Path]) -> dict[Path, Place]:
    """The place of the layer at each path among those that differ in the last number of their names alone.

    ("layers", 0) and ("layers", 1) are a sequence, and so are ("Dense_0",) and ("Dense_1",) of Linen, or
    ("linear",) and ("linear_1",) of Haiku. Other names say nothing of an order: each is one of its own.

    >>> found = places([("layers", 2), ("layers", 0), ("layers", 1), ("encoder",)])
    >>> [path for path, place in found.items() if place.is_hidden], found["encoder",]
    ([('layers', 1)], Place(index=0, count=1))
    """
    sequences: dict[Path, list[tuple[int, Path]]] = defaultdict(list)
    for path in paths:
        stem, number = _numbered(path)
        sequences[stem].append((number, path))
    return {
        path: Place(index, len(sequence))
        for sequence in sequences.values()
        for index, (_, path) in enumerate(sorted(sequence, key=lambda entry: entry[0]))
    }


def _numbered(path: Path) -> tuple[Path, int]:
    """A path without the last number in its last name, and that number; 0 where there is none."""
    *above, last = path or ("",)
    text = str(last)
    name = re.sub(r"_?\d*$", "", text)
    return (*above, name), int(re.sub(r".*?(\d*)$", r"\1", text, flags=re.DOTALL) or 0)
