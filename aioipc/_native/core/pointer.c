#include "pointer.h"

#include "names.h"

#define REACH (UINT64_C(1) << 44)

static uint64_t pointer_of(uint64_t offset, uint64_t mark) {
    return offset >= REACH || (offset & 15) != 0 ? 0 : offset >> 4 << 24 | mark;
}

static uint64_t mark_of(uint64_t serial) { return 1 + serial % 0xffffff; }

uint64_t aipc_pointer_to_object(const aipc_object_ref *ref) { return pointer_of(ref->object, mark_of(ref->serial)); }

uint64_t aipc_pointer_to_block(uint64_t payload) { return pointer_of(payload, 0); }

bool aipc_pointer_means(uint64_t pointer, const aipc_object_ref *ref) {
    return pointer == aipc_pointer_to_object(ref);
}

aipc_status aipc_pointer_follow(aipc_ctx *ctx, uint64_t pointer, aipc_object_ref *ref) {
    if (aipc_pointer_mark(pointer) == 0) return AIPC_NOT_FOUND;
    aipc_status status = aipc_catalog_hold(ctx, aipc_pointer_offset(pointer), ref);
    if (status != AIPC_OK) return status;
    bool meant = aipc_pointer_means(pointer, ref) && aipc_object_visible(ctx->seg, ref, ctx->block);
    (void)aipc_exchange_seq_cst64(&ctx->shared->hazard[1], 0);
    return meant ? AIPC_OK : AIPC_NOT_FOUND;
}

aipc_status aipc_pointer_peek(aipc_seg *seg, uint64_t pointer, aipc_object_ref *ref) {
    const struct aipc_object *object = aipc_object_read(seg, aipc_pointer_offset(pointer), ref);
    if (object == NULL || !aipc_object_hash_right(seg, object) || aipc_pointer_to_object(ref) != pointer) return AIPC_NOT_FOUND;
    return aipc_object_destroyed(seg, ref) ? AIPC_NOT_FOUND : AIPC_OK;
}
