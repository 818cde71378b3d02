// variants: tsan plain
/* Threads of several participants over one mapping, so that ThreadSanitizer sees every access of all of them. */
#include "sync_fixture.h"

#include "types.h"

#include <pthread.h>

enum { PARTICIPANTS = 3, THREADS = 2, PERMITS = 2, ROOM = 1024 }; /* threads of each; bytes for one object */

static uint32_t rounds, finished;
static int32_t using_permits, using_tokens; /* right now */
static uint64_t served, gave_up;

/* All three in one object. */
static struct aipc_semaphore *semaphore(int i) { return sync_at(i); }
static struct aipc_event *event(int i) { return (void *)((uint8_t *)sync_at(i) + ROOM); }
static struct aipc_limiter *limiter(int i) { return (void *)((uint8_t *)sync_at(i) + 2 * ROOM); }

typedef struct worker {
    int i;
    uint32_t random, bell;
    int fd;
    uint64_t mark;
} worker;

static uint32_t below(worker *w, uint32_t n) {
    w->random = w->random * 1664525 + 1013904223;
    return (w->random >> 8) % n;
}

typedef struct kind {
    aipc_status (*stand)(worker *w, aipc_ctx *ctx, uint32_t *node);
    aipc_status (*attempt)(worker *w, aipc_ctx *ctx, uint32_t node);
    aipc_status (*leave)(worker *w, aipc_ctx *ctx, uint32_t node);
    struct aipc_line *(*line)(int i);
} kind;

static aipc_status semaphore_stand(worker *w, aipc_ctx *ctx, uint32_t *node) {
    return aipc_semaphore_stand(ctx, semaphore(w->i), w->bell, 1, node);
}
static aipc_status semaphore_attempt(worker *w, aipc_ctx *ctx, uint32_t node) {
    (void)ctx;
    return aipc_semaphore_try(semaphore(w->i), node);
}
static aipc_status semaphore_leave(worker *w, aipc_ctx *ctx, uint32_t node) {
    return aipc_semaphore_leave(ctx, semaphore(w->i), node);
}
static struct aipc_line *semaphore_line(int i) { return &semaphore(i)->line; }
static aipc_status event_stand(worker *w, aipc_ctx *ctx, uint32_t *node) {
    return aipc_line_stand(ctx, &event(w->i)->line, w->bell, 1, node);
}
static aipc_status event_attempt(worker *w, aipc_ctx *ctx, uint32_t node) {
    (void)ctx, (void)node;
    return aipc_event_happened(event(w->i), w->mark) ? AIPC_OK : AIPC_AGAIN;
}
static aipc_status event_leave(worker *w, aipc_ctx *ctx, uint32_t node) {
    return aipc_line_leave(ctx, &event(w->i)->line, node);
}
static struct aipc_line *event_line(int i) { return &event(i)->line; }
static aipc_status limiter_stand(worker *w, aipc_ctx *ctx, uint32_t *node) {
    return aipc_limiter_stand(ctx, limiter(w->i), w->bell, 1, node);
}
static aipc_status limiter_attempt(worker *w, aipc_ctx *ctx, uint32_t node) {
    return aipc_limiter_try(ctx, limiter(w->i), node);
}
static aipc_status limiter_leave(worker *w, aipc_ctx *ctx, uint32_t node) {
    return aipc_limiter_leave(ctx, limiter(w->i), node);
}
static struct aipc_line *limiter_line(int i) { return &limiter(i)->line; }

static const kind semaphores = {semaphore_stand, semaphore_attempt, semaphore_leave, semaphore_line};
static const kind events = {event_stand, event_attempt, event_leave, event_line};
static const kind limiters = {limiter_stand, limiter_attempt, limiter_leave, limiter_line};

/* False: gave up. */
static bool wait_for(worker *w, const kind *k, bool patient) {
    aipc_ctx *ctx = enter(&segs[w->i]);
    uint32_t node;
    aipc_status status = k->attempt(w, ctx, AIPC_NO_NODE);
    if (status == AIPC_AGAIN) {
        OK(k->stand(w, ctx, &node));
        status = k->attempt(w, ctx, node);
        while (status == AIPC_AGAIN && (patient || below(w, 4) != 0)) {
            fixture_sleep(&segs[w->i], w->bell, w->fd);
            status = k->attempt(w, ctx, node);
            if (status != AIPC_AGAIN) break;
            OK(aipc_line_again(ctx, k->line(w->i), node));
            status = k->attempt(w, ctx, node);
        }
        OK(k->leave(w, ctx, node));
    }
    CHECK(status == AIPC_OK || (status == AIPC_AGAIN && !patient));
    aipc_ctx_leave(ctx);
    (void)__atomic_fetch_add(status == AIPC_OK ? &served : &gave_up, 1, __ATOMIC_RELAXED);
    return status == AIPC_OK;
}

static void hold(worker *w, int32_t *users, int32_t most) {
    CHECK(__atomic_add_fetch(users, 1, __ATOMIC_RELAXED) <= most);
    if (below(w, 2) == 0) aipc_os_yield();
    (void)__atomic_sub_fetch(users, 1, __ATOMIC_RELAXED);
}

static void use_permit(worker *w) {
    if (!wait_for(w, &semaphores, below(w, 2) == 0)) return;
    hold(w, &using_permits, PERMITS);
    aipc_ctx *ctx = enter(&segs[w->i]);
    OK(aipc_semaphore_add(semaphore(w->i), 1));
    if (aipc_line_asleep(&semaphore(w->i)->line)) OK(aipc_line_wake(ctx, &semaphore(w->i)->line, 1));
    aipc_ctx_leave(ctx);
}

static void use_token(worker *w) {
    if (!wait_for(w, &limiters, below(w, 2) == 0)) return;
    hold(w, &using_tokens, PERMITS + 1);
    aipc_ctx *ctx = enter(&segs[w->i]);
    if (below(w, 20) == 0) OK(aipc_limiter_resize(ctx, limiter(w->i), PERMITS + below(w, 2)));
    OK(aipc_limiter_give(ctx, limiter(w->i)));
    aipc_limiter_stats stats;
    aipc_limiter_stats_get(&segs[w->i], limiter(w->i), &stats);
    CHECK(stats.mine <= THREADS);
    aipc_ctx_leave(ctx);
}

static void set_event(worker *w) {
    aipc_ctx *ctx = enter(&segs[w->i]);
    (void)aipc_event_set(event(w->i));
    if (aipc_line_asleep(&event(w->i)->line)) OK(aipc_line_wake(ctx, &event(w->i)->line, AIPC_EVERYBODY));
    if (below(w, 2) == 0) aipc_event_clear(event(w->i));
    aipc_ctx_leave(ctx);
}

static void check_all(worker *w) {
    static _Thread_local aipc_report report;
    memset(&report, 0, sizeof report);
    aipc_ctx *ctx = enter(&segs[w->i]);
    OK(aipc_semaphore_check(ctx, semaphore(w->i), &report));
    OK(aipc_event_check(ctx, event(w->i), &report));
    OK(aipc_limiter_check(ctx, limiter(w->i), &report));
    OK(aipc_waits_check(ctx, &report));
    aipc_ctx_leave(ctx);
    CHECK_EQ(report.findings, 0);
}

/* Thread 0 never waits for the event, and sets it as long as another thread may. */
static void *work(void *arg) {
    const int index = (int)(intptr_t)arg;
    worker w = {.i = index / THREADS, .random = (uint32_t)index + 1};
    OK(aipc_bell_take(&segs[w.i], &w.bell, &w.fd));
    for (uint32_t n = 0; n < rounds; n++)
        switch (below(&w, 20)) {
        case 0: check_all(&w); break;
        case 1: set_event(&w); break;
        case 2:
            if (index == 0) break;
            w.mark = aipc_event_mark(event(w.i));
            (void)wait_for(&w, &events, false);
            break;
        default:
            if (below(&w, 2) == 0) use_permit(&w);
            else use_token(&w);
        }
    (void)__atomic_add_fetch(&finished, 1, __ATOMIC_RELAXED);
    while (index == 0 && __atomic_load_n(&finished, __ATOMIC_RELAXED) < PARTICIPANTS * THREADS) {
        set_event(&w);
        aipc_os_yield();
    }
    aipc_bell_give_back(&segs[w.i], w.bell);
    return NULL;
}

static void threads_of_several_participants_share_permits_tokens_and_a_flag(void) {
    static uint8_t image[2 * ROOM + sizeof(struct aipc_limiter)];
    pthread_t threads[PARTICIPANTS * THREADS];
    rounds = harness_full() ? 200000 : 15000;
    aipc_semaphore_init((void *)image, PERMITS, PERMITS);
    aipc_limiter_init((void *)(image + 2 * ROOM), PERMITS);
    sync_make(PARTICIPANTS, 77, image, sizeof image, 3 * ROOM);
    sync_unite();
    for (int i = 0; i < PARTICIPANTS * THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, work, (void *)(intptr_t)i) == 0);
    for (int i = 0; i < PARTICIPANTS * THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    fprintf(stderr, "  served %" PRIu64 " times, gave up %" PRIu64 " times, stood %u times\n", served, gave_up,
            semaphore(0)->line.contended + event(0)->line.contended + limiter(0)->line.contended);
    CHECK_EQ(semaphore(0)->value, PERMITS);
    aipc_limiter_stats stats;
    aipc_limiter_stats_get(&segs[0], limiter(0), &stats);
    CHECK_EQ(stats.borrowed, 0);
    CHECK_EQ(stats.waiters, 0);
    sync_divide();
    sync_end();
}

int main(void) {
    RUN(threads_of_several_participants_share_permits_tokens_and_a_flag);
    return SUMMARY();
}
