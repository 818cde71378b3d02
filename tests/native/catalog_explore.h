/* Every interleaving of operations of the catalog in one process: what the explorers of the catalog share. */
#ifndef AIPC_TEST_CATALOG_EXPLORE_H
#define AIPC_TEST_CATALOG_EXPLORE_H

#define aipc_hook explore_hook /* ours comes first: it looks at what the reader is about to read */
#include "explore.h"
#undef aipc_hook
#include "catalog_fixture.h"

#include <sched.h>

enum { SIZE = 1 << 16, READER = 0 };

static uint8_t *pristine;    /* the segment before each schedule */
static aipc_ctx *contexts[3];
static aipc_status status[3];
static aipc_object_ref refs[3], victim;
static bool created[3];
static uint64_t old_table;

/* Memory the reader must not touch any more: what has been freed. */
static struct {
    uint64_t from, to;
} freed[2];
static bool touched;

void aipc_hook(enum aipc_hook_kind kind, const volatile void *word) {
    explorer.run_length = 0; /* long, but no spin: nobody's turn is to end by force */
    explore_hook(kind, word);
    if (explorer.current != READER || kind != AIPC_HOOK_LOAD) return;
    const uint64_t at = (uint64_t)((const volatile uint8_t *)word - seg.base);
    for (int i = 0; i < 2; i++)
        if (at >= freed[i].from && at < freed[i].to) touched = true;
}

static aipc_status wait_for_change(aipc_seg *s, const uint32_t *word, uint32_t seen) {
    (void)s;
    /* As a futex: not when the word has changed already. */
    if (explorer.current >= 0 && *(const volatile uint32_t *)word == seen) explore_wait();
    return AIPC_OK;
}

static void note_freed(int i, uint64_t block, uint64_t size) {
    uint64_t usable;
    uint32_t flags;
    const int current = explorer.current; /* our own looking is not part of the schedule */
    explorer.current = -1;
    if (aipc_heap_size_of(&seg, block, &usable, &flags) != AIPC_OK) {
        freed[i].from = block;
        freed[i].to = block + size;
    }
    explorer.current = current;
}

static void reset(void *unused) {
    (void)unused;
    memcpy(seg.base, pristine, SIZE);
    memset(status, 0xff, sizeof status);
    memset(freed, 0, sizeof freed);
    memset(created, 0, sizeof created);
    touched = false;
}

static void begin(int names) {
    fixture_make(SIZE);
    seg.idle = wait_for_change;
    char name[16];
    for (int i = 0; i < names; i++) {
        snprintf(name, sizeof name, "base%d", i);
        make(name, 8);
    }
    make("x", 8);
    victim = find("x");
    old_table = seg.catalog->table;
    contexts[0] = ctx;
    for (int i = 1; i < 3; i++) CHECK_EQ(aipc_ctx_enter(&seg, &contexts[i]), AIPC_OK);
    pristine = malloc(SIZE);
    memcpy(pristine, seg.base, SIZE);
}

static void end(void) {
    reset(NULL);
    free(pristine);
    for (int i = 1; i < 3; i++) aipc_ctx_leave(contexts[i]);
    fixture_drop();
}

static struct explored all_schedules(int threads, void (*body)(int, void *), bool (*holds)(void *)) {
    const struct exploration plan = {.threads = threads, .preemptions = harness_full() ? 3 : 2,
                                     .max_schedules = harness_full() ? 1000000 : 60000,
                                     .reset = reset, .body = body, .holds = holds};
    const struct explored e = explore(&plan);
    fprintf(stderr, "   %" PRIu64 " schedules%s\n", e.schedules, e.complete ? "" : ", not all");
    return e;
}

static void check_holds(struct explored e) {
    if (e.violation != NULL) fprintf(stderr, "  %s in schedule %s\n", e.violation, e.schedule);
    CHECK(e.violation == NULL);
}

/* After each schedule, as one process: is everything sound and nothing left over? */
static bool sound_and_tidy(void) {
    static aipc_report report;
    report = (aipc_report){0};
    (void)aipc_catalog_collect(ctx);
    if (aipc_heap_check(ctx, &report) != AIPC_OK || aipc_catalog_check(ctx, &report) != AIPC_OK) return false;
    for (int i = 0; i < 3; i++)
        if (!no_orphans(contexts[i])) return false;
    return report.findings == 0;
}

/* One processor: a lock that is taken is waited for at once, instead of spun on for 200 accesses. */
static inline void on_one_processor(void) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
}

#endif
