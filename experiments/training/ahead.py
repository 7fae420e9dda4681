"""Programs compiled in a few threads before their turn, while another run trains: they are then called at once."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from jax.stages import Compiled, Lowered

from experiments.config.compose import Configuration
from experiments.files import choices_checksum
from experiments.training import members
from experiments.training.loop import prepared
from experiments.training.step import Programs


class Workshop:
    """Threads that compile what stacks of runs need; the stacks are known by their whole configuration.

    A program is compiled once: of two that are equal to the last constant, the second waits for the first and takes
    it from the compilation cache. What fails here is tried again in its turn, which says why.
    """

    def __init__(self, threads: int) -> None:
        self.pool = ThreadPoolExecutor(threads, "ahead")
        self.orders: dict[str, Future[Programs]] = {}
        self.locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self.guard = threading.Lock()

    def expect(self, stacks: Iterable[Sequence[Configuration]]) -> None:
        """Begin with the programs of `stacks` that are not begun; forget those of others."""
        wanted = {_name(stack): stack for stack in stacks}
        for name in self.orders.keys() - wanted.keys():
            self.orders.pop(name).cancel()
        for name, stack in wanted.items():
            if name not in self.orders:
                self.orders[name] = self.pool.submit(self._compile, stack)

    def take(self, stack: Sequence[Configuration]) -> Programs | None:
        """The programs of `stack`, waited for where that was begun; None where it was not, or failed."""
        order = self.orders.pop(_name(stack), None)
        if order is None or order.cancel() or order.exception() is not None:
            return None
        return order.result()

    @property
    def empty(self) -> bool:
        """Whether there is nothing that was not taken yet."""
        return not self.orders

    def _compile(self, stack: Sequence[Configuration]) -> Programs:
        data = stack[0].task.items()
        built = prepared(stack, data)
        shared = members.shapes(data.shared, built.size, whole=True)
        items = members.item_shapes(data.items, built.size)
        built.compile(shared, items, self._once, stack[0].trainer.weight_change)
        return built

    def _once(self, lowered: Lowered) -> Compiled:
        key = hashlib.sha256(lowered.as_text().encode()).hexdigest()
        with self.guard:
            lock = self.locks[key]
        with lock:
            return lowered.compile()


def _name(stack: Sequence[Configuration]) -> str:
    return choices_checksum({"runs": [config.resolved for config in stack]})
