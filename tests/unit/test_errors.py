"""The exception tree: what is what, and what each one carries."""

import asyncio
import errno
import inspect
import pickle
import queue

import pytest

from aioipc import errors

BUILT_IN = {
    "SegmentFullError": MemoryError,
    "AlreadyExistsError": FileExistsError,
    "NotFoundError": FileNotFoundError,
    "PermissionDeniedError": PermissionError,
    "TypeMismatchError": TypeError,
    "OptionMismatchError": ValueError,
    "ReadOnlyError": TypeError,
    "MessageTooLargeError": ValueError,
    "NotOwnerError": RuntimeError,
    "QueueFull": (asyncio.QueueFull, queue.Full),
    "QueueEmpty": (asyncio.QueueEmpty, queue.Empty),
    "BrokenBarrierError": asyncio.BrokenBarrierError,
}


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_an_ipc_error_with_a_docstring(name: str) -> None:
    error = getattr(errors, name)
    assert issubclass(error, errors.IPCError)
    assert inspect.getdoc(error)


@pytest.mark.parametrize(("name", "built_in"), BUILT_IN.items())
def test_an_error_is_also_the_built_in_one_that_callers_look_for(name: str, built_in: type) -> None:
    for base in built_in if isinstance(built_in, tuple) else (built_in,):
        assert issubclass(getattr(errors, name), base)


@pytest.mark.parametrize("name", errors.__all__)
def test_an_error_survives_pickling_with_its_message_and_attributes(name: str) -> None:
    error = getattr(errors, name)("what happened")
    error.pid = 7
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.pid) == (type(error), "what happened", 7)


def test_errors_that_are_os_errors_have_an_errno() -> None:
    assert errors.NotFoundError("x").errno == errno.ENOENT
    assert errors.AlreadyExistsError("x").errno == errno.EEXIST
    assert errors.PermissionDeniedError("x").errno == errno.EACCES
