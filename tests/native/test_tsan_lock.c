// variants: tsan plain
/* Threads of several participants over one mapping, so that ThreadSanitizer sees every access of all of them. */
#include "segment_fixture.h"

#include <pthread.h>
#include <sched.h>

enum { PARTICIPANTS = 3, THREADS = 2 }; /* of each */

static aipc_seg segs[PARTICIPANTS], *visitor;
static uint8_t *bases[PARTICIPANTS];
static uint64_t data_at, counter; /* counter: protected by the lock, and by nothing else */
static uint32_t rounds;

static void see_through(aipc_seg *seg, uint8_t *base) {
#define MOVE(area) seg->area = (void *)(base + ((uint8_t *)seg->area - seg->base))
    MOVE(header), MOVE(heap), MOVE(catalog), MOVE(waits), MOVE(slots), MOVE(contexts), MOVE(nodes);
    for (int i = 0; i < AIPC_CONTEXTS; i++) MOVE(ctx[i].shared);
    seg->base = base;
}

static uint32_t below(uint32_t *state, uint32_t n) {
    *state = *state * 1664525 + 1013904223;
    return (*state >> 8) % n;
}

static void hammer_lock(aipc_seg *seg, uint32_t *random, uint32_t bell, int fd) {
    struct aipc_lock *lock = (void *)(seg->base + data_at);
    uint32_t node;
    aipc_ctx *ctx = enter(seg);
    aipc_status status = aipc_lock_try(seg, lock);
    if (status == AIPC_AGAIN) status = aipc_lock_wait(ctx, lock, bell, 1, below(random, 2) == 0, &node);
    while (status == AIPC_AGAIN) {
        if (below(random, 4) == 0) {
            OK(aipc_lock_cancel(ctx, lock, node));
            aipc_ctx_leave(ctx);
            return;
        }
        fixture_sleep(seg, bell, fd);
        status = aipc_lock_look(ctx, lock, node);
    }
    OK(status);
    counter++;
    if (!aipc_lock_release_fast(seg, lock)) OK(aipc_lock_release_slow(ctx, lock));
    aipc_ctx_leave(ctx);
}

static void hammer_memory(aipc_seg *seg, uint32_t *random) {
    uint64_t payload, size = 1 + below(random, 400);
    aipc_ctx *ctx = enter(seg);
    if (aipc_owned_allocate(ctx, size, 16, &payload) == AIPC_OK) {
        memset(seg->base + payload, 0x77, size);
        OK(aipc_deallocate(ctx, payload));
    }
    aipc_ctx_leave(ctx);
}

static void hammer_names(aipc_seg *seg, uint32_t *random) {
    char name[16];
    bool created;
    snprintf(name, sizeof name, "name %u", below(random, 6));
    aipc_object_spec spec = {.kind = AIPC_NAMED, .name = name, .name_size = (uint32_t)strlen(name), .type = 107,
                             .size = 100, .count = 1};
    aipc_object_ref ref;
    aipc_ctx *ctx = enter(seg);
    aipc_status status = aipc_find(ctx, spec.kind, name, spec.name_size, &ref);
    if (status == AIPC_OK && below(random, 2) == 0) status = aipc_destroy(ctx, &ref);
    CHECK(status == AIPC_OK || status == AIPC_NOT_FOUND);
    status = aipc_find_or_construct(ctx, &spec, &ref, &created);
    CHECK(status == AIPC_OK || status == AIPC_NOT_FOUND || status == AIPC_FULL);
    if (status == AIPC_OK) OK(aipc_unpin(ctx, seg->slot, ref.holding));
    aipc_ctx_leave(ctx);
}

static void look_around(aipc_seg *seg) {
    static _Thread_local aipc_report report;
    aipc_participant_info infos[FIXTURE_PARTICIPANTS];
    aipc_lock_stats stats;
    uint32_t count;
    aipc_ctx *ctx = enter(seg);
    memset(&report, 0, sizeof report);
#ifdef __SANITIZE_THREAD__ /* the catalog's check reads memory that may be another's by then, and discards it */
    OK(aipc_heap_check(ctx, &report));
    OK(aipc_waits_check(ctx, &report));
#else
    OK(aipc_check(ctx, &report));
#endif
    CHECK_EQ(report.findings, 0);
    OK(aipc_participants_list(seg, infos, FIXTURE_PARTICIPANTS, &count));
    CHECK(count >= PARTICIPANTS);
    aipc_lock_stats_get(seg, (void *)(seg->base + data_at), &stats);
    aipc_ctx_leave(ctx);
}

/* TSan does not see what the visitor does through a mapping of its own, and what it frees there others take: it comes
 * and goes while they rest.  Without TSan it comes and goes in the middle of everything. */
static pthread_rwlock_t door = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static void among_others(void) { CHECK(pthread_rwlock_rdlock(&door) == 0); }
#ifdef __SANITIZE_THREAD__
static void alone(void) { CHECK(pthread_rwlock_wrlock(&door) == 0); }
#else
static void alone(void) { among_others(); }
#endif
static void rest(void) { CHECK(pthread_rwlock_unlock(&door) == 0); }

static void *hammer(void *arg) {
    const int index = (int)(intptr_t)arg;
    aipc_seg *seg = &segs[index / THREADS];
    uint32_t random = (uint32_t)index + 1, bell;
    int fd;
    OK(aipc_bell_take(seg, &bell, &fd));
    for (uint32_t n = 0; n < rounds; n++) {
        among_others();
        switch (below(&random, 40)) {
        case 0: look_around(seg); break;
        case 1:
            aipc_bell_give_back(seg, bell);
            OK(aipc_bell_take(seg, &bell, &fd));
            break;
        default:
            if (below(&random, 2) == 0) hammer_lock(seg, &random, bell, fd);
            else if (below(&random, 2) == 0) hammer_names(seg, &random);
            else hammer_memory(seg, &random);
        }
        rest();
    }
    aipc_bell_give_back(seg, bell);
    return NULL;
}

static void *visit(void *arg) {
    uint32_t random = 99;
    for (uint32_t n = 0; n < rounds / 20; n++) {
        alone();
        fixture_attach(visitor);
        uint8_t *own = visitor->base;
        see_through(visitor, segs[0].base);
        rest(), among_others();
        hammer_memory(visitor, &random);
        hammer_names(visitor, &random);
        rest(), alone();
        see_through(visitor, own);
        fixture_detach(visitor);
        rest();
    }
    return arg;
}

static void threads_of_several_participants_do_everything_at_once(void) {
    pthread_t threads[PARTICIPANTS * THREADS + 1];
    aipc_report report;
    rounds = harness_full() ? 60000 : 6000;
    fixture_create(&segs[0]);
    data_at = (uint64_t)((uint8_t *)fixture_lock(&segs[0]) - segs[0].base);
    for (int i = 1; i < PARTICIPANTS; i++) fixture_attach(&segs[i]);
    for (int i = 0; i < PARTICIPANTS; i++) {
        bases[i] = segs[i].base;
        see_through(&segs[i], segs[0].base);
    }
    visitor = calloc(1, sizeof *visitor);
    for (int i = 0; i < PARTICIPANTS * THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, hammer, (void *)(intptr_t)i) == 0);
    CHECK(pthread_create(&threads[PARTICIPANTS * THREADS], NULL, visit, NULL) == 0);
    for (int i = 0; i <= PARTICIPANTS * THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    fixture_sound(&segs[0], &report);
    CHECK_EQ(report.nodes_waiting, 0);
    CHECK_EQ(report.owned_blocks, 0);
    fprintf(stderr, "  lock acquired %" PRIu64 " times\n", counter);
    for (int i = PARTICIPANTS - 1; i >= 0; i--) {
        see_through(&segs[i], bases[i]);
        fixture_detach(&segs[i]);
    }
    free(visitor);
    fixture_end();
}

int main(void) {
    RUN(threads_of_several_participants_do_everything_at_once);
    return SUMMARY();
}
