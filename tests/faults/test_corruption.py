"""Random damage to metadata: found, or harmless; never a crash, an endless loop, or a look outside."""

from pathlib import Path

import pytest

from tests.support.corruption import Tally, run

# Found is what an operation could trip over; 16 bits of a seal let one in 65,536 pass.
HARMLESS = {"refused", "found", "harmless"}


def judged(tally: Tally) -> None:
    assert tally.total.keys() <= HARMLESS, "\n".join(tally.bad)
    assert tally.total["found"] > tally.total.total() / 4
    assert tally.by_area["block headers"]["harmless"] == 0
    assert tally.by_area["names and holdings"]["harmless"] == 0


@pytest.mark.parametrize("killed", [False, True], ids=["closed", "killed"])
def test_damage_is_found_or_harmless(killed: bool, tmp_path: Path) -> None:
    judged(run(150, 2026, tmp_path, killed))


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True], ids=["closed", "killed"])
def test_damage_is_found_or_harmless_at_length(killed: bool, tmp_path: Path) -> None:
    judged(run(3000, 11, tmp_path, killed))
