"""Synthetic result rows."""

import pytest

from experiments.records import PROTOCOL, Row


def _make_row(parameterization="plain", seed=0, **changes) -> Row:
    """A row of the Natural images with Gaussian features, two items, unless told otherwise."""
    values = {
        "protocol": PROTOCOL,
        "experiment": "image_natural",
        "parameterization": parameterization,
        "embedding": "gaussian",
        "model": "mlp",
        "variant": (),
        "seed": seed,
        "profile": "quick",
        "reduced": "64x64 pixels, 500 steps",
        "data": {"name": "photographs", "checksum": "c0", "stand_in": None},
        "items": ("astronaut", "coffee"),
        "metric": "psnr",
        "metrics": {"psnr": (26.0, 28.0)},
        "status": "finished",
        "steps": 500,
        "seconds": 30.0,
        "iterations_per_second": 16.0,
        "device": "cpu",
        "device_name": "a processor, 1 core",
        "precision": "float32",
        "packages": {},
        "commit": None,
        "dirty": None,
        "date": "2026-11-23T00:00:00+00:00",
    } | changes
    name = f"{parameterization}-{values['embedding']}-s{seed}-{values['profile']}-{values['date']}"
    return Row(**{"id": name, **values})


@pytest.fixture
def make_row():
    return _make_row


@pytest.fixture
def four(make_row):
    """Rows of the four parameterizations with the given values per item: four(plain=[..], aa=[..], ...)."""

    def build(metric="psnr", **values):
        changes = values.pop("changes", {})
        return [
            make_row(
                name,
                **{
                    "items": tuple(map(str, range(len(v)))),
                    "metric": metric,
                    "metrics": {metric: v},
                    **changes,
                },
            )
            for name, v in values.items()
        ]

    return build
