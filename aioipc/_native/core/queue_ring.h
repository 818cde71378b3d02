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
aipc_status aipc_spot_open(aipc_seg *seg, const void *whose, uint64_t offset, uint64_t at, aipc_spot *place);
/* Where the next record is, seen by a consumer.  pre: something was put. */
aipc_status aipc_spot_head(aipc_seg *seg, const struct aipc_queue *queue, aipc_spot *place);
/* Reads the record at the place and moves the place behind it, over an END if there is one.
 * pre: it is published. */
aipc_status aipc_record_read(aipc_seg *seg, aipc_spot *place, aipc_record *record);

/* The item at `offset`, its memory checked; NULL when it is none of this queue's. */
struct aipc_item *aipc_item_at(aipc_seg *seg, const struct aipc_queue *queue, uint64_t offset);
static inline uint8_t *aipc_item_data(struct aipc_item *item) { return (uint8_t *)(item + 1); }
/* A fresh item in an orphan word. */
aipc_status aipc_item_make(aipc_ctx *ctx, const struct aipc_queue *queue, uint64_t size, uint64_t **word,
                           uint64_t *offset);

/* ---- under out.domain ---------------------------------------------------------------------------- */

static inline aipc_tx aipc_queue_out_begin(aipc_seg *seg, struct aipc_queue *queue) {
    return aipc_tx_begin(seg, &queue->out.domain);
}

/* Notes in the transaction that the chunks were read up to `to`, `records` further on; a chunk left behind goes into
 * an orphan word, whose bit is set in *words.  AIPC_STALLED: no word is free. */
aipc_status aipc_queue_advance(aipc_ctx *ctx, aipc_tx *tx, struct aipc_queue *queue, const aipc_spot *to,
                               uint64_t records, uint32_t *words);

static inline uint32_t aipc_holder_generation(uint64_t plain) { return (uint32_t)(plain >> 32); }
/* This participant's holder; what an earlier owner of its slot left there is reclaimed first. */
aipc_status aipc_queue_own_holder(aipc_seg *seg, struct aipc_queue *queue, struct aipc_queue_holder **holder);

/* Must somebody reclaim or drain before the queue means what it says? */
static inline bool aipc_queue_needs_tending(const aipc_seg *seg, const struct aipc_queue *queue, uint32_t state) {
    return (state & AIPC_QUEUE_DISCARD) != 0 ||
           aipc_load_relaxed32(&queue->out.reclaimed) != aipc_load_relaxed32(&seg->header->recoveries);
}

/* ---- whole steps: they take the lock themselves --------------------------------------------------- */

/* Reclaims what the dead left, and drains a queue that was shut down at once. */
aipc_status aipc_queue_tend(aipc_ctx *ctx, struct aipc_queue *queue);
/* Drops up to `count` queued messages as done. */
aipc_status aipc_queue_drop(aipc_ctx *ctx, struct aipc_queue *queue, uint64_t count, uint64_t *dropped);

/* What others may have waited for.  None of these fails the operation they follow. */
void aipc_queue_wake_getters(aipc_ctx *ctx, struct aipc_queue *queue, uint32_t count);
void aipc_queue_wake_putters(aipc_ctx *ctx, struct aipc_queue *queue, uint32_t count);
void aipc_queue_wake_joiners(aipc_ctx *ctx, struct aipc_queue *queue);

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
