// variants: plain asan hook
#include "segment_fixture.h"
#ifdef AIPC_HOOK
#include "crash.h"
#else
#include "step.h"
#endif

/* Two participants, in one process unless a test forks. */
static aipc_seg A, B;
static struct aipc_lock *a, *b;
static uint32_t bell_a, bell_b;
static int fd_a, fd_b;

static void open_pair(void) {
    fixture_create(&A);
    fixture_attach(&B);
    a = fixture_lock(&A);
    b = fixture_lock(&B);
    OK(aipc_bell_take(&A, &bell_a, &fd_a));
    OK(aipc_bell_take(&B, &bell_b, &fd_b));
    aipc_bell_woken(&A, bell_a); /* attaching rings everybody */
    aipc_bell_woken(&B, bell_b);
}

static void close_pair(void) {
    aipc_report report;
    fixture_sound(&A, &report);
    CHECK_EQ(report.nodes_waiting, 0);
    fixture_detach(&B);
    fixture_detach(&A);
    fixture_end();
}

static aipc_status wait_for(aipc_seg *seg, struct aipc_lock *lock, uint32_t bell, uint32_t *node) {
    aipc_ctx *ctx = enter(seg);
    aipc_status status = aipc_lock_wait(ctx, lock, bell, 7, false, node);
    aipc_ctx_leave(ctx);
    return status;
}

static aipc_status look(aipc_seg *seg, struct aipc_lock *lock, uint32_t node) {
    aipc_ctx *ctx = enter(seg);
    aipc_status status = aipc_lock_look(ctx, lock, node);
    aipc_ctx_leave(ctx);
    return status;
}

static aipc_status cancel(aipc_seg *seg, struct aipc_lock *lock, uint32_t node) {
    aipc_ctx *ctx = enter(seg);
    aipc_status status = aipc_lock_cancel(ctx, lock, node);
    aipc_ctx_leave(ctx);
    return status;
}

static aipc_status release(aipc_seg *seg, struct aipc_lock *lock) {
    if (aipc_lock_release_fast(seg, lock)) return AIPC_OK;
    aipc_ctx *ctx = enter(seg);
    aipc_status status = aipc_lock_release_slow(ctx, lock);
    aipc_ctx_leave(ctx);
    return status;
}

/* Waits until the lock is this participant's, then lets go of it. */
static void acquire_and_release(aipc_seg *seg, struct aipc_lock *lock) {
    uint32_t bell, node;
    int fd, watch;
    OK(aipc_bell_take(seg, &bell, &fd));
    OK(aipc_watch_open(seg, &watch));
    OK(aipc_watch_refresh(seg));
    for (aipc_status status = wait_for(seg, lock, bell, &node); status != AIPC_OK; status = look(seg, lock, node)) {
        CHECK_EQ(status, AIPC_AGAIN);
        fixture_sleep(seg, bell, fd);
    }
    OK(release(seg, lock));
    aipc_bell_give_back(seg, bell);
}

/* ---- one instant after another ----------------------------------------------------------------- */

static void one_participant_excludes_the_other(void) {
    open_pair();
    OK(aipc_lock_try(&A, a));
    CHECK_EQ(aipc_lock_try(&B, b), AIPC_AGAIN);
    CHECK_EQ(release(&B, b), AIPC_NOT_OWNER);
    OK(release(&A, a));
    OK(aipc_lock_try(&B, b));
    OK(release(&B, b));
    CHECK_EQ(release(&B, b), AIPC_NOT_OWNER);
    close_pair();
}

static void release_notifies_the_first_waiter(void) {
    uint32_t node, count;
    uint64_t token;
    open_pair();
    OK(aipc_lock_try(&A, a));
    CHECK_EQ(wait_for(&B, b, bell_b, &node), AIPC_AGAIN);
    CHECK_EQ(look(&B, b, node), AIPC_AGAIN);
    CHECK(!aipc_bell_arm(&B, bell_b));
    OK(release(&A, a));
    OK(aipc_os_poll2(fd_b, -1, 0)); /* rung */
    aipc_bell_woken(&B, bell_b);
    aipc_ctx *ctx = enter(&B);
    OK(aipc_wait_collect(ctx, bell_b, &token, 1, &count));
    aipc_ctx_leave(ctx);
    CHECK_EQ(count, 1);
    CHECK_EQ(token, 7);
    OK(look(&B, b, node));
    CHECK_EQ(aipc_lock_try(&A, a), AIPC_AGAIN);
    OK(release(&B, b));
    close_pair();
}

static void an_unarmed_bell_is_not_rung(void) {
    uint32_t node;
    open_pair();
    OK(aipc_lock_try(&A, a));
    CHECK_EQ(wait_for(&B, b, bell_b, &node), AIPC_AGAIN);
    OK(release(&A, a));
    CHECK_EQ(aipc_os_poll2(fd_b, -1, 0), AIPC_AGAIN);
    CHECK(aipc_bell_arm(&B, bell_b)); /* but arming tells that something came */
    OK(look(&B, b, node));
    OK(release(&B, b));
    close_pair();
}

static void a_running_process_may_take_a_free_lock_first(void) {
    uint32_t node;
    open_pair();
    OK(aipc_lock_try(&A, a));
    CHECK_EQ(wait_for(&B, b, bell_b, &node), AIPC_AGAIN);
    OK(release(&A, a));
    OK(aipc_lock_try(&A, a));
    CHECK_EQ(look(&B, b, node), AIPC_AGAIN); /* keeps its place */
    OK(release(&A, a));
    OK(look(&B, b, node));
    OK(release(&B, b));
    close_pair();
}

static void who_waited_a_millisecond_is_handed_the_lock(void) {
    uint32_t node;
    open_pair();
    OK(aipc_lock_try(&A, a));
    CHECK_EQ(wait_for(&B, b, bell_b, &node), AIPC_AGAIN);
    for (uint64_t end = aipc_os_now() + 2 * AIPC_LOCK_GRANT_AFTER_NS; aipc_os_now() < end;) {}
    OK(release(&A, a));
    CHECK_EQ(aipc_lock_try(&A, a), AIPC_AGAIN); /* it is B's before B knows */
    CHECK_EQ(release(&B, b), AIPC_NOT_OWNER);   /* and not for another task of B's process to release */
    OK(look(&B, b, node));
    OK(release(&B, b));
    close_pair();
}

static void a_cancelled_grant_goes_to_the_next(void) {
    uint32_t first, second;
    open_pair();
    OK(aipc_lock_try(&A, a));
    CHECK_EQ(wait_for(&B, b, bell_b, &first), AIPC_AGAIN);
    CHECK_EQ(wait_for(&A, a, bell_a, &second), AIPC_AGAIN);
    for (uint64_t end = aipc_os_now() + 2 * AIPC_LOCK_GRANT_AFTER_NS; aipc_os_now() < end;) {}
    OK(release(&A, a));
    OK(cancel(&B, b, first));
    OK(look(&A, a, second));
    OK(release(&A, a));
    close_pair();
}

static void a_cancelled_wakeup_goes_to_the_next(void) {
    uint32_t first, second, count;
    uint64_t token;
    open_pair();
    OK(aipc_lock_try(&A, a));
    CHECK_EQ(wait_for(&B, b, bell_b, &first), AIPC_AGAIN);
    CHECK_EQ(wait_for(&A, a, bell_a, &second), AIPC_AGAIN);
    OK(release(&A, a));
    OK(cancel(&B, b, first));
    aipc_ctx *ctx = enter(&A);
    OK(aipc_wait_collect(ctx, bell_a, &token, 1, &count));
    aipc_ctx_leave(ctx);
    CHECK_EQ(count, 1);
    OK(look(&A, a, second));
    OK(release(&A, a));
    close_pair();
}

static void a_closed_lock_wakes_its_waiters(void) {
    uint32_t node;
    open_pair();
    OK(aipc_lock_try(&A, a));
    CHECK_EQ(wait_for(&B, b, bell_b, &node), AIPC_AGAIN);
    CHECK(!aipc_bell_arm(&B, bell_b));
    aipc_ctx *ctx = enter(&A);
    OK(aipc_lock_close(ctx, a));
    aipc_ctx_leave(ctx);
    OK(aipc_os_poll2(fd_b, -1, 0));
    CHECK_EQ(look(&B, b, node), AIPC_CLOSED);
    CHECK_EQ(aipc_lock_try(&B, b), AIPC_CLOSED);
    close_pair();
}

static void detaching_abandons_what_it_holds(void) {
    uint32_t node;
    open_pair();
    OK(aipc_lock_try(&B, b));
    CHECK_EQ(wait_for(&A, a, bell_a, &node), AIPC_AGAIN);
    fixture_detach(&B);
    OK(look(&A, a, node));
    aipc_lock_stats stats;
    aipc_lock_stats_get(&A, a, &stats);
    CHECK(stats.abandoned && stats.locked && stats.mine);
    CHECK_EQ(stats.takeovers, 1);
    OK(release(&A, a));
    aipc_lock_stats_get(&A, a, &stats);
    CHECK(!stats.abandoned && !stats.locked);
    fixture_attach(&B);
    close_pair();
}

static void the_slab_of_nodes_can_be_used_up(void) {
    uint32_t node, nodes[FIXTURE_SIZE / 2048];
    open_pair();
    OK(aipc_lock_try(&A, a));
    for (uint32_t i = 0; i < A.node_count; i++) CHECK_EQ(wait_for(&B, b, bell_b, &nodes[i]), AIPC_AGAIN);
    CHECK_EQ(wait_for(&B, b, bell_b, &node), AIPC_NO_WAITER);
    aipc_report report;
    fixture_sound(&A, &report);
    for (uint32_t i = 0; i < A.node_count; i++) OK(cancel(&B, b, nodes[i]));
    OK(release(&A, a));
    close_pair();
}

static uint64_t findings(aipc_seg *seg, const char *beginning) {
    aipc_report report = {0};
    aipc_ctx *ctx = enter(seg);
    OK(aipc_check(ctx, &report));
    aipc_ctx_leave(ctx);
    uint64_t count = 0;
    for (uint64_t i = 0; i < report.findings; i++) count += strncmp(report.finding[i].what, beginning, 2) == 0;
    return count;
}

static void check_proves_damaged_lock_words(void) {
    uint32_t node;
    open_pair();
    OK(aipc_lock_try(&A, a));
    CHECK_EQ(wait_for(&B, b, bell_b, &node), AIPC_AGAIN);
    CHECK_EQ(findings(&A, "K"), 0);
    uint64_t word = a->word;
    a->word = word & ~AIPC_LOCK_WAITERS;
    CHECK_EQ(findings(&A, "K2"), 1);
    a->word = word | UINT64_C(0xfff) << 20; /* a slot that does not exist */
    CHECK_EQ(findings(&A, "K1"), 1);
    a->word = word | UINT64_C(9) << 4; /* granted to nobody */
    CHECK_EQ(findings(&A, "K1"), 1);
    a->word = word | UINT64_C(0xffff) << 4; /* granted to a node there is none of */
    CHECK_EQ(findings(&A, "K1"), 1);
    a->word = word;
    OK(release(&A, a));
    OK(look(&B, b, node));
    OK(release(&B, b));
    close_pair();
}

/* ---- death ------------------------------------------------------------------------------------- */

/* Blocks until the parent says go. */
static void rendezvous(int read_end) {
    char byte;
    CHECK_EQ(read(read_end, &byte, 1), 1);
}
static void say(int write_end) { CHECK_EQ(write(write_end, "x", 1), 1); }

static void a_waiter_gets_the_lock_of_a_killed_holder(void) {
    int ready[2];
    fixture_create(&A);
    a = fixture_lock(&A);
    for (int i = 0; i < 20; i++) {
        CHECK(pipe(ready) == 0);
        pid_t child = fork();
        if (child == 0) {
            fixture_attach(&B);
            OK(aipc_lock_try(&B, fixture_lock(&B)));
            say(ready[1]);
            for (;;) pause();
        }
        rendezvous(ready[0]);
        CHECK(kill(child, SIGKILL) == 0);
        acquire_and_release(&A, a);
        CHECK(harness_was_killed(child));
        close(ready[0]);
        close(ready[1]);
    }
    aipc_report report;
    fixture_sound(&A, &report);
    fixture_detach(&A);
    fixture_end();
}

static void a_stopped_holder_keeps_the_lock(void) {
    int ready[2], status;
    fixture_create(&A);
    a = fixture_lock(&A);
    CHECK(pipe(ready) == 0);
    pid_t child = fork();
    if (child == 0) {
        fixture_attach(&B);
        OK(aipc_lock_try(&B, fixture_lock(&B)));
        say(ready[1]);
        for (;;) pause();
    }
    rendezvous(ready[0]);
    CHECK(kill(child, SIGSTOP) == 0);
    CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
    aipc_ctx *ctx = enter(&A);
    CHECK_EQ(aipc_lock_try_recover(ctx, a), AIPC_AGAIN);
    aipc_ctx_leave(ctx);
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(harness_was_killed(child));
    ctx = enter(&A);
    OK(aipc_lock_try_recover(ctx, a));
    aipc_ctx_leave(ctx);
    OK(release(&A, a));
    fixture_detach(&A);
    fixture_end();
}

/* One process of two participants does all a lock can do; the death is anywhere in it. */
static void deadly_setup(void *arg) {
    (void)arg;
    fixture_create(&A);
    (void)fixture_lock(&A);
    fixture_detach(&A);
}

static void deadly_enter(void *arg) {
    (void)arg;
    fixture_attach(&A);
    fixture_attach(&B);
    a = fixture_lock(&A);
    b = fixture_lock(&B);
    OK(aipc_bell_take(&A, &bell_a, &fd_a));
    OK(aipc_bell_take(&B, &bell_b, &fd_b));
}

static void deadly_run(void *arg) {
    (void)arg;
    uint32_t first, second;
    OK(aipc_lock_try(&A, a));
    CHECK_EQ(wait_for(&B, b, bell_b, &first), AIPC_AGAIN);
    CHECK_EQ(wait_for(&B, b, bell_b, &second), AIPC_AGAIN);
    OK(release(&A, a));
    OK(look(&B, b, first));
    CHECK_EQ(look(&B, b, second), AIPC_AGAIN);
    OK(release(&B, b));
    OK(cancel(&B, b, second));
    OK(aipc_lock_try(&A, a));
    OK(release(&A, a));
}

static void deadly_survive(void *arg) {
    (void)arg;
    aipc_report report;
    fixture_attach(&A);
    a = fixture_lock(&A);
    fixture_sound(&A, &report);
    CHECK_EQ(report.nodes_waiting, 0);
    aipc_ctx *ctx = enter(&A);
    OK(aipc_lock_try_recover(ctx, a));
    aipc_ctx_leave(ctx);
    OK(release(&A, a));
    acquire_and_release(&A, a);
    fixture_sound(&A, &report);
    CHECK_EQ(report.holdings, 1); /* our own pin */
    fixture_detach(&A);
}

static const struct scenario deadly = {deadly_setup, deadly_enter, deadly_run, deadly_survive, NULL};

#ifdef AIPC_HOOK
static void survivors_of_every_death_use_the_lock(void) { CHECK(crash_sweep(&deadly) > 100); }
static void recoverers_may_die_too(void) { CHECK(crash_sweep_nested(&deadly) > 100); }

/* A living process waits while another dies at every point of `act`; it must get the lock, without a poll. */
static void waiter_survives(void (*act)(int go), bool act_holds) {
    int ready[2], go[2];
    bool died = true;
    for (uint64_t k = 1; died; k++) {
        NOTE("death at point %" PRIu64, k);
        fixture_create(&A);
        a = fixture_lock(&A);
        CHECK(pipe(ready) == 0 && pipe(go) == 0);
        if (!act_holds) OK(aipc_lock_try(&A, a));
        *crash_passed = 0;
        pid_t child = fork();
        if (child == 0) {
            fixture_attach(&B);
            b = fixture_lock(&B);
            OK(aipc_bell_take(&B, &bell_b, &fd_b));
            if (act_holds) OK(aipc_lock_try(&B, b));
            say(ready[1]);
            rendezvous(go[0]);
            crash_at = k;
            act(go[0]);
            crash_at = 0;
            _exit(0); /* without detaching: what it holds now is abandoned too */
        }
        rendezvous(ready[0]);
        uint32_t node = 0;
        if (act_holds) {
            OK(aipc_bell_take(&A, &bell_a, &fd_a));
            CHECK_EQ(wait_for(&A, a, bell_a, &node), AIPC_AGAIN);
        }
        say(go[1]);
        if (!act_holds) {
            for (int i = 0; i < 3; i++) (void)aipc_participant_pid(&A, 1);
            OK(release(&A, a));
            acquire_and_release(&A, a);
        } else {
            while (look(&A, a, node) == AIPC_AGAIN) fixture_sleep(&A, bell_a, fd_a);
            OK(release(&A, a));
        }
        died = harness_was_killed(child);
        aipc_report report;
        fixture_sound(&A, &report);
        CHECK_EQ(report.nodes_waiting, 0);
        fixture_detach(&A);
        for (int i = 0; i < 2; i++) {
            close(ready[i]);
            close(go[i]);
        }
    }
    fixture_end();
}

static void act_release(int go) {
    (void)go;
    OK(release(&B, b));
}
static void act_wait_and_cancel(int go) {
    (void)go;
    uint32_t node;
    aipc_status status = wait_for(&B, b, bell_b, &node);
    if (status == AIPC_AGAIN) OK(cancel(&B, b, node));
    else OK(release(&B, b));
}
static void act_acquire(int go) {
    (void)go;
    acquire_and_release(&B, b);
}

static void a_waiter_outlives_the_death_of_a_releaser(void) { waiter_survives(act_release, true); }
static void a_lock_outlives_the_death_of_a_waiter(void) { waiter_survives(act_acquire, false); }
static void a_lock_outlives_the_death_of_a_canceller(void) { waiter_survives(act_wait_and_cancel, false); }
#else
static void survivors_of_a_death_at_any_instruction_use_the_lock(void) {
    STEP_WATCH(&A.base, FIXTURE_SIZE);
    CHECK(step_sweep(&deadly) > 40);
}
#endif

int main(void) {
    RUN(one_participant_excludes_the_other);
    RUN(release_notifies_the_first_waiter);
    RUN(an_unarmed_bell_is_not_rung);
    RUN(a_running_process_may_take_a_free_lock_first);
    RUN(who_waited_a_millisecond_is_handed_the_lock);
    RUN(a_cancelled_grant_goes_to_the_next);
    RUN(a_cancelled_wakeup_goes_to_the_next);
    RUN(a_closed_lock_wakes_its_waiters);
    RUN(detaching_abandons_what_it_holds);
    RUN(the_slab_of_nodes_can_be_used_up);
    RUN(check_proves_damaged_lock_words);
    RUN(a_waiter_gets_the_lock_of_a_killed_holder);
    RUN(a_stopped_holder_keeps_the_lock);
#ifdef AIPC_HOOK
    RUN(survivors_of_every_death_use_the_lock);
    RUN(recoverers_may_die_too);
    RUN(a_waiter_outlives_the_death_of_a_releaser);
    RUN(a_lock_outlives_the_death_of_a_waiter);
    RUN(a_lock_outlives_the_death_of_a_canceller);
#else
    RUN(survivors_of_a_death_at_any_instruction_use_the_lock);
#endif
    fixture_end();
    return SUMMARY();
}
