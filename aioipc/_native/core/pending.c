#include "pending.h"

#include "catalog_parts.h"
#include "holdings.h"
#include "participants.h"

static bool is_open(uint64_t epoch) { return (epoch & 1) != 0; }
static uint32_t slot_of(uint64_t identity) { return (uint32_t)(identity >> 20 & 0xfff); }

/* ---- the epoch ----------------------------------------------------------------------------------- */

static void move_epoch(aipc_seg *seg, uint64_t owner) {
    struct aipc_catalog *catalog = seg->catalog;
    aipc_tx tx = aipc_catalog_begin(seg);
    aipc_tx_after(&tx, &catalog->owner, owner);
    aipc_tx_publish(&tx, &catalog->epoch, aipc_load_relaxed64(&catalog->epoch) + 1); /* SYNC block-epoch */
}

aipc_status aipc_block_open(aipc_ctx *ctx, uint64_t *serial) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_catalog_lock(ctx);
    if (status != AIPC_OK) return status;
    uint64_t epoch = aipc_load_relaxed64(&seg->catalog->epoch);
    if (is_open(epoch) || epoch >> 55 != 0)
        status = aipc_corrupt(seg, "Y4 two atomic blocks at once", &seg->catalog->epoch, epoch, epoch + 1);
    else if (aipc_load_relaxed64(&seg->slots[seg->slot].registrations) != 0)
        status = AIPC_AGAIN;
    else
        move_epoch(seg, seg->self);
    aipc_catalog_unlock(ctx);
    *serial = epoch + 1;
    return status;
}

aipc_status aipc_block_commit(aipc_ctx *ctx, uint64_t serial) {
    aipc_status status = aipc_catalog_lock(ctx);
    if (status != AIPC_OK) return status;
    ctx->block = serial;
    status = aipc_block_mine(ctx);
    if (status == AIPC_OK) move_epoch(ctx->seg, 0);
    ctx->block = 0;
    aipc_catalog_unlock(ctx);
    return status;
}

aipc_status aipc_block_refused(aipc_ctx *ctx) {
    aipc_seg *seg = ctx->seg;
    uint64_t owner = aipc_load_relaxed64(&seg->catalog->owner); /* a hint */
    uint32_t slot = slot_of(owner), generation;
    if (owner == 0) return AIPC_OK;
    if (slot == seg->slot || slot >= seg->participants) return AIPC_PENDING;
    aipc_status status = aipc_participant_test(seg, slot, &generation);
    if (status == AIPC_NOT_FOUND) status = seg->recover(ctx, slot, generation);
    else if (status == AIPC_OK) return AIPC_PENDING;
    return status == AIPC_AGAIN ? AIPC_PENDING : status;
}

/* ---- settling ------------------------------------------------------------------------------------ */

typedef struct registration {
    uint64_t offset;
    uint64_t kind, serial;
    aipc_object_ref target;
} registration;

static aipc_status read_registration(aipc_seg *seg, uint64_t offset, registration *r) {
    uint64_t usable;
    uint32_t flags;
    if (aipc_heap_size_of(seg, offset, &usable, &flags) != AIPC_OK || (flags & AIPC_PART) != AIPC_INTERNAL ||
        usable < sizeof(struct aipc_holding))
        return aipc_corrupt(seg, "D1 registration is not a block of the catalog", seg->catalog, offset, 0);
    const struct aipc_holding *record = (const void *)(seg->base + offset);
    uint64_t kind = aipc_load_relaxed64(&record->kind), target = aipc_load_relaxed64(&record->target);
    *r = (registration){.offset = offset, .kind = kind & 255, .serial = kind >> 8};
    if (!aipc_holding_registers(kind)) return aipc_corrupt(seg, "D1 kind of a registration", record, kind, AIPC_HOLD_MADE);
    if (aipc_object_read(seg, target, &r->target) == NULL)
        return aipc_corrupt(seg, "D2 registration names no object", record, target, 0);
    return AIPC_OK;
}

static void set_state(aipc_seg *seg, struct aipc_object *object, uint64_t state) {
    aipc_tx tx = aipc_catalog_begin(seg);
    aipc_tx_publish(&tx, &object->state, state);
}

aipc_status aipc_settle_living(aipc_seg *seg, aipc_living *it) {
    if (!aipc_state_pending(it->state)) return AIPC_OK;
    if (it->state >> 8 == aipc_load_relaxed64(&seg->catalog->epoch)) return AIPC_PENDING;
    if ((it->state & 255) != AIPC_OBJECT_NEW) return AIPC_NOT_FOUND;
    it->state = AIPC_OBJECT_LIVE;
    set_state(seg, it->object, it->state);
    return AIPC_OK;
}

/* Gives the object the state that it has anyhow. */
static aipc_status settle_object(aipc_seg *seg, const registration *r) {
    aipc_living it;
    aipc_status status = aipc_find_living(seg, &r->target, &it);
    if (status != AIPC_OK) return status == AIPC_NOT_FOUND ? AIPC_OK : status; /* destroyed since the commit */
    if (!aipc_state_pending(it.state) || it.state >> 8 != r->serial) return AIPC_OK;
    bool back = r->serial == aipc_load_relaxed64(&seg->catalog->epoch), made = r->kind == AIPC_HOLD_MADE;
    uint64_t what = it.state & 255;
    if (back == made && (made || what != AIPC_OBJECT_NEW)) return aipc_take_away(seg, &it);
    if (made && what == AIPC_OBJECT_BOTH) return aipc_take_away(seg, &it);
    if (back && what == AIPC_OBJECT_BOTH)
        set_state(seg, it.object, AIPC_OBJECT_NEW | r->serial << 8);
    else if (made || what == AIPC_OBJECT_GONE)
        set_state(seg, it.object, AIPC_OBJECT_LIVE);
    return AIPC_OK;
}

/* The latest registration of a slot, unless it is `mark`; *left: it was another one.  pre: the catalog's lock. */
static aipc_status settle_latest(aipc_ctx *ctx, uint32_t slot, uint64_t mark, uint32_t *words, bool *left) {
    aipc_seg *seg = ctx->seg;
    registration r;
    uint64_t latest = aipc_load_relaxed64(&seg->slots[slot].registrations);
    *left = latest != 0 && latest != mark;
    if (!*left) return AIPC_OK;
    aipc_status status = read_registration(seg, latest, &r);
    if (status == AIPC_OK) status = settle_object(seg, &r);
    return status == AIPC_OK ? aipc_drop_holding(ctx, slot, latest, words) : status;
}

/* With nothing left to be settled, an open block of this slot's is over. */
static void close_block(aipc_seg *seg, uint32_t slot) {
    uint64_t owner = aipc_load_relaxed64(&seg->catalog->owner);
    if (is_open(aipc_load_relaxed64(&seg->catalog->epoch)) && owner != 0 && slot_of(owner) == slot) move_epoch(seg, 0);
}

static aipc_status settle_down_to(aipc_ctx *ctx, uint32_t slot, uint64_t mark, bool end) {
    for (bool left = true; left;) { /* each turn takes one registration off the chain */
        uint32_t words = 0;
        aipc_status status = aipc_catalog_lock(ctx);
        if (status != AIPC_OK) return status;
        status = settle_latest(ctx, slot, mark, &words, &left);
        if (status == AIPC_OK && !left && end) close_block(ctx->seg, slot);
        if (status != AIPC_OK || !left) {
            aipc_catalog_unlock(ctx);
            return status;
        }
        status = aipc_collect_and_unlock(ctx, words);
        if (status != AIPC_OK) return status;
    }
    return AIPC_OK;
}

uint64_t aipc_block_mark(const aipc_seg *seg) { return aipc_load_relaxed64(&seg->slots[seg->slot].registrations); }

aipc_status aipc_block_back_to(aipc_ctx *ctx, uint64_t mark) { return settle_down_to(ctx, ctx->seg->slot, mark, false); }

aipc_status aipc_block_settle(aipc_ctx *ctx, uint32_t slot) { return settle_down_to(ctx, slot, 0, true); }
