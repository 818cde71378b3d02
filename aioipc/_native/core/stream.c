#include "stream.h"

#include <string.h>

#include "retire.h"

#define FIRST UINT64_C(256) /* bytes of the first chunk */

static bool grows(const struct aipc_stream *s) { return s->room == 0; }
static struct aipc_vector *vector_of(struct aipc_stream *s) { return (void *)s; }
static uint64_t chunk_size(uint32_t chunk) { return FIRST << chunk; }
static uint64_t chunk_begin(uint32_t chunk) { return chunk_size(chunk) - FIRST; }
/* The chunk that has this byte; AIPC_STREAM_CHUNKS or more: beyond all. */
static uint32_t chunk_of(uint64_t at) { return at >= UINT64_MAX / 2 ? 64 : 63 - (uint32_t)__builtin_clzll(at / FIRST + 1); }

struct aipc_stream *aipc_buffer_at(aipc_seg *seg, uint64_t payload, uint64_t size) {
    struct aipc_stream *s = size < sizeof *s ? NULL : aipc_at(seg, payload, size);
    return s == NULL || s->room == 0 || s->room > size - sizeof *s ? NULL : s;
}

struct aipc_stream *aipc_vector_at(aipc_seg *seg, uint64_t payload, uint64_t size) {
    struct aipc_stream *s = size < sizeof(struct aipc_vector) ? NULL : aipc_at(seg, payload, size);
    return s == NULL || s->room != 0 ? NULL : s;
}

/* `room` may have changed under us: what it says now still lies in the segment. */
static aipc_status still_sane(aipc_seg *seg, const struct aipc_stream *s, uint64_t *room) {
    *room = aipc_load_relaxed64(&s->room);
    uint64_t size = *room == 0 ? sizeof(struct aipc_vector) : sizeof *s + *room;
    if (size >= sizeof *s && aipc_at(seg, aipc_offset(seg, s), size) != NULL) return AIPC_OK;
    return aipc_corrupt(seg, "V1 room of a stream", &s->room, *room, 0);
}

/* The bytes of a chunk; *bytes NULL: it is not there. */
static aipc_status chunk_at(aipc_seg *seg, struct aipc_vector *v, uint32_t chunk, uint8_t **bytes) {
    uint64_t usable, block = aipc_load_acquire64(&v->chunks[chunk]); /* SYNC journal-publish */
    uint32_t flags;
    *bytes = NULL;
    if (block == 0) return AIPC_OK;
    if (aipc_heap_size_of(seg, block, &usable, &flags) != AIPC_OK || flags != AIPC_PART || usable < chunk_size(chunk))
        return aipc_corrupt(seg, "V2 chunk of a stream", &v->chunks[chunk], block, chunk_size(chunk));
    *bytes = seg->base + block;
    return AIPC_OK;
}

aipc_status aipc_stream_span(aipc_seg *seg, struct aipc_stream *s, uint64_t at, uint8_t **bytes, uint64_t *count) {
    uint64_t fixed;
    aipc_status status = still_sane(seg, s, &fixed);
    *count = 0;
    if (status != AIPC_OK) return status;
    if (fixed != 0) {
        if (at >= fixed) return AIPC_OK;
        *bytes = (uint8_t *)(s + 1) + at;
        *count = fixed - at;
        return AIPC_OK;
    }
    uint32_t chunk = chunk_of(at);
    if (chunk >= AIPC_STREAM_CHUNKS) return AIPC_OK;
    uint8_t *begin;
    status = chunk_at(seg, vector_of(s), chunk, &begin);
    if (status != AIPC_OK || begin == NULL) return status;
    uint64_t within = at - chunk_begin(chunk);
    *bytes = begin + within;
    *count = chunk_size(chunk) - within;
    return AIPC_OK;
}

/* ---- growing ------------------------------------------------------------------------------------- */

/* Under the domain: links the fresh chunk in *word, unless somebody was faster. */
static void link_chunk(aipc_seg *seg, struct aipc_vector *v, uint32_t chunk, uint64_t *word) {
    uint64_t block = aipc_load_relaxed64(word);
    if (aipc_load_relaxed64(&v->chunks[chunk]) != 0) return;
    aipc_tx tx = aipc_tx_begin(seg, &v->domain);
    aipc_tx_after(&tx, word, 0);
    (void)aipc_tx_publish(&tx, &v->chunks[chunk], block); /* SYNC journal-publish */
}

static aipc_status add_chunk(aipc_ctx *ctx, struct aipc_vector *v, uint32_t chunk) {
    uint64_t *word = aipc_orphan_word(ctx), block;
    if (word == NULL) return AIPC_STALLED; /* all name blocks that a stopped process keeps us from freeing */
    if (chunk_size(chunk) > ctx->seg->mapped) return AIPC_FULL;
    aipc_status status = aipc_heap_allocate(ctx, chunk_size(chunk), AIPC_ALIGNMENT, AIPC_PART, word, &block);
    if (status != AIPC_OK) return status;
    status = aipc_domain_lock(ctx, &v->domain);
    if (status == AIPC_OK) {
        link_chunk(ctx->seg, v, chunk, word);
        aipc_domain_unlock(ctx, &v->domain);
    }
    aipc_status freed = aipc_orphan_free(ctx, word); /* which it is no more, if it was linked */
    return status == AIPC_OK ? freed : status;
}

/* Chunks are never given back, so none is taken for what cannot be reached.  Others may still be faster. */
static aipc_status may_fit(aipc_ctx *ctx, const struct aipc_vector *v, uint32_t last) {
    aipc_heap_stats stats;
    uint64_t missing = 0;
    for (uint32_t chunk = 0; chunk <= last; chunk++)
        if (aipc_load_relaxed64(&v->chunks[chunk]) == 0) missing += chunk_size(chunk) + AIPC_ALIGNMENT;
    if (missing == 0) return AIPC_OK;
    aipc_status status = aipc_heap_stats_get(ctx, &stats);
    if (status != AIPC_OK) return status;
    bool one = aipc_load_relaxed64(&v->chunks[last]) == 0 && chunk_size(last) > stats.largest_free;
    return one || missing > stats.free_bytes ? AIPC_FULL : AIPC_OK;
}

aipc_status aipc_stream_reserve(aipc_ctx *ctx, struct aipc_stream *s, uint64_t end) {
    uint64_t fixed;
    aipc_status sane = still_sane(ctx->seg, s, &fixed);
    if (sane != AIPC_OK || fixed != 0 || end == 0) return sane;
    uint32_t last = chunk_of(end - 1);
    if (last >= AIPC_STREAM_CHUNKS) return AIPC_FULL;
    sane = may_fit(ctx, vector_of(s), last);
    if (sane != AIPC_OK) return sane;
    for (uint32_t chunk = 0; chunk <= last; chunk++) {
        if (aipc_load_acquire64(&vector_of(s)->chunks[chunk]) != 0) continue;
        aipc_status status = add_chunk(ctx, vector_of(s), chunk);
        if (status != AIPC_OK) return status;
    }
    return AIPC_OK;
}

/* ---- writing ------------------------------------------------------------------------------------- */

static aipc_status fill(aipc_seg *seg, struct aipc_stream *s, uint64_t at, const uint8_t *bytes, uint64_t count) {
    while (count > 0) {
        uint8_t *to;
        uint64_t room;
        aipc_status status = aipc_stream_span(seg, s, at, &to, &room);
        if (status != AIPC_OK) return status;
        if (room == 0) return aipc_corrupt(seg, "V1 length of a stream", &s->length, at, s->room);
        if (room > count) room = count;
        if (bytes == NULL)
            memset(to, 0, room);
        else
            memcpy(to, bytes, room);
        if (bytes != NULL) bytes += room;
        at += room;
        count -= room;
    }
    return AIPC_OK;
}

aipc_status aipc_stream_write(aipc_seg *seg, struct aipc_stream *s, uint64_t at, const void *bytes, uint64_t count) {
    uint64_t length = aipc_stream_length(s), end = at + count;
    aipc_status status = length < at ? fill(seg, s, length, NULL, at - length) : AIPC_OK;
    if (status == AIPC_OK) status = fill(seg, s, at, bytes, count);
    if (status != AIPC_OK) return status;
    while (length < end && !aipc_cas_seq_cst64(&s->length, length, end)) length = aipc_stream_length(s);
    return AIPC_OK;
}

void aipc_stream_cut(struct aipc_stream *s, uint64_t length) { (void)aipc_exchange_seq_cst64(&s->length, length); }

/* ---- the end, and checking ------------------------------------------------------------------------ */

static bool is_chunk(aipc_seg *seg, uint64_t block, uint64_t size) {
    uint64_t usable;
    uint32_t flags;
    return aipc_heap_size_of(seg, block, &usable, &flags) == AIPC_OK && flags == AIPC_PART && usable >= size;
}

uint64_t aipc_vector_shed(struct aipc_tx *tx, struct aipc_vector *v) {
    for (uint32_t i = 0; i < AIPC_STREAM_CHUNKS; i++) {
        uint64_t block = aipc_load_relaxed64(&v->chunks[i]);
        if (block == 0 || !is_chunk(tx->seg, block, chunk_size(i))) continue; /* damaged: what it leads to is lost */
        aipc_tx_set(tx, &v->chunks[i], 0);
        return block;
    }
    return 0;
}

/* How many bytes the chunks have together. */
static uint64_t check_chunks(aipc_seg *seg, const struct aipc_vector *v, aipc_report *report) {
    uint64_t room = 0;
    bool hole = false;
    for (uint32_t i = 0; i < AIPC_STREAM_CHUNKS; i++) {
        uint64_t block = aipc_load_relaxed64(&v->chunks[i]);
        if (block == 0) {
            hole = true;
            continue;
        }
        bool sound = is_chunk(seg, block, chunk_size(i));
        if (!sound || hole) aipc_report_add(report, "V2 chunk of a stream", aipc_offset(seg, &v->chunks[i]), block, i);
        report->parts += sound;
        if (sound && !hole) room += chunk_size(i);
    }
    return room;
}

aipc_status aipc_stream_check(aipc_ctx *ctx, struct aipc_stream *s, uint64_t size, aipc_report *report) {
    aipc_seg *seg = ctx->seg;
    uint64_t room = s->room;
    if (!grows(s)) {
        if (room > size - sizeof *s)
            aipc_report_add(report, "V1 room of a stream", aipc_offset(seg, &s->room), room, size - sizeof *s);
    } else {
        struct aipc_vector *v = vector_of(s);
        aipc_status status = aipc_domain_lock(ctx, &v->domain); /* rolls back, or finishes, what the dead left */
        if (status != AIPC_OK) return status;
        room = check_chunks(seg, v, report);
        aipc_domain_unlock(ctx, &v->domain);
    }
    uint64_t length = aipc_stream_length(s);
    if (length > room) aipc_report_add(report, "V1 length of a stream", aipc_offset(seg, &s->length), length, room);
    return AIPC_OK;
}
