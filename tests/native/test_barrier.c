// variants: plain asan
/* What a barrier promises to those who come, wait and go in turns; deaths and schedules have tests of their own. */
#include "sync_fixture.h"

static struct aipc_barrier *at(int i) { return sync_at(i); }

static void begin(int count, uint64_t parties) {
    struct aipc_barrier image = {0};
    aipc_barrier_init(&image, parties);
    sync_make(count, AIPC_TYPE_BARRIER, &image, sizeof image, sizeof image);
}

static aipc_status arrive(int i, uint32_t *node, uint32_t *place) {
    *place = 99;
    return aipc_barrier_arrive(ctxs[i], at(i), bell[i], 1, node, place);
}
static uint32_t come(int i) {
    uint32_t node, place;
    CHECK_EQ(arrive(i, &node, &place), AIPC_AGAIN);
    CHECK_EQ(aipc_barrier_look(ctxs[i], at(i), node, &place), AIPC_AGAIN);
    return node;
}
static void come_last(int i) {
    uint32_t node, place;
    OK(arrive(i, &node, &place));
    CHECK_EQ(place, at(i)->parties - 1);
}
static aipc_status look(int i, uint32_t node) {
    uint32_t place;
    return aipc_barrier_look(ctxs[i], at(i), node, &place);
}
static void through(int i, uint32_t node, uint32_t expected) {
    uint32_t place;
    OK(aipc_barrier_look(ctxs[i], at(i), node, &place));
    CHECK_EQ(place, expected);
}
static void cancel(int i, uint32_t node) { OK(aipc_barrier_cancel(ctxs[i], at(i), node)); }
static void wait_now(int i, uint32_t expected, bool expected_broken) {
    uint32_t waiting;
    bool broken;
    OK(aipc_barrier_waiting(ctxs[i], at(i), &waiting, &broken));
    CHECK_EQ(waiting, expected);
    CHECK_EQ(broken, expected_broken);
}

/* ---- coming -------------------------------------------------------------------------------------- */

static void the_last_one_releases_all(void) {
    begin(3, 3);
    const uint32_t first = come(1), second = come(2);
    wait_now(0, 2, false);
    CHECK(sync_asleep(1) && sync_asleep(2));
    come_last(0);
    CHECK(sync_rung(1) && sync_rung(2));
    CHECK_EQ(sync_collect(1), 1);
    wait_now(0, 0, false);
    sync_sound();
    through(2, second, 1);
    through(1, first, 0);
    CHECK_EQ(at(0)->contended, 2);
    sync_end();
}

static void one_party_never_waits(void) {
    begin(1, 1);
    for (int n = 0; n < 3; n++) come_last(0);
    sync_end();
}

/* Also before those of the last cycle have looked. */
static void cycle_follows_cycle(void) {
    begin(3, 3);
    const uint32_t a = come(1), b = come(2);
    come_last(0);
    const uint32_t c = come(0), d = come(1);
    wait_now(0, 2, false);
    through(1, a, 0);
    come_last(2);
    sync_sound();
    through(2, b, 1);
    through(0, c, 0);
    through(1, d, 1);
    sync_end();
}

/* As many as the slab holds; a hold of the lock serves 64. */
static void many_parties_come(void) {
    enum { MOST = 8192 };
    static uint32_t nodes[MOST];
    fixture_size = 16 * 1024 * 1024;
    begin(2, MOST);
    const uint32_t count = segs[0].node_count < MOST ? segs[0].node_count - 10 : MOST - 1;
    CHECK(count > 5000);
    at(0)->parties = count + 1;
    for (int cycle = 0; cycle < 2; cycle++) {
        for (uint32_t n = 0; n < count; n++) {
            uint32_t place;
            CHECK_EQ(arrive(n % 3 == 0, &nodes[n], &place), AIPC_AGAIN);
        }
        come_last(0);
        sync_sound();
        for (uint32_t n = 0; n < count; n++) through(n % 3 == 0, nodes[n], n);
    }
    sync_end();
    fixture_size = FIXTURE_SIZE;
}

static void more_than_the_slab_holds_do_not_arrive(void) {
    uint32_t node, place;
    begin(1, 1000);
    uint32_t count = 0;
    aipc_status status;
    while ((status = arrive(0, &node, &place)) == AIPC_AGAIN) count++;
    CHECK_EQ(status, AIPC_NO_WAITER);
    CHECK_EQ(count, segs[0].node_count);
    wait_now(0, count, false);
    sync_leave();
    fixture_end();
}

/* ---- going --------------------------------------------------------------------------------------- */

static void who_cancels_has_not_arrived(void) {
    begin(3, 3);
    const uint32_t first = come(1), second = come(2);
    cancel(1, first);
    wait_now(0, 1, false);
    const uint32_t third = come(0);
    come_last(1);
    through(2, second, 0);
    through(0, third, 1);
    sync_end();
}

static void who_cancels_after_the_last_came_has_arrived(void) {
    begin(3, 3);
    const uint32_t first = come(1), second = come(2);
    come_last(0);
    cancel(1, first);
    through(2, second, 1);
    sync_end();
}

static void who_leaves_has_not_arrived(void) {
    begin(3, 3);
    (void)come(2);
    const uint32_t first = come(1);
    sync_go(2);
    sync_count = 2;
    wait_now(0, 1, false);
    const uint32_t second = come(0);
    come_last(1);
    through(1, first, 0);
    through(0, second, 1);
    sync_end();
}

/* Nobody has noticed the death: the last one to come does. */
static void the_dead_have_not_arrived(void) {
    begin(2, 3);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        fixture_attach(&segs[2]);
        sync_enter(2);
        (void)come(2);
        kill(getpid(), SIGKILL);
    }
    CHECK(harness_was_killed(pid));
    CHECK_EQ(at(0)->waiters.length, 1);
    const uint32_t first = come(1), second = come(0);
    wait_now(0, 2, false);
    come_last(1);
    through(1, first, 0);
    through(0, second, 1);
    sync_end();
}

/* ---- breaking ------------------------------------------------------------------------------------ */

static void an_abort_breaks_it_until_a_reset(void) {
    uint32_t node, place;
    begin(3, 3);
    const uint32_t first = come(1), second = come(2);
    CHECK(sync_asleep(1) && sync_asleep(2));
    OK(aipc_barrier_abort(ctxs[0], at(0)));
    CHECK(sync_rung(1) && sync_rung(2));
    wait_now(0, 0, true);
    CHECK_EQ(arrive(0, &node, &place), AIPC_BROKEN);
    CHECK_EQ(look(1, first), AIPC_BROKEN);
    const uint64_t word = at(0)->word;
    OK(aipc_barrier_abort(ctxs[0], at(0)));
    CHECK_EQ(at(0)->word, word);
    OK(aipc_barrier_reset(ctxs[2], at(2)));
    CHECK_EQ(look(2, second), AIPC_BROKEN);
    wait_now(0, 0, false);
    const uint32_t third = come(1), fourth = come(1);
    come_last(2);
    through(1, third, 0);
    through(1, fourth, 1);
    sync_end();
}

static void a_reset_sends_away_who_waits(void) {
    begin(3, 3);
    const uint32_t first = come(1);
    CHECK(sync_asleep(1));
    OK(aipc_barrier_reset(ctxs[0], at(0)));
    CHECK(sync_rung(1));
    const uint32_t second = come(2), third = come(0);
    CHECK_EQ(look(1, first), AIPC_BROKEN);
    come_last(1);
    const uint64_t word = at(0)->word;
    OK(aipc_barrier_reset(ctxs[0], at(0))); /* nobody waits; who came through has */
    CHECK_EQ(at(0)->word, word);
    through(2, second, 0);
    through(0, third, 1);
    sync_end();
}

static aipc_status give_up(int i, uint32_t node, uint32_t *place) {
    return aipc_barrier_give_up(ctxs[i], at(i), node, place);
}

static void who_gives_up_breaks_it_for_all(void) {
    uint32_t place;
    begin(3, 3);
    const uint32_t first = come(1), second = come(2);
    CHECK(sync_asleep(2));
    CHECK_EQ(give_up(1, first, &place), AIPC_BROKEN);
    CHECK(sync_rung(2));
    wait_now(0, 0, true);
    CHECK_EQ(look(2, second), AIPC_BROKEN);
    sync_end();
}

static void who_gives_up_too_late_has_come_through(void) {
    uint32_t place;
    begin(3, 3);
    const uint32_t first = come(1), second = come(2);
    come_last(0);
    const uint32_t third = come(0);
    OK(give_up(2, second, &place));
    CHECK_EQ(place, 1);
    wait_now(0, 1, false); /* the next cycle goes on */
    OK(aipc_barrier_reset(ctxs[1], at(1)));
    CHECK_EQ(give_up(0, third, &place), AIPC_BROKEN);
    wait_now(0, 0, false); /* the reset broke that cycle, not the next */
    through(1, first, 0);
    const uint32_t fourth = come(1);
    OK(aipc_barrier_close(ctxs[2], at(2)));
    CHECK_EQ(give_up(1, fourth, &place), AIPC_CLOSED);
    sync_end();
}

static void who_gives_up_behind_a_stopped_process_stays(void) {
    uint32_t place;
    begin(3, 2);
    const uint32_t first = come(1);
    sync_stall(0);
    CHECK_EQ(give_up(1, first, &place), AIPC_STALLED);
    cancel(1, first);
    sync_unstall(0);
    wait_now(0, 0, false);
    sync_end();
}

/* ---- behind a stopped process -------------------------------------------------------------------- */

static void who_withdrew_has_not_arrived(void) {
    begin(3, 3);
    const uint32_t first = come(1), second = come(2);
    sync_stall(0);
    cancel(1, first);
    CHECK_EQ(look(2, second), AIPC_STALLED);
    sync_unstall(0);
    wait_now(0, 1, false);
    CHECK_EQ(at(0)->withdrawn, 0);
    const uint32_t third = come(0);
    come_last(1);
    through(2, second, 0);
    through(0, third, 1);
    sync_end();
}

static void who_withdraws_after_the_last_came_has_arrived(void) {
    begin(3, 3);
    const uint32_t first = come(1), second = come(2);
    come_last(0);
    sync_stall(0);
    cancel(1, first);
    sync_unstall(0);
    through(2, second, 1);
    CHECK_EQ(at(0)->served.length, 0);
    sync_end();
}

static void nobody_arrives_behind_a_stopped_process(void) {
    uint32_t node, place;
    begin(3, 2);
    const uint32_t first = come(1);
    sync_stall(0);
    CHECK_EQ(arrive(2, &node, &place), AIPC_STALLED);
    CHECK_EQ(aipc_barrier_abort(ctxs[2], at(2)), AIPC_STALLED);
    sync_unstall(0);
    CHECK_EQ(look(1, first), AIPC_AGAIN);
    come_last(2);
    through(1, first, 0);
    sync_end();
}

/* ---- the end ------------------------------------------------------------------------------------- */

static void a_destroyed_barrier_wakes_everybody(void) {
    uint32_t node, place;
    begin(3, 3);
    const uint32_t first = come(1), second = come(2);
    come_last(0);
    const uint32_t third = come(2);
    CHECK(sync_asleep(2));
    sync_stall(0);
    OK(aipc_barrier_close(ctxs[1], at(1)));
    CHECK(sync_rung(2));
    sync_unstall(0);
    CHECK_EQ(look(2, third), AIPC_CLOSED);
    through(1, first, 0); /* before that */
    through(2, second, 1);
    CHECK_EQ(arrive(2, &node, &place), AIPC_CLOSED);
    sync_end();
}

/* ---- checking ------------------------------------------------------------------------------------ */

static void each_invariant_is_checked(void) {
    begin(2, 3);
    const uint32_t first = come(1), second = come(1);
    struct aipc_node *nodes = segs[0].nodes - 1;
    sync_sound();
    at(0)->parties = 2;
    CHECK_EQ(sync_findings("B1"), 1);
    at(0)->parties = 3;
    nodes[second].want--;
    CHECK_EQ(sync_findings("B1"), 1);
    nodes[second].want = nodes[first].want + 1;
    CHECK_EQ(sync_findings("B1"), 1);
    nodes[second].want--;
    nodes[second].got = 1;
    CHECK_EQ(sync_findings("B3"), 1);
    nodes[second].got = 0;
    at(0)->word |= 1;
    CHECK_EQ(sync_findings("B2"), 1);
    at(0)->word &= ~UINT64_C(1);
    sync_sound();
    come_last(0);
    nodes[first].got = 3;
    CHECK_EQ(sync_findings("B3"), 1);
    CHECK_EQ(look(1, first), AIPC_CORRUPT);
    nodes[first].got = 1;
    at(0)->served.tail = first;
    CHECK(sync_findings("W2") > 0);
    at(0)->served.tail = second;
    uint32_t node, place;
    for (uint64_t n = 0; n < 2; n++) {
        at(0)->parties = n * (AIPC_MAX_NODES + 1);
        CHECK(sync_findings("B3") > 0);
        CHECK_EQ(arrive(0, &node, &place), AIPC_CORRUPT);
    }
    at(0)->parties = 3;
    through(1, first, 0);
    through(1, second, 1);
    CHECK_EQ(look(1, second), AIPC_CORRUPT); /* its node is gone */
    CHECK_EQ(aipc_barrier_cancel(ctxs[1], at(1), second), AIPC_CORRUPT);
    sync_end();
}

int main(void) {
    RUN(the_last_one_releases_all);
    RUN(one_party_never_waits);
    RUN(cycle_follows_cycle);
    RUN(many_parties_come);
    RUN(more_than_the_slab_holds_do_not_arrive);
    RUN(who_cancels_has_not_arrived);
    RUN(who_cancels_after_the_last_came_has_arrived);
    RUN(who_leaves_has_not_arrived);
    RUN(the_dead_have_not_arrived);
    RUN(an_abort_breaks_it_until_a_reset);
    RUN(a_reset_sends_away_who_waits);
    RUN(who_gives_up_breaks_it_for_all);
    RUN(who_gives_up_too_late_has_come_through);
    RUN(who_gives_up_behind_a_stopped_process_stays);
    RUN(who_withdrew_has_not_arrived);
    RUN(who_withdraws_after_the_last_came_has_arrived);
    RUN(nobody_arrives_behind_a_stopped_process);
    RUN(a_destroyed_barrier_wakes_everybody);
    RUN(each_invariant_is_checked);
    return SUMMARY();
}
