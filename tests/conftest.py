"""In every test, jaxtyping and beartype check the annotations of `rwf`, and XLA compiles without optimising."""

import importlib.util
import mmap
import os
import sys
import types
from pathlib import Path

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

pytest_plugins = ("tests.reliability",)

# The hook takes its checker by name; this one lets an int stand for a float, as static checkers do.
checker = types.ModuleType("rwf_checker")
checker.check = beartype(conf=BeartypeConf(is_pep484_tower=True))
sys.modules[checker.__name__] = checker
hook = install_import_hook("rwf", "rwf_checker.check")

# Tests compile many small programs and run each for an instant: compiling is most of their time.
COMPILE_QUICKLY = {
    "xla_backend_optimization_level": "0",
    "xla_cpu_use_fusion_emitters": "false",
    "xla_cpu_parallel_codegen_split_count": "1",
}


def known_flags() -> list[str]:
    """`COMPILE_QUICKLY` as far as the installed XLA knows these names: one that it does not would end the process."""
    library = Path(importlib.util.find_spec("jaxlib").origin).parent / "libjax_common.so"
    if not library.exists():
        return []
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        # As a string of C: a flag that was given up lives on as a reserved name within others.
        return [
            f"--{name}={value}"
            for name, value in COMPILE_QUICKLY.items()
            if content.find(name.encode() + b"\0") >= 0
        ]


# Before JAX reads it; the processes that tests start inherit it. What the caller sets comes last and wins.
os.environ["XLA_FLAGS"] = " ".join([*known_flags(), os.environ.get("XLA_FLAGS", "")]).strip()
# The compiler for a GPU is tested where CUDA's libraries are not: without this JAX does not register it.
os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")
