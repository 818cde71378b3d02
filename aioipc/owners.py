"""What the pointers that own have in common: how they come to an object, and how they lead to it."""

from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from ._native import _core
from .errors import NotFoundError
from .objects import New, ObjectName, SharedObject
from .pointers import handle_on

if TYPE_CHECKING:
    from .places import PlacedObject
    from .segment import ManagedSegment

__all__ = ["OwningPtr"]

T = TypeVar("T")


class OwningPtr(_core.OwningHandle, Generic[T]):
    """Base of the pointers that own what they lead to."""

    __slots__ = ()
    _how: int  # of the shares it takes
    _must: bool  # whether an object that it is to construct must not exist yet

    def __init__(
        self,
        segment: "ManagedSegment",
        target: Any = None,
        name: ObjectName = None,
        /,
        *arguments: Any,
        count: int | None = None,
        **options: Any,
    ) -> None:
        share, handle = None, None
        if isinstance(target, type) and issubclass(target, SharedObject):
            wanted = New(name, count, must=self._must, how=self._how)
            handle = target(segment, wanted, *arguments, **options)  # type: ignore[call-arg]
            share = wanted.share or _core.share_of(handle.pin, _core.SHARE_OF_SHARED)
        elif name is not None or arguments or options or count is not None:
            raise TypeError("give the type of a new object and its arguments, or one object that is there")
        elif target is not None:
            share, handle = self._claim(segment, target)
        self._own(segment, segment._opening_checked(), share, handle)

    def _claim(self, segment: "ManagedSegment", target: Any) -> tuple[_core.Share | None, Any]:
        """A share of an object that is there, and the handle on it."""
        if not isinstance(target, SharedObject) or getattr(target, "_whole", None) is not None:
            raise TypeError(f"a whole object or the type of a new one is wanted, not {target!r}")
        if target.opening.attachment is not segment._opening_checked().attachment:
            raise ValueError(f"{target!r} lives in another segment")
        if target.pin.destroyed:
            raise NotFoundError(f"{target!r}: it was destroyed")
        return _core.share_of(target.pin, self._how), target

    @classmethod
    def _of_share(
        cls, segment: "ManagedSegment", opening: _core.Opening, share: _core.Share | None, handle: Any = None
    ) -> Self:
        pointer = cls.__new__(cls)
        pointer._own(segment, opening, share, handle)
        return pointer

    @property
    def target(self) -> T:
        """The object that it leads to; ValueError when it is empty."""
        share = self._held()
        if self._aimed_at is None:
            self._aimed_at = handle_on(self.segment, share.pin, None, "the pointer")
        target: T = self._aimed_at
        return target

    def get(self) -> T | None:
        """The object that it leads to; None when it is empty."""
        return self.target if self else None

    @property
    def use_count(self) -> int:
        """How many own the object now: pointers of living processes, and fields of objects.  0 when empty.

        Processes that died and have not been noticed yet are noticed by this.
        """
        return _core.use_count(self.opening.attachment, self._held().word) if self else 0

    def reset(self) -> None:
        """Gives the object up: the pointer is empty; the last one that does so destroys the object."""
        share, self._share, self._aimed_at = self._share, None, None
        if share is not None:
            share.give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.reset()

    def __repr__(self) -> str:
        kind = f"aioipc.{type(self).__name__}"
        if self.opening is None or self.opening.closed:
            return f"<{kind} [closed]>"
        if not self:
            return f"<{kind} [empty]>"
        part: PlacedObject | None = self._aimed_at
        return f"<{kind} to {'an object' if part is None else 'a ' + type(part).__name__}>"
