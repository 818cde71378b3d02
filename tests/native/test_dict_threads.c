// variants: plain asan tsan
/* Threads over one mapping: readers, iterators, writers and a clearer at the same time; then readers beside a writer
 * that is stopped while it holds the lock.  What is found is whole, and what is never deleted is always found. */
#include "dict_fixture.h"

#include "leaks.h"

#include <pthread.h>

enum { KEYS = 300, LASTING = 50, READERS = 2, WALKERS = 1, WRITERS = 3, ALL = READERS + WALKERS + WRITERS };

static uint32_t stop;
static uint64_t operations[ALL];

typedef struct worker {
    uint64_t random;
    aipc_ctx *ctx;
    int index;
} worker;

static uint64_t dice(worker *w, uint64_t n) {
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (w->random >> 33) % n;
}

static const char *name_of(uint64_t i, char *name) {
    snprintf(name, 32, i < LASTING ? "lasting %" PRIu64 : "key %" PRIu64, i);
    return name;
}

/* A value begins with its key's number, is as long as its second byte says, and repeats itself. */
static void check_value(const aipc_dict_found *f, uint64_t i) {
    CHECK(f->value_size >= 2);
    CHECK_EQ(f->value[0], (uint8_t)i);
    CHECK_EQ(f->value_size, 2u + f->value[1]);
    for (uint64_t at = 2; at < f->value_size; at++) CHECK_EQ(f->value[at], (uint8_t)(f->value[0] ^ f->value[1]));
}
static void fill(aipc_dict_draft *draft, uint64_t i, uint64_t more) {
    memset(draft->value, (int)((i & 0xff) ^ more), 2 + more);
    draft->value[0] = (uint8_t)i;
    draft->value[1] = (uint8_t)more;
}

static aipc_status put(worker *w, uint64_t i) {
    char name[32];
    const aipc_dict_key key = key_named(w->ctx, name_of(i, name));
    const uint64_t more = dice(w, 200);
    aipc_dict_draft draft;
    aipc_dict_found found;
    CHECK_EQ(aipc_dict_draft_make(w->ctx, dict, &key, name, 1, 2 + more, &draft), AIPC_OK);
    fill(&draft, i, more);
    const aipc_dict_mode mode = (aipc_dict_mode)dice(w, 3);
    const aipc_status status = aipc_dict_put(w->ctx, dict, &draft, mode, 0, &found, NULL);
    if (status == AIPC_EXISTS) check_value(&found, i);
    aipc_dict_done(w->ctx);
    CHECK(status == AIPC_OK || (status == AIPC_EXISTS && mode == AIPC_DICT_ABSENT) ||
          (status == AIPC_NOT_FOUND && mode == AIPC_DICT_PRESENT));
    CHECK_EQ(aipc_dict_discard(w->ctx, &draft), AIPC_OK);
    return status;
}

static void read_one(worker *w) {
    char name[32];
    aipc_dict_found found;
    const uint64_t i = dice(w, 2) == 0 ? dice(w, LASTING) : dice(w, KEYS);
    const aipc_status status = get_as(w->ctx, dict, name_of(i, name), &found);
    CHECK(status == AIPC_OK || (status == AIPC_NOT_FOUND && i >= LASTING));
    if (status != AIPC_OK) return;
    check_value(&found, i);
    uint32_t pin;
    if (dice(w, 8) == 0 && aipc_value_pin(&seg, found.entry, &pin) == AIPC_OK) {
        aipc_dict_done(w->ctx);
        sched_yield();
        check_value(&found, i);
        aipc_value_unpin(&seg, pin);
    }
    aipc_dict_done(w->ctx);
}

static void walk(worker *w) {
    aipc_dict_cursor cursor = {0};
    aipc_dict_found found;
    aipc_status status;
    uint64_t lasting = 0, last = 0;
    const bool forward = dice(w, 2) == 0;
    while ((status = (forward ? aipc_dict_next : aipc_dict_prev)(w->ctx, dict, &cursor, &found)) == AIPC_OK) {
        CHECK(last == 0 || (forward ? found.serial > last : found.serial < last));
        last = found.serial;
        CHECK(found.key_size >= 5 && found.original_size == 1 && found.original[0] == found.key[0]);
        lasting += found.key[0] == 'l';
        check_value(&found, found.value[0]);
    }
    CHECK_EQ(status, AIPC_NOT_FOUND);
    CHECK_EQ(lasting, LASTING);
}

static void write_one(worker *w) {
    char name[32];
    aipc_dict_found found;
    const uint64_t i = dice(w, KEYS);
    if (i < LASTING || dice(w, 5) < 3) {
        put(w, i);
    } else {
        const aipc_dict_key key = key_named(w->ctx, name_of(i, name));
        const aipc_status status = aipc_dict_delete(w->ctx, dict, &key, 0, &found);
        CHECK(status == AIPC_OK || status == AIPC_NOT_FOUND);
        if (status == AIPC_OK) check_value(&found, i);
        aipc_dict_done(w->ctx);
    }
}

static void *work(void *argument) {
    worker *w = argument;
    void (*step)(worker *) = w->index < READERS ? read_one : w->index < READERS + WALKERS ? walk : write_one;
    while (aipc_load_relaxed32(&stop) == 0) {
        step(w);
        operations[w->index]++;
    }
    return NULL;
}

static void run_threads(void) {
    pthread_t threads[ALL];
    worker workers[ALL];
    stop = 0;
    for (int i = 0; i < ALL; i++) {
        workers[i] = (worker){.index = i, .random = (uint64_t)i * 7919 + 1};
        CHECK_EQ(aipc_ctx_enter(&seg, &workers[i].ctx), AIPC_OK);
        CHECK_EQ(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    usleep(harness_full() ? 20000000 : 1500000);
    aipc_store_relaxed32(&stop, 1);
    for (int i = 0; i < ALL; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
        CHECK(no_orphans(workers[i].ctx));
        CHECK(operations[i] > 0);
        fprintf(stderr, "   %" PRIu64 " %s\n", operations[i],
                i < READERS ? "reads" : i < READERS + WALKERS ? "walks" : "changes");
        aipc_ctx_leave(workers[i].ctx);
    }
}

static void what_is_found_is_whole_and_what_lasts_is_found(void) {
    dict_make(1 << 20);
    worker self = {.ctx = ctx, .random = 5};
    for (uint64_t i = 0; i < LASTING; i++)
        while (put(&self, i) != AIPC_OK) {}
    run_threads();
    fprintf(stderr, "   %" PRIu64 " rebuilds\n", dict->rebuilds);
    CHECK(dict->rebuilds > 5);
    CHECK_EQ(aipc_dict_collect(ctx, dict), AIPC_OK);
    dict_sound_as(ctx, dict);
    dict_walk_agrees(ctx, dict);
    dict_drop();
}

/* ---- clearing under everybody's feet ----------------------------------------------------------- */
static void *clear_and_fill(void *argument) {
    worker *w = argument;
    aipc_dict_found found;
    char name[32];
    while (aipc_load_relaxed32(&stop) == 0) {
        if (w->index == 0) {
            CHECK_EQ(aipc_dict_clear(w->ctx, dict), AIPC_OK);
        } else if (w->index == 1) {
            const uint64_t i = dice(w, KEYS);
            if (get_as(w->ctx, dict, name_of(i, name), &found) == AIPC_OK) check_value(&found, i);
            aipc_dict_done(w->ctx);
        } else if (dice(w, 50) == 0) {
            aipc_dict_cursor cursor = {0};
            while (aipc_dict_next(w->ctx, dict, &cursor, &found) == AIPC_OK) check_value(&found, found.value[0]);
        } else {
            put(w, dice(w, KEYS));
        }
        operations[w->index]++;
        if (w->index == 0) usleep(200);
    }
    return NULL;
}

static void a_clear_harms_nobody(void) {
    enum { THREADS = 4 };
    dict_make(1 << 20);
    pthread_t threads[THREADS];
    worker workers[THREADS];
    stop = 0;
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){.index = i, .random = (uint64_t)i * 7919 + 1};
        CHECK_EQ(aipc_ctx_enter(&seg, &workers[i].ctx), AIPC_OK);
        CHECK_EQ(pthread_create(&threads[i], NULL, clear_and_fill, &workers[i]), 0);
    }
    usleep(harness_full() ? 20000000 : 1000000);
    aipc_store_relaxed32(&stop, 1);
    for (int i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
        aipc_ctx_leave(workers[i].ctx);
    }
    CHECK_EQ(aipc_dict_clear(ctx, dict), AIPC_OK);
    dict_sound_as(ctx, dict);
    CHECK_EQ(used_blocks(ctx), 3);
    dict_drop();
}

/* ---- a stopped writer -------------------------------------------------------------------------- */
static void readers_go_on_while_a_writer_is_stopped_in_the_lock(void) {
    dict_make(1 << 20);
    worker self = {.ctx = ctx, .random = 5};
    for (uint64_t i = 0; i < KEYS; i++)
        while (put(&self, i) != AIPC_OK) {}
    uint32_t *words = shared_words();
    const pid_t pid = fork();
    if (pid == 0) {
        static aipc_seg own;
        aipc_ctx *c;
        aipc_object_ref ref;
        aipc_segment_init(&own, dup(fixture_fd), "");
        CHECK_EQ(aipc_segment_open(&own), AIPC_OK);
        CHECK_EQ(aipc_ctx_enter(&own, &c), AIPC_OK);
        struct aipc_dict *d = dict_open(c, &ref);
        CHECK_EQ(aipc_domain_lock(c, &d->domain), AIPC_OK);
        shared_set(&words[0], 1);
        raise(SIGSTOP);
        _exit(0);
    }
    shared_wait(&words[0], 1);
    siginfo_t info;
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT), 0);

    seg.stall_ns = 20000000;
    char name[32];
    aipc_dict_found found;
    for (uint64_t i = 0; i < KEYS; i++) {
        CHECK_EQ(get_as(ctx, dict, name_of(i, name), &found), AIPC_OK);
        check_value(&found, i);
        aipc_dict_done(ctx);
    }
    CHECK_EQ(get_as(ctx, dict, "missing", &found), AIPC_NOT_FOUND);
    dict_walk_agrees(ctx, dict);
    CHECK_EQ(set_as(ctx, dict, "key 3", 8, 1), AIPC_STALLED); /* and a writer is told, in time */
    CHECK_EQ(seg.fault.pid, pid);
    CHECK_EQ(aipc_dict_clear(ctx, dict), AIPC_STALLED);

    CHECK_EQ(kill(pid, SIGKILL), 0);
    CHECK(harness_was_killed(pid));
    CHECK_EQ(set_as(ctx, dict, "key 3", 8, 1), AIPC_OK);
    dict_sound_as(ctx, dict);
    dict_drop();
}

int main(void) {
    RUN(readers_go_on_while_a_writer_is_stopped_in_the_lock);
    RUN(what_is_found_is_whole_and_what_lasts_is_found);
    RUN(a_clear_harms_nobody);
    return SUMMARY();
}
