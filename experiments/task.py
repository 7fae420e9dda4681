"""The interface between a task and the trainer: what a benchmark has to say about itself.

A task is a frozen dataclass (its fields are the keys of its Hydra config) with the methods of `Task`.
It knows its data and its loss; it does not know how the network is built, parameterized,
trained, logged or tabulated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import jax
from flax import nnx

PyTree = Any
Network = Callable[..., Any]  # effective weights already bound; takes an array or a `rwf.Jet`


@dataclass(frozen=True)
class Source:
    """Where data came from: its name, the checksum of its content, and what it stands in for, if it does."""

    name: str
    checksum: str
    stand_in: str | None = None

    def __str__(self) -> str:
        """The name, and what it stands in for, for the person who starts a run."""
        return f"{self.name}, a stand-in for {self.stand_in}" if self.stand_in else self.name


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


class Task(Protocol):
    """What the trainer and the planner call. `batch` and all after it are traced by JAX, one member at a time.

    A task may also have `analyse(function, factors, shared, item) -> dict of arrays`, joined to the
    predictions, for what needs the trained factors themselves: `function(factors, inputs)` is the network.
    `separable = False` says that its loss is no mean over parts of a batch, so that `trainer.microbatches` must be 1.
    It may have `pictures(predictions) -> dict of images` where the predictions of an item are not pictures yet.
    Where the problem changes during training, `shared_at(shared, steps)` is what `evaluate` sees of `shared`
    after that many steps; after the last it must be the task's own problem, which `predict` always sees.
    `needs_former = True` gives `loss` a third argument: the network with the parameters that it had before the
    last step (at the first step the present ones), a constant in the gradient.
    """

    metric: ClassVar[str]  # the key, among those `evaluate` returns, that tables and sweeps read

    def source(self) -> Source:
        """Where `items` would come from; cheap. Raises an error that names a missing file and its remedy."""

    def items(self) -> Data:
        """Load or generate the data. Raises an error that names the missing or damaged file."""

    def network(self, model: Callable[..., nnx.Module], embedding: Callable, rngs: nnx.Rngs) -> nnx.Module:
        """Build the network for this task's inputs and outputs from the chosen model and embedding."""

    def batch(self, shared: PyTree, item: PyTree, key: jax.Array, step: jax.Array) -> PyTree:
        """The points of one step, a pure function of `key` and `step`."""

    def loss(self, network: Network, batch: PyTree) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The scalar to minimise, and its named parts for the log."""

    def evaluate(self, network: Network, shared: PyTree, item: PyTree) -> dict[str, jax.Array]:
        """Test metrics of one trained member, scalars.

        With them, where a scalar is a mean over test functions or views: the vector of its values for each of
        these, under the scalar's name with `_each` behind it. The row keeps it; the history does not.
        """

    def predict(self, network: Network, shared: PyTree, item: PyTree) -> dict[str, jax.Array]:
        """What the figures draw: named arrays, documented by the task."""
