/* Waiting for memory, as something that may be killed at any point: whoever is left finds an empty line, and is served. */
#ifndef AIPC_TEST_ROOM_SCENARIOS_H
#define AIPC_TEST_ROOM_SCENARIOS_H

#include "room_fixture.h"

static void begin_room(void *arg) {
    (void)arg;
    room_make(1);
    room_free(0, room_small[5]); /* for what the survivors need */
    sync_leave();
}

static inline void come_two(void *arg) { (void)arg; sync_join(2); }

/* Waits, is woken in vain, waits on, is served, and the next one gives up. */
static void run_room(void *arg) {
    uint64_t block;
    (void)arg;
    uint32_t first = room_stand(1), second = room_stand(1);
    CHECK_EQ(room_try(1, first, ROOM_LARGE, &block), AIPC_AGAIN);
    room_free(0, room_small[0]);
    (void)sync_collect(1);
    CHECK_EQ(room_try(1, first, ROOM_LARGE, &block), AIPC_AGAIN);
    OK(aipc_room_again(ctxs[1], first));
    CHECK_EQ(room_try(1, second, ROOM_SMALL, &block), AIPC_AGAIN);
    room_free(0, room_large[4]);
    CHECK_EQ(sync_collect(1), 1);
    OK(room_try(1, first, ROOM_LARGE, &block));
    room_leave(1, first);
    CHECK_EQ(sync_collect(1), 1);
    room_leave(1, second);
}

static void survive_room(void *arg) { /* and may be killed too */
    uint64_t block;
    (void)arg;
    sync_join(2);
    sync_sound();
    CHECK_EQ(sync_report.nodes_waiting, 0);
    CHECK_EQ(aipc_room_waiters(&segs[0]), 0);
    OK(aipc_owned_allocate(ctxs[1], ROOM_SMALL / 2, AIPC_ALIGNMENT, &block));
    uint32_t node = room_stand(0);
    OK(aipc_room_turn(ctxs[0], node));
    CHECK_EQ(sync_collect(0), 0);
    OK(aipc_deallocate(ctxs[1], block));
    CHECK_EQ(sync_collect(0), 1);
    room_leave(0, node);
    sync_leave();
}

static const struct scenario room_scenario = {begin_room, come_two, run_room, survive_room, NULL};

#endif
