"""The solution of a differential equation on its grid, for programs that show fields, such as ParaView."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from experiments.config.build import ConfigError
from experiments.exporting.networks import INSTALL
from experiments.files import write_atomically
from experiments.training.trained import TrainedRun


def write_vtk(run: TrainedRun, path: Path) -> None:
    """Quadrilaterals between the nodes of the grid, in (x, y) or (x, t), with the run's fields at the nodes.

    Of several test functions each has a field of its own, `prediction_0` and so on. Raises ConfigError without the
    package and for runs that solved no equation in two coordinates.
    """
    if len(run.task.grid) != 2:
        raise ConfigError(
            f"{run.folder} trained no solution on a grid of two axes: {path.suffix} is not for it"
        )
    try:
        import meshio
    except ImportError as error:
        raise ConfigError(f"writing {path.name} needs meshio: {INSTALL}") from error
    arrays = {name: np.asarray(array) for name, array in run.predictions().items()}
    axes = run.task.grid
    nodes = np.stack(np.meshgrid(*(arrays[name].astype(np.float64) for name in axes), indexing="ij"), axis=-1)
    points = np.zeros((nodes[..., 0].size, 3))
    points[:, :2] = nodes[..., [axes.index("x"), 1 - axes.index("x")]].reshape(-1, 2)
    fields = {}
    for name, array in arrays.items():
        if array.shape == arrays["prediction"].shape:
            own = array.reshape(-1, len(points))
            fields |= {f"{name}_{n}" if len(own) > 1 else name: values for n, values in enumerate(own)}
    mesh = meshio.Mesh(points, [("quad", quadrilaterals(*nodes.shape[:2]))], point_data=fields)
    write_atomically(path, lambda file: meshio.write(file, mesh, file_format="vtk"))


def quadrilaterals(rows: int, columns: int) -> np.ndarray:
    """The corners, in order around each, of the cells of a grid whose nodes are counted row by row.

    >>> quadrilaterals(2, 3).tolist()
    [[0, 1, 4, 3], [1, 2, 5, 4]]
    """
    first = np.arange(rows * columns).reshape(rows, columns)[:-1, :-1].reshape(-1, 1)
    return first + np.array([0, 1, columns + 1, columns])
