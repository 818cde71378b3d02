# Where elements and pairs of a view are.  Part of _msgpack.pyx.
#
# A view remembers the place it last walked to, so that a loop over indexes or keys passes over the bytes once.
# Somebody who goes backwards makes it remember every STRIDE-th element of an array, for good.

cdef object element_at(View view, uint64_t index):
    cdef Owner owner = view.require()
    return element(owner, position(view, index), view.end)


cdef const uint8_t *position(View view, uint64_t index) except NULL:
    """Where an array's element is; `index` is below its length."""
    cdef const uint8_t *at = view.near_at
    cdef uint64_t start = view.near
    cdef int wrong
    if index < start and view.marks == NULL:
        mark(view)
    if view.marks != NULL and (index < start or index - start > STRIDE):
        start = index // STRIDE * STRIDE
        at = view.marks[index // STRIDE]
    wrong = skip(&at, view.end, index - start)
    if wrong != FINE:
        raise fault(wrong)
    view.near, view.near_at = index, at
    return at


cdef int mark(View view) except -1:
    cdef uint64_t i, count = view.item.number, many = count // STRIDE + 1
    cdef const uint8_t *at = view.data + view.item.head
    cdef const uint8_t **marks = <const uint8_t **>malloc(many * sizeof(uint8_t *))
    cdef int wrong = FINE
    if marks == NULL:
        raise MemoryError
    for i in range(many):
        marks[i] = at
        wrong = skip(&at, view.end, min(<uint64_t>STRIDE, count - i * STRIDE))
        if wrong != FINE:
            free(marks)
            raise fault(wrong)
    view.marks = marks
    return 0


cdef const uint8_t *find(View view, object key) except? NULL:
    """The place of a map's value for the key; NULL when it has none."""
    cdef Key packed
    cdef const uint8_t *at
    cdef const uint8_t *pair
    cdef uint64_t i, left
    cdef int wrong
    cdef bint same = False, possible = True
    try:
        keeper = pack_key(key, &packed)
    except (TypeError, ValueError, OverflowError):
        possible = False
    if not possible:
        hash(key)  # raises as a dict does
        return NULL  # what cannot be packed is not here
    # From where the last search ended, round to there again.
    at, i, left = view.near_at, view.near, view.item.number
    while left > 0:
        if i == view.item.number:
            at, i = view.data + view.item.head, 0
        pair = at
        wrong = same_key(&packed, at, view.end, &same)
        if wrong == FINE:
            wrong = skip(&at, view.end, 1)
        if wrong == FINE and same:
            view.near, view.near_at = i, pair
            return at
        if wrong == FINE:
            wrong = skip(&at, view.end, 1)
        if wrong != FINE:
            raise fault(wrong)
        i += 1
        left -= 1
    return NULL


cdef uint64_t count_up_to(View view, object value, uint64_t enough) except? <uint64_t>-1:
    """How many elements of an array equal the value; stops at `enough`."""
    cdef uint64_t found = 0
    for part in walk(view, ELEMENTS):
        if part == value:
            found += 1
            if found == enough:
                break
    return found
