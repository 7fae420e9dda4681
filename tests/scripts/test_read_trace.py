"""Kernels of a profile on a GPU, from a profile written here, where all times are known."""

import json

import jax
import pytest

from scripts import read_trace, step_times

KERNELS = {
    "gemm_fusion_dot_1": 3.0,
    "nvjet_sm90_tst": 1.5,
    "loop_add_fusion_4": 1.2,
    "MemcpyD2D": 0.3,
}  # of three steps


def profile(path, kernels):
    """An XSpace file of one stream, `kernels` with their milliseconds, beside a transfer that is no part of a step."""
    names = [*kernels, "send"]
    events = "".join(
        f"events {{ metadata_id: {n} duration_ps: {round(1e9 * ms)} stats {{ metadata_id: 1 str_value: '{module}' }} }}"
        for n, (ms, module) in enumerate(
            [*((ms, "jit_advance") for ms in kernels.values()), (7.0, "jit_convert_element_type")], 1
        )
    )
    metadata = "".join(
        f"event_metadata {{ key: {n} value {{ id: {n} name: '{name}' }} }}" for n, name in enumerate(names, 1)
    )
    module = "stat_metadata { key: 1 value { id: 1 name: 'hlo_module' } }"
    text = f"planes {{ name: '/device:GPU:0' lines {{ name: 'Stream #14(Compute)' {events} }} {metadata} {module} }}"
    path.parent.mkdir(parents=True)
    path.write_bytes(jax.profiler.ProfileData.text_proto_to_serialized_xspace(text))


@pytest.fixture
def folder(tmp_path):
    about = {"profile": "paper", "device_name": "a card", "packages": {"jax": "1"}}
    (tmp_path / step_times.ABOUT).write_text(json.dumps(about))
    profile(tmp_path / "burgers_tensorfloat32_2x1" / "plugins" / "profile" / "now" / "vm.xplane.pb", KERNELS)
    return tmp_path


def test_times_and_shares_are_those_of_the_kernels(folder, capsys):
    output = folder / "numbers.json"
    assert read_trace.main([str(folder), "--kernels", "2", "--output", str(output)]) == 0
    (numbers,) = json.loads(output.read_text())["programs"]
    assert numbers["experiment"] == "burgers" and numbers["precision"] == "tensorfloat32"
    assert numbers["ms"] == pytest.approx(2.0)
    assert [numbers[kind] for kind in ("products", "elementwise", "moving")] == pytest.approx(
        [0.75, 0.2, 0.05]
    )
    # four columns of 100,000 steps (L.3), two of which are one program
    assert numbers["minutes"] == pytest.approx(4 * 100_000 * 2.0 / 2 / 6e4)
    printed = capsys.readouterr().out
    assert "gemm_fusion_dot_1" in printed and "nvjet_sm90_tst" in printed and "MemcpyD2D" not in printed


def test_a_profile_without_kernels_is_one_line(folder, capsys):
    profile(folder / "darcy_float32_4x3" / "plugins" / "profile" / "now" / "vm.xplane.pb", {})
    assert read_trace.main([str(folder)]) == 2
    assert "holds no kernels of a GPU" in capsys.readouterr().err


def test_a_folder_without_profiles_is_one_line(tmp_path, capsys):
    assert read_trace.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
