/* Looking through a queue from end to end, and taking a destroyed one to pieces. */
#include "queue_ring.h"

typedef struct survey {
    aipc_seg *seg;
    struct aipc_queue *queue;
    aipc_report *report;
    uint64_t in_count, in_bytes, in_chunk, in_at; /* as they were before the consumers' end was locked */
    uint64_t bytes, leases;
} survey;

static void expect(const survey *s, const char *what, uint64_t found, uint64_t expected) {
    if (found != expected) aipc_report_add(s->report, what, aipc_offset(s->seg, s->queue), found, expected);
}

/* ---- walks, all under out.domain -------------------------------------------------------------------- */

static struct aipc_item *count_item(survey *s, uint64_t offset) {
    struct aipc_item *item = aipc_item_at(s->seg, s->queue, offset);
    if (item == NULL)
        expect(s, "Q6 item of a queue", offset, 0);
    else
        s->report->parts++;
    return item;
}

/* An upper bound of how many items or records there can be: what keeps walks over any bytes short. */
static uint64_t most(const aipc_seg *seg) { return aipc_limit(seg) / 8; }

static void walk_chunks(survey *s) {
    const struct aipc_queue *queue = s->queue;
    uint64_t count = aipc_load_seq_cst64(&queue->in.count);
    uint64_t left = count - aipc_load_relaxed64(&queue->out.ring_taken);
    bool quiet = count == s->in_count;
    if (count == 0 && aipc_load_relaxed64(&queue->in.first) == 0) return; /* nothing was ever put */
    aipc_spot spot = {0};
    if (left > most(s->seg)) {
        expect(s, "Q1 records of a queue", left, most(s->seg));
        return;
    }
    aipc_status status = count == 0 ? AIPC_OK : aipc_spot_head(s->seg, queue, &spot);
    if (count == 0 || status != AIPC_OK) {
        expect(s, "Q2 first chunk of a queue", status, AIPC_OK);
        return;
    }
    for (s->report->parts++; left > 0; left--) {
        aipc_spot next = spot;
        aipc_record record;
        if (aipc_record_read(s->seg, &next, &record) != AIPC_OK) {
            expect(s, s->seg->fault.what, s->seg->fault.found, s->seg->fault.expected);
            return;
        }
        s->report->parts += next.offset != spot.offset;
        s->bytes += record.size;
        spot = next;
        const struct aipc_item *item = record.kind == AIPC_RECORD_BLOCK ? count_item(s, record.item) : NULL;
        if (item != NULL) expect(s, "Q2 size of a record", record.size, aipc_load_relaxed64(&item->size));
    }
    if (!quiet) return;
    expect(s, "Q2 chunk of the last record", spot.offset, s->in_chunk);
    expect(s, "Q2 end of the last record", spot.at, s->in_at);
}

static void walk_returned(survey *s) {
    const struct aipc_queue_out *out = &s->queue->out;
    uint64_t left = aipc_load_relaxed64(&out->ring_taken) - aipc_load_relaxed64(&out->taken), found = 0;
    uint64_t offset = aipc_load_relaxed64(&out->returned);
    for (; offset != 0 && found < left; found++) {
        const struct aipc_item *item = count_item(s, offset);
        if (item == NULL) return;
        s->bytes += aipc_load_relaxed64(&item->size);
        offset = aipc_load_relaxed64(&item->next);
    }
    if (found != left || offset != 0) expect(s, "Q3 returned items", found + (offset != 0), left);
}

static void walk_holder(survey *s, uint32_t slot) {
    const struct aipc_queue_holder *holder = &s->queue->holders[slot];
    uint64_t leases = aipc_load_relaxed64(&holder->leases), offset = aipc_load_relaxed64(&holder->oldest);
    uint64_t owner = aipc_identity(slot, (uint32_t)(aipc_load_relaxed64(&holder->plain) >> 32));
    uint64_t before = 0, found = 0, bytes = 0;
    for (; offset != 0 && found < leases; found++) {
        const struct aipc_item *item = count_item(s, offset);
        if (item == NULL) return;
        expect(s, "Q4 holder of a lease", aipc_load_relaxed64(&item->owner), owner);
        expect(s, "Q4 links of a lease", aipc_load_relaxed64(&item->prev), before);
        bytes += aipc_load_relaxed64(&item->size);
        before = offset;
        offset = aipc_load_relaxed64(&item->next);
    }
    if (found != leases || offset != 0) expect(s, "Q4 leases of a holder", found + (offset != 0), leases);
    expect(s, "Q4 newest lease of a holder", aipc_load_relaxed64(&holder->newest), before);
    expect(s, "Q4 bytes of a holder", aipc_load_relaxed64(&holder->bytes), bytes);
    s->leases += found;
}

static void check_counts(survey *s) {
    const struct aipc_queue_out *out = &s->queue->out;
    uint64_t count = aipc_load_seq_cst64(&s->queue->in.count), taken = aipc_load_relaxed64(&out->taken);
    uint64_t ring = aipc_load_relaxed64(&out->ring_taken), leases = aipc_load_relaxed64(&out->leases);
    if (taken > ring || ring > count) aipc_report_add(s->report, "Q1 messages taken", aipc_offset(s->seg, out), taken, ring);
    if (leases > taken || aipc_load_relaxed64(&out->done) > taken - leases)
        aipc_report_add(s->report, "Q1 messages done", aipc_offset(s->seg, out), aipc_load_relaxed64(&out->done), taken - leases);
    uint64_t done = aipc_load_relaxed64(&out->done), all_done = aipc_load_relaxed64(&out->all_done);
    if (all_done > done || (done == count && all_done != done))
        aipc_report_add(s->report, "Q1 messages done together", aipc_offset(s->seg, out), all_done, done);
    expect(s, "Q4 leases of all holders", leases, s->leases);
    if (count == s->in_count) expect(s, "Q5 bytes of a queue", s->in_bytes - aipc_load_relaxed64(&out->bytes), s->bytes);
    if (aipc_load_relaxed32(&s->queue->state) > (AIPC_QUEUE_SHUTDOWN | AIPC_QUEUE_DISCARD | AIPC_QUEUE_CLOSED))
        expect(s, "Q1 state of a queue", aipc_load_relaxed32(&s->queue->state), 0);
}

aipc_status aipc_queue_check(aipc_ctx *ctx, struct aipc_queue *queue, aipc_report *report) {
    aipc_seg *seg = ctx->seg;
    survey s = {.seg = seg, .queue = queue, .report = report};
    if (queue->seal != aipc_queue_seal(queue))
        aipc_report_add(report, "Q7 limits and codec of a queue", aipc_offset(seg, queue), queue->seal, aipc_queue_seal(queue));
    aipc_status status = aipc_domain_lock(ctx, &queue->in.domain);
    if (status != AIPC_OK) return status;
    s.in_count = aipc_load_relaxed64(&queue->in.count);
    s.in_bytes = aipc_load_relaxed64(&queue->in.bytes);
    s.in_chunk = aipc_load_relaxed64(&queue->in.chunk);
    s.in_at = aipc_load_relaxed64(&queue->in.at);
    aipc_domain_unlock(ctx, &queue->in.domain);

    status = aipc_domain_lock(ctx, &queue->out.domain);
    if (status != AIPC_OK) return status;
    walk_chunks(&s);
    walk_returned(&s);
    for (uint32_t slot = 0; slot < seg->participants; slot++) walk_holder(&s, slot);
    check_counts(&s);
    aipc_domain_unlock(ctx, &queue->out.domain);

    status = aipc_line_check(ctx, &queue->getters, report);
    if (status == AIPC_OK) status = aipc_line_check(ctx, &queue->putters, report);
    if (status == AIPC_OK) status = aipc_line_check(ctx, &queue->joiners, report);
    return status;
}

/* ---- taking to pieces ----------------------------------------------------------------------------------- */

/* An item from a list that need no longer be linked both ways: its head goes on to the next. */
static uint64_t shed_item(aipc_tx *tx, const struct aipc_queue *queue, uint64_t *head) {
    uint64_t offset = aipc_load_relaxed64(head);
    struct aipc_item *item = offset == 0 ? NULL : aipc_item_at(tx->seg, queue, offset);
    if (item == NULL) return 0;
    aipc_tx_set(tx, head, aipc_load_relaxed64(&item->next));
    aipc_tx_set(tx, &item->queue, 0); /* a circle of links leads nowhere */
    return offset;
}

/* Reads on to the next item or to the end of the chunk. */
static uint64_t shed_chunk(aipc_tx *tx, struct aipc_queue *queue) {
    aipc_seg *seg = tx->seg;
    struct aipc_queue_out *out = &queue->out;
    uint64_t left = aipc_load_relaxed64(&queue->in.count) - aipc_load_relaxed64(&out->ring_taken), seen = 0;
    aipc_spot spot, next;
    aipc_record record = {.kind = AIPC_RECORD_END};
    if (aipc_load_relaxed64(&queue->in.first) == 0 || aipc_spot_head(seg, queue, &spot) != AIPC_OK) return 0;
    for (next = spot; seen < left; spot = next, seen++) {
        if (aipc_record_read(seg, &next, &record) != AIPC_OK) seen = left; /* the rest cannot be reached */
        if (seen == left || next.offset != spot.offset || record.kind == AIPC_RECORD_BLOCK) break;
    }
    if (seen < left && next.offset == spot.offset) { /* an item */
        aipc_tx_set(tx, &out->chunk, next.offset);
        aipc_tx_set(tx, &out->at, next.at);
        aipc_tx_set(tx, &out->ring_taken, aipc_load_relaxed64(&out->ring_taken) + seen + 1);
        struct aipc_item *item = aipc_item_at(seg, queue, record.item);
        if (item == NULL) return 0;
        aipc_tx_set(tx, &item->queue, 0);
        return record.item;
    }
    bool last = seen >= left;
    aipc_tx_set(tx, &out->chunk, last ? 0 : next.offset);
    aipc_tx_set(tx, &out->at, sizeof(struct aipc_chunk));
    aipc_tx_set(tx, &out->ring_taken, aipc_load_relaxed64(&out->ring_taken) + seen);
    if (last) aipc_tx_set(tx, &queue->in.first, 0); /* nothing leads to chunks any more */
    return spot.offset;
}

uint64_t aipc_queue_shed(aipc_tx *tx, struct aipc_queue *queue) {
    uint64_t part = shed_item(tx, queue, &queue->out.returned);
    for (uint32_t slot = 0; part == 0 && slot < tx->seg->participants; slot++)
        part = shed_item(tx, queue, &queue->holders[slot].oldest);
    return part != 0 ? part : shed_chunk(tx, queue);
}
