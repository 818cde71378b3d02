/* Taking a message until it is settled. */
#include <string.h>

#include "queue_ring.h"

/* ---- leasing ------------------------------------------------------------------------------------------- */

typedef struct leasing {
    aipc_ctx *ctx;
    struct aipc_queue *queue;
    aipc_message *message;
    uint64_t *word, block;      /* a fresh item, for a message that has none */
    uint64_t needed;            /* bytes of payload it must have */
    bool again;                 /* it is missing, or too small */
    bool leased;                /* the queue was empty, but what is on lease may come back */
    uint32_t words;             /* orphan words to be freed */
} leasing;

/* Puts the item at the young end of this participant's list: the last of the transaction, but for its publish. */
static aipc_status link_lease(leasing *l, aipc_tx *tx, struct aipc_queue_holder *holder, struct aipc_item *item,
                              uint64_t offset) {
    aipc_seg *seg = l->ctx->seg;
    struct aipc_queue_out *out = &l->queue->out;
    uint64_t newest = aipc_load_relaxed64(&holder->newest), serial = aipc_load_relaxed64(&out->serial) + 1;
    uint64_t size = aipc_load_relaxed64(&item->size);
    uint32_t deliveries = aipc_load_relaxed32(&item->deliveries) + 1;
    struct aipc_item *before = aipc_item_at(seg, l->queue, newest);
    bool first = aipc_load_relaxed64(&holder->leases) == 0;
    if (first ? newest != 0 : before == NULL) return aipc_corrupt(seg, "Q4 newest lease of a holder", holder, newest, 0);
    aipc_tx_set(tx, first ? &holder->oldest : &before->next, offset);
    aipc_tx_set(tx, &holder->newest, offset);
    aipc_tx_set(tx, &holder->leases, aipc_load_relaxed64(&holder->leases) + 1);
    aipc_tx_set(tx, &holder->bytes, aipc_load_relaxed64(&holder->bytes) + size);
    aipc_tx_set(tx, &item->prev, newest);
    aipc_tx_set(tx, &item->next, 0);
    aipc_tx_set(tx, &item->owner, seg->self);
    aipc_tx_set(tx, &item->serial, serial);
    aipc_tx_set32(tx, &item->deliveries, deliveries);
    aipc_tx_set(tx, &out->serial, serial);
    aipc_tx_after(tx, &out->leases, aipc_load_relaxed64(&out->leases) + 1);
    aipc_tx_after(tx, &out->bytes, aipc_load_relaxed64(&out->bytes) + size);
    *l->message = (aipc_message){.data = aipc_item_data(item), .size = size, .item = offset, .serial = serial,
                                 .deliveries = deliveries};
    return AIPC_OK;
}

static aipc_status lease_returned(leasing *l, aipc_tx *tx, struct aipc_queue_holder *holder, uint64_t offset) {
    struct aipc_queue_out *out = &l->queue->out;
    struct aipc_item *item = aipc_item_at(l->ctx->seg, l->queue, offset);
    if (item == NULL || aipc_load_relaxed64(&out->ring_taken) == aipc_load_relaxed64(&out->taken))
        return aipc_corrupt(l->ctx->seg, "Q3 returned items", out, offset, 0);
    aipc_tx_set(tx, &out->returned, aipc_load_relaxed64(&item->next));
    return link_lease(l, tx, holder, item, offset);
}

/* A small message is copied into the fresh item, if there is one that is large enough. */
static aipc_status lease_record(leasing *l, aipc_tx *tx, struct aipc_queue_holder *holder) {
    aipc_seg *seg = l->ctx->seg;
    aipc_spot spot = {0};
    aipc_record record = {0};
    aipc_status status = aipc_spot_head(seg, l->queue, &spot);
    if (status == AIPC_OK) status = aipc_record_read(seg, &spot, &record);
    if (status != AIPC_OK) return status;
    uint64_t offset = record.item;
    struct aipc_item *item;
    if (record.kind == AIPC_RECORD_INLINE) {
        if (l->word == NULL || l->needed < record.size) {
            l->needed = record.size;
            l->again = true;
            return AIPC_NOT_FOUND;
        }
        offset = l->block;
        item = (void *)(seg->base + offset);
        aipc_store_relaxed64(&item->size, record.size);
        memcpy(aipc_item_data(item), record.data, record.size);
        aipc_tx_set(tx, l->word, 0);
    } else {
        item = aipc_item_at(seg, l->queue, offset);
        if (item == NULL || aipc_load_relaxed64(&item->size) != record.size)
            return aipc_corrupt(seg, "Q6 item of a queue", l->queue, offset, record.size);
    }
    status = aipc_queue_advance(l->ctx, tx, l->queue, &spot, 1, &l->words);
    return status != AIPC_OK ? status : link_lease(l, tx, holder, item, offset);
}

/* Under out.domain.  AIPC_AGAIN: there is nothing.  l->again: an item of l->needed bytes is. */
static aipc_status lease_locked(leasing *l) {
    struct aipc_queue_out *out = &l->queue->out;
    struct aipc_queue_holder *holder;
    aipc_status status = aipc_queue_own_holder(l->ctx->seg, l->queue, &holder);
    if (status != AIPC_OK) return status;
    uint64_t returned = aipc_load_relaxed64(&out->returned);
    aipc_tx tx = aipc_queue_out_begin(l->ctx->seg, l->queue);
    if (returned != 0)
        status = lease_returned(l, &tx, holder, returned);
    else if (aipc_load_seq_cst64(&l->queue->in.count) == aipc_load_relaxed64(&out->ring_taken)) /* SYNC journal-publish */
        status = AIPC_AGAIN;
    else
        status = lease_record(l, &tx, holder);
    if (status != AIPC_OK) {
        aipc_tx_abort(&tx);
        l->words = 0;
        return status;
    }
    bool copied = l->word != NULL && l->message->item == l->block;
    if (!aipc_tx_publish(&tx, &out->taken, aipc_load_relaxed64(&out->taken) + 1))
        return aipc_corrupt(l->ctx->seg, "L2 log is full", &out->domain, 0, AIPC_LOG_ENTRIES);
    if (copied) l->word = NULL;
    return AIPC_OK;
}

static aipc_status lease_once(leasing *l) {
    aipc_status status = aipc_domain_lock(l->ctx, &l->queue->out.domain);
    if (status != AIPC_OK) return status;
    status = lease_locked(l);
    l->leased = aipc_load_relaxed64(&l->queue->out.leases) != 0;
    aipc_domain_unlock(l->ctx, &l->queue->out.domain);
    return status;
}

static aipc_status lease_some(leasing *l) {
    struct aipc_queue *queue = l->queue;
    uint32_t state = aipc_load_seq_cst32(&queue->state);
    aipc_status status = AIPC_OK;
    if (aipc_queue_needs_tending(l->ctx->seg, queue, state)) status = aipc_queue_tend(l->ctx, queue);
    if (status == AIPC_OK && (state & (AIPC_QUEUE_CLOSED | AIPC_QUEUE_DISCARD)) != 0)
        status = aipc_queue_ended(state, false);
    if (status == AIPC_OK) status = lease_once(l);
    if (status == AIPC_AGAIN && aipc_queue_may_be_owed(queue)) {
        status = aipc_queue_tend(l->ctx, queue);
        if (status == AIPC_OK) status = lease_once(l);
    }
    /* A record that needs an item is no reason to end. */
    return status == AIPC_AGAIN && !l->again ? aipc_queue_ended(state, l->leased) : status;
}

aipc_status aipc_queue_lease(aipc_ctx *ctx, struct aipc_queue *queue, aipc_message *message) {
    leasing l = {.ctx = ctx, .queue = queue, .message = message};
    aipc_status status;
    for (;;) { /* each turn's item is larger, and none need be larger than an inline message */
        l.again = false;
        status = lease_some(&l);
        if (!l.again) break;
        status = aipc_orphan_free(ctx, l.word);
        l.word = NULL;
        if (status == AIPC_OK) status = aipc_item_make(ctx, queue, l.needed, AIPC_RESERVE, &l.word, &l.block);
        if (status != AIPC_OK) break;
    }
    (void)aipc_orphan_free(ctx, l.word);
    if (l.words != 0) (void)aipc_orphans_free(ctx, l.words);
    if (status == AIPC_OK) aipc_queue_wake_putters(ctx, queue, 1);
    return status;
}

/* ---- settling ------------------------------------------------------------------------------------------- */

/* The word that must name a leased item on one side: its neighbour's link, or the list's end. */
static uint64_t *link_to(aipc_seg *seg, const struct aipc_queue *queue, uint64_t neighbour, bool next, uint64_t *end) {
    if (neighbour == 0) return end;
    struct aipc_item *item = aipc_item_at(seg, queue, neighbour);
    return item == NULL ? NULL : next ? &item->next : &item->prev;
}

static aipc_status unlink_lease(aipc_tx *tx, struct aipc_queue *queue, struct aipc_queue_holder *holder,
                                struct aipc_item *item, uint64_t offset) {
    aipc_seg *seg = tx->seg;
    uint64_t next = aipc_load_relaxed64(&item->next), prev = aipc_load_relaxed64(&item->prev);
    uint64_t leases = aipc_load_relaxed64(&holder->leases), all = aipc_load_relaxed64(&queue->out.leases);
    uint64_t *before = link_to(seg, queue, prev, true, &holder->oldest);
    uint64_t *after = link_to(seg, queue, next, false, &holder->newest);
    if (before == NULL || after == NULL || aipc_load_relaxed64(before) != offset ||
        aipc_load_relaxed64(after) != offset || leases == 0 || all == 0)
        return aipc_corrupt(seg, "Q4 links of a lease", item, offset, leases);
    aipc_tx_set(tx, before, next);
    aipc_tx_set(tx, after, prev);
    aipc_tx_set(tx, &item->owner, 0);
    aipc_tx_set(tx, &holder->leases, leases - 1);
    aipc_tx_set(tx, &holder->bytes, aipc_load_relaxed64(&holder->bytes) - aipc_load_relaxed64(&item->size));
    return AIPC_OK;
}

static aipc_status settle_locked(aipc_ctx *ctx, struct aipc_queue *queue, uint64_t offset, uint64_t serial,
                                 aipc_settlement how, uint32_t *words) {
    aipc_seg *seg = ctx->seg;
    struct aipc_queue_out *out = &queue->out;
    struct aipc_item *item = aipc_item_at(seg, queue, offset);
    if (item == NULL || aipc_load_relaxed64(&item->owner) != seg->self || aipc_load_relaxed64(&item->serial) != serial ||
        aipc_holder_generation(aipc_load_relaxed64(&queue->holders[seg->slot].plain)) != seg->generation)
        return AIPC_NOT_OWNER;
    aipc_tx tx = aipc_queue_out_begin(seg, queue);
    aipc_status status = unlink_lease(&tx, queue, &queue->holders[seg->slot], item, offset);
    uint64_t *word = how == AIPC_SETTLE_DONE ? aipc_orphan_word(ctx) : NULL;
    if (status == AIPC_OK && how == AIPC_SETTLE_DONE && word == NULL) status = AIPC_STALLED;
    if (status != AIPC_OK) {
        aipc_tx_abort(&tx);
        return status;
    }
    uint64_t left = aipc_load_relaxed64(&out->leases) - 1;
    if (how == AIPC_SETTLE_DONE) {
        aipc_tx_set(&tx, word, offset);
        *words = aipc_orphan_bit(ctx, word);
        uint64_t done = aipc_load_relaxed64(&out->done) + 1;
        aipc_tx_after(&tx, &out->leases, left);
        aipc_queue_note_done(&tx, queue, done);
        (void)aipc_tx_publish(&tx, &out->done, done);
    } else {
        aipc_tx_set(&tx, &item->next, aipc_load_relaxed64(&out->returned));
        aipc_tx_set(&tx, &out->returned, offset);
        aipc_tx_after(&tx, &out->leases, left);
        aipc_tx_after(&tx, &out->bytes, aipc_load_relaxed64(&out->bytes) - aipc_load_relaxed64(&item->size));
        (void)aipc_tx_publish(&tx, &out->taken, aipc_load_relaxed64(&out->taken) - 1);
        aipc_store_relaxed64(&out->returns, aipc_load_relaxed64(&out->returns) + 1);
    }
    return AIPC_OK;
}

aipc_status aipc_queue_settle(aipc_ctx *ctx, struct aipc_queue *queue, uint64_t item, uint64_t serial,
                              aipc_settlement how) {
    uint32_t words = 0;
    uint64_t all_done = aipc_queue_all_done(queue);
    aipc_status status = aipc_domain_lock(ctx, &queue->out.domain);
    if (status != AIPC_OK) return status;
    /* Looked at under the lock: who drains takes it after setting the bit. */
    if ((aipc_load_seq_cst32(&queue->state) & AIPC_QUEUE_DISCARD) != 0) how = AIPC_SETTLE_DONE;
    status = settle_locked(ctx, queue, item, serial, how, &words);
    aipc_domain_unlock(ctx, &queue->out.domain);
    if (status != AIPC_OK) return status;
    (void)aipc_orphans_free(ctx, words);
    if (how == AIPC_SETTLE_RETURN) {
        aipc_queue_wake_getters(ctx, queue, 1);
        return AIPC_OK;
    }
    aipc_queue_wake_joiners(ctx, queue, all_done);
    /* With the last lease goes the last chance of a queue that is shut down: who waits for it must hear. */
    if (aipc_load_seq_cst32(&queue->state) != 0 && aipc_load_relaxed64(&queue->out.leases) == 0 &&
        aipc_line_asleep_after_redo(&queue->getters))
        (void)aipc_line_wake(ctx, &queue->getters, AIPC_EVERYBODY);
    return AIPC_OK;
}

