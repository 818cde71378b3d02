// variants: plain asan
/* An event, one instant after another. */
#include "sync_fixture.h"

static struct aipc_event *at(int i) { return sync_at(i); }

static void begin(int count) {
    static const struct aipc_event image;
    sync_make(count, AIPC_TYPE_EVENT, &image, sizeof image, sizeof image);
}

static uint32_t stand(int i) {
    uint32_t node;
    OK(aipc_line_stand(ctxs[i], &at(i)->line, bell[i], 7, &node));
    return node;
}
static void leave(int i, uint32_t node) { OK(aipc_line_leave(ctxs[i], &at(i)->line, node)); }
static void wake(int i) {
    if (aipc_line_asleep(&at(i)->line)) OK(aipc_line_wake(ctxs[i], &at(i)->line, AIPC_EVERYBODY));
}
static bool notified(uint32_t node) { return segs[0].nodes[node - 1].state == AIPC_NODE_NOTIFIED; }

static void it_is_set_until_it_is_cleared(void) {
    begin(2);
    CHECK(!aipc_event_is_set(at(1)));
    CHECK(aipc_event_set(at(0)));
    CHECK(aipc_event_is_set(at(1)));
    CHECK(!aipc_event_set(at(1))); /* was already */
    aipc_event_clear(at(1));
    aipc_event_clear(at(1));
    CHECK(!aipc_event_is_set(at(0)));
    CHECK(aipc_event_set(at(0)));
    sync_end();
}

static void who_waited_when_it_was_set_goes_on_though_it_was_cleared(void) {
    begin(2);
    uint64_t mark = aipc_event_mark(at(1));
    CHECK(!aipc_event_happened(at(1), mark));
    CHECK(aipc_event_set(at(0)));
    CHECK(aipc_event_happened(at(1), mark));
    aipc_event_clear(at(0));
    CHECK(aipc_event_happened(at(1), mark));
    CHECK(!aipc_event_happened(at(1), aipc_event_mark(at(1)))); /* who comes now waits for the next time */
    sync_end();
}

static void all_sleepers_are_woken(void) {
    begin(3);
    uint32_t first = stand(1), second = stand(2), third = stand(1);
    CHECK(!aipc_bell_arm(&segs[1], bell[1]) && !aipc_bell_arm(&segs[2], bell[2]));
    CHECK(aipc_event_set(at(0)));
    wake(0);
    OK(aipc_os_poll2(bell_fd[1], -1, 0));
    OK(aipc_os_poll2(bell_fd[2], -1, 0));
    CHECK(notified(first) && notified(second) && notified(third));
    CHECK_EQ(sync_collect(1), 2);
    leave(1, first), leave(2, second), leave(1, third);
    sync_end();
}

/* Whoever sets it next wakes them, although it was set already. */
static void sleepers_of_one_who_set_it_and_came_no_further_are_woken(void) {
    begin(2);
    uint32_t node = stand(1);
    CHECK(aipc_event_set(at(0)));
    CHECK(!aipc_event_set(at(0)));
    wake(0);
    CHECK(notified(node));
    leave(1, node);
    sync_end();
}

static void damage_is_found(void) {
    begin(1);
    at(0)->word = UINT64_MAX;
    CHECK_EQ(sync_findings("N1"), 0);
    CHECK(!aipc_event_set(at(0)));
    aipc_event_clear(at(0));
    uint64_t mark = aipc_event_mark(at(0));
    CHECK(aipc_event_set(at(0)));
    CHECK(aipc_event_mark(at(0)) != mark);
    at(0)->line.asleep = 7;
    CHECK_EQ(sync_findings("N1"), 1);
    at(0)->line.asleep = 0;
    sync_end();
}

int main(void) {
    RUN(it_is_set_until_it_is_cleared);
    RUN(who_waited_when_it_was_set_goes_on_though_it_was_cleared);
    RUN(all_sleepers_are_woken);
    RUN(sleepers_of_one_who_set_it_and_came_no_further_are_woken);
    RUN(damage_is_found);
    return SUMMARY();
}
