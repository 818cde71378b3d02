"""The core's C interface for pools, one to one with its headers."""

from libc.stdint cimport uint32_t, uint64_t

from aioipc._native.c_core cimport aipc_ctx, aipc_seg, aipc_status, cbool


cdef extern from "aipc.h":
    enum: AIPC_TYPE_POOL, AIPC_TYPE_PRIVATE_POOL, AIPC_TYPE_ADAPTIVE_POOL
    enum: AIPC_POOL_OWNED, AIPC_POOL_PRIVATE, AIPC_POOL_CHUNK_MAX
    uint64_t AIPC_POOL_NEVER

    struct aipc_pool:
        pass

    ctypedef struct aipc_pool_view:
        uint64_t size, stride, max_idle, owner
        uint32_t per_chunk, flags

    ctypedef struct aipc_pool_node:
        pass

    ctypedef struct aipc_pool_stats:
        uint64_t chunks, idle_chunks, free_nodes

    void aipc_pool_init(aipc_pool *image, uint64_t size, uint32_t per_chunk, uint64_t max_idle, uint32_t flags,
                        uint64_t owner)
    cbool aipc_pool_at(aipc_seg *seg, uint64_t payload, uint64_t size, aipc_pool_view *view)
    aipc_status aipc_pool_take(aipc_ctx *ctx, const aipc_pool_view *view, aipc_pool_node *nodes, uint32_t want,
                               uint32_t *got)
    aipc_status aipc_pool_give(aipc_ctx *ctx, const aipc_pool_view *view, const aipc_pool_node *nodes, uint32_t count,
                               uint32_t *given)
    uint64_t aipc_pool_hand(aipc_seg *seg, const aipc_pool_view *view, const aipc_pool_node *node)
    aipc_status aipc_pool_back(aipc_seg *seg, const aipc_pool_view *view, uint64_t payload, aipc_pool_node *node)
    aipc_status aipc_pool_test(aipc_seg *seg, const aipc_pool_view *view, uint64_t payload)
    aipc_status aipc_pool_trim(aipc_ctx *ctx, const aipc_pool_view *view, uint64_t keep, uint64_t *freed)
    void aipc_pool_stats_get(const aipc_pool_view *view, aipc_pool_stats *stats)
