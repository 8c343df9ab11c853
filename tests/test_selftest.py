"""What the self-test refuses is no encoder, and what is one it takes."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reidsearch import config
from reidsearch.config import Config
from reidsearch.encoding import selftest
from reidsearch.encoding.encoder import Encoder
from reidsearch.errors import EncoderError
from reidsearch.session import CATALOG
from tests.conftest import HEIGHT, WIDTH, Run, write_crop, write_encoder

PLAIN = {"input_size": f"{HEIGHT}x{WIDTH}", "mean": "0.5,0.5,0.5", "std": "0.25,0.25,0.25"}
PIXELS = 3 * HEIGHT * WIDTH


def network(
    folder: Path,
    *nodes: onnx.NodeProto,
    weights: dict[str, np.ndarray] | None = None,
    kind: int = TensorProto.FLOAT,
    metadata: dict[str, str] = PLAIN,
    batch: int | str = "n",
) -> Encoder:
    """An encoder whose nodes lead from ``flat``, the pixels, to ``vectors``."""
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["images"], ["flat"]), *nodes],
        "network",
        [helper.make_tensor_value_info("images", kind, [batch, 3, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info("vectors", kind, [batch, "d"])],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, metadata)
    onnx.save(model, str(folder / "network.onnx"))
    return Encoder(folder / "network.onnx")


def refused(encoder: Encoder) -> EncoderError:
    with pytest.raises(EncoderError, match="cannot be used as an encoder") as error:
        selftest.check(encoder)
    return error.value


MEAN = helper.make_node("ReduceMean", ["flat", "axis"], ["mean"], keepdims=1)
FIRST_AXIS = {"axis": np.array([0])}


def test_the_shipped_encoder_passes() -> None:
    selftest.check(Encoder(config.DEFAULT_ENCODER))


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_random_networks_pass(tmp_path: Path, kind: int, seed: int, layers: int) -> None:
    dice = np.random.default_rng(seed)
    nodes, weights, name = [], {}, "flat"
    for layer in range(layers):
        rows = PIXELS if layer == 0 else 32
        matrix = dice.normal(0, rows**-0.5, (rows, 32))
        weights[f"w{layer}"] = matrix.astype(helper.tensor_dtype_to_np_dtype(kind))
        last = layer == layers - 1
        nodes.append(helper.make_node("MatMul", [name, f"w{layer}"], [f"m{layer}"]))
        name = "vectors" if last else f"r{layer}"
        nodes.append(helper.make_node("Identity" if last else "Relu", [f"m{layer}"], [name]))
    selftest.check(network(tmp_path, *nodes, weights=weights, kind=kind))


@pytest.mark.parametrize("batch", [1, 4])
def test_encoders_of_a_fixed_batch_pass(tmp_path: Path, batch: int) -> None:
    selftest.check(Encoder(write_encoder(tmp_path / "e.onnx", batch=batch)))


def test_an_encoder_that_finds_nothing_in_some_crops_passes(tmp_path: Path) -> None:
    brightness = helper.make_node("ReduceMean", ["flat", "axis"], ["mean"], keepdims=1)
    nodes = (
        brightness,
        helper.make_node("Relu", ["mean"], ["positive"]),
        helper.make_node("Mul", ["flat", "positive"], ["vectors"]),
    )
    encoder = network(tmp_path, *nodes, weights={"axis": np.array([1])})
    usable = np.isfinite(encoder.encode(selftest.draw(*encoder.size))).all(axis=1)
    assert 1 < usable.sum() < selftest.CROPS
    selftest.check(encoder)


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        ("123.675,116.28,103.53", "58.395,57.12,57.375"),
        ("127.5,127.5,127.5", "127.5,127.5,127.5"),
        ("0,0,0", "255,255,255"),
        ("104,117,123", "1,1,1"),
    ],
)
def test_means_on_another_scale_are_named_with_what_they_should_be(
    tmp_path: Path, mean: str, std: str
) -> None:
    metadata = {**PLAIN, "mean": mean, "std": std}
    error = refused(Encoder(write_encoder(tmp_path / "e.onnx", metadata=metadata)))
    assert f"mean {mean} and std {std}" in error.message
    assert "0..255" in error.message
    assert f"mean {float(mean.split(',')[0]) / 255:.3f}," in error.hint


def test_an_encoder_whose_output_is_constant_is_refused(tmp_path: Path) -> None:
    nodes = (
        helper.make_node("Mul", ["flat", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "one"], ["vectors"]),
    )
    weights = {"zero": np.zeros(1, np.float32), "one": np.ones(1, np.float32)}
    assert "constant" in refused(network(tmp_path, *nodes, weights=weights)).message


def test_an_encoder_whose_output_is_zero_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("Mul", ["flat", "zero"], ["vectors"])
    error = refused(network(tmp_path, node, weights={"zero": np.zeros(1, np.float32)}))
    assert "zero or not finite" in error.message


@pytest.mark.parametrize(
    "nodes",
    [
        (MEAN, helper.make_node("Sub", ["flat", "mean"], ["vectors"])),
        (MEAN, helper.make_node("Add", ["flat", "mean"], ["vectors"])),
        (helper.make_node("Softmax", ["flat"], ["vectors"], axis=0), MEAN),
        (helper.make_node("LpNormalization", ["flat"], ["vectors"], axis=0), MEAN),
    ],
    ids=["centred", "mixed", "softmax over the batch", "normalised over the batch"],
)
def test_an_encoder_that_looks_at_the_rest_of_the_batch_is_refused(
    tmp_path: Path, nodes: tuple[onnx.NodeProto, ...]
) -> None:
    error = refused(network(tmp_path, *nodes, weights=FIRST_AXIS))
    assert "other crops in its batch" in error.message
    assert "evaluation mode" in error.hint


def test_an_encoder_that_answers_otherwise_each_time_is_refused(tmp_path: Path) -> None:
    nodes = (
        helper.make_node("RandomNormalLike", ["flat"], ["noise"]),
        helper.make_node("Add", ["flat", "noise"], ["vectors"]),
    )
    assert "each time" in refused(network(tmp_path, *nodes)).message


def test_nothing_is_recorded_of_an_encoder_that_is_refused(
    tmp_path: Path, settings: Config, run: Run
) -> None:
    metadata = {**PLAIN, "mean": "127.5,127.5,127.5"}
    broken = write_encoder(tmp_path / "broken.onnx", metadata=metadata)
    write_crop(tmp_path / "crops/1.png", color=(9, 99, 199))
    result = run("--encoder", broken, "ingest", tmp_path / "crops", exit_code=1)
    assert "0..255" in result.stderr
    assert not (settings.data_dir / CATALOG).exists()
    run("ingest", tmp_path / "crops")
    before = run("status", "--json").stdout
    run("--encoder", broken, "ingest", tmp_path / "crops", exit_code=1)
    assert run("status", "--json").stdout == before
    run("doctor")
