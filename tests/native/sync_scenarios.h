/* Things done to a semaphore, a limiter and an event that may be killed at any point, and what must be true of them then:
 * no permit is lost or doubled, a dead participant has borrowed nothing, nobody is left in a line, and what is there can be
 * had.
 *
 * What a process is about to do, and what it has done, it writes down in memory that all of them share; so the survivor
 * knows what may have happened. */
#ifndef AIPC_TEST_SYNC_SCENARIOS_H
#define AIPC_TEST_SYNC_SCENARIOS_H

#include "sync_fixture.h"

#include "types.h"

static struct scenario_page {
    uint64_t sure, open; /* permits there are, and one more or less */
    uint64_t set;        /* times the event was set, at least */
} *page;

static inline void begin_page(uint64_t permits) {
    if (page == NULL) {
        page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(page != MAP_FAILED);
    }
    *page = (struct scenario_page){.sure = permits};
}

static inline void come_two(void *arg) { (void)arg; sync_join(2); }

/* Nothing of the dead is left; whoever comes finds an empty line. */
static inline void survive_in(struct aipc_line *line) {
    sync_sound();
    CHECK_EQ(sync_report.nodes_waiting, 0);
    CHECK_EQ(line->queue.length, 0);
    CHECK_EQ(aipc_line_reserved(line, AIPC_NO_NODE), 0);
}

/* ---- semaphore ------------------------------------------------------------------------------------- */

static inline struct aipc_semaphore *semaphore(int i) { return sync_at(i); }

static inline void begin_semaphore(uint64_t value) {
    struct aipc_semaphore image;
    aipc_semaphore_init(&image, value, 10);
    begin_page(value);
    sync_make(1, AIPC_TYPE_SEMAPHORE, &image, sizeof image, sizeof image);
    sync_leave();
}
static inline void begin_empty(void *arg) { (void)arg; begin_semaphore(0); }
static inline void begin_full(void *arg) { (void)arg; begin_semaphore(3); }

static inline aipc_status take_permit(int i, uint32_t node) {
    page->open = 1;
    const aipc_status status = aipc_semaphore_try(semaphore(i), node);
    if (status == AIPC_OK) page->sure--;
    page->open = 0;
    return status;
}
static inline void add_permits(int i, uint32_t count) {
    page->open = count;
    OK(aipc_semaphore_add(semaphore(i), count));
    page->sure += count;
    page->open = 0;
    if (aipc_line_asleep(&semaphore(i)->line)) OK(aipc_line_wake(ctxs[i], &semaphore(i)->line, count));
}
static inline uint32_t stand_in(struct aipc_line *line, int i) {
    uint32_t node;
    OK(aipc_line_stand(ctxs[i], line, bell[i], 1, &node));
    return node;
}

/* Waits, is woken in vain, waits on, gets it, gives up, all in order. */
static void run_semaphore(void *arg) {
    (void)arg;
    struct aipc_line *line = &semaphore(1)->line;
    uint32_t first = stand_in(line, 1), second = stand_in(line, 1), third;
    CHECK_EQ(take_permit(1, first), AIPC_AGAIN);
    sync_age(1, first);
    add_permits(0, 1);
    (void)sync_collect(1);
    CHECK_EQ(take_permit(1, second), AIPC_AGAIN);
    OK(aipc_line_again(ctxs[1], line, second));
    OK(aipc_semaphore_stand(ctxs[0], semaphore(0), bell[0], 1, &third)); /* wakes the first once more */
    OK(take_permit(1, first));
    OK(aipc_semaphore_leave(ctxs[1], semaphore(1), first));
    add_permits(0, 2);
    OK(aipc_semaphore_leave(ctxs[1], semaphore(1), second)); /* gives up */
    OK(aipc_semaphore_leave(ctxs[0], semaphore(0), third));
}
static void run_permits(void *arg) {
    (void)arg;
    OK(take_permit(0, AIPC_NO_NODE));
    OK(take_permit(1, AIPC_NO_NODE));
    add_permits(1, 2);
    CHECK_EQ(aipc_semaphore_add(semaphore(0), 8), AIPC_INVALID);
}

static void survive_semaphore(void *arg) { /* and may be killed too */
    (void)arg;
    sync_join(2);
    survive_in(&semaphore(0)->line);
    const uint64_t value = semaphore(0)->value;
    CHECK(value + page->open >= page->sure && value <= page->sure + page->open);
    page->sure = value;
    page->open = 0;
    uint32_t node = stand_in(&semaphore(0)->line, 0);
    for (uint64_t n = 0; n < value; n++) OK(take_permit(0, node));
    CHECK_EQ(take_permit(0, node), AIPC_AGAIN);
    add_permits(1, 1);
    CHECK_EQ(sync_collect(0), 1);
    OK(take_permit(0, node));
    OK(aipc_semaphore_leave(ctxs[0], semaphore(0), node));
    CHECK_EQ(semaphore(0)->value, 0);
    sync_leave();
}

/* ---- limiter --------------------------------------------------------------------------------------- */

static inline struct aipc_limiter *limiter(int i) { return sync_at(i); }

static void begin_limiter(void *arg) {
    (void)arg;
    struct aipc_limiter image;
    aipc_limiter_init(&image, 2);
    begin_page(2);
    sync_make(1, AIPC_TYPE_LIMITER, &image, sizeof image, aipc_limiter_object_size(FIXTURE_PARTICIPANTS));
    sync_leave();
}

static void run_limiter(void *arg) {
    (void)arg;
    struct aipc_line *line = &limiter(1)->line;
    OK(aipc_limiter_try(ctxs[0], limiter(0), AIPC_NO_NODE));
    OK(aipc_limiter_try(ctxs[0], limiter(0), AIPC_NO_NODE));
    uint32_t first = stand_in(line, 1), second = stand_in(line, 1), third;
    CHECK_EQ(aipc_limiter_try(ctxs[1], limiter(1), first), AIPC_AGAIN);
    sync_age(1, first);
    OK(aipc_limiter_give(ctxs[0], limiter(0)));
    (void)sync_collect(1);
    CHECK_EQ(aipc_limiter_try(ctxs[1], limiter(1), second), AIPC_AGAIN);
    OK(aipc_line_again(ctxs[1], line, second));
    OK(aipc_limiter_stand(ctxs[0], limiter(0), bell[0], 1, &third)); /* wakes the first once more */
    OK(aipc_limiter_try(ctxs[1], limiter(1), first));
    OK(aipc_limiter_leave(ctxs[1], limiter(1), first));
    page->open = 1;
    OK(aipc_limiter_resize(ctxs[0], limiter(0), 3));
    page->sure = 3;
    page->open = 0;
    OK(aipc_limiter_leave(ctxs[1], limiter(1), second)); /* gives up */
    OK(aipc_limiter_leave(ctxs[0], limiter(0), third));
    OK(aipc_limiter_give(ctxs[1], limiter(1)));
}

static void survive_limiter(void *arg) {
    (void)arg;
    sync_join(2);
    survive_in(&limiter(0)->line);
    uint64_t total = limiter(0)->total;
    CHECK(total >= page->sure && total <= page->sure + page->open);
    aipc_limiter_stats stats;
    aipc_limiter_stats_get(&segs[0], limiter(0), &stats);
    CHECK_EQ(stats.borrowed, 0);
    for (uint64_t n = 0; n < total; n++) OK(aipc_limiter_try(ctxs[1], limiter(1), AIPC_NO_NODE));
    uint32_t node = stand_in(&limiter(0)->line, 0);
    CHECK_EQ(aipc_limiter_try(ctxs[0], limiter(0), node), AIPC_AGAIN);
    OK(aipc_limiter_give(ctxs[1], limiter(1)));
    CHECK_EQ(sync_collect(0), 1);
    OK(aipc_limiter_try(ctxs[0], limiter(0), node));
    OK(aipc_limiter_leave(ctxs[0], limiter(0), node));
    sync_leave();
}

/* ---- event ----------------------------------------------------------------------------------------- */

static inline struct aipc_event *event(int i) { return sync_at(i); }

static void begin_event(void *arg) {
    (void)arg;
    static const struct aipc_event image;
    begin_page(0);
    sync_make(1, AIPC_TYPE_EVENT, &image, sizeof image, sizeof image);
    sync_leave();
}

static void run_event(void *arg) {
    (void)arg;
    struct aipc_line *line = &event(1)->line;
    uint32_t first = stand_in(line, 1), second = stand_in(&event(0)->line, 0);
    for (int n = 0; n < 2; n++) {
        CHECK(aipc_event_set(event(0)));
        page->set++;
        if (aipc_line_asleep(line)) OK(aipc_line_wake(ctxs[0], &event(0)->line, AIPC_EVERYBODY));
        (void)sync_collect(1);
        aipc_event_clear(event(1));
        OK(aipc_line_again(ctxs[1], line, first));
    }
    OK(aipc_line_leave(ctxs[1], line, first));
    OK(aipc_line_leave(ctxs[0], &event(0)->line, second));
}

static void survive_event(void *arg) {
    (void)arg;
    sync_join(2);
    survive_in(&event(0)->line);
    uint64_t mark = aipc_event_mark(event(0));
    CHECK(mark >= page->set); /* survivors set it as well */
    aipc_event_clear(event(0));
    uint32_t node = stand_in(&event(0)->line, 0);
    CHECK(!aipc_event_happened(event(0), mark));
    CHECK(aipc_event_set(event(1)));
    CHECK(aipc_line_asleep(&event(1)->line));
    OK(aipc_line_wake(ctxs[1], &event(1)->line, AIPC_EVERYBODY));
    CHECK_EQ(sync_collect(0), 1);
    CHECK(aipc_event_happened(event(0), mark));
    OK(aipc_line_leave(ctxs[0], &event(0)->line, node));
    sync_leave();
}

static const struct sync_scenario {
    const char *name;
    struct scenario s;
} sync_scenarios[] = {
    {"permits", {begin_full, come_two, run_permits, survive_semaphore, NULL}},
    {"semaphore", {begin_empty, come_two, run_semaphore, survive_semaphore, NULL}},
    {"limiter", {begin_limiter, come_two, run_limiter, survive_limiter, NULL}},
    {"event", {begin_event, come_two, run_event, survive_event, NULL}},
};
enum { SYNC_SCENARIOS = sizeof sync_scenarios / sizeof sync_scenarios[0] };

#endif
