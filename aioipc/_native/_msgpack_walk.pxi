# Iterating over views.  Part of _msgpack.pyx.

cdef enum:  # Walk.what
    ELEMENTS
    BACKWARDS
    KEYS
    VALUES
    ITEMS


@cython.final
@cython.freelist(8)
cdef class Walk:
    """An iterator over a view of a map or array.  ClosedError once the view is released."""

    cdef View view
    cdef const uint8_t *at
    cdef uint64_t left
    cdef int what

    def __iter__(self):
        return self

    def __length_hint__(self):
        return self.left

    def __next__(self):
        cdef Owner owner
        if self.left == 0 or self.view is None:
            raise StopIteration
        owner = self.view.require()
        if self.what == BACKWARDS:
            self.left -= 1
            return element_at(self.view, self.left)
        # Only then is the step made: another thread, or a finalizer, sees the walk before it or after it.
        cdef const uint8_t *start = self.at
        cdef const uint8_t *value = start
        if self.what != ELEMENTS:
            self.over(&value)
        cdef const uint8_t *behind = value
        self.over(&behind)
        self.at = behind
        self.left -= 1
        if self.what == ELEMENTS or self.what == VALUES:
            return element(owner, value, behind)
        name = _key_at(start, value)
        return name if self.what == KEYS else (name, element(owner, value, behind))

    cdef int over(self, const uint8_t **at) except -1:
        cdef int wrong = skip(at, self.view.end, 1)
        if wrong != FINE:
            raise fault(wrong)
        return 0


cdef object _key_at(const uint8_t *at, const uint8_t *end):
    cdef Cursor cursor
    cursor.at, cursor.end = at, end
    return decode(&cursor, DEPTH_MAX, True)


cdef Walk walk(View view, int what):
    cdef Walk result = Walk.__new__(Walk)
    result.view, result.what = view, what
    result.at, result.left = view.data + view.item.head, view.item.number
    return result


# The abstract classes would look up each key again.

class _Values(ValuesView):
    __slots__ = ()

    def __iter__(self):
        return _walk_map(self._mapping, VALUES)

    def __contains__(self, value):
        return any(each is value or each == value for each in self)


class _Items(ItemsView):
    __slots__ = ()

    def __iter__(self):
        return _walk_map(self._mapping, ITEMS)


cdef Walk _walk_map(View view, int what):
    view.require()
    return walk(view, what)
