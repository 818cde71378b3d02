/* The producers' end. */
#include <string.h>

#include "queue_ring.h"

enum {
    COPIED = 8192, /* bytes in one hold of the lock: then others may come in */
    TURNS = 8      /* a message needs two */
};

void aipc_bytes_copy(void *to, const aipc_bytes *bytes) {
    if (bytes->head_size != 0) memcpy(to, bytes->head, bytes->head_size);
    if (bytes->size != bytes->head_size)
        memcpy((uint8_t *)to + bytes->head_size, bytes->data, bytes->size - bytes->head_size);
}

typedef struct putting {
    aipc_ctx *ctx;
    struct aipc_queue *queue;
    const aipc_bytes *messages;
    uint32_t count;
    uint64_t *item_word, item;   /* of messages[0], when it is a large one */
    uint64_t *spare_word, spare; /* a fresh chunk, in case it is needed */
    uint64_t wanted;             /* bytes of the chunk that is needed */
    uint64_t least;              /* what would do */
} putting;

/* ---- memory, made before the lock is taken -------------------------------------------------------- */

static uint64_t largest_chunk(const aipc_seg *seg) {
    uint64_t share = seg->mapped / 64;
    return share < AIPC_CHUNK_FIRST ? AIPC_CHUNK_FIRST : share < AIPC_CHUNK_LARGEST ? share : AIPC_CHUNK_LARGEST;
}

static aipc_status make_spare(putting *p) {
    aipc_status status = aipc_orphan_free(p->ctx, p->spare_word); /* too small by now */
    p->spare_word = aipc_orphan_word(p->ctx);
    if (p->spare_word == NULL) return aipc_worse(status, AIPC_STALLED);
    for (uint64_t size = p->wanted; status == AIPC_OK; size = size / 2 > p->least ? size / 2 : p->least) {
        status = aipc_heap_allocate(p->ctx, size, AIPC_ALIGNMENT, AIPC_PART, p->spare_word, &p->spare);
        if (status == AIPC_OK) {
            aipc_store_relaxed64((uint64_t *)(void *)(p->ctx->seg->base + p->spare), 0); /* aipc_chunk.next */
            return AIPC_OK;
        }
        if (status == AIPC_FULL && size > p->least) status = AIPC_OK;
    }
    p->spare_word = NULL;
    return status;
}

static aipc_status make_item(putting *p) {
    aipc_status status = aipc_item_make(p->ctx, p->queue, p->messages[0].size, 0, &p->item_word, &p->item);
    if (status != AIPC_OK) return status;
    aipc_bytes_copy(aipc_item_data((void *)(p->ctx->seg->base + p->item)), &p->messages[0]);
    return AIPC_OK;
}

/* ---- under in.domain ------------------------------------------------------------------------------ */

static aipc_status permitted(const struct aipc_queue *queue) {
    uint32_t state = aipc_load_seq_cst32(&queue->state);
    return state == 0 ? AIPC_OK : (state & AIPC_QUEUE_CLOSED) != 0 ? AIPC_CLOSED : AIPC_SHUT_DOWN;
}

static uint64_t *word_at(const aipc_spot *spot, uint64_t at) { return (uint64_t *)(void *)(spot->base + at); }

/* Writes a record into memory that is nobody else's yet. */
static void write_record(const putting *p, aipc_spot *spot, const aipc_bytes *message) {
    bool large = message->size > AIPC_QUEUE_INLINE;
    aipc_store_relaxed64(word_at(spot, spot->at),
                         message->size << 8 | (large ? AIPC_RECORD_BLOCK : AIPC_RECORD_INLINE));
    if (large)
        aipc_store_relaxed64(word_at(spot, spot->at + 8), p->item);
    else if (message->size != 0)
        aipc_bytes_copy(spot->base + spot->at + 8, message);
    spot->at += aipc_record_length(message->size);
}

/* There must always be room for an END behind a record. */
static bool fits(const aipc_spot *spot, uint64_t size) { return spot->end - spot->at >= aipc_record_length(size) + 8; }

/* A place with room for a record of `size`: behind the last one, or in the spare chunk, once a hold (*used).
 * AIPC_FULL: the spare is missing or too small. */
static aipc_status make_place(putting *p, aipc_spot *spot, uint64_t size, bool *used) {
    aipc_seg *seg = p->ctx->seg;
    if (spot->base != NULL && fits(spot, size)) return AIPC_OK;
    aipc_spot fresh = {0};
    if (p->spare_word != NULL && !*used) {
        aipc_status status = aipc_spot_open(seg, p->spare_word, p->spare, sizeof(struct aipc_chunk), &fresh);
        if (status != AIPC_OK) return status;
    }
    if (fresh.base == NULL || !fits(&fresh, size)) {
        uint64_t twice = spot->base == NULL ? AIPC_CHUNK_FIRST : 2 * (spot->end + 8), most = largest_chunk(seg);
        p->least = sizeof(struct aipc_chunk) + aipc_record_length(size) + 8;
        p->wanted = twice < most ? twice - 8 : most - 8; /* the heap's header makes it even */
        if (p->wanted < p->least) p->wanted = p->least;
        return AIPC_FULL;
    }
    if (spot->base != NULL) {
        aipc_store_relaxed64(word_at(spot, 0), p->spare); /* aipc_chunk.next */
        aipc_store_relaxed64(word_at(spot, spot->at), AIPC_RECORD_END);
    }
    *spot = fresh;
    *used = true;
    return AIPC_OK;
}

/* One transaction for `n` messages that lie before `spot`. */
static aipc_status commit(putting *p, const aipc_spot *spot, bool used, uint32_t n, uint64_t bytes) {
    struct aipc_queue_in *in = &p->queue->in;
    aipc_tx tx = aipc_tx_begin(p->ctx->seg, &in->domain);
    aipc_tx_set(&tx, &in->at, spot->at);
    if (used) {
        if (aipc_load_relaxed64(&in->chunk) == 0) aipc_tx_set(&tx, &in->first, spot->offset);
        aipc_tx_set(&tx, &in->chunk, spot->offset);
        aipc_tx_set(&tx, p->spare_word, 0);
        p->spare_word = NULL;
    }
    if (p->item_word != NULL) {
        aipc_tx_set(&tx, p->item_word, 0);
        p->item_word = NULL;
    }
    aipc_tx_after(&tx, &in->bytes, aipc_load_relaxed64(&in->bytes) + bytes);
    (void)aipc_tx_publish(&tx, &in->count, aipc_load_relaxed64(&in->count) + n); /* six entries: it has room */
    return AIPC_OK;
}

/* Puts as many as one hold of the lock allows.  AIPC_OK with *put == 0: a spare chunk is needed. */
static aipc_status put_locked(putting *p, uint32_t *put) {
    struct aipc_queue *queue = p->queue;
    struct aipc_queue_in *in = &queue->in;
    aipc_spot spot = {0};
    uint64_t bytes = 0, chunk = aipc_load_relaxed64(&in->chunk);
    bool used = false;
    uint32_t n = 0;
    aipc_status status = permitted(queue);
    if (status == AIPC_OK && chunk != 0)
        status = aipc_spot_open(p->ctx->seg, &in->chunk, chunk, aipc_load_relaxed64(&in->at), &spot);
    if (status != AIPC_OK) return status;
    while (n < p->count && n < AIPC_QUEUE_BATCH && bytes < COPIED) {
        const aipc_bytes *message = &p->messages[n];
        if (message->size > AIPC_QUEUE_INLINE && n > 0) break; /* its item is made for the next hold */
        if (!aipc_queue_has_room(queue, n, bytes, message->size)) {
            status = AIPC_AGAIN;
            break;
        }
        status = make_place(p, &spot, message->size, &used);
        if (status != AIPC_OK) break;
        write_record(p, &spot, message);
        bytes += message->size;
        n++;
    }
    *put = n;
    if (n != 0) return commit(p, &spot, used, n, bytes);
    return status == AIPC_FULL ? AIPC_OK : status;
}

/* ---- whole operations ------------------------------------------------------------------------------ */

static aipc_status put_some(putting *p, uint32_t *put) {
    struct aipc_queue *queue = p->queue;
    struct aipc_domain *domain = &queue->in.domain;
    uint64_t size = p->messages[0].size;
    *put = 0;
    if (size > p->ctx->seg->mapped || (queue->max_bytes != 0 && size > queue->max_bytes)) return AIPC_INVALID;
    if (size > AIPC_QUEUE_INLINE) { /* a large one is not copied in vain */
        aipc_status status = permitted(queue);
        if (status == AIPC_OK && !aipc_queue_has_room(queue, 0, 0, size)) status = AIPC_AGAIN;
        if (status == AIPC_OK) status = make_item(p);
        if (status != AIPC_OK) return status;
    }
    for (int turns = 0; turns < TURNS; turns++) { /* a spare that is too small once is large enough the next time */
        aipc_status status = aipc_domain_lock(p->ctx, domain);
        if (status != AIPC_OK) return status;
        status = put_locked(p, put);
        aipc_domain_unlock(p->ctx, domain);
        if (status != AIPC_OK || *put != 0) return status;
        status = make_spare(p);
        if (status != AIPC_OK) return status;
    }
    return aipc_corrupt(p->ctx->seg, "Q6 chunk of a queue", p->spare_word, p->spare, p->least);
}

aipc_status aipc_queue_put(aipc_ctx *ctx, struct aipc_queue *queue, const aipc_bytes *messages, uint32_t count,
                           uint32_t *put) {
    putting p = {.ctx = ctx, .queue = queue, .messages = messages, .count = count};
    aipc_status status = AIPC_OK;
    *put = 0;
    while (status == AIPC_OK && p.count > 0) {
        uint32_t n;
        status = put_some(&p, &n);
        p.messages += n;
        p.count -= n;
        *put += n;
        if (n != 0) aipc_queue_wake_getters(ctx, queue, n);
    }
    (void)aipc_orphan_free(ctx, p.item_word); /* what was put stays put, whatever becomes of these */
    (void)aipc_orphan_free(ctx, p.spare_word);
    return status;
}
