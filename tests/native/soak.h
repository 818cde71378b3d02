/* The soak: real processes with two threads each do everything there is, and are killed at random instants.
 *
 * One supervisor stays attached, kills, stops and replaces the workers, and checks.  Whatever the instant: nobody
 * hangs, nothing is leaked, nothing damaged, and what the lock protects is torn only when it says `abandoned`. */
#ifndef AIPC_TEST_SOAK_H
#define AIPC_TEST_SOAK_H

#include "segment_fixture.h"

#include "leaks.h"

#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

enum { SOAK_WORKERS = 3, SOAK_THREADS = 2, SOAK_KEPT = 6, SOAK_NAMES = 12, SOAK_SECONDS = 10 };

/* The object all share. */
struct soak_data {
    struct aipc_lock lock;
    volatile uint64_t counter[2]; /* equal, but where an owner died in between */
};

/* Not in the segment: what the supervisor learns of its workers. */
static struct soak_page {
    uint64_t operations, acquired, abandoned, cancelled, attached, no_slot;
} *soak_page;

static aipc_seg soak_seg;   /* the supervisor's */
static aipc_seg soak_other; /* a worker's */
static uint64_t soak_data_at;

typedef struct soak_thread {
    uint64_t random;
    bool locks; /* rather than memory and names, which keep the processors busy */
    uint32_t bell;
    int bell_fd;
    uint64_t kept[SOAK_KEPT], sizes[SOAK_KEPT];
} soak_thread;

static inline uint64_t soak_random(uint64_t *state, uint64_t below) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state % below;
}
#define SOAK_COUNT(what) ((void)__atomic_fetch_add(&soak_page->what, 1, __ATOMIC_RELAXED))

static inline struct soak_data *soak_data_of(aipc_seg *seg) { return (void *)(seg->base + soak_data_at); }

/* ---- what a worker does ---------------------------------------------------------------------------- */

static inline void soak_blocks(aipc_ctx *ctx, soak_thread *t) {
    const uint64_t i = soak_random(&t->random, SOAK_KEPT);
    uint8_t *bytes = ctx->seg->base + t->kept[i];
    if (t->kept[i] != 0) {
        for (uint64_t n = 0; n < t->sizes[i]; n++) CHECK_EQ(bytes[n], (uint8_t)(t->kept[i] >> 4));
        OK(aipc_deallocate(ctx, t->kept[i]));
        t->kept[i] = 0;
        return;
    }
    t->sizes[i] = 1 + soak_random(&t->random, soak_random(&t->random, 8) == 0 ? 6000 : 300);
    const aipc_status status = aipc_owned_allocate(ctx, t->sizes[i], 16, &t->kept[i]);
    if (status != AIPC_OK) {
        t->kept[i] = 0;
        CHECK_EQ(status, AIPC_FULL);
        return;
    }
    memset(ctx->seg->base + t->kept[i], (uint8_t)(t->kept[i] >> 4), t->sizes[i]);
}

static inline void soak_names(aipc_ctx *ctx, soak_thread *t) {
    char name[16];
    const uint64_t which = soak_random(&t->random, SOAK_NAMES);
    snprintf(name, sizeof name, "name %d", (int)which);
    aipc_object_spec spec = {.kind = AIPC_NAMED, .name = name, .name_size = (uint32_t)strlen(name), .type = 107,
                             .size = 8 + which * 40, .count = 1, .initial = NULL};
    aipc_object_ref ref;
    bool created;
    aipc_status status;
    switch (soak_random(&t->random, 3)) {
    case 0:
        status = aipc_find_or_construct(ctx, &spec, &ref, &created);
        CHECK(status == AIPC_OK || status == AIPC_FULL || status == AIPC_NOT_FOUND);
        if (status == AIPC_OK) OK(aipc_unpin(ctx, ctx->seg->slot, ref.holding));
        break;
    case 1:
        status = aipc_construct(ctx, &spec, &ref);
        CHECK(status == AIPC_OK || status == AIPC_FULL || status == AIPC_EXISTS);
        if (status == AIPC_OK) OK(aipc_unpin(ctx, ctx->seg->slot, ref.holding));
        break;
    default:
        status = aipc_find(ctx, spec.kind, name, spec.name_size, &ref);
        CHECK(status == AIPC_OK || status == AIPC_NOT_FOUND);
        if (status == AIPC_OK) status = aipc_destroy(ctx, &ref);
        CHECK(status == AIPC_OK || status == AIPC_NOT_FOUND);
    }
}

/* Reads and writes both words as if time mattered. */
static inline void soak_critical_section(aipc_seg *seg, soak_thread *t) {
    struct soak_data *data = soak_data_of(seg);
    const bool abandoned = (aipc_load_seq_cst64(&data->lock.word) & AIPC_LOCK_ABANDONED) != 0;
    uint64_t count = data->counter[0];
    if (abandoned) {
        SOAK_COUNT(abandoned);
        data->counter[1] = count;
    }
    CHECK_EQ(data->counter[1], count);
    data->counter[0] = ++count;
    if (soak_random(&t->random, 16) == 0) usleep(30); /* others come to wait */
    CHECK_EQ(data->counter[1], count - 1);
    data->counter[1] = count;
    SOAK_COUNT(acquired);
}

static inline void soak_lock(aipc_seg *seg, soak_thread *t) {
    struct aipc_lock *lock = &soak_data_of(seg)->lock;
    uint32_t node;
    aipc_ctx *ctx = enter(seg);
    aipc_status status = aipc_lock_try(seg, lock);
    if (status == AIPC_AGAIN) status = aipc_lock_wait(ctx, lock, t->bell, 1, soak_random(&t->random, 2) == 0, &node);
    const bool patient = soak_random(&t->random, 4) != 0;
    while (status == AIPC_AGAIN) {
        if (patient) {
            fixture_sleep(seg, t->bell, t->bell_fd);
            status = aipc_lock_look(ctx, lock, node);
        } else {
            if (soak_random(&t->random, 2) == 0) sched_yield();
            OK(aipc_lock_cancel(ctx, lock, node));
            aipc_ctx_leave(ctx);
            SOAK_COUNT(cancelled);
            return;
        }
    }
    OK(status);
    soak_critical_section(seg, t);
    if (!aipc_lock_release_fast(seg, lock)) OK(aipc_lock_release_slow(ctx, lock));
    aipc_ctx_leave(ctx);
}

static inline void *soak_work(void *arg) {
    soak_thread *t = arg;
    aipc_seg *seg = &soak_other;
    OK(aipc_bell_take(seg, &t->bell, &t->bell_fd));
    for (uint64_t rounds = 200 + soak_random(&t->random, t->locks ? 3000 : 20000); rounds > 0; rounds--) {
        if (t->locks ? soak_random(&t->random, 4) != 0 : soak_random(&t->random, 500) == 0) {
            soak_lock(seg, t);
        } else {
            aipc_ctx *ctx = enter(seg);
            (soak_random(&t->random, 3) == 0 ? soak_names : soak_blocks)(ctx, t);
            aipc_ctx_leave(ctx);
        }
        SOAK_COUNT(operations);
    }
    aipc_ctx *ctx = enter(seg);
    for (int i = 0; i < SOAK_KEPT; i++)
        if (t->kept[i] != 0) OK(aipc_deallocate(ctx, t->kept[i]));
    aipc_ctx_leave(ctx);
    aipc_bell_give_back(seg, t->bell);
    return NULL;
}

/* AIPC_NO_SLOT: somebody is stopped while he recovers the slot that would be ours. */
static inline void soak_attach(void) {
    for (;;) {
        aipc_segment_init(&soak_other, dup(fixture_fd), "");
        const aipc_status status = aipc_segment_open(&soak_other);
        if (status == AIPC_OK) break;
        if (status != AIPC_NO_SLOT)
            fprintf(stderr, "  open: %s: %" PRIu64 "\n", soak_other.fault.what ? soak_other.fault.what : "", soak_other.fault.found);
        CHECK_EQ(status, AIPC_NO_SLOT);
        SOAK_COUNT(no_slot);
        usleep(1000);
    }
    SOAK_COUNT(attached);
}

_Noreturn static inline void soak_worker(uint64_t seed) {
    for (uint64_t life = 0;; life++) {
        pthread_t threads[SOAK_THREADS];
        soak_thread state[SOAK_THREADS];
        memset(state, 0, sizeof state);
        soak_attach();
        for (int i = 0; i < SOAK_THREADS; i++) {
            state[i].locks = i != 0;
            state[i].random = seed * 2654435761u + life * 97 + (uint64_t)i * 7919 + 1;
            CHECK(pthread_create(&threads[i], NULL, soak_work, &state[i]) == 0);
        }
        for (int i = 0; i < SOAK_THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
        OK(aipc_segment_detach(&soak_other));
    }
}

/* ---- what the supervisor does ------------------------------------------------------------------------ */

static pid_t soak_supervisor;
static inline pid_t soak_start(uint64_t seed) {
    soak_supervisor = getpid();
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* when a check of the supervisor fails */
        if (getppid() != soak_supervisor) _exit(0);
        soak_worker(seed);
    }
    return pid;
}

static inline void soak_check(aipc_report *report) {
    fixture_sound(&soak_seg, report);
}

/* All are dead: what they had is given back to the last byte. */
static inline void soak_check_end(uint64_t blocks) {
    static aipc_report report;
    aipc_heap_stats stats;
    uint32_t recovered;
    aipc_ctx *ctx = enter(&soak_seg);
    OK(aipc_recover_all(ctx, &recovered));
    for (int i = 0; i < SOAK_NAMES; i++) {
        char name[16];
        aipc_object_ref ref;
        snprintf(name, sizeof name, "name %d", i);
        if (aipc_find(ctx, AIPC_NAMED, name, (uint32_t)strlen(name), &ref) == AIPC_OK) OK(aipc_destroy(ctx, &ref));
    }
    OK(aipc_catalog_collect(ctx));
    OK(aipc_heap_stats_get(ctx, &stats));
    aipc_ctx_leave(ctx);
    soak_check(&report);
    CHECK_EQ(stats.used_blocks, blocks);
    CHECK_EQ(report.nodes_waiting, 0);
    CHECK_EQ(report.holdings, 1);
    int unborn = 0; /* see test_recovery.c */
    for (uint32_t i = 0; i < soak_seg.participants; i++)
        unborn += aipc_life_state(soak_seg.slots[i].life) == AIPC_SLOT_FREE && soak_seg.slots[i].bells_made != 0;
    CHECK(leaks_entries(fixture_bells) <= 1 + unborn);
}

static pid_t soak_pids[SOAK_WORKERS];

/* A worker ends by itself only when one of its checks failed. */
static inline void soak_kill(int i) {
    int status;
    CHECK(kill(soak_pids[i], SIGKILL) == 0);
    CHECK_EQ(waitpid(soak_pids[i], &status, 0), soak_pids[i]);
    soak_pids[i] = 0;
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static inline void soak_progress(void) {
    static uint64_t operations, since;
    const uint64_t now = aipc_os_now(), done = __atomic_load_n(&soak_page->operations, __ATOMIC_RELAXED);
    if (done != operations || since == 0) {
        operations = done;
        since = now;
    }
    if (now - since > SOAK_SECONDS * UINT64_C(1000000000)) {
        fprintf(stderr, "  nobody has done anything for %d seconds; lock word %" PRIx64 "\n", SOAK_SECONDS,
                soak_data_of(&soak_seg)->lock.word);
        CHECK(false);
    }
}

/* `taken`: slots that others sit on, so that the workers may have to take over those of the dead. */
static inline void soak(uint64_t kills, uint32_t taken) {
    uint64_t random = 0x5eed5eed5eedu, blocks, stops = 0;
    aipc_seg *others = calloc(taken + 1, sizeof *others);
    static aipc_report report;
    soak_page = mmap(NULL, sizeof *soak_page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(soak_page != MAP_FAILED);
    fixture_create(&soak_seg);
    soak_data_at = (uint64_t)((uint8_t *)fixture_object(&soak_seg, "data", AIPC_TYPE_LOCK, sizeof(struct soak_data)) - soak_seg.base);
    aipc_heap_stats stats;
    aipc_ctx *ctx = enter(&soak_seg);
    OK(aipc_heap_stats_get(ctx, &stats));
    aipc_ctx_leave(ctx);
    blocks = stats.used_blocks;
    for (uint32_t i = 0; i < taken; i++) fixture_attach(&others[i]);

    for (int i = 0; i < SOAK_WORKERS; i++) soak_pids[i] = soak_start((uint64_t)i + 1);
    for (uint64_t n = 0; n < kills; n++) {
        NOTE("kill %" PRIu64, n);
        alarm(100);
        usleep((useconds_t)soak_random(&random, 4000));
        const int i = (int)soak_random(&random, SOAK_WORKERS);
        if (soak_random(&random, 5) == 0) {
            CHECK(kill(soak_pids[i], SIGSTOP) == 0);
            usleep((useconds_t)soak_random(&random, 20000));
            CHECK(kill(soak_pids[i], SIGCONT) == 0);
            stops++;
        }
        soak_kill(i);
        if (soak_random(&random, 8) == 0) { /* two at once */
            const int other = (i + 1) % SOAK_WORKERS;
            soak_kill(other);
            soak_pids[other] = soak_start(random);
            n++;
        }
        soak_pids[i] = soak_start(random);
        soak_progress();
        if (n % 10 == 0) soak_check(&report);
    }
    for (int i = 0; i < SOAK_WORKERS; i++) soak_kill(i);
    for (uint32_t i = 0; i < taken; i++) fixture_detach(&others[i]);
    free(others);
    soak_check_end(blocks);
    fprintf(stderr,
            "  %" PRIu64 " kills, %" PRIu64 " stops: %" PRIu64 " operations, %" PRIu64 " attachments (%" PRIu64
            " had to wait), lock acquired %" PRIu64 " times, %" PRIu64 " of them abandoned, %" PRIu64 " cancelled\n",
            kills, stops, soak_page->operations, soak_page->attached, soak_page->no_slot, soak_page->acquired,
            soak_page->abandoned, soak_page->cancelled);
    CHECK(soak_page->acquired > kills && soak_page->abandoned > 0);
    fixture_detach(&soak_seg);
    fixture_end();
}

#endif
