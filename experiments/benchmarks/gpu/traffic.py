"""What one turn of a compiled loop costs at least: its kernels, the bytes they move and the products they compute."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from experiments.benchmarks.gpu import hlo
from experiments.benchmarks.gpu.hlo import Computation, Instruction, Program

FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id",
        "replica-id", "opt-barrier"}  # fmt: skip
SELECTING = {"gather", "dynamic-slice", "slice"}  # read of their first operand what they return
UPDATING = {
    "dynamic-update-slice": 1,
    "scatter": 2,
}  # change their first operand in place; which operand has the news
SAME = {"bitcast", "reshape"}  # the same bytes under another shape


@dataclass(frozen=True)
class Kernel:
    """One launch: its name, bytes read and written, FLOPs of products by precision, and how often it runs."""

    name: str
    read: int
    written: int
    products: Counter[str] = field(default_factory=Counter)
    times: int = 1


def kernels(program: Program, computation: Computation, times: int = 1) -> Iterator[Kernel]:
    """The kernels of `computation`; inner loops are counted as often as they turn, where the compiler knows it.

    Of a conditional the branch that moves most. A kernel reads each operand once and writes its result: traffic
    that a cache saves between kernels is not taken off.
    """
    for one in computation:
        if one.opcode in FREE or one.opcode.endswith("-done"):
            continue
        if one.opcode == "while":
            known = re.search(r'"known_trip_count":\{"n":"(\d+)"\}', one.attributes)
            body = program.computations[hlo.attribute(one, "body")]
            yield from kernels(program, body, times * (int(known[1]) if known else 1))
        elif one.opcode == "call":
            yield from kernels(program, program.computations[one.called[0]], times)
        elif one.opcode == "conditional":
            branches = [list(kernels(program, program.computations[name], times)) for name in one.called]
            yield from max(branches, key=moved)
        else:
            yield Kernel(
                one.name, *_bytes(program, computation, one), _products(program, computation, one), times
            )


def moved(found: list[Kernel]) -> int:
    """Bytes read and written by all kernels."""
    return sum(kernel.times * (kernel.read + kernel.written) for kernel in found)


def products(found: list[Kernel]) -> Counter[str]:
    """FLOPs of all products, by precision."""
    total: Counter[str] = Counter()
    for kernel in found:
        for precision, flops in kernel.products.items():
            total[precision] += kernel.times * flops
    return total


def precisions_before(
    program: Program, opcodes: frozenset[str] = frozenset({"sine", "cosine"})
) -> Counter[str]:
    """How many products of each precision the operands of `opcodes` are made of, anywhere in the program."""
    waiting = [
        (computation, operand)
        for computation in program.computations.values()
        for one in computation
        if one.opcode in opcodes
        for operand in one.operands
    ]
    seen, found = set(), Counter()
    while waiting:
        computation, name = waiting.pop()
        if (computation.name, name) in seen:
            continue
        seen.add((computation.name, name))
        one = computation.instructions[name]
        if precision := _precision(computation, one):
            found[precision] += 1
        waiting += program.sources(computation, name)
    return found


def _bytes(program: Program, computation: Computation, one: Instruction) -> tuple[int, int]:
    """Bytes read and written by one kernel."""
    if one.opcode == "fusion":
        inner = program.computations[one.called[0]]
        read = sum(_read(inner, parameter) for parameter in inner.parameters().values())
        root = inner.instructions[inner.root]
        results = root.operands if root.opcode == "tuple" else (root.name,)
        return read, sum(_written(inner, name) for name in results)
    if one.opcode in UPDATING:
        news = _size(computation, one.operands[UPDATING[one.opcode]])
        return news, news
    size = hlo.bytes_of(one.type)
    if one.opcode in SELECTING:
        return size, size
    scratch = sum(hlo.bytes_of(part) for part in one.types if part.startswith("s8["))
    written = size - scratch if one.opcode == "custom-call" else size
    return sum(_size(computation, operand) for operand in set(one.operands)), written


def _size(computation: Computation, name: str) -> int:
    return hlo.bytes_of(computation.instructions[name].type)


def _read(inner: Computation, value: Instruction) -> int:
    """Bytes of a fusion's parameter, or of the same bytes in another shape, that the fusion reads."""
    total, whole = 0, hlo.bytes_of(value.type)
    for user in inner.users(value.name):
        if user.opcode in SAME:
            total += _read(inner, user)
        elif user.opcode in SELECTING and user.operands[0] == value.name:
            total += hlo.bytes_of(user.type)
        elif not (user.opcode in UPDATING and user.operands[0] == value.name):
            return whole
    return min(total, whole)


def _written(inner: Computation, name: str) -> int:
    """Bytes of one of a fusion's results that are written: of an update in place, the news."""
    one = inner.instructions[name]
    whole = hlo.bytes_of(one.type)
    while one.opcode in SAME:
        one = inner.instructions[one.operands[0]]
    if one.opcode in UPDATING:
        return min(whole, _size(inner, one.operands[UPDATING[one.opcode]]))
    return whole


def _products(program: Program, computation: Computation, one: Instruction) -> Counter[str]:
    """FLOPs, by precision, of the products in a kernel."""
    found: Counter[str] = Counter()
    if one.opcode == "fusion":
        inner = program.computations[one.called[0]]
        for part in inner:
            found += _products(program, inner, part)
    elif precision := _precision(computation, one):
        found[precision] += _flops(computation, one)
    return found


def _precision(computation: Computation, one: Instruction) -> str | None:
    """The precision of a product of floating-point numbers; None for another instruction.

    Two operands of float32 are multiplied in TF32 unless the highest precision or an algorithm is asked for.
    """
    if one.opcode == "custom-call" and "gemm" in one.attributes.partition("backend_config")[0]:
        asked = json.dumps(_gemm(one).get("precision_config", {})).lower()
    elif one.opcode in ("dot", "convolution"):
        asked = one.attributes.partition("metadata=")[0]
    else:
        return None
    kinds = {hlo.dtype_of(computation.instructions[name].type) for name in one.operands[:2]}
    if kinds == {"bf16"}:
        return "bfloat16"
    if kinds != {"f32"}:
        return "/".join(sorted(kinds))
    if named := re.search(r"(?:dot|alg)_(\w+?)_\w+?_f32(_x\d)?\b", asked):
        return {"tf32": "tensorfloat32", "f32": "float32", "bf16": "bfloat16"}[named[1]] + (named[2] or "")
    return "float32" if "highest" in asked else "tensorfloat32"


def _flops(computation: Computation, one: Instruction) -> int:
    """A multiplication and an addition for each term of each entry of the result."""
    left = hlo.shape_of(computation.instructions[one.operands[0]].type)
    if one.opcode == "custom-call":
        numbers = _gemm(one)["dot_dimension_numbers"]
        contracted = [int(axis) for axis in numbers["lhs_contracting_dimensions"]]
    elif one.opcode == "dot":
        contracted = hlo.axes(one, "lhs_contracting_dims")
    else:
        kernel = hlo.shape_of(computation.instructions[one.operands[1]].type)
        out = hlo.shape_of(one.type)[_feature_axis(one)]
        return 2 * math.prod(hlo.shape_of(one.type)) * math.prod(kernel) // out
    return 2 * math.prod(hlo.shape_of(one.types[0])) * math.prod(left[axis] for axis in contracted)


def _feature_axis(one: Instruction) -> int:
    """The axis of features in a convolution's result."""
    return hlo.attribute(one, "dim_labels", r"\w+->(\w+)").index("f")


def _gemm(one: Instruction) -> dict:
    """What the compiler tells the linear algebra library of a product."""
    text = one.attributes.partition("backend_config=")[2]
    return json.JSONDecoder().raw_decode(text)[0].get("gemm_backend_config", {})
