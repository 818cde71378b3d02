/* The scenarios of segment_deaths.h, one machine instruction at a time. */
#ifndef AIPC_TEST_SEGMENT_STEP_H
#define AIPC_TEST_SEGMENT_STEP_H

#include "segment_deaths.h"
#include "step.h"

static const struct scenario *segment_stepped;
static aipc_seg *segment_viewed;
static uint8_t *segment_view;

/* Who leaves unmaps the segment; the sweep goes on looking. */
static inline void segment_enter(void *arg) {
    if (segment_stepped->enter != NULL) segment_stepped->enter(arg);
    segment_view = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, segment_viewed->fd, 0);
    CHECK(segment_view != MAP_FAILED);
}

/* The sweep watches the memory of `seg`, which exists when `s` has entered. */
static inline void segment_step_sweep(const char *what, const struct scenario *s, aipc_seg *seg) {
    struct scenario viewed = *s;
    viewed.enter = segment_enter;
    segment_stepped = s;
    segment_viewed = seg;
    STEP_WATCH(&segment_view, SIZE);
    const uint64_t deaths = step_sweep(&viewed);
    fprintf(stderr, "  %-12s %4" PRIu64 " deaths\n", what, deaths);
    CHECK(deaths > 10);
    if (A.base != NULL) fixture_detach(&A);
    forget_segment();
}

#endif
