"""Subinterpreters: refused with a reason, whoever comes first, and the main interpreter is not harmed."""

import subprocess
import sys

PROGRAM = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
def refused():
    interpreter = interpreters.create()
    run = getattr(interpreters, "exec", interpreters.run_string)
    try:
        failure = run(interpreter, "import aioipc")
    except interpreters.RunFailedError as error:
        failure = error
    interpreters.destroy(interpreter)
    assert "cannot be imported in a subinterpreter" in str(failure), failure
refused()
import aioipc
refused()
with aioipc.ManagedSharedMemory.create(sys.argv[1], 1 << 20, lifetime="last_detach") as segment:
    with aioipc.Lock(segment).blocking:
        pass
"""


def test_a_subinterpreter_is_refused_before_and_after_the_main_interpreter_s_import(
    segment_name: str,
) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, segment_name], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
