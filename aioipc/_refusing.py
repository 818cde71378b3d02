"""What everything that was opened read-only does."""

from typing import Any, NoReturn

from .errors import ReadOnlyError

__all__ = ["Refusing"]


class Refusing:
    """Base of what is only read: what would change something, which `_model` knows, raises ReadOnlyError."""

    __slots__ = ()
    _model: type

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(self._model, name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self._refuse

    def _refuse(self, *arguments: Any, **options: Any) -> NoReturn:
        raise ReadOnlyError(f"{self!r} was opened read-only; open the segment with open()")

    def __reduce__(self) -> Any:
        raise TypeError(f"{self!r} cannot be pickled; open the segment read-only there too")
