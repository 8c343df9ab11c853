"""Look through an ONNX file, without loading it, for what an encoder may not have.

An encoder is known by its file's fingerprint. Weights in another file would escape it, and the
runtime would read whatever file is named; operators from elsewhere would need code from elsewhere.

The file is a Protocol Buffers message. This walks its wire format: no copies, no recursion, and
an end to it even where the file was made to have none.
"""

from reidsearch.errors import EncoderError

# Operator domains that ONNX Runtime brings along.
DOMAINS = frozenset(
    {
        b"",
        b"ai.onnx",
        b"ai.onnx.ml",
        b"ai.onnx.training",
        b"ai.onnx.preview",
        b"ai.onnx.preview.training",
        b"com.microsoft",
        b"com.microsoft.nchwc",
        b"com.ms.internal.nhwc",
    }
)
OPAQUE = b"EPContext"  # a compiled network, in a file of its own or closed to any check
MAX_FIELDS = 1_000_000  # a second's work; a network of 10,000 layers has a third of them
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types; groups (3 and 4) ONNX does not use

_Field = tuple[int, int, int, int]  # number, wire type, value and size

# For each message, which field holds which message. From onnx.proto; what cannot hold a tensor or
# a node is left out.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse",
        23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
# The fields that name a node's operator, and a function's: domain and name.
_NODE, _FUNCTION = (7, 4), (10, 1)
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a tensor; location 0 is "in here"


def check(data: bytes) -> None:
    """Raise EncoderError, its message the reason alone, where the file is not all there is.

    That is: where a tensor's values lie in another file, where an operator is neither ONNX
    Runtime's nor a function of the file, and where the file is no ONNX model at all.
    """
    if data[4:8] == b"ORTM":  # ONNX Runtime would load it; what is in it stays unseen here
        raise EncoderError("it is in ONNX Runtime's own format, not an ONNX file")
    try:
        _check(data)
    except (IndexError, ValueError):
        raise EncoderError(
            "it is damaged, or no ONNX file", hint="Give the .onnx file of an encoder."
        ) from None


def _check(data: bytes) -> None:
    used: set[tuple[bytes, bytes]] = set()
    defined: set[tuple[bytes, bytes]] = set()
    waiting = [("model", 0, len(data))]
    left = MAX_FIELDS
    while waiting:
        message, start, end = waiting.pop()
        fields = _fields(data, start, end, left)
        left -= len(fields)
        children = _CHILDREN[message]
        for field, wire, value, size in fields:
            if message == "tensor":
                if field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value):
                    raise EncoderError(
                        "it keeps weights in another file",
                        hint="Give a single .onnx file with its weights inside.",
                    )
            elif wire == BYTES and field in children:
                waiting.append((children[field], value, value + size))
        if message == "node":
            used.add(_names(data, fields, *_NODE))
        elif message == "function":
            defined.add(_names(data, fields, *_FUNCTION))
    for domain, name in sorted(used):
        shown = b".".join(filter(None, (domain, name))).decode("utf-8", "replace")[:100]
        if name == OPAQUE:
            raise EncoderError(f"its operator {shown} may lead to another file")
        if domain not in DOMAINS and (domain, name) not in defined:
            raise EncoderError(
                f"ONNX Runtime does not have its operator {shown}",
                hint="Export it with the operators of ONNX alone.",
            )


def _names(data: bytes, fields: list[_Field], domain: int, name: int) -> tuple[bytes, bytes]:
    """The texts in two fields, shortened; of several in one field the last counts."""
    texts = {f: data[v : v + min(n, 1000)] for f, wire, v, n in fields if wire == BYTES}
    return texts.get(domain, b""), texts.get(name, b"")


def _fields(data: bytes, start: int, end: int, most: int) -> list[_Field]:
    """The fields of one message; a value of BYTES is the place where its ``size`` bytes begin.

    Raises ValueError or IndexError where these bytes are no message, and EncoderError where it has
    more than ``most`` fields.
    """
    fields = []
    at = start
    while at < end:
        tag = data[at]
        at += 1
        if tag > 127:
            tag, at = _varint(data, at - 1)
        field, wire = tag >> 3, tag & 7
        if not 0 < field < 1 << 29:
            raise ValueError("no such field")
        value, size = at, 0
        if wire == VARINT:
            value, at = _varint(data, at)
        elif wire == BYTES:
            size = data[at]
            value = at + 1
            if size > 127:
                size, value = _varint(data, at)
            at = value + size
        elif wire in (FIXED64, FIXED32):
            at += 8 if wire == FIXED64 else 4
        else:
            raise ValueError("no such wire type")
        if at > end:
            raise ValueError("a field goes on beyond its message")
        fields.append((field, wire, value, size))
        if len(fields) > most:
            raise EncoderError("it has too many parts to be checked")
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins at ``at``, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number without end")
