"""Programs for an H100: how their text is read, on a text with known numbers, and those of Table 1 (slow)."""

import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from experiments.benchmarks.gpu import bounds, compiling, hlo, traffic
from experiments.config.compose import ConfigError, configure
from experiments.reporting.tables import bounds as tables
from experiments.reporting.tables.bounds import SAME
from experiments.training.step import programs
from rwf.precision import exact_matmul
from scripts import gpu_program, update_docs

ROOT = Path(__file__).resolve().parents[3]
PUBLISHED = {path.stem: json.loads(path.read_text()) for path in ROOT.glob("results/speed/gpu/*.json")}
PROGRAMS = [
    (experiment, precision)
    for experiment in sorted(PUBLISHED)
    for precision in PUBLISHED[experiment]["steps"]
]

# A loop whose body draws 8 of 1000 rows, multiplies them by a kernel in TF32, takes the sine, and keeps a row; then
# an inner loop of 5 turns, each a bfloat16 product by the linear algebra library.
TEXT = Path(__file__).with_name("loop.hlo").read_text()


def kernels_of(text):
    program = hlo.parse(text)
    return {kernel.name: kernel for kernel in traffic.kernels(program, program.loop())}


def test_bytes_are_what_a_kernel_needs_of_its_operands():
    found = kernels_of(TEXT)
    moved = {name: (kernel.read, kernel.written, kernel.times) for name, kernel in found.items()}
    assert moved == {
        "batch": (8 * 4 * 4 + 8 * 4, 8 * 4 * 4, 1),  # of a thousand rows the eight that are drawn
        "phases": ((8 * 4 + 4 * 16) * 4, 8 * 16 * 4, 1),
        "features": (8 * 16 * 4, (8 * 16 + 16) * 4, 1),
        "log.1": (16 * 4 + 4, 16 * 4, 1),  # one row, in place
        "library": (16 * 16 * 2, 16 * 16 * 2, 5),  # scratch memory is not traffic
    }
    assert traffic.moved(list(found.values())) == 288 + 896 + 1088 + 132 + 5 * 1024


def test_products_are_counted_by_precision():
    assert traffic.products(list(kernels_of(TEXT).values())) == {
        "tensorfloat32": 2 * 8 * 4 * 16,
        "bfloat16": 5 * 2 * 16**3,
    }


@pytest.mark.parametrize(
    ("said", "precision"),
    [
        ("operand_precision={highest,highest}", "float32"),
        ("operand_precision={high,high}", "tensorfloat32"),
        ("algorithm=dot_tf32_tf32_f32", "tensorfloat32"),
        ("algorithm=dot_tf32_tf32_f32_x3", "tensorfloat32_x3"),
        ("algorithm=dot_f32_f32_f32", "float32"),
    ],
)
def test_the_precision_of_a_product_is_what_it_asks_for(said, precision):
    text = TEXT.replace("rhs_contracting_dims={0}, metadata", f"rhs_contracting_dims={{0}}, {said}, metadata")
    assert set(kernels_of(text)["phases"].products) == {precision}
    assert dict(traffic.precisions_before(hlo.parse(text))) == {precision: 1}


def test_a_program_without_a_loop_is_refused():
    with pytest.raises(ValueError, match="0 loops"):
        hlo.parse(TEXT.replace("while(%m.0)", "custom-call(%m.0)")).loop()
    with pytest.raises(ValueError, match="no ENTRY"):
        hlo.parse("nothing")


def test_without_the_compiler_one_line_names_the_extra(monkeypatch, capsys):
    monkeypatch.setattr(compiling, "_importable", lambda module: False)
    assert gpu_program.main(["advection"]) == 2
    assert capsys.readouterr().err == (
        "config error: compiling for a GPU needs jax-cuda12-plugin of jaxlib's version: "
        "pip install '.[gpu-program]' supplies it, for a machine without a card too\n"
    )


@pytest.fixture(scope="module")
def compiler():
    """Skips where the compiler for NVIDIA's cards is not installed."""
    try:
        compiling.check_compiler()
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_a_phase_in_tf32_is_seen(compiler):
    def loop(multiply):
        def body(_, state):
            x, b = state
            return x + jnp.sin(multiply(x, b)).mean(axis=1, keepdims=True), b

        function = jax.jit(lambda count, *state: jax.lax.fori_loop(0, count, body, state))
        shapes = compiling.for_h100((jnp.int32(0), jnp.ones((4096, 2)), jnp.ones((2, 256))))
        with jax.default_matmul_precision("tensorfloat32"):
            text = function.lower(*shapes).compile(compiler_options=compiling.OPTIONS).as_text()
        return set(traffic.precisions_before(hlo.parse(text)))

    assert loop(jnp.matmul) == {"tensorfloat32"}
    assert loop(exact_matmul) == set()


@pytest.mark.slow
@pytest.mark.parametrize(("experiment", "precision"), PROGRAMS)
def test_programs_of_table_1_for_an_h100(experiment, precision, compiler):
    words = [f"experiment={experiment}", "profile=paper", "tracking=none", f"trainer.precision={precision}"]
    step, _ = bounds.step_on_h100(gpu_program.runs(words, None))
    assert "tensorfloat32" not in step.phases
    assert set(step.products) <= {precision, "float32"}  # what a task or a layer asks more for stays float32
    assert step.products[precision] > 0

    published = PUBLISHED[experiment]
    if published["packages"]["jaxlib"] != jax.lib.__version__:
        pytest.skip("sizes are published for jaxlib " + published["packages"]["jaxlib"])
    sizes = published["steps"][precision]
    assert step.temporary == pytest.approx(sizes["temporary_bytes"], rel=0.05)
    assert step.launches == pytest.approx(sizes["kernels"], rel=0.05)
    assert step.bytes == pytest.approx(sizes["bytes"], rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("same", "other"), SAME.items())
def test_programs_that_are_compiled_once_are_the_same(same, other):
    def traced(experiment):
        words = [f"experiment={experiment}", "profile=paper", "tracking=none", "parameterization=rwf"]
        config = configure(words)
        item, shared = config.task.shapes()
        items = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype), item)
        seeds, number = jax.ShapeDtypeStruct((1,), jnp.uint32), jax.ShapeDtypeStruct((), jnp.int32)
        built = programs([config], 1)
        states = jax.eval_shape(built.start, seeds, shared, items)
        step = built.advance.trace(states, shared, items, seeds, seeds, number, number).jaxpr
        return re.sub(r"0x[0-9a-f]+", "", str(step))

    assert traced(same) == traced(other)


def test_every_experiment_of_table_1_has_its_published_program():
    assert {SAME.get(name, name) for name in gpu_program.table_1()} == set(PUBLISHED)
    for name, published in PUBLISHED.items():
        assert {tables.chosen(choice, name) for choice in tables.CHOICES.values()} <= set(published["steps"])


def test_bounds_measured_rates_and_totals_by_hand():
    program = {"runs": 4, "memory_bound_ms": 0.4, "product_bound_ms": 0.1}
    steps = {"float32": program, "tensorfloat32": {**program, "memory_bound_ms": 0.2}}
    names = {SAME.get(name, name) for name in gpu_program.table_1()}
    rates = {"ct_shepp": {"rate": 2000, "precision": "tensorfloat32", "runs": 1}}
    found = tables.Bounds({name: {"steps": steps} for name in names}, rates)
    # Half a millisecond a run, over a quarter of 0.2.
    assert found.ratio("ct_shepp") == pytest.approx(0.5 / (0.2 / 4))
    then = tables.Bounds(found.programs, {"ct_shepp": {**rates["ct_shepp"], "bound_ms": 0.4}})
    assert then.ratio("ct_shepp") == pytest.approx(
        0.5 / (0.4 / 4)
    )  # over the bound that the timed program had
    # 16 images for 2,000 steps in four columns, 0.1 ms each; and as long again for each time the bound.
    assert found.minutes("image_natural", "float32", 1.0) == pytest.approx(4 * 16 * 2000 * 0.1 / 6e4)
    assert found.minutes("image_text", "float32", 3.0) == pytest.approx(3 * 4 * 16 * 2000 * 0.1 / 6e4)


def test_the_page_has_what_the_command_writes():
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert update_docs.bounded() in page
