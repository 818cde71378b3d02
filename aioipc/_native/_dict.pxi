# SharedDict: handles and iterators.  Part of _core.pyx.

DICT_SIZE = sizeof(aipc_dict)

@cython.final
cdef class Missing:
    """No value: not even None."""

    def __repr__(self):
        return "aioipc.MISSING"

    def __reduce__(self):
        return "MISSING"

    def __bool__(self):
        return False

MISSING = Missing()

cdef object STORED = object()  # what no value can be


def dict_image() -> bytes:
    """What a new dict object starts with."""
    cdef aipc_dict image
    aipc_dict_init(&image)
    return (<char *>&image)[:sizeof(image)]


cdef class DictHandle(Handle):
    """What SharedDict does."""

    cdef DictPin dict

    def _bind(self, object segment, Opening opening not None, Pin pin not None):
        Handle._bind(self, segment, opening, pin)
        self.dict = <DictPin?>pin

    cdef int failed(self, aipc_status status, uint64_t asked, str what) except -1:
        return self.dict.attachment.check_space(status, asked, what)

    # --- reading

    cdef aipc_ctx *find(self, object key, aipc_dict_found *found) except? NULL:
        """The context that keeps *found readable until _put_down; NULL: there is no such key."""
        cdef Key packed
        self.usable("dict")
        keeper = _pack_known(key, &packed)
        if keeper is MISSING:
            return NULL
        cdef aipc_dict_key bytes = aipc_dict_key_of(self.dict.seg, packed.canonical, packed.canonical_size)
        cdef aipc_ctx *ctx = self.dict.attachment.enter()
        cdef aipc_status status = aipc_dict_get(ctx, self.dict.dict, &bytes, found)
        if status == AIPC_OK:
            return ctx
        aipc_ctx_leave(ctx)
        if status != AIPC_NOT_FOUND:
            self.failed(status, 0, "reading a dict")
        return NULL

    cdef object fetch(self, object key, uint64_t *version):
        """The value of a key, decoded; MISSING."""
        cdef aipc_dict_found found
        cdef aipc_ctx *ctx = self.find(key, &found)
        if ctx == NULL:
            return MISSING
        try:
            if version != NULL:
                version[0] = found.version
            return unpack(found.value, found.value_size)
        finally:
            _put_down(ctx)

    def __getitem__(self, key):
        value = self.fetch(key, NULL)
        if value is MISSING:
            raise KeyError(key)
        return value

    @cython.binding(False)
    def get(self, key, default=None):
        """The value of the key, or `default`."""
        value = self.fetch(key, NULL)
        return default if value is MISSING else value

    def __contains__(self, key):
        cdef aipc_dict_found found
        cdef aipc_ctx *ctx = self.find(key, &found)
        if ctx == NULL:
            return False
        _put_down(ctx)
        return True

    def __len__(self):
        self.usable("dict")
        if aipc_dict_closed(self.dict.dict):
            raise ClosedError("the dict was destroyed")
        return aipc_dict_count(self.dict.dict)

    def view(self, key):
        """A View of the key's value as it is now: nothing is copied or decoded until asked for.

        Whatever other processes do to the key, the value stays as it is and where it is until the last view of
        it goes, or this process dies.  `with d.view(key) as v:` ends it; the segment cannot be closed before.
        A process can keep 64 values in place; more are copied.  Raises KeyError.
        """
        cdef aipc_dict_found found
        cdef PinnedValue pinned = PinnedValue.__new__(PinnedValue)
        cdef aipc_ctx *ctx = self.find(key, &found)
        if ctx == NULL:
            raise KeyError(key)
        try:
            return self.viewed(pinned, &found)
        finally:
            _put_down(ctx)

    cdef View viewed(self, PinnedValue pinned, aipc_dict_found *found):
        cdef CopiedValue copied
        if aipc_value_pin(self.dict.seg, found.entry, &pinned.index) == AIPC_OK:
            pinned.opening, pinned.dict, pinned.identity = self.opening, self.dict, self.dict.seg.self
            self.opening.exports += 1
            return view_of(found.value, found.value_size, pinned)
        copied = CopiedValue.__new__(CopiedValue)
        copied.value = (<char *>found.value)[:found.value_size]
        return view_of(<const uint8_t *><char *>copied.value, found.value_size, copied)

    # --- writing

    cdef object store(self, object key, object value, aipc_dict_mode mode, uint64_t version):
        """Stores a value: STORED.  Otherwise nothing was stored; ABSENT gives the value that is there, VERSION and
        PRESENT give MISSING."""
        cdef Key packed
        cdef Packed body
        cdef aipc_dict_draft draft
        cdef aipc_dict_found found
        cdef aipc_ctx *ctx
        cdef aipc_status status
        self.usable("dict")
        keeper = pack_key(key, &packed)
        value_keeper = pack(value, &body)
        cdef aipc_dict_key bytes = aipc_dict_key_of(self.dict.seg, packed.canonical, packed.canonical_size)
        while True:
            ctx = self.dict.attachment.enter()
            status = aipc_dict_draft_make(ctx, self.dict.dict, &bytes, packed.original, packed.original_size,
                                          body.head_size + body.body_size, &draft)
            if status == AIPC_OK:
                memcpy(draft.value, body.head, body.head_size)
                memcpy(draft.value + body.head_size, body.body, body.body_size)
                status = aipc_dict_put(ctx, self.dict.dict, &draft, mode, version, &found, NULL)
                if status == AIPC_OK:
                    aipc_ctx_leave(ctx)
                    return STORED
                aipc_dict_discard(ctx, &draft)
            try:
                if status == AIPC_EXISTS:
                    if mode == AIPC_DICT_ABSENT:
                        return unpack(found.value, found.value_size)
                    original = (<char *>found.original)[:found.original_size]  # an equal key came first, and stays
            finally:
                _put_down(ctx)
            if status != AIPC_EXISTS:
                break
            packed.original, packed.original_size = <const uint8_t *><char *>original, len(original)
        if status != AIPC_NOT_FOUND and (status != AIPC_AGAIN or mode != AIPC_DICT_VERSION):
            self.failed(status, packed.canonical_size + body.head_size + body.body_size, "storing in a dict")
        return MISSING

    cdef object remove(self, object key, uint64_t version, bint wanted):
        """Takes a key away: its value (None unless `wanted`); MISSING."""
        cdef Key packed
        cdef aipc_dict_found found
        cdef aipc_ctx *ctx
        cdef aipc_status status
        self.usable("dict")
        keeper = _pack_known(key, &packed)
        if keeper is MISSING:
            return MISSING
        cdef aipc_dict_key bytes = aipc_dict_key_of(self.dict.seg, packed.canonical, packed.canonical_size)
        ctx = self.dict.attachment.enter()
        status = aipc_dict_delete(ctx, self.dict.dict, &bytes, version, &found if wanted else NULL)
        try:
            if status == AIPC_OK:
                return unpack(found.value, found.value_size) if wanted else None
        finally:
            aipc_dict_done(ctx)
            if wanted and status == AIPC_OK:
                aipc_dict_collect(ctx, self.dict.dict)
            aipc_ctx_leave(ctx)
        if status != AIPC_NOT_FOUND and (status != AIPC_AGAIN or version == 0):
            self.failed(status, 0, "deleting from a dict")
        return MISSING

    def __setitem__(self, key, value):
        self.store(key, value, AIPC_DICT_ALWAYS, 0)

    def __delitem__(self, key):
        if self.remove(key, 0, False) is MISSING:
            raise KeyError(key)

    def setdefault(self, key, default=None):
        """The value of the key; when there is none, `default` is stored first, atomically."""
        value = self.fetch(key, NULL)
        if value is MISSING:
            value = self.store(key, default, AIPC_DICT_ABSENT, 0)
            if value is STORED:
                value = _as_stored(default)
        return value

    def pop(self, key, default=MISSING):
        """Takes the key away and gives its value; `default`, or KeyError, when there is none."""
        value = self.remove(key, 0, True)
        if value is not MISSING:
            return value
        if default is MISSING:
            raise KeyError(key)
        return default

    def popitem(self):
        """Takes the youngest key away: (key, value).  KeyError when the dict is empty."""
        cdef aipc_dict_found found
        cdef aipc_ctx *ctx
        cdef aipc_status status
        cdef uint64_t version, before = 0
        while True:
            self.usable("dict")
            ctx = self.dict.attachment.enter()
            status = aipc_dict_last(ctx, self.dict.dict, &found)
            try:
                if status == AIPC_OK:
                    version = found.version
                    key, value = _key_of(&found), unpack(found.value, found.value_size)
            finally:
                _put_down(ctx)
            if status == AIPC_NOT_FOUND:
                raise KeyError("popitem(): dictionary is empty")
            self.failed(status, 0, "reading a dict")
            if version == before:  # it is the last one still, and looking it up does not find it
                raise CorruptSegmentError(f"the dict's youngest key {key!r} is not where its hash says")
            before = version
            if self.remove(key, version, False) is not MISSING:
                return key, value

    def compare_and_set(self, key, expected, new) -> bool:
        """Stores `new` if the value equals `expected`, atomically; whether it did.

        MISSING as `expected` means that there is no such key, as `new` that it shall be taken away.
        """
        cdef uint64_t version = 0
        while True:
            value = self.fetch(key, &version)
            if value is MISSING or expected is MISSING:
                if value is not expected:
                    return False
                if new is MISSING:
                    return True
                done = self.store(key, new, AIPC_DICT_ABSENT, 0) is STORED
            elif value != expected:
                return False
            elif new is MISSING:
                done = self.remove(key, version, False) is not MISSING
            else:
                done = self.store(key, new, AIPC_DICT_VERSION, version) is STORED
            if done:
                return True

    def update_with(self, key, function, default=None):
        """Replaces the value by `function(value)`, atomically; returns what the function gave.

        The function gets `default` when there is no such key.  It runs again when another process was faster,
        and under no lock.  When it returns MISSING the key is taken away.
        """
        cdef uint64_t version = 0
        while True:
            value = self.fetch(key, &version)
            new = function(default if value is MISSING else value)
            if new is MISSING:
                done = value is MISSING or self.remove(key, version, False) is not MISSING
            elif value is MISSING:
                done = self.store(key, new, AIPC_DICT_ABSENT, 0) is STORED
            else:
                done = self.store(key, new, AIPC_DICT_VERSION, version) is STORED
            if done:
                return new

    def clear(self):
        """Takes all keys away at once."""
        self.usable("dict")
        cdef aipc_ctx *ctx = self.dict.attachment.enter()
        cdef aipc_status status = aipc_dict_clear(ctx, self.dict.dict)
        aipc_ctx_leave(ctx)
        self.failed(status, 0, "clearing a dict")

    # --- iterating

    def _iterate(self, bint keys, bint values, bint backwards=False):
        """An iterator over keys, values, or pairs of them."""
        cdef DictIterator iterator
        self.usable("dict")
        iterator = DictIterator.__new__(DictIterator)
        iterator.handle, iterator.keys, iterator.values, iterator.backwards = self, keys, values, backwards
        return iterator

    def __iter__(self):
        return self._iterate(True, False)

    def __reversed__(self):
        return self._iterate(True, False, True)

    def _statistics(self):
        cdef aipc_dict_stats stats
        self.usable("dict")
        cdef aipc_ctx *ctx = self.dict.attachment.enter()
        cdef aipc_status status = aipc_dict_stats_get(ctx, self.dict.dict, &stats)
        aipc_ctx_leave(ctx)
        self.failed(status, 0, "a dict's statistics")
        return {"count": stats.count, "holes": stats.holes, "capacity": stats.capacity, "rebuilds": stats.rebuilds,
                "retired_blocks": stats.retired_blocks}


cdef inline void _put_down(aipc_ctx *ctx) noexcept:
    """Ends the protection of what was found, and the operation."""
    aipc_dict_done(ctx)
    aipc_ctx_leave(ctx)


cdef object _pack_known(object key, Key *out):
    """pack_key for a key that may be there.  MISSING: what is hashable and cannot be packed is not."""
    try:
        return pack_key(key, out)
    except (TypeError, ValueError, OverflowError):
        hash(key)
        return MISSING


cdef object _as_stored(object value):
    """What reading it would give: tuples become lists."""
    cdef Packed packed
    keeper = pack(value, &packed)
    whole = packed.head[:packed.head_size] + packed.body[:packed.body_size]
    return unpack(<const uint8_t *><char *>whole, len(whole))


cdef object _key_of(aipc_dict_found *found):
    """The key as it was given."""
    if found.original_size != 0:
        return unpack_key(found.original, found.original_size)
    return unpack_key(found.key, found.key_size)


@cython.final
cdef class DictIterator:
    """Goes through a dict that others change meanwhile."""

    cdef DictHandle handle
    cdef aipc_dict_cursor cursor
    cdef bint keys, values, backwards, ended

    def __iter__(self):
        return self

    def __next__(self):
        cdef aipc_dict_found found
        cdef aipc_ctx *ctx
        cdef aipc_status status
        if self.ended:
            raise StopIteration
        self.handle.usable("dict")
        ctx = self.handle.dict.attachment.enter()
        if self.backwards:
            status = aipc_dict_prev(ctx, self.handle.dict.dict, &self.cursor, &found)
        else:
            status = aipc_dict_next(ctx, self.handle.dict.dict, &self.cursor, &found)
        try:
            if status == AIPC_OK:
                key = _key_of(&found) if self.keys else None
                if not self.values:
                    return key
                value = unpack(found.value, found.value_size)
                return (key, value) if self.keys else value
        finally:
            _put_down(ctx)
        self.ended = True
        if status != AIPC_NOT_FOUND:
            self.handle.failed(status, 0, "going through a dict")
        raise StopIteration
