// variants: plain asan
/* A semaphore, one instant after another. */
#include "sync_fixture.h"

static struct aipc_semaphore *at(int i) { return sync_at(i); }

static void begin(int count, uint64_t value, uint64_t bound) {
    struct aipc_semaphore image;
    aipc_semaphore_init(&image, value, bound);
    sync_make(count, AIPC_TYPE_BOUNDED_SEMAPHORE, &image, sizeof image, sizeof image);
}

static aipc_status take(int i, uint32_t node) { return aipc_semaphore_try(at(i), node); }
static uint32_t stand(int i) {
    uint32_t node;
    OK(aipc_semaphore_stand(ctxs[i], at(i), bell[i], 7, &node));
    return node;
}
static void leave(int i, uint32_t node) { OK(aipc_semaphore_leave(ctxs[i], at(i), node)); }
static void add(int i, uint32_t count) {
    OK(aipc_semaphore_add(at(i), count));
    if (aipc_line_asleep(&at(i)->line)) OK(aipc_line_wake(ctxs[i], &at(i)->line, count));
}
static bool notified(uint32_t node) { return segs[0].nodes[node - 1].state == AIPC_NODE_NOTIFIED; }

static void there_are_as_many_permits_as_were_put_in(void) {
    begin(2, 2, 3);
    OK(take(0, AIPC_NO_NODE));
    OK(take(1, AIPC_NO_NODE));
    CHECK_EQ(take(0, AIPC_NO_NODE), AIPC_AGAIN);
    add(1, 3);
    for (int i = 0; i < 3; i++) OK(take(i % 2, AIPC_NO_NODE));
    CHECK_EQ(take(1, AIPC_NO_NODE), AIPC_AGAIN);
    sync_end();
}

static void the_bound_is_never_exceeded(void) {
    begin(1, 1, 3);
    CHECK_EQ(aipc_semaphore_add(at(0), 3), AIPC_INVALID);
    CHECK_EQ(aipc_semaphore_add(at(0), UINT64_MAX), AIPC_INVALID);
    CHECK_EQ(at(0)->value, 1);
    OK(aipc_semaphore_add(at(0), 2));
    CHECK_EQ(aipc_semaphore_add(at(0), 1), AIPC_INVALID);
    OK(aipc_semaphore_add(at(0), 0));
    sync_end();
    begin(1, AIPC_SEMAPHORE_MAX, AIPC_SEMAPHORE_MAX);
    CHECK_EQ(aipc_semaphore_add(at(0), 1), AIPC_INVALID);
    OK(take(0, AIPC_NO_NODE));
    sync_end();
}

static void a_permit_wakes_a_sleeper(void) {
    begin(2, 0, 5);
    uint32_t first = stand(1), second = stand(1);
    CHECK_EQ(take(1, first), AIPC_AGAIN);
    CHECK(!aipc_bell_arm(&segs[1], bell[1]));
    add(0, 1);
    OK(aipc_os_poll2(bell_fd[1], -1, 0));
    CHECK(notified(first) && !notified(second));
    OK(take(1, first));
    leave(1, first);
    CHECK(!notified(second));
    leave(1, second);
    sync_end();
}

static void who_leaves_with_permits_left_wakes_the_next(void) {
    begin(2, 0, 5);
    uint32_t first = stand(1), second = stand(0);
    add(0, 1);
    CHECK(notified(first) && !notified(second));
    leave(1, first); /* gave up */
    CHECK(notified(second));
    OK(take(0, second));
    leave(0, second);
    sync_end();
}

static void a_running_process_may_be_faster_at_first(void) {
    begin(2, 0, 1);
    uint32_t node = stand(1);
    OK(aipc_semaphore_add(at(0), 1));
    OK(take(0, AIPC_NO_NODE));
    CHECK_EQ(take(1, node), AIPC_AGAIN);
    OK(aipc_line_again(ctxs[1], &at(1)->line, node));
    leave(1, node);
    sync_end();
}

static void after_a_millisecond_it_is_not(void) {
    begin(3, 0, 1);
    uint32_t node = stand(1), other = stand(2);
    sync_age(1, node);
    add(0, 1);
    CHECK_EQ(take(0, AIPC_NO_NODE), AIPC_AGAIN);
    CHECK_EQ(aipc_semaphore_try_recover(ctxs[0], at(0)), AIPC_AGAIN); /* it lives */
    CHECK_EQ(take(2, other), AIPC_AGAIN);
    OK(take(1, node));
    leave(1, node), leave(2, other);
    sync_end();
}

/* Who added it was stopped before it could wake anybody: whoever comes wakes whom it is set aside for. */
static void a_permit_set_aside_for_a_sleeper_is_told_of(void) {
    begin(3, 0, 1);
    uint32_t node = stand(1);
    sync_age(1, node);
    OK(aipc_line_again(ctxs[1], &at(1)->line, node));
    OK(aipc_semaphore_add(at(0), 1));
    CHECK_EQ(take(2, AIPC_NO_NODE), AIPC_AGAIN);
    CHECK(!notified(node) && !aipc_bell_arm(&segs[1], bell[1]));
    uint32_t other = stand(2);
    CHECK(notified(node) && !notified(other));
    OK(aipc_os_poll2(bell_fd[1], -1, 0));
    OK(aipc_line_again(ctxs[1], &at(1)->line, node)); /* as if it had slept again */
    CHECK_EQ(aipc_semaphore_try_recover(ctxs[0], at(0)), AIPC_AGAIN);
    CHECK(notified(node));
    OK(take(1, node));
    leave(1, node), leave(2, other);
    sync_end();
}

static void one_that_does_not_run_costs_one_permit(void) {
    begin(3, 0, 3);
    uint32_t stopped = stand(1), second = stand(2);
    sync_age(1, stopped);
    add(0, 1);
    add(0, 1);
    CHECK(notified(stopped) && notified(second));
    OK(take(2, second));
    leave(2, second);
    add(0, 1);
    OK(take(0, AIPC_NO_NODE));
    CHECK_EQ(take(0, AIPC_NO_NODE), AIPC_AGAIN);
    OK(take(1, stopped));
    leave(1, stopped);
    sync_end();
}

static void what_was_set_aside_for_who_gave_up_is_the_next_ones(void) {
    begin(3, 0, 3);
    uint32_t first = stand(1), second = stand(2);
    sync_age(1, first);
    add(0, 1);
    CHECK_EQ(take(2, second), AIPC_AGAIN);
    OK(aipc_line_again(ctxs[2], &at(2)->line, second));
    leave(1, first);
    CHECK(notified(second));
    OK(take(2, second));
    leave(2, second);
    sync_end();
}

static void a_release_and_a_cancellation_do_not_fail_because_somebody_is_stopped(void) {
    begin(3, 0, 3);
    uint32_t first = stand(1), second = stand(1);
    sync_stall(2);
    add(0, 1);
    leave(1, first);
    OK(take(1, second));
    CHECK_EQ(aipc_line_stand(ctxs[0], &at(0)->line, bell[0], 7, &first), AIPC_STALLED);
    sync_unstall(2);
    leave(1, second);
    uint32_t third = stand(0); /* behind the one that could not leave */
    add(0, 1);
    CHECK(notified(third));
    OK(take(0, third));
    leave(0, third);
    sync_end();
}

/* A process that takes one permit, stands first for long, and is gone. */
static void die_in_line(void) {
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        fixture_attach(&segs[3]);
        sync_enter(3);
        OK(take(3, AIPC_NO_NODE));
        sync_age(3, stand(3));
        _exit(0);
    }
    CHECK(!harness_was_killed(pid));
}

static void what_the_dead_had_taken_stays_taken(void) {
    begin(2, 1, 3);
    die_in_line();
    CHECK_EQ(take(0, AIPC_NO_NODE), AIPC_AGAIN);
    add(0, 1);
    CHECK_EQ(take(0, AIPC_NO_NODE), AIPC_AGAIN); /* set aside for the dead one */
    OK(aipc_semaphore_try_recover(ctxs[0], at(0)));
    CHECK_EQ(aipc_semaphore_try_recover(ctxs[0], at(0)), AIPC_AGAIN);
    sync_end();
}

static void damage_is_found(void) {
    begin(1, 1, 3);
    CHECK_EQ(sync_findings("S1"), 0);
    at(0)->value = 4;
    CHECK_EQ(sync_findings("S1"), 1);
    CHECK_EQ(aipc_semaphore_add(at(0), 1), AIPC_INVALID);
    at(0)->bound = UINT64_MAX;
    CHECK_EQ(sync_findings("S1"), 1);
    at(0)->bound = 5;
    at(0)->line.asleep = 7;
    CHECK_EQ(sync_findings("N1"), 1);
    at(0)->line.asleep = 0;
    sync_end();
    struct aipc_semaphore image;
    aipc_semaphore_init(&image, 1, 1);
    sync_make(1, AIPC_TYPE_SEMAPHORE, &image, 32, 32);
    CHECK_EQ(sync_findings("C1"), 1); /* too small */
    sync_leave();
}

int main(void) {
    RUN(there_are_as_many_permits_as_were_put_in);
    RUN(the_bound_is_never_exceeded);
    RUN(a_permit_wakes_a_sleeper);
    RUN(who_leaves_with_permits_left_wakes_the_next);
    RUN(a_running_process_may_be_faster_at_first);
    RUN(after_a_millisecond_it_is_not);
    RUN(a_permit_set_aside_for_a_sleeper_is_told_of);
    RUN(one_that_does_not_run_costs_one_permit);
    RUN(what_was_set_aside_for_who_gave_up_is_the_next_ones);
    RUN(a_release_and_a_cancellation_do_not_fail_because_somebody_is_stopped);
    RUN(what_the_dead_had_taken_stays_taken);
    RUN(damage_is_found);
    fixture_end();
    return SUMMARY();
}
