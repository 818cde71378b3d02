/* The crash sweep: SIGKILL before the k-th atomic access or system call, for every k.
 *
 * For a program built with AIPC_HOOK.  A child runs the scenario and kills itself inside aipc_hook(); the
 * test process then survives.  A load before the fatal point changes nothing that others see, so loads are
 * not counted unless crash_kinds says so. */
#ifndef AIPC_TEST_CRASH_H
#define AIPC_TEST_CRASH_H

#include "atomics.h"
#include "harness.h"

#include <sys/mman.h>

enum { CRASH_WRITES = 1 << AIPC_HOOK_STORE | 1 << AIPC_HOOK_RMW | 1 << AIPC_HOOK_SYSCALL };

static int crash_kinds = CRASH_WRITES;
static uint64_t crash_at; /* die before this point; 0 while nothing is counted */
static uint64_t *crash_passed; /* points passed by the latest child; shared with it */
static void (*crash_other)(enum aipc_hook_kind); /* what else a test does at each point */
static uint64_t crash_budget = 2000;             /* points tried by a sweep; all in the full form */
static uint64_t crash_nested_budget = 40;        /* points tried at each level of a nested sweep */

void aipc_hook(enum aipc_hook_kind kind, const volatile void *word) {
    (void)word;
    if (crash_other != NULL) crash_other(kind);
    if (crash_at != 0 && (crash_kinds & 1 << kind) != 0 && ++*crash_passed == crash_at) {
        kill(getpid(), SIGKILL);
    }
}

/* Runs `body` in a child killed before its k-th point; false when it ended before that. */
static inline bool crash_child(void (*enter)(void *), void (*body)(void *), void *ctx, uint64_t k) {
    if (crash_passed == NULL) {
        crash_passed = mmap(NULL, sizeof *crash_passed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(crash_passed != MAP_FAILED);
    }
    *crash_passed = 0;
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        if (enter != NULL) enter(ctx);
        crash_at = k;
        body(ctx);
        _exit(0);
    }
    return harness_was_killed(pid);
}

/* How many points an undisturbed run has. */
static inline uint64_t crash_points(const struct scenario *s) {
    NOTE("no death");
    s->setup(s->ctx);
    CHECK(!crash_child(s->enter, s->run, s->ctx, UINT64_MAX));
    const uint64_t points = *crash_passed;
    s->survive(s->ctx);
    return points;
}

/* Kills run() at every point; returns the number of deaths. */
static inline uint64_t crash_sweep(const struct scenario *s) {
    const uint64_t stride = harness_stride(crash_points(s), crash_budget);
    uint64_t deaths = 0;
    bool died = true;
    for (uint64_t k = 1; died; k += stride) {
        NOTE("death at point %" PRIu64, k);
        s->setup(s->ctx);
        died = crash_child(s->enter, s->run, s->ctx, k);
        deaths += died;
        s->survive(s->ctx);
    }
    return deaths;
}

/* run() killed at its k-th point, the recovering survive() at its j-th, then a last survive().  Says which
 * of the two died. */
static inline void crash_pair(const struct scenario *s, uint64_t k, uint64_t j, bool *died, bool *recoverer_died) {
    NOTE("death at point %" PRIu64 ", recoverer's at %" PRIu64, k, j);
    s->setup(s->ctx);
    *died = crash_child(s->enter, s->run, s->ctx, k);
    *recoverer_died = crash_child(NULL, s->survive, s->ctx, j);
    s->survive(s->ctx);
}

/* Kills run() at every point, and after each of these deaths its recoverer at every point; returns the
 * number of recoverers that died. */
static inline uint64_t crash_sweep_nested(const struct scenario *s) {
    const uint64_t stride = harness_stride(crash_points(s), crash_nested_budget);
    uint64_t deaths = 0;
    bool died = true, recoverer_died;
    for (uint64_t k = 1; died; k += stride) {
        crash_pair(s, k, UINT64_MAX, &died, &recoverer_died);
        const uint64_t inner_stride = harness_stride(*crash_passed, crash_nested_budget);
        recoverer_died = true;
        for (uint64_t j = 1; recoverer_died; j += inner_stride) {
            crash_pair(s, k, j, &died, &recoverer_died);
            deaths += recoverer_died;
        }
    }
    return deaths;
}

/* The same where every pair of points would take days: about `budget` at each level, from all over. */
static inline uint64_t crash_sweep_pairs(const struct scenario *s, uint64_t budget) {
    const uint64_t stride = crash_points(s) / budget + 1;
    uint64_t deaths = 0;
    bool died = true, recoverer_died;
    for (uint64_t k = 1 + stride / 2; died; k += stride) {
        crash_pair(s, k, UINT64_MAX, &died, &recoverer_died);
        const uint64_t inner_stride = *crash_passed / budget + 1;
        recoverer_died = true;
        for (uint64_t j = 1 + (k * 7) % inner_stride; recoverer_died; j += inner_stride) {
            crash_pair(s, k, j, &died, &recoverer_died);
            deaths += recoverer_died;
        }
    }
    return deaths;
}

#endif
