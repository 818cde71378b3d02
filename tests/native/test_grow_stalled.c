// leaves: bells
/* Behind a process that was stopped while it grows, trims or fetches pages: who needs the same is told in time, everybody
 * else goes on; once it is dead, it is in nobody's way. */
#include "grow_fixture.h"

enum { STALL_NS = 50000000, SIZE = 4 << 20, MOST = 64 << 20 };

static aipc_seg B;
static pid_t child;

/* Attached, and stopped in the middle of `act`. */
static void stop_in(void (*act)(void)) {
    int status;
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        fixture_attach(&B);
        act();
        raise(SIGSTOP);
        _exit(0);
    }
    CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    A.stall_ns = STALL_NS;
}
static void kill_child(void) {
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(harness_was_killed(child));
}

static void begin_to_grow(void) {
    aipc_growth growth = aipc_growth_by(8 << 20);
    OK(aipc_grow_prepare(&B, &growth));
}
static void a_stopped_grower_keeps_nobody_but_growers_waiting(void) {
    grow_create(SIZE, MOST);
    stop_in(begin_to_grow);
    CHECK_EQ(grow(&A, 1 << 20), AIPC_STALLED);
    give(&A, take(&A, 1 << 20));
    (void)trim(&A);
    give(&A, take(&A, 1 << 20));
    sound(&A);
    CHECK_EQ(A.header->size, SIZE);
    kill_child();
    CHECK_EQ(grow(&A, 1 << 20), AIPC_OK);
    CHECK_EQ(A.header->size, SIZE + (1 << 20));
    sound(&A);
}

static uint64_t near_end;
static void take_a_hole(void) {
    aipc_trim trim = {0};
    aipc_ctx *ctx = enter(&B);
    OK(aipc_trim_next(ctx, &trim));
}
static void who_needs_a_stopped_ones_hole_is_told_by_whom(void) {
    uint64_t payload;
    grow_create(SIZE, MOST);
    near_end = take(&A, 100000);
    const uint64_t largest = stats_of(&A).largest_free;
    stop_in(take_a_hole);
    aipc_ctx *ctx = enter(&A);
    CHECK_EQ(aipc_heap_allocate(ctx, largest / 2, 16, 0, NULL, &payload), AIPC_STALLED);
    CHECK_EQ(A.fault.pid, child);
    aipc_ctx_leave(ctx);
    give(&A, take(&A, 100)); /* there is something besides */
    sound(&A);
    CHECK_EQ(trim(&A), 0);
    CHECK_EQ(grow(&A, 8 << 20), AIPC_OK);
    give(&A, take(&A, 4 << 20));
    kill_child();
    const uint64_t block = take(&A, largest / 2);
    fill(&A, block, largest / 2);
    give(&A, block);
    give(&A, near_end);
    CHECK(trim(&A) > 8 << 20);
    sound(&A);
}

int main(void) {
    RUN(a_stopped_grower_keeps_nobody_but_growers_waiting);
    RUN(who_needs_a_stopped_ones_hole_is_told_by_whom);
    fixture_detach(&A);
    fixture_end();
    return SUMMARY();
}
