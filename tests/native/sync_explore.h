/* Every interleaving, within a bound, of what two or three participants do with one small object (sync_fixture.h).
 * Each schedule starts from a copy of the segment's bytes and of the attachments. */
#ifndef AIPC_TEST_SYNC_EXPLORE_H
#define AIPC_TEST_SYNC_EXPLORE_H

#include "sync_fixture.h"

#include "explore.h"

#include <sched.h>

static aipc_seg sync_saved_segs[SYNC_MANY];
static uint8_t *sync_saved;
static int sync_threads; /* of the exploration under way */

/* A futex: nothing comes between the comparison and the sleep. */
static inline aipc_status sync_idle(aipc_seg *seg, const uint32_t *word, uint32_t value) {
    (void)seg;
    if (explorer.current < 0) return AIPC_OK;
    if (aipc_load_relaxed32(word) == value) explore_wait_on(word);
    return AIPC_OK;
}

/* Saves the present state as that in which every schedule starts. */
static inline void sync_save(void) {
    sync_saved = realloc(sync_saved, fixture_size);
    memcpy(sync_saved, segs[0].base, fixture_size);
    memcpy(sync_saved_segs, segs, sizeof segs);
}

/* After sync_make: one mapping, write ends opened, state saved. */
static inline void sync_stage(void) {
    for (int i = 0; i < sync_count; i++) segs[i].idle = sync_idle;
    sync_unite();
    for (int i = 0; i < sync_count; i++) /* schedules must not open them */
        for (int j = 0; j < sync_count; j++) {
            (void)aipc_bell_arm(&segs[j], bell[j]);
            aipc_bell_ring_all(&segs[i]);
        }
    sync_hush();
    sync_save();
}

static inline void sync_reset(void *arg) {
    (void)arg;
    memcpy(segs[0].base, sync_saved, fixture_size);
    memcpy(segs, sync_saved_segs, sizeof segs);
    for (int i = 0; i < sync_count; i++) aipc_os_drain(bell_fd[i]);
}

/* In place of sync_end. */
static inline void sync_unstage(void) {
    sync_reset(NULL);
    for (int i = 0; i < sync_count; i++) segs[i].idle = NULL;
    sync_divide();
    sync_leave();
    fixture_end();
}

/* In a thread of the exploration. */
static inline void explored_sleep(int i) {
    if (!aipc_bell_arm(&segs[i], bell[i]))
        while (aipc_os_poll2(bell_fd[i], -1, 0) != AIPC_OK) explore_wait();
    aipc_os_drain(bell_fd[i]);
    aipc_bell_woken(&segs[i], bell[i]);
    (void)sync_collect(i);
}

/* What is true after every schedule: no node is left, and the check of `object_check` finds nothing. */
static inline bool sync_tidy(aipc_status (*object_check)(aipc_ctx *ctx, aipc_report *report)) {
    explorer.current = -1;
    sync_report = (aipc_report){0};
    return aipc_waits_check(ctxs[0], &sync_report) == AIPC_OK && object_check(ctxs[0], &sync_report) == AIPC_OK &&
           sync_report.findings == 0 && sync_report.nodes_waiting == 0;
}

/* In the long form one preemption more, and fifty times as many schedules. */
static inline struct explored sync_explore(const char *what, struct exploration plan) {
    plan.preemptions += harness_full();
    if (plan.max_schedules == 0) plan.max_schedules = harness_full() ? 400000 : 20000;
    if (plan.reset == NULL) plan.reset = sync_reset;
    sync_threads = plan.threads;
    const struct explored result = explore(&plan);
    fprintf(stderr, "  %-40s %7" PRIu64 " schedules, %d preemptions%s%s%s\n", what, result.schedules, plan.preemptions,
            result.complete ? ", all" : "", result.violation ? ": " : "", result.violation ? result.violation : "");
    return result;
}
static inline void holds(const char *what, struct exploration plan) {
    const struct explored result = sync_explore(what, plan);
    if (result.violation != NULL) fprintf(stderr, "  %s\n", result.schedule);
    CHECK(result.violation == NULL);
}
static inline void fails(const char *what, const char *violation, struct exploration plan) {
    const struct explored result = sync_explore(what, plan);
    CHECK(result.violation != NULL && strcmp(result.violation, violation) == 0);
}

/* Before all: spinning before sleeping is nothing to explore. */
static inline void sync_one_processor(void) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
}

#endif
