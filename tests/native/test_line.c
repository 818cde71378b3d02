// variants: plain asan
/* Lines without anything to wait for: who is woken, who goes back, who leaves, and for whom something is set aside. */
#include "sync_fixture.h"

enum { TYPE = 77 };

static struct aipc_line *line_at(int i) { return sync_at(i); }

static void begin(int count) {
    static const struct aipc_line image;
    sync_make(count, TYPE, &image, sizeof image, sizeof image);
}

static uint32_t stand(int i) {
    uint32_t node;
    OK(aipc_line_stand(ctxs[i], line_at(i), bell[i], 7, &node));
    return node;
}
static void again(int i, uint32_t node) { OK(aipc_line_again(ctxs[i], line_at(i), node)); }
static void leave(int i, uint32_t node) { OK(aipc_line_leave(ctxs[i], line_at(i), node)); }
static void wake(int i, uint32_t count) { OK(aipc_line_wake(ctxs[i], line_at(i), count)); }

static bool notified(uint32_t node) { return segs[0].nodes[node - 1].state == AIPC_NODE_NOTIFIED; }
static bool asleep(void) { return aipc_line_asleep(line_at(0)); }
static uint64_t reserved(uint32_t node) { return aipc_line_reserved(line_at(0), node); }
static uint32_t recoveries(void) { return aipc_load_seq_cst32(&segs[0].header->recoveries); }

/* ---- who is woken --------------------------------------------------------------------------------- */

static void a_wake_reaches_the_first_that_sleep(void) {
    begin(2);
    uint32_t first = stand(1), second = stand(0), third = stand(1);
    wake(0, 2);
    CHECK(notified(first) && notified(second) && !notified(third) && asleep());
    wake(0, 1);
    CHECK(notified(third));
    CHECK_EQ(sync_collect(1), 2);
    CHECK_EQ(sync_collect(0), 1);
    leave(1, first), leave(0, second), leave(1, third);
    sync_end();
}

static void a_sleeper_is_rung_and_only_a_sleeper(void) {
    begin(2);
    uint32_t node = stand(1);
    wake(0, 1);
    CHECK_EQ(aipc_os_poll2(bell_fd[1], -1, 0), AIPC_AGAIN);
    CHECK(aipc_bell_arm(&segs[1], bell[1])); /* but who is about to sleep sees it */
    aipc_bell_woken(&segs[1], bell[1]);
    CHECK_EQ(sync_collect(1), 1);
    again(1, node);
    CHECK(!aipc_bell_arm(&segs[1], bell[1]));
    wake(0, 1);
    OK(aipc_os_poll2(bell_fd[1], -1, 0));
    leave(1, node);
    sync_end();
}

static void who_looked_in_vain_keeps_its_place(void) {
    begin(2);
    uint32_t first = stand(1), second = stand(0);
    wake(0, 1);
    CHECK_EQ(sync_collect(1), 1);
    again(1, first);
    wake(0, 1);
    CHECK(notified(first) && !notified(second));
    leave(1, first), leave(0, second);
    sync_end();
}

static void nothing_is_owed_while_nobody_sleeps(void) {
    begin(2);
    CHECK(!asleep());
    uint32_t node = stand(1), other = stand(0);
    CHECK(asleep());
    wake(0, AIPC_EVERYBODY);
    CHECK(!asleep());
    again(1, node);
    CHECK(asleep());
    leave(1, node), leave(0, other);
    CHECK(!asleep());
    sync_end();
}

static void everybody_is_everybody(void) {
    enum { WAITERS = 100, RUNGS = 40 }; /* more than one hold of the lock notifies, and more than it rings */
    uint32_t nodes[WAITERS], bells[RUNGS];
    int fd;
    begin(2);
    for (int i = 0; i < RUNGS; i++) OK(aipc_bell_take(&segs[1], &bells[i], &fd));
    for (int i = 0; i < WAITERS; i++)
        OK(aipc_line_stand(ctxs[1], line_at(1), bells[i % RUNGS], 7, &nodes[i]));
    wake(0, AIPC_EVERYBODY);
    for (int i = 0; i < WAITERS; i++) CHECK(notified(nodes[i]));
    CHECK(!asleep());
    for (int i = 0; i < WAITERS; i++) leave(1, nodes[i]);
    sync_end();
}

static void the_slab_can_be_used_up(void) {
    uint32_t node, nodes[FIXTURE_SIZE / 2048];
    begin(1);
    for (uint32_t i = 0; i < segs[0].node_count; i++) nodes[i] = stand(0);
    CHECK_EQ(aipc_line_stand(ctxs[0], line_at(0), bell[0], 7, &node), AIPC_NO_WAITER);
    for (uint32_t i = 0; i < segs[0].node_count; i++) leave(0, nodes[i]);
    sync_end();
}

/* ---- for whom something is set aside --------------------------------------------------------------- */

static void nothing_is_set_aside_for_who_has_just_come(void) {
    begin(2);
    uint32_t node = stand(1);
    wake(0, 1);
    CHECK(aipc_os_now() - segs[0].nodes[node - 1].since >= AIPC_LINE_ORDER_AFTER_NS || reserved(AIPC_NO_NODE) == 0);
    leave(1, node);
    sync_end();
}

static void one_is_set_aside_for_who_stands_first_for_long(void) {
    begin(3);
    uint32_t first = stand(1), second = stand(2);
    sync_age(1, first);
    CHECK_EQ(reserved(AIPC_NO_NODE), 0); /* not before there is something */
    wake(0, 1);
    CHECK_EQ(reserved(AIPC_NO_NODE), 1);
    CHECK_EQ(reserved(second), 1);
    CHECK_EQ(reserved(first), 0);
    leave(2, second);
    CHECK_EQ(reserved(AIPC_NO_NODE), 1);
    leave(1, first);
    CHECK_EQ(reserved(AIPC_NO_NODE), 0);
    sync_end();
}

static void who_goes_on_waiting_gets_something_set_aside(void) {
    begin(2);
    uint32_t node = stand(1);
    sync_age(1, node);
    again(1, node);
    CHECK_EQ(reserved(AIPC_NO_NODE), 1);
    CHECK_EQ(reserved(node), 0);
    leave(1, node);
    sync_end();
}

static void when_the_first_leaves_it_is_the_next_ones(void) {
    begin(3);
    uint32_t first = stand(1), second = stand(2);
    sync_age(2, second);
    wake(0, 1);
    CHECK_EQ(reserved(second), 0);
    leave(1, first);
    CHECK_EQ(reserved(second), 0);
    CHECK_EQ(reserved(AIPC_NO_NODE), 1);
    leave(2, second);
    sync_end();
}

/* ---- behind one that is stopped --------------------------------------------------------------------- */

static void nobody_who_gave_up_has_anything_set_aside(void) {
    begin(3);
    uint32_t first = stand(1), second = stand(0), before = recoveries();
    sync_age(1, first);
    wake(0, 1);
    CHECK_EQ(reserved(second), 1);
    sync_stall(2);
    leave(1, first); /* cannot, but does not fail */
    CHECK_EQ(reserved(second), 0);
    CHECK_EQ(recoveries(), before + 1); /* all look: its wake-up is everybody's */
    sync_unstall(2);
    again(0, second);
    CHECK_EQ(reserved(second), 0);
    CHECK_EQ(reserved(AIPC_NO_NODE), 0);
    wake(2, 1); /* finds it and goes on to the next */
    CHECK(notified(second));
    CHECK_EQ(line_at(0)->queue.length, 1);
    leave(0, second);
    sync_end();
}

static void a_wake_that_cannot_reach_the_line_reaches_everybody(void) {
    begin(3);
    uint32_t node = stand(1), before = recoveries();
    CHECK(!aipc_bell_arm(&segs[1], bell[1]));
    sync_stall(2);
    wake(0, 1);
    CHECK_EQ(recoveries(), before + 1);
    OK(aipc_os_poll2(bell_fd[1], -1, 0));
    CHECK_EQ(aipc_line_again(ctxs[1], line_at(1), node), AIPC_STALLED);
    sync_unstall(2);
    leave(1, node);
    sync_end();
}

/* ---- death ------------------------------------------------------------------------------------------ */

/* Two participants that stand first for long, and are gone. */
static void stand_and_die(void) {
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        for (int i = 2; i < 4; i++) {
            fixture_attach(&segs[i]);
            sync_enter(i);
            sync_age(i, stand(i));
        }
        _exit(0);
    }
    CHECK(!harness_was_killed(pid));
}

static void nothing_is_set_aside_for_the_dead(void) {
    begin(2);
    stand_and_die();
    CHECK_EQ(line_at(0)->queue.length, 2);
    uint32_t node = stand(0);
    wake(1, 1);
    CHECK_EQ(reserved(node), 1);
    OK(aipc_line_recover(ctxs[1], line_at(1)));
    CHECK_EQ(line_at(0)->queue.length, 1);
    CHECK_EQ(reserved(node), 0);
    OK(aipc_line_recover(ctxs[1], line_at(1))); /* the living are left alone */
    CHECK_EQ(line_at(0)->queue.length, 1);
    leave(0, node);
    OK(aipc_line_recover(ctxs[1], line_at(1)));
    sync_end();
}

static void who_detaches_leaves_the_line(void) {
    begin(2);
    sync_age(1, stand(1));
    wake(0, 1);
    CHECK_EQ(reserved(AIPC_NO_NODE), 1);
    sync_go(1);
    sync_count = 1;
    CHECK_EQ(reserved(AIPC_NO_NODE), 0);
    CHECK_EQ(line_at(0)->queue.length, 0);
    sync_end();
}

/* ---- damage ----------------------------------------------------------------------------------------- */

static uint64_t found(const char *what) {
    uint64_t count = 0;
    sync_report = (aipc_report){0};
    OK(aipc_line_check(ctxs[0], line_at(0), &sync_report));
    for (uint64_t i = 0; i < sync_report.findings; i++) count += strcmp(sync_report.finding[i].what, what) == 0;
    return count;
}

static void damage_is_found(void) {
    begin(1);
    uint32_t node = stand(0), other = stand(0);
    CHECK_EQ(found("W2 length of a line"), 0);
    line_at(0)->queue.length = 3;
    CHECK_EQ(found("W2 length of a line"), 1);
    line_at(0)->queue.length = UINT32_MAX; /* and a circle: the walk ends all the same */
    segs[0].nodes[other - 1].next = node;
    CHECK_EQ(found("W2 length of a line"), 1);
    segs[0].nodes[other - 1].next = AIPC_NO_NODE;
    line_at(0)->queue.length = 2;
    line_at(0)->asleep = 2;
    CHECK_EQ(found("N1 asleep"), 1);
    line_at(0)->asleep = 1;
    line_at(0)->ordered = 9;
    CHECK_EQ(found("N1 ordered"), 1);
    line_at(0)->ordered = 0;
    CHECK_EQ(aipc_line_again(ctxs[0], line_at(0), 0), AIPC_CORRUPT);
    CHECK_EQ(aipc_line_again(ctxs[0], line_at(0), segs[0].node_count), AIPC_CORRUPT);
    CHECK_EQ(aipc_line_leave(ctxs[0], line_at(0), UINT32_MAX), AIPC_CORRUPT);
    leave(0, node), leave(0, other);
    sync_end();
}

int main(void) {
    RUN(a_wake_reaches_the_first_that_sleep);
    RUN(a_sleeper_is_rung_and_only_a_sleeper);
    RUN(who_looked_in_vain_keeps_its_place);
    RUN(nothing_is_owed_while_nobody_sleeps);
    RUN(everybody_is_everybody);
    RUN(the_slab_can_be_used_up);
    RUN(nothing_is_set_aside_for_who_has_just_come);
    RUN(one_is_set_aside_for_who_stands_first_for_long);
    RUN(who_goes_on_waiting_gets_something_set_aside);
    RUN(when_the_first_leaves_it_is_the_next_ones);
    RUN(nobody_who_gave_up_has_anything_set_aside);
    RUN(a_wake_that_cannot_reach_the_line_reaches_everybody);
    RUN(nothing_is_set_aside_for_the_dead);
    RUN(who_detaches_leaves_the_line);
    RUN(damage_is_found);
    return SUMMARY();
}
