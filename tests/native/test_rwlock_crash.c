// variants: hook
/* A read-write lock whose user is killed, or stopped, before any of its accesses; and whose survivors are. */
#include "rwlock_scenarios.h"
#include "crash.h"

static void a_death_at_any_point_leaves_nothing_held(void) {
    crash_budget = 120;
    for (int i = 0; i < RWLOCK_SCENARIOS; i++) {
        const uint64_t deaths = crash_sweep(&rwlock_scenarios[i].s);
        fprintf(stderr, "  %-20s %6" PRIu64 " deaths\n", rwlock_scenarios[i].name, deaths);
        CHECK(deaths > 10);
    }
}

static void a_recoverer_may_die_too(void) {
    for (int i = 1; i < RWLOCK_SCENARIOS; i++) {
        const uint64_t deaths = crash_sweep_pairs(&rwlock_scenarios[i].s, harness_full() ? 30 : 7);
        fprintf(stderr, "  %-20s %6" PRIu64 " recoverers died\n", rwlock_scenarios[i].name, deaths);
        CHECK(deaths > 10);
    }
}

/* ---- a living process waits while another dies, anywhere ---------------------------------------------------- */

static int ready[2], go[2];
static void say(int fd) { CHECK_EQ(write(fd, "x", 1), 1); }
static void listen_to(int fd) {
    char byte;
    CHECK_EQ(read(fd, &byte, 1), 1);
}

/* Participant 2 is the child's, 0 and 1 are ours. */
static pid_t start_child(void (*before)(void), void (*act)(void), uint64_t k) {
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        fixture_attach(&segs[2]);
        sync_enter(2);
        before();
        say(ready[1]);
        listen_to(go[0]);
        crash_at = k;
        act();
        crash_at = 0;
        _exit(0); /* without detaching: a death as well */
    }
    listen_to(ready[0]);
    return pid;
}

static void has_nothing(void) {}
static void has_read(void) { read_lock(2); }
static void has_written(void) { BEGIN_WRITING(try(2, AIPC_WRITE)); }
static void is_upgradable(void) { OK(try(2, AIPC_UPGRADABLE)); }
static void does_nothing(void) { (void)getppid(); }
static void ends_read(void) { read_unlock(2); }
static void ends_write(void) { END_WRITING(release(2, AIPC_WRITE)); }
static void downgrades(void) {
    END_WRITING(convert(2, AIPC_WRITE, AIPC_UPGRADABLE));
    OK(convert(2, AIPC_UPGRADABLE, AIPC_READ));
    read_unlock(2);
}
static void upgrades(void) {
    BEGIN_WRITING(try(2, AIPC_UPGRADE));
    END_WRITING(release(2, AIPC_WRITE));
}
static void gives_up_writing(void) {
    uint32_t node;
    if (stand(2, AIPC_WRITE, &node) == AIPC_AGAIN) OK(cancel(2, AIPC_WRITE, node));
    else OK(release(2, AIPC_WRITE));
}

/* What the child has, then does; what we want meanwhile, beside a read of our own or not. */
static const struct {
    const char *name;
    void (*before)(void), (*act)(void);
    aipc_rwlock_want want;
    bool beside_a_read;
} outlived[] = {
    {"a reader, by a writer", has_read, ends_read, AIPC_WRITE, false},
    {"a writer, by a reader", has_written, ends_write, AIPC_READ, false},
    {"a writer, by a writer", has_written, ends_write, AIPC_WRITE, false},
    {"a downgrade, by a writer", has_written, downgrades, AIPC_WRITE, false},
    {"a downgrade, by an upgradable", has_written, downgrades, AIPC_UPGRADABLE, false},
    {"an upgrade, by a writer", is_upgradable, upgrades, AIPC_WRITE, false},
    {"a waiting writer, by a reader", has_nothing, gives_up_writing, AIPC_READ, true},
    {"idle readers, by a writer", has_read, does_nothing, AIPC_WRITE, false},
    {"idle writers, by a reader", has_written, does_nothing, AIPC_READ, false},
};

static bool outlive(int n, uint64_t k) {
    NOTE("%s, death at point %" PRIu64, outlived[n].name, k);
    begin_free(NULL);
    sync_join(2);
    if (crash_passed == NULL) CHECK(!crash_child(NULL, (void (*)(void *))does_nothing, NULL, UINT64_MAX));
    *crash_passed = 0;
    CHECK(pipe(ready) == 0 && pipe(go) == 0);
    if (outlived[n].beside_a_read) read_lock(1);
    const pid_t child = start_child(outlived[n].before, outlived[n].act, k);
    uint32_t node = AIPC_NO_NODE;
    if (!outlived[n].beside_a_read) node = waits(0, outlived[n].want); /* it must wait */
    say(go[1]);
    if (node == AIPC_NO_NODE) acquire(0, outlived[n].want);
    else while (look(0, outlived[n].want, node) == AIPC_AGAIN) sync_sleep(0);
    const bool died = harness_was_killed(child);
    const uint32_t wrote = died_writing();
    if (wrote == SOMEBODY_WRITES) CHECK(is_abandoned(0));
    if (wrote == NOBODY_WRITES) CHECK(!is_abandoned(0));
    OK(release(0, outlived[n].want));
    if (outlived[n].beside_a_read) read_unlock(1);
    aipc_ctx *ctx = ctxs[0];
    uint32_t recovered;
    OK(aipc_recover_all(ctx, &recovered));
    if (outlived[n].want == AIPC_WRITE) CHECK(!is_abandoned(0) || !died);
    rw_idle();
    sync_end();
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(go[i]);
    }
    return died;
}
static void who_waits_outlives_the_death_of_the_others(void) {
    for (int n = 0; n < (int)(sizeof outlived / sizeof outlived[0]); n++) {
        uint64_t k = 1;
        while (outlive(n, k)) k++;
        fprintf(stderr, "  %-32s %4" PRIu64 " deaths\n", outlived[n].name, k - 1);
    }
}

/* ---- a reader is stopped in the instant in which it may have to take its read back ---------------------------- */

static void reads(void) {
    if (!aipc_rwlock_read_fast(&segs[2], rw_at(2))) return;
    read_unlock(2);
}

static uint64_t stop_at, stop_passed;
static void stop_before_a_point(enum aipc_hook_kind kind) {
    (void)kind;
    if (stop_at != 0 && ++stop_passed == stop_at) raise(SIGSTOP);
}
static void reads_or_stops(void) {
    stop_passed = 0;
    reads();
    stop_at = 0;
}

/* True: it stopped.  We write as soon as we can: while it is stopped if it does not read, else once it went on or died. */
static bool outlive_stop(uint64_t k, bool dies) {
    int status;
    NOTE("stopped at point %" PRIu64 ", then %s", k, dies ? "killed" : "goes on");
    begin_free(NULL);
    sync_join(2);
    CHECK(pipe(ready) == 0 && pipe(go) == 0);
    stop_at = 0;
    crash_other = stop_before_a_point;
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        fixture_attach(&segs[2]);
        sync_enter(2);
        read_lock(2);
        read_unlock(2); /* its word is claimed */
        stop_at = k;
        reads_or_stops();
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
    const bool stopped = WIFSTOPPED(status);
    uint32_t node;
    const aipc_status got = stand(0, AIPC_WRITE, &node);
    CHECK(got == AIPC_OK || got == AIPC_AGAIN);
    if (stopped) CHECK(kill(child, dies ? SIGKILL : SIGCONT) == 0);
    if (got == AIPC_AGAIN)
        while (look(0, AIPC_WRITE, node) == AIPC_AGAIN) sync_sleep(0);
    if (stopped) CHECK_EQ(harness_was_killed(child), dies);
    OK(release(0, AIPC_WRITE));
    crash_other = NULL;
    uint32_t recovered;
    OK(aipc_recover_all(ctxs[0], &recovered));
    rw_end();
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(go[i]);
    }
    return stopped;
}
static void a_stopped_reader_delays_a_writer_and_no_longer(void) {
    uint64_t k = 1;
    while (outlive_stop(k, false) && outlive_stop(k, true)) k++;
    CHECK(k > 5);
}

int main(void) {
    RUN(a_death_at_any_point_leaves_nothing_held);
    RUN(a_recoverer_may_die_too);
    RUN(who_waits_outlives_the_death_of_the_others);
    RUN(a_stopped_reader_delays_a_writer_and_no_longer);
    return SUMMARY();
}
