# cython: language_level=3, binding=True, embedsignature=False, boundscheck=False, wraparound=False
"""The msgpack format: values, keys, and views that read without decoding.

The only module that knows the format.  It knows no segment and no C core: it reads any bytes.

Rules
  * Bytes may be shared memory that a hostile process changes while we read.  A header is read once into an
    Item, and its sizes are checked against what remains before anything is made of them; text is copied
    before it is checked.  What comes out may be nonsense, or CorruptSegmentError, never a crash.
  * Memory is asked for as values are read, not as counts promise.
  * Walking over values (skip, equal keys) is a loop; decoding recurses, DEPTH_MAX deep at most.
  * Python code can run whenever an object is made or compared, and might release the view at hand: a method
    holds the Owner in a local, so the bytes stay.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_FromObject
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.math cimport floor, isnan
from libc.stddef cimport size_t
from libc.stdint cimport INT32_MIN, INT64_MAX, UINT32_MAX, int8_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy

from collections.abc import ItemsView, KeysView, ValuesView
from datetime import datetime, timedelta, timezone

import msgpack

from aioipc.errors import ClosedError, CorruptSegmentError

cdef enum:
    DEPTH_MAX = 1025        # as deep as any msgpack.Packer writes
    STRIDE = 32             # elements between two marks of an array

# ---------------------------------------------------------------------------------- the parts, one concept a file

include "_msgpack_format.pxi"
include "_msgpack_pack.pxi"
include "_msgpack_unpack.pxi"
include "_msgpack_keys.pxi"
include "_msgpack_owner.pxi"
include "_msgpack_view.pxi"
include "_msgpack_places.pxi"
include "_msgpack_walk.pxi"
