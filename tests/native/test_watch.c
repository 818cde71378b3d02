// variants: plain asan hook
/* The watch: who hung up is looked at until it is proven dead, whatever is in the way meanwhile. */
#include "segment_fixture.h"
#ifdef AIPC_HOOK
#include "crash.h"
#endif
#include "leaks.h"

#include <errno.h>
#include <linux/close_range.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum { SOON_NS = 1000000000, WHILE_NS = 100000000 };

static aipc_seg A, B;
static int watch;

static void open_watching(void) {
    fixture_create(&A);
    OK(aipc_watch_open(&A, &watch));
}

static void close_all(void) {
    aipc_report report;
    fixture_sound(&A, &report);
    CHECK_EQ(report.holdings, 0);
    fixture_detach(&A);
    fixture_end();
}

static aipc_status collect(void) {
    aipc_ctx *ctx = enter(&A);
    aipc_status status = aipc_watch_refresh(&A);
    if (status == AIPC_OK) status = aipc_watch_collect(ctx);
    aipc_ctx_leave(ctx);
    return status;
}

/* A participant that owns a block and waits for its end; without descriptors when asked. */
static pid_t peer(bool daemonized) {
    uint32_t *said = shared_words();
    *said = 0;
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        uint64_t payload;
        fixture_attach(&B);
        OK(aipc_owned_allocate(enter(&B), 100, 16, &payload));
        shared_set(said, 1);
        shared_wait(said, 2);
        if (daemonized) CHECK(syscall(SYS_close_range, 3, ~0U, 0) == 0);
        shared_set(said, 3);
        for (;;) pause();
    }
    shared_wait(said, 1);
    return pid;
}
static void go_on(void) {
    shared_set(shared_words(), 2);
    shared_wait(shared_words(), 3);
}
static void end(pid_t pid) {
    CHECK(kill(pid, SIGKILL) == 0);
    CHECK(harness_was_killed(pid));
}

static void becomes_readable(void) { OK(aipc_os_poll2(watch, -1, SOON_NS)); }

/* Looks when told to, and no oftener, until nobody is suspect. */
static void settle(void) {
    do {
        becomes_readable();
        OK(collect());
    } while (fixture_suspects(&A));
}

/* Its hang-up was heard and used up while it lived; nothing but the timer can tell of its death. */
static void who_hung_up_and_lives_is_looked_at_until_it_dies(void) {
    open_watching();
    const pid_t pid = peer(true);
    OK(collect());
    CHECK(!fixture_suspects(&A));
    go_on();
    const uint32_t epoch = aipc_watch_epoch(&A);
    for (int i = 0; i < 10; i++) {
        becomes_readable();
        OK(collect());
        CHECK(fixture_suspects(&A));
        CHECK_EQ(aipc_watch_epoch(&A), epoch);
    }
    end(pid);
    settle();
    CHECK(aipc_watch_epoch(&A) != epoch);
    CHECK_EQ(aipc_os_poll2(watch, -1, WHILE_NS), AIPC_AGAIN); /* and the timer has come to rest */
    close_all();
}

/* ---- out of descriptors -------------------------------------------------------------------------- */

static struct rlimit old_limit;

static void take_descriptors(void) {
    CHECK(getrlimit(RLIMIT_NOFILE, &old_limit) == 0);
    const int next = dup(0);
    CHECK(next >= 0 && close(next) == 0);
    const struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = old_limit.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK(dup(0) < 0 && errno == EMFILE);
}
static void give_descriptors(void) { CHECK(setrlimit(RLIMIT_NOFILE, &old_limit) == 0); }

static void a_newcomer_that_cannot_be_watched_is_tried_again(void) {
    open_watching();
    const pid_t pid = peer(false);
    const int fds = leaks_fds();
    take_descriptors();
    for (int i = 0; i < 5; i++) {
        OK(collect());
        CHECK(fixture_suspects(&A));
        becomes_readable();
    }
    give_descriptors();
    CHECK_EQ(leaks_fds(), fds);
    settle();
    CHECK_EQ(leaks_fds(), fds + 1); /* its bell */
    CHECK_EQ(aipc_os_poll2(watch, -1, WHILE_NS), AIPC_AGAIN);
    const uint32_t epoch = aipc_watch_epoch(&A);
    end(pid);
    settle();
    CHECK(aipc_watch_epoch(&A) != epoch);
    CHECK_EQ(leaks_fds(), fds);
    close_all();
}

/* Recovering takes a descriptor.  Each look fails, and says so; the next one comes all the same. */
static void a_dead_one_that_cannot_be_recovered_is_tried_again(void) {
    open_watching();
    const pid_t pid = peer(false);
    OK(collect());
    const int fds = leaks_fds();
    const uint32_t epoch = aipc_watch_epoch(&A);
    take_descriptors();
    /* The hang-up gives one descriptor back: the bell's.  It is taken as well. */
    end(pid);
    becomes_readable();
    CHECK(A.watch_fd[1] >= 0);
    const struct rlimit fewer = {.rlim_cur = (rlim_t)A.watch_fd[1], .rlim_max = old_limit.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &fewer) == 0);
    for (int i = 0; i < 5; i++) {
        becomes_readable();
        CHECK_EQ(collect(), AIPC_SYSTEM);
        CHECK_EQ(A.error, EMFILE);
        CHECK(fixture_suspects(&A));
        CHECK_EQ(aipc_watch_epoch(&A), epoch);
    }
    give_descriptors();
    settle();
    CHECK(aipc_watch_epoch(&A) != epoch);
    CHECK_EQ(leaks_fds(), fds - 1);
    close_all();
}

static void the_watch_itself_can_be_made_later(void) {
    fixture_create(&A);
    const int fds = leaks_fds();
    for (int spare = 0; spare < 2; spare++) { /* none; one, where two are needed */
        const int held = spare == 1 ? dup(0) : -1;
        take_descriptors();
        if (held >= 0) CHECK(close(held) == 0);
        CHECK_EQ(aipc_watch_open(&A, &watch), AIPC_SYSTEM);
        CHECK_EQ(A.error, EMFILE);
        CHECK_EQ(collect(), AIPC_SYSTEM);
        give_descriptors();
        CHECK_EQ(leaks_fds(), fds);
    }
    OK(aipc_watch_open(&A, &watch));
    const pid_t pid = peer(false);
    OK(collect());
    end(pid);
    settle();
    close_all();
}

int main(void) {
    RUN(who_hung_up_and_lives_is_looked_at_until_it_dies);
    RUN(a_newcomer_that_cannot_be_watched_is_tried_again);
    RUN(a_dead_one_that_cannot_be_recovered_is_tried_again);
    RUN(the_watch_itself_can_be_made_later);
    return SUMMARY();
}
