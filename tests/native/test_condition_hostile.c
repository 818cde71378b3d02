// variants: plain asan
/* Bytes that lie: whatever a condition, a barrier and the wait nodes say, every operation comes back, and the check finds
 * what can be found. */
#include "sync_fixture.h"

enum { NODES = 6 };

static uint8_t *pristine;
static uint32_t nodes[NODES];
static uint64_t noticed, flips;
static uint64_t object_size;
static void (*everything)(int which);
static void (*look_around)(aipc_report *report);

static aipc_status never_wait(aipc_seg *s, const uint32_t *word, uint32_t value) {
    (void)s, (void)word, (void)value;
    return AIPC_INTERRUPTED;
}

/* Any answer will do: coming back does. */
static void answer(aipc_status status) {
    CHECK(status >= AIPC_OK && status <= AIPC_SYSTEM);
    if (status == AIPC_CORRUPT) CHECK(segs[0].fault.what != NULL || segs[1].fault.what != NULL);
}

/* ---- the two objects, in the middle of use ----------------------------------------------------------- */

static void save(void) {
    for (int i = 0; i < 2; i++) {
        segs[i].idle = never_wait;
        segs[i].stall_ns = 1000;
    }
    pristine = malloc(fixture_size);
    memcpy(pristine, segs[0].base, fixture_size);
}
static void restore(void) { memcpy(segs[0].base, pristine, fixture_size); }

static void use_condition(int which) {
    struct aipc_condition *c = sync_at(0), *d = sync_at(1);
    uint32_t node;
    if (which == 0) answer(aipc_condition_close(ctxs[0], c));
    if (which == 1) aipc_wait_withdraw(&segs[1], nodes[1], &c->withdrawn);
    const aipc_status status = aipc_condition_stand(ctxs[0], c, bell[0], 1, &node);
    answer(status);
    if (status == AIPC_OK) answer(aipc_condition_cancel(ctxs[0], c, node));
    answer(aipc_condition_cancel(ctxs[1], d, nodes[0]));
    answer(aipc_condition_notify(ctxs[0], c, 1));
    for (int n = 1; n < NODES; n++) answer(aipc_condition_look(ctxs[1], d, nodes[n]));
    answer(aipc_condition_notify(ctxs[0], c, AIPC_EVERYBODY));
    for (int n = 0; n < NODES; n++) answer(aipc_condition_cancel(ctxs[1], d, nodes[n]));
    answer(aipc_waits_release(ctxs[1], segs[1].slot));
}
static void look_at_condition(aipc_report *report) {
    answer(aipc_condition_check(ctxs[0], sync_at(0), report));
    answer(aipc_waits_check(ctxs[0], report));
}
static void begin_condition(void) {
    static const struct aipc_condition image;
    object_size = sizeof image;
    everything = use_condition;
    look_around = look_at_condition;
    sync_make(2, AIPC_TYPE_CONDITION, &image, sizeof image, sizeof image);
    for (int n = 0; n < NODES; n++) OK(aipc_condition_stand(ctxs[1], sync_at(1), bell[1], 1, &nodes[n]));
    OK(aipc_condition_notify(ctxs[0], sync_at(0), 3));
    save();
}

static void use_barrier(int which) {
    struct aipc_barrier *b = sync_at(0), *d = sync_at(1);
    uint32_t node, place;
    bool broken;
    if (which == 0) answer(aipc_barrier_close(ctxs[0], b));
    if (which == 1) aipc_wait_withdraw(&segs[1], nodes[4], &b->withdrawn);
    answer(aipc_barrier_cancel(ctxs[1], d, nodes[0]));
    answer(aipc_barrier_waiting(ctxs[0], b, &node, &broken));
    for (int n = 0; n < 3; n++) {
        const aipc_status status = aipc_barrier_arrive(ctxs[0], b, bell[0], 1, &node, &place);
        answer(status);
        if (status == AIPC_AGAIN) answer(aipc_barrier_look(ctxs[0], b, node, &place));
        for (int m = 1; m < NODES; m++) answer(aipc_barrier_look(ctxs[1], d, nodes[m], &place));
    }
    answer(which == 2 ? aipc_barrier_abort(ctxs[1], d) : aipc_barrier_reset(ctxs[1], d));
    for (int n = 0; n < NODES; n++) answer(aipc_barrier_cancel(ctxs[1], d, nodes[n]));
    answer(aipc_waits_release(ctxs[1], segs[1].slot));
}
static void look_at_barrier(aipc_report *report) {
    answer(aipc_barrier_check(ctxs[0], sync_at(0), report));
    answer(aipc_waits_check(ctxs[0], report));
}
/* Three are through and have not looked; three wait. */
static void begin_barrier(void) {
    struct aipc_barrier image = {0};
    uint32_t place, last;
    object_size = sizeof image;
    everything = use_barrier;
    look_around = look_at_barrier;
    aipc_barrier_init(&image, 4);
    sync_make(2, AIPC_TYPE_BARRIER, &image, sizeof image, sizeof image);
    for (int n = 0; n < NODES; n++) {
        CHECK_EQ(aipc_barrier_arrive(ctxs[1], sync_at(1), bell[1], 1, &nodes[n], &place), AIPC_AGAIN);
        if (n == 2) OK(aipc_barrier_arrive(ctxs[0], sync_at(0), bell[0], 1, &last, &place));
    }
    save();
}

static void end(void) {
    restore();
    free(pristine);
    for (int i = 0; i < 2; i++) segs[i].idle = NULL;
    sync_leave();
    fixture_end();
}

/* ---- damage ---------------------------------------------------------------------------------------- */

static void try_damage(void) {
    static aipc_report report;
    alarm(100);
    report = (aipc_report){0};
    look_around(&report);
    noticed += report.findings != 0;
    everything((int)(flips % 3));
    flips++;
    restore();
}

static void flip(const char *what, void *start, uint64_t size) {
    uint8_t *bytes = start;
    noticed = flips = 0;
    for (uint64_t i = 0; i < size; i++)
        for (unsigned bit = harness_full() ? 0 : i % 3; bit < 8; bit += harness_full() ? 1 : 3) {
            NOTE("%s, byte %" PRIu64 ", bit %u", what, i, bit);
            bytes[i] ^= (uint8_t)(1u << bit);
            try_damage();
        }
    fprintf(stderr, "  %-24s %5" PRIu64 " flips, %5" PRIu64 " noticed\n", what, flips, noticed);
}

static uint32_t random_state = 1;
static uint64_t below(uint64_t n) {
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 4) % n;
}

/* Numbers of other nodes and places of other queues do more harm than flipped bits: circles, strangers. */
static void mix_links(const char *what, const struct aipc_wait_queue *queues) {
    noticed = flips = 0;
    for (int round = 0; round < (harness_full() ? 60000 : 4000); round++) {
        NOTE("%s, round %d", what, round);
        for (uint64_t changes = 1 + below(3); changes > 0; changes--) {
            struct aipc_node *node = &segs[0].nodes[nodes[below(NODES)] - 1];
            struct aipc_wait_queue *queue = (struct aipc_wait_queue *)(uintptr_t)&queues[below(2)];
            uint32_t *numbers[] = {&node->next, &node->prev, &node->ready_next, &node->ready_prev, &node->state, &node->got,
                                   &queue->head, &queue->tail, &queue->length, &segs[0].waits->free_node};
            uint64_t *places[] = {&node->queue, &node->want};
            const uint32_t values[] = {nodes[below(NODES)], 0, 1, 2, UINT32_MAX, (uint32_t)below(200)};
            if (below(3) == 0) *places[below(2)] = aipc_offset(&segs[0], below(4) == 0 ? (const void *)node : &queues[below(2)]);
            else *numbers[below(10)] = values[below(6)];
        }
        try_damage();
    }
    fprintf(stderr, "  %-24s %5" PRIu64 " times, %5" PRIu64 " noticed\n", what, flips, noticed);
}

static void a_flipped_byte_harms_nobody(void) {
    begin_condition();
    flip("condition", sync_at(0), object_size);
    flip("its nodes", segs[0].nodes, NODES * sizeof(struct aipc_node));
    flip("its waits", &segs[0].waits->free_node, 16);
    end();
    begin_barrier();
    flip("barrier", sync_at(0), object_size);
    flip("its nodes", segs[0].nodes, NODES * sizeof(struct aipc_node));
    end();
}

static void a_link_to_something_else_harms_nobody(void) {
    begin_condition();
    mix_links("links of a condition", &((struct aipc_condition *)sync_at(0))->waiters);
    end();
    begin_barrier();
    mix_links("links of a barrier", &((struct aipc_barrier *)sync_at(0))->waiters);
    end();
}

int main(void) {
    RUN(a_flipped_byte_harms_nobody);
    RUN(a_link_to_something_else_harms_nobody);
    return SUMMARY();
}
