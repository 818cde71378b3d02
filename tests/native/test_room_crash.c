// variants: hook
/* Waiting for memory: who waits, who frees and who recovers is killed, or stopped, before any access that changes something. */
#include "room_scenarios.h"

#include "crash.h"

static void a_death_at_any_point_leaves_nobody_in_line(void) {
    crash_budget = 300;
    const uint64_t deaths = crash_sweep(&room_scenario);
    fprintf(stderr, "  %" PRIu64 " deaths\n", deaths);
    CHECK(deaths >= 200);
}

static void a_recoverer_may_die_too(void) {
    const uint64_t deaths = crash_sweep_pairs(&room_scenario, harness_full() ? 100 : 20);
    fprintf(stderr, "  %" PRIu64 " recoverers died\n", deaths);
}

/* ---- a waiter that lives through it ------------------------------------------------------------------ */

/* Participant 0 waits in this process, at two places; participant 2 acts in a child that is killed, or stopped, at a point.
 * Participant 1 does not wait. */
enum { PLACES = 2 };
static uint32_t places[PLACES], ahead; /* `ahead` stands before them: the child's */

struct living {
    const char *name;
    void (*before)(void);    /* child: not killed */
    void (*act)(void);       /* child: killed, or stopped */
    void (*meanwhile)(void); /* participant 1 */
    bool served;             /* what they wait for does not depend on the dead one */
};

static void nothing(void) {}
static void free_some(void) {
    room_free(2, room_small[0]);
    room_free(2, room_large[3]);
}
static void stand_ahead(void) { ahead = room_stand(2); }
static void free_enough(void) {
    for (int n = 0; n < PLACES + 1; n++) room_free(1, room_small[n]);
}
/* Is woken, or not; looks, goes on waiting, and gives up. */
static void give_up(void) {
    (void)sync_collect(2);
    OK(aipc_room_again(ctxs[2], ahead));
    room_leave(2, ahead);
}
static void take(void) {
    uint64_t block;
    while (room_try(2, ahead, ROOM_SMALL, &block) != AIPC_OK) {
        OK(aipc_room_again(ctxs[2], ahead));
        if (room_try(2, ahead, ROOM_SMALL, &block) == AIPC_OK) break;
        sync_sleep(2);
    }
    room_leave(2, ahead);
}

static const struct living livings[] = {
    {"free", nothing, free_some, nothing, false},
    {"give up ahead", stand_ahead, give_up, free_enough, true},
    {"take ahead", stand_ahead, take, free_enough, true},
};
enum { LIVINGS = sizeof livings / sizeof livings[0] };

static uint64_t stop_at; /* as crash_at */
static void stop_here(enum aipc_hook_kind how) {
    if (stop_at != 0 && (crash_kinds & 1 << how) != 0 && ++*crash_passed == stop_at) kill(getpid(), SIGSTOP);
}

_Noreturn static void child(const struct living *l, uint64_t k, bool stop) {
    uint32_t *words = shared_words();
    fixture_attach(&segs[2]);
    sync_enter(2);
    l->before();
    words[2] = segs[2].slot;
    words[3] = segs[2].generation;
    shared_set(&words[0], 1);
    shared_wait(&words[1], 1);
    *(stop ? &stop_at : &crash_at) = k;
    l->act();
    _exit(0); /* without detaching: what it holds now is a dead one's as well */
}

/* Stands, or goes on waiting, with all that were not served; how many those are. */
static int look_at_all(void) {
    int waiting = 0;
    uint64_t block;
    for (int i = 0; i < PLACES; i++) {
        if (places[i] == AIPC_NO_NODE) continue;
        aipc_status status = room_try(0, places[i], ROOM_SMALL, &block);
        if (status == AIPC_AGAIN) {
            status = aipc_room_again(ctxs[0], places[i]);
            if (status == AIPC_OK) status = room_try(0, places[i], ROOM_SMALL, &block);
        }
        CHECK(status == AIPC_OK || status == AIPC_AGAIN || status == AIPC_STALLED);
        waiting += status != AIPC_OK;
        if (status != AIPC_OK) continue;
        room_leave(0, places[i]);
        places[i] = AIPC_NO_NODE;
    }
    return waiting;
}

static void wait_to_the_end(const struct living *l) {
    uint64_t block;
    for (;;) {
        const bool over = !aipc_participant_current(&segs[0], shared_words()[2], shared_words()[3]);
        if (look_at_all() == 0) return;
        if (over) break;
        sync_sleep(0);
    }
    CHECK(!l->served);
    CHECK_EQ(room_allocate(1, ROOM_SMALL, &block), AIPC_FULL);
    for (int i = 0; i < PLACES; i++)
        if (places[i] != AIPC_NO_NODE) room_leave(0, places[i]);
}

static pid_t begin_living(const struct living *l, uint64_t k, bool stop) {
    uint32_t *words = shared_words();
    memset(words, 0, 16);
    *crash_passed = 0;
    room_make(2);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) child(l, k, stop);
    shared_wait(&words[0], 1);
    for (int i = 0; i < PLACES; i++) places[i] = room_stand(0);
    shared_set(&words[1], 1);
    return pid;
}

static void end_living(void) {
    uint32_t recovered;
    OK(aipc_recover_all(ctxs[0], &recovered));
    aipc_room_wake(ctxs[0]); /* finds those who withdrew */
    sync_end();
}

/* True when it was killed. */
static bool living_while_one_dies(const struct living *l, uint64_t k) {
    NOTE("%s, death at point %" PRIu64, l->name, k);
    const pid_t pid = begin_living(l, k, false);
    l->meanwhile();
    wait_to_the_end(l);
    const bool killed = harness_was_killed(pid);
    end_living();
    return killed;
}

static void who_waits_outlives_every_death(void) {
    crash_other = stop_here;
    for (int i = 0; i < LIVINGS; i++) {
        CHECK(!living_while_one_dies(&livings[i], UINT64_MAX));
        const uint64_t points = *crash_passed, stride = harness_stride(points, 60);
        for (uint64_t k = 1; living_while_one_dies(&livings[i], k); k += stride) {}
        fprintf(stderr, "  %-14s %4" PRIu64 " points\n", livings[i].name, points);
    }
}

/* One place is given up meanwhile, which does not fail; the other is served in the end. */
static bool living_while_one_is_stopped(const struct living *l, uint64_t k) {
    int how;
    NOTE("%s, stop at point %" PRIu64, l->name, k);
    const pid_t pid = begin_living(l, k, true);
    for (int i = 0; i < 2; i++) segs[i].stall_ns = SYNC_STALL_NS;
    CHECK_EQ(waitpid(pid, &how, WUNTRACED), pid);
    const bool stopped = WIFSTOPPED(how);
    (void)look_at_all();
    if (places[0] != AIPC_NO_NODE) room_leave(0, places[0]);
    places[0] = AIPC_NO_NODE;
    (void)look_at_all();
    for (int i = 0; i < 2; i++) segs[i].stall_ns = 100 * UINT64_C(1000000000);
    if (stopped) CHECK(kill(pid, SIGCONT) == 0);
    l->meanwhile();
    wait_to_the_end(l);
    if (stopped) CHECK(!harness_was_killed(pid));
    end_living();
    return stopped;
}

static void who_waits_outlives_every_stop(void) {
    for (int i = 0; i < LIVINGS - 1; i++) { /* the last one waits itself */
        CHECK(!living_while_one_is_stopped(&livings[i], UINT64_MAX));
        const uint64_t stride = harness_stride(*crash_passed, 25);
        for (uint64_t k = 1; living_while_one_is_stopped(&livings[i], k); k += stride) {}
    }
}

int main(void) {
    RUN(a_death_at_any_point_leaves_nobody_in_line);
    RUN(a_recoverer_may_die_too);
    RUN(who_waits_outlives_every_death);
    RUN(who_waits_outlives_every_stop);
    fixture_end();
    return SUMMARY();
}
