"""The training step of any runs compiled for an H100 on a machine without one, from the shapes of their data alone."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import topologies

from experiments.config.build import first_line
from experiments.config.compose import ConfigError, Configuration
from experiments.running.stacks import check
from experiments.training.step import programs

TARGET = Path(__file__).with_name("h100.txtpb")  # what the compiler asks a card for, read off an H100 SXM
PLUGIN = "jax-cuda12-plugin"
# Kernels are not tried out, there being no card to try them on. The rest undoes what XLA_FLAGS may say.
OPTIONS = {"xla_gpu_autotune_level": 0, "xla_backend_optimization_level": 3}


def check_compiler() -> None:
    """Raise ConfigError, naming the extra, where the compiler for NVIDIA's cards is missing or of another version."""
    remedy = "pip install '.[gpu-program]' supplies it, for a machine without a card too"
    if importlib.util.find_spec("jax_plugins") is None or not _importable("jax_plugins.xla_cuda12"):
        raise ConfigError(f"compiling for a GPU needs {PLUGIN} of jaxlib's version: {remedy}")
    wanted = version("jaxlib")
    for package in (PLUGIN, "jax-cuda12-pjrt"):
        try:
            found = version(package)
        except PackageNotFoundError:
            found = "missing"
        if found != wanted:
            raise ConfigError(f"{package} is {found}, jaxlib {wanted}, and they must agree: {remedy}")


def compiled_for_h100(stack: Sequence[Configuration], size: int = 1) -> jax.stages.Compiled:
    """The program that `experiments.training.step` advances the runs of `stack` with, `size` members a group.

    Nothing is executed, and no data is read or generated: the shapes are those that the task states. What a card
    would choose by trying, the kernels of its products above all, can differ.
    Raises ConfigError for runs that do not stack, without the compiler, and where it fails.
    """
    check_compiler()
    check(stack)
    item, shared = stack[0].task.shapes()
    items = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((size, *leaf.shape), leaf.dtype), item)
    seeds, number = jax.ShapeDtypeStruct((size,), jnp.uint32), jax.ShapeDtypeStruct((), jnp.int32)
    built = programs(stack, size)
    states = jax.eval_shape(built.start, seeds, shared, items)
    arguments = for_h100((states, shared, items, seeds, seeds, number, number))
    try:
        return built.advance.lower(*arguments).compile(compiler_options=OPTIONS)
    except jax.errors.JaxRuntimeError as error:
        raise ConfigError(f"the compiler for a GPU gives up: {first_line(error)}") from error


def for_h100(arguments: Any) -> Any:
    """The shapes of `arguments` on the card: a function lowered with them is compiled for it."""
    target = TARGET.read_text(encoding="utf-8")
    topology = topologies.get_topology_desc(platform="cuda", target_config=target, topology="1x1x1")
    mesh = topologies.make_mesh(topo=topology, mesh_shape=(1,), axis_names=("card",))
    card = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=card), arguments)


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False
