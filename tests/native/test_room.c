// variants: plain asan
/* Waiting for memory, one instant after another. */
#include "room_fixture.h"

static uint64_t block;

static void whoever_frees_wakes_the_first(void) {
    room_make(2);
    uint32_t first = room_stand(1), second = room_stand(0);
    CHECK_EQ(room_try(1, first, ROOM_SMALL, &block), AIPC_AGAIN);
    CHECK(!aipc_bell_arm(&segs[1], bell[1]));
    room_free(0, room_small[0]);
    OK(aipc_os_poll2(bell_fd[1], -1, 0));
    CHECK(room_notified(first) && !room_notified(second));
    OK(room_try(1, first, ROOM_SMALL, &block));
    CHECK_EQ(block, room_small[0]);
    CHECK(!room_notified(second));
    room_leave(1, first);
    CHECK(room_notified(second)); /* it may be enough for both */
    room_leave(0, second);
    CHECK_EQ(room_line(0)->asleep, 0);
    sync_end();
}

static void who_came_later_does_not_overtake(void) {
    room_make(2);
    uint32_t large = room_stand(1), small = room_stand(0);
    room_free(0, room_small[0]);
    CHECK_EQ(room_try(1, large, ROOM_LARGE, &block), AIPC_AGAIN);
    OK(aipc_room_again(ctxs[1], large));
    CHECK_EQ(room_try(0, small, ROOM_SMALL, &block), AIPC_AGAIN);
    CHECK_EQ(room_try(0, AIPC_NO_NODE, ROOM_SMALL, &block), AIPC_AGAIN);
    room_free(0, room_large[0]);
    OK(room_try(1, large, ROOM_LARGE, &block));
    room_leave(1, large);
    CHECK(room_notified(small));
    OK(room_try(0, small, ROOM_SMALL, &block));
    room_leave(0, small);
    room_free(0, room_small[1]);
    OK(room_try(0, AIPC_NO_NODE, ROOM_SMALL, &block));
    sync_end();
}

static void who_does_not_wait_may_be_faster(void) {
    room_make(2);
    uint32_t node = room_stand(1);
    room_free(0, room_small[0]);
    OK(room_allocate(0, ROOM_SMALL, &block));
    CHECK_EQ(room_try(1, node, ROOM_SMALL, &block), AIPC_AGAIN);
    OK(aipc_room_again(ctxs[1], node));
    room_free(0, block);
    CHECK(room_notified(node));
    OK(room_try(1, node, ROOM_SMALL, &block));
    room_leave(1, node);
    sync_end();
}

static void many_frees_are_one_wake_up(void) {
    room_make(3);
    uint32_t first = room_stand(1), second = room_stand(2);
    (void)sync_asleep(1);
    for (int n = 0; n < ROOM_BLOCKS; n++) room_free(0, room_small[n]);
    CHECK(room_notified(first) && !room_notified(second));
    CHECK(sync_rung(1));
    CHECK_EQ(sync_collect(1), 1);
    CHECK_EQ(room_line(0)->asleep, 1);
    room_leave(1, first);
    CHECK(room_notified(second));
    CHECK_EQ(room_line(0)->asleep, 0);
    room_free(0, room_large[0]); /* nobody sleeps */
    CHECK_EQ(sync_collect(2), 1);
    CHECK_EQ(room_line(0)->asleep, 0); /* until it has looked */
    OK(aipc_room_again(ctxs[2], second));
    CHECK_EQ(room_line(0)->asleep, 1);
    room_leave(2, second);
    sync_end();
}

/* Growing is whoever grows it telling; no block was freed. */
static void whatever_makes_room_tells(void) {
    room_make(2);
    uint32_t node = room_stand(1);
    aipc_room_made(ctxs[0]);
    CHECK(room_notified(node));
    room_leave(1, node);
    aipc_room_made(ctxs[0]);
    sync_end();
}

static void one_that_does_not_run_is_passed_over(void) {
    room_make(3);
    uint32_t stopped = room_stand(1), second = room_stand(2), third = room_stand(0);
    room_free(0, room_small[0]);
    CHECK(room_notified(stopped) && !room_notified(second));
    CHECK_EQ(room_try(2, second, ROOM_SMALL, &block), AIPC_AGAIN);
    room_free(0, room_small[1]);
    CHECK(!room_notified(second)); /* it may be about to look */
    for (int i = 0; i < 3; i++) segs[i].stall_ns = 0;
    OK(room_try(2, second, ROOM_SMALL, &block)); /* as blocked threads do every second */
    room_leave(2, second);
    CHECK(room_notified(third));
    OK(aipc_room_again(ctxs[0], third));
    room_free(0, room_small[2]);
    CHECK(room_notified(third));
    OK(room_try(0, AIPC_NO_NODE, ROOM_SMALL, &block));
    CHECK_EQ(sync_collect(1), 1);
    CHECK_EQ(room_try(0, AIPC_NO_NODE, ROOM_SMALL, &block), AIPC_AGAIN); /* it goes on, in its place */
    OK(room_try(1, stopped, ROOM_SMALL, &block));
    room_leave(1, stopped), room_leave(0, third);
    sync_end();
}

static void no_free_and_no_cancellation_fails_because_somebody_is_stopped(void) {
    room_make(3);
    uint32_t first = room_stand(1), second = room_stand(1);
    (void)sync_asleep(1);
    sync_stall(2);
    room_free(0, room_small[0]);
    CHECK(sync_rung(1)); /* all look */
    room_leave(1, first);
    CHECK_EQ(aipc_room_turn(ctxs[1], second), AIPC_STALLED);
    sync_unstall(2);
    OK(room_try(1, second, ROOM_SMALL, &block)); /* behind one that gave up */
    uint32_t third = room_stand(0);
    room_leave(1, second);
    CHECK(room_notified(third));
    room_leave(0, third);
    sync_end();
}

static void die_in_line(void) {
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        fixture_attach(&segs[3]);
        sync_enter(3);
        (void)room_stand(3);
        _exit(0);
    }
    CHECK(!harness_was_killed(pid));
}

static void the_dead_are_waited_for_by_nobody(void) {
    room_make(2);
    die_in_line();
    die_in_line();
    room_free(0, room_small[0]);
    CHECK_EQ(room_try(0, AIPC_NO_NODE, ROOM_SMALL, &block), AIPC_AGAIN);
    OK(aipc_room_turn_recover(ctxs[0]));
    OK(room_try(0, AIPC_NO_NODE, ROOM_SMALL, &block));
    uint32_t node = room_stand(1);
    CHECK_EQ(aipc_room_turn_recover(ctxs[0]), AIPC_AGAIN); /* it lives */
    CHECK_EQ(aipc_room_waiters(&segs[0]), 1);
    room_leave(1, node);
    sync_end();
}

static void what_a_dead_process_gives_back_is_room(void) {
    room_make(2);
    room_free(0, room_large[0]);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        fixture_attach(&segs[3]);
        sync_enter(3);
        OK(aipc_owned_allocate(ctxs[3], ROOM_LARGE - 200, AIPC_ALIGNMENT, &block));
        _exit(0);
    }
    CHECK(!harness_was_killed(pid));
    uint32_t node = room_stand(1), recovered;
    CHECK_EQ(room_try(1, node, ROOM_LARGE, &block), AIPC_AGAIN);
    OK(aipc_recover_all(ctxs[0], &recovered));
    CHECK_EQ(recovered, 1);
    CHECK(room_notified(node));
    OK(room_try(1, node, ROOM_LARGE, &block));
    room_leave(1, node);
    sync_end();
}

static void the_most_there_can_be_is_what_an_empty_segment_has(void) {
    static const uint64_t alignments[] = {16, 64, 4096, 65536};
    for (int n = 0; n < 4; n++) {
        fixture_create(&segs[0]);
        ctxs[0] = enter(&segs[0]);
        const uint64_t most = aipc_catalog_most(&segs[0], alignments[n]);
        CHECK(most > fixture_size / 2);
        CHECK_EQ(aipc_heap_allocate(ctxs[0], most + 1, alignments[n], 0, NULL, &block), AIPC_FULL);
        OK(aipc_heap_allocate(ctxs[0], most, alignments[n], 0, NULL, &block));
        sync_go(0);
    }
    fixture_create(&segs[0]);
    CHECK_EQ(aipc_catalog_most(&segs[0], 0), 0);
    CHECK_EQ(aipc_catalog_most(&segs[0], 48), 0);
    CHECK_EQ(aipc_catalog_most(&segs[0], UINT64_C(1) << 63), 0);
    fixture_detach(&segs[0]);
    fixture_end();
}

static void damage_is_found_and_stops_nobody(void) {
    room_make(1);
    uint32_t node = room_stand(0);
    CHECK_EQ(sync_findings("W2 length of a line"), 0);
    room_line(0)->queue.length = 9;
    CHECK_EQ(sync_findings("W2 length of a line"), 1);
    room_line(0)->queue.length = 1;
    room_line(0)->asleep = 2;
    CHECK_EQ(sync_findings("N1"), 1);
    for (uint32_t head = 2; head != 0; head <<= 1) { /* no node, or none of this queue */
        room_line(0)->queue.head = head;
        aipc_room_made(ctxs[0]);
        CHECK_EQ(aipc_room_turn(ctxs[0], node), AIPC_CORRUPT);
        room_free(0, room_small[__builtin_ctz(head) % ROOM_BLOCKS]);
        OK(room_allocate(0, ROOM_SMALL, &room_small[__builtin_ctz(head) % ROOM_BLOCKS]));
    }
    room_line(0)->queue.head = node;
    segs[0].nodes[node - 1].next = node; /* round and round */
    aipc_room_made(ctxs[0]);
    CHECK_EQ(aipc_room_turn(ctxs[0], AIPC_NO_NODE), AIPC_AGAIN);
    segs[0].nodes[node - 1].withdrawn = 1;
    CHECK_EQ(aipc_room_turn(ctxs[0], AIPC_NO_NODE), AIPC_CORRUPT);
    segs[0].nodes[node - 1].withdrawn = 0;
    segs[0].nodes[node - 1].next = AIPC_NO_NODE;
    room_leave(0, node);
    sync_end();
}

int main(void) {
    RUN(whoever_frees_wakes_the_first);
    RUN(who_came_later_does_not_overtake);
    RUN(who_does_not_wait_may_be_faster);
    RUN(many_frees_are_one_wake_up);
    RUN(whatever_makes_room_tells);
    RUN(one_that_does_not_run_is_passed_over);
    RUN(no_free_and_no_cancellation_fails_because_somebody_is_stopped);
    RUN(the_dead_are_waited_for_by_nobody);
    RUN(what_a_dead_process_gives_back_is_room);
    RUN(the_most_there_can_be_is_what_an_empty_segment_has);
    RUN(damage_is_found_and_stops_nobody);
    return SUMMARY();
}
