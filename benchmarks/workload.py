"""Which keys are asked for: few of them often, as in real caches."""

from __future__ import annotations

import random


def zipf(keys: int, count: int, seed: int, exponent: float = 0.99) -> list[int]:
    """`count` numbers below `keys`; which of them are frequent is the same for every seed."""
    weights = [1 / (rank + 1) ** exponent for rank in range(keys)]
    order = list(range(keys))
    random.Random(0).shuffle(order)
    return random.Random(seed).choices(order, weights, k=count)
