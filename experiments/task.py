"""The interface between a task and the trainer: what a benchmark has to say about itself.

A task is a frozen dataclass derived from `Task`; its fields are the keys of its Hydra config.
It knows its data and its loss; it does not know how the network is built, parameterized,
trained, logged or tabulated.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

import jax
import numpy as np
from flax import nnx

from experiments.files import typed_path
from experiments.metrics import Metric

PyTree = Any
Network = Callable[..., Any]  # effective weights already bound; takes an array or a `rwf.Jet`


def file_names(paths: Any) -> Any:
    """The name of a file or folder, or those of several, without where they lie; None stays.

    >>> file_names("photos/cat.jpg"), file_names(("a/b.png", "c.png")), file_names(None)
    ('cat.jpg', ['b.png', 'c.png'], None)
    """
    if paths is None:
        return None
    if isinstance(paths, str):
        return typed_path(paths).absolute().name if paths else ""
    return [file_names(path) for path in paths]


PATHS: Mapping[str, Callable] = {"identity": file_names}
"""Metadata of a task's field that holds paths: the run is known by the names of the files and by their content
(the checksum of its `Source`), wherever they lie."""


@dataclass(frozen=True)
class Source:
    """Where data came from: its name, the checksum of its content, and what it stands in for, if it does."""

    name: str
    checksum: str
    stand_in: str | None = None

    def __str__(self) -> str:
        """The name, and what it stands in for, for the person who starts a run."""
        return f"{self.name}, a stand-in for {self.stand_in}" if self.stand_in else self.name


def array(*shape: int, dtype: Any = np.float32) -> jax.ShapeDtypeStruct:
    """An array as `Task.shapes` states it."""
    return jax.ShapeDtypeStruct(shape, dtype)


@dataclass(frozen=True)
class Data:
    """What a run trains on.

    Every leaf of `items` has a leading axis of len(`names`): one independent problem each (an image,
    a phantom); a task with one problem has one item. `shared` is seen by every member alike. Leaves
    are NumPy arrays of the types that the device shall hold.
    """

    items: PyTree
    names: tuple[str, ...]
    shared: PyTree = field(default_factory=dict)


class Task(abc.ABC):
    """What the trainer and the planner call. `batch` and all after it are traced by JAX, one member at a time."""

    metric: ClassVar[str]
    """The key, among those `evaluate` returns, that tables and sweeps read."""
    metrics: ClassVar[Mapping[str, Metric]] = MappingProxyType({})
    """Descriptions, by key, of what `evaluate` returns and `experiments.metrics` does not know."""

    grid: ClassVar[tuple[str, ...]] = ()
    """The axes of the grid on which `predict` gives a solution, `prediction` and what has its shape: the names of its
    last axes, in their order, under each of which `predict` gives the coordinates; none where it is no such grid."""

    full_batch: ClassVar[bool] = False
    """Whether `batch` is the same at each step, as line searches need it."""

    @property
    def separable(self) -> bool:
        """Whether the loss is a mean over parts of a batch; if not, `trainer.microbatches` must be 1."""
        return True

    @property
    def needs_former(self) -> bool:
        """Whether `loss` takes a third argument, a constant in the gradient: the network with the parameters that it
        had before the last step (at the first step the present ones)."""
        return False

    @abc.abstractmethod
    def source(self) -> Source:
        """Where `items` would come from; cheap. Raises an error that names a missing file and its remedy."""

    @abc.abstractmethod
    def items(self) -> Data:
        """Load or generate the data. Raises an error that names the missing or damaged file."""

    def shapes(self) -> tuple[PyTree, PyTree]:
        """`jax.ShapeDtypeStruct`s of one item, without the leading axis of `items`, and of `shared`.

        A program can be compiled from them before there are data. Here they are read off `items`; a task whose
        data are large, slow to make or downloaded states them itself.
        """
        data = self.items()
        item = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), data.items)
        return item, jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), data.shared)

    @abc.abstractmethod
    def network(self, model: Callable[..., nnx.Module], embedding: Callable, rngs: nnx.Rngs) -> nnx.Module:
        """Build the network for this task's inputs and outputs from the chosen model and embedding."""

    @abc.abstractmethod
    def batch(self, shared: PyTree, item: PyTree, key: jax.Array, step: jax.Array) -> PyTree:
        """The points of one step, a pure function of `key` and `step`."""

    @abc.abstractmethod
    def loss(self, network: Network, batch: PyTree) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The scalar to minimise, and its named parts for the log."""

    @abc.abstractmethod
    def evaluate(self, network: Network, shared: PyTree, item: PyTree) -> dict[str, jax.Array]:
        """Test metrics of one trained member, scalars.

        With them, where a scalar is a mean over test functions or views: the vector of its values for each of
        these, under the scalar's name with `_each` behind it. The row keeps it; the history does not.
        """

    @abc.abstractmethod
    def predict(self, network: Network, shared: PyTree, item: PyTree) -> dict[str, jax.Array]:
        """What the figures draw: named arrays, documented by the task."""

    def shared_at(self, shared: PyTree, steps: jax.Array) -> PyTree:
        """What `evaluate` sees of `shared` after `steps`, where the problem changes during training.

        After the last it must be the task's own problem, which `predict` always sees.
        """
        return shared

    def analyse(
        self, function: Callable, factors: PyTree, shared: PyTree, item: PyTree
    ) -> dict[str, jax.Array]:
        """Arrays for the predictions that need the trained factors: `function(factors, inputs)` is the network."""
        return {}

    def pictures(self, predictions: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Images of one item's predictions for the tracker; by default those predictions that are images."""
        return dict(predictions)

    def units(self) -> dict[str, Any]:
        """JSON values that lead back to the units and the place of the user's own data, kept for exports."""
        return {}
