"""Lists of names and atomic blocks: more of the core's C interface, as c_core.pxd."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from aioipc._native.c_core cimport aipc_ctx, aipc_seg, aipc_status


cdef extern from "aipc.h":
    # --- catalog.h
    ctypedef struct aipc_wanted:
        uint8_t kind
        const char *prefix
        const char *start
        const char *stop
        uint32_t prefix_size, start_size, stop_size

    ctypedef struct aipc_listed:
        uint64_t object, serial, type, size, pins
        uint32_t count
        uint16_t name_size
        uint8_t kind

    ctypedef struct aipc_list:
        void *room
        uint64_t size, used, objects

    uint64_t aipc_listed_size(uint32_t name_size)
    aipc_status aipc_catalog_list(aipc_ctx *ctx, const aipc_wanted *wanted, aipc_list *list)
    aipc_status aipc_catalog_list_seen(aipc_seg *seg, const aipc_wanted *wanted, aipc_list *list)
    aipc_status aipc_catalog_count(aipc_ctx *ctx, uint64_t *named, uint64_t *unique)
    aipc_status aipc_catalog_reserve(aipc_ctx *ctx, uint64_t names)
    aipc_status aipc_catalog_shrink(aipc_ctx *ctx)

    # --- pending.h
    aipc_status aipc_block_open(aipc_ctx *ctx, uint64_t *serial)
    aipc_status aipc_block_commit(aipc_ctx *ctx, uint64_t serial)
    uint64_t aipc_block_mark(const aipc_seg *seg)
    aipc_status aipc_block_back_to(aipc_ctx *ctx, uint64_t mark)
    aipc_status aipc_block_settle(aipc_ctx *ctx, uint32_t slot)
