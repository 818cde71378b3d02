# Python values to msgpack bytes.  Part of _msgpack.pyx.

cdef extern from "Python.h":
    bint PyUnicode_CheckExact(object value)
    bint PyBytes_CheckExact(object value)
    bint PyLong_CheckExact(object value)
    bint PyFloat_CheckExact(object value)
    double PyFloat_AS_DOUBLE(object value)
    long long PyLong_AsLongLongAndOverflow(object value, int *overflow) except? -1
    unsigned long long PyLong_AsUnsignedLongLong(object value) except? <unsigned long long>-1

cdef enum:
    PACKERS_MAX = 4             # idle packers kept
    PACKER_BYTES_MAX = 1 << 18  # a packer that has grown for a larger value is not kept

cdef str _POSSIBLE = (
    "msgpack has None, bool, int, float, str, bytes, list, tuple, dict, aware datetime, msgpack.Timestamp and ExtType"
)
cdef list _packers = []  # idle ones.  Packing can run Python code, which may pack: each use takes one of its own


cdef object pack(object value, Packed *out):
    cdef Py_ssize_t size = 0
    out.body, out.body_size = NULL, 0
    if PyUnicode_CheckExact(value):
        out.body = <const uint8_t *>PyUnicode_AsUTF8AndSize(value, &size)
        out.body_size = _checked_size(size)
        out.head_size = put_str(out.head, size)
        return value
    if PyBytes_CheckExact(value):
        out.body, out.body_size = <const uint8_t *>PyBytes_AS_STRING(value), _checked_size(PyBytes_GET_SIZE(value))
        out.head_size = put_bytes(out.head, out.body_size)
        return value
    if PyLong_CheckExact(value) or PyFloat_CheckExact(value) or value is None or value is True or value is False:
        out.head_size = put_scalar(out.head, value)
        return None
    packed = _pack_any(value)
    out.head_size = 0
    out.body, out.body_size = <const uint8_t *>PyBytes_AS_STRING(packed), PyBytes_GET_SIZE(packed)
    return packed


cdef inline size_t _checked_size(Py_ssize_t size) except? <size_t>-1:
    if size > <Py_ssize_t>UINT32_MAX:
        raise ValueError(f"a str or bytes of {size} bytes is too large for msgpack, which ends at 2**32 - 1; split it")
    return size


cdef size_t put_scalar(uint8_t *out, object value) except 0:
    """Writes None, a bool, an int or a float, or a subclass's value; 9 bytes at most."""
    cdef int overflow = 0
    cdef long long number
    if value is None:
        out[0] = 0xc0
        return 1
    if value is True or value is False:
        out[0] = 0xc3 if value is True else 0xc2
        return 1
    if isinstance(value, float):
        return put_float(out, PyFloat_AS_DOUBLE(value))
    number = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow == 0:
        return put_int(out, number)
    if overflow < 0:
        raise _too_large(value)
    try:
        return put_uint(out, PyLong_AsUnsignedLongLong(value))
    except OverflowError:
        raise _too_large(value) from None


cdef object _too_large(object number):
    digits = repr(int(number)) if int(number).bit_length() < 200 else f"of {int(number).bit_length()} bits"
    return OverflowError(
        f"the int {digits} does not fit msgpack's 64 bits (-2**63 to 2**64 - 1); store it as str or bytes")


cdef bytes _pack_any(object value):
    packer = _packers.pop() if _packers else msgpack.Packer(use_bin_type=True, datetime=True)
    # A packer that raised is dropped: it may hold half a value.
    try:
        packed = packer.pack(value)
    except OverflowError as error:
        raise _overflow(value, error) from None
    except TypeError as error:
        raise TypeError(f"{error}; {_POSSIBLE}") from None
    except UnicodeError:
        raise
    except ValueError as error:
        raise ValueError(_refused(str(error))) from None
    if len(_packers) < PACKERS_MAX and PyBytes_GET_SIZE(packed) <= PACKER_BYTES_MAX:
        _packers.append(packer)
    return packed


cdef str _refused(str message):
    if "recursion" in message:
        return "the value contains itself, or is nested too deep for msgpack"
    if "tzinfo" in message:
        return f"{message}; give the datetime a timezone: msgpack has moments, not wall clocks"
    return message


cdef object _overflow(object value, object error):
    found = _find_large(value, 0)
    return OverflowError(str(error)) if found is None else _too_large(found)


cdef object _find_large(object value, int depth):
    """The first int in a value that msgpack has no room for."""
    if isinstance(value, int):
        return None if -(1 << 63) <= value < 1 << 64 else value
    parts = ()
    if isinstance(value, dict):
        parts = [part for pair in value.items() for part in pair]
    elif isinstance(value, (list, tuple)):
        parts = list(value)
    for part in parts if depth < DEPTH_MAX else ():
        found = _find_large(part, depth + 1)
        if found is not None:
            return found
    return None


def packb(value) -> bytes:
    """The msgpack bytes of a value, as a segment stores it.

    `value` is None, a bool, an int of 64 bits, a float, str, bytes-like object, list, tuple or dict of such, an
    aware datetime, or a msgpack.Timestamp or ExtType.  Raises TypeError for another type, OverflowError for an int
    beyond 64 bits, ValueError for a value too large or nested too deep, or a naive datetime.

        packb({"a": 1}) == b"\\x81\\xa1a\\x01"
    """
    cdef Packed packed
    keeper = pack(value, &packed)
    if packed.head_size == 0:
        return keeper
    result = PyBytes_FromStringAndSize(NULL, packed.head_size + packed.body_size)
    cdef char *room = PyBytes_AS_STRING(result)
    memcpy(room, packed.head, packed.head_size)
    if packed.body_size > 0:
        memcpy(room + packed.head_size, packed.body, packed.body_size)
    return result
