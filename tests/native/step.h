/* The instruction sweep: SIGKILL after the n-th machine instruction of the unhooked -O2 core.
 *
 * Hooks act as compiler barriers, so the crash sweep cannot see a store that gcc moved or dropped; this can.
 *
 * A death leaves nothing but what others can see: so a test that names the shared memory (STEP_WATCH) is killed only
 * where that had changed, or after a system call; these are all the deaths there are.  STEP_DEATHS of them are
 * tried, most often that is all; AIPC_TEST_FULL tries every one.  (Clocks and pids make two runs differ: a few
 * deaths may not come.) */
#ifndef AIPC_TEST_STEP_H
#define AIPC_TEST_STEP_H

#include "step_ptrace.h"

#if defined(__x86_64__) && !defined(STEP_BY_PTRACE)
#include "step_trap.h"
enum { STEP_DEATHS = 250 };
#define STEP_WATCH(pointer, bytes) (step_memory.base = (pointer), step_memory.size = (bytes))
static inline bool step_until(const struct scenario *s, uint64_t i) { return trapped_at(s, i); }
static inline uint64_t step_points(const struct scenario *s) { return trapped_points(s); }
static inline uint64_t step_point(uint64_t i) { return step_record->point[i]; }
#else /* every instruction is a point */
enum { STEP_DEATHS = 60 };
#define STEP_WATCH(pointer, bytes) ((void)(pointer), (void)(bytes))
static inline bool step_until(const struct scenario *s, uint64_t i) { return traced_until(s, i + 1) == i + 1; }
static inline uint64_t step_points(const struct scenario *s) { return traced_until(s, UINT64_MAX); }
static inline uint64_t step_point(uint64_t i) { return i + 1; }
#endif

/* Kills run() at sampled (or all) points; returns the number of deaths. */
static inline uint64_t step_sweep(const struct scenario *s) {
    NOTE("counting instructions");
    s->setup(s->ctx);
    const uint64_t points = step_points(s);
    s->survive(s->ctx);

    uint64_t deaths = 0;
    const uint64_t stride = harness_stride(points, STEP_DEATHS);
    for (uint64_t i = 0; i < points; i += stride) {
        NOTE("death after instruction %" PRIu64 ", point %" PRIu64 " of %" PRIu64, step_point(i), i, points);
        s->setup(s->ctx);
        deaths += step_until(s, i);
        s->survive(s->ctx);
    }
    return deaths;
}

#endif
