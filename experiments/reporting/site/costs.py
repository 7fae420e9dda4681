"""What runs cost: steps, seconds and rate of each configuration, by profile and device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from experiments.records import Row
from experiments.reporting.metrics import PARAMETERIZATIONS
from experiments.reporting.provenance import Link, hint, link, mapping, page_of
from experiments.reporting.selection import seconds_a_seed


@dataclass(frozen=True)
class Cost:
    """One configuration on one device: medians over its rows, the rate by parameterization with its rows.

    `seconds` are those of one seed.
    """

    experiment: str
    setting: str
    profile: str
    device: str
    steps: int
    runs: int
    seconds: float
    link: Link | None
    rates: Sequence[tuple[str, Link | None]]


def costs(rows: Iterable[Row]) -> list[Cost]:
    """The costs of the experiments' own configurations, without variants, in the order of their names."""
    found: dict[tuple, list[Row]] = defaultdict(list)
    for row in rows:
        if not row.variant:
            setting = f"{mapping(row.embedding)}, {row.model}"
            found[row.experiment, setting, row.profile, row.steps, row.device_name].append(row)
    return [_cost(*key, group) for key, group in sorted(found.items())]


def _cost(experiment: str, setting: str, profile: str, steps: int, device: str, rows: list[Row]) -> Cost:
    rates = []
    for name in PARAMETERIZATIONS:
        timed = [row for row in rows if row.parameterization == name and row.iterations_per_second]
        rate = median(row.iterations_per_second for row in timed) if timed else None
        rates.append(("pending" if rate is None else f"{rate:,.4g}", link(timed)))
    seconds = median(seconds_a_seed(rows))
    every = Link(page_of(experiment), "\n".join(hint(row) for row in rows))
    return Cost(experiment, setting, profile, device, steps, len(rows), seconds, every, rates)
