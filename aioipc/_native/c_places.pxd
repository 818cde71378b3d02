"""What structs are made of, and what pointers lead to: the rest of core/aipc.h that c_core.pxd does not have."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from aioipc._native.c_core cimport aipc_ctx, aipc_object_ref, aipc_seg, aipc_status, cbool


cdef extern from "aipc.h":
    # --- described.h
    uint64_t AIPC_TYPE_STRUCT

    struct aipc_described:
        uint32_t elements

    ctypedef struct aipc_description:
        const char *text
        uint64_t text_size, element_size
        const uint32_t *owners
        uint64_t owner_count
        uint8_t *elements

    enum: AIPC_OWNERS_MAX
    uint64_t aipc_struct_type(const aipc_description *said)
    uint64_t aipc_described_head(uint64_t text_size, uint64_t owner_count)
    void aipc_described_init(void *image, const aipc_description *said)
    aipc_status aipc_described_at(aipc_seg *seg, uint64_t payload, uint64_t size, uint32_t count,
                                  aipc_description *said)

    # --- pointer.h
    uint64_t aipc_pointer_offset(uint64_t pointer)
    uint32_t aipc_pointer_mark(uint64_t pointer)
    uint64_t aipc_pointer_to_object(const aipc_object_ref *ref)
    uint64_t aipc_pointer_to_block(uint64_t payload)
    aipc_status aipc_pointer_follow(aipc_ctx *ctx, uint64_t pointer, aipc_object_ref *ref)

    # --- shares.h
    enum: AIPC_SHARE_ANY, AIPC_SHARE_OF_SHARED, AIPC_WORDS_AT_ONCE
    uint32_t AIPC_SOLE

    ctypedef struct aipc_owner:
        const aipc_object_ref *object
        uint64_t word

    aipc_status aipc_share_take(aipc_ctx *ctx, aipc_object_ref *ref, uint32_t how)
    aipc_status aipc_share_lock(aipc_ctx *ctx, uint64_t pointer, aipc_object_ref *ref)
    aipc_status aipc_share_copy(aipc_ctx *ctx, const aipc_owner *place, aipc_object_ref *ref)
    aipc_status aipc_share_move_out(aipc_ctx *ctx, const aipc_owner *place, aipc_object_ref *ref)
    aipc_status aipc_share_store(aipc_ctx *ctx, const aipc_owner *to, const aipc_object_ref *target)
    aipc_status aipc_share_move_in(aipc_ctx *ctx, const aipc_owner *to, uint64_t holding)
    aipc_status aipc_share_word(aipc_ctx *ctx, const aipc_owner *place, uint64_t *word)
    aipc_status aipc_share_release(aipc_ctx *ctx, uint32_t slot, uint64_t holding)
    aipc_status aipc_share_abandon(aipc_ctx *ctx, uint64_t holding)
    aipc_status aipc_share_open(aipc_ctx *ctx, uint64_t holding)
    aipc_status aipc_share_count(aipc_ctx *ctx, uint64_t pointer, uint32_t *count)
    aipc_status aipc_recover_all(aipc_ctx *ctx, uint32_t *recovered)
