"""The picture of a comparison beside its runs in W&B."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from experiments.config.compose import Configuration
from experiments.training.tracking import Labels


def track_picture(config: Configuration, picture: Path, name: str) -> None:
    """Log `picture` as the run compare/`name`, with the tracker of `config`, one of the comparison's runs.

    It has their project and group, and its files are in the folder of the picture.
    """
    labels = Labels(
        name=f"compare/{name}",
        experiment=config.experiment,
        profile=config.profile,
        choices=("compare",),
        metric=config.task.metric,
    )
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB"))
    with config.tracking.open(picture.parent, labels, config.resolved) as tracker:
        tracker.predictions(lambda: {"comparison": pixels})
