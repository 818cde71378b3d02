"""The core's C interface for the synchronization primitives but the lock, one to one with their headers."""

from libc.stdint cimport uint32_t, uint64_t

from aioipc._native.c_core cimport (
    aipc_ctx, aipc_line, aipc_lock, aipc_object_ref, aipc_seg, aipc_status, aipc_wait_queue, cbool)


cdef extern from "aipc.h":
    # --- layout.h
    struct aipc_semaphore:
        uint64_t value, bound, initial
        aipc_line line

    struct aipc_event:
        aipc_line line

    struct aipc_limiter:
        aipc_line line

    struct aipc_condition:
        aipc_lock own
        uint64_t lock, lock_serial, notified, seal
        uint32_t lock_type, contended

    struct aipc_barrier:
        uint64_t parties, word
        uint32_t contended
        aipc_wait_queue waiters

    struct aipc_rwlock:
        uint64_t fair
        uint64_t holder[4]

    # --- semaphore.h, event.h
    void aipc_semaphore_init(aipc_semaphore *image, uint64_t value, uint64_t bound)
    aipc_status aipc_semaphore_try(aipc_semaphore *s, uint32_t node)
    aipc_status aipc_semaphore_try_recover(aipc_ctx *ctx, aipc_semaphore *s)
    aipc_status aipc_semaphore_add(aipc_semaphore *s, uint64_t count)
    aipc_status aipc_semaphore_stand(aipc_ctx *ctx, aipc_semaphore *s, uint32_t bell, uint64_t token, uint32_t *node)
    aipc_status aipc_semaphore_leave(aipc_ctx *ctx, aipc_semaphore *s, uint32_t node)

    uint64_t aipc_event_mark(const aipc_event *e)
    cbool aipc_event_is_set(const aipc_event *e)
    cbool aipc_event_happened(const aipc_event *e, uint64_t mark)
    cbool aipc_event_set(aipc_event *e)
    void aipc_event_clear(aipc_event *e)

    # --- limiter.h
    ctypedef struct aipc_limiter_stats:
        uint64_t total, borrowed, mine
        uint32_t waiters, contended

    uint64_t aipc_limiter_object_size(uint32_t participants)
    void aipc_limiter_init(aipc_limiter *image, uint64_t total)
    aipc_status aipc_limiter_try(aipc_ctx *ctx, aipc_limiter *limiter, uint32_t node)
    aipc_status aipc_limiter_try_recover(aipc_ctx *ctx, aipc_limiter *limiter)
    aipc_status aipc_limiter_give(aipc_ctx *ctx, aipc_limiter *limiter)
    aipc_status aipc_limiter_stand(aipc_ctx *ctx, aipc_limiter *limiter, uint32_t bell, uint64_t token, uint32_t *node)
    aipc_status aipc_limiter_leave(aipc_ctx *ctx, aipc_limiter *limiter, uint32_t node)
    aipc_status aipc_limiter_resize(aipc_ctx *ctx, aipc_limiter *limiter, uint64_t total)
    void aipc_limiter_stats_get(aipc_seg *seg, const aipc_limiter *limiter, aipc_limiter_stats *stats)
    uint32_t aipc_limiter_borrowed_by(aipc_seg *seg, const aipc_limiter *limiter, uint32_t slot)
    uint64_t aipc_participant_pid(const aipc_seg *seg, uint32_t slot)

    # --- rwlock.h
    ctypedef enum aipc_rwlock_want:
        AIPC_READ, AIPC_WRITE, AIPC_UPGRADABLE, AIPC_UPGRADE

    ctypedef struct aipc_rwlock_stats:
        uint32_t readers, my_reads, contended, takeovers
        cbool writing, upgradable, mine, abandoned
        uint64_t owner_pid
        uint32_t waiters[4]

    uint64_t aipc_rwlock_object_size(uint32_t participants)
    void aipc_rwlock_init(aipc_rwlock *image, cbool fair)
    aipc_status aipc_rwlock_try(aipc_ctx *ctx, aipc_rwlock *rw, aipc_rwlock_want want)
    cbool aipc_rwlock_read_fast(aipc_seg *seg, aipc_rwlock *rw)
    aipc_status aipc_rwlock_try_recover(aipc_ctx *ctx, aipc_rwlock *rw, aipc_rwlock_want want)
    aipc_status aipc_rwlock_wait(aipc_ctx *ctx, aipc_rwlock *rw, aipc_rwlock_want want, uint32_t bell, uint64_t token,
                                 cbool barge, uint32_t *node)
    aipc_status aipc_rwlock_look(aipc_ctx *ctx, aipc_rwlock *rw, aipc_rwlock_want want, uint32_t node)
    aipc_status aipc_rwlock_cancel(aipc_ctx *ctx, aipc_rwlock *rw, aipc_rwlock_want want, uint32_t node)
    aipc_status aipc_rwlock_release(aipc_ctx *ctx, aipc_rwlock *rw, aipc_rwlock_want held)
    cbool aipc_rwlock_release_read_fast(aipc_seg *seg, aipc_rwlock *rw)
    aipc_status aipc_rwlock_convert(aipc_ctx *ctx, aipc_rwlock *rw, aipc_rwlock_want held, aipc_rwlock_want wanted)
    aipc_status aipc_rwlock_close(aipc_ctx *ctx, aipc_rwlock *rw)
    void aipc_rwlock_stats_get(aipc_seg *seg, const aipc_rwlock *rw, aipc_rwlock_stats *stats)

    # --- waiters.h
    void aipc_wait_rouse(aipc_seg *seg)

    # --- condition.h, barrier.h
    uint64_t aipc_condition_seal(const aipc_condition *c)
    aipc_status aipc_condition_stand(aipc_ctx *ctx, aipc_condition *c, uint32_t bell, uint64_t token, uint32_t *node)
    aipc_status aipc_condition_look(aipc_ctx *ctx, aipc_condition *c, uint32_t node)
    aipc_status aipc_condition_cancel(aipc_ctx *ctx, aipc_condition *c, uint32_t node)
    aipc_status aipc_condition_notify(aipc_ctx *ctx, aipc_condition *c, uint32_t count)
    aipc_status aipc_condition_close(aipc_ctx *ctx, aipc_condition *c)
    cbool aipc_condition_notified(aipc_seg *seg, uint32_t node)
    uint32_t aipc_condition_waiting(const aipc_condition *c)

    void aipc_barrier_init(aipc_barrier *image, uint64_t parties)
    aipc_status aipc_barrier_arrive(aipc_ctx *ctx, aipc_barrier *b, uint32_t bell, uint64_t token, uint32_t *node,
                                    uint32_t *place)
    aipc_status aipc_barrier_look(aipc_ctx *ctx, aipc_barrier *b, uint32_t node, uint32_t *place)
    aipc_status aipc_barrier_give_up(aipc_ctx *ctx, aipc_barrier *b, uint32_t node, uint32_t *place)
    aipc_status aipc_barrier_cancel(aipc_ctx *ctx, aipc_barrier *b, uint32_t node)
    aipc_status aipc_barrier_reset(aipc_ctx *ctx, aipc_barrier *b)
    aipc_status aipc_barrier_abort(aipc_ctx *ctx, aipc_barrier *b)
    aipc_status aipc_barrier_close(aipc_ctx *ctx, aipc_barrier *b)
    aipc_status aipc_barrier_waiting(aipc_ctx *ctx, aipc_barrier *b, uint32_t *waiting, cbool *broken)

    # --- pointer.h
    aipc_status aipc_pointer_peek(aipc_seg *seg, uint64_t pointer, aipc_object_ref *ref)

    # --- where.h
    ctypedef struct aipc_where:
        const char *area
        uint64_t index, block, size, object, serial
        uint32_t flags

    void aipc_where_list(aipc_seg *seg, const uint64_t *offsets, aipc_where *found, uint32_t count)

    # --- heap_map.h
    ctypedef struct aipc_map_cell:
        uint64_t free, holes, user, objects, parts

    ctypedef struct aipc_map:
        aipc_map_cell *cells
        uint64_t count, width, size
        uint64_t free_blocks[48]

    aipc_status aipc_heap_map(aipc_ctx *ctx, aipc_map *map)

    # --- holders.h
    ctypedef struct aipc_holder:
        const char *what
        const char *core
        uint64_t object, serial, place, amount, since, pid, thread
        uint32_t slot, generation
        cbool alive
        uint64_t task[4]

    ctypedef struct aipc_held_object:
        aipc_object_ref ref
        char name[255]
        uint32_t name_size
        uint64_t pins

    void aipc_holders_list(aipc_seg *seg, aipc_holder *holders, uint64_t capacity, uint64_t *count) nogil
    aipc_status aipc_holders_object(aipc_seg *seg, const aipc_holder *holder, aipc_held_object *info)
