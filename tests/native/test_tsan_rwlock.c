// variants: tsan plain
/* Threads of several participants over one mapping read and write under a read-write lock, in all ways there are. */
#include "rwlock_fixture.h"

#include <pthread.h>

enum { PROCESSES = 3, THREADS = 2 }; /* of each */

static uint64_t data[2]; /* equal, and changed by writers only */
static uint32_t rounds;
static uint64_t done[4];

struct actor {
    aipc_seg *seg;
    struct aipc_rwlock *rw;
    uint32_t random, bell;
    int fd;
    aipc_ctx *ctx;
};

static uint32_t below(struct actor *a, uint32_t n) {
    a->random = a->random * 1664525 + 1013904223;
    return (a->random >> 8) % n;
}

/* False: it has given up. */
static bool acquire_or_give_up(struct actor *a, aipc_rwlock_want want, bool patient) {
    uint32_t node;
    if (want == AIPC_READ && aipc_rwlock_read_fast(a->seg, a->rw)) return true;
    aipc_status status = aipc_rwlock_wait(a->ctx, a->rw, want, a->bell, 1, below(a, 2) == 0, &node);
    while (status == AIPC_AGAIN) {
        if (!patient && below(a, 4) == 0) {
            OK(aipc_rwlock_cancel(a->ctx, a->rw, want, node));
            return false;
        }
        fixture_sleep(a->seg, a->bell, a->fd);
        status = aipc_rwlock_look(a->ctx, a->rw, want, node);
    }
    OK(status);
    (void)__atomic_fetch_add(&done[want], 1, __ATOMIC_RELAXED);
    return true;
}
static void let_go(struct actor *a, aipc_rwlock_want held) {
    if (held != AIPC_READ || !aipc_rwlock_release_read_fast(a->seg, a->rw)) OK(aipc_rwlock_release(a->ctx, a->rw, held));
}

static void read_data(void) { CHECK(data[0] == data[1]); }
static void write_data(void) {
    read_data();
    data[0]++;
    data[1]++;
}

static void read_some(struct actor *a) {
    if (!acquire_or_give_up(a, AIPC_READ, false)) return;
    read_data();
    const aipc_rwlock_want to = below(a, 2) == 0 ? AIPC_WRITE : AIPC_UPGRADABLE;
    if (below(a, 8) != 0 || aipc_rwlock_convert(a->ctx, a->rw, AIPC_READ, to) != AIPC_OK) {
        let_go(a, AIPC_READ);
        return;
    }
    if (to == AIPC_WRITE) write_data();
    else read_data();
    let_go(a, to);
}

static void write_some(struct actor *a) {
    if (!acquire_or_give_up(a, AIPC_WRITE, false)) return;
    write_data();
    if (below(a, 2) == 0) {
        let_go(a, AIPC_WRITE);
        return;
    }
    OK(aipc_rwlock_convert(a->ctx, a->rw, AIPC_WRITE, AIPC_UPGRADABLE));
    read_data();
    OK(aipc_rwlock_convert(a->ctx, a->rw, AIPC_UPGRADABLE, AIPC_READ));
    read_data();
    let_go(a, AIPC_READ);
}

static void upgrade_some(struct actor *a) {
    if (!acquire_or_give_up(a, AIPC_UPGRADABLE, false)) return;
    read_data();
    if (!acquire_or_give_up(a, AIPC_UPGRADE, false)) {
        let_go(a, AIPC_UPGRADABLE);
        return;
    }
    write_data();
    let_go(a, AIPC_WRITE);
}

static void look_around(struct actor *a) {
    static _Thread_local aipc_report report;
    aipc_rwlock_stats stats;
    memset(&report, 0, sizeof report);
    OK(aipc_rwlock_check(a->ctx, a->rw, &report));
    OK(aipc_waits_check(a->ctx, &report));
    CHECK_EQ(report.findings, 0);
    aipc_rwlock_stats_get(a->seg, a->rw, &stats);
    CHECK(!stats.abandoned && stats.my_reads <= 2 * THREADS);
}

static void *hammer(void *arg) {
    const int index = (int)(intptr_t)arg;
    struct actor a = {.seg = &segs[index / THREADS], .rw = rw_at(index / THREADS), .random = (uint32_t)index + 1};
    OK(aipc_bell_take(a.seg, &a.bell, &a.fd));
    for (uint32_t n = 0; n < rounds; n++) {
        a.ctx = enter(a.seg);
        switch (below(&a, 20)) {
        case 0: look_around(&a); break;
        case 1:
        case 2: upgrade_some(&a); break;
        case 3:
        case 4:
        case 5: write_some(&a); break;
        default: read_some(&a);
        }
        aipc_ctx_leave(a.ctx);
    }
    aipc_bell_give_back(a.seg, a.bell);
    return NULL;
}

static void hammer_by_all(bool fair) {
    pthread_t threads[PROCESSES * THREADS];
    rounds = harness_full() ? 50000 : 3000;
    memset(done, 0, sizeof done);
    data[0] = data[1] = 0;
    rw_make(PROCESSES, fair);
    sync_unite();
    for (int i = 0; i < PROCESSES * THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, hammer, (void *)(intptr_t)i) == 0);
    for (int i = 0; i < PROCESSES * THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    fprintf(stderr, "  %" PRIu64 " changes; waited or asked for: %" PRIu64 " reads, %" PRIu64 " writes, %" PRIu64
            " upgradable, %" PRIu64 " upgrades; %u had to wait\n", data[0], done[AIPC_READ], done[AIPC_WRITE],
            done[AIPC_UPGRADABLE], done[AIPC_UPGRADE], rw_at(0)->contended);
    CHECK(data[0] > rounds / 10 && data[0] == data[1]);
    rw_idle();
    sync_divide();
    sync_end();
}

static void writers_first(void) { hammer_by_all(false); }
static void first_come_first_served(void) { hammer_by_all(true); }

int main(void) {
    RUN(writers_first);
    RUN(first_come_first_served);
    return SUMMARY();
}
