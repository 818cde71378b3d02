"""Values at the edges of the msgpack format, once for all tests."""

import math
from datetime import UTC, datetime, timedelta, timezone

from msgpack import ExtType, Timestamp

_BITS = (5, 7, 8, 15, 16, 31, 32, 53, 63)
INTS = sorted({n + d for b in _BITS for n in (-(1 << b), 1 << b) for d in (-1, 0, 1) if n + d >= -(1 << 63)})
INTS += [0, (1 << 64) - 1]
TOO_LARGE = [1 << 64, -(1 << 63) - 1, 10**30]

FLOATS = [0.0, -0.0, 1.0, -1.5, 0.1, 1e300, -1e300, 5e-324, 2.0**53, 2.0**63, 2.0**64, math.inf, -math.inf]

SIZES = [0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536]

EAST = timezone(timedelta(hours=5, minutes=30))
MOMENTS = [
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2026, 2, 28, 12, 0, 0, 1, tzinfo=EAST),
    datetime(2106, 2, 7, 6, 28, 16, tzinfo=UTC),  # 2**32 s
    datetime(2514, 5, 30, 1, 53, 4, tzinfo=UTC),  # 2**34 s
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
]
TIMESTAMPS = [Timestamp(0), Timestamp((1 << 32) - 1), Timestamp(1 << 34, 999_999_000), Timestamp(-1, 1000)]
EXTS = [
    ExtType(code, b"x" * size) for code in (0, 127) for size in (0, 1, 2, 3, 4, 8, 16, 17, 255, 256, 65536)
]

SCALARS = [
    None,
    True,
    False,
    *INTS,
    *FLOATS,
    "",
    "a",
    "é",
    "\0",
    "名前",
    "𝄞" * 9,
    b"",
    b"\xff",
    *MOMENTS,
    *EXTS,
]
SIZED = [make(size) for size in SIZES for make in (lambda n: "s" * n, lambda n: "é" * n, lambda n: b"b" * n)]
NESTED = [
    [],
    {},
    [[], [[]], {}],
    {"a": {"b": {"c": [1, None, {"d": b"e"}]}}},
    {1: 2, None: 3, b"k": 4, "k": 5, 2.5: 6, -7: 8},
    *([0] * size for size in SIZES),
    *(dict.fromkeys(range(size)) for size in SIZES),
]
VALUES = [*SCALARS, *SIZED, *NESTED]


def short(value: object) -> str:
    """A test's id."""
    text = repr(value)
    return text if len(text) <= 24 else f"{type(value).__name__}-{len(text)}"
