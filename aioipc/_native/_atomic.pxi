# Atomic numbers and flags: one word, each operation one sequentially consistent access.  Part of _core.pyx.

TYPE_ATOMIC_INT64 = AIPC_TYPE_ATOMIC_INT64
TYPE_ATOMIC_UINT64 = AIPC_TYPE_ATOMIC_UINT64
TYPE_ATOMIC_INT32 = AIPC_TYPE_ATOMIC_INT32
TYPE_ATOMIC_UINT32 = AIPC_TYPE_ATOMIC_UINT32
TYPE_ATOMIC_BOOL = AIPC_TYPE_ATOMIC_BOOL
TYPE_ATOMIC_FLAG = AIPC_TYPE_ATOMIC_FLAG

cdef enum Change:
    EXCHANGE, ADD, SUB, AND, OR, XOR


@cython.final
cdef class AtomicType(FieldType):
    """A word that many processes change at once, and what its values are."""

    cdef Scalar number          # range and name of its values

    def __init__(self, str name not None, Scalar number not None):
        self.text, self.number, self.size = name, number, 8 if number.size == 8 else 4
        self.alignment, self.format = self.size, None

    cdef object load(self, Place owner, uint8_t *memory, object key):
        view = _new_handle(self.cls, ())
        (<AtomicHandle?>view).become(owner, memory, self, key)
        return view

    cdef int store(self, Attachment home, uint8_t *memory, object value) except -1:
        if isinstance(value, AtomicHandle):
            value = (<AtomicHandle>value).load()
        self.change(memory, EXCHANGE, self.number.whole(value))
        return 0

    cdef inline object value(self, uint64_t word):
        """What a word means."""
        cdef Kind kind = self.number.kind
        if kind == I64:
            return <int64_t>word
        elif kind == I32:
            return <int32_t>word
        elif kind == BOOL:
            return word != 0
        return word if kind == U64 else <uint32_t>word

    cdef inline uint64_t read(self, uint8_t *memory) noexcept:
        if self.size == 8:
            return aipc_load_seq_cst64(<uint64_t *>memory)
        return aipc_load_seq_cst32(<uint32_t *>memory)

    cdef inline uint64_t change(self, uint8_t *memory, Change how, uint64_t operand) noexcept:
        """Changes the word; what it was."""
        if self.size == 8:
            return self.change64(<uint64_t *>memory, how, operand)
        return self.change32(<uint32_t *>memory, how, <uint32_t>operand)

    cdef uint64_t change64(self, uint64_t *word, Change how, uint64_t operand) noexcept:
        if how == ADD:
            return aipc_fetch_add_seq_cst64(word, operand)
        elif how == SUB:
            return aipc_fetch_add_seq_cst64(word, 0 - operand)
        elif how == AND:
            return aipc_fetch_and_seq_cst64(word, operand)
        elif how == OR:
            return aipc_fetch_or_seq_cst64(word, operand)
        elif how == XOR:
            return aipc_fetch_xor_seq_cst64(word, operand)
        return aipc_exchange_seq_cst64(word, operand)

    cdef uint32_t change32(self, uint32_t *word, Change how, uint32_t operand) noexcept:
        if how == ADD:
            return aipc_fetch_add_seq_cst32(word, operand)
        elif how == SUB:
            return aipc_fetch_add_seq_cst32(word, 0 - operand)
        elif how == AND:
            return aipc_fetch_and_seq_cst32(word, operand)
        elif how == OR:
            return aipc_fetch_or_seq_cst32(word, operand)
        elif how == XOR:
            return aipc_fetch_xor_seq_cst32(word, operand)
        return aipc_exchange_seq_cst32(word, operand)


cdef class AtomicHandle(Place):
    """What all atomic words do."""

    cdef AtomicType atomic

    cdef int become(self, Place parent, uint8_t *memory, FieldType type, object key) except -1:
        self.atomic = type
        return Place.become(self, parent, memory, type, key)

    def _bind(self, object segment, Opening opening not None, Pin pin not None):
        Handle._bind(self, segment, opening, pin)
        self.type = self.atomic = <AtomicType?>type(self)._field_type
        if pin.ref.size < self.type.size:
            raise CorruptSegmentError(f"the {self.type.text} at offset {pin.ref.object:#x} has {pin.ref.size} bytes")
        self.memory = pin.seg.base + pin.ref.payload

    cdef inline object changed(self, Change how, object operand):
        """Changes the word; the value it had."""
        cdef uint64_t word = self.word(operand)
        return self.atomic.value(self.atomic.change(self.reach(), how, word))

    cdef inline uint64_t word(self, object value) except? 0x5eed:
        """Of a value, which may close the segment when it is asked for: `reach` comes afterwards."""
        if self.atomic is None:
            self.look()
        return self.atomic.number.whole(value)

    @cython.binding(False)
    def load(self):
        """The value at this moment."""
        cdef uint8_t *memory = self.reach()
        return self.atomic.value(self.atomic.read(memory))

    @cython.binding(False)
    def store(self, value):
        """Sets the value."""
        self.changed(EXCHANGE, value)

    @cython.binding(False)
    def exchange(self, value):
        """Sets the value; returns the one before."""
        return self.changed(EXCHANGE, value)

    def compare_exchange(self, expected, desired) -> bool:
        """Sets the value to `desired` if it is `expected`; whether it did."""
        cdef uint64_t before = self.word(expected), after = self.word(desired)
        cdef uint8_t *memory = self.reach()
        if self.atomic.size == 8:
            return aipc_cas_seq_cst64(<uint64_t *>memory, before, after)
        return aipc_cas_seq_cst32(<uint32_t *>memory, <uint32_t>before, <uint32_t>after)

    @cython.binding(False)
    def fetch_and(self, value):
        """Replaces the value by its bits that `value` has too; returns the one before."""
        return self.changed(AND, value)

    @cython.binding(False)
    def fetch_or(self, value):
        """Adds the bits of `value` to the value's; returns the one before."""
        return self.changed(OR, value)

    @cython.binding(False)
    def fetch_xor(self, value):
        """Turns over the bits that `value` has; returns the value before."""
        return self.changed(XOR, value)


cdef class AtomicNumber(AtomicHandle):
    """What atomic whole numbers do: results that are out of range wrap around, as in C."""

    @cython.binding(False)
    def fetch_add(self, value):
        """Adds `value`; returns the value before."""
        return self.changed(ADD, value)

    @cython.binding(False)
    def fetch_sub(self, value):
        """Subtracts `value`; returns the value before."""
        return self.changed(SUB, value)

    @cython.binding(False)
    def add(self, value=1):
        """Adds `value`; returns the value after."""
        cdef uint64_t operand = self.word(value)
        return self.atomic.value(self.atomic.change(self.reach(), ADD, operand) + operand)

    @cython.binding(False)
    def sub(self, value=1):
        """Subtracts `value`; returns the value after."""
        cdef uint64_t operand = self.word(value)
        return self.atomic.value(self.atomic.change(self.reach(), SUB, operand) - operand)

    def __int__(self):
        return self.load()


cdef class AtomicSwitch(AtomicHandle):
    """What an atomic flag does."""

    @cython.binding(False)
    def test_and_set(self):
        """Sets the flag; returns whether it was set before."""
        return self.changed(EXCHANGE, 1)

    @cython.binding(False)
    def test(self):
        """Whether the flag is set."""
        return self.load()

    @cython.binding(False)
    def clear(self):
        """Clears the flag."""
        self.changed(EXCHANGE, 0)
