"""Hydra's sweeper for `experiments.train --multirun`; Hydra finds plugins in this folder by its name."""

from __future__ import annotations

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override


class MissingRuns(BasicSweeper):
    """The grid of the basic sweeper without the runs that are finished: a launcher never queues one of those."""

    @staticmethod
    def split_arguments(overrides: list[Override], max_batch_size: int | None) -> list[list[list[str]]]:
        """The missing jobs of the grid in batches of at most `max_batch_size`."""
        from experiments.running.multirun import missing  # late: Hydra imports all plugins at every start

        grid = [job for batch in BasicSweeper.split_arguments(overrides, None) for job in batch]
        jobs = missing(grid)
        return list(BasicSweeper.split_overrides_to_chunks(jobs, max_batch_size)) if jobs else []
