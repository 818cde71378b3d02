"""The core's C interface for raw memory, one to one with its headers."""

from libc.stdint cimport uint32_t, uint64_t

from aioipc._native.c_core cimport aipc_ctx, aipc_seg, aipc_status, cbool


cdef extern from "aipc.h":
    enum: AIPC_BEST_FIT, AIPC_TLSF, AIPC_SEQ_FIT

    ctypedef struct aipc_heap_stats:
        uint64_t total_bytes, free_bytes, largest_free, used_blocks

    aipc_status aipc_heap_allocate(aipc_ctx *ctx, uint64_t size, uint64_t alignment, uint32_t flags,
                                   uint64_t *orphan, uint64_t *payload)
    aipc_status aipc_heap_size_of(aipc_seg *seg, uint64_t payload, uint64_t *size, uint32_t *flags)
    aipc_status aipc_heap_stats_get(aipc_ctx *ctx, aipc_heap_stats *stats)
    # --- holdings.h, memory.h
    enum: AIPC_GROW_FORWARD, AIPC_GROW_BACKWARD, AIPC_SHRINK

    ctypedef struct aipc_many:
        const uint64_t *sizes
        cbool equal
        uint64_t count, alignment
        uint64_t *payloads

    ctypedef struct aipc_resizing:
        uint64_t payload, minimum, preferred, usable
        uint32_t ways

    aipc_status aipc_owned_allocate(aipc_ctx *ctx, uint64_t size, uint64_t alignment, uint64_t *payload)
    aipc_status aipc_allocate_many(aipc_ctx *ctx, const aipc_many *many)
    aipc_status aipc_deallocate_many(aipc_ctx *ctx, const uint64_t *payloads, uint64_t count, uint64_t *freed)
    aipc_status aipc_resize(aipc_ctx *ctx, aipc_resizing *r, uint64_t alignment, cbool may_move)
    aipc_status aipc_zero_free_memory(aipc_ctx *ctx)
    aipc_status aipc_all_deallocated(aipc_ctx *ctx, cbool *all)
    aipc_status aipc_deallocate(aipc_ctx *ctx, uint64_t payload)

    # --- room.h
    aipc_status aipc_room_turn(aipc_ctx *ctx, uint32_t node)
    aipc_status aipc_room_turn_recover(aipc_ctx *ctx)
    aipc_status aipc_room_stand(aipc_ctx *ctx, uint32_t bell, uint64_t token, uint32_t *node)
    aipc_status aipc_room_again(aipc_ctx *ctx, uint32_t node)
    aipc_status aipc_room_leave(aipc_ctx *ctx, uint32_t node)
    uint32_t aipc_room_waiters(const aipc_seg *seg)
    uint64_t aipc_catalog_most(const aipc_seg *seg, uint64_t alignment)

    # --- holdings.h
    aipc_status aipc_owned_allocate(aipc_ctx *ctx, uint64_t size, uint64_t alignment, uint64_t *payload)
