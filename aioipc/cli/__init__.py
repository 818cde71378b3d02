"""The command line: `aioipc ls | info | map | check | dump | rm | completion | demo`.

Exit codes: 0 fine; 1 a finding, not found, not permitted, damaged; 2 wrong usage.
"""

from typing import Any

import click

from aioipc import IPCError

from .check import check
from .completion import completion
from .demo import demo
from .dump import dump
from .info import info
from .ls import ls
from .map import heap_map
from .rm import rm

__all__ = ["commands"]


class _Commands(click.Group):
    """Says errors of the library in one line, instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (IPCError, PermissionError) as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="aioipc")
def commands() -> None:
    """Look after the shared memory segments of this machine.

    Exits with 0 when all is fine, 1 when something was found, or not found, 2 for wrong usage.
    """


for _command in (ls, info, heap_map, check, dump, rm, completion, demo):
    commands.add_command(_command)
