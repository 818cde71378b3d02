// variants: hook
/* Every interleaving, within a bound, of producers, consumers and those who wait: messages come out once and in
 * order, and nobody sleeps beside one.  The participants live in one process; each schedule starts from a copy of
 * the segment's bytes and of their attachments. */
#include "queue_fixture.h"
#include "explore.h"

#include <sched.h>

enum { MANY = 3 };

static aipc_seg segs[MANY], saved_segs[MANY];
static aipc_ctx *ctxs[MANY];
static struct aipc_queue *queues[MANY]; /* the same one */
static uint32_t bell[MANY];
static int bell_fd[MANY];
static uint8_t *saved, *bases[MANY];
static uint64_t saved_mark; /* of who joins */

static struct {
    uint64_t taken[8];
    uint64_t mark;
    int count, put, ended, cancelled, returned;
} seen;

/* A futex: nothing comes between the comparison and the sleep. */
static aipc_status idle(aipc_seg *seg, const uint32_t *word, uint32_t value) {
    (void)seg;
    if (explorer.current < 0) return AIPC_OK;
    if (aipc_load_relaxed32(word) == value) explore_wait_on(word);
    return AIPC_OK;
}

/* One address for each word: the explorer knows words by their addresses. */
static void see_through(aipc_seg *seg, uint8_t *base) {
#define MOVE(area) seg->area = (void *)(base + ((uint8_t *)seg->area - seg->base))
    MOVE(header), MOVE(heap), MOVE(catalog), MOVE(waits), MOVE(slots), MOVE(contexts), MOVE(nodes);
    for (int i = 0; i < AIPC_CONTEXTS; i++) MOVE(ctx[i].shared);
    seg->base = base;
}

static void put_now(int i, uint64_t number) {
    const aipc_bytes message = {.data = &number, .size = sizeof number};
    uint32_t put;
    OK(aipc_queue_put(ctxs[i], queues[i], &message, 1, &put));
}

/* `queued`: messages 1, 2, .. are there from the start. */
static void stage(uint64_t maxsize, uint64_t queued) {
    queue_options = (aipc_queue_options){.maxsize = maxsize};
    fixture_create(&segs[0]);
    for (int i = 1; i < MANY; i++) fixture_attach(&segs[i]);
    for (int i = 0; i < MANY; i++) {
        segs[i].idle = idle;
        bases[i] = segs[i].base;
        see_through(&segs[i], segs[0].base);
        queues[i] = fixture_queue(&segs[i]);
        OK(aipc_bell_take(&segs[i], &bell[i], &bell_fd[i]));
        ctxs[i] = enter(&segs[i]);
    }
    for (int i = 0; i < MANY; i++) /* opens all write ends: schedules must not */
        for (int j = 0; j < MANY; j++) {
            (void)aipc_bell_arm(&segs[j], bell[j]);
            aipc_bell_ring_all(&segs[i]);
        }
    for (int i = 0; i < MANY; i++) aipc_bell_woken(&segs[i], bell[i]);
    for (uint64_t n = 1; n <= queued; n++) put_now(0, n);
    aipc_store_relaxed32(&queues[0]->out.reclaimed, aipc_load_relaxed32(&segs[0].header->recoveries));
    saved = realloc(saved, FIXTURE_SIZE);
    memcpy(saved, segs[0].base, FIXTURE_SIZE);
    memcpy(saved_segs, segs, sizeof segs);
}

static void reset(void *arg) {
    (void)arg;
    memcpy(segs[0].base, saved, FIXTURE_SIZE);
    memcpy(segs, saved_segs, sizeof segs);
    for (int i = 0; i < MANY; i++) aipc_os_drain(bell_fd[i]);
    memset(&seen, 0, sizeof seen);
    seen.mark = saved_mark;
}

static void unstage(void) {
    aipc_report report;
    reset(NULL);
    fixture_sound(&segs[0], &report);
    for (int i = MANY - 1; i >= 0; i--) {
        aipc_ctx_leave(ctxs[i]);
        see_through(&segs[i], bases[i]);
        fixture_detach(&segs[i]);
    }
    fixture_end();
}

/* ---- what each of them does ------------------------------------------------------------------------ */

static void sleep_on_bell(int i) {
    uint64_t tokens[4];
    uint32_t count;
    if (!aipc_bell_arm(&segs[i], bell[i]))
        while (aipc_os_poll2(bell_fd[i], -1, 0) != AIPC_OK) explore_wait();
    aipc_os_drain(bell_fd[i]);
    aipc_bell_woken(&segs[i], bell[i]);
    OK(aipc_wait_collect(ctxs[i], bell[i], tokens, 4, &count));
}

static aipc_status take_now(int i) {
    static uint8_t rooms[MANY][AIPC_QUEUE_INLINE];
    aipc_message message;
    uint32_t taken;
    const aipc_status status = aipc_queue_take(ctxs[i], queues[i], rooms[i], sizeof rooms[i], &message, 1, &taken);
    if (status == AIPC_OK) memcpy(&seen.taken[seen.count++], message.data, 8);
    return status;
}

static aipc_status try_put(int i) {
    const uint64_t number = 1;
    const aipc_bytes message = {.data = &number, .size = sizeof number};
    uint32_t put;
    const aipc_status status = aipc_queue_put(ctxs[i], queues[i], &message, 1, &put);
    seen.put += status == AIPC_OK;
    return status;
}

static aipc_status is_joined(int i) {
    const aipc_status status = aipc_queue_joined(ctxs[i], queues[i]);
    seen.ended += status == AIPC_OK;
    return status;
}

static aipc_status is_joined_since(int i) {
    const aipc_status status = aipc_queue_joined_since(ctxs[i], queues[i], seen.mark);
    seen.ended += status == AIPC_OK;
    return status;
}

/* Waits the way queue.h says. */
static aipc_status wait_for(int i, aipc_queue_role role, aipc_status (*attempt)(int)) {
    uint32_t node;
    aipc_status status = attempt(i);
    if (status != AIPC_AGAIN) return status;
    OK(aipc_queue_stand(ctxs[i], queues[i], role, bell[i], 1, &node));
    status = attempt(i);
    while (status == AIPC_AGAIN) {
        sleep_on_bell(i);
        status = attempt(i);
        if (status != AIPC_AGAIN) break;
        OK(aipc_queue_again(ctxs[i], queues[i], role, node));
        status = attempt(i);
    }
    OK(aipc_queue_leave(ctxs[i], queues[i], role, node));
    return status;
}

static bool tidy(void) {
    static aipc_report report;
    memset(&report, 0, sizeof report);
    explorer.current = -1;
    return aipc_waits_check(ctxs[0], &report) == AIPC_OK && aipc_queue_check(ctxs[0], queues[0], &report) == AIPC_OK &&
           report.findings == 0 && report.nodes_waiting == 0;
}

static void exhaust(const struct exploration *plan) {
    const struct explored result = explore(plan);
    fprintf(stderr, "  %" PRIu64 " schedules%s\n", result.schedules, result.complete ? "" : ", not all");
    if (result.violation != NULL) fprintf(stderr, "  %s: %s\n", result.violation, result.schedule);
    CHECK(result.violation == NULL);
    unstage();
}

/* The long form is cut short as well where it has millions. */
static uint64_t at_most(uint64_t schedules) { return harness_full() ? schedules * 200 : schedules * 3; }

/* ---- what is explored ---------------------------------------------------------------------------------- */

static void one_puts_one_takes(int i, void *arg) {
    (void)arg;
    if (i == 0) {
        put_now(0, 1);
        put_now(0, 2);
    } else {
        OK(wait_for(1, AIPC_GETTERS, take_now));
        OK(wait_for(1, AIPC_GETTERS, take_now));
    }
}
static bool both_in_order(void *arg) {
    (void)arg;
    return tidy() && seen.count == 2 && seen.taken[0] == 1 && seen.taken[1] == 2 && stats_of(queues[0]).queued == 0;
}
static void both_ends_are_used_at_once(void) {
    stage(0, 0);
    exhaust(&(struct exploration){2, 2, at_most(4000), reset, one_puts_one_takes, both_in_order, NULL});
}

static void two_take(int i, void *arg) {
    (void)arg;
    OK(take_now(i));
}
static bool each_got_another(void *arg) {
    (void)arg;
    return tidy() && seen.count == 2 && seen.taken[0] + seen.taken[1] == 3 && stats_of(queues[0]).queued == 0;
}
static void two_consumers_take_different_messages(void) {
    stage(0, 2);
    exhaust(&(struct exploration){2, 2, at_most(4000), reset, two_take, each_got_another, NULL});
}

static void one_puts_two_wait(int i, void *arg) {
    (void)arg;
    if (i == 0) {
        put_now(0, 1);
        put_now(0, 2);
    } else {
        OK(wait_for(i, AIPC_GETTERS, take_now));
    }
}
static void no_waiter_is_forgotten(void) {
    stage(0, 0);
    exhaust(&(struct exploration){3, 1, at_most(3000), reset, one_puts_two_wait, each_got_another, NULL});
}

/* One waiter stands in line and gives up at any time; the message must reach the other. */
static void one_cancels(int i, void *arg) {
    (void)arg;
    uint32_t node;
    if (i == 0) {
        put_now(0, 1);
    } else if (i == 1) {
        OK(aipc_queue_stand(ctxs[1], queues[1], AIPC_GETTERS, bell[1], 1, &node));
        OK(aipc_queue_leave(ctxs[1], queues[1], AIPC_GETTERS, node));
        seen.cancelled++;
    } else {
        OK(wait_for(2, AIPC_GETTERS, take_now));
    }
}
static bool the_other_got_it(void *arg) {
    (void)arg;
    return tidy() && seen.count == 1 && seen.cancelled == 1;
}
static void a_wake_up_is_passed_on(void) {
    stage(0, 0);
    exhaust(&(struct exploration){3, 1, at_most(3000), reset, one_cancels, the_other_got_it, NULL});
}

static void one_waits_for_room(int i, void *arg) {
    (void)arg;
    if (i == 0) OK(wait_for(0, AIPC_PUTTERS, try_put));
    else OK(take_now(1));
}
static bool it_got_room(void *arg) {
    (void)arg;
    return tidy() && seen.put == 1 && seen.count == 1 && stats_of(queues[0]).queued == 1;
}
static void room_is_noticed(void) {
    stage(1, 1);
    exhaust(&(struct exploration){2, 2, at_most(4000), reset, one_waits_for_room, it_got_room, NULL});
}

static void one_joins(int i, void *arg) {
    (void)arg;
    if (i == 0) {
        OK(wait_for(0, AIPC_JOINERS, is_joined));
    } else {
        OK(take_now(1));
        OK(aipc_queue_task_done(ctxs[1], queues[1], 1));
    }
}
static bool it_ended(void *arg) {
    (void)arg;
    return tidy() && seen.ended == 1;
}
static void the_end_is_noticed(void) {
    stage(0, 1);
    exhaust(&(struct exploration){2, 2, at_most(4000), reset, one_joins, it_ended, NULL});
}

/* The moment is over before the joiner can look. */
static void one_joins_a_busy_queue(int i, void *arg) {
    (void)arg;
    if (i == 0) {
        OK(wait_for(0, AIPC_JOINERS, is_joined_since));
    } else if (i == 1) {
        OK(take_now(1));
        OK(aipc_queue_task_done(ctxs[1], queues[1], 1));
    } else if (stats_of(queues[2]).unfinished == 0) { /* and the joiner may not even have been woken */
        put_now(2, 2);
    }
}
static void a_moment_is_noticed_when_it_is_over(void) {
    stage(0, 1);
    saved_mark = 1;
    exhaust(&(struct exploration){3, 1, at_most(3000), reset, one_joins_a_busy_queue, it_ended, NULL});
    saved_mark = 0;
}

/* Who has put a message does not take the end of those before it for the end of its own. */
static void one_puts_and_joins(int i, void *arg) {
    (void)arg;
    if (i == 0) {
        OK(take_now(0));
        OK(aipc_queue_task_done(ctxs[0], queues[0], 1));
    } else {
        put_now(1, 2);
        seen.mark = aipc_queue_mark(queues[1]);
        CHECK_EQ(is_joined_since(1), AIPC_AGAIN);
    }
}
static bool it_did_not_end(void *arg) {
    (void)arg;
    return tidy() && seen.ended == 0 && stats_of(queues[0]).unfinished == 1;
}
static void an_earlier_moment_does_not_count(void) {
    stage(0, 1);
    exhaust(&(struct exploration){2, 2, at_most(4000), reset, one_puts_and_joins, it_did_not_end, NULL});
}

static void one_shuts_down(int i, void *arg) {
    (void)arg;
    if (i == 0) {
        OK(aipc_queue_shutdown(ctxs[0], queues[0], false));
    } else if (i == 1) {
        const aipc_status status = wait_for(1, AIPC_GETTERS, take_now);
        CHECK(status == AIPC_OK || status == AIPC_SHUT_DOWN);
        seen.ended++;
    } else {
        const aipc_status status = try_put(2);
        CHECK(status == AIPC_OK || status == AIPC_SHUT_DOWN);
    }
}
static bool what_was_put_came_out(void *arg) {
    (void)arg;
    return tidy() && seen.ended == 1 && seen.count == seen.put;
}
static void shutdown_loses_no_message_and_no_waiter(void) {
    stage(0, 0);
    exhaust(&(struct exploration){3, 1, at_most(3000), reset, one_shuts_down, what_was_put_came_out, NULL});
}

static void one_returns(int i, void *arg) {
    (void)arg;
    if (i == 0) {
        aipc_message message;
        const aipc_status status = aipc_queue_lease(ctxs[0], queues[0], &message);
        if (status == AIPC_OK) {
            OK(aipc_queue_settle(ctxs[0], queues[0], message.item, message.serial, AIPC_SETTLE_RETURN));
            seen.returned++;
        }
        CHECK(status == AIPC_OK || status == AIPC_AGAIN);
    } else {
        OK(wait_for(1, AIPC_GETTERS, take_now));
    }
}
static bool it_came_back(void *arg) {
    (void)arg;
    return tidy() && seen.count == 1 && seen.taken[0] == 1;
}
static void a_return_is_noticed(void) {
    stage(0, 1);
    exhaust(&(struct exploration){2, 2, at_most(4000), reset, one_returns, it_came_back, NULL});
}

int main(void) {
    RUN(both_ends_are_used_at_once);
    RUN(two_consumers_take_different_messages);
    RUN(no_waiter_is_forgotten);
    RUN(a_wake_up_is_passed_on);
    RUN(room_is_noticed);
    RUN(the_end_is_noticed);
    RUN(a_moment_is_noticed_when_it_is_over);
    RUN(an_earlier_moment_does_not_count);
    RUN(shutdown_loses_no_message_and_no_waiter);
    RUN(a_return_is_noticed);
    return SUMMARY();
}
