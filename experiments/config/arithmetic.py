"""Settings of JAX and XLA from outside that would change the numbers of a run under its own id.

The id of a run states every setting of its configuration and none of the process that trains it. What
changes arithmetic or random numbers there is refused, the unknown included.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import jax

from experiments.config.build import ConfigError

STANDARD = {
    "jax_enable_x64": False,
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
    "jax_default_matmul_precision": None,
    "jax_numpy_dtype_promotion": "standard",
    "jax_disable_most_optimizations": False,
}
"""The values under which all published numbers were made; a run sets its own precision of matrix products."""

WITHOUT_EFFECT = (
    "cache", "check", "coordinator", "cpu_collectives", "cuda_visible", "debug", "dump", "explain", "log",
    "num_cpu_devices", "num_processes", "numpy_rank_promotion", "pgle", "platform", "process_id", "rocm_visible",
    "threads", "traceback", "transfer_guard",
)  # fmt: skip
"""Parts of the names of JAX's variables that say where and how a program runs, not what it computes."""
FAST_MATH = ("fast_math", "excess_precision", "fast_min_max")


def check(environment: Mapping[str, str] = os.environ) -> None:
    """Raise ConfigError, naming the setting, where the process would compute other numbers than its id says."""
    for name, value in STANDARD.items():
        found = jax.config.values.get(name, value)
        if getattr(found, "value", found) != value:
            raise ConfigError(
                f"{name}={found} changes the numbers of a run: leave it at {value} (unset {name.upper()})"
            )
    for name, value in environment.items():
        key = name.lower()
        if not key.startswith("jax_") or key in STANDARD or any(part in key for part in WITHOUT_EFFECT):
            continue
        if value.lower() not in ("", "0", "false", "off", "none"):
            raise ConfigError(f"{name}={value} may change the numbers of a run: unset it")
    for flag in environment.get("XLA_FLAGS", "").split():
        if any(part in flag for part in FAST_MATH) and not flag.endswith("=false"):
            raise ConfigError(f"XLA_FLAGS: {flag} changes the numbers of a run: leave it out")
