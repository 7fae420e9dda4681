"""Rows of four parameterizations, and folders of finished runs."""

import json

import numpy as np
import pytest

from experiments.files import finite, save_arrays


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


def _write_run(folder, rows, arrays=(), history=()):
    """A finished run's folder: rows (one per seed), predictions of each seed, history entries."""
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({"rows": [row.to_json() for row in rows]}))
    for number, values in enumerate(arrays):
        save_arrays(folder / ("predictions.npz" if number == 0 else f"predictions-{number}.npz"), values)
    if history:
        (folder / "history.jsonl").write_text("".join(json.dumps(finite(entry)) + "\n" for entry in history))
    return folder


STANDARD = {"plain": 0.4, "aa": 0.3, "wn": 0.35, "rwf": 0.05}


def synthetic_values(cell, seed):
    """A value per item of a metric, by parameterization."""
    level = STANDARD.get(cell.parameterization, 0.5) * (1 + 0.1 * seed)
    if cell.experiment.startswith(("image", "ct")):
        return "psnr", [30 - 20 * level, 26 - 20 * level, 24 - 18 * level]
    if cell.experiment.startswith("nerf"):
        return "psnr", [27 - 4 * level]
    if cell.experiment.startswith("shape"):
        return "iou", [1 - level / 4]
    return "relative_l2", [level]


def synthetic_arrays(cell, seed):
    """Predictions of the kind that the cell's task makes: the truth plus noise of the size of its error."""
    rng = np.random.default_rng(seed)
    level = STANDARD.get(cell.parameterization, 0.5)
    axis = np.linspace(0, 1, 33)
    if cell.experiment.startswith("shape"):
        x, y, z = (np.mgrid[:16, :16, :16] + 0.5) / 16 - 0.5
        inside = [x**2 + 2 * y**2 + z**2 < radius**2 for radius in (0.4, 0.4 * (1 - level / 4))]
        truth, smaller = (np.packbits(ball, axis=-1)[None] for ball in inside)
        return {"truth": truth, "prediction": smaller}
    if cell.experiment.startswith(("image", "ct", "nerf")):
        v, u = np.meshgrid(np.linspace(0, 1, 48), np.linspace(0, 1, 48), indexing="ij")
        gray = 0.5 + 0.5 * np.sin(np.array([9, 15, 23])[:, None, None] * (u + v**2))
        if cell.experiment.startswith(("image", "nerf")):
            gray = np.stack([gray, 1 - gray, 0 * gray + u], axis=-1)
        truth = gray[None] if cell.experiment.startswith("nerf") else gray
        noisy = np.clip(truth + 0.3 * level * rng.normal(size=truth.shape), 0, 1)
        return {"truth": np.uint8(255 * truth), "prediction": np.uint8(255 * noisy)}
    if cell.experiment == "regression_1d":
        truth = np.cumsum(np.random.default_rng(0).normal(size=256))[None] / 8
        smooth = np.convolve(truth[0], np.ones(5) / 5, mode="same")[None]
        spectrum = 1e4 * np.exp(-np.arange(256) * (0.02 + level / 10))[None]
        return {"x": np.linspace(0, 1, 256)[None], "truth": truth, "ntk_eigenvalues": spectrum,
                "prediction": truth + level * (smooth - truth)}  # fmt: skip
    first, second = ("x", "y") if cell.experiment.startswith(("navier", "darcy")) else ("t", "x")
    coordinates = {first: axis[None], second: np.linspace(0, 2, 41)[None]}
    a, b = np.meshgrid(axis, np.linspace(0, 2, 41), indexing="ij")
    if cell.model in ("deeponet", "modified_deeponet"):
        truth = np.stack([np.sin(n * a + 2 * b) for n in range(1, 6)])[None]
        inputs = truth if cell.experiment == "darcy" else truth[:, :, 0]
        noisy = truth + 0.1 * rng.normal(size=truth.shape)
        return {**coordinates, "inputs": inputs, "truth": truth, "prediction": noisy}
    truth = np.sin(9 * a - 3 * b)[None]
    return {**coordinates, "truth": truth, "prediction": truth * (1 - level)}


def synthetic_history(cell, row):
    level = STANDARD.get(cell.parameterization, 0.5)
    for step in range(0, 1001, 100):
        decay = level + (1 - level) * np.exp(-step / 200) * (1 + 0.1 * row.seed)
        for item in row.items:
            entry = {"seed": row.seed, "item": item, "step": step, "learning_rate": 1e-3, "seconds": 0.1}
            yield (
                entry
                | {"loss": decay**2, "weight_change": 1 - decay}
                | (
                    {row.metric: 20 + 5 * (1 - decay) if row.metric == "psnr" else decay}
                    if step % 200 == 0
                    else {}
                )
            )


@pytest.fixture
def write_run():
    return _write_run


@pytest.fixture
def make_runs(make_row):
    """Write a run with two seeds for each of the given cells below a folder; return the runs' folders."""

    def build(folder, cells, **changes):
        folders = []
        for number, cell in enumerate(cells):
            rows = []
            for seed in (0, 1):
                metric, values = synthetic_values(cell, seed)
                names = {key: getattr(cell, key) for key in ("experiment", "embedding", "model", "variant")}
                items = tuple(f"item {n}" for n in range(len(values)))
                values = {**names, "items": items, "metric": metric, "metrics": {metric: values}, **changes}
                rows.append(make_row(cell.parameterization, seed, **values))
            history = [entry for row in rows for entry in synthetic_history(cell, row)]
            arrays = [synthetic_arrays(cell, seed) for seed in (0, 1)]
            folders.append(_write_run(folder / cell.experiment / f"run-{number}", rows, arrays, history))
        return folders

    return build
