// variants: hook
/* Waiting for memory: in every interleaving, within a bound, nobody sleeps beside a block that he waits for, and nobody
 * overtakes, though waiters give up, withdraw, die and stand still at any instant. */
#include "room_fixture.h"

#include "sync_explore.h"

static struct {
    int served;
    int order[SYNC_MANY];
} seen;
static bool hasty[SYNC_MANY]; /* finds every lock that it would wait for stalled */
static uint64_t wanted[SYNC_MANY];
static uint32_t first;        /* the place of participant 1, where it stands before all begin */

static aipc_status idle(aipc_seg *seg, const uint32_t *word, uint32_t value) {
    for (int i = 0; i < sync_count; i++)
        if (seg == &segs[i] && hasty[i] && explorer.current >= 0) return AIPC_STALLED;
    return sync_idle(seg, word, value);
}

static void wait_as(int i, uint32_t node) {
    uint64_t block;
    aipc_status status = room_try(i, node, wanted[i], &block);
    while (status == AIPC_AGAIN) {
        explored_sleep(i);
        status = room_try(i, node, wanted[i], &block);
        if (status != AIPC_AGAIN) break;
        OK(aipc_room_again(ctxs[i], node));
        status = room_try(i, node, wanted[i], &block);
    }
    OK(status);
    seen.order[seen.served++] = i;
    room_leave(i, node);
}
static void wait_for_it(int i) {
    uint64_t block;
    if (i == 1) {
        wait_as(1, first);
        return;
    }
    if (room_try(i, AIPC_NO_NODE, wanted[i], &block) == AIPC_OK) {
        seen.order[seen.served++] = i;
        return;
    }
    aipc_bell_woken(&segs[i], bell[i]); /* what was rung until now was not for this */
    wait_as(i, room_stand(i));
}

/* What recovery does for a waiter that is gone. */
static void die(int i) {
    OK(aipc_waits_release(ctxs[i], segs[i].slot));
    aipc_wait_rouse(&segs[i]);
}

static void reset(void *arg) {
    sync_reset(arg);
    memset(&seen, 0, sizeof seen);
}

static void stage(uint64_t one, uint64_t two) {
    room_make(3);
    wanted[1] = one;
    wanted[2] = two;
    sync_stage();
    for (int i = 0; i < sync_count; i++) segs[i].idle = idle;
    first = room_stand(1);
    sync_save();
}

static bool tidy(void) {
    explorer.current = -1;
    aipc_room_wake(ctxs[0]); /* finds those who withdrew */
    return sync_tidy(aipc_room_check) && aipc_heap_check(ctxs[0], &sync_report) == AIPC_OK && sync_report.findings == 0;
}
static bool all_were_served(void *arg) {
    (void)arg;
    return tidy() && seen.served == sync_threads - 1;
}
static bool in_order(void *arg) { return all_were_served(arg) && seen.order[0] == 1; }
static bool one_was_served(void *arg) {
    (void)arg;
    return tidy() && seen.served == 1 && seen.order[0] == 2;
}

static void explore_room(const char *what, struct exploration plan) {
    memset(hasty, 0, sizeof hasty);
    plan.reset = reset;
    if (!harness_full()) plan.max_schedules = 100000;
    holds(what, plan);
    sync_unstage();
}

static void free_or_wait(int i, void *arg) {
    (void)arg;
    if (i == 0) room_free(0, room_small[0]);
    else wait_for_it(i);
}
static void free_two_or_wait(int i, void *arg) {
    (void)arg;
    if (i == 0) room_free(0, room_small[4]);
    if (i == 0) room_free(0, room_large[0]);
    if (i != 0) wait_for_it(i);
}

static void what_is_freed_reaches_who_waits(void) {
    stage(ROOM_SMALL, 0);
    explore_room("free, wait", (struct exploration){.threads = 2, .preemptions = 2, .body = free_or_wait, .holds = all_were_served});
    stage(ROOM_SMALL, ROOM_LARGE);
    explore_room("free both, wait, wait for more", (struct exploration){.threads = 3, .preemptions = 1, .body = free_two_or_wait, .holds = all_were_served});
}

/* One block that is enough for both of them: nobody frees anything for the second. */
static void free_one_or_wait(int i, void *arg) {
    (void)arg;
    if (i == 0) room_free(0, room_large[0]);
    else wait_for_it(i);
}
static void who_is_served_wakes_the_next(void) {
    stage(ROOM_SMALL, ROOM_SMALL);
    explore_room("free one, wait, wait", (struct exploration){.threads = 3, .preemptions = 1, .body = free_one_or_wait, .holds = in_order});
}

static void who_wants_less_does_not_overtake(void) {
    stage(ROOM_LARGE, ROOM_SMALL);
    explore_room("free both, wait, wait for less", (struct exploration){.threads = 3, .preemptions = 1, .body = free_two_or_wait, .holds = in_order});
}

/* 1 gives up: woken or not, the other one is not kept from what there is. */
static void free_cancel_wait(int i, void *arg) {
    (void)arg;
    if (i == 0) room_free(0, room_small[0]);
    if (i == 1) room_leave(1, first);
    if (i == 2) wait_for_it(2);
}
static void who_gives_up_passes_it_on(void) {
    stage(ROOM_SMALL, ROOM_SMALL);
    explore_room("free, cancel, wait", (struct exploration){.threads = 3, .preemptions = 1, .body = free_cancel_wait, .holds = one_was_served});
}
static void free_withdraw_wait(int i, void *arg) {
    hasty[1] = true;
    free_cancel_wait(i, arg);
}
static void who_withdraws_takes_nothing_along(void) {
    stage(ROOM_SMALL, ROOM_SMALL);
    explore_room("free, withdraw, wait", (struct exploration){.threads = 3, .preemptions = 1, .body = free_withdraw_wait, .holds = one_was_served});
}

/* 1 looks in vain first. */
static void free_die_wait(int i, void *arg) {
    if (i == 1) {
        OK(aipc_room_again(ctxs[1], first));
        die(1);
    } else {
        free_cancel_wait(i, arg);
    }
}
static void who_dies_takes_nothing_along(void) {
    stage(ROOM_SMALL, ROOM_SMALL);
    explore_room("free, die, wait", (struct exploration){.threads = 3, .preemptions = 1, .body = free_die_wait, .holds = one_was_served});
}

/* 2 takes what is there, if it is faster, and frees it again: 1 gets it all the same. */
static void free_wait_snatch(int i, void *arg) {
    uint64_t block;
    (void)arg;
    if (i == 0) room_free(0, room_small[0]);
    if (i == 1) wait_for_it(1);
    if (i == 2 && room_allocate(2, ROOM_SMALL, &block) == AIPC_OK) room_free(2, block);
}
static bool the_first_was_served(void *arg) {
    (void)arg;
    return tidy() && seen.served == 1;
}
static void who_was_overtaken_gets_it_later(void) {
    stage(ROOM_SMALL, 0);
    explore_room("free, wait, snatch", (struct exploration){.threads = 3, .preemptions = 1, .body = free_wait_snatch, .holds = the_first_was_served});
}

int main(void) {
    sync_one_processor();
    RUN(what_is_freed_reaches_who_waits);
    RUN(who_is_served_wakes_the_next);
    RUN(who_wants_less_does_not_overtake);
    RUN(who_gives_up_passes_it_on);
    RUN(who_withdraws_takes_nothing_along);
    RUN(who_dies_takes_nothing_along);
    RUN(who_was_overtaken_gets_it_later);
    return SUMMARY();
}
