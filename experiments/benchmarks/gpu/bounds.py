"""What a step on an H100 takes at least, from its compiled program: bytes over bandwidth, FLOPs over peak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from experiments.benchmarks.gpu import hlo, traffic
from experiments.benchmarks.gpu.compiling import compiled_for_h100
from experiments.benchmarks.gpu.traffic import Kernel
from experiments.config.compose import Configuration

BANDWIDTH = 2.9e12  # bytes a second that kernels reach on an H100 SXM; the memory's own rate is 3.35e12
# Dense products of the H100 SXM by NVIDIA's data sheet, in FLOP a second: TF32 and bfloat16 on tensor cores.
PEAK = {
    "float32": 66.9e12,
    "tensorfloat32": 494.7e12,
    "tensorfloat32_x3": 494.7e12 / 3,
    "bfloat16": 989.4e12,
}


@dataclass(frozen=True)
class Step:
    """One training step of a compiled program, of all the runs and members that it trains.

    `temporary` is the program's temporary memory in bytes; `products` are FLOPs by precision; `phases` counts
    products, by precision, that arguments of sine and cosine are made of.
    """

    kernels: tuple[Kernel, ...]
    temporary: int
    bytes: int
    products: dict[str, int]
    phases: dict[str, int]

    @property
    def launches(self) -> int:
        """Kernels that a step starts."""
        return sum(kernel.times for kernel in self.kernels)

    @property
    def memory_bound(self) -> float:
        """Seconds that moving the bytes takes."""
        return self.bytes / BANDWIDTH

    @property
    def product_bound(self) -> float:
        """Seconds that the products take at the peak of their precision. Raises KeyError for an unknown one."""
        return sum(flops / PEAK[precision] for precision, flops in self.products.items())

    def numbers(self) -> dict[str, Any]:
        """All of it as JSON values, the kernels as their number."""
        return {
            "temporary_bytes": self.temporary,
            "kernels": self.launches,
            "bytes": self.bytes,
            "flops": self.products,
            "products_before_phases": self.phases,
            "memory_bound_ms": 1e3 * self.memory_bound,
            "product_bound_ms": 1e3 * self.product_bound,
        }


def step_on_h100(stack: Sequence[Configuration], size: int = 1) -> tuple[Step, str]:
    """The step of `stack`, compiled for an H100, and the program's text. Raises ConfigError as `compiled_for_h100`."""
    compiled = compiled_for_h100(stack, size)
    text = compiled.as_text()
    program = hlo.parse(text)
    found = list(traffic.kernels(program, program.loop()))
    temporary = compiled.memory_analysis().temp_size_in_bytes
    phases = dict(traffic.precisions_before(program))
    step = Step(tuple(found), temporary, traffic.moved(found), dict(traffic.products(found)), phases)
    return step, text
