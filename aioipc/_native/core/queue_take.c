/* The consumers' end: taking, dropping, looking at the next. */
#include <string.h>

#include "queue_ring.h"

enum { COPIED = 8192 }; /* bytes in one hold of the lock: then others may come in */

/* What one hold of the lock takes. */
typedef struct taking {
    aipc_ctx *ctx;
    struct aipc_queue *queue;
    uint8_t *room;               /* NULL: the messages are dropped */
    uint64_t room_left;
    aipc_message *messages;      /* NULL: the messages are dropped */
    uint32_t count;              /* at most so many */
    uint32_t n, items;           /* so many were taken; of these have memory of their own */
    uint32_t records;            /* of these were in chunks */
    uint64_t bytes;
    uint32_t words;              /* orphan words with what this process alone knows now and nobody needs */
    bool full;                   /* no room for the next one */
    bool leased;                 /* it was empty, but what is on lease may come back */
} taking;

static void deliver(taking *t, const uint8_t *data, uint64_t size, uint64_t item, uint32_t deliveries) {
    if (t->messages != NULL)
        t->messages[t->n] = (aipc_message){.data = data, .size = size, .item = item, .deliveries = deliveries};
    t->bytes += size;
    t->n++;
}

/* Moves an item into an orphan word. */
static aipc_status take_item(taking *t, aipc_tx *tx, uint64_t offset, uint64_t size) {
    struct aipc_item *item = aipc_item_at(t->ctx->seg, t->queue, offset);
    if (item == NULL || (size != UINT64_MAX && aipc_load_relaxed64(&item->size) != size))
        return aipc_corrupt(t->ctx->seg, "Q6 item of a queue", t->queue, offset, size);
    uint64_t *word = t->items < AIPC_QUEUE_ITEMS ? aipc_orphan_word(t->ctx) : NULL;
    if (word == NULL) {
        t->full = true;
        return AIPC_OK;
    }
    aipc_tx_set(tx, word, offset);
    if (t->messages == NULL) t->words |= aipc_orphan_bit(t->ctx, word);
    t->items++;
    deliver(t, aipc_item_data(item), aipc_load_relaxed64(&item->size), offset, aipc_load_relaxed32(&item->deliveries) + 1);
    return AIPC_OK;
}

static aipc_status take_returned(taking *t, aipc_tx *tx, uint64_t returned) {
    struct aipc_queue_out *out = &t->queue->out;
    uint64_t left = aipc_load_relaxed64(&out->ring_taken) - aipc_load_relaxed64(&out->taken);
    uint64_t next = returned;
    aipc_status status = AIPC_OK;
    while (status == AIPC_OK && next != 0 && !t->full && t->n < t->count) {
        if (t->n >= left) return aipc_corrupt(t->ctx->seg, "Q3 returned items", out, next, left);
        status = take_item(t, tx, next, UINT64_MAX);
        if (status == AIPC_OK && !t->full) next = aipc_load_relaxed64(&((struct aipc_item *)(void *)(t->ctx->seg->base + next))->next);
    }
    if (next != returned) aipc_tx_set(tx, &out->returned, next);
    return status;
}

static aipc_status take_record(taking *t, aipc_tx *tx, const aipc_record *record) {
    if (record->kind == AIPC_RECORD_BLOCK) return take_item(t, tx, record->item, record->size);
    if (t->messages != NULL) {
        if (record->size > t->room_left) {
            t->full = true;
            return AIPC_OK;
        }
        memcpy(t->room, record->data, record->size);
        deliver(t, t->room, record->size, 0, 1);
        t->room += record->size;
        t->room_left -= record->size;
        return AIPC_OK;
    }
    deliver(t, NULL, record->size, 0, 0);
    return AIPC_OK;
}

static aipc_status take_records(taking *t, aipc_tx *tx) {
    struct aipc_queue *queue = t->queue;
    uint64_t left = aipc_load_seq_cst64(&queue->in.count) - aipc_load_relaxed64(&queue->out.ring_taken); /* SYNC journal-publish */
    if (left == 0) return AIPC_OK;
    aipc_spot spot = {0};
    aipc_status status = aipc_spot_head(t->ctx->seg, queue, &spot);
    uint32_t moves = 0;
    while (status == AIPC_OK && t->records < left && t->n < t->count && t->bytes < COPIED) {
        aipc_spot next = spot;
        aipc_record record;
        status = aipc_record_read(t->ctx->seg, &next, &record);
        moves += next.offset != spot.offset;
        if (moves > 1) break; /* one chunk in a hold is left behind */
        if (status == AIPC_OK) status = take_record(t, tx, &record);
        if (status != AIPC_OK || t->full) break;
        t->records++;
        spot = next;
    }
    if (status != AIPC_OK || t->records == 0) return status;
    return aipc_queue_advance(t->ctx, tx, queue, &spot, t->records, &t->words);
}

static void drop_after(aipc_tx *tx, struct aipc_queue *queue, uint64_t count) {
    uint64_t done = aipc_load_relaxed64(&queue->out.done) + count;
    aipc_tx_after(tx, &queue->out.done, done);
    aipc_queue_note_done(tx, queue, done);
}

/* Counts what was taken, and makes it so. */
static aipc_status commit(taking *t, aipc_tx *tx, struct aipc_queue_holder *holder) {
    struct aipc_queue_out *out = &t->queue->out;
    if (t->messages != NULL)
        aipc_tx_set(tx, &holder->plain, aipc_holder_add(aipc_load_relaxed64(&holder->plain), t->n));
    else
        drop_after(tx, t->queue, t->n);
    aipc_tx_after(tx, &out->bytes, aipc_load_relaxed64(&out->bytes) + t->bytes);
    if (!aipc_tx_publish(tx, &out->taken, aipc_load_relaxed64(&out->taken) + t->n))
        return aipc_corrupt(t->ctx->seg, "L2 log is full", &out->domain, t->n, AIPC_LOG_ENTRIES);
    return AIPC_OK;
}

/* Under out.domain.  AIPC_AGAIN: there is nothing. */
static aipc_status take_locked(taking *t) {
    struct aipc_queue_out *out = &t->queue->out;
    struct aipc_queue_holder *holder;
    aipc_status status = aipc_queue_own_holder(t->ctx->seg, t->queue, &holder);
    if (status != AIPC_OK) return status;
    aipc_tx tx = aipc_queue_out_begin(t->ctx->seg, t->queue);
    uint64_t returned = aipc_load_relaxed64(&out->returned);
    if (returned != 0) status = take_returned(t, &tx, returned);
    if (status == AIPC_OK && !t->full && t->n < t->count) status = take_records(t, &tx);
    if (status == AIPC_OK && t->n != 0) return commit(t, &tx, holder);
    aipc_tx_abort(&tx);
    t->n = 0;
    t->words = 0;
    t->leased = aipc_load_relaxed64(&out->leases) != 0;
    return status != AIPC_OK ? status : t->full ? AIPC_STALLED : AIPC_AGAIN;
}

aipc_status aipc_queue_ended(uint32_t state, bool leased) {
    if ((state & AIPC_QUEUE_CLOSED) != 0) return AIPC_CLOSED;
    return state != 0 && ((state & AIPC_QUEUE_DISCARD) != 0 || !leased) ? AIPC_SHUT_DOWN : AIPC_AGAIN;
}

static aipc_status take_once(taking *t) {
    aipc_status status = aipc_domain_lock(t->ctx, &t->queue->out.domain);
    if (status != AIPC_OK) return status;
    status = take_locked(t);
    aipc_domain_unlock(t->ctx, &t->queue->out.domain);
    if (t->words != 0) (void)aipc_orphans_free(t->ctx, t->words);
    return status;
}

/* The state is read first: whoever finds it shut down finds every message put before. */
static aipc_status take_some(taking *t) {
    struct aipc_queue *queue = t->queue;
    uint32_t state = aipc_load_seq_cst32(&queue->state);
    if (aipc_queue_needs_tending(t->ctx->seg, queue, state)) {
        aipc_status status = aipc_queue_tend(t->ctx, queue);
        if (status != AIPC_OK) return status;
    }
    if ((state & (AIPC_QUEUE_CLOSED | AIPC_QUEUE_DISCARD)) != 0) return aipc_queue_ended(state, false);
    aipc_status status = take_once(t);
    if (status == AIPC_AGAIN && aipc_queue_may_be_owed(queue)) {
        status = aipc_queue_tend(t->ctx, queue);
        if (status == AIPC_OK) status = take_once(t);
    }
    return status == AIPC_AGAIN ? aipc_queue_ended(state, t->leased) : status;
}

aipc_status aipc_queue_take(aipc_ctx *ctx, struct aipc_queue *queue, void *room, uint64_t room_size,
                            aipc_message *messages, uint32_t count, uint32_t *taken) {
    taking t = {.ctx = ctx, .queue = queue, .room = room, .room_left = room_size, .messages = messages};
    aipc_status status = count == 0 || room_size < AIPC_QUEUE_INLINE ? AIPC_INVALID : AIPC_OK;
    *taken = 0;
    while (status == AIPC_OK && *taken < count && !t.full && t.items < AIPC_QUEUE_ITEMS) {
        t.n = t.records = t.words = 0;
        t.bytes = 0;
        t.count = count - *taken < AIPC_QUEUE_BATCH ? count - *taken : AIPC_QUEUE_BATCH;
        status = take_some(&t);
        t.messages += t.n;
        *taken += t.n;
        if (t.n != 0) aipc_queue_wake_putters(ctx, queue, t.n);
    }
    return *taken != 0 ? AIPC_OK : status; /* what stopped it comes again the next time */
}

aipc_status aipc_queue_dispose(aipc_ctx *ctx, const aipc_message *messages, uint32_t count) {
    aipc_status first = AIPC_OK;
    for (uint32_t i = 0; i < count; i++)
        for (int w = 0; w < AIPC_ORPHANS && messages[i].item != 0; w++)
            if (aipc_load_relaxed64(&ctx->shared->orphan[w]) == messages[i].item)
                first = aipc_worse(first, aipc_orphan_free(ctx, &ctx->shared->orphan[w]));
    return first;
}

/* ---- dropping -------------------------------------------------------------------------------------- */

aipc_status aipc_queue_drop(aipc_ctx *ctx, struct aipc_queue *queue, uint64_t count, uint64_t *dropped) {
    aipc_status status = AIPC_OK;
    uint64_t all_done = aipc_queue_all_done(queue);
    *dropped = 0;
    while (status == AIPC_OK && *dropped < count) {
        taking t = {.ctx = ctx, .queue = queue};
        t.count = count - *dropped < AIPC_QUEUE_BATCH ? (uint32_t)(count - *dropped) : AIPC_QUEUE_BATCH;
        status = aipc_domain_lock(ctx, &queue->out.domain);
        if (status != AIPC_OK) break;
        status = take_locked(&t);
        aipc_domain_unlock(ctx, &queue->out.domain);
        *dropped += t.n;
        if (t.words != 0) (void)aipc_orphans_free(ctx, t.words);
        if (t.n != 0) aipc_queue_wake_putters(ctx, queue, t.n);
    }
    if (*dropped != 0) aipc_queue_wake_joiners(ctx, queue, all_done);
    return status == AIPC_AGAIN ? AIPC_OK : status;
}

aipc_status aipc_queue_clear(aipc_ctx *ctx, struct aipc_queue *queue, uint64_t *dropped) {
    *dropped = 0;
    if ((aipc_load_seq_cst32(&queue->state) & AIPC_QUEUE_CLOSED) != 0) return AIPC_CLOSED;
    aipc_status status = aipc_queue_tend(ctx, queue);
    return status != AIPC_OK ? status : aipc_queue_drop(ctx, queue, aipc_queue_queued(queue), dropped);
}

/* ---- looking at the next ------------------------------------------------------------------------------ */

/* Which message is the next one: none is ever described the same way again. */
typedef struct identity {
    uint64_t item, serial, ring_taken;
} identity;

static aipc_status next_item(aipc_seg *seg, const struct aipc_queue *queue, uint64_t offset, identity *who,
                             aipc_message *message) {
    struct aipc_item *item = aipc_item_at(seg, queue, offset);
    if (item == NULL) return aipc_corrupt(seg, "Q6 item of a queue", queue, offset, 0);
    who->item = offset;
    who->serial = aipc_load_relaxed64(&item->serial);
    *message = (aipc_message){.data = aipc_item_data(item), .size = aipc_load_relaxed64(&item->size),
                              .deliveries = aipc_load_relaxed32(&item->deliveries) + 1};
    return AIPC_OK;
}

static aipc_status next_message(aipc_seg *seg, const struct aipc_queue *queue, identity *who, aipc_message *message) {
    uint64_t returned = aipc_load_relaxed64(&queue->out.returned);
    aipc_spot spot = {0};
    aipc_record record = {0};
    *who = (identity){.ring_taken = aipc_load_relaxed64(&queue->out.ring_taken)};
    if (returned != 0) return next_item(seg, queue, returned, who, message);
    if (aipc_load_seq_cst64(&queue->in.count) == who->ring_taken) return AIPC_AGAIN;
    aipc_status status = aipc_spot_head(seg, queue, &spot);
    if (status == AIPC_OK) status = aipc_record_read(seg, &spot, &record);
    if (status != AIPC_OK) return status;
    if (record.kind == AIPC_RECORD_BLOCK) return next_item(seg, queue, record.item, who, message);
    *message = (aipc_message){.data = record.data, .size = record.size, .deliveries = 1};
    return AIPC_OK;
}

/* Copies the slice at *from of the next message; from its start when it is another one than before. */
static aipc_status peek_some(aipc_ctx *ctx, const struct aipc_queue *queue, uint8_t *room, uint64_t room_size,
                             uint64_t *from, identity *who, aipc_message *message) {
    identity now;
    aipc_status status = next_message(ctx->seg, queue, &now, message);
    if (status != AIPC_OK) return status;
    if (memcmp(&now, who, sizeof now) != 0) *from = 0; /* somebody took the other one while we copied */
    *who = now;
    uint64_t left = message->size - *from;
    if (message->size <= room_size && left != 0) memcpy(room + *from, message->data + *from, left < COPIED ? left : COPIED);
    *from += COPIED;
    return AIPC_OK;
}

aipc_status aipc_queue_peek(aipc_ctx *ctx, struct aipc_queue *queue, void *room, uint64_t room_size,
                            aipc_message *message) {
    identity who = {0};
    bool looked = false, leased;
    for (uint64_t from = 0;;) {
        uint32_t state = aipc_load_seq_cst32(&queue->state);
        aipc_status status = AIPC_OK;
        if (aipc_queue_needs_tending(ctx->seg, queue, state)) status = aipc_queue_tend(ctx, queue);
        if ((state & (AIPC_QUEUE_CLOSED | AIPC_QUEUE_DISCARD)) != 0) return aipc_worse(status, aipc_queue_ended(state, false));
        if (status == AIPC_OK) status = aipc_domain_lock(ctx, &queue->out.domain);
        if (status != AIPC_OK) return status;
        status = peek_some(ctx, queue, room, room_size, &from, &who, message);
        leased = aipc_load_relaxed64(&queue->out.leases) != 0;
        aipc_domain_unlock(ctx, &queue->out.domain);
        if (status == AIPC_AGAIN && !looked && aipc_queue_may_be_owed(queue)) {
            looked = true;
            status = aipc_queue_tend(ctx, queue);
            if (status == AIPC_OK) continue;
        }
        if (status != AIPC_OK) return status == AIPC_AGAIN ? aipc_queue_ended(state, leased) : status;
        message->data = message->size <= room_size ? room : NULL;
        if (message->data == NULL || from >= message->size) return AIPC_OK;
    }
}
