// variants: plain asan
/* Words that lie: whatever a semaphore, a limiter, an event, the nodes in their lines and the slab say, every operation comes
 * back, and never touches what is not the segment's. */
#include "sync_fixture.h"

#include "types.h"

enum { PLACES = 3 };
static uint8_t *pristine;
static uint32_t places[PLACES]; /* of participants 0, 1, 0; the second was notified */
static uint64_t tried, noticed;

static aipc_status never_wait(aipc_seg *seg, const uint32_t *word, uint32_t value) {
    (void)seg, (void)word, (void)value;
    return AIPC_INTERRUPTED;
}

/* ---- everything a caller can do; statuses do not matter, coming back does ----------------------------- */

static struct aipc_semaphore *semaphore(int i) { return sync_at(i); }
static struct aipc_limiter *limiter(int i) { return sync_at(i); }
static struct aipc_event *event(int i) { return sync_at(i); }

static void use_semaphore(int i, uint32_t node) {
    uint32_t other;
    (void)aipc_semaphore_try(semaphore(i), node);
    (void)aipc_semaphore_try_recover(ctxs[i], semaphore(i));
    (void)aipc_semaphore_stand(ctxs[i], semaphore(i), bell[i], 1, &other);
    (void)aipc_semaphore_add(semaphore(i), 2);
    (void)aipc_semaphore_leave(ctxs[i], semaphore(i), node);
}
static aipc_status check_semaphore(aipc_report *report) { return aipc_semaphore_check(ctxs[0], semaphore(0), report); }

static void use_limiter(int i, uint32_t node) {
    aipc_limiter_stats stats;
    uint32_t other;
    (void)aipc_limiter_try(ctxs[i], limiter(i), node);
    (void)aipc_limiter_try_recover(ctxs[i], limiter(i));
    (void)aipc_limiter_stand(ctxs[i], limiter(i), bell[i], 1, &other);
    (void)aipc_limiter_give(ctxs[i], limiter(i));
    (void)aipc_limiter_give(ctxs[i], limiter(i));
    (void)aipc_limiter_resize(ctxs[i], limiter(i), 1);
    (void)aipc_limiter_resize(ctxs[i], limiter(i), AIPC_LIMITER_NO_LIMIT);
    aipc_limiter_stats_get(&segs[i], limiter(i), &stats);
    for (uint32_t slot = 0; slot <= FIXTURE_PARTICIPANTS; slot++)
        (void)aipc_limiter_borrowed_by(&segs[i], limiter(i), slot);
    (void)aipc_limiter_leave(ctxs[i], limiter(i), node);
}
static aipc_status check_limiter(aipc_report *report) { return aipc_limiter_check(ctxs[0], limiter(0), report); }

static void use_event(int i, uint32_t node) {
    (void)aipc_event_happened(event(i), 0);
    (void)aipc_event_set(event(i));
    aipc_event_clear(event(i));
    (void)aipc_event_set(event(i));
    (void)aipc_line_leave(ctxs[i], &event(i)->line, node);
}
static aipc_status check_event(aipc_report *report) { return aipc_event_check(ctxs[0], event(0), report); }

static const struct kind {
    const char *name;
    uint64_t type, size, line; /* where in the object */
    void (*use)(int i, uint32_t node);
    aipc_status (*check)(aipc_report *report);
} kinds[] = {
    {"semaphore", AIPC_TYPE_SEMAPHORE, sizeof(struct aipc_semaphore), offsetof(struct aipc_semaphore, line), use_semaphore, check_semaphore},
    {"limiter", AIPC_TYPE_LIMITER, sizeof(struct aipc_limiter) + 8 * FIXTURE_PARTICIPANTS, offsetof(struct aipc_limiter, line), use_limiter, check_limiter},
    {"event", AIPC_TYPE_EVENT, sizeof(struct aipc_event), offsetof(struct aipc_event, line), use_event, check_event},
}, *kind;

static struct aipc_line *line_at(int i) { return (void *)((uint8_t *)sync_at(i) + kind->line); }

static void do_everything(void) {
    uint32_t node;
    uint64_t tokens[8];
    for (int n = 0; n < PLACES; n++) {
        const int i = n % 2;
        (void)aipc_line_reserved(line_at(i), places[n]);
        (void)aipc_line_again(ctxs[i], line_at(i), places[n]);
        (void)aipc_line_wake(ctxs[i], line_at(i), 1);
        (void)aipc_wait_collect(ctxs[i], bell[i], tokens, 8, &node);
        if (aipc_line_stand(ctxs[i], line_at(i), bell[i], 1, &node) == AIPC_OK) kind->use(i, node);
        (void)aipc_line_wake(ctxs[i], line_at(i), AIPC_EVERYBODY);
        kind->use(i, places[n]);
        (void)aipc_line_recover(ctxs[i], line_at(i));
    }
}

static bool found(void) {
    sync_report = (aipc_report){0};
    aipc_status status = kind->check(&sync_report);
    if (status == AIPC_OK) status = aipc_waits_check(ctxs[0], &sync_report);
    return status != AIPC_OK || sync_report.findings != 0;
}

/* ---- before, and after ---------------------------------------------------------------------------------- */

static void begin(int which) {
    kind = &kinds[which];
    static uint8_t image[512];
    memset(image, 0, sizeof image);
    aipc_semaphore_init((void *)image, 0, 5);
    if (which == 1) aipc_limiter_init((void *)image, 2);
    if (which == 2) memset(image, 0, sizeof image);
    sync_make(2, kind->type, image, kind->size, kind->size);
    if (which == 1)
        for (int i = 0; i < 2; i++) OK(aipc_limiter_try(ctxs[i], limiter(i), AIPC_NO_NODE));
    for (int n = 0; n < PLACES; n++) OK(aipc_line_stand(ctxs[n % 2], line_at(n % 2), bell[n % 2], 1, &places[n]));
    sync_age(0, places[0]);
    OK(aipc_line_wake(ctxs[0], line_at(0), 2));
    (void)sync_collect(0);
    OK(aipc_line_again(ctxs[0], line_at(0), places[0]));
    CHECK(!found());
    for (int i = 0; i < 2; i++) {
        segs[i].idle = never_wait;
        segs[i].stall_ns = SYNC_STALL_NS;
    }
    pristine = malloc(fixture_size);
    memcpy(pristine, segs[0].base, fixture_size);
    tried = noticed = 0;
}

static void end(void) {
    fprintf(stderr, "  %-10s %6" PRIu64 " lies, %6" PRIu64 " noticed by the check\n", kind->name, tried, noticed);
    free(pristine);
    for (int i = 0; i < 2; i++) segs[i].idle = NULL;
    for (int n = 0; n < PLACES; n++) OK(aipc_line_leave(ctxs[n % 2], line_at(n % 2), places[n]));
    sync_end();
}

static void try_it(void) {
    tried++;
    noticed += found();
    do_everything();
    (void)found();
    memcpy(segs[0].base, pristine, fixture_size);
}

/* Every half word of [at, at + size) tells every one of these lies. */
static void lie_about(const char *what, void *at, uint64_t size) {
    for (uint64_t offset = 0; offset < size; offset += 4) {
        uint32_t *word = (void *)((uint8_t *)at + offset);
        const uint32_t lies[] = {0, 1, 2, 3, places[0], places[2] + 1, segs[0].node_count, segs[0].node_count + 1, 0x7fffffff,
                                 0x80000000, UINT32_MAX, *word + 1, *word - 1, *word ^ 0x40};
        for (size_t lie = 0; lie < sizeof lies / sizeof lies[0]; lie++) {
            NOTE("%s + %" PRIu64 ": %#x", what, offset, lies[lie]);
            *word = lies[lie];
            try_it();
        }
    }
}

static uint32_t random_state = 1;
static uint32_t below(uint32_t n) {
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % n;
}

/* Several at once: links that lead in circles, lengths and states that go with them. */
static void lie_at_random(uint32_t rounds) {
    for (uint32_t round = 0; round < rounds; round++) {
        NOTE("round %u", round);
        for (uint32_t changes = 1 + below(4); changes > 0; changes--) {
            struct aipc_node *node = &segs[0].nodes[places[below(PLACES)] - 1];
            uint32_t *object = sync_at(0), number = below(6) == 0 ? random_state : below(6);
            uint32_t *words[] = {&node->next, &node->prev, &node->ready_next, &node->ready_prev, &node->state, &node->slot,
                                 &node->bell, &node->withdrawn, &segs[0].waits->free_node, &segs[0].waits->nodes_used,
                                 &object[below((uint32_t)kind->size / 4)], &line_at(0)->queue.head, &line_at(0)->queue.tail,
                                 &line_at(0)->queue.length};
            *words[below(sizeof words / sizeof words[0])] = number;
        }
        try_it();
    }
}

static void no_lie_does_harm(void) {
    for (int which = 0; which < 3; which++) {
        begin(which);
        lie_about("object", sync_at(0), kind->size);
        lie_about("nodes", &segs[0].nodes[0], 4 * sizeof segs[0].nodes[0]);
        lie_about("slab", &segs[0].waits->free_node, 12);
        lie_about("bells", &segs[0].slots[0].bells[bell[0]], sizeof segs[0].slots[0].bells[0]);
        lie_at_random(harness_full() ? 100000 : 3000);
        end();
    }
}

int main(void) {
    RUN(no_lie_does_harm);
    return SUMMARY();
}
