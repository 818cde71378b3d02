"""A plugin for mypy, to whom `float64[16]` is no type: `plugins = ["aioipc.mypy"]` in [tool.mypy].

Without it, and for other type checkers, write `Annotated[aioipc.Items[float], aioipc.float64[16]]`.
"""

from collections.abc import Callable

from mypy.nodes import TypeInfo
from mypy.plugin import AnalyzeTypeContext, Plugin
from mypy.types import RawExpressionType, Type

_NUMBERS = {
    **dict.fromkeys(("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"), "int"),
    "bool_": "bool",
    "float32": "float",
    "float64": "float",
}
_FIXED = {"fixed_bytes": "bytes", "fixed_str": "str"}
_ATOMICS = ("AtomicInt64", "AtomicUInt64", "AtomicInt32", "AtomicUInt32", "AtomicBool", "AtomicFlag")


Hook = Callable[[AnalyzeTypeContext], Type]


def _items(context: AnalyzeTypeContext, value: str) -> Type:
    """The type of a field: Items of `value`, as many times as the annotation has dimensions."""
    found: Type = context.api.named_type(value, [])
    for n in context.type.args:
        if not isinstance(n, RawExpressionType) or not isinstance(n.literal_value, int):
            context.api.fail("a shape is made of whole numbers: float64[16], float64[3, 4]", context.context)
        found = context.api.named_type("aioipc.items.Items", [found])
    return found


class _AioipcPlugin(Plugin):
    def get_type_analyze_hook(self, fullname: str) -> Hook | None:
        module, _, name = fullname.rpartition(".")
        if module == "aioipc.structs" and name in _NUMBERS:
            return lambda context: _items(context, f"builtins.{_NUMBERS[name]}")
        if module == "aioipc.structs" and name in _FIXED:
            return lambda context: context.api.named_type(f"builtins.{_FIXED[name]}", [])
        if (module == "aioipc.atomics" and name in _ATOMICS) or self._is_struct(fullname):
            return lambda context: _items(context, fullname)
        return None

    def _is_struct(self, fullname: str) -> bool:
        """Whether it is a subclass of Struct."""
        symbol = self.lookup_fully_qualified(fullname)
        info = symbol.node if symbol is not None else None
        return isinstance(info, TypeInfo) and any(
            base.fullname == "aioipc.structs.Struct" for base in info.mro[1:]
        )


def plugin(version: str) -> type[Plugin]:
    """What mypy asks for."""
    return _AioipcPlugin
