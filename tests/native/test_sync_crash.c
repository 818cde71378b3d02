// variants: hook
/* Semaphore, limiter and event: who uses them is killed, or stopped, before any access that changes something. */
#include "sync_scenarios.h"

#include "crash.h"

static void a_death_at_any_point_loses_and_doubles_nothing(void) {
    crash_budget = 120;
    for (int i = 0; i < SYNC_SCENARIOS; i++) {
        const uint64_t deaths = crash_sweep(&sync_scenarios[i].s);
        fprintf(stderr, "  %-10s %6" PRIu64 " deaths\n", sync_scenarios[i].name, deaths);
        CHECK(deaths >= (i == 0 ? 3 : 50));
    }
}

static void a_recoverer_may_die_too(void) {
    for (int i = 0; i < SYNC_SCENARIOS; i++) {
        const uint64_t deaths = crash_sweep_pairs(&sync_scenarios[i].s, harness_full() ? 40 : 5);
        fprintf(stderr, "  %-10s %6" PRIu64 " recoverers died\n", sync_scenarios[i].name, deaths);
    }
}

/* ---- a waiter that lives through it ------------------------------------------------------------------ */

/* Participant 0 waits in this process, at two places; participant 2 acts in a child that is killed, or stopped, at a point.
 * Participant 1 does not wait. */
enum { PLACES = 2 };
static uint32_t places[PLACES], ahead; /* `ahead` stands before them: the child's */

struct living {
    const char *name;
    void (*make)(void);
    void (*before)(void);    /* child: not killed */
    void (*act)(void);       /* child: killed, or stopped */
    void (*meanwhile)(void); /* participant 1 */
    aipc_status (*attempt)(uint32_t node);
    aipc_status (*leave)(uint32_t node);
    struct aipc_line *(*line)(int i);
    bool (*lost)(void); /* what they wait for went with the dead one, as it may */
};

static void nothing(void) {}
static bool never(void) { return false; }

static void semaphore_make(void) {
    struct aipc_semaphore image;
    aipc_semaphore_init(&image, 0, 10);
    sync_make(2, AIPC_TYPE_SEMAPHORE, &image, sizeof image, sizeof image);
}
static struct aipc_line *semaphore_line(int i) { return &semaphore(i)->line; }
static aipc_status semaphore_attempt(uint32_t node) { return aipc_semaphore_try(semaphore(0), node); }
static aipc_status semaphore_leave(uint32_t node) { return aipc_semaphore_leave(ctxs[0], semaphore(0), node); }
static void add(int i, uint32_t count) {
    OK(aipc_semaphore_add(semaphore(i), count));
    if (aipc_line_asleep(&semaphore(i)->line)) OK(aipc_line_wake(ctxs[i], &semaphore(i)->line, count));
}
static void semaphore_release(void) { add(2, PLACES); }
static void semaphore_stand_ahead(void) {
    ahead = stand_in(&semaphore(2)->line, 2);
    sync_age(2, ahead);
}
static void semaphore_provide(void) { add(1, PLACES); }
/* Is woken, or not; looks, goes on waiting, and gives up. */
static void semaphore_give_up(void) {
    (void)sync_collect(2);
    OK(aipc_line_again(ctxs[2], &semaphore(2)->line, ahead));
    OK(aipc_semaphore_leave(ctxs[2], semaphore(2), ahead));
}
/* Gets what there is, and gives it back. */
static void semaphore_use(void) {
    while (aipc_semaphore_try(semaphore(2), ahead) == AIPC_AGAIN) {
        OK(aipc_line_again(ctxs[2], &semaphore(2)->line, ahead));
        if (aipc_semaphore_try(semaphore(2), ahead) == AIPC_OK) break;
        sync_sleep(2);
    }
    add(2, 1);
    OK(aipc_semaphore_leave(ctxs[2], semaphore(2), ahead));
}
static bool semaphore_lost(void) { return semaphore(0)->value == 0; }

static void limiter_make(void) {
    struct aipc_limiter image;
    aipc_limiter_init(&image, 2);
    sync_make(2, AIPC_TYPE_LIMITER, &image, sizeof image, aipc_limiter_object_size(FIXTURE_PARTICIPANTS));
}
static struct aipc_line *limiter_line(int i) { return &limiter(i)->line; }
static aipc_status limiter_attempt(uint32_t node) { return aipc_limiter_try(ctxs[0], limiter(0), node); }
static aipc_status limiter_leave(uint32_t node) { return aipc_limiter_leave(ctxs[0], limiter(0), node); }
static void limiter_borrow(void) {
    for (int n = 0; n < 2; n++) OK(aipc_limiter_try(ctxs[2], limiter(2), AIPC_NO_NODE));
}
static void limiter_give(void) {
    for (int n = 0; n < 2; n++) OK(aipc_limiter_give(ctxs[2], limiter(2)));
}
static void limiter_stand_ahead(void) {
    OK(aipc_limiter_try(ctxs[2], limiter(2), AIPC_NO_NODE));
    ahead = stand_in(&limiter(2)->line, 2);
    sync_age(2, ahead);
}
/* Borrows one more if it can, and gives all back. */
static void limiter_use(void) {
    (void)aipc_limiter_try(ctxs[2], limiter(2), ahead);
    OK(aipc_limiter_leave(ctxs[2], limiter(2), ahead));
    while (aipc_limiter_give(ctxs[2], limiter(2)) == AIPC_OK) {}
}

static void event_make(void) {
    static const struct aipc_event image;
    sync_make(2, AIPC_TYPE_EVENT, &image, sizeof image, sizeof image);
}
static struct aipc_line *event_line(int i) { return &event(i)->line; }
static aipc_status event_attempt(uint32_t node) {
    (void)node;
    return aipc_event_happened(event(0), 0) ? AIPC_OK : AIPC_AGAIN;
}
static aipc_status event_leave(uint32_t node) { return aipc_line_leave(ctxs[0], &event(0)->line, node); }
static void event_set(void) {
    (void)aipc_event_set(event(2));
    if (aipc_line_asleep(&event(2)->line)) OK(aipc_line_wake(ctxs[2], &event(2)->line, AIPC_EVERYBODY));
    aipc_event_clear(event(2));
}
static bool event_lost(void) { return !aipc_event_happened(event(0), 0); }

static const struct living livings[] = {
    {"release", semaphore_make, nothing, semaphore_release, nothing, semaphore_attempt, semaphore_leave, semaphore_line, semaphore_lost},
    {"give up ahead", semaphore_make, semaphore_stand_ahead, semaphore_give_up, semaphore_provide, semaphore_attempt, semaphore_leave, semaphore_line, never},
    {"use ahead", semaphore_make, semaphore_stand_ahead, semaphore_use, semaphore_provide, semaphore_attempt, semaphore_leave, semaphore_line, semaphore_lost},
    {"give", limiter_make, limiter_borrow, limiter_give, nothing, limiter_attempt, limiter_leave, limiter_line, never},
    {"borrow ahead", limiter_make, limiter_stand_ahead, limiter_use, nothing, limiter_attempt, limiter_leave, limiter_line, never},
    {"set", event_make, nothing, event_set, nothing, event_attempt, event_leave, event_line, event_lost},
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
static int look_at_all(const struct living *l) {
    int waiting = 0;
    for (int i = 0; i < PLACES; i++) {
        if (places[i] == AIPC_NO_NODE) continue;
        aipc_status status = l->attempt(places[i]);
        if (status == AIPC_AGAIN) {
            status = aipc_line_again(ctxs[0], l->line(0), places[i]);
            if (status == AIPC_OK) status = l->attempt(places[i]);
        }
        CHECK(status == AIPC_OK || status == AIPC_AGAIN || status == AIPC_STALLED);
        waiting += status != AIPC_OK;
        if (status != AIPC_OK) continue;
        OK(l->leave(places[i]));
        places[i] = AIPC_NO_NODE;
    }
    return waiting;
}

static void wait_to_the_end(const struct living *l) {
    for (;;) {
        const bool over = !aipc_participant_current(&segs[0], shared_words()[2], shared_words()[3]);
        if (look_at_all(l) == 0) return;
        if (over) break;
        sync_sleep(0);
    }
    CHECK(l->lost());
    for (int i = 0; i < PLACES; i++)
        if (places[i] != AIPC_NO_NODE) OK(l->leave(places[i]));
}

static pid_t begin_living(const struct living *l, uint64_t k, bool stop) {
    uint32_t *words = shared_words();
    memset(words, 0, 16);
    *crash_passed = 0;
    l->make();
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) child(l, k, stop);
    shared_wait(&words[0], 1);
    for (int i = 0; i < PLACES; i++) places[i] = stand_in(l->line(0), 0);
    shared_set(&words[1], 1);
    return pid;
}

static void end_living(const struct living *l) {
    OK(aipc_line_wake(ctxs[0], l->line(0), AIPC_EVERYBODY)); /* finds those who withdrew */
    sync_end();
}

/* True when it was killed. */
static bool living_while_one_dies(const struct living *l, uint64_t k) {
    NOTE("%s, death at point %" PRIu64, l->name, k);
    const pid_t pid = begin_living(l, k, false);
    l->meanwhile();
    wait_to_the_end(l);
    const bool killed = harness_was_killed(pid);
    uint32_t recovered;
    OK(aipc_recover_all(ctxs[0], &recovered));
    end_living(l);
    return killed;
}

static void who_waits_outlives_every_death(void) {
    crash_other = stop_here;
    for (int i = 0; i < LIVINGS; i++) {
        CHECK(!living_while_one_dies(&livings[i], UINT64_MAX));
        const uint64_t points = *crash_passed, stride = harness_stride(points, 40);
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
    l->meanwhile();
    CHECK_EQ(waitpid(pid, &how, WUNTRACED), pid);
    const bool stopped = WIFSTOPPED(how);
    (void)look_at_all(l);
    if (places[0] != AIPC_NO_NODE) OK(l->leave(places[0]));
    places[0] = AIPC_NO_NODE;
    (void)look_at_all(l);
    for (int i = 0; i < 2; i++) segs[i].stall_ns = 100 * UINT64_C(1000000000);
    if (stopped) CHECK(kill(pid, SIGCONT) == 0);
    wait_to_the_end(l);
    if (stopped) CHECK(!harness_was_killed(pid));
    uint32_t recovered;
    OK(aipc_recover_all(ctxs[0], &recovered));
    end_living(l);
    return stopped;
}

static void who_waits_outlives_every_stop(void) {
    for (int i = 0; i < LIVINGS; i++) {
        CHECK(!living_while_one_is_stopped(&livings[i], UINT64_MAX));
        const uint64_t stride = harness_stride(*crash_passed, 15);
        for (uint64_t k = 1; living_while_one_is_stopped(&livings[i], k); k += stride) {}
    }
}

int main(void) {
    RUN(a_death_at_any_point_loses_and_doubles_nothing);
    RUN(a_recoverer_may_die_too);
    RUN(who_waits_outlives_every_death);
    RUN(who_waits_outlives_every_stop);
    fixture_end();
    return SUMMARY();
}
