"""What a person sees while a run goes on: a bar in a terminal, nothing elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from tqdm import tqdm


def shown(value: float) -> str:
    """A loss or metric in a few characters."""
    return f"{value:.3g}" if math.isfinite(value) else "diverged"


class Bar:
    """A tqdm bar over all steps of a run: steps, rate, time left, mean loss, the metric. Quiet without a terminal."""

    def __init__(self, label: str, metric: str) -> None:
        self.label, self.metric = label, metric
        self.bar: tqdm | None = None
        self.last: dict[str, str] = {}

    def __call__(self, news: Mapping[str, Any]) -> None:
        """Take what the trainer says after each call to the device."""
        done = news["group"] * news["steps"] + news["step"]
        if self.bar is None:
            total = news["groups"] * news["steps"]
            self.bar = tqdm(total=total, initial=0, desc=self.label, unit="step", disable=None, smoothing=0.1)
            self.bar.initial = self.bar.n = self.bar.last_print_n = done
            return
        if "entries" in news:
            self.last |= summary(news["entries"], self.metric)
        if news["groups"] > 1:
            self.last["group"] = f"{news['group'] + 1}/{news['groups']}"
        self.bar.set_postfix(self.last, refresh=False)
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        """End the line of the bar."""
        if self.bar is not None:
            self.bar.close()


def summary(entries: list[Mapping[str, Any]], metric: str) -> dict[str, str]:
    """Means over members of the loss and the test metric, where the entries have them."""
    return {
        name: shown(fmean(entry[name] for entry in entries))
        for name in ("loss", metric)
        if entries and name in entries[0]
    }
