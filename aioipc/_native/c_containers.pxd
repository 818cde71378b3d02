"""The core's C interface for queues and dicts, one to one with their headers."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from aioipc._native.c_core cimport aipc_ctx, aipc_domain, aipc_seg, aipc_status, cbool


cdef extern from "aipc.h":
    struct aipc_queue:
        uint32_t codec

    struct aipc_dict:
        aipc_domain domain

    # --- queue.h
    enum: AIPC_QUEUE_INLINE, AIPC_QUEUE_BATCH
    enum: AIPC_QUEUE_SHUTDOWN

    ctypedef struct aipc_queue_options:
        uint64_t maxsize, max_bytes
        uint32_t codec

    ctypedef struct aipc_bytes:
        const void *head
        uint64_t head_size
        const void *data
        uint64_t size

    ctypedef struct aipc_message:
        const uint8_t *data
        uint64_t size, item, serial
        uint32_t deliveries

    ctypedef enum aipc_settlement:
        AIPC_SETTLE_DONE, AIPC_SETTLE_RETURN

    ctypedef enum aipc_queue_role:
        AIPC_GETTERS, AIPC_PUTTERS, AIPC_JOINERS

    ctypedef struct aipc_queue_stats:
        uint64_t maxsize, max_bytes, queued, bytes, unfinished, leased, put, taken, returned
        uint32_t getters, putters, joiners, codec, state

    uint64_t aipc_queue_object_size(uint32_t participants)
    void aipc_queue_init(void *image, const aipc_queue_options *options)
    aipc_queue *aipc_queue_at(aipc_seg *seg, uint64_t payload, uint64_t size)
    aipc_status aipc_queue_put(aipc_ctx *ctx, aipc_queue *queue, const aipc_bytes *messages, uint32_t count,
                               uint32_t *put)
    aipc_status aipc_queue_take(aipc_ctx *ctx, aipc_queue *queue, void *room, uint64_t room_size,
                                aipc_message *messages, uint32_t count, uint32_t *taken)
    aipc_status aipc_queue_dispose(aipc_ctx *ctx, const aipc_message *messages, uint32_t count)
    aipc_status aipc_queue_peek(aipc_ctx *ctx, aipc_queue *queue, void *room, uint64_t room_size,
                                aipc_message *message)
    aipc_status aipc_queue_lease(aipc_ctx *ctx, aipc_queue *queue, aipc_message *message)
    aipc_status aipc_queue_settle(aipc_ctx *ctx, aipc_queue *queue, uint64_t item, uint64_t serial,
                                  aipc_settlement how)
    aipc_status aipc_queue_task_done(aipc_ctx *ctx, aipc_queue *queue, uint64_t count)
    aipc_status aipc_queue_joined(aipc_ctx *ctx, aipc_queue *queue)
    aipc_status aipc_queue_joined_since(aipc_ctx *ctx, aipc_queue *queue, uint64_t mark)
    uint64_t aipc_queue_mark(const aipc_queue *queue)
    aipc_status aipc_queue_clear(aipc_ctx *ctx, aipc_queue *queue, uint64_t *dropped)
    aipc_status aipc_queue_shutdown(aipc_ctx *ctx, aipc_queue *queue, cbool immediate)
    aipc_status aipc_queue_close(aipc_ctx *ctx, aipc_queue *queue)
    aipc_status aipc_queue_stand(aipc_ctx *ctx, aipc_queue *queue, aipc_queue_role role, uint32_t bell,
                                 uint64_t token, uint32_t *node)
    aipc_status aipc_queue_again(aipc_ctx *ctx, aipc_queue *queue, aipc_queue_role role, uint32_t node)
    aipc_status aipc_queue_leave(aipc_ctx *ctx, aipc_queue *queue, aipc_queue_role role, uint32_t node)
    void aipc_queue_stats_get(const aipc_queue *queue, aipc_queue_stats *stats)

    # --- dict.h
    ctypedef struct aipc_dict_key:
        const void *bytes
        uint64_t size, hash

    ctypedef struct aipc_dict_found:
        const uint8_t *key
        const uint8_t *original
        const uint8_t *value
        uint64_t key_size, original_size, value_size, version, serial, entry

    ctypedef struct aipc_dict_draft:
        uint8_t *value

    ctypedef enum aipc_dict_mode:
        AIPC_DICT_ALWAYS, AIPC_DICT_ABSENT, AIPC_DICT_PRESENT, AIPC_DICT_VERSION

    ctypedef struct aipc_dict_cursor:
        uint64_t table

    ctypedef struct aipc_dict_stats:
        uint64_t count, holes, capacity, rebuilds, retired_blocks
        cbool building, shedding

    aipc_dict_key aipc_dict_key_of(const aipc_seg *seg, const void *bytes, uint64_t size)
    void aipc_dict_init(aipc_dict *image)
    aipc_status aipc_dict_get(aipc_ctx *ctx, aipc_dict *d, const aipc_dict_key *key, aipc_dict_found *found)
    aipc_status aipc_dict_next(aipc_ctx *ctx, aipc_dict *d, aipc_dict_cursor *cursor, aipc_dict_found *found)
    aipc_status aipc_dict_prev(aipc_ctx *ctx, aipc_dict *d, aipc_dict_cursor *cursor, aipc_dict_found *found)
    aipc_status aipc_dict_last(aipc_ctx *ctx, aipc_dict *d, aipc_dict_found *found)
    void aipc_dict_done(aipc_ctx *ctx)
    uint64_t aipc_dict_count(const aipc_dict *d)
    aipc_status aipc_dict_draft_make(aipc_ctx *ctx, aipc_dict *d, const aipc_dict_key *key, const void *original,
                                     uint64_t original_size, uint64_t value_size, aipc_dict_draft *draft)
    aipc_status aipc_dict_put(aipc_ctx *ctx, aipc_dict *d, aipc_dict_draft *draft, aipc_dict_mode mode,
                              uint64_t version, aipc_dict_found *found, cbool *replaced)
    aipc_status aipc_dict_discard(aipc_ctx *ctx, aipc_dict_draft *draft)
    aipc_status aipc_dict_delete(aipc_ctx *ctx, aipc_dict *d, const aipc_dict_key *key, uint64_t version,
                                 aipc_dict_found *found)
    aipc_status aipc_dict_clear(aipc_ctx *ctx, aipc_dict *d)
    void aipc_dict_collect_if_free(aipc_ctx *ctx, aipc_dict *d)
    aipc_status aipc_dict_collect(aipc_ctx *ctx, aipc_dict *d)
    void aipc_dict_close(aipc_dict *d)
    cbool aipc_dict_closed(const aipc_dict *d)
    aipc_status aipc_dict_stats_get(aipc_ctx *ctx, aipc_dict *d, aipc_dict_stats *stats)
