// variants: plain asan
/* Bytes that lie: whatever a queue, its chunks, records and items say, every operation comes back, and the check
 * finds what can be found. */
#include "queue_fixture.h"

static aipc_seg seg;
static struct aipc_queue *queue;
static aipc_ctx *ctx;
static uint8_t *pristine;
static aipc_message leases[3];
static uint64_t noticed, flips;

static aipc_status never_wait(aipc_seg *s, const uint32_t *word, uint32_t value) {
    (void)s;
    (void)word;
    (void)value;
    return AIPC_INTERRUPTED;
}

/* Two chunks, large and small messages, leases, returned ones. */
static void begin(void) {
    fixture_size = 96 * 1024;
    queue_options = (aipc_queue_options){.max_bytes = 1 << 20};
    fixture_create(&seg);
    queue = fixture_queue(&seg);
    seg.stall_ns = 1000;
    for (uint64_t i = 0; i < 30; i++) OK(put_message(&seg, queue, i, i % 7 == 3 ? 2100 : 40 + i));
    for (int i = 0; i < 3; i++) OK(lease_message(&seg, queue, &leases[i]));
    aipc_message back[2];
    for (int i = 0; i < 2; i++) OK(lease_message(&seg, queue, &back[i]));
    for (int i = 1; i >= 0; i--) OK(settle_message(&seg, queue, &back[i], AIPC_SETTLE_RETURN));
    seg.idle = never_wait;
    ctx = enter(&seg);
    pristine = malloc(fixture_size);
    memcpy(pristine, seg.base, fixture_size);
}

static void end(void) {
    memcpy(seg.base, pristine, fixture_size);
    free(pristine);
    seg.idle = NULL;
    aipc_ctx_leave(ctx);
    fixture_detach(&seg);
    fixture_end();
    fixture_size = FIXTURE_SIZE;
}

static uint64_t findings(void) {
    static aipc_report report;
    report = (aipc_report){0};
    const aipc_status status = aipc_queue_check(ctx, queue, &report);
    return (status != AIPC_OK) + report.findings;
}

/* What the operation left in orphan words is not the next one's. */
static void tidy(void) {
    for (int i = 0; i < AIPC_ORPHANS; i++) ctx->shared->orphan[i] = 0;
    ctx->untidy = false;
}

static void take_all(void) {
    static aipc_message got[64];
    uint32_t n;
    for (int i = 0; i < 12; i++) {
        if (aipc_queue_take(ctx, queue, queue_room, sizeof queue_room, got, 1 + (uint32_t)i * 3, &n) != AIPC_OK) break;
        for (uint32_t m = 0; m < n; m++)
            if (got[m].size != 0) (void)*(const volatile uint8_t *)(got[m].data + got[m].size - 1);
        (void)aipc_queue_dispose(ctx, got, n);
    }
    tidy();
}

/* Everything a caller can do.  Statuses do not matter: coming back does. */
static void do_everything(int which) {
    static uint8_t bytes[3000];
    const aipc_bytes messages[3] = {
        {.data = bytes, .size = 100}, {.data = bytes, .size = 3000}, {.data = bytes, .size = 1500}};
    aipc_message message;
    uint64_t dropped;
    uint32_t n;
    (void)aipc_queue_put(ctx, queue, messages, 3, &n);
    (void)aipc_queue_peek(ctx, queue, queue_room, sizeof queue_room, &message);
    (void)aipc_queue_settle(ctx, queue, leases[1].item, leases[1].serial, AIPC_SETTLE_DONE);
    (void)aipc_queue_settle(ctx, queue, leases[0].item, leases[0].serial, AIPC_SETTLE_RETURN);
    (void)aipc_queue_lease(ctx, queue, &message);
    (void)aipc_queue_task_done(ctx, queue, 1);
    tidy();
    seg.header->recoveries++;
    if (which == 0) seg.generation++; /* what this participant has is a dead one's */
    (void)aipc_queue_joined(ctx, queue);
    (void)aipc_queue_joined_since(ctx, queue, 1);
    if (which == 0) seg.generation--;
    if (which == 1) (void)aipc_queue_clear(ctx, queue, &dropped);
    if (which == 2) (void)aipc_queue_shutdown(ctx, queue, true);
    take_all();
    tidy();
}

static void shed(void) {
    aipc_tx tx;
    for (int i = 0; i < 500; i++) { /* as the collector does: the part is freed */
        tx = aipc_tx_begin(&seg, &seg.catalog->domain);
        const uint64_t part = aipc_queue_shed(&tx, queue);
        CHECK(tx.undo + tx.redo <= 6);
        aipc_tx_commit(&tx);
        if (part == 0) return;
        (void)aipc_heap_free(ctx, part, 0, NULL);
    }
    CHECK(!"shedding never ends");
}

static void try_damage(void) {
    static uint8_t *damaged;
    if (damaged == NULL) damaged = malloc(fixture_size);
    memcpy(damaged, seg.base, fixture_size);
    flips++;
    noticed += findings() != 0;
    for (int which = 0; which < 3; which++) {
        memcpy(seg.base, damaged, fixture_size);
        do_everything(which);
        (void)findings();
    }
    memcpy(seg.base, damaged, fixture_size);
    shed();
    memcpy(seg.base, pristine, fixture_size);
}

/* Changes each byte of [from, to) in several ways. */
static void flip(const char *what, const void *begin_at, uint64_t size) {
    static const uint8_t masks[] = {0x01, 0x80, 0xff, 0x10};
    const uint64_t from = aipc_offset(&seg, begin_at);
    flips = noticed = 0;
    for (uint64_t at = from; at < from + size; at++)
        for (size_t m = 0; m < sizeof masks; m++) {
            if (!harness_full() && (at * 4 + m) % 5 != 0) continue;
            NOTE("%s, byte %" PRIu64 " ^ %#x", what, at - from, masks[m]);
            seg.base[at] ^= masks[m];
            try_damage();
        }
    fprintf(stderr, "   %-20s %6" PRIu64 " flips, %6" PRIu64 " noticed by the check\n", what, flips, noticed);
}

static void *at(uint64_t offset) { return seg.base + offset; }

static void a_flipped_byte_harms_nobody(void) {
    begin();
    flip("head and lines", queue, offsetof(struct aipc_queue, in));
    flip("producers' end", &queue->in, offsetof(struct aipc_queue_in, domain) + 64 + 64);
    flip("consumers' end", &queue->out, offsetof(struct aipc_queue_out, domain) + 64 + 64);
    flip("own holder", &queue->holders[seg.slot], sizeof queue->holders[0]);
    flip("another holder", &queue->holders[seg.slot + 1], sizeof queue->holders[0]);
    flip("first chunk", at(queue->in.first - 8), 128);
    flip("around the head", at(queue->out.chunk + queue->out.at), 128);
    flip("last chunk", at(queue->in.chunk - 8), 64);
    flip("leased item", at(leases[1].item - 8), 72);
    flip("oldest leased item", at(leases[0].item - 8), 72);
    flip("returned item", at(queue->out.returned - 8), 72);
    end();
}

static uint32_t random_state = 1;
static uint64_t below(uint64_t n) {
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 4) % n;
}

static uint64_t parts[64], part_count;
static bool note_part(void *unused, const aipc_block_info *block) {
    (void)unused;
    if ((block->flags & AIPC_PART) == AIPC_PART) parts[part_count++] = block->payload;
    return part_count < 64;
}

/* Words that are valid offsets elsewhere do more harm than flipped bits: circles, wrong kinds of blocks. */
static void a_link_to_another_block_harms_nobody(void) {
    begin();
    part_count = 0;
    OK(aipc_heap_walk(ctx, note_part, NULL));
    CHECK(part_count > 8);
    for (int round = 0; round < (harness_full() ? 50000 : 3000); round++) {
        for (uint64_t changes = 1 + below(3); changes > 0; changes--) {
            uint64_t *fields[] = {at(parts[below(part_count)] + 8 * below(8)), &queue->in.chunk, &queue->in.at, &queue->in.first,
                                  &queue->out.chunk, &queue->out.at, &queue->out.returned, &queue->out.ring_taken,
                                  &queue->out.taken, &queue->in.count, &queue->holders[seg.slot].oldest,
                                  &queue->holders[seg.slot].newest, &queue->holders[seg.slot].leases, &queue->out.leases};
            uint64_t *word = below(2) == 0 ? fields[0] : fields[below(sizeof fields / sizeof fields[0])];
            const uint64_t values[] = {parts[below(part_count)], 0, *word + 1, *word - 1, *word ^ 16, UINT64_MAX,
                                       (uint64_t)random_state << 20, AIPC_RECORD_END};
            *word = values[below(8)];
        }
        NOTE("round %d", round);
        try_damage();
    }
    end();
}

/* What contradicts something else must be found, each by its invariant. */
static void expect(const char *invariant, uint64_t *word, uint64_t value) {
    static aipc_report report;
    NOTE("%s", invariant);
    report = (aipc_report){0};
    *word = value;
    OK(aipc_queue_check(ctx, queue, &report));
    memcpy(seg.base, pristine, fixture_size);
    bool found = false;
    for (uint64_t i = 0; i < report.findings && i < AIPC_REPORT_ROOM; i++)
        found = found || strncmp(report.finding[i].what, invariant, 2) == 0;
    CHECK(found);
}

static void each_invariant_is_checked(void) {
    begin();
    struct aipc_queue_holder *mine = &queue->holders[seg.slot];
    struct aipc_item *item = at(leases[1].item), *returned = at(queue->out.returned);
    expect("Q1", &queue->out.done, 4);
    expect("Q1", &queue->out.taken, 40);
    expect("Q1", &queue->out.all_done, 3);
    expect("Q2", &queue->out.at, queue->out.at + 8);
    expect("Q2", &queue->in.count, queue->in.count + 1);
    expect("Q2", &queue->in.at, queue->in.at - 8);
    expect("Q2", &queue->out.chunk, queue->in.chunk);
    expect("Q3", &queue->out.returned, 0);
    expect("Q3", &returned->next, queue->out.returned);
    expect("Q4", &mine->leases, 2);
    expect("Q4", &mine->bytes, 1);
    expect("Q4", &mine->newest, leases[1].item);
    expect("Q4", &mine->plain, mine->plain + (UINT64_C(1) << 32));
    expect("Q4", &item->prev, 0);
    expect("Q4", &item->owner, 0);
    expect("Q4", &queue->out.leases, 4);
    expect("Q5", &queue->out.bytes, queue->out.bytes + 1);
    expect("Q6", &item->queue, 0);
    expect("Q6", &item->size, 1 << 20);
    expect("Q6", &queue->out.returned, leases[0].item + 16);
    expect("N1", (uint64_t *)(void *)&queue->getters.asleep, 7);
    shed();
    end();
}

int main(void) {
    RUN(each_invariant_is_checked);
    RUN(a_flipped_byte_harms_nobody);
    RUN(a_link_to_another_block_harms_nobody);
    return SUMMARY();
}
