"""Whatever an encoder's file holds: an encoder, or an EncoderError before any of it is run."""

import os
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from reidsearch import config
from reidsearch.encoding import encoder, onnxfile
from reidsearch.encoding.encoder import Encoder, fingerprint
from reidsearch.encoding.preprocessing import Preprocessing
from reidsearch.errors import EncoderError
from tests.conftest import HEIGHT, WIDTH, write_encoder

PLAIN = {"input_size": f"{HEIGHT}x{WIDTH}", "mean": "0,0,0", "std": "1,1,1"}
DIMENSION = 3 * HEIGHT * WIDTH
Model = onnx.ModelProto
Shape = list[int | str | None]


def model(
    *nodes: onnx.NodeProto, initializers: list[TensorProto] | None = None, out: Shape | None = None
) -> Model:
    """A valid encoder that flattens its pictures, with those nodes beside."""
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["images"], ["vectors"]), *nodes],
        "flat",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, out or ["n", DIMENSION])],
        initializers or [],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(made, PLAIN)
    return made


def external(location: str = "weights.bin") -> TensorProto:
    tensor = TensorProto(name="w", dims=[4], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def inside(node: onnx.NodeProto) -> onnx.GraphProto:
    out = helper.make_tensor_value_info("o", TensorProto.FLOAT, None)
    return helper.make_graph([node], "inside", [], [out])


def constant(tensor: TensorProto) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["o"], value=tensor)


def branch(node: onnx.NodeProto) -> onnx.NodeProto:
    return helper.make_node("If", ["c"], ["z"], then_branch=inside(node), else_branch=inside(node))


def with_function(node: onnx.NodeProto) -> Model:
    made = model(helper.make_node("F", ["images"], ["z"], domain="own"))
    imports = [helper.make_opsetid("", 18)]
    made.functions.append(helper.make_function("own", "F", ["x"], ["o"], [node], imports))
    made.opset_import.append(helper.make_opsetid("own", 1))
    return made


def with_training(node: onnx.NodeProto) -> Model:
    made = model()
    made.training_info.add().algorithm.CopyFrom(inside(node))
    return made


def sparse() -> Model:
    made = model()
    made.graph.sparse_initializer.add().values.CopyFrom(external())
    return made


def marked_only() -> TensorProto:
    tensor = external()
    del tensor.external_data[:]
    return tensor


EXTERNAL: dict[str, Callable[[], Model]] = {
    "initializer": lambda: model(initializers=[external()]),
    "outside": lambda: model(initializers=[external("../../etc/passwd")]),
    "absolute": lambda: model(initializers=[external("/etc/passwd")]),
    "memory": lambda: model(initializers=[external("*/_ORT_MEM_ADDR_/*")]),
    "marked only": lambda: model(initializers=[marked_only()]),
    "constant": lambda: model(constant(external())),
    "subgraph": lambda: model(branch(constant(external()))),
    "subgraph's subgraph": lambda: model(branch(branch(constant(external())))),
    "subgraph's initializer": lambda: model(
        helper.make_node(
            "Loop", ["c"], ["z"], body=helper.make_graph([], "b", [], [], [external()])
        )
    ),
    "list of tensors": lambda: model(helper.make_node("X", [], ["z"], values=[external()])),
    "function": lambda: with_function(constant(external())),
    "training": lambda: with_training(constant(external())),
    "sparse": sparse,
}
CUSTOM = helper.make_node("Steal", ["images"], ["o"], domain="com.example")
FOREIGN: dict[str, Callable[[], Model]] = {
    "node": lambda: model(CUSTOM),
    "subgraph": lambda: model(branch(CUSTOM)),
    "function": lambda: with_function(CUSTOM),
    "function's subgraph": lambda: with_function(branch(CUSTOM)),
    "training": lambda: with_training(CUSTOM),
    "no such function": lambda: model(helper.make_node("G", ["images"], ["z"], domain="own")),
}


@pytest.fixture
def _no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a session was made")

    monkeypatch.setattr(ort, "InferenceSession", fail)


def saved(folder: Path, made: Model) -> Path:
    (folder / "e.onnx").write_bytes(made.SerializeToString())
    return folder / "e.onnx"


@pytest.mark.usefixtures("_no_session")
@pytest.mark.parametrize("place", EXTERNAL)
def test_weights_in_another_file_are_refused_before_a_session_is_made(
    tmp_path: Path, place: str
) -> None:
    with pytest.raises(EncoderError, match="keeps weights in another file") as error:
        Encoder(saved(tmp_path, EXTERNAL[place]()))
    assert "weights inside" in error.value.hint


@pytest.mark.usefixtures("_no_session")
@pytest.mark.parametrize("place", FOREIGN)
def test_operators_from_elsewhere_are_refused_before_a_session_is_made(
    tmp_path: Path, place: str
) -> None:
    with pytest.raises(EncoderError, match=r"does not have its operator (com.example.Steal|own.G)"):
        Encoder(saved(tmp_path, FOREIGN[place]()))


@pytest.mark.usefixtures("_no_session")
def test_a_compiled_network_that_may_lie_in_another_file_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("EPContext", [], ["z"], domain="com.microsoft", embed_mode=0)
    with pytest.raises(EncoderError, match="EPContext may lead to another file"):
        Encoder(saved(tmp_path, model(node)))


@pytest.mark.usefixtures("_no_session")
def test_onnx_runtimes_own_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e.onnx").write_bytes(b"\x18\0\0\0ORTM" + b"\0" * 100)
    with pytest.raises(EncoderError, match="own format"):
        Encoder(tmp_path / "e.onnx")


def test_a_file_with_functions_of_its_own_is_an_encoder(tmp_path: Path) -> None:
    made = with_function(helper.make_node("Relu", ["x"], ["o"]))
    assert Encoder(saved(tmp_path, made)).dimension == DIMENSION


def test_the_shipped_encoder_passes() -> None:
    onnxfile.check(config.DEFAULT_ENCODER.read_bytes())


def test_a_fingerprint_alone_looks_through_nothing(
    encoder_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(onnxfile, "check")
    assert len(fingerprint(encoder_file)) == 64


@pytest.mark.parametrize(
    "data",
    [
        b"\x3a\xff\xff\xff\xff\x0f",  # a graph of 4 GB
        b"\x3a" + b"\xff" * 30,  # a length without end
        b"\x3b\x3c",  # a group
        b"\x02\x00",  # field 0
        b"\x3a\x02\x0a\x05",  # a node longer than its graph
        b"\x08",
        b"\xff" * 100,
    ],
)
def test_what_is_no_protocol_buffers_message_is_refused(data: bytes) -> None:
    with pytest.raises(EncoderError, match="damaged, or no ONNX file"):
        onnxfile.check(data)


def test_graphs_nested_without_end_are_looked_through_without_recursion() -> None:
    def wrapped(field: int, body: bytes) -> bytes:
        return helper_tag(field) + length(len(body)) + body

    def helper_tag(field: int) -> bytes:
        return bytes([field << 3 | 2])

    def length(size: int) -> bytes:
        out = bytearray()
        while size > 127:
            out.append(size & 127 | 128)
            size >>= 7
        return bytes([*out, size])

    body = wrapped(1, wrapped(7, b"evil"))  # a node of that domain, in a graph
    for _ in range(3000):
        body = wrapped(1, wrapped(5, wrapped(6, body)))
    with pytest.raises(EncoderError, match="operator evil"):
        onnxfile.check(wrapped(7, body))


def test_a_file_of_nothing_but_parts_is_refused_soon() -> None:
    with pytest.raises(EncoderError, match="too many parts"):
        onnxfile.check(b"\x08\x01" * (onnxfile.MAX_FIELDS + 1))


# ---- damage -----------------------------------------------------------------------------------


def tried(path: Path, data: bytes) -> bool:
    """Whether the file is an encoder; one that is encodes, or says why it cannot."""
    path.write_bytes(data)
    try:
        made = Encoder(path)
        assert made.name.isprintable()
        assert 0 < made.dimension <= encoder.MAX_DIMENSION
        if made.size[0] * made.size[1] < 100_000:  # more takes but time
            vectors = made.encode(np.full((1, *made.size, 3), 99, dtype=np.uint8))
            assert vectors.shape == (1, made.dimension)
    except EncoderError:
        return False
    return True


def test_an_encoder_cut_before_any_of_its_bytes_is_an_error(tmp_path: Path) -> None:
    data = write_encoder(tmp_path / "e.onnx").read_bytes()
    usable = [tried(tmp_path / "cut.onnx", data[:end]) for end in range(len(data))]
    assert len(usable) > 250
    assert sum(usable) <= 2  # last come two metadata with defaults


def test_an_encoder_with_any_byte_changed_is_an_encoder_or_an_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = write_encoder(tmp_path / "e.onnx").read_bytes()
    dice = random.Random(0)
    usable = []
    for at in range(len(data)):
        for value in {data[at] ^ 1 << dice.randrange(8), dice.randrange(256)} - {data[at]}:
            changed = data[:at] + bytes([value]) + data[at + 1 :]
            usable.append(tried(tmp_path / "changed.onnx", changed))
    assert len(usable) > 500
    assert 0 < sum(usable) < len(usable)
    assert capfd.readouterr() == ("", "")


@settings(max_examples=1000)
@given(st.binary(max_size=100))
def test_the_look_through_ends_on_random_bytes(data: bytes) -> None:
    for start in (b"", b"\x3a\x7f", b"\x3a\x10\x0a\x0e"):  # a model, a graph, a node
        with suppress(EncoderError):
            onnxfile.check(start + data)


# ---- metadata ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": "nan,0,0"}, "not finite"),
        ({"std": "1,inf,1"}, "not finite"),
        ({"std": "1,nan,1"}, "not finite"),
        ({"mean": "1e400,0,0"}, "not finite"),
        ({"std": "1,1e-320,1"}, "out of range"),
        ({"std": "1,1e30,1"}, "out of range"),
        ({"mean": "1e30,0,0"}, "out of range"),
        ({"mean": "1,2,3,4"}, "not three numbers"),
        ({"mean": ""}, "not three numbers"),
        ({"mean": "0," * 100_000}, "more than 200 characters"),
        ({"input_size": "9" * 5000 + "x8"}, "more than 200 characters"),
        ({"input_size": "99999999999x8"}, "out of range"),
        ({"input_size": "16x8x3"}, "not like 128x64"),
        ({"input_size": "-16x8"}, "out of range"),
        ({"color_order": "RGB" * 100}, "more than 200 characters"),
    ],
)
def test_metadata_that_makes_no_numbers_to_work_with_is_an_error(
    changes: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        Preprocessing.from_metadata({**PLAIN, **changes})
    assert len(str(error.value)) < 300


@settings(max_examples=1000)
@given(
    st.dictionaries(
        st.sampled_from(["input_size", "mean", "std", "color_order", "flip_average", "name"]),
        st.one_of(
            st.text(max_size=20),
            st.text(alphabet="0123456789.,xe-+naif", max_size=20),
            st.sampled_from(["16x8", "0,0,0", "1,1,1", "1e-5,1e5,1", "RGB", "bgr", "true"]),
        ),
    )
)
def test_random_metadata_is_an_error_or_gives_finite_numbers(metadata: dict[str, str]) -> None:
    try:
        preprocessing = Preprocessing.from_metadata({**PLAIN, **metadata})
    except ValueError:
        return
    planes = preprocessing(np.full((1, 2, 2, 3), 255, dtype=np.uint8))
    assert np.isfinite(planes).all()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\x1b[31m\nb\0\tc", "a [31m b c"),
        ("\u202egpj.exe", "gpj.exe"),
        ("n" * 100_000, "n" * 200),
        ("\n\x07", "e"),
        ("", "e"),
    ],
)
def test_a_name_is_shown_as_one_short_printable_line(tmp_path: Path, name: str, shown: str) -> None:
    metadata = {**PLAIN, "name": name}
    assert Encoder(write_encoder(tmp_path / "e.onnx", metadata=metadata)).name == shown


def test_metadata_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    path = write_encoder(tmp_path / "e.onnx", metadata={**PLAIN, "name": "x" * 9})
    path.write_bytes(path.read_bytes().replace(b"x" * 9, b"\xff" * 9))
    with pytest.raises(EncoderError, match="not text in UTF-8"):
        Encoder(path)


# ---- shapes and sizes -------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [0, encoder.MAX_BATCH + 1, 2**40])
def test_a_fixed_batch_out_of_all_proportion_is_an_error(tmp_path: Path, batch: int) -> None:
    with pytest.raises(EncoderError, match=r"pictures at once|not a usable ONNX model"):
        Encoder(write_encoder(tmp_path / "e.onnx", metadata=PLAIN, batch=batch))


@pytest.mark.parametrize("repeats", [0, encoder.MAX_DIMENSION])
def test_vectors_of_no_or_too_many_numbers_are_an_error(tmp_path: Path, repeats: int) -> None:
    made = model(out=["n", "d"])
    made.graph.node[0].output[0] = "flat"
    counts = helper.make_tensor("counts", TensorProto.INT64, [2], [1, repeats])
    made.graph.initializer.append(counts)
    made.graph.node.append(helper.make_node("Tile", ["flat", "counts"], ["vectors"]))
    with pytest.raises(EncoderError, match=f"vectors of {repeats * DIMENSION} numbers"):
        Encoder(saved(tmp_path, made))


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (helper.make_node("ReduceSum", ["images"], ["vectors"], keepdims=0), r"of shape \(\)"),
        (helper.make_node("Shape", ["images"], ["shape"]), "failed|not a usable|of shape"),
        (helper.make_node("Transpose", ["images"], ["vectors"]), r"of shape \(8, 16, 3, 1\)"),
    ],
)
def test_an_output_without_a_row_for_each_picture_is_an_error(
    tmp_path: Path, node: onnx.NodeProto, message: str
) -> None:
    made = model()
    del made.graph.output[0].type.tensor_type.shape.dim[:]
    made.graph.output[0].type.tensor_type.ClearField("shape")
    made.graph.node[0].CopyFrom(node)
    with pytest.raises(EncoderError, match=message):
        Encoder(saved(tmp_path, made))


def test_vectors_that_are_not_as_long_as_the_file_says_are_an_error(tmp_path: Path) -> None:
    made = model(out=["n", 7])
    made.graph.node[0].output[0] = "flat"
    every = helper.make_tensor("every", TensorProto.BOOL, [DIMENSION], [True] * DIMENSION)
    made.graph.initializer.append(every)
    made.graph.node.append(helper.make_node("Compress", ["flat", "every"], ["vectors"], axis=1))
    loaded = Encoder(saved(tmp_path, made))
    with pytest.raises(EncoderError, match=f"vectors of {DIMENSION} numbers, not 7"):
        loaded.encode(np.zeros((2, HEIGHT, WIDTH, 3), dtype=np.uint8))


def test_files_that_cannot_be_a_model_are_refused_unread(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    for path in (tmp_path / "pipe.onnx", Path("/dev/zero"), tmp_path, tmp_path / "a\0b"):
        with pytest.raises(EncoderError, match="cannot be read"):
            fingerprint(path)
    with (tmp_path / "huge.onnx").open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(EncoderError, match=r"too large: 2\.1 GB"):
        fingerprint(tmp_path / "huge.onnx")
