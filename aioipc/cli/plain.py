"""Values as JSON: what JSON has no word for becomes an object of one key that begins with "$"."""

import base64
import math
from datetime import datetime, timedelta
from typing import Any

__all__ = ["plain"]


def plain(value: Any) -> Any:
    """The value, of what json.dumps can write."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return _mapping(value)
    if isinstance(value, datetime):
        return {"$datetime": value.isoformat()}
    if isinstance(value, timedelta):
        return {"$seconds": value.total_seconds()}
    return {"$repr": repr(value)}


def _mapping(value: dict[Any, Any]) -> Any:
    if all(isinstance(key, str) and not key.startswith("$") for key in value):
        return {key: plain(one) for key, one in value.items()}
    return {"$map": [[plain(key), plain(one)] for key, one in value.items()]}
