// variants: plain hook
/* Who waits, notifies, gives up or leaves may be killed at any point of it (hook: before each store and system call, its
 * recoverer too; plain: after sampled machine instructions).  No notification is lost or doubled by that.
 *
 * The waiters of participant 1 live in the test process and do nothing meanwhile; participants 2 and 3 are the victim's. */
#include "sync_fixture.h"
#ifdef AIPC_HOOK
#include "crash.h"
#else
#include "step.h"
#endif

enum { LIVING = 6, VICTIMS = 5 };

static struct page { /* what the victim has done, and what it is about to do */
    uint32_t given;            /* tokens that it gave */
    uint32_t giving, looking;  /* tokens that it may have given, or used up */
    uint32_t used;
} *page;

static uint32_t living[LIVING], mine[VICTIMS];
static uint8_t *view; /* of who is killed: its mapping goes when it leaves */

static struct aipc_condition *at(int i) { return sync_at(i); }

/* ---- before -------------------------------------------------------------------------------------- */

static void setup(void *arg) {
    static const struct aipc_condition image;
    (void)arg;
    if (page == NULL) page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    memset(page, 0, sizeof *page);
    sync_make(2, AIPC_TYPE_CONDITION, &image, sizeof image, sizeof image);
    for (int n = 0; n < LIVING; n++) OK(aipc_condition_stand(ctxs[1], at(1), bell[1], 1, &living[n]));
}

static void notify(uint32_t count) {
    page->giving = count;
    OK(aipc_condition_notify(ctxs[2], at(2), count));
    page->giving = 0;
    page->given += count;
}
static void look(uint32_t node) {
    page->looking = 1;
    OK(aipc_condition_look(ctxs[2], at(2), node));
    page->looking = 0;
    page->used++;
}
static void cancel(uint32_t node) { OK(aipc_condition_cancel(ctxs[2], at(2), node)); }

static void come(int i) {
    fixture_attach(&segs[i]);
    sync_enter(i);
}
static void enter_victim(void *arg) {
    (void)arg;
    come(2);
    sync_count = 3;
    view = mmap(NULL, FIXTURE_SIZE, PROT_READ, MAP_SHARED, segs[2].fd, 0);
    CHECK(view != MAP_FAILED);
}

/* The victim's nodes stand before the living, and have a token each. */
static void enter_notified(void *arg) {
    aipc_bell_target ignored;
    enter_victim(arg);
    for (int n = 0; n < VICTIMS; n++) OK(aipc_condition_stand(ctxs[2], at(2), bell[2], 1, &mine[n]));
    OK(aipc_domain_lock(ctxs[2], &segs[2].waits->domain));
    for (int n = 0; n < LIVING; n++) { /* to the end of the queue that they stand in */
        aipc_tx tx = aipc_tx_begin(&segs[2], &segs[2].waits->domain);
        OK(aipc_tx_finish(&tx, aipc_wait_give(&tx, &at(2)->waiters, living[n], &at(2)->waiters, 0, &ignored)));
    }
    aipc_domain_unlock(ctxs[2], &segs[2].waits->domain);
    notify(VICTIMS);
}

static void enter_stalled(void *arg) {
    enter_notified(arg);
    come(3);
    sync_count = 4;
}

/* ---- after --------------------------------------------------------------------------------------- */

/* Those that have a token are the first. */
static uint32_t tokens(int i) {
    uint32_t count = 0;
    for (uint32_t n = 0; n < LIVING; n++)
        if (aipc_condition_notified(&segs[i], living[n])) CHECK_EQ(count++, n);
    return count;
}

static void the_living_look(uint32_t notified) {
    for (uint32_t n = 0; n < LIVING; n++)
        CHECK_EQ(aipc_condition_look(ctxs[1], at(1), living[n]), n < notified ? AIPC_OK : AIPC_AGAIN);
    for (uint32_t n = notified; n < LIVING; n++) {
        OK(aipc_condition_notify(ctxs[3], at(3), 1));
        OK(aipc_condition_look(ctxs[1], at(1), living[n]));
    }
    sync_sound();
    CHECK_EQ(sync_report.nodes_waiting, 0);
}

static void survive(void *arg) {
    (void)arg;
    come(3);
    fixture_sound(&segs[3], &sync_report);
    CHECK_EQ(sync_report.nodes_waiting, LIVING);
    const uint32_t found = tokens(3);
    CHECK(found + page->used <= page->given + page->giving);
    CHECK(found + page->used + page->looking >= page->given);
    CHECK_EQ(at(3)->waiters.length, LIVING - found);
    if (getpid() == harness_pid) the_living_look(found);
    sync_go(3);
    if (getpid() != harness_pid) return;
    sync_count = 2;
    sync_leave();
}

/* ---- what is killed ------------------------------------------------------------------------------ */

static void run_notify(void *arg) {
    (void)arg;
    notify(1);
    notify(2);
}
static void run_wait(void *arg) {
    uint32_t first, second;
    (void)arg;
    OK(aipc_condition_stand(ctxs[2], at(2), bell[2], 1, &first));
    OK(aipc_condition_stand(ctxs[2], at(2), bell[2], 1, &second));
    CHECK_EQ(aipc_condition_look(ctxs[2], at(2), first), AIPC_AGAIN);
    cancel(first);
    cancel(second);
}
static void run_use(void *arg) {
    (void)arg;
    look(mine[0]);
    cancel(mine[2]);
    (void)sync_collect(2);
    look(mine[1]);
    cancel(mine[3]);
}
static void run_leave(void *arg) {
    (void)arg;
    sync_go(2);
}
/* Its own participant 3 is the stopped one; then it sweeps. */
static void run_withdraw(void *arg) {
    (void)arg;
    sync_stall(3);
    cancel(mine[0]);
    cancel(mine[1]);
    cancel(mine[4]);
    sync_unstall(3);
    OK(aipc_condition_notify(ctxs[3], at(3), 0));
    look(mine[2]);
}

static const struct death {
    const char *name;
    struct scenario s;
} deaths[] = {
    {"notify", {setup, enter_victim, run_notify, survive, NULL}},
    {"wait", {setup, enter_victim, run_wait, survive, NULL}},
    {"look and cancel", {setup, enter_notified, run_use, survive, NULL}},
    {"leave", {setup, enter_notified, run_leave, survive, NULL}},
    {"withdraw and sweep", {setup, enter_stalled, run_withdraw, survive, NULL}},
};

static void no_notification_is_lost_or_doubled(void) {
    for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++) {
#ifdef AIPC_HOOK
        crash_budget = 100;
        const uint64_t died = crash_sweep(&deaths[i].s);
        const uint64_t recoverers = crash_sweep_pairs(&deaths[i].s, harness_full() ? 30 : 6);
        fprintf(stderr, "  %-20s %5" PRIu64 " deaths, %5" PRIu64 " recoverers'\n", deaths[i].name, died, recoverers);
        CHECK(recoverers > 15);
#else
        if (!harness_full() && i != 0 && i != 2) continue; /* notify, look and cancel */
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
    RUN(no_notification_is_lost_or_doubled);
    fixture_end();
    return SUMMARY();
}
