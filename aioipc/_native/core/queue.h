/* Queue: messages from many producers to many consumers, first in first out.
 *
 * Records lie end to end in chunks; the queue grows by chunks and gives them back as it is read.  Two short locks:
 * producers append under in.domain, consumers take under out.domain, and neither ever needs the other's.
 *
 *   put     write the record beyond in.at (nobody else's memory), [END and the link of a fresh chunk]; tx: in.at,
 *           in.chunk, the item's orphan word; publish in.count: that is the commit.
 *   take    copy the record at out.at, or move the item into an orphan word; tx: out.at, out.ring_taken, the
 *           chunk left behind into an orphan word; publish out.taken.
 *   lease   a take into this participant's list of leases; settled as done, or returned to the front.
 *
 * A consumer reads in.count (seq_cst) and finds every record below it written and every link set: SYNC journal-publish.
 *
 *   queued      in.count - out.taken          bytes        in.bytes - out.bytes
 *   unfinished  in.count - out.done           in chunks    in.count - out.ring_taken
 *   returned    out.ring_taken - out.taken
 *
 * What a dead participant had leased comes back to the front, oldest first, and what it had taken plainly counts as
 * done.  Nobody does that for it at once: whoever next takes, joins or asks finds header.recoveries moved and
 * looks at the holders (reclaim).  A death wakes all who wait, so somebody looks.
 *
 * Statuses: AIPC_AGAIN full or empty; AIPC_SHUT_DOWN; AIPC_CLOSED destroyed; AIPC_FULL no memory; AIPC_INVALID the
 * message can never fit; and what aipc_domain_lock returns.  A wake-up after the fact never makes an operation
 * fail.
 *
 *   Q1  out.done <= out.taken - out.leases, out.taken <= out.ring_taken <= in.count; out.all_done <= out.done, and
 *       the same where that is in.count
 *   Q2  from out.at on lie in.count - out.ring_taken records, ending at in.at; sizes stay within their chunks
 *   Q3  `returned` has out.ring_taken - out.taken items
 *   Q4  each holder's list is linked both ways, its items name the holder; leases and bytes are what a walk finds;
 *       out.leases is the sum
 *   Q5  in.bytes - out.bytes is the payload of all queued messages
 *   Q6  every item and chunk is a PART block large enough, linked from one place
 *   Q7  limits and codec are what was sealed when it was made
 */
#ifndef AIPC_QUEUE_H
#define AIPC_QUEUE_H

#include "heap.h"
#include "line.h"
#include "seal.h"

/* What aipc_queue.seal must be. */
static inline uint64_t aipc_queue_seal(const struct aipc_queue *queue) {
    uint64_t rest = queue->max_bytes * UINT64_C(0xbf58476d1ce4e5b9) ^ (uint64_t)queue->codec << 40 ^ queue->maxsize >> 48;
    return aipc_seal(queue->maxsize, rest);
}

enum {
    AIPC_QUEUE_INLINE = 2048, /* bytes: larger messages get a block of their own */
    AIPC_QUEUE_BATCH = 64     /* messages put or taken in one hold of a lock, at most */
};

typedef struct aipc_queue_options {
    uint64_t maxsize, max_bytes; /* 0: no limit */
    uint32_t codec;
} aipc_queue_options;

/* Payload bytes of a queue object in a segment with so many participants. */
static inline uint64_t aipc_queue_object_size(uint32_t participants) {
    return sizeof(struct aipc_queue) + participants * (uint64_t)sizeof(struct aipc_queue_holder);
}
/* What a new queue object starts with: fills the first sizeof(struct aipc_queue) bytes of an image that is zero. */
void aipc_queue_init(void *image, const aipc_queue_options *options);
/* The queue in a payload of `size` bytes; NULL when it is too small to be one. */
struct aipc_queue *aipc_queue_at(aipc_seg *seg, uint64_t payload, uint64_t size);

/* ---- messages ---------------------------------------------------------------------------------- */

/* What is put: `size` bytes, the first `head_size` of them at `head`, the others at `data`. */
typedef struct aipc_bytes {
    const void *head;
    uint64_t head_size;
    const void *data;
    uint64_t size;
} aipc_bytes;
void aipc_bytes_copy(void *to, const aipc_bytes *bytes);

typedef struct aipc_message {
    const uint8_t *data; /* in the caller's room; or in the segment, see item */
    uint64_t size;
    uint64_t item;       /* 0: copied.  Else a block: to be disposed of after a take, to be settled after a lease */
    uint64_t serial;     /* of the lease */
    uint32_t deliveries; /* how often it was handed out, this time included (plain takes are not counted) */
} aipc_message;

/* Puts the first *put of `count` messages.  AIPC_OK: all; otherwise what stopped it.  Wakes getters. */
aipc_status aipc_queue_put(aipc_ctx *ctx, struct aipc_queue *queue, const aipc_bytes *messages, uint32_t count,
                           uint32_t *put);

/* Takes up to `count` messages: AIPC_OK with *taken >= 1.  Small ones are copied into `room` (at least
 * AIPC_QUEUE_INLINE bytes; fewer are taken when it is full), large ones stay where they are until
 * aipc_queue_dispose, to be called before this context does anything else (at most 4 at a time).  Wakes putters. */
aipc_status aipc_queue_take(aipc_ctx *ctx, struct aipc_queue *queue, void *room, uint64_t room_size,
                            aipc_message *messages, uint32_t count, uint32_t *taken);
aipc_status aipc_queue_dispose(aipc_ctx *ctx, const aipc_message *messages, uint32_t count);

/* Copies the next message without taking it.  A message of more than `room_size` bytes only tells its size
 * (data NULL). */
aipc_status aipc_queue_peek(aipc_ctx *ctx, struct aipc_queue *queue, void *room, uint64_t room_size,
                            aipc_message *message);

/* Takes one message until it is settled; message->data stays readable till then. */
aipc_status aipc_queue_lease(aipc_ctx *ctx, struct aipc_queue *queue, aipc_message *message);
typedef enum { AIPC_SETTLE_DONE, AIPC_SETTLE_RETURN } aipc_settlement;
/* AIPC_NOT_OWNER: this process does not hold that lease (any more).  RETURN wakes a getter. */
aipc_status aipc_queue_settle(aipc_ctx *ctx, struct aipc_queue *queue, uint64_t item, uint64_t serial,
                              aipc_settlement how);

/* `count` messages taken plainly are dealt with.  AIPC_INVALID, and nothing changed, when that is more than were
 * taken and not reported yet.  Wakes joiners when it was the last. */
aipc_status aipc_queue_task_done(aipc_ctx *ctx, struct aipc_queue *queue, uint64_t count);
/* AIPC_OK: everything put was dealt with.  AIPC_AGAIN. */
aipc_status aipc_queue_joined(aipc_ctx *ctx, struct aipc_queue *queue);
/* The same, and AIPC_OK as well when there was such a moment since `mark` was noted, whatever was put after it: who
 * waits need not be there at that moment.  A mark names what was put before it was noted; a later moment at which only
 * that was done counts, an earlier one never does. */
aipc_status aipc_queue_joined_since(aipc_ctx *ctx, struct aipc_queue *queue, uint64_t mark);
uint64_t aipc_queue_mark(const struct aipc_queue *queue);

/* Drops what was queued when it was called; it counts as done. */
aipc_status aipc_queue_clear(aipc_ctx *ctx, struct aipc_queue *queue, uint64_t *dropped);
/* No more puts.  `immediate`: what is queued, and what is returned from now on, is dropped as done. */
aipc_status aipc_queue_shutdown(aipc_ctx *ctx, struct aipc_queue *queue, bool immediate);
/* After the object's destruction: every operation answers AIPC_CLOSED, every waiter wakes. */
aipc_status aipc_queue_close(aipc_ctx *ctx, struct aipc_queue *queue);

/* ---- waiting ------------------------------------------------------------------------------------ *
 *
 *     status = op                               AIPC_AGAIN: have to wait
 *     stand; status = op                        AIPC_AGAIN: sleep on the bell
 *     woken, or aipc_watch_epoch moved:
 *         status = op                           AIPC_AGAIN: again; status = op; AIPC_AGAIN: sleep
 *     leave                                     after success, failure or cancellation
 *
 * op: aipc_queue_take, _lease or _peek (getters), aipc_queue_put (putters), aipc_queue_joined_since with the
 * mark of before the first op (joiners). */
typedef enum { AIPC_GETTERS, AIPC_PUTTERS, AIPC_JOINERS } aipc_queue_role;

struct aipc_line *aipc_queue_line(struct aipc_queue *queue, aipc_queue_role role);
aipc_status aipc_queue_stand(aipc_ctx *ctx, struct aipc_queue *queue, aipc_queue_role role, uint32_t bell,
                             uint64_t token, uint32_t *node);
aipc_status aipc_queue_again(aipc_ctx *ctx, struct aipc_queue *queue, aipc_queue_role role, uint32_t node);
/* Does not fail because somebody is stopped.  Passes a wake-up on that others can use. */
aipc_status aipc_queue_leave(aipc_ctx *ctx, struct aipc_queue *queue, aipc_queue_role role, uint32_t node);

/* ---- looking ------------------------------------------------------------------------------------ */

typedef struct aipc_queue_stats {
    uint64_t maxsize, max_bytes;
    uint64_t queued, bytes, unfinished, leased;
    uint64_t put, taken, returned;            /* ever */
    uint32_t getters, putters, joiners;       /* waiting now */
    uint32_t codec, state;
} aipc_queue_stats;
/* Without a lock: each number is right by itself. */
void aipc_queue_stats_get(const struct aipc_queue *queue, aipc_queue_stats *stats);

aipc_status aipc_queue_check(aipc_ctx *ctx, struct aipc_queue *queue, aipc_report *report);

/* Takes a destroyed queue to pieces, in the catalog's transaction: unlinks one part (at most 6 log entries) and
 * returns its payload offset; 0: nothing is left.  pre: nobody uses the queue any more. */
uint64_t aipc_queue_shed(aipc_tx *tx, struct aipc_queue *queue);

#endif
