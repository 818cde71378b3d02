"""What other extension modules of the package use of _msgpack.

    cdef Packed packed
    keeper = pack(value, &packed)               # hold `keeper` while packed.body is read
    memcpy(room, packed.head, packed.head_size)
    memcpy(room + packed.head_size, packed.body, packed.body_size)

A Packed or Key is filled by one call, read, and forgotten: it points into itself and into its keeper, so it is
never copied.  `data` may be shared memory that a hostile process changes meanwhile: each function reads inside
[data, data + size) only, looks at each header once, and checks text after it has copied it.
"""

cimport cython
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t

# --- values

cdef struct Packed:             # a value's msgpack bytes, in two pieces, so that a large bytes/str is not copied
    uint8_t head[16]
    size_t head_size
    const uint8_t *body         # borrowed from what pack() returned
    size_t body_size

cdef object pack(object value, Packed *out)             # returns what keeps `body` alive; it may be None
cdef object unpack(const uint8_t *data, size_t size)    # CorruptSegmentError when they are not one whole value

# --- keys

cdef struct Key:
    uint8_t room[256]           # short keys are encoded here
    const uint8_t *canonical    # what is hashed and compared: equal keys have equal canonical bytes
    size_t canonical_size
    const uint8_t *original     # msgpack bytes that decode to the key as it was given
    size_t original_size        # 0: the canonical bytes do that

cdef object pack_key(object key, Key *out)              # returns what keeps the bytes alive; it may be None
cdef object unpack_key(const uint8_t *data, size_t size)

# --- views

cdef class Owner:
    """Keeps a view's bytes in place for as long as it exists; subclassed by who owns memory."""

    # Raises when the bytes may no longer be looked at.  They stay mapped even then.
    cdef int require(self) except -1

cdef struct Item:               # one msgpack header, read once into private memory
    int kind
    int code                    # an ext's type
    size_t head                 # bytes of the header, with a number's bytes
    size_t body                 # bytes of a str, bytes or ext
    uint64_t number             # an int, or how many elements or pairs
    double real

@cython.final
cdef class View:
    cdef Owner owner            # None: released
    cdef const uint8_t *data
    cdef const uint8_t *end     # nothing is read from here on
    cdef Item item              # the header as it was when the view was made
    cdef bint whole             # the value must end at `end`
    cdef uint64_t near          # the element or pair last walked to, and where it is: loops need not start over
    cdef const uint8_t *near_at
    cdef const uint8_t **marks  # every STRIDE-th element, once somebody went backwards; NULL: not yet

    cdef Owner require(self)
    cdef Owner expect(self, int kind, str what)

cdef View view_of(const uint8_t *data, size_t size, Owner owner)
