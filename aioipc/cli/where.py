"""What the commands are told to look at: the name of a segment, or the path of a file."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from aioipc import IPCError, ManagedMappedFile, ManagedSharedMemory, NotFoundError, SegmentInfo, _names

__all__ = ["WHERE", "Where", "any_owner_option", "everywhere"]

_F = TypeVar("_F", bound=Callable[..., Any])


def any_owner_option(command: _F) -> _F:
    """Adds `--any-owner`."""
    help_text = "Also a segment that belongs to another user."
    return click.option("--any-owner", is_flag=True, help=help_text)(command)


@dataclass(frozen=True)
class Where:
    """A segment in shared memory or in a file, that may be there or not."""

    name: str
    """As it is called here: a name, or an absolute path."""
    kind: type[ManagedSharedMemory] | type[ManagedMappedFile]

    @property
    def path(self) -> str:
        """The file, which is in /dev/shm for a name."""
        return self.kind._place(self.name).path

    def open(self, any_owner: bool) -> ManagedSharedMemory | ManagedMappedFile:
        """Attaches."""
        return self.kind.open(self.name, allow_other_owner=any_owner)

    def info(self) -> SegmentInfo:
        """What the header says."""
        found = _names.peek(self.path)
        if found is None:
            raise NotFoundError(f"{self.name} was removed just now: its last user was killed")
        return _names.described(self.name, found)

    def remove(self, any_owner: bool) -> None:
        """NotFoundError when there is none."""
        if not self.kind.remove(self.name, allow_other_owner=any_owner):
            raise NotFoundError(f"there is no segment named {self.name!r}")


class _WhereType(click.ParamType):  # type: ignore[type-arg]
    name = "segment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Where:
        try:
            if "/" in value:
                return Where(ManagedMappedFile._place(value).name, ManagedMappedFile)
            return Where(_names.checked(value), ManagedSharedMemory)
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Names of segments; files once there is a slash."""
        if "/" in incomplete:
            return [CompletionItem(incomplete, type="file")]
        return [
            CompletionItem(info.name)
            for info in ManagedSharedMemory.all()
            if info.name.startswith(incomplete)
        ]


WHERE = _WhereType()
"""NAME: a segment in /dev/shm.  A PATH has a slash in it: ./shop.segment."""


def everywhere(given: tuple[Where, ...]) -> Iterator[Where]:
    """What was named, and of directories the segments in them; when nothing was, all in shared memory."""
    if not given:
        for name in _names.segments():
            yield Where(name, ManagedSharedMemory)
    for where in given:
        if where.kind is ManagedMappedFile and os.path.isdir(where.name):
            yield from (Where(str(path), ManagedMappedFile) for path in _segments_in(Path(where.name)))
        else:
            yield where


def _segments_in(folder: Path) -> Iterator[Path]:
    """Files that are segments, sound or not."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise click.ClickException(f"{folder} cannot be read: {error.strerror}") from None
    for path in entries:
        try:
            if path.is_file() and not path.is_symlink() and _names.is_segment(str(path)):
                yield path
        except (OSError, IPCError):
            continue
