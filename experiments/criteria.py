"""What differences and runs are judged by: confidence level, margins of equivalence, collapses (configs/paper)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

FILE = Path(__file__).resolve().parents[1] / "configs" / "paper" / "criteria.yaml"


@dataclass(frozen=True)
class Criteria:
    """`margins`: by what is compared, a difference in dB or the ratio of an error; `collapse`: a ratio of losses."""

    level: float
    margins: Mapping[str, float]
    collapse: float

    def __post_init__(self) -> None:
        if not 0.5 < self.level < 1:
            raise ValueError(f"{FILE.name}: level must lie between 0.5 and 1, not {self.level}")
        if self.collapse <= 1 or not all(margin > 0 for margin in self.margins.values()):
            raise ValueError(f"{FILE.name}: collapse must be above 1, margins above 0")


def read(path: Path = FILE) -> Criteria:
    """The criteria of a file. Raises ValueError naming it where a key is wrong."""
    try:
        return Criteria(**yaml.safe_load(path.read_text(encoding="utf-8")))
    except TypeError as error:
        raise ValueError(f"{path}: {error}") from error


CRITERIA = read()
