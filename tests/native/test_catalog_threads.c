// variants: plain tsan
/* Threads over one mapping: readers, constructors, destroyers and the check at the same time.  What is found is whole,
 * what is pinned stays, and the check never cries wolf. */
#include "catalog_fixture.h"

#include <pthread.h>

enum { NAMES = 24, READERS = 2, WRITERS = 3 };

static uint32_t stop;
static uint64_t operations[READERS + WRITERS + 1];

typedef struct worker {
    uint64_t random;
    aipc_ctx *ctx;
    int index;
} worker;

static uint64_t dice(worker *w, uint64_t n) {
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (w->random >> 33) % n;
}

/* Every payload repeats the object's number, as many times as its size says. */
enum { LARGEST = 40 };
static aipc_object_spec spec_for(worker *w, uint64_t number, char *name, uint64_t *bytes) {
    snprintf(name, 16, "object%" PRIu64, number);
    aipc_object_spec spec = spec_of(name, 8 * (1 + dice(w, LARGEST)));
    spec.type = number;
    spec.count = (uint32_t)(spec.size / 8);
    for (uint64_t i = 0; i < spec.count; i++) bytes[i] = number;
    spec.initial = bytes;
    return spec;
}

static void check_ref(const aipc_object_ref *ref, uint64_t number) {
    CHECK_EQ(ref->type, number);
    CHECK_EQ(ref->size, ref->count * 8);
    CHECK_EQ(ref->kind, AIPC_NAMED);
}

static void check_payload(const aipc_object_ref *ref, uint64_t number) {
    const uint64_t *words = (const uint64_t *)(const void *)(seg.base + ref->payload);
    for (uint64_t i = 0; i < ref->count; i++) CHECK_EQ(words[i], number);
}

static void read_one(worker *w) {
    aipc_object_ref ref;
    char name[16];
    const uint64_t number = dice(w, NAMES);
    snprintf(name, sizeof name, "object%" PRIu64, number);
    aipc_status status = find_as(w->ctx, name, &ref);
    if (status == AIPC_OK) {
        check_ref(&ref, number);
        if (dice(w, 2) == 0) return;
        status = aipc_pin(w->ctx, &ref); /* often of one that was destroyed a moment ago */
        if (status == AIPC_OK) {
            check_payload(&ref, number);
            CHECK_EQ(unpin_as(w->ctx, &ref), AIPC_OK);
        }
    }
    CHECK(status == AIPC_OK || status == AIPC_NOT_FOUND);
}

static void write_one(worker *w) {
    aipc_object_ref ref;
    char name[16];
    uint64_t bytes[LARGEST];
    bool created;
    const aipc_object_spec spec = spec_for(w, dice(w, NAMES), name, bytes);
    switch (dice(w, 3)) {
    case 0: {
        const aipc_status status = aipc_construct(w->ctx, &spec, &ref);
        CHECK(status == AIPC_OK || status == AIPC_EXISTS);
        if (status == AIPC_OK) CHECK_EQ(unpin_as(w->ctx, &ref), AIPC_OK);
        break;
    }
    case 1:
        CHECK_EQ(aipc_find_or_construct(w->ctx, &spec, &ref, &created), AIPC_OK);
        check_ref(&ref, spec.type);
        check_payload(&ref, spec.type);
        CHECK_EQ(unpin_as(w->ctx, &ref), AIPC_OK);
        break;
    default: {
        aipc_status status = find_as(w->ctx, name, &ref);
        if (status == AIPC_OK) status = aipc_destroy(w->ctx, &ref);
        CHECK(status == AIPC_OK || status == AIPC_NOT_FOUND);
    }
    }
}

/* The check rereads blocks that may be freed meanwhile, and throws away what it read then (catalog_check.c, phase
 * 3): right, but a race to TSan where such a block has become somebody's payload. */
static void check_one(worker *w) {
#ifdef __SANITIZE_THREAD__
    const aipc_list list = list_as(w->ctx, NULL);
    const aipc_listed *at = list.room;
    for (uint64_t i = 0; i < list.objects; i++, at = listed_next(at)) {
        const aipc_object_ref ref = ref_of(at);
        check_ref(&ref, ref.type);
    }
#else
    sound_as(w->ctx);
#endif
}

static void *work(void *argument) {
    worker *w = argument;
    void (*step)(worker *) = w->index < READERS ? read_one : w->index < READERS + WRITERS ? write_one : check_one;
    while (aipc_load_relaxed32(&stop) == 0) {
        step(w);
        operations[w->index]++;
    }
    return NULL;
}

static void what_is_found_is_whole_and_what_is_pinned_stays(void) {
    enum { ALL = READERS + WRITERS + 1 };
    fixture_make(1 << 18);
    pthread_t threads[ALL];
    worker workers[ALL];
    for (int i = 0; i < ALL; i++) {
        workers[i] = (worker){.index = i, .random = (uint64_t)i * 7919 + 1};
        CHECK_EQ(aipc_ctx_enter(&seg, &workers[i].ctx), AIPC_OK);
        CHECK_EQ(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    usleep(harness_full() ? 20000000 : 2000000);
    aipc_store_relaxed32(&stop, 1);
    for (int i = 0; i < ALL; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
        CHECK(no_orphans(workers[i].ctx));
        CHECK(operations[i] > 0);
        fprintf(stderr, "   %" PRIu64 " %s\n", operations[i], i < READERS ? "reads" : i < READERS + WRITERS ? "changes" : "checks");
        aipc_ctx_leave(workers[i].ctx);
    }
    destroy_all_as(ctx);
    check_empty();
    fixture_drop();
}

int main(void) {
    RUN(what_is_found_is_whole_and_what_is_pinned_stays);
    return SUMMARY();
}
