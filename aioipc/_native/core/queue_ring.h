/* Inside the queue: its chunks, records, items and holders.  For queue*.c only. */
#ifndef AIPC_QUEUE_RING_H
#define AIPC_QUEUE_RING_H

#include "participants.h"
#include "queue.h"
#include "retire.h"

enum {
    AIPC_CHUNK_FIRST = 1024,
    AIPC_CHUNK_LARGEST = 65536,
    AIPC_QUEUE_ITEMS = 4 /* moved into orphan words by one operation */
};

static inline aipc_status aipc_worse(aipc_status status, aipc_status then) { return status == AIPC_OK ? then : status; }

/* ---- places and records ------------------------------------------------------------------------- */

/* A place in a chunk, checked: `at` is 8 or more, a multiple of 8, and not beyond `end`. */
typedef struct aipc_spot {
    uint8_t *base;   /* of the chunk */
    uint64_t offset; /* of the chunk */
    uint64_t at, end;
} aipc_spot;

typedef struct aipc_record {
    uint32_t kind;       /* INLINE or BLOCK */
    uint64_t size;       /* of the payload */
    const uint8_t *data; /* INLINE */
    uint64_t item;       /* BLOCK */
} aipc_record;

static inline uint64_t aipc_record_length(uint64_t size) {
    return 8 + (size > AIPC_QUEUE_INLINE ? 8 : (size + 7) & ~UINT64_C(7));
}

/* The place `at` in the chunk at `offset`; AIPC_CORRUPT when there is none. */
static inline aipc_status aipc_spot_open(aipc_seg *seg, const void *whose, uint64_t offset, uint64_t at, aipc_spot *place) {
    uint64_t usable;
    uint32_t flags;
    if (aipc_heap_size_of(seg, offset, &usable, &flags) != AIPC_OK || flags != AIPC_PART)
        return aipc_corrupt(seg, "Q6 chunk of a queue", whose, offset, 0);
    if (at < sizeof(struct aipc_chunk) || at > usable || (at & 7) != 0)
        return aipc_corrupt(seg, "Q2 place in a chunk", whose, at, usable);
    *place = (aipc_spot){.base = seg->base + offset, .offset = offset, .at = at, .end = usable};
    return AIPC_OK;
}
/* Where the next record is, seen by a consumer.  pre: something was put. */
static inline aipc_status aipc_spot_head(aipc_seg *seg, const struct aipc_queue *queue, aipc_spot *place) {
    uint64_t chunk = aipc_load_relaxed64(&queue->out.chunk), at = aipc_load_relaxed64(&queue->out.at);
    if (chunk == 0) {
        chunk = aipc_load_relaxed64(&queue->in.first);
        at = sizeof(struct aipc_chunk);
    }
    return aipc_spot_open(seg, &queue->out.chunk, chunk, at, place);
}

static inline uint64_t aipc_spot_header(const aipc_spot *place) {
    return place->end - place->at < 8 ? 0 : aipc_load_relaxed64((uint64_t *)(void *)(place->base + place->at));
}
/* Reads the record at the place and moves the place behind it, over an END if there is one.
 * pre: it is published. */
static inline aipc_status aipc_record_read(aipc_seg *seg, aipc_spot *place, aipc_record *record) {
    uint64_t header = aipc_spot_header(place);
    if (header == AIPC_RECORD_END) {
        uint64_t next = aipc_load_relaxed64((uint64_t *)(void *)place->base); /* aipc_chunk.next */
        if (next == place->offset) return aipc_corrupt(seg, "Q2 link of a chunk", place->base, next, 0);
        aipc_status status = aipc_spot_open(seg, place->base, next, sizeof(struct aipc_chunk), place);
        if (status != AIPC_OK) return status;
        header = aipc_spot_header(place);
    }
    *record = (aipc_record){.kind = (uint32_t)header & 255, .size = header >> 8};
    uint64_t length = aipc_record_length(record->size);
    bool large = record->size > AIPC_QUEUE_INLINE;
    if (record->kind != (large ? AIPC_RECORD_BLOCK : AIPC_RECORD_INLINE) || length > place->end - place->at)
        return aipc_corrupt(seg, "Q2 record of a queue", place->base + place->at, header, place->end);
    record->data = place->base + place->at + 8;
    if (large) record->item = aipc_load_relaxed64((const uint64_t *)(const void *)record->data);
    place->at += length;
    return AIPC_OK;
}

/* The item at `offset`, its memory checked; NULL when it is none of this queue's. */
struct aipc_item *aipc_item_at(aipc_seg *seg, const struct aipc_queue *queue, uint64_t offset);
static inline uint8_t *aipc_item_data(struct aipc_item *item) { return (uint8_t *)(item + 1); }
/* A fresh item in an orphan word.  `flags`: AIPC_RESERVE or 0. */
aipc_status aipc_item_make(aipc_ctx *ctx, const struct aipc_queue *queue, uint64_t size, uint32_t flags,
                           uint64_t **word, uint64_t *offset);

/* ---- under out.domain ---------------------------------------------------------------------------- */

static inline aipc_tx aipc_queue_out_begin(aipc_seg *seg, struct aipc_queue *queue) {
    return aipc_tx_begin(seg, &queue->out.domain);
}

/* For every change of out.done, to `done`, in the transaction that makes it: is that all?  What is put meanwhile
 * comes after. */
static inline void aipc_queue_note_done(aipc_tx *tx, struct aipc_queue *queue, uint64_t done) {
    if (aipc_load_seq_cst64(&queue->in.count) == done) aipc_tx_after(tx, &queue->out.all_done, done);
}

/* Notes in the transaction that the chunks were read up to `to`, `records` further on; a chunk left behind goes into
 * an orphan word, whose bit is set in *words.  AIPC_STALLED: no word is free. */
static inline aipc_status aipc_queue_advance(aipc_ctx *ctx, aipc_tx *tx, struct aipc_queue *queue, const aipc_spot *to,
                               uint64_t records, uint32_t *words) {
    struct aipc_queue_out *out = &queue->out;
    uint64_t chunk = aipc_load_relaxed64(&out->chunk);
    uint64_t left = chunk != 0 ? chunk : aipc_load_relaxed64(&queue->in.first);
    if (chunk != to->offset) aipc_tx_set(tx, &out->chunk, to->offset);
    if (left != to->offset) {
        uint64_t *word = aipc_orphan_word(ctx);
        if (word == NULL) return AIPC_STALLED;
        aipc_tx_set(tx, word, left);
        *words |= aipc_orphan_bit(ctx, word);
    }
    aipc_tx_set(tx, &out->at, to->at);
    aipc_tx_set(tx, &out->ring_taken, aipc_load_relaxed64(&out->ring_taken) + records);
    return AIPC_OK;
}

static inline uint32_t aipc_holder_generation(uint64_t plain) { return (uint32_t)(plain >> 32); }
/* Makes this participant's holder its own: what an earlier owner of its slot left there is reclaimed. */
aipc_status aipc_queue_claim_holder(aipc_seg *seg, struct aipc_queue *queue, struct aipc_queue_holder *holder);
static inline aipc_status aipc_queue_own_holder(aipc_seg *seg, struct aipc_queue *queue,
                                                struct aipc_queue_holder **holder) {
    *holder = &queue->holders[seg->slot];
    if (aipc_holder_generation(aipc_load_relaxed64(&(*holder)->plain)) == seg->generation) return AIPC_OK;
    return aipc_queue_claim_holder(seg, queue, *holder);
}

/* What `plain` becomes when `count` more are taken; full is full, for those who never report. */
static inline uint64_t aipc_holder_add(uint64_t plain, uint64_t count) {
    uint64_t room = UINT32_MAX - (plain & UINT32_MAX);
    return plain + (count < room ? count : room);
}

/* Must somebody reclaim or drain before the queue means what it says? */
static inline bool aipc_queue_needs_tending(const aipc_seg *seg, const struct aipc_queue *queue, uint32_t state) {
    return (state & AIPC_QUEUE_DISCARD) != 0 ||
           aipc_load_relaxed32(&queue->out.reclaimed) != aipc_load_relaxed32(&seg->header->recoveries);
}

/* ---- whole steps: they take the lock themselves --------------------------------------------------- */

/* For who finds nothing: has somebody died who had leases?  header.recoveries does not move when a leaver dies between
 * the end of its participation and telling of it; its FIFO's hang-up wakes those who wait, and here they look. */
static inline bool aipc_queue_may_be_owed(const struct aipc_queue *queue) {
    return aipc_load_relaxed64(&queue->out.leases) != 0;
}

/* What a taker of an empty queue is told: AIPC_AGAIN while something may come, AIPC_SHUT_DOWN, AIPC_CLOSED.  `leased`: as of
 * the moment when it was empty. */
aipc_status aipc_queue_ended(uint32_t state, bool leased);
/* Reclaims what the dead left, and drains a queue that was shut down at once. */
aipc_status aipc_queue_tend(aipc_ctx *ctx, struct aipc_queue *queue);
/* Drops up to `count` queued messages as done. */
aipc_status aipc_queue_drop(aipc_ctx *ctx, struct aipc_queue *queue, uint64_t count, uint64_t *dropped);

/* What others may have waited for.  None of these fails the operation they follow. */
void aipc_queue_wake_getters(aipc_ctx *ctx, struct aipc_queue *queue, uint32_t count);
void aipc_queue_wake_putters(aipc_ctx *ctx, struct aipc_queue *queue, uint32_t count);
/* `before`: out.all_done as it was before something was done. */
void aipc_queue_wake_joiners(aipc_ctx *ctx, struct aipc_queue *queue, uint64_t before);

/* ---- counts, without a lock ----------------------------------------------------------------------- */

/* The smaller word first: it never overtakes the larger one. */
static inline uint64_t aipc_queue_queued(const struct aipc_queue *queue) {
    uint64_t taken = aipc_load_seq_cst64(&queue->out.taken);
    uint64_t count = aipc_load_seq_cst64(&queue->in.count); /* SYNC journal-publish */
    return count > taken ? count - taken : 0;
}
static inline uint64_t aipc_queue_unfinished(const struct aipc_queue *queue) {
    uint64_t done = aipc_load_seq_cst64(&queue->out.done);
    uint64_t count = aipc_load_seq_cst64(&queue->in.count);
    return count > done ? count - done : 0;
}
static inline uint64_t aipc_queue_all_done(const struct aipc_queue *queue) {
    return aipc_load_seq_cst64(&queue->out.all_done);
}
/* Either redo may be on its way: what looks negative is nothing. */
static inline uint64_t aipc_queue_bytes(const struct aipc_queue *queue) {
    uint64_t out = aipc_load_seq_cst64(&queue->out.bytes);
    uint64_t in = aipc_load_seq_cst64(&queue->in.bytes);
    return (int64_t)(in - out) > 0 ? in - out : 0;
}
/* Has it room for `size` bytes more?  `before`: bytes that come first. */
static inline bool aipc_queue_has_room(const struct aipc_queue *queue, uint64_t messages, uint64_t bytes, uint64_t size) {
    if (queue->maxsize != 0 && aipc_queue_queued(queue) + messages >= queue->maxsize) return false;
    return queue->max_bytes == 0 || aipc_queue_bytes(queue) + bytes + size <= queue->max_bytes;
}

#endif
