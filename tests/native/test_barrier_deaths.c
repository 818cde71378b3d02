// variants: plain hook
/* Who arrives, goes away, breaks or resets a barrier may be killed at any point of it (hook: before each store and system
 * call, its recoverer too; plain: after sampled machine instructions).  Then all of those who waited are through, each
 * with a place of its own, or none; and never with fewer arrivals than parties.
 *
 * The waiters of participant 1 live in the test process and do nothing meanwhile; participants 2 and 3 are the victim's. */
#include "sync_fixture.h"
#ifdef AIPC_HOOK
#include "crash.h"
#else
#include "step.h"
#endif

enum { MOST = 70 };
enum fate { NEVER, PERHAPS, SURELY };

static struct page {
    uint32_t through, broken; /* an enum fate: whether the living were released, sent away */
    uint32_t aborted;         /* and the barrier was left broken */
} *page;

static uint32_t living_count, living[MOST], first;
static uint64_t parties;
static uint8_t *view; /* of who is killed: its mapping goes when it leaves */

static struct aipc_barrier *at(int i) { return sync_at(i); }

/* ---- before -------------------------------------------------------------------------------------- */

static void begin(uint32_t count, uint64_t of) {
    struct aipc_barrier image = {0};
    uint32_t place;
    living_count = count;
    parties = of;
    if (page == NULL) page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    memset(page, 0, sizeof *page);
    aipc_barrier_init(&image, parties);
    sync_make(2, AIPC_TYPE_BARRIER, &image, sizeof image, sizeof image);
    for (uint32_t n = 0; n < count; n++)
        CHECK_EQ(aipc_barrier_arrive(ctxs[1], at(1), bell[1], 1, &living[n], &place), AIPC_AGAIN);
}
static void setup_two_of_three(void *arg) { (void)arg, begin(2, 3); }
static void setup_two_of_four(void *arg) { (void)arg, begin(2, 4); }
static void setup_many(void *arg) { (void)arg, begin(MOST, MOST + 1); } /* more than one hold serves */

static void come(int i) {
    fixture_attach(&segs[i]);
    sync_enter(i);
}
static void enter_one(void *arg) {
    (void)arg;
    come(2);
    sync_count = 3;
    view = mmap(NULL, FIXTURE_SIZE, PROT_READ, MAP_SHARED, segs[2].fd, 0);
    CHECK(view != MAP_FAILED);
}
static void enter_two(void *arg) {
    enter_one(arg);
    come(3);
    sync_count = 4;
}

/* ---- after --------------------------------------------------------------------------------------- */

static aipc_status arrive(int i, uint32_t *node) {
    uint32_t place;
    return aipc_barrier_arrive(ctxs[i], at(i), bell[i], 1, node, &place);
}

/* How all the living fared, alike. */
static aipc_status the_living_look(void) {
    aipc_status all = AIPC_OK;
    uint32_t place, least = 0;
    for (uint32_t n = 0; n < living_count; n++) {
        const aipc_status status = aipc_barrier_look(ctxs[1], at(1), living[n], &place);
        if (n == 0) all = status;
        CHECK_EQ(status, all);
        if (status == AIPC_OK) CHECK(place >= least && place < parties - 1); /* in the order in which they came */
        least = place + 1;
    }
    return all;
}

/* Once so many are there as there are parties, and not before, all are released. */
static void the_rest_arrive(uint32_t there) {
    uint32_t node[8], place;
    const uint32_t missing = (uint32_t)parties - there;
    CHECK(missing <= 8);
    for (uint32_t n = 0; n + 1 < missing; n++) CHECK_EQ(arrive(3, &node[n]), AIPC_AGAIN);
    OK(arrive(3, &node[missing - 1]));
    for (uint32_t n = 0; n + 1 < missing; n++) OK(aipc_barrier_look(ctxs[3], at(3), node[n], &place));
}

static void go_on(uint32_t waiting) {
    const aipc_status status = the_living_look();
    CHECK_EQ(status == AIPC_AGAIN, waiting != 0);
    CHECK(status == AIPC_OK ? page->through != NEVER : page->through != SURELY);
    CHECK(status == AIPC_BROKEN ? page->broken != NEVER : page->broken != SURELY);
    OK(aipc_barrier_reset(ctxs[3], at(3))); /* who waited still is sent away */
    if (status == AIPC_AGAIN) CHECK_EQ(the_living_look(), AIPC_BROKEN);
    if (parties <= 8) the_rest_arrive(0);
    sync_sound();
    CHECK_EQ(sync_report.nodes_waiting, 0);
}

static void survive(void *arg) {
    uint32_t waiting;
    bool broken;
    (void)arg;
    come(3);
    fixture_sound(&segs[3], &sync_report);
    CHECK_EQ(sync_report.nodes_waiting, living_count);
    OK(aipc_barrier_waiting(ctxs[3], at(3), &waiting, &broken));
    CHECK(waiting == 0 || waiting == living_count);
    CHECK(!broken || page->aborted);
    if (getpid() == harness_pid) {
        if (waiting != 0 && waiting + 8 >= parties && page->through == NEVER && page->broken == NEVER) {
            the_rest_arrive(waiting); /* exactly so many as are missing, whatever the dead one had arrived */
            page->through = SURELY;
            waiting = 0;
        }
        go_on(waiting);
    }
    sync_go(3);
    if (getpid() != harness_pid) return;
    sync_count = 2;
    sync_leave();
}

/* ---- what is killed ------------------------------------------------------------------------------ */

static void run_arrive(void *arg) {
    (void)arg;
    page->through = PERHAPS;
    OK(arrive(2, &first));
    page->through = SURELY;
}
static void run_come_and_go(void *arg) {
    uint32_t second;
    (void)arg;
    CHECK_EQ(arrive(2, &first), AIPC_AGAIN);
    OK(aipc_barrier_cancel(ctxs[2], at(2), first));
    CHECK_EQ(arrive(2, &second), AIPC_AGAIN);
    sync_go(2);
}
static void run_through(void *arg) {
    uint32_t last, place;
    (void)arg;
    CHECK_EQ(arrive(2, &first), AIPC_AGAIN);
    page->through = PERHAPS;
    OK(arrive(3, &last));
    page->through = SURELY;
    OK(aipc_barrier_look(ctxs[2], at(2), first, &place));
    CHECK_EQ(place, 2);
}
static void run_abort(void *arg) {
    (void)arg;
    page->aborted = 1;
    page->broken = PERHAPS;
    OK(aipc_barrier_abort(ctxs[2], at(2)));
    page->broken = SURELY;
    CHECK_EQ(arrive(2, &first), AIPC_BROKEN);
    OK(aipc_barrier_reset(ctxs[2], at(2)));
}
static void run_reset(void *arg) {
    (void)arg;
    CHECK_EQ(arrive(2, &first), AIPC_AGAIN);
    page->broken = PERHAPS;
    OK(aipc_barrier_reset(ctxs[2], at(2)));
    page->broken = SURELY;
}
/* Its own participant 3 is the stopped one; then it sweeps, and does not count who withdrew. */
static void run_withdraw(void *arg) {
    uint32_t second;
    (void)arg;
    CHECK_EQ(arrive(2, &first), AIPC_AGAIN);
    sync_stall(3);
    OK(aipc_barrier_cancel(ctxs[2], at(2), first));
    sync_unstall(3);
    CHECK_EQ(arrive(3, &second), AIPC_AGAIN);
}

static const struct death {
    const char *name;
    struct scenario s;
} deaths[] = {
    {"arrive", {setup_two_of_three, enter_one, run_arrive, survive, NULL}},
    {"release many", {setup_many, enter_one, run_arrive, survive, NULL}},
    {"come and go", {setup_two_of_four, enter_one, run_come_and_go, survive, NULL}},
    {"go through", {setup_two_of_four, enter_two, run_through, survive, NULL}},
    {"abort, reset", {setup_two_of_three, enter_one, run_abort, survive, NULL}},
    {"reset", {setup_two_of_four, enter_one, run_reset, survive, NULL}},
    {"withdraw", {setup_two_of_four, enter_two, run_withdraw, survive, NULL}},
};

static void all_come_through_or_none(void) {
    for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++) {
#ifdef AIPC_HOOK
        crash_budget = 80;
        const uint64_t died = crash_sweep(&deaths[i].s);
        const uint64_t recoverers = crash_sweep_pairs(&deaths[i].s, harness_full() ? 30 : 5);
        fprintf(stderr, "  %-20s %5" PRIu64 " deaths, %5" PRIu64 " recoverers'\n", deaths[i].name, died, recoverers);
        CHECK(recoverers > 10);
#else
        if (i == 1 || (!harness_full() && i != 0 && i != 3)) continue; /* too many steps; arrive, go through */
        const uint64_t died = step_sweep(&deaths[i].s);
        fprintf(stderr, "  %-20s %5" PRIu64 " deaths\n", deaths[i].name, died);
#endif
        CHECK(died > 20);
    }
}

int main(void) {
#ifndef AIPC_HOOK
    STEP_WATCH(&view, FIXTURE_SIZE);
#endif
    RUN(all_come_through_or_none);
    fixture_end();
    return SUMMARY();
}
