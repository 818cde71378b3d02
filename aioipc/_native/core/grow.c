#include "grow.h"

#include "header.h"

enum { SLICE_NS = 1000000, LOOKS = 20, STEP = 256 << 20 };

static uint64_t whole_pages(uint64_t size) {
    uint64_t page = aipc_os_page_size();
    return (size + page - 1) / page * page;
}

/* ---- the turn ------------------------------------------------------------------------------------ */

static void end_turn(aipc_growth *growth) {
    if (growth->turn >= 0) aipc_byte_give_back(growth->turn, AIPC_GROW_BYTE);
    growth->turn = -1;
}

/* The one before us is at work as long as the object gets longer. */
static aipc_status still_at_work(aipc_seg *seg, aipc_growth *growth) {
    aipc_file_info info;
    aipc_status status = aipc_os_stat_fd(seg->fd, &info, &seg->error);
    if (status != AIPC_OK) return status;
    uint64_t now = aipc_os_now();
    if (growth->since == 0 || growth->seen != info.size) {
        growth->seen = info.size;
        growth->since = now;
    } else if (now - growth->since > seg->stall_ns) {
        seg->fault = (aipc_fault){.what = "another process has been growing the segment, and seems to be stopped"};
        return AIPC_STALLED;
    }
    return AIPC_AGAIN;
}

static aipc_status take_turn(aipc_seg *seg, aipc_growth *growth) {
    for (int i = 0; i < LOOKS; i++) {
        aipc_status status = aipc_byte_take(seg, AIPC_GROW_BYTE, &growth->turn);
        if (status == AIPC_OK) return AIPC_OK;
        growth->turn = -1;
        if (status != AIPC_AGAIN) return status;
        status = still_at_work(seg, growth);
        if (status != AIPC_AGAIN) return status;
        uint32_t never = 0;
        aipc_os_futex_wait(&never, 0, SLICE_NS); /* nobody wakes us */
    }
    return AIPC_AGAIN;
}

/* ---- growing ------------------------------------------------------------------------------------- */

/* With the turn nobody else changes the size. */
static aipc_status find_end(aipc_seg *seg, aipc_growth *growth) {
    growth->size = aipc_load_acquire64(&seg->header->size); /* SYNC segment-size */
    if (growth->size > seg->mapped || growth->size % 16 != 0)
        return aipc_corrupt(seg, "G2 max_size", &seg->header->size, growth->size, seg->mapped);
    if (growth->extra % 16 != 0 || growth->extra > seg->mapped - growth->size) return AIPC_INVALID;
    growth->to = growth->size + growth->extra;
    growth->backed = growth->size;
    return AIPC_OK;
}

/* What lies behind the end, from here or from somebody who died: nobody uses it. */
static void give_back_pages(aipc_seg *seg, const aipc_growth *growth) {
    aipc_file_info info;
    int ignored;
    if (seg->lent || aipc_os_stat_fd(growth->turn, &info, &ignored) != AIPC_OK) return;
    uint64_t from = whole_pages(growth->size), to = whole_pages(info.size);
    if (to > seg->mapped) to = seg->mapped;
    if (from < to) (void)aipc_os_punch(seg->base + from, to - from, true, &ignored);
}

static aipc_status back(aipc_seg *seg, aipc_growth *growth) {
    uint64_t to = growth->to - growth->backed < STEP ? growth->to : growth->backed + STEP;
    aipc_status status = seg->lent ? AIPC_OK : aipc_os_reserve(growth->turn, growth->backed, to, &seg->error);
    if (status == AIPC_OK) growth->backed = to;
    return status != AIPC_OK || growth->backed == growth->to ? status : AIPC_AGAIN;
}

aipc_status aipc_grow_prepare(aipc_seg *seg, aipc_growth *growth) {
    aipc_status status = AIPC_OK;
    if (growth->turn < 0) status = take_turn(seg, growth);
    if (status == AIPC_OK && growth->to == 0) status = find_end(seg, growth);
    if (status == AIPC_OK) status = back(seg, growth);
    if (status != AIPC_OK && status != AIPC_AGAIN) {
        int error = seg->error;
        aipc_grow_cancel(seg, growth);
        seg->error = error;
    }
    return status;
}

void aipc_grow_cancel(aipc_seg *seg, aipc_growth *growth) {
    if (growth->turn >= 0 && growth->backed != 0) give_back_pages(seg, growth);
    end_turn(growth);
}

aipc_status aipc_grow_finish(aipc_ctx *ctx, aipc_growth *growth) {
    aipc_status status = growth->extra == 0 ? AIPC_OK : aipc_heap_extend(ctx, growth->size, growth->to);
    if (status == AIPC_OK)
        end_turn(growth);
    else
        aipc_grow_cancel(ctx->seg, growth);
    return status;
}

/* ---- alone --------------------------------------------------------------------------------------- */

/* Under the gate nobody comes, and nobody can begin to read. */
typedef struct alone {
    int gate, readers;
} alone;

static void leave_alone(const alone *a) {
    if (a->readers >= 0) aipc_byte_give_back(a->readers, AIPC_READER_BYTE);
    aipc_gate_close(a->gate);
}

static aipc_status be_alone(aipc_seg *seg, alone *a) {
    *a = (alone){-1, -1};
    aipc_status status = aipc_gate_open(seg, &a->gate);
    if (status != AIPC_OK) return status;
    int64_t own = AIPC_LIVENESS_BASE + seg->slot, end = AIPC_LIVENESS_BASE + AIPC_MAX_PARTICIPANTS;
    if (own > AIPC_LIVENESS_BASE)
        status = aipc_os_test_bytes(a->gate, AIPC_LIVENESS_BASE, own - AIPC_LIVENESS_BASE, &seg->error);
    if (status == AIPC_OK && own + 1 < end) status = aipc_os_test_bytes(a->gate, own + 1, end - own - 1, &seg->error);
    if (status == AIPC_OK) {
        status = aipc_byte_take(seg, AIPC_READER_BYTE, &a->readers);
        if (status != AIPC_OK) a->readers = -1;
    }
    if (status != AIPC_OK) leave_alone(a);
    return status;
}

static aipc_status shrink(aipc_ctx *ctx, const alone *a) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_heap_shrink(ctx);
    uint64_t wanting = aipc_heap_wanting(ctx), size = aipc_load_acquire64(&seg->header->size);
    if (status == AIPC_OK) status = aipc_os_truncate(a->gate, size + wanting, &seg->error);
    if (status == AIPC_OK && wanting != 0) status = aipc_os_reserve(a->gate, size, size + wanting, &seg->error);
    return status == AIPC_OK && wanting != 0 ? aipc_heap_extend(ctx, size, size + wanting) : status;
}

aipc_status aipc_shrink_to_fit(aipc_ctx *ctx) {
    alone a;
    aipc_status status = be_alone(ctx->seg, &a);
    if (status != AIPC_OK) return status;
    status = shrink(ctx, &a);
    leave_alone(&a);
    return status;
}

aipc_status aipc_raise_max(aipc_ctx *ctx, uint64_t max_size) {
    struct aipc_header *header = ctx->seg->header;
    alone a;
    aipc_status status = be_alone(ctx->seg, &a);
    if (status != AIPC_OK) return status;
    if (max_size < header->max_size || max_size % 16 != 0 || !aipc_size_possible(max_size))
        status = AIPC_INVALID;
    else
        aipc_store_release64(&header->max_size, max_size);
    leave_alone(&a);
    return status;
}
