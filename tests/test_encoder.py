import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from reidsearch.encoding.encoder import Encoder, fingerprint
from reidsearch.encoding.preprocessing import Preprocessing
from reidsearch.errors import EncoderError
from tests.conftest import HEIGHT, WIDTH, write_encoder

PLAIN = {"input_size": f"{HEIGHT}x{WIDTH}", "mean": "0,0,0", "std": "1,1,1"}


def noise(count: int, *, seed: int = 0) -> np.ndarray:
    shape = (count, HEIGHT, WIDTH, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_preprocessing_equals_torchvisions() -> None:
    from torchvision.transforms import Compose, Normalize, ToTensor

    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    usual = Compose([ToTensor(), Normalize(mean, std)])
    ours = Preprocessing(height=HEIGHT, width=WIDTH, mean=mean, std=std)(noise(3))
    for picture, planes in zip(noise(3), ours, strict=True):
        np.testing.assert_allclose(planes, usual(picture).numpy(), atol=1e-5)


def test_vectors_are_the_mean_colours_scaled_to_unit_length(tmp_path: Path) -> None:
    encoder = Encoder(write_encoder(tmp_path / "e.onnx", metadata=PLAIN))
    pictures = noise(40)
    squares = pictures.reshape(40, HEIGHT // 4, 4, WIDTH // 4, 4, 3).mean((2, 4)) / 255
    expected = squares.transpose(0, 3, 1, 2).reshape(40, -1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert encoder.dimension == expected.shape[1]
    np.testing.assert_allclose(encoder.encode(pictures), expected, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 3, 40])
def test_an_encoder_with_a_fixed_batch_size_gives_the_same_vectors(
    tmp_path: Path, batch: int
) -> None:
    free = Encoder(write_encoder(tmp_path / "free.onnx", metadata=PLAIN))
    fixed = Encoder(write_encoder(tmp_path / "fixed.onnx", metadata=PLAIN, batch=batch))
    np.testing.assert_allclose(fixed.encode(noise(7)), free.encode(noise(7)), atol=1e-6)


@pytest.mark.parametrize("batch", ["n", 3])
def test_callers_who_ask_at_once_get_the_vectors_of_their_own_pictures(
    tmp_path: Path, batch: int | str
) -> None:
    encoder = Encoder(write_encoder(tmp_path / "e.onnx", metadata=PLAIN, batch=batch))
    pictures = noise(60)
    parts = [
        pictures[at : at + size] for at, size in zip(range(0, 60, 3), (1, 2, 3) * 7, strict=False)
    ]
    with ThreadPoolExecutor(len(parts)) as pool:
        together = list(pool.map(encoder.encode, parts))
    for part, vectors in zip(parts, together, strict=True):
        np.testing.assert_array_equal(vectors, encoder.encode(part))


def test_every_caller_who_asks_at_once_is_told_that_the_network_fails(tmp_path: Path) -> None:
    encoder = Encoder(write_encoder(tmp_path / "e.onnx", metadata=PLAIN))
    small = noise(1)[:, :8]
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(encoder.encode, small) for _ in range(8)]
    assert {type(one.exception()) for one in asked} == {EncoderError}


def test_bgr_encoders_get_their_channels_swapped(tmp_path: Path) -> None:
    rgb = Encoder(write_encoder(tmp_path / "rgb.onnx", metadata=PLAIN))
    bgr = Encoder(write_encoder(tmp_path / "bgr.onnx", metadata={**PLAIN, "color_order": "BGR"}))
    np.testing.assert_allclose(bgr.encode(noise(2)), rgb.encode(noise(2)[..., ::-1]), atol=1e-6)


def test_flip_averaging_makes_a_picture_and_its_mirror_image_equal(tmp_path: Path) -> None:
    metadata = {**PLAIN, "flip_average": "true"}
    encoder = Encoder(write_encoder(tmp_path / "e.onnx", metadata=metadata))
    pictures = noise(3)
    np.testing.assert_allclose(
        encoder.encode(pictures), encoder.encode(pictures[:, :, ::-1]), atol=1e-6
    )


def test_a_zero_vector_becomes_nan_instead_of_a_lie(tmp_path: Path) -> None:
    encoder = Encoder(write_encoder(tmp_path / "e.onnx", metadata=PLAIN))
    black = np.zeros((1, HEIGHT, WIDTH, 3), dtype=np.uint8)
    assert np.isnan(encoder.encode(black)).all()


def test_the_fingerprint_is_the_files_sha256(encoder_file: Path, encoder: Encoder) -> None:
    expected = hashlib.sha256(encoder_file.read_bytes()).hexdigest()
    assert encoder.fingerprint == fingerprint(encoder_file) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_size": None}, "no input_size"),
        ({"mean": None, "std": None}, "no mean, std"),
        ({"input_size": "128"}, "not like 128x64"),
        ({"input_size": "0x64"}, "out of range"),
        ({"mean": "a,b,c"}, "not three numbers"),
        ({"std": "1,1"}, "not three numbers"),
        ({"std": "1,0,1"}, "must be positive"),
        ({"color_order": "HSV"}, "neither RGB nor BGR"),
    ],
)
def test_metadata_that_does_not_tell_the_preprocessing_is_an_error(
    tmp_path: Path, changes: dict[str, str | None], message: str
) -> None:
    metadata = {k: v for k, v in {**PLAIN, **changes}.items() if v is not None}
    with pytest.raises(EncoderError, match=message) as error:
        Encoder(write_encoder(tmp_path / "e.onnx", metadata=metadata))
    assert "metadata" in error.value.hint


def test_files_that_are_no_model_are_errors(tmp_path: Path) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("not a model")
    with pytest.raises(EncoderError, match="not a usable ONNX model"):
        Encoder(text)
    with pytest.raises(EncoderError, match="cannot be read"):
        Encoder(tmp_path / "missing.onnx")


def test_a_model_with_two_outputs_is_refused(tmp_path: Path) -> None:
    shape: list[str | int | None] = ["n", 3, HEIGHT, WIDTH]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], [o]) for o in ("a", "b")],
        "two",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(o, TensorProto.FLOAT, shape) for o in ("a", "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, PLAIN)
    onnx.save(model, str(tmp_path / "two.onnx"))
    with pytest.raises(EncoderError, match="2 outputs"):
        Encoder(tmp_path / "two.onnx")


def test_a_device_that_is_not_there_is_an_error_that_names_those_that_are(
    encoder_file: Path,
) -> None:
    with pytest.raises(EncoderError) as error:
        Encoder(encoder_file, device="tpu")
    assert "cpu" in error.value.hint


Shape = list[str | int | None]


def network(
    path: Path,
    *,
    taken: int = TensorProto.FLOAT,
    made: int = TensorProto.FLOAT,
    shape: Shape | None = None,
    metadata: dict[str, str] = PLAIN,
    opset: int = 18,
    ir_version: int = 9,
) -> Path:
    """An encoder that flattens its pictures, of these types and that shape."""
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("Cast", ["flat"], ["vectors"], to=made),
    ]
    graph = helper.make_graph(
        nodes,
        "flat",
        [helper.make_tensor_value_info("images", taken, shape or ["n", 3, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info("vectors", made, ["n", 3 * HEIGHT * WIDTH])],
    )
    imports = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=ir_version)
    helper.set_model_props(model, metadata)
    onnx.save(model, str(path))
    return path


def flattened(pictures: np.ndarray, *axes: int) -> np.ndarray:
    flat = pictures.transpose(0, *axes).reshape(len(pictures), -1) / 255
    unit: np.ndarray = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    return unit


@pytest.mark.parametrize("taken", [TensorProto.FLOAT, TensorProto.FLOAT16])
@pytest.mark.parametrize("made", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_encoders_in_half_precision_give_the_vectors_of_those_in_single(
    tmp_path: Path, taken: int, made: int
) -> None:
    vectors = Encoder(network(tmp_path / "e.onnx", taken=taken, made=made)).encode(noise(3))
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, flattened(noise(3), 3, 1, 2), atol=1e-3)


RAW = {"input_size": PLAIN["input_size"]}


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_an_encoder_that_takes_uint8_gets_the_pixels_as_they_are(
    tmp_path: Path, order: str
) -> None:
    metadata = {**RAW, "color_order": order}
    made = network(tmp_path / "e.onnx", taken=TensorProto.UINT8, metadata=metadata)
    pictures = noise(3) if order == "RGB" else noise(3)[..., ::-1]
    np.testing.assert_allclose(
        Encoder(made).encode(noise(3)), flattened(pictures, 3, 1, 2), atol=1e-6
    )


@pytest.mark.parametrize("taken", [TensorProto.FLOAT, TensorProto.UINT8])
def test_an_encoder_whose_shape_ends_in_three_channels_gets_pictures_so(
    tmp_path: Path, taken: int
) -> None:
    metadata = RAW if taken == TensorProto.UINT8 else PLAIN
    shape: Shape = ["n", HEIGHT, WIDTH, 3]
    made = network(tmp_path / "e.onnx", taken=taken, shape=shape, metadata=metadata)
    np.testing.assert_allclose(
        Encoder(made).encode(noise(3)), flattened(noise(3), 1, 2, 3), atol=1e-6
    )


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"taken": TensorProto.DOUBLE}, "input of a type.*of double", "float32, float16, uint8"),
        ({"taken": TensorProto.INT64}, "input of a type.*of int64", "float32, float16, uint8"),
        ({"made": TensorProto.UINT8}, "output of a type.*of uint8", "float32, float16"),
        ({"taken": TensorProto.UINT8}, "input of uint8.* mean and std", "Leave mean and std out"),
        ({"shape": ["n", 3, WIDTH, HEIGHT]}, "8 x 16 pixels.*is 16x8", "swapped"),
        ({"shape": ["n", WIDTH, HEIGHT, 3]}, "N x height x width x 3.*is 16x8", "swapped"),
        ({"shape": ["n", 3, 256, 128]}, "256 x 128 pixels.*is 16x8", "height x width"),
        ({"shape": ["n", 3, "h", 4]}, "any x 4 pixels.*is 16x8", "height x width"),
        ({"shape": ["n", 1, HEIGHT, WIDTH]}, "1 channels", "N x 3 x height x width"),
        ({"shape": ["n", 3 * HEIGHT * WIDTH]}, "no pictures", "N x 3 x height x width"),
        ({"opset": 99}, "opset version 99, and ONNX Runtime .* up to", "an older one"),
        ({"ir_version": 99}, "IR version 99, and ONNX Runtime .* up to", "an older one"),
    ],
)
def test_what_does_not_fit_is_named_in_full(
    tmp_path: Path, options: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(EncoderError, match=message) as error:
        Encoder(network(tmp_path / "e.onnx", **options))
    assert hint in error.value.hint
    assert "weights inside" not in error.value.hint
