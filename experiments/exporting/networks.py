"""The network itself: its folded weights for other libraries, or as a program that needs JAX alone."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import rwf
from experiments.config.build import ConfigError
from experiments.files import write_atomically
from experiments.training.trained import TrainedRun

INSTALL = "python -m pip install --editable '.[experiments,export]'"


def weights(run: TrainedRun) -> dict[str, Any]:
    """`params` and `constants` as nested dicts of NumPy arrays with names as keys."""
    return {name: _named(getattr(run, name)) for name in ("params", "constants")}


def write_safetensors(run: TrainedRun, path: Path) -> None:
    """By the names of `rwf.flatten`, such as `params/layers/0/kernel`. Raises ConfigError without the package."""
    try:
        from safetensors.numpy import save
    except ImportError as error:
        raise ConfigError(f"writing {path.name} needs safetensors: {INSTALL}") from error
    flat = {name: np.ascontiguousarray(array) for name, array in rwf.flatten(weights(run)).items()}
    content = save(flat, metadata={"format": "rwf", "run": run.folder.name})
    write_atomically(path, lambda file: file.write(content))


def write_msgpack(run: TrainedRun, path: Path) -> None:
    """The nested dict as Flax writes it: `flax.serialization.msgpack_restore` reads it."""
    from flax.serialization import msgpack_serialize

    content = msgpack_serialize(weights(run))
    write_atomically(path, lambda file: file.write(content))


def write_orbax(run: TrainedRun, path: Path) -> None:
    """The nested dict as a folder that `orbax.checkpoint.StandardCheckpointer().restore` reads.

    Raises ConfigError without the package.
    """
    try:
        from orbax.checkpoint import StandardCheckpointer
    except ImportError as error:
        raise ConfigError(f"writing {path.name} needs orbax-checkpoint: {INSTALL}") from error
    with tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=f".{path.name}.") as scratch:
        whole = Path(scratch) / path.name
        with StandardCheckpointer() as checkpointer:
            checkpointer.save(whole, weights(run))
        whole.rename(path)


def write_program(run: TrainedRun, path: Path) -> None:
    """The network of any number of points (n, d), float32, for CPU, GPU and TPU, by `jax.export`.

    `jax.export.deserialize(path.read_bytes()).call(points)` runs it. Raises ConfigError where a package is missing and
    for networks that take more than points.
    """
    if run.in_features is None:
        raise ConfigError(
            f"{run.folder} trained an operator, no function of points: {path.suffix} is not for it"
        )
    from jax import export

    count = export.symbolic_shape("n")[0]
    points = jax.ShapeDtypeStruct((count, run.in_features), jnp.float32)
    try:
        program = export.export(jax.jit(run.network), platforms=["cpu", "cuda", "tpu"])(points)
        content = program.serialize()
    except ImportError as error:
        raise ConfigError(f"writing {path.name} needs flatbuffers: {INSTALL}") from error
    write_atomically(path, lambda file: file.write(content))


def _named(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {str(name): _named(own) for name, own in tree.items()}
    return np.asarray(tree)
