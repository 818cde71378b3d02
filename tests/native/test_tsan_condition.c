// variants: tsan plain
/* Threads of several participants over one mapping, so that ThreadSanitizer sees every access of all of them: a stock that
 * is filled and emptied beside a condition, and cycles of a barrier that somebody resets now and then. */
#include "sync_fixture.h"

#include <pthread.h>
#include <sched.h>

enum { PARTICIPANTS = 3, THREADS = 2, ALL = PARTICIPANTS * THREADS, ROOM = 2 };

static uint64_t barrier_at;
static uint32_t rounds;
static uint32_t stock;          /* protected by the condition's lock, and by nothing else */
static uint64_t behind[ALL];    /* cycles that each thread has behind it: protected by the barrier alone */
static uint32_t finished;

typedef struct worker {
    pthread_t thread;
    int index;
    aipc_seg *seg;
    aipc_ctx *ctx;
    uint32_t bell, random;
    int fd;
} worker;

static uint32_t below(worker *w, uint32_t n) {
    w->random = w->random * 1664525 + 1013904223;
    return (w->random >> 8) % n;
}

static struct aipc_condition *condition_of(worker *w) { return (void *)(w->seg->base + sync_payload); }
static struct aipc_barrier *barrier_of(worker *w) { return (void *)(w->seg->base + barrier_at); }

/* ---- the stock ----------------------------------------------------------------------------------- */

static void acquire(worker *w) {
    struct aipc_lock *lock = &condition_of(w)->own;
    uint32_t node;
    aipc_status status = aipc_lock_try(w->seg, lock);
    if (status == AIPC_AGAIN) status = aipc_lock_wait(w->ctx, lock, w->bell, 1, false, &node);
    while (status == AIPC_AGAIN) {
        fixture_sleep(w->seg, w->bell, w->fd);
        status = aipc_lock_look(w->ctx, lock, node);
    }
    OK(status);
}
static void release(worker *w) {
    struct aipc_lock *lock = &condition_of(w)->own;
    if (!aipc_lock_release_fast(w->seg, lock)) OK(aipc_lock_release_slow(w->ctx, lock));
}

/* Without the lock.  Gives up now and then, and so wakes for nothing. */
static void wait_to_be_notified(worker *w, uint32_t node) {
    while (!aipc_condition_notified(w->seg, node)) {
        if (below(w, 4) == 0) {
            OK(aipc_condition_cancel(w->ctx, condition_of(w), node));
            return;
        }
        fixture_sleep(w->seg, w->bell, w->fd);
        const aipc_status status = aipc_condition_look(w->ctx, condition_of(w), node);
        if (status == AIPC_OK) return;
        CHECK_EQ(status, AIPC_AGAIN);
    }
    OK(aipc_condition_look(w->ctx, condition_of(w), node));
}

static void put_or_take(worker *w) {
    const bool put = w->index % 2 == 0;
    uint32_t node;
    acquire(w);
    while (put ? stock == ROOM : stock == 0) {
        OK(aipc_condition_stand(w->ctx, condition_of(w), w->bell, 1, &node));
        release(w);
        wait_to_be_notified(w, node);
        acquire(w);
    }
    stock += put ? 1 : UINT32_MAX;
    OK(aipc_condition_notify(w->ctx, condition_of(w), AIPC_EVERYBODY)); /* of both kinds */
    release(w);
}

/* ---- the barrier --------------------------------------------------------------------------------- */

static void come_through(worker *w) {
    uint32_t node, place;
    aipc_status status;
    do {
        status = aipc_barrier_arrive(w->ctx, barrier_of(w), w->bell, 1, &node, &place);
        while (status == AIPC_AGAIN) {
            fixture_sleep(w->seg, w->bell, w->fd);
            status = aipc_barrier_look(w->ctx, barrier_of(w), node, &place);
        }
    } while (status == AIPC_BROKEN);
    OK(status);
    CHECK(place < ALL);
}

static void cycle(worker *w) {
    behind[w->index]++;
    come_through(w);
    for (int i = 0; i < ALL; i++) CHECK_EQ(behind[i], behind[w->index]);
    come_through(w);
}

static void *work(void *arg) {
    worker *w = arg;
    OK(aipc_bell_take(w->seg, &w->bell, &w->fd));
    for (uint32_t n = 0; n < rounds; n++) {
        put_or_take(w);
        if (n % 8 == 0) cycle(w);
    }
    aipc_bell_give_back(w->seg, w->bell);
    __atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

/* Sends away who waits, and looks at everything. */
static void *disturb(void *arg) {
    worker *w = arg;
    static aipc_report report;
    uint32_t waiting;
    bool broken;
    while (__atomic_load_n(&finished, __ATOMIC_SEQ_CST) < ALL) {
        if (below(w, 8) == 0) OK(aipc_barrier_reset(w->ctx, barrier_of(w)));
        OK(aipc_barrier_waiting(w->ctx, barrier_of(w), &waiting, &broken));
        CHECK(waiting < ALL && !broken);
        CHECK(aipc_condition_waiting(condition_of(w)) <= ALL);
        report = (aipc_report){0};
        OK(aipc_condition_check(w->ctx, condition_of(w), &report));
        OK(aipc_barrier_check(w->ctx, barrier_of(w), &report));
        OK(aipc_waits_check(w->ctx, &report));
        CHECK_EQ(report.findings, 0);
        sched_yield();
    }
    return NULL;
}

static void everything_at_once(void) {
    static const struct aipc_condition image;
    worker workers[ALL + 1];
    rounds = harness_full() ? 20000 : 2400;
    sync_make(PARTICIPANTS, AIPC_TYPE_CONDITION, &image, sizeof image, sizeof image);
    struct aipc_barrier *barrier = fixture_object(&segs[0], "barrier", AIPC_TYPE_BARRIER, sizeof *barrier);
    barrier_at = aipc_offset(&segs[0], barrier);
    aipc_barrier_init(barrier, ALL);
    sync_unite();
    for (int i = 0; i <= ALL; i++) {
        aipc_seg *seg = &segs[i % PARTICIPANTS];
        workers[i] = (worker){.index = i, .seg = seg, .ctx = enter(seg), .random = (uint32_t)i + 1};
        CHECK(pthread_create(&workers[i].thread, NULL, i < ALL ? work : disturb, &workers[i]) == 0);
    }
    for (int i = 0; i <= ALL; i++) {
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
        aipc_ctx_leave(workers[i].ctx);
    }
    CHECK_EQ(stock, 0);
    const struct aipc_condition *c = sync_at(0);
    fprintf(stderr, "  %u waited, %" PRIu64 " notified, %" PRIu64 " cycles\n", c->contended, c->notified, barrier->word >> 2);
    sync_divide();
    sync_end();
}

int main(void) {
    RUN(everything_at_once);
    return SUMMARY();
}
