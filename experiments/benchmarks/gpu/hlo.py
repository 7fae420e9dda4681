"""A compiled program (HLO text) as data: its computations, their instructions, and what each value comes from."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

BITS = {"pred": 8, "s4": 4, "u4": 4, "s8": 8, "u8": 8, "s16": 16, "u16": 16, "s32": 32, "u32": 32, "s64": 64,
        "u64": 64, "f16": 16, "bf16": 16, "f32": 32, "f64": 64, "c64": 64, "c128": 128}  # fmt: skip
ARRAY = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\]")
COMPUTATION = re.compile(r"^(ENTRY )?%([\w.\-]+) \(.*\{$")
DEFINITION = re.compile(r"^\s+(ROOT )?%([\w.\-]+) = (.*)$")
CALLED = re.compile(r"(?:calls|body|condition|to_apply|true_computation|false_computation)=%([\w.\-]+)")
BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")


@dataclass(frozen=True)
class Instruction:
    """One line of a computation: `type` is an array's or, in parentheses, a tuple's; `attributes` the line's rest."""

    name: str
    type: str
    opcode: str
    operands: tuple[str, ...]
    attributes: str
    literal: str  # what stands between the parentheses

    @property
    def called(self) -> tuple[str, ...]:
        """Names of the computations that this instruction runs."""
        several = BRANCHES.search(self.attributes)
        branches = re.findall(r"%([\w.\-]+)", several[1]) if several else []
        return (*CALLED.findall(self.attributes), *branches)

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The types of the parts of a tuple, or of the one array."""
        return tuple(_split(self.type[1:-1])) if self.type.startswith("(") else (self.type,)


@dataclass
class Computation:
    """Instructions by name, in their order; `root` is the name of the one whose value is returned."""

    name: str
    instructions: dict[str, Instruction] = field(default_factory=dict)
    root: str = ""

    def __iter__(self) -> Iterator[Instruction]:
        return iter(self.instructions.values())

    def users(self, name: str) -> list[Instruction]:
        """Instructions that read the value `name`."""
        return [user for user in self if name in user.operands]

    def parameters(self) -> dict[int, Instruction]:
        """The computation's parameters by number."""
        return {int(one.literal): one for one in self if one.opcode == "parameter"}


@dataclass(frozen=True)
class Program:
    """All computations of a program by name, and the name of the entry."""

    computations: dict[str, Computation]
    entry: str

    @cached_property
    def callers(self) -> dict[str, list[tuple[Computation, Instruction]]]:
        """Of each computation, the instructions that run it and where these stand."""
        found: dict[str, list[tuple[Computation, Instruction]]] = defaultdict(list)
        for computation in self.computations.values():
            for instruction in computation:
                for name in instruction.called:
                    found[name].append((computation, instruction))
        return found

    def loop(self) -> Computation:
        """The body of the entry's loop over steps. Raises ValueError where the entry has not one loop."""
        loops = [one for one in self.computations[self.entry] if one.opcode == "while"]
        if len(loops) != 1:
            raise ValueError(f"the program's entry has {len(loops)} loops, not one over training steps")
        return self.computations[attribute(loops[0], "body")]

    def sources(self, computation: Computation, name: str) -> Iterable[tuple[Computation, str]]:
        """Values from which the value `name` of `computation` is made, through fusions, calls and loops."""
        one = computation.instructions[name]
        if one.opcode == "parameter":
            return self._arguments(computation, int(one.literal))
        if one.opcode == "get-tuple-element":
            return self._part(computation, one.operands[0], int(attribute(one, "index", r"(\d+)")))
        if one.opcode in ("fusion", "call"):
            called = self.computations[one.called[0]]
            return [(called, called.root)]
        inner = [(self.computations[part], self.computations[part].root) for part in one.called]
        return [*((computation, operand) for operand in one.operands), *inner]

    def _arguments(self, computation: Computation, number: int) -> Iterable[tuple[Computation, str]]:
        for where, caller in self.callers[computation.name]:
            if (
                caller.opcode == "conditional"
            ):  # the first operand chooses the branch, which has one parameter
                yield where, caller.operands[caller.called.index(computation.name) + 1]
            elif number < len(caller.operands):
                yield where, caller.operands[number]
            if caller.opcode == "while":  # what the turn before returned
                body = self.computations[attribute(caller, "body")]
                yield body, body.root

    def _part(self, computation: Computation, name: str, index: int) -> Iterable[tuple[Computation, str]]:
        """Sources of one part of the tuple `name`, without those of its other parts where that can be told."""
        seen, found, waiting = set(), [], [(computation, name)]
        while waiting:
            where, name = waiting.pop()
            if (where.name, name) in seen:
                continue
            seen.add((where.name, name))
            one = where.instructions[name]
            if one.opcode == "tuple":
                found.append((where, one.operands[index]))
            elif one.opcode == "while":
                body = self.computations[attribute(one, "body")]
                waiting += [(where, one.operands[0]), (body, body.root)]
            elif one.opcode in ("parameter", "fusion", "call"):
                waiting += list(self.sources(where, name))
            else:  # an operation that returns several values
                found.append((where, name))
        return found


def parse(text: str) -> Program:
    """The program that `jax.stages.Compiled.as_text` prints. Raises ValueError for a text without an entry."""
    computations: dict[str, Computation] = {}
    entry, current = "", Computation("")
    for line in text.splitlines():
        if opening := COMPUTATION.match(line):
            current = computations.setdefault(opening[2], Computation(opening[2]))
            entry = opening[2] if opening[1] else entry
        elif found := DEFINITION.match(re.sub(r"/\*index=\d+\*/", "", line)):
            current.instructions[found[2]] = _instruction(found[2], found[3])
            current.root = found[2] if found[1] else current.root
    if not entry:
        raise ValueError("the text of a compiled program was expected: it has no ENTRY")
    return Program(computations, entry)


def shape_of(type_: str) -> tuple[int, ...]:
    """The shape in an array's type.

    >>> shape_of("f32[64,2]{1,0}"), shape_of("s32[]")
    ((64, 2), ())
    """
    found = ARRAY.search(type_)
    return tuple(int(size) for size in found[2].split(",") if size) if found else ()


def dtype_of(type_: str) -> str:
    """The element type in an array's type, as HLO writes it."""
    found = ARRAY.search(type_)
    return found[1] if found else ""


def bytes_of(type_: str) -> int:
    """Bytes of a value of this type, a tuple's parts together.

    >>> bytes_of("(f32[64,2]{1,0}, bf16[8]{0}, pred[])")
    529
    """
    return sum(
        math.prod(int(size) for size in sizes.split(",") if size) * BITS.get(kind, 0) // 8
        for kind, sizes in ARRAY.findall(type_)
    )


def attribute(one: Instruction, name: str, pattern: str = r"%([\w.\-]+)") -> str:
    """What `name=` says of an instruction, by default the computation that `name=%computation` names.

    Raises ValueError where it says nothing.
    """
    if found := re.search(rf"\b{name}={pattern}", one.attributes):
        return found[1]
    raise ValueError(f"{one.name}, of kind {one.opcode}, does not state its {name}")


def axes(one: Instruction, name: str) -> list[int]:
    """The axes that `name={0,1}` lists; none where it is absent."""
    found = re.search(rf"{name}=\{{([\d,]*)\}}", one.attributes)
    return [int(axis) for axis in found[1].split(",") if axis] if found else []


def _instruction(name: str, text: str) -> Instruction:
    end = _closing(text, 0) + 1 if text.startswith("(") else text.index(" ")
    opcode, _, rest = text[end:].strip().partition("(")
    close = _closing(f"({rest}", 0)
    literal = rest[: close - 1]
    operands = () if opcode in ("constant", "parameter") else tuple(re.findall(r"%([\w.\-]+)", literal))
    return Instruction(name, text[:end], opcode, operands, rest[close:], literal)


def _closing(text: str, start: int) -> int:
    """Where the parenthesis at `start` is closed."""
    depth = 0
    for position in range(start, len(text)):
        depth += (text[position] == "(") - (text[position] == ")")
        if not depth:
            return position
    return len(text)


def _split(text: str) -> Iterator[str]:
    """The parts of a list at its outermost commas."""
    depth, begin = 0, 0
    for position, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and not depth:
            yield text[begin:position].strip()
            begin = position + 1
    if text[begin:].strip():
        yield text[begin:].strip()
