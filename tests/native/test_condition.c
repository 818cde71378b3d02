// variants: plain asan
/* What a condition promises to those who wait and notify in turns; deaths and schedules have tests of their own. */
#include "sync_fixture.h"

static struct aipc_condition *at(int i) { return sync_at(i); }

static void begin(int count) {
    static const struct aipc_condition image;
    sync_make(count, AIPC_TYPE_CONDITION, &image, sizeof image, sizeof image);
}

static uint32_t stand(int i) {
    uint32_t node;
    OK(aipc_condition_stand(ctxs[i], at(i), bell[i], 1, &node));
    CHECK_EQ(aipc_condition_look(ctxs[i], at(i), node), AIPC_AGAIN);
    return node;
}
static aipc_status look(int i, uint32_t node) { return aipc_condition_look(ctxs[i], at(i), node); }
static void cancel(int i, uint32_t node) { OK(aipc_condition_cancel(ctxs[i], at(i), node)); }
static void notify(int i, uint32_t count) { OK(aipc_condition_notify(ctxs[i], at(i), count)); }

/* ---- notifying ----------------------------------------------------------------------------------- */

static void the_longest_waiting_are_notified_first(void) {
    begin(3);
    const uint32_t nodes[3] = {stand(2), stand(1), stand(0)};
    notify(0, 2);
    CHECK_EQ(aipc_condition_waiting(at(0)), 1);
    CHECK(aipc_condition_notified(&segs[2], nodes[0]) && aipc_condition_notified(&segs[1], nodes[1]));
    CHECK(!aipc_condition_notified(&segs[0], nodes[2]));
    sync_sound();
    OK(look(1, nodes[1]));
    OK(look(2, nodes[0]));
    CHECK_EQ(look(0, nodes[2]), AIPC_AGAIN);
    notify(1, 1);
    OK(look(0, nodes[2]));
    CHECK_EQ(at(0)->contended, 3);
    CHECK_EQ(at(0)->notified, 3);
    sync_end();
}

static void a_notification_is_not_kept_for_who_comes_later(void) {
    begin(2);
    notify(0, 1);
    notify(0, AIPC_EVERYBODY);
    const uint32_t node = stand(1);
    notify(0, 0);
    CHECK_EQ(look(1, node), AIPC_AGAIN);
    cancel(1, node);
    sync_end();
}

static void two_notifications_are_for_two(void) {
    begin(2);
    const uint32_t first = stand(1), second = stand(1);
    notify(0, 1);
    notify(0, 1); /* the first has one, and has not looked */
    OK(look(1, first));
    OK(look(1, second));
    sync_end();
}

static void who_sleeps_is_rung(void) {
    begin(3);
    const uint32_t first = stand(1), second = stand(2);
    CHECK(sync_asleep(1) && sync_asleep(2));
    notify(0, 1);
    CHECK(sync_rung(1) && !sync_rung(2));
    CHECK_EQ(sync_collect(1), 1);
    CHECK_EQ(sync_collect(1), 0);
    OK(look(1, first)); /* collected, and still its own */
    notify(0, AIPC_EVERYBODY);
    CHECK(sync_rung(2));
    OK(look(2, second));
    sync_end();
}

static void somebody_who_came_while_others_were_rung_is_not_notified(void) {
    begin(2);
    const uint32_t first = stand(1), late = stand(1);
    segs[1].nodes[late - 1].since = UINT64_MAX - 1;
    notify(0, AIPC_EVERYBODY);
    OK(look(1, first));
    CHECK_EQ(look(1, late), AIPC_AGAIN);
    cancel(1, late);
    sync_end();
}

/* As many as the slab holds, in two processes; a hold of the lock serves 64 of them. */
static void everybody_is_notified(void) {
    enum { MOST = 8192 };
    static uint32_t nodes[MOST];
    fixture_size = 16 * 1024 * 1024;
    begin(2);
    const uint32_t count = segs[0].node_count < MOST ? segs[0].node_count : MOST;
    CHECK(count > 5000);
    for (uint32_t n = 0; n < count; n++) {
        const int i = n % 3 == 0;
        OK(aipc_condition_stand(ctxs[i], at(i), bell[i], n, &nodes[n]));
    }
    uint32_t none;
    if (count == segs[0].node_count)
        CHECK_EQ(aipc_condition_stand(ctxs[0], at(0), bell[0], 1, &none), AIPC_NO_WAITER);
    notify(0, AIPC_EVERYBODY);
    CHECK_EQ(aipc_condition_waiting(at(0)), 0);
    sync_sound();
    for (uint32_t n = 0; n < count; n++) OK(look(n % 3 == 0, nodes[n]));
    sync_end();
    fixture_size = FIXTURE_SIZE;
}

/* ---- giving up ----------------------------------------------------------------------------------- */

static void a_cancelled_notification_goes_to_the_next(void) {
    begin(3);
    const uint32_t first = stand(1), second = stand(2), third = stand(1);
    CHECK(sync_asleep(2));
    notify(0, 1);
    cancel(1, first);
    CHECK(sync_rung(2));
    CHECK_EQ(look(1, third), AIPC_AGAIN);
    OK(look(2, second));
    notify(0, 1);
    cancel(1, third); /* the last */
    sync_end();
}

static void a_cancelled_wait_without_one_wakes_nobody(void) {
    begin(3);
    const uint32_t first = stand(1), second = stand(2);
    CHECK(sync_asleep(2));
    cancel(1, first);
    CHECK(!sync_rung(2));
    notify(0, 1);
    OK(look(2, second));
    sync_end();
}

static void who_leaves_passes_on_what_it_got(void) {
    begin(3);
    (void)stand(1);
    const uint32_t second = stand(2);
    (void)stand(1);
    const uint32_t fourth = stand(2);
    notify(0, 1);
    CHECK(sync_asleep(2));
    sync_go(1);
    CHECK(sync_rung(2));
    OK(look(2, second));
    CHECK_EQ(look(2, fourth), AIPC_AGAIN);
    cancel(2, fourth);
    sync_go(2);
    sync_count = 1;
    sync_end();
}

/* Half of the waiters leave at once with all the tokens there are. */
static void many_leave_with_what_they_got(void) {
    enum { EACH = 50 };
    uint32_t nodes[EACH];
    begin(3);
    for (int n = 0; n < EACH; n++) (void)stand(1);
    for (int n = 0; n < EACH; n++) nodes[n] = stand(2);
    notify(0, EACH);
    CHECK(sync_asleep(2));
    sync_go(1);
    CHECK(sync_rung(2));
    for (int n = 0; n < EACH; n++) OK(look(2, nodes[n]));
    sync_go(2);
    sync_count = 1;
    sync_end();
}

/* ---- behind a stopped process -------------------------------------------------------------------- */

static void a_cancellation_does_not_fail(void) {
    begin(3);
    const uint32_t first = stand(1), second = stand(2);
    notify(0, 1);
    CHECK(sync_asleep(2));
    sync_stall(0);
    cancel(1, first); /* its token stays behind */
    CHECK(sync_rung(2));
    CHECK_EQ(look(2, second), AIPC_STALLED);
    CHECK_EQ(aipc_condition_notify(ctxs[2], at(2), 1), AIPC_STALLED);
    sync_unstall(0);
    OK(look(2, second));
    CHECK_EQ(at(0)->withdrawn, 0);
    sync_end();
}

static void who_withdrew_is_not_notified(void) {
    begin(3);
    const uint32_t first = stand(1), second = stand(2);
    sync_stall(0);
    cancel(1, first);
    sync_unstall(0);
    notify(0, 1);
    OK(look(2, second));
    CHECK_EQ(at(0)->waiters.length, 0);
    sync_end();
}

static void what_was_withdrawn_alone_is_not_for_who_comes_later(void) {
    begin(3);
    const uint32_t first = stand(1);
    notify(0, 1);
    sync_stall(0);
    cancel(1, first);
    sync_unstall(0);
    const uint32_t late = stand(2);
    CHECK_EQ(look(2, late), AIPC_AGAIN);
    cancel(2, late);
    sync_end();
}

/* More than one hold of the lock sweeps. */
static void many_withdraw(void) {
    enum { EACH = 60 };
    uint32_t gone[2 * EACH], left[EACH];
    fixture_size = 1024 * 1024;
    begin(3);
    for (int n = 0; n < EACH; n++) gone[n] = stand(1);
    for (int n = 0; n < EACH; n++) {
        left[n] = stand(2);
        gone[EACH + n] = stand(1);
    }
    notify(0, EACH);
    sync_stall(0);
    segs[1].stall_ns = 0;
    for (int n = 0; n < 2 * EACH; n++) cancel(1, gone[n]);
    sync_unstall(0);
    for (int n = 0; n < EACH; n++) OK(look(2, left[n]));
    sync_end();
    fixture_size = FIXTURE_SIZE;
}

static void who_withdrew_and_leaves_passes_on_what_it_got(void) {
    begin(3);
    const uint32_t first = stand(1), second = stand(2);
    notify(0, 1);
    sync_stall(0);
    cancel(1, first);
    sync_unstall(0);
    sync_go(1);
    CHECK(aipc_condition_notified(&segs[2], second));
    OK(look(2, second));
    sync_go(2);
    sync_count = 1;
    sync_end();
}

/* ---- the end ------------------------------------------------------------------------------------- */

static void a_destroyed_condition_wakes_everybody(void) {
    uint32_t none;
    begin(3);
    const uint32_t first = stand(1), second = stand(2);
    notify(0, 1);
    CHECK(sync_asleep(1) && sync_asleep(2));
    const uint32_t epoch = aipc_watch_epoch(&segs[1]);
    OK(aipc_condition_close(ctxs[0], at(0)));
    CHECK(sync_rung(1) && sync_rung(2));
    CHECK(aipc_watch_epoch(&segs[1]) != epoch);
    OK(look(1, first)); /* it was notified before */
    CHECK_EQ(look(2, second), AIPC_CLOSED);
    CHECK_EQ(aipc_condition_stand(ctxs[2], at(2), bell[2], 1, &none), AIPC_CLOSED);
    sync_end();
}

static void it_is_closed_behind_a_stopped_process(void) {
    begin(3);
    const uint32_t node = stand(2);
    CHECK(sync_asleep(2));
    sync_stall(0);
    OK(aipc_condition_close(ctxs[1], at(1)));
    CHECK(sync_rung(2));
    sync_unstall(0);
    CHECK_EQ(look(2, node), AIPC_CLOSED);
    sync_end();
}

/* ---- checking ------------------------------------------------------------------------------------ */

static void each_invariant_is_checked(void) {
    begin(2);
    const uint32_t first = stand(1), second = stand(1);
    notify(0, 1);
    struct aipc_node *nodes = segs[0].nodes - 1;
    sync_sound();
    nodes[second].got = AIPC_GOT_TOKEN;
    CHECK_EQ(sync_findings("N2"), 1);
    nodes[second].got = nodes[first].got = 0;
    CHECK_EQ(sync_findings("N2"), 1);
    nodes[first].got = AIPC_GOT_TOKEN;
    nodes[first].want += 8;
    CHECK_EQ(sync_findings("N2"), 1);
    nodes[first].want -= 8;
    at(0)->waiters.length++;
    CHECK(sync_findings("W2") > 0);
    at(0)->waiters.length--;
    at(0)->own.word = 1 << 20;
    CHECK(sync_findings("K1") > 0);
    at(0)->own.word = 0;
    cancel(1, first);
    OK(look(1, second));
    sync_end();
}

static void a_token_of_a_queue_that_is_none_is_noticed(void) {
    begin(2);
    const uint32_t first = stand(1), second = stand(1);
    notify(0, 1);
    struct aipc_node *node = &segs[0].nodes[first - 1];
    const uint64_t want = node->want, wrong[] = {want + 4, UINT64_MAX, fixture_size, want - sizeof(struct aipc_lock)};
    for (int n = 0; n < 3; n++) {
        node->want = wrong[n];
        CHECK_EQ(aipc_condition_cancel(ctxs[1], at(1), first), AIPC_CORRUPT);
        CHECK_EQ(strncmp(segs[1].fault.what, "W1", 2), 0);
    }
    node->want = want;
    cancel(1, first);
    OK(look(1, second));
    CHECK_EQ(look(1, second), AIPC_CORRUPT); /* its node is gone */
    CHECK_EQ(aipc_condition_cancel(ctxs[1], at(1), second), AIPC_CORRUPT);
    sync_end();
}

int main(void) {
    RUN(the_longest_waiting_are_notified_first);
    RUN(a_notification_is_not_kept_for_who_comes_later);
    RUN(two_notifications_are_for_two);
    RUN(who_sleeps_is_rung);
    RUN(somebody_who_came_while_others_were_rung_is_not_notified);
    RUN(everybody_is_notified);
    RUN(a_cancelled_notification_goes_to_the_next);
    RUN(a_cancelled_wait_without_one_wakes_nobody);
    RUN(who_leaves_passes_on_what_it_got);
    RUN(many_leave_with_what_they_got);
    RUN(a_cancellation_does_not_fail);
    RUN(who_withdrew_is_not_notified);
    RUN(what_was_withdrawn_alone_is_not_for_who_comes_later);
    RUN(many_withdraw);
    RUN(who_withdrew_and_leaves_passes_on_what_it_got);
    RUN(a_destroyed_condition_wakes_everybody);
    RUN(it_is_closed_behind_a_stopped_process);
    RUN(each_invariant_is_checked);
    RUN(a_token_of_a_queue_that_is_none_is_noticed);
    return SUMMARY();
}
