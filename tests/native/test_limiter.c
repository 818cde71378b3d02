// variants: plain asan
/* A limiter, one instant after another. */
#include "sync_fixture.h"

static struct aipc_limiter *at(int i) { return sync_at(i); }

static void begin(int count, uint64_t total) {
    struct aipc_limiter image;
    aipc_limiter_init(&image, total);
    sync_make(count, AIPC_TYPE_LIMITER, &image, sizeof image, aipc_limiter_object_size(FIXTURE_PARTICIPANTS));
}

static aipc_status borrow(int i, uint32_t node) { return aipc_limiter_try(ctxs[i], at(i), node); }
static aipc_status give(int i) { return aipc_limiter_give(ctxs[i], at(i)); }
static uint32_t stand(int i) {
    uint32_t node;
    OK(aipc_limiter_stand(ctxs[i], at(i), bell[i], 7, &node));
    return node;
}
static void leave(int i, uint32_t node) { OK(aipc_limiter_leave(ctxs[i], at(i), node)); }
static bool notified(uint32_t node) { return segs[0].nodes[node - 1].state == AIPC_NODE_NOTIFIED; }
static aipc_limiter_stats stats(int i) {
    aipc_limiter_stats s;
    aipc_limiter_stats_get(&segs[i], at(i), &s);
    return s;
}

static void no_more_is_borrowed_than_there_is(void) {
    begin(2, 2);
    OK(borrow(0, AIPC_NO_NODE));
    OK(borrow(1, AIPC_NO_NODE));
    CHECK_EQ(borrow(0, AIPC_NO_NODE), AIPC_AGAIN);
    CHECK_EQ(stats(0).borrowed, 2);
    CHECK_EQ(stats(0).mine, 1);
    OK(give(1));
    CHECK_EQ(give(1), AIPC_NOT_OWNER);
    OK(borrow(0, AIPC_NO_NODE));
    CHECK_EQ(aipc_limiter_borrowed_by(&segs[1], at(1), segs[0].slot), 2);
    CHECK_EQ(aipc_limiter_borrowed_by(&segs[1], at(1), segs[1].slot), 0);
    CHECK_EQ(aipc_limiter_borrowed_by(&segs[1], at(1), 999), 0);
    OK(give(0));
    OK(give(0));
    CHECK_EQ(give(0), AIPC_NOT_OWNER);
    sync_end();
}

static void there_may_be_no_limit(void) {
    begin(1, AIPC_LIMITER_NO_LIMIT);
    for (int i = 0; i < 1000; i++) OK(borrow(0, AIPC_NO_NODE));
    CHECK_EQ(stats(0).borrowed, 1000);
    CHECK_EQ(stats(0).total, AIPC_LIMITER_NO_LIMIT);
    sync_end();
}

static void what_is_given_back_wakes_a_sleeper(void) {
    begin(2, 1);
    OK(borrow(0, AIPC_NO_NODE));
    uint32_t first = stand(1), second = stand(1);
    CHECK_EQ(stats(0).waiters, 2);
    CHECK_EQ(stats(0).contended, 2);
    CHECK(!aipc_bell_arm(&segs[1], bell[1]));
    OK(give(0));
    OK(aipc_os_poll2(bell_fd[1], -1, 0));
    CHECK(notified(first) && !notified(second));
    leave(1, first); /* gave up: it is the next one's */
    CHECK(notified(second));
    OK(borrow(1, second));
    leave(1, second);
    sync_end();
}

static void one_is_set_aside_for_who_has_waited_longest(void) {
    begin(3, 2);
    OK(borrow(0, AIPC_NO_NODE));
    OK(borrow(0, AIPC_NO_NODE));
    uint32_t first = stand(1), second = stand(2);
    sync_age(1, first);
    OK(give(0));
    CHECK_EQ(borrow(0, AIPC_NO_NODE), AIPC_AGAIN);
    CHECK_EQ(aipc_limiter_try_recover(ctxs[0], at(0)), AIPC_AGAIN); /* it lives */
    CHECK_EQ(borrow(2, second), AIPC_AGAIN);
    OK(give(0));
    OK(borrow(2, second)); /* but one only */
    OK(borrow(1, first));
    leave(1, first), leave(2, second);
    sync_end();
}

/* Who gave it back was stopped before it could wake anybody: whoever comes wakes whom it is set aside for. */
static void a_token_set_aside_for_a_sleeper_is_told_of(void) {
    begin(3, 1);
    OK(borrow(0, AIPC_NO_NODE));
    uint32_t node = stand(1);
    sync_age(1, node);
    OK(aipc_line_again(ctxs[1], &at(1)->line, node));
    at(0)->holders[segs[0].slot] = 0;
    uint32_t other = stand(2);
    CHECK(notified(node) && !notified(other));
    OK(aipc_line_again(ctxs[1], &at(1)->line, node));
    CHECK_EQ(aipc_limiter_try_recover(ctxs[0], at(0)), AIPC_AGAIN);
    CHECK(notified(node));
    leave(1, node), leave(2, other);
    sync_end();
}

static void the_number_of_tokens_can_be_changed(void) {
    begin(2, 1);
    OK(borrow(0, AIPC_NO_NODE));
    uint32_t first = stand(1), second = stand(1), third = stand(1);
    OK(aipc_limiter_resize(ctxs[0], at(0), 3));
    CHECK(notified(first) && notified(second) && !notified(third));
    OK(borrow(1, first));
    OK(borrow(1, second));
    CHECK_EQ(borrow(1, third), AIPC_AGAIN);
    OK(aipc_limiter_resize(ctxs[0], at(0), 1));
    CHECK_EQ(stats(0).borrowed, 3);
    leave(1, first), leave(1, second);
    for (int i = 0; i < 2; i++) {
        OK(give(1));
        CHECK_EQ(borrow(1, third), AIPC_AGAIN);
    }
    OK(give(0));
    OK(borrow(1, third));
    OK(aipc_limiter_resize(ctxs[0], at(0), AIPC_LIMITER_NO_LIMIT));
    leave(1, third);
    sync_end();
}

static void nothing_fails_because_somebody_is_stopped(void) {
    begin(3, 1);
    OK(borrow(0, AIPC_NO_NODE));
    uint32_t first = stand(1), second = stand(1);
    sync_stall(2);
    OK(give(0));
    CHECK_EQ(stats(0).borrowed, 0);
    leave(1, first);
    OK(aipc_limiter_resize(ctxs[0], at(0), 2));
    CHECK_EQ(borrow(0, AIPC_NO_NODE), AIPC_STALLED);
    sync_unstall(2);
    OK(borrow(1, second));
    leave(1, second);
    uint32_t third = stand(0); /* behind the one that could not leave */
    OK(give(1));
    CHECK(notified(third));
    leave(0, third);
    sync_end();
}

/* ---- the end of a borrower -------------------------------------------------------------------------- */

static void borrow_and_die(void) {
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        fixture_attach(&segs[3]);
        sync_enter(3);
        OK(borrow(3, AIPC_NO_NODE));
        OK(borrow(3, AIPC_NO_NODE));
        _exit(0);
    }
    CHECK(!harness_was_killed(pid));
}

static void the_dead_have_borrowed_nothing(void) {
    begin(2, 2);
    borrow_and_die();
    uint32_t node = stand(0);
    CHECK_EQ(borrow(0, node), AIPC_AGAIN); /* nobody has looked at it yet */
    CHECK_EQ(stats(0).borrowed, 2);
    OK(aipc_limiter_try_recover(ctxs[1], at(1)));
    OK(borrow(0, node));
    CHECK_EQ(stats(0).borrowed, 2);
    CHECK_EQ(stats(0).mine, 1);
    CHECK_EQ(aipc_limiter_try_recover(ctxs[1], at(1)), AIPC_AGAIN);
    leave(0, node);
    OK(give(0));
    OK(give(1));
    borrow_and_die(); /* in the same slot */
    CHECK_EQ(stats(0).borrowed, 2);
    OK(aipc_limiter_try_recover(ctxs[1], at(1)));
    sync_end();
}

static void a_sleeper_learns_of_the_death(void) {
    begin(1, 2);
    borrow_and_die();
    uint32_t node = stand(0);
    while (borrow(0, node) == AIPC_AGAIN) {
        OK(aipc_line_again(ctxs[0], &at(0)->line, node));
        sync_sleep(0);
    }
    leave(0, node);
    sync_end();
}

static void who_detaches_has_borrowed_nothing(void) {
    begin(2, 1);
    OK(borrow(1, AIPC_NO_NODE));
    uint32_t node = stand(0);
    CHECK(!aipc_bell_arm(&segs[0], bell[0]));
    sync_go(1);
    OK(aipc_os_poll2(bell_fd[0], -1, 0));
    OK(borrow(0, node));
    leave(0, node);
    fixture_attach(&segs[1]); /* the same slot */
    sync_enter(1);
    CHECK_EQ(stats(1).mine, 0);
    CHECK_EQ(give(1), AIPC_NOT_OWNER);
    OK(give(0));
    OK(borrow(1, AIPC_NO_NODE));
    sync_end();
}

static void a_forked_child_has_borrowed_nothing(void) {
    begin(1, 2);
    OK(borrow(0, AIPC_NO_NODE));
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK_EQ(give(0), AIPC_FORKED);
        CHECK_EQ(borrow(0, AIPC_NO_NODE), AIPC_FORKED);
        _exit(0);
    }
    CHECK(!harness_was_killed(pid));
    CHECK_EQ(stats(0).borrowed, 1);
    OK(give(0));
    sync_end();
}

static void damage_is_found(void) {
    begin(1, 2);
    uint64_t *own = &at(0)->holders[segs[0].slot], *other = &at(0)->holders[5];
    OK(borrow(0, AIPC_NO_NODE));
    CHECK_EQ(sync_findings("T"), 0);
    *other = UINT64_MAX;
    CHECK_EQ(sync_findings("T2"), 1);
    CHECK_EQ(stats(0).borrowed, 1);
    *other = 0;
    at(0)->total = AIPC_LIMITER_NO_LIMIT;
    *own |= UINT32_MAX;
    CHECK_EQ(borrow(0, AIPC_NO_NODE), AIPC_CORRUPT);
    *own = 0;
    CHECK_EQ(give(0), AIPC_NOT_OWNER);
    at(0)->line.asleep = 7;
    CHECK_EQ(sync_findings("N1"), 1);
    at(0)->line.asleep = 0;
    sync_end();
    struct aipc_limiter image = {.total = 1};
    sync_make(1, AIPC_TYPE_LIMITER, &image, sizeof image, sizeof image);
    CHECK_EQ(sync_findings("C1"), 1); /* too small */
    sync_leave();
}

int main(void) {
    RUN(no_more_is_borrowed_than_there_is);
    RUN(there_may_be_no_limit);
    RUN(what_is_given_back_wakes_a_sleeper);
    RUN(one_is_set_aside_for_who_has_waited_longest);
    RUN(a_token_set_aside_for_a_sleeper_is_told_of);
    RUN(the_number_of_tokens_can_be_changed);
    RUN(nothing_fails_because_somebody_is_stopped);
    RUN(the_dead_have_borrowed_nothing);
    RUN(a_sleeper_learns_of_the_death);
    RUN(who_detaches_has_borrowed_nothing);
    RUN(a_forked_child_has_borrowed_nothing);
    RUN(damage_is_found);
    fixture_end();
    return SUMMARY();
}
