#include "retire.h"

/* So many retired blocks are looked at in one go: the newest, or those behind the ones that were all held.  Without
 * a word to remember those, stuck blocks crowd out the others when 32 readers stand still at once. */
enum { LOOK = 64 };
#define MOST_SKIPPED UINT64_C(4096) /* beyond that the newest come first again */

typedef struct batch {
    uint64_t offset[LOOK];
    uint64_t *first_word[LOOK]; /* of each: the link to the next one */
    uint32_t count;
    uint64_t held;              /* bit i: a hazard names block i */
    uint64_t *link;             /* leads to the first of them */
    bool last;                  /* nothing comes behind them */
} batch;

uint64_t *aipc_orphan_word(aipc_ctx *ctx) {
    for (int i = 0; i < AIPC_ORPHANS; i++)
        if (aipc_load_relaxed64(&ctx->shared->orphan[i]) == 0) return &ctx->shared->orphan[i];
    return NULL;
}

aipc_status aipc_orphan_free(aipc_ctx *ctx, uint64_t *word) {
    uint64_t block = word == NULL ? 0 : aipc_load_relaxed64(word);
    if (block == 0) return AIPC_OK;
    aipc_shield(ctx->seg, true);
    aipc_status status = (block & AIPC_ORPHAN_CHAIN) != 0 ? aipc_heap_free_chain(ctx, word)
                                                          : aipc_heap_free(ctx, block, 0, word);
    aipc_shield(ctx->seg, false);
    if (status != AIPC_STALLED) return status;
    ctx->untidy = true; /* it stays in its word, and is freed with a later operation */
    return AIPC_OK;
}

/* Enough words for any operation. */
static bool can_wait(const aipc_ctx *ctx) {
    int taken = 0;
    for (int i = 0; i < AIPC_ORPHANS; i++) taken += aipc_load_relaxed64(&ctx->shared->orphan[i]) != 0;
    return taken <= AIPC_ORPHANS / 2;
}

void aipc_orphans_tidy(aipc_ctx *ctx) {
    if (aipc_load_relaxed32(&ctx->seg->heap->domain.lock) != 0 && can_wait(ctx)) return; /* who passes by need not wait */
    ctx->untidy = false;
    for (int i = 0; i < AIPC_ORPHANS && !ctx->untidy; i++) (void)aipc_orphan_free(ctx, &ctx->shared->orphan[i]);
}

aipc_status aipc_orphans_free(aipc_ctx *ctx, uint32_t words) {
    aipc_status first = AIPC_OK;
    for (; words != 0; words &= words - 1) {
        aipc_status status = aipc_orphan_free(ctx, &ctx->shared->orphan[__builtin_ctz(words)]);
        if (first == AIPC_OK) first = status;
    }
    return first;
}

/* The word that leads to the next block: the block's first. */
static aipc_status link_of(aipc_seg *seg, const aipc_retired *retired, uint64_t offset, uint64_t **link) {
    uint64_t usable;
    uint32_t flags;
    if (aipc_heap_size_of(seg, offset, &usable, &flags) != AIPC_OK || flags != retired->flags)
        return aipc_corrupt(seg, "C5 retired memory is another kind of block", retired->list, offset, 0);
    *link = (uint64_t *)(void *)(seg->base + offset);
    return AIPC_OK;
}

static aipc_status gather(aipc_seg *seg, const aipc_retired *retired, batch *b) {
    uint64_t skip = retired->skip == NULL ? 0 : aipc_load_relaxed64(retired->skip), offset;
    if (skip > MOST_SKIPPED) skip = 0;
    b->link = retired->list;
    b->held = b->count = 0;
    while ((offset = aipc_load_relaxed64(b->link)) != 0 && skip > 0) {
        aipc_status status = link_of(seg, retired, offset, &b->link);
        if (status != AIPC_OK) return status;
        skip--;
    }
    for (; offset != 0 && b->count < LOOK; b->count++) {
        aipc_status status = link_of(seg, retired, offset, &b->first_word[b->count]);
        if (status != AIPC_OK) return status;
        b->offset[b->count] = offset;
        offset = aipc_load_relaxed64(b->first_word[b->count]);
    }
    b->last = offset == 0;
    return AIPC_OK;
}

/* Where the next look begins. */
static void move_on(const aipc_retired *retired, const batch *b) {
    if (retired->skip == NULL) return;
    uint64_t skip = aipc_load_relaxed64(retired->skip), all = UINT64_MAX >> (64 - LOOK);
    if (b->last || skip > MOST_SKIPPED)
        aipc_store_relaxed64(retired->skip, 0);
    else if (b->held == all)
        aipc_store_relaxed64(retired->skip, skip + LOOK);
}

static void mark_held(batch *b, uint64_t hazard) {
    for (uint32_t i = 0; i < b->count; i++)
        if (b->offset[i] == hazard) b->held |= UINT64_C(1) << i;
}

static void scan_slot(aipc_seg *seg, uint32_t slot, batch *b) {
    uint32_t contexts = aipc_load_seq_cst32(&seg->slots[slot].contexts_used);
    if (contexts > AIPC_CONTEXTS) contexts = AIPC_CONTEXTS;
    for (uint32_t c = 0; c < contexts; c++)
        for (int h = 0; h < AIPC_HAZARDS; h++) {
            uint64_t hazard = aipc_load_seq_cst64(&aipc_context_of(seg, slot, c)->hazard[h]); /* SYNC hazard */
            if (hazard != 0) mark_held(b, hazard);
        }
    uint32_t pins = aipc_load_seq_cst32(&seg->slots[slot].pins_used);
    for (uint32_t p = 0; p < pins && p < AIPC_PINS; p++) {
        uint64_t pinned = aipc_load_seq_cst64(&seg->slots[slot].pinned[p]); /* SYNC hazard */
        if (pinned != 0) mark_held(b, pinned);
    }
}

/* A participant or context that comes up while we scan sets its hazards later still, and so finds
 * the blocks unlinked. */
static void scan_hazards(aipc_seg *seg, batch *b) {
    uint32_t slots = aipc_load_seq_cst32(&seg->header->slots_used);
    if (slots > seg->participants) slots = seg->participants;
    for (uint32_t s = 0; s < slots; s++)
        if (aipc_life_state(aipc_load_seq_cst64(&seg->slots[s].life)) != AIPC_SLOT_FREE) scan_slot(seg, s, b);
}

/* Moves the parts of a block into orphan words, one transaction each.  True: it has none left. */
static bool take_parts(aipc_ctx *ctx, const aipc_retired *retired, uint64_t block, uint32_t *words) {
    if (retired->part == NULL) return true;
    for (;;) {
        uint64_t *orphan = aipc_orphan_word(ctx);
        if (orphan == NULL) return false;
        aipc_tx tx = aipc_tx_begin(ctx->seg, retired->domain);
        uint64_t part = retired->part(&tx, block);
        if (part != 0) aipc_tx_set(&tx, orphan, part);
        aipc_tx_commit(&tx);
        if (part == 0) return true;
        *words |= aipc_orphan_bit(ctx, orphan);
    }
}

aipc_status aipc_retired_take(aipc_ctx *ctx, const aipc_retired *retired, uint32_t *words) {
    aipc_seg *seg = ctx->seg;
    uint64_t *link;
    if (aipc_load_relaxed64(retired->list) == 0) return AIPC_OK;

    batch b;
    aipc_status status = gather(seg, retired, &b);
    if (status != AIPC_OK) return status;
    scan_hazards(seg, &b);
    move_on(retired, &b);
    link = b.link;

    for (uint32_t i = 0; i < b.count; i++) {
        bool held = (b.held >> i & 1) != 0;
        uint64_t *orphan = held || !take_parts(ctx, retired, b.offset[i], words) ? NULL : aipc_orphan_word(ctx);
        if (orphan == NULL) {
            link = b.first_word[i];
            continue;
        }
        aipc_tx tx = aipc_tx_begin(seg, retired->domain);
        aipc_tx_set(&tx, orphan, b.offset[i]);
        aipc_tx_set(&tx, link, aipc_load_relaxed64(b.first_word[i]));
        aipc_tx_commit(&tx);
        *words |= aipc_orphan_bit(ctx, orphan);
    }
    return AIPC_OK;
}

/* ---- pins of values ---------------------------------------------------------------------------- */

aipc_status aipc_value_pin(aipc_seg *seg, uint64_t block, uint32_t *pin) {
    struct aipc_slot *slot = &seg->slots[seg->slot];
    for (uint32_t i = 0; i < AIPC_PINS; i++) {
        if (aipc_load_relaxed64(&slot->pinned[i]) != 0) continue;
        uint32_t used = aipc_load_seq_cst32(&slot->pins_used); /* raised before the word is set: scans see it */
        while (used <= i && !aipc_cas_seq_cst32(&slot->pins_used, used, i + 1))
            used = aipc_load_seq_cst32(&slot->pins_used);
        if (!aipc_cas_seq_cst64(&slot->pinned[i], 0, block)) continue; /* another thread of ours.  SYNC hazard */
        *pin = i;
        return AIPC_OK;
    }
    return AIPC_AGAIN;
}

void aipc_value_unpin(aipc_seg *seg, uint32_t pin) {
    (void)aipc_exchange_seq_cst64(&seg->slots[seg->slot].pinned[pin], 0);
}

void aipc_value_unpin_all(aipc_seg *seg, uint32_t slot) {
    for (uint32_t i = 0; i < AIPC_PINS; i++)
        if (aipc_load_relaxed64(&seg->slots[slot].pinned[i]) != 0)
            (void)aipc_exchange_seq_cst64(&seg->slots[slot].pinned[i], 0);
}
