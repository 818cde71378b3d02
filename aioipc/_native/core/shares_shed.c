/* Giving back what destroyed objects own, in bounded steps. */
#include "catalog_parts.h"
#include "described.h"
#include "pointer.h"
#include "shares.h"

enum {
    STEPS = 16, /* in one hold of the lock */
    LOOK = 64   /* owning words looked at in one step: most are null */
};

static bool described(aipc_seg *seg, const aipc_object_ref *ref, aipc_description *said) {
    return (ref->type & AIPC_TYPE_STRUCT) != 0 &&
           aipc_described_at(seg, ref->payload, ref->size, ref->count, said) == AIPC_OK && said->owner_count != 0;
}

bool aipc_object_owns(aipc_seg *seg, const aipc_object_ref *ref) {
    aipc_description said;
    return described(seg, ref, &said);
}

/* The first of the list, which has given everything back, leaves it: it is retired once nobody has a handle on it. */
static void leave_list(aipc_seg *seg, struct aipc_object *object) {
    struct aipc_catalog *catalog = seg->catalog;
    aipc_tx tx = aipc_tx_begin(seg, &catalog->domain);
    aipc_tx_set(&tx, &catalog->shedding, aipc_load_relaxed64(&object->retired_next));
    aipc_tx_set(&tx, &object->state, AIPC_OBJECT_DESTROYED); /* to who reads it without the lock both mean the same */
    if (aipc_load_relaxed32(&object->pins) == 0) {
        aipc_tx_set(&tx, &object->retired_next, aipc_load_relaxed64(&catalog->retired));
        aipc_tx_set(&tx, &catalog->retired, aipc_offset(seg, object));
    }
    aipc_tx_commit(&tx);
}

/* The share of one word.  A word that leads to no living object is passed over: what it counted stays counted, and the
 * check tells. */
static aipc_status give_back(aipc_tx *tx, uint64_t *word) {
    uint64_t pointer = aipc_load_relaxed64(word);
    aipc_living lost;
    aipc_tx_set(tx, word, 0);
    bool there = aipc_living_at(tx->seg, aipc_pointer_offset(pointer), &lost) && lost.state == AIPC_OBJECT_LIVE &&
                 aipc_pointer_means(pointer, &lost.ref);
    uint32_t shares = there ? aipc_load_relaxed32(&lost.object->shares) & ~AIPC_SOLE : 0;
    if (shares != 0) aipc_tx_set32(tx, &lost.object->shares, shares - 1);
    if (shares != 1) {
        aipc_tx_commit(tx);
        return AIPC_OK;
    }
    aipc_status status = aipc_end_living(tx, &lost);
    if (status != AIPC_OK) aipc_tx_abort(tx);
    return status;
}

/* One step of the object that is first in the list; *done: it has nothing left. */
static aipc_status step(aipc_seg *seg, const aipc_object_ref *ref, bool *done) {
    aipc_description said;
    *done = !described(seg, ref, &said);
    if (*done) return AIPC_OK;
    struct aipc_described *d = (void *)(seg->base + ref->payload);
    uint64_t all = said.owner_count * ref->count, at = aipc_load_relaxed64(&d->shed), *word = NULL;
    for (int i = 0; i < LOOK && at < all; i++, at++) {
        word = aipc_owning_word(&said, at);
        if (word != NULL && aipc_load_relaxed64(word) != 0) break;
        word = NULL;
    }
    *done = at >= all;
    if (*done) return AIPC_OK;
    aipc_tx tx = aipc_catalog_begin(seg);
    aipc_tx_set(&tx, &d->shed, word == NULL ? at : at + 1);
    if (word != NULL) return give_back(&tx, word);
    aipc_tx_commit(&tx);
    return AIPC_OK;
}

aipc_status aipc_shed_some(aipc_ctx *ctx, bool *more) {
    aipc_seg *seg = ctx->seg;
    const uint64_t *list = &seg->catalog->shedding;
    *more = aipc_load_relaxed64(list) != 0;
    for (int i = 0; i < STEPS && aipc_load_relaxed64(list) != 0; i++) {
        aipc_object_ref ref;
        bool done;
        struct aipc_object *object = aipc_object_read(seg, aipc_load_relaxed64(list), &ref);
        if (object == NULL || aipc_load_relaxed64(&object->state) != AIPC_OBJECT_SHEDDING)
            return aipc_corrupt(seg, "U3 list of shedding objects", list, aipc_load_relaxed64(list), 0);
        aipc_status status = step(seg, &ref, &done);
        if (status != AIPC_OK) return status;
        if (done) leave_list(seg, object);
    }
    return AIPC_OK;
}
