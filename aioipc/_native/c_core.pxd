"""The core's C interface, one to one with core/aipc.h. What each function promises is said there."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "aipc.h":
    ctypedef bint cbool "_Bool"

    # --- status.h
    ctypedef enum aipc_status:
        AIPC_OK, AIPC_AGAIN, AIPC_FULL, AIPC_EXISTS, AIPC_NOT_FOUND, AIPC_PENDING, AIPC_TYPE_MISMATCH, AIPC_INVALID,
        AIPC_NOT_OWNER, AIPC_CLOSED, AIPC_BROKEN, AIPC_SHUT_DOWN, AIPC_FORKED, AIPC_CORRUPT, AIPC_INCOMPATIBLE, AIPC_STALLED,
        AIPC_NO_SLOT, AIPC_NO_WAITER, AIPC_INTERRUPTED, AIPC_GONE, AIPC_SYSTEM

    # --- layout.h
    enum: AIPC_MAX_PARTICIPANTS, AIPC_CONTEXTS, AIPC_BELLS, AIPC_NAME_MAX
    enum: AIPC_NAMED, AIPC_UNIQUE, AIPC_ANONYMOUS
    enum: AIPC_FLAG_LAST_DETACH, AIPC_FLAG_ORDERED
    enum: AIPC_PAGES_KEPT, AIPC_PAGES_PRIVATE, AIPC_PAGES_SHARED
    enum: AIPC_INTERNAL, AIPC_OWNED
    enum: AIPC_MAX_NODES, AIPC_EVERYBODY
    uint64_t AIPC_SEMAPHORE_MAX, AIPC_LIMITER_NO_LIMIT
    enum: AIPC_TYPE_LOCK, AIPC_TYPE_QUEUE, AIPC_TYPE_DICT
    enum: AIPC_TYPE_RLOCK, AIPC_TYPE_ONCE, AIPC_TYPE_LEADER, AIPC_TYPE_RWLOCK, AIPC_TYPE_CONDITION
    enum: AIPC_TYPE_SEMAPHORE, AIPC_TYPE_BOUNDED_SEMAPHORE, AIPC_TYPE_EVENT, AIPC_TYPE_BARRIER, AIPC_TYPE_LIMITER
    enum: AIPC_TYPE_ATOMIC_INT64, AIPC_TYPE_ATOMIC_UINT64, AIPC_TYPE_ATOMIC_INT32, AIPC_TYPE_ATOMIC_UINT32
    enum: AIPC_TYPE_ATOMIC_BOOL, AIPC_TYPE_ATOMIC_FLAG, AIPC_TYPE_ARRAY
    enum: AIPC_TYPE_BUFFER_IO, AIPC_TYPE_VECTOR_IO
    int64_t AIPC_LIVENESS_BASE
    uint64_t AIPC_MAGIC

    struct aipc_header:
        uint8_t uuid[16]
        uint64_t magic, max_size, size, created_at, creator_pid
        uint32_t participants, flags, unlinked

    struct aipc_object:
        uint32_t shares
        uint16_t name_size
        char name[1]

    struct aipc_holding:
        uint64_t target

    struct aipc_lock:
        uint64_t word
        uint64_t holder[4]

    struct aipc_leader:
        aipc_lock lock
        uint64_t term

    struct aipc_wait_queue:
        uint32_t length

    struct aipc_line:
        aipc_wait_queue queue
        uint32_t contended

    struct aipc_domain:
        uint32_t lock

    struct aipc_catalog:
        aipc_domain domain
        uint64_t epoch
        aipc_lock turn

    struct aipc_heap:
        uint64_t free_bytes, hole_bytes

    # --- attachment.h
    ctypedef struct aipc_fault:
        const char *what
        uint64_t offset, found, expected, pid

    struct aipc_context:
        uint64_t thread

    ctypedef struct aipc_ctx:
        aipc_context *shared
        uint64_t block

    ctypedef struct aipc_seg:
        aipc_ctx ctx[1]
        uint8_t *base
        aipc_header *header
        uint64_t self, mapped, limit, device, inode, bells_taken
        uint32_t algorithm, slot, generation, forked, solitary, participants, free_contexts, lost_contexts, roster_seen, uninterruptible
        uint32_t slot, generation, forked, solitary, ordered, participants, free_contexts, lost_contexts, roster_seen, uninterruptible
        uint32_t slot, generation, forked, solitary, pages, participants, free_contexts, lost_contexts, roster_seen, uninterruptible
        aipc_catalog *catalog
        aipc_heap *heap
        uint64_t self, limit, device, inode, bells_taken
        uint32_t slot, generation, forked, participants, free_contexts, lost_contexts, roster_seen, uninterruptible
        aipc_status (*idle)(aipc_seg *seg, const uint32_t *word, uint32_t seen) noexcept
        void (*bulk)(uint8_t *to, const uint8_t *from_, uint64_t count) noexcept
        void *user
        uint64_t stall_ns
        aipc_fault fault
        int fd, error

    aipc_status aipc_seg_verify_descriptors(aipc_seg *seg)
    aipc_status aipc_ctx_enter(aipc_seg *seg, aipc_ctx **ctx)
    void aipc_ctx_leave(aipc_ctx *ctx)

    # --- grow.h, holes.h
    ctypedef struct aipc_growth:
        uint64_t extra, size, to

    aipc_growth aipc_growth_by(uint64_t extra)
    aipc_status aipc_grow_prepare(aipc_seg *seg, aipc_growth *growth) nogil
    aipc_status aipc_grow_finish(aipc_ctx *ctx, aipc_growth *growth)
    void aipc_grow_cancel(aipc_seg *seg, aipc_growth *growth)
    aipc_status aipc_shrink_to_fit(aipc_ctx *ctx)
    aipc_status aipc_raise_max(aipc_ctx *ctx, uint64_t max_size)

    ctypedef struct aipc_trim:
        uint64_t given

    aipc_status aipc_trim_next(aipc_ctx *ctx, aipc_trim *trim)
    aipc_status aipc_trim_punch(aipc_seg *seg, const aipc_trim *trim) nogil
    aipc_status aipc_trim_done(aipc_ctx *ctx, const aipc_trim *trim)

    # --- heap.h, holdings.h
    cbool aipc_heap_may_read(aipc_seg *seg, uint64_t payload)

    ctypedef struct aipc_heap_stats:
        uint64_t total_bytes, free_bytes, hole_bytes, largest_free, used_blocks

    aipc_status aipc_heap_allocate(aipc_ctx *ctx, uint64_t size, uint64_t alignment, uint32_t flags,
                                   uint64_t *orphan, uint64_t *payload)
    aipc_status aipc_heap_size_of(aipc_seg *seg, uint64_t payload, uint64_t *size, uint32_t *flags)
    aipc_status aipc_heap_stats_get(aipc_ctx *ctx, aipc_heap_stats *stats)
    aipc_status aipc_deallocate(aipc_ctx *ctx, uint64_t payload)

    # --- atomics.h
    uint8_t aipc_load_relaxed8(const uint8_t *word)
    uint16_t aipc_load_relaxed16(const uint16_t *word)
    uint32_t aipc_load_relaxed32(const uint32_t *word)
    uint64_t aipc_load_relaxed64(const uint64_t *word)
    void aipc_store_relaxed8(uint8_t *word, uint8_t value)
    void aipc_store_relaxed16(uint16_t *word, uint16_t value)
    void aipc_store_relaxed32(uint32_t *word, uint32_t value)
    void aipc_store_relaxed64(uint64_t *word, uint64_t value)
    uint32_t aipc_load_seq_cst32(const uint32_t *word)
    uint64_t aipc_load_seq_cst64(const uint64_t *word)
    uint32_t aipc_exchange_seq_cst32(uint32_t *word, uint32_t value)
    uint64_t aipc_exchange_seq_cst64(uint64_t *word, uint64_t value)
    cbool aipc_cas_seq_cst32(uint32_t *word, uint32_t expected, uint32_t desired)
    cbool aipc_cas_seq_cst64(uint64_t *word, uint64_t expected, uint64_t desired)
    uint32_t aipc_fetch_add_seq_cst32(uint32_t *word, uint32_t value)
    uint64_t aipc_fetch_add_seq_cst64(uint64_t *word, uint64_t value)
    uint32_t aipc_fetch_and_seq_cst32(uint32_t *word, uint32_t value)
    uint64_t aipc_fetch_and_seq_cst64(uint64_t *word, uint64_t value)
    uint32_t aipc_fetch_or_seq_cst32(uint32_t *word, uint32_t value)
    uint64_t aipc_fetch_or_seq_cst64(uint64_t *word, uint64_t value)
    uint32_t aipc_fetch_xor_seq_cst32(uint32_t *word, uint32_t value)
    uint64_t aipc_fetch_xor_seq_cst64(uint64_t *word, uint64_t value)

    # --- catalog.h
    ctypedef struct aipc_object_spec:
        uint8_t kind
        const char *name
        uint32_t name_size
        uint64_t type, size
        uint32_t count
        const void *initial
        uint64_t zeros
        uint32_t shares, word_count
        const uint64_t *words

    ctypedef struct aipc_object_ref:
        uint64_t object, payload, size, type, serial, holding
        uint32_t count
        uint8_t kind

    aipc_status aipc_construct(aipc_ctx *ctx, const aipc_object_spec *spec, aipc_object_ref *ref)
    aipc_status aipc_find(aipc_ctx *ctx, uint8_t kind, const char *name, uint32_t name_size,
                          aipc_object_ref *ref)
    aipc_status aipc_find_or_construct(aipc_ctx *ctx, const aipc_object_spec *spec, aipc_object_ref *ref,
                                       cbool *created)
    aipc_status aipc_pin(aipc_ctx *ctx, aipc_object_ref *ref)
    aipc_status aipc_unpin(aipc_ctx *ctx, uint32_t slot, uint64_t holding)
    aipc_status aipc_destroy(aipc_ctx *ctx, const aipc_object_ref *ref)
    aipc_status aipc_object_at(aipc_ctx *ctx, uint64_t object, uint64_t serial, aipc_object_ref *ref)
    cbool aipc_object_destroyed(aipc_seg *seg, const aipc_object_ref *ref)
    cbool aipc_object_gone(aipc_seg *seg, const aipc_object_ref *ref, uint64_t mine)

    # --- stream.h
    struct aipc_stream:
        uint64_t room

    struct aipc_vector:
        aipc_stream stream

    uint64_t aipc_stream_length(const aipc_stream *s)
    void aipc_buffer_init(aipc_stream *image, uint64_t room)
    void aipc_vector_init(aipc_vector *image)
    aipc_stream *aipc_buffer_at(aipc_seg *seg, uint64_t payload, uint64_t size)
    aipc_stream *aipc_vector_at(aipc_seg *seg, uint64_t payload, uint64_t size)
    aipc_status aipc_stream_span(aipc_seg *seg, aipc_stream *s, uint64_t at, uint8_t **bytes, uint64_t *count)
    aipc_status aipc_stream_reserve(aipc_ctx *ctx, aipc_stream *s, uint64_t end)
    aipc_status aipc_stream_write(aipc_seg *seg, aipc_stream *s, uint64_t at, const void *bytes, uint64_t count)
    void aipc_stream_cut(aipc_stream *s, uint64_t length)

    # --- participants.h
    ctypedef struct aipc_participant_info:
        uint32_t slot, generation, uid
        uint64_t pid, pid_namespace, start_time, attached_at
        cbool alive, is_self "self"

    aipc_status aipc_participants_list(aipc_seg *seg, aipc_participant_info *infos, uint32_t capacity, uint32_t *count)

    # --- bells.h, watch.h, waiters.h
    ctypedef struct aipc_bell_target:
        uint32_t slot, generation, bell
        cbool set

    aipc_status aipc_bell_take(aipc_seg *seg, uint32_t *bell, int *fd)
    void aipc_bell_give_back(aipc_seg *seg, uint32_t bell)
    cbool aipc_bell_arm(aipc_seg *seg, uint32_t bell)
    void aipc_bell_woken(aipc_seg *seg, uint32_t bell)
    void aipc_bell_ring(aipc_seg *seg, const aipc_bell_target *target)
    aipc_status aipc_watch_open(aipc_seg *seg, int *fd)
    aipc_status aipc_watch_refresh(aipc_seg *seg)
    aipc_status aipc_watch_collect(aipc_ctx *ctx)
    uint32_t aipc_watch_epoch(const aipc_seg *seg)
    aipc_status aipc_wait_collect(aipc_ctx *ctx, uint32_t bell, uint64_t *tokens, uint32_t capacity,
                                  uint32_t *count)

    # --- lock.h
    ctypedef struct aipc_lock_stats:
        cbool locked, abandoned, mine
        uint64_t owner_pid
        uint32_t waiters, contended, takeovers

    aipc_status aipc_lock_try(aipc_seg *seg, aipc_lock *lock)
    aipc_status aipc_lock_try_slow(aipc_seg *seg, aipc_lock *lock)
    aipc_status aipc_lock_try_recover(aipc_ctx *ctx, aipc_lock *lock)
    aipc_status aipc_lock_spin(aipc_seg *seg, aipc_lock *lock, uint64_t ns) nogil
    aipc_status aipc_lock_wait(aipc_ctx *ctx, aipc_lock *lock, uint32_t bell, uint64_t token, cbool barge,
                               uint32_t *node)
    aipc_status aipc_lock_look(aipc_ctx *ctx, aipc_lock *lock, uint32_t node)
    aipc_status aipc_lock_cancel(aipc_ctx *ctx, aipc_lock *lock, uint32_t node)
    cbool aipc_lock_release_fast(aipc_seg *seg, aipc_lock *lock)
    aipc_status aipc_lock_release_slow(aipc_ctx *ctx, aipc_lock *lock)
    aipc_status aipc_lock_close(aipc_ctx *ctx, aipc_lock *lock)
    cbool aipc_lock_closed(const aipc_lock *lock)
    void aipc_lock_stats_get(aipc_seg *seg, const aipc_lock *lock, aipc_lock_stats *stats)

    cbool aipc_line_asleep(const aipc_line *line)
    uint64_t aipc_line_reserved(const aipc_line *line, uint32_t node)
    aipc_status aipc_line_stand(aipc_ctx *ctx, aipc_line *line, uint32_t bell, uint64_t token, uint32_t *node)
    aipc_status aipc_line_again(aipc_ctx *ctx, aipc_line *line, uint32_t node)
    aipc_status aipc_line_leave(aipc_ctx *ctx, aipc_line *line, uint32_t node)
    aipc_status aipc_line_wake(aipc_ctx *ctx, aipc_line *line, uint32_t count)

    # --- segment.h
    ctypedef struct aipc_create_options:
        uint64_t size, max_size
        uint32_t participants, flags, mode, algorithm

    ctypedef struct aipc_segment_info:
        uint8_t uuid[16]
        uint64_t size, max_size, created_at, creator_pid
        uint32_t participants, flags, state, unlinked, alive, uid, mode

    void aipc_segment_lend(aipc_seg *seg, void *memory, uint64_t size, cbool solitary)
    void aipc_segment_init(aipc_seg *seg, int fd, const char *path)
    uint64_t aipc_segment_minimum(uint64_t size, uint32_t participants)
    aipc_status aipc_segment_create(aipc_seg *seg, const aipc_create_options *options) nogil
    aipc_status aipc_segment_open(aipc_seg *seg) nogil
    aipc_status aipc_segment_reattach(aipc_seg *seg)
    aipc_status aipc_segment_detach(aipc_seg *seg)
    aipc_status aipc_segment_remove(int fd, const char *path, int *error)
    aipc_status aipc_segment_peek(int fd, const char *path, aipc_segment_info *info, aipc_fault *fault,
                                  int *error)

    # --- reader.h
    ctypedef struct aipc_look:
        uint32_t acquisitions

    aipc_status aipc_reader_open(aipc_seg *seg) nogil
    void aipc_reader_close(aipc_seg *seg)
    aipc_ctx *aipc_reader_ctx(aipc_seg *seg)
    aipc_look aipc_look_begin(const aipc_domain *domain)
    cbool aipc_look_holds(const aipc_look *look)

    # --- report.h, check.h
    enum: AIPC_REPORT_ROOM

    ctypedef struct aipc_finding:
        const char *what
        uint64_t offset, found, expected

    ctypedef struct aipc_report:
        uint64_t findings
        aipc_finding finding[64]
        uint64_t blocks, free_blocks, user_blocks, owned_blocks, internal_blocks
        uint64_t objects, holdings, nodes_waiting
        uint64_t free_bytes, largest_free, holes, hole_bytes

    aipc_status aipc_check(aipc_ctx *ctx, aipc_report *report)

    # --- os.h
    ctypedef struct aipc_mapping:
        uint64_t offset, size, address
        cbool write, copy, populate

    aipc_status aipc_os_map_as(int fd, const aipc_mapping *how, void **out, int *error) nogil
    void aipc_os_unmap(void *address, uint64_t size) nogil
    aipc_status aipc_os_sync(void *address, uint64_t size, cbool wait, int *error) nogil
    aipc_status aipc_os_advise(void *address, uint64_t size, int advice, int *error) nogil
    void aipc_os_futex_wait(const uint32_t *word, uint32_t seen, uint64_t timeout_ns) nogil
    aipc_status aipc_os_test_bytes(int fd, int64_t first, int64_t count, int *error)
    void aipc_os_drain(int fd) nogil
    aipc_status aipc_os_poll2(int first, int second, uint64_t timeout_ns) nogil
    uint64_t aipc_os_now() nogil
    uint32_t aipc_os_cpus()
    uint64_t aipc_os_thread()
    uint64_t aipc_os_pid()
    void aipc_os_yield() nogil

    ctypedef struct aipc_os_file:
        cbool flock
        int fd, ready
        uint64_t device, inode

    aipc_status aipc_os_file_open(aipc_os_file *file, const char *path, cbool shared, cbool create, uint32_t mode,
                                  int *error) nogil
    void aipc_os_file_close(aipc_os_file *file) nogil
    aipc_status aipc_os_file_lock(aipc_os_file *file, cbool shared, int *error) nogil
    aipc_status aipc_os_file_probe(aipc_os_file *file, cbool shared, int64_t *pid, int *error) nogil
    aipc_status aipc_os_file_wait_begin(aipc_os_file *file, cbool shared, int *ready, int *error)
    aipc_status aipc_os_file_wait_end(aipc_os_file *file, int *error) nogil

    # --- retire.h
    aipc_status aipc_value_pin(aipc_seg *seg, uint64_t block, uint32_t *pin)
    void aipc_value_unpin(aipc_seg *seg, uint32_t pin)

    # --- recovery.h
    aipc_status aipc_snapshot(aipc_ctx *ctx, int fd) nogil
    aipc_status aipc_recover_all(aipc_ctx *ctx, uint32_t *recovered)
