"""One workshop for all tests of the core."""

from collections.abc import Iterator

import pytest

from tests.support.c_programs import Workshop


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """Compiles C tests; what two of them share is compiled once."""
    workshop = Workshop(tmp_path_factory.mktemp("native"))
    yield workshop
    workshop.close()
