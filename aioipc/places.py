"""What structs, arrays and atomic numbers have in common: handles on the whole of an object, or on a part."""

from typing import Any

from ._native import _core
from .objects import SharedObject, name_of

__all__ = ["PlacedObject"]


class PlacedObject(SharedObject, _core.Place):
    """Base of what users see in place.

    A handle on a part keeps the memory of the object that it is a part of, and is pickled with it.
    """

    __slots__ = ()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        field_type = cls.__dict__.get("_field_type")
        if field_type is not None:
            field_type.cls = cls

    @property
    def name(self) -> str | None:
        """The object's name; None when it is anonymous, unique, or a part of another one."""
        return None if self._whole is not None else super().name

    def _destroy(self) -> bool:
        if self._whole is not None:
            raise ValueError(f"{self!r} is a part of an object, and goes with it")
        return super()._destroy()

    def __reduce__(self) -> Any:
        return super().__reduce__() if self._whole is None else (_core.part, (self._whole, self._part))

    def __repr__(self) -> str:
        if self._whole is None or self.opening.closed:
            return super().__repr__()
        place: Any = self
        path = ""
        while place._whole is not None:
            path = (f".{place._part}" if isinstance(place._part, str) else f"[{place._part}]") + path
            place = place._whole
        whole = name_of(place)
        state = "[destroyed]" if self.pin.destroyed else self._describe()
        return f"<aioipc.{type(self).__name__} {'' if whole is None else repr(whole)}{path} {state}>"
