// variants: tsan plain
/* Threads of several participants over one mapping, so that ThreadSanitizer sees every access of all of them. */
#include "queue_fixture.h"

#include <pthread.h>

enum { PARTICIPANTS = 3, THREADS = 2 }; /* of each */

static aipc_seg segs[PARTICIPANTS];
static uint8_t *bases[PARTICIPANTS];
static uint64_t queue_at, messages;
static uint64_t put_sum, taken_sum, taken_count, next_number;

static void see_through(aipc_seg *seg, uint8_t *base) {
#define MOVE(area) seg->area = (void *)(base + ((uint8_t *)seg->area - seg->base))
    MOVE(header), MOVE(heap), MOVE(catalog), MOVE(waits), MOVE(slots), MOVE(contexts), MOVE(nodes);
    for (int i = 0; i < AIPC_CONTEXTS; i++) MOVE(ctx[i].shared);
    seg->base = base;
}

typedef struct worker {
    aipc_seg *seg;
    struct aipc_queue *queue;
    uint32_t bell, random;
    int fd;
    uint64_t number; /* to be put */
    uint8_t room[8192];
} worker;

static uint32_t below(uint32_t *state, uint32_t n) {
    *state = *state * 1664525 + 1013904223;
    return (*state >> 8) % n;
}

static void account(const uint8_t *data, uint64_t size) {
    uint64_t number;
    CHECK(size >= 8);
    memcpy(&number, data, 8);
    for (uint64_t i = 8; i < size; i++) CHECK_EQ(data[i], (uint8_t)number);
    __atomic_fetch_add(&taken_sum, number, __ATOMIC_RELAXED);
    __atomic_fetch_add(&taken_count, 1, __ATOMIC_RELAXED);
}

static aipc_status take_some(worker *w) {
    aipc_message got[8];
    uint32_t taken;
    aipc_ctx *ctx = enter(w->seg);
    const aipc_status status = aipc_queue_take(ctx, w->queue, w->room, sizeof w->room, got, 1 + below(&w->random, 8), &taken);
    for (uint32_t i = 0; i < taken; i++) account(got[i].data, got[i].size);
    if (taken != 0) {
        OK(aipc_queue_dispose(ctx, got, taken));
        OK(aipc_queue_task_done(ctx, w->queue, taken));
    }
    aipc_ctx_leave(ctx);
    return status;
}

static aipc_status lease_some(worker *w) {
    aipc_message message;
    aipc_ctx *ctx = enter(w->seg);
    const aipc_status status = aipc_queue_lease(ctx, w->queue, &message);
    if (status == AIPC_OK) {
        const bool done = below(&w->random, 3) != 0;
        if (done) account(message.data, message.size);
        OK(aipc_queue_settle(ctx, w->queue, message.item, message.serial, done ? AIPC_SETTLE_DONE : AIPC_SETTLE_RETURN));
    }
    aipc_ctx_leave(ctx);
    return status;
}

static aipc_status put_one(worker *w) {
    uint8_t bytes[5000];
    const uint64_t size = 8 + below(&w->random, below(&w->random, 10) == 0 ? 4000 : 100);
    uint32_t put;
    memset(bytes, (uint8_t)w->number, size);
    memcpy(bytes, &w->number, 8);
    const aipc_bytes message = {.data = bytes, .size = size};
    aipc_ctx *ctx = enter(w->seg);
    const aipc_status status = aipc_queue_put(ctx, w->queue, &message, 1, &put);
    aipc_ctx_leave(ctx);
    return status == AIPC_FULL ? AIPC_AGAIN : status;
}

static aipc_status is_joined(worker *w) {
    aipc_ctx *ctx = enter(w->seg);
    const aipc_status status = aipc_queue_joined(ctx, w->queue);
    aipc_ctx_leave(ctx);
    return status;
}

/* AIPC_NOT_FOUND: gave up. */
static aipc_status wait_for(worker *w, aipc_queue_role role, aipc_status (*attempt)(worker *), bool patient) {
    uint32_t node;
    aipc_ctx *ctx = enter(w->seg);
    OK(aipc_queue_stand(ctx, w->queue, role, w->bell, 1, &node));
    aipc_ctx_leave(ctx);
    aipc_status status = attempt(w);
    while (status == AIPC_AGAIN) {
        if (!patient && below(&w->random, 3) == 0) {
            status = AIPC_NOT_FOUND;
            break;
        }
        fixture_sleep(w->seg, w->bell, w->fd);
        status = attempt(w);
        if (status != AIPC_AGAIN) break;
        ctx = enter(w->seg);
        OK(aipc_queue_again(ctx, w->queue, role, node));
        aipc_ctx_leave(ctx);
        status = attempt(w);
    }
    ctx = enter(w->seg);
    OK(aipc_queue_leave(ctx, w->queue, role, node));
    aipc_ctx_leave(ctx);
    return status;
}

static void produce(worker *w) {
    for (;;) {
        w->number = __atomic_add_fetch(&next_number, 1, __ATOMIC_RELAXED);
        if (w->number > messages) return;
        aipc_status status = put_one(w);
        while (status == AIPC_AGAIN || status == AIPC_NOT_FOUND)
            status = wait_for(w, AIPC_PUTTERS, put_one, true);
        OK(status);
        __atomic_fetch_add(&put_sum, w->number, __ATOMIC_RELAXED);
    }
}

static void consume(worker *w) {
    for (;;) {
        aipc_status (*how)(worker *) = below(&w->random, 3) == 0 ? lease_some : take_some;
        aipc_status status = how(w);
        if (status == AIPC_AGAIN) status = wait_for(w, AIPC_GETTERS, how, below(&w->random, 2) == 0);
        if (status == AIPC_SHUT_DOWN) return;
        CHECK(status == AIPC_OK || status == AIPC_NOT_FOUND);
        if (below(&w->random, 50) != 0) continue;
        aipc_queue_stats stats = stats_of(w->queue);
        CHECK(stats.queued <= 64 + 2 * THREADS); /* returned leases come on top */
        aipc_message message;
        aipc_ctx *ctx = enter(w->seg);
        status = aipc_queue_peek(ctx, w->queue, w->room, sizeof w->room, &message);
        CHECK(status == AIPC_OK || status == AIPC_AGAIN || status == AIPC_SHUT_DOWN);
        aipc_ctx_leave(ctx);
    }
}

static void *work(void *arg) {
    const int index = (int)(intptr_t)arg;
    worker *w = calloc(1, sizeof *w);
    w->seg = &segs[index / THREADS];
    w->queue = (void *)(w->seg->base + queue_at);
    w->random = (uint32_t)index + 1;
    OK(aipc_bell_take(w->seg, &w->bell, &w->fd));
    if (index % 3 == 0) produce(w);
    else consume(w);
    aipc_bell_give_back(w->seg, w->bell);
    free(w);
    return NULL;
}

static void threads_of_several_participants_use_one_queue(void) {
    pthread_t threads[PARTICIPANTS * THREADS];
    aipc_report report;
    messages = harness_full() ? 200000 : 10000;
    queue_options = (aipc_queue_options){.maxsize = 64};
    fixture_create(&segs[0]);
    for (int i = 1; i < PARTICIPANTS; i++) fixture_attach(&segs[i]);
    for (int i = 0; i < PARTICIPANTS; i++) {
        bases[i] = segs[i].base;
        see_through(&segs[i], segs[0].base);
        queue_at = (uint64_t)((uint8_t *)fixture_queue(&segs[i]) - segs[i].base);
    }
    for (int i = 0; i < PARTICIPANTS * THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, work, (void *)(intptr_t)i) == 0);
    for (int i = 0; i < PARTICIPANTS * THREADS; i += 3) CHECK(pthread_join(threads[i], NULL) == 0);
    /* All is put: the end of the work is waited for, then the consumers are sent home. */
    worker *w = calloc(1, sizeof *w);
    w->seg = &segs[0];
    w->queue = (void *)(segs[0].base + queue_at);
    w->random = 77;
    OK(aipc_bell_take(w->seg, &w->bell, &w->fd));
    OK(wait_for(w, AIPC_JOINERS, is_joined, true));
    CHECK_EQ(taken_count, messages);
    CHECK_EQ(taken_sum, put_sum);
    aipc_ctx *ctx = enter(w->seg);
    OK(aipc_queue_shutdown(ctx, w->queue, false));
    aipc_ctx_leave(ctx);
    aipc_bell_give_back(w->seg, w->bell);
    free(w);
    for (int i = 0; i < PARTICIPANTS * THREADS; i++)
        if (i % 3 != 0) CHECK(pthread_join(threads[i], NULL) == 0);
    fixture_sound(&segs[0], &report);
    CHECK_EQ(report.nodes_waiting, 0);
    for (int i = PARTICIPANTS - 1; i >= 0; i--) {
        see_through(&segs[i], bases[i]);
        fixture_detach(&segs[i]);
    }
    fixture_end();
}

int main(void) {
    RUN(threads_of_several_participants_use_one_queue);
    return SUMMARY();
}
