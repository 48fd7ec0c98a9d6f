"""Reading a serialised tf.train.Example of any writer, without TensorFlow.

Only what a pyramid's records hold: int64_list and bytes_list, other fields skipped.
"""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def parse_example(example: bytes) -> tuple[tuple[int, ...], bytes]:
    """The features `shape` and `data` of an example.

    Returns:
      The numbers of `shape`, and the first value of `data`.

    Raises:
      ValueError: it is no such example.
    """
    features: dict[bytes, bytes] = {}
    for entry in _fields(_only(example, 1), 1):
        features[_only(entry, 1)] = _only(entry, 2)
    if b"shape" not in features or b"data" not in features:
        raise ValueError("it needs the features 'shape' and 'data'")
    numbers = _varints(b"".join(_fields(_only(features[b"shape"], 3), 1)))
    return numbers, _only(_only(features[b"data"], 1), 1)


def _only(message: bytes, number: int) -> bytes:
    """The value of a field, as protocol buffers take it: the last one."""
    values = _fields(message, number)
    if not values:
        raise ValueError(f"field {number} is missing")
    return values[-1]


def _fields(message: bytes, number: int) -> list[bytes]:
    """The values of all length-delimited fields of this number."""
    values, at = [], 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _BYTES:
            size, at = _varint(message, at)
            end = at + size
            if tag >> 3 == number:
                values.append(message[at:end])
        elif kind == _VARINT:
            _, end = _varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            end = at + (8 if kind == _FIXED64 else 4)
        else:
            raise ValueError(f"a field of unknown kind {kind}")
        if end > len(message):
            raise ValueError("it is cut short")
        at = end
    return values


def _varints(packed: bytes) -> tuple[int, ...]:
    values, at = [], 0
    while at < len(packed):
        value, at = _varint(packed, at)
        values.append(value)
    return tuple(values)


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A varint at `at`, and where it ends."""
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number is cut short")
