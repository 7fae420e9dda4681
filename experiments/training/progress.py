"""What a person sees while a run goes on: a bar in a terminal, nothing elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from tqdm import tqdm


@dataclass(frozen=True)
class Progress:
    """What the trainer says after each call to the device: where it is, and what it recorded there."""

    step: int  # done of this group's `steps`
    steps: int
    group: int  # of `groups`, counted from 0
    groups: int
    entries: Sequence[Mapping[str, Any]] = ()  # of the history, one a member; none between two records
    kept: Sequence[Progress] = ()  # at the first call after an interruption: the records from before it
    predictions: Callable[[], Mapping[str, np.ndarray]] | None = None
    """At an evaluation on the way: what the first member of the run predicts, to be asked for before the next step."""

    @property
    def done(self) -> int:
        """Steps done, counted over all groups."""
        return self.group * self.steps + self.step

    @property
    def total(self) -> int:
        """Steps of all groups."""
        return self.groups * self.steps


Listener = Callable[[Progress], None]


def shown(value: float) -> str:
    """A loss or metric in a few characters."""
    return f"{value:.3g}" if math.isfinite(value) else "diverged"


class Bar:
    """A tqdm bar over all steps of a run: steps, rate, time left, mean loss, the metric. Quiet without a terminal."""

    def __init__(self, label: str, metric: str) -> None:
        self.label, self.metric = label, metric
        self.bar: tqdm | None = None
        self.last: dict[str, str] = {}

    def __call__(self, news: Progress) -> None:
        """Take what the trainer says after each call to the device."""
        if self.bar is None:
            self.bar = tqdm(total=news.total, desc=self.label, unit="step", disable=None, smoothing=0.1)
            self.bar.initial = self.bar.n = self.bar.last_print_n = news.done
            return
        self.last |= summary(news.entries, self.metric)
        if news.groups > 1:
            self.last["group"] = f"{news.group + 1}/{news.groups}"
        self.bar.set_postfix(self.last, refresh=False)
        self.bar.update(news.done - self.bar.n)

    def close(self) -> None:
        """End the line of the bar."""
        if self.bar is not None:
            self.bar.close()


def summary(entries: Sequence[Mapping[str, Any]], metric: str) -> dict[str, str]:
    """Means over members of the loss and the test metric, where the entries have them."""
    return {
        name: shown(fmean(entry[name] for entry in entries))
        for name in ("loss", metric)
        if entries and name in entries[0]
    }
