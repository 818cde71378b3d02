// variants: plain asan
/* What a queue does, one operation after the other, with two participants in one process. */
#include "queue_fixture.h"

static aipc_seg A, B;
static struct aipc_queue *a, *b;
static uint64_t parts_before;

static uint64_t used_blocks(aipc_seg *seg) {
    aipc_heap_stats stats;
    aipc_ctx *ctx = enter(seg);
    OK(aipc_heap_stats_get(ctx, &stats));
    aipc_ctx_leave(ctx);
    return stats.used_blocks;
}

static void open_pair(uint64_t maxsize, uint64_t max_bytes) {
    queue_options = (aipc_queue_options){.maxsize = maxsize, .max_bytes = max_bytes, .codec = 1};
    fixture_create(&A);
    fixture_attach(&B);
    parts_before = used_blocks(&A);
    a = fixture_queue(&A);
    b = fixture_queue(&B);
}

/* Sound, and once it is destroyed nothing of it is left. */
static void close_pair(void) {
    aipc_report report;
    fixture_sound(&A, &report);
    CHECK_EQ(report.nodes_waiting, 0);
    CHECK_EQ(report.parts, report.part_blocks);
    fixture_drop_queue(&A);
    fixture_detach(&B);
    fixture_detach(&A); /* the last pin */
    fixture_attach(&A);
    fixture_sound(&A, &report);
    CHECK_EQ(report.part_blocks, 0);
    CHECK_EQ(used_blocks(&A), parts_before);
    fixture_detach(&A);
    fixture_end();
}

static void sound(void) {
    aipc_report report;
    fixture_sound(&A, &report);
    CHECK_EQ(report.parts, report.part_blocks);
}

static uint64_t size_of(uint64_t number) {
    static const uint64_t sizes[] = {0, 1, 7, 8, 9, 64, 500, 2047, 2048, 2049, 5000, 20000};
    return sizes[number % (sizeof sizes / sizeof sizes[0])];
}

static void messages_come_out_as_they_went_in(void) {
    uint64_t put = 0, taken = 0;
    open_pair(0, 0);
    CHECK_EQ(take_message(&B, b, 0, 0), AIPC_AGAIN);
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < round % 13; i++, put++) OK(put_message(&A, a, put, size_of(put)));
        CHECK_EQ(stats_of(b).queued, put - taken);
        if (round % 9 == 0) sound();
        for (int i = 0; i < round % 11 && taken < put; i++, taken++) OK(take_message(&B, b, taken, size_of(taken)));
    }
    for (; taken < put; taken++) OK(take_message(&B, b, taken, size_of(taken)));
    CHECK_EQ(take_message(&B, b, 0, 0), AIPC_AGAIN);
    CHECK_EQ(stats_of(b).bytes, 0);
    CHECK_EQ(stats_of(b).unfinished, put);
    OK(report_done(&B, b, put));
    OK(joined(&A, a));
    close_pair();
}

static void many_go_in_and_out_at_once(void) {
    static uint8_t bytes[300][64], room[300 * 64 + AIPC_QUEUE_INLINE];
    static aipc_bytes messages[300];
    static aipc_message got[300];
    uint32_t n, total = 0;
    open_pair(250, 0);
    for (uint64_t i = 0; i < 300; i++) {
        message_fill(bytes[i], i % 65, i);
        messages[i] = (aipc_bytes){.data = bytes[i], .size = i % 65};
    }
    aipc_ctx *ctx = enter(&A);
    CHECK_EQ(aipc_queue_put(ctx, a, messages, 300, &n), AIPC_AGAIN);
    CHECK_EQ(n, 250);
    CHECK_EQ(aipc_queue_take(ctx, a, room, 100, got, 1, &n), AIPC_INVALID);
    OK(aipc_queue_take(ctx, a, room, sizeof room, got, 1, &n));
    CHECK_EQ(n, 1);
    for (total = 1; total < 250; total += n) {
        OK(aipc_queue_take(ctx, a, room, sizeof room, got, 300, &n));
        for (uint32_t i = 0; i < n; i++) {
            CHECK_EQ(got[i].size, (total + i) % 65);
            message_check(got[i].data, got[i].size, total + i);
        }
    }
    CHECK_EQ(total, 250);
    aipc_ctx_leave(ctx);
    close_pair();
}

static void large_messages_are_taken_a_few_at_a_time(void) {
    aipc_message got[10];
    uint32_t n;
    open_pair(0, 0);
    for (uint64_t i = 0; i < 9; i++) OK(put_message(&A, a, i, 3000));
    OK(put_message(&A, a, 9, 10));
    aipc_ctx *ctx = enter(&B);
    for (uint64_t next = 0; next < 10; next += n) {
        OK(aipc_queue_take(ctx, b, queue_room, sizeof queue_room, got, 10, &n));
        CHECK(n >= 1 && n <= 4);
        for (uint32_t i = 0; i < n; i++) message_check(got[i].data, next + i == 9 ? 10 : 3000, next + i);
        OK(aipc_queue_dispose(ctx, got, n));
    }
    aipc_ctx_leave(ctx);
    close_pair();
}

static void limits_hold(void) {
    open_pair(2, 0);
    OK(put_message(&A, a, 0, 10));
    OK(put_message(&A, a, 1, 3000));
    CHECK_EQ(put_message(&A, a, 2, 0), AIPC_AGAIN);
    CHECK_EQ(put_message(&A, a, 2, 4000), AIPC_AGAIN);
    OK(take_message(&B, b, 0, 10));
    OK(put_message(&A, a, 2, 0));
    CHECK_EQ(put_message(&A, a, 3, UINT64_C(1) << 20), AIPC_INVALID);
    close_pair();
    open_pair(0, 100);
    CHECK_EQ(put_message(&A, a, 0, 101), AIPC_INVALID);
    OK(put_message(&A, a, 0, 60));
    CHECK_EQ(put_message(&A, a, 1, 41), AIPC_AGAIN);
    OK(put_message(&A, a, 1, 40));
    OK(put_message(&A, a, 2, 0));
    CHECK_EQ(stats_of(a).bytes, 100);
    OK(take_message(&B, b, 0, 60));
    OK(put_message(&A, a, 3, 60));
    close_pair();
}

static void a_full_heap_refuses_and_recovers(void) {
    uint64_t put = 0, taken = 0;
    aipc_status status = AIPC_OK;
    open_pair(0, 0);
    while (status == AIPC_OK) status = put_message(&A, a, put++, 1000);
    CHECK_EQ(status, AIPC_FULL);
    put--;
    sound();
    CHECK_EQ(put_message(&A, a, put, 20000), AIPC_FULL);
    for (; taken < put; taken++) OK(take_message(&B, b, taken, 1000));
    OK(put_message(&A, a, put, 20000));
    OK(take_message(&A, a, put, 20000));
    close_pair();
}

/* User data fills the segment; whoever comes can still open the queue, lease and settle, and destroy what it finds. */
static void a_full_segment_can_be_recovered(void) {
    static uint64_t held[16384];
    aipc_message leases[64];
    aipc_object_ref ref;
    uint64_t count = 0, leased = 0;
    open_pair(0, 0);
    for (uint64_t i = 0; i < 20; i++) OK(put_message(&A, a, i, i < 10 ? 2000 : 30));
    (void)fixture_object(&A, "other", 107, 1000);
    aipc_ctx *ctx = enter(&A);
    for (uint64_t size = 1 << 16; size != 0; size /= 4)
        while (aipc_heap_allocate(ctx, size, 16, 0, NULL, &held[count]) == AIPC_OK) count++;
    aipc_ctx_leave(ctx);
    while (put_message(&A, a, 20, 30) == AIPC_OK) continue; /* the last chunk, to its end */

    fixture_detach(&B);
    fixture_attach(&B);
    b = fixture_queue(&B);
    while (lease_message(&B, b, &leases[leased]) == AIPC_OK) leased++;
    CHECK(leased >= 1 && leased < 10); /* the reserve is small, and some of it is not for leases */
    for (int i = 0; i < FIXTURE_PARTICIPANTS; i++) (void)fixture_queue(&B);
    for (uint64_t i = 0; i < leased; i++) OK(settle_message(&B, b, &leases[i], AIPC_SETTLE_DONE));
    while (lease_message(&B, b, &leases[0]) == AIPC_OK) OK(settle_message(&B, b, &leases[0], AIPC_SETTLE_DONE));
    CHECK_EQ(stats_of(b).queued, 0);
    CHECK_EQ(lease_message(&B, b, &leases[0]), AIPC_AGAIN);

    ctx = enter(&B);
    while (aipc_heap_allocate(ctx, 1000, 16, 0, NULL, &held[count]) == AIPC_OK) count++; /* what they gave back */
    OK(aipc_find(ctx, AIPC_NAMED, "other", 5, &ref));
    OK(aipc_pin(ctx, &ref));
    OK(aipc_destroy(ctx, &ref));
    OK(aipc_unpin(ctx, B.slot, ref.holding));
    for (uint64_t i = 0; i < count; i++) OK(aipc_heap_free(ctx, held[i], AIPC_INTERNAL, NULL));
    aipc_ctx_leave(ctx);
    close_pair();
}

static void a_lease_is_settled_once(void) {
    aipc_message first, second, third, again;
    open_pair(0, 0);
    for (uint64_t i = 0; i < 4; i++) OK(put_message(&A, a, i, i == 1 ? 4000 : 20 + i));
    OK(lease_message(&B, b, &first));
    OK(lease_message(&B, b, &second));
    OK(lease_message(&B, b, &third));
    message_check(second.data, 4000, 1);
    CHECK_EQ(stats_of(b).leased, 3);
    CHECK_EQ(stats_of(b).queued, 1);
    CHECK_EQ(stats_of(b).bytes, 23);
    sound();
    CHECK_EQ(settle_message(&A, a, &first, AIPC_SETTLE_DONE), AIPC_NOT_OWNER);
    OK(settle_message(&B, b, &second, AIPC_SETTLE_DONE));
    CHECK_EQ(settle_message(&B, b, &second, AIPC_SETTLE_DONE), AIPC_NOT_OWNER);
    OK(settle_message(&B, b, &third, AIPC_SETTLE_RETURN));
    CHECK_EQ(settle_message(&B, b, &third, AIPC_SETTLE_RETURN), AIPC_NOT_OWNER);
    OK(settle_message(&B, b, &first, AIPC_SETTLE_RETURN));
    sound();
    OK(lease_message(&A, a, &again)); /* the newest return comes first */
    CHECK_EQ(again.deliveries, 2);
    message_check(again.data, 20, 0);
    CHECK_EQ(settle_message(&B, b, &first, AIPC_SETTLE_DONE), AIPC_NOT_OWNER);
    OK(settle_message(&A, a, &again, AIPC_SETTLE_DONE));
    OK(take_message(&A, a, 2, 22));
    OK(take_message(&A, a, 3, 23));
    CHECK_EQ(stats_of(b).unfinished, 2);
    CHECK_EQ(stats_of(b).returned, 2);
    CHECK_EQ(joined(&A, a), AIPC_AGAIN);
    CHECK_EQ(report_done(&B, b, 3), AIPC_INVALID);
    OK(report_done(&B, b, 2));
    OK(joined(&A, a));
    CHECK_EQ(report_done(&B, b, 1), AIPC_INVALID);
    close_pair();
}

static void what_a_leaver_had_comes_back(void) {
    aipc_message leases[4];
    open_pair(0, 0);
    for (uint64_t i = 0; i < 8; i++) OK(put_message(&A, a, i, 30));
    OK(take_message(&B, b, 0, 30));
    for (int i = 0; i < 4; i++) OK(lease_message(&B, b, &leases[i]));
    OK(settle_message(&B, b, &leases[1], AIPC_SETTLE_DONE));
    CHECK_EQ(stats_of(a).queued, 3);
    fixture_detach(&B);
    CHECK_EQ(joined(&A, a), AIPC_AGAIN); /* looks at what is left of B */
    CHECK_EQ(stats_of(a).queued, 6);
    CHECK_EQ(stats_of(a).unfinished, 6);
    sound();
    for (uint64_t i = 1; i < 8; i++)
        if (i != 2) OK(take_message(&A, a, i, 30));
    fixture_attach(&B);
    b = fixture_queue(&B);
    CHECK_EQ(settle_message(&B, b, &leases[0], AIPC_SETTLE_DONE), AIPC_NOT_OWNER);
    OK(report_done(&B, b, 6));
    OK(joined(&A, a));
    close_pair();
}

/* A leaver that dies between the end of its participation and telling of it. */
static void what_an_untold_leaver_had_comes_back(void) {
    static uint8_t room[AIPC_QUEUE_INLINE];
    aipc_message lease, message;
    for (int how = 0; how < 4; how++) {
        open_pair(0, 0);
        OK(put_message(&A, a, 0, 30));
        OK(lease_message(&B, b, &lease));
        fixture_detach(&B);
        aipc_store_relaxed32(&a->out.reclaimed, aipc_load_relaxed32(&A.header->recoveries));
        aipc_ctx *ctx = enter(&A);
        if (how == 0) OK(take_message(&A, a, 0, 30));
        if (how == 1) OK(aipc_queue_lease(ctx, a, &lease));
        if (how == 2) OK(aipc_queue_peek(ctx, a, room, sizeof room, &message));
        if (how == 3) CHECK_EQ(aipc_queue_joined(ctx, a), AIPC_AGAIN);
        if (how == 3) CHECK_EQ(stats_of(a).queued, 1);
        aipc_ctx_leave(ctx);
        fixture_attach(&B);
        b = fixture_queue(&B);
        close_pair();
    }
}

/* A joiner that comes too late for the moment learns of it, however the last message was done. */
static void joiners_need_not_be_there_when_all_is_done(void) {
    enum { TASK_DONE, SETTLED, CLEARED, RECLAIMED, DISCARDED, WAYS };
    aipc_message lease;
    uint64_t dropped;
    for (int how = 0; how < WAYS; how++) {
        NOTE("way %d", how);
        open_pair(0, 0);
        OK(joined_since(&A, a, 0)); /* nothing was ever put */
        OK(put_message(&A, a, 0, 30));
        const uint64_t mark = aipc_queue_mark(a);
        CHECK_EQ(joined_since(&A, a, mark), AIPC_AGAIN);
        if (how == SETTLED) OK(lease_message(&B, b, &lease));
        if (how == TASK_DONE || how == RECLAIMED) OK(take_message(&B, b, 0, 30));
        CHECK_EQ(joined_since(&A, a, mark), AIPC_AGAIN);
        aipc_ctx *ctx = enter(&B);
        if (how == TASK_DONE) OK(aipc_queue_task_done(ctx, b, 1));
        if (how == SETTLED) OK(aipc_queue_settle(ctx, b, lease.item, lease.serial, AIPC_SETTLE_DONE));
        if (how == CLEARED) OK(aipc_queue_clear(ctx, b, &dropped));
        if (how == DISCARDED) OK(aipc_queue_shutdown(ctx, b, true));
        aipc_ctx_leave(ctx);
        if (how == RECLAIMED) {
            fixture_detach(&B);
            ctx = enter(&A);
            OK(aipc_queue_clear(ctx, a, &dropped)); /* whoever comes looks at what is left of B */
            aipc_ctx_leave(ctx);
            fixture_attach(&B);
            b = fixture_queue(&B);
        }
        CHECK_EQ(put_message(&A, a, 1, 30), how == DISCARDED ? AIPC_SHUT_DOWN : AIPC_OK);
        OK(joined_since(&A, a, mark));
        CHECK_EQ(joined_since(&A, a, aipc_queue_mark(a)), how == DISCARDED ? AIPC_OK : AIPC_AGAIN);
        CHECK_EQ(joined(&A, a), how == DISCARDED ? AIPC_OK : AIPC_AGAIN);
        sound();
        close_pair();
    }
}

/* Who never reports what it took does not spoil its generation. */
static void a_holder_does_not_overflow(void) {
    open_pair(0, 0);
    OK(put_message(&A, a, 0, 30));
    OK(put_message(&A, a, 1, 30));
    OK(take_message(&A, a, 0, 30));
    struct aipc_queue_holder *holder = &a->holders[A.slot];
    holder->plain |= UINT32_MAX;
    OK(take_message(&A, a, 1, 30));
    CHECK_EQ(holder->plain, (uint64_t)A.generation << 32 | UINT32_MAX);
    OK(report_done(&A, a, 2));
    OK(joined(&A, a));
    close_pair();
}

static void peek_leaves_it_there(void) {
    static uint8_t room[70000];
    aipc_message message, lease;
    open_pair(0, 0);
    aipc_ctx *ctx = enter(&A);
    CHECK_EQ(aipc_queue_peek(ctx, a, room, sizeof room, &message), AIPC_AGAIN);
    OK(put_message(&B, b, 0, 50));
    OK(put_message(&B, b, 1, 60000));
    OK(aipc_queue_peek(ctx, a, room, sizeof room, &message));
    CHECK_EQ(message.size, 50);
    message_check(message.data, 50, 0);
    OK(take_message(&B, b, 0, 50));
    OK(aipc_queue_peek(ctx, a, room, 100, &message));
    CHECK(message.data == NULL && message.size == 60000);
    OK(aipc_queue_peek(ctx, a, room, sizeof room, &message));
    message_check(message.data, 60000, 1);
    OK(lease_message(&B, b, &lease));
    CHECK_EQ(aipc_queue_peek(ctx, a, room, sizeof room, &message), AIPC_AGAIN);
    OK(settle_message(&B, b, &lease, AIPC_SETTLE_RETURN));
    OK(aipc_queue_peek(ctx, a, room, sizeof room, &message));
    message_check(message.data, 60000, 1);
    CHECK_EQ(message.deliveries, 2);
    aipc_ctx_leave(ctx);
    close_pair();
}

static void clear_drops_what_is_queued(void) {
    uint64_t dropped;
    aipc_message lease;
    open_pair(0, 0);
    for (uint64_t i = 0; i < 300; i++) OK(put_message(&A, a, i, i % 50 == 7 ? 2500 : 40));
    OK(lease_message(&B, b, &lease));
    aipc_ctx *ctx = enter(&A);
    OK(aipc_queue_clear(ctx, a, &dropped));
    aipc_ctx_leave(ctx);
    CHECK_EQ(dropped, 299);
    CHECK_EQ(stats_of(a).unfinished, 1);
    CHECK_EQ(stats_of(a).bytes, 0);
    OK(settle_message(&B, b, &lease, AIPC_SETTLE_DONE));
    OK(joined(&A, a));
    OK(put_message(&A, a, 300, 9));
    OK(take_message(&B, b, 300, 9));
    close_pair();
}

static void shutdown_ends_puts_and_then_takes(void) {
    aipc_message lease, other;
    for (int immediate = 0; immediate < 2; immediate++) {
        open_pair(0, 0);
        for (uint64_t i = 0; i < 3; i++) OK(put_message(&A, a, i, 40));
        OK(lease_message(&B, b, &lease));
        OK(lease_message(&B, b, &other));
        aipc_ctx *ctx = enter(&A);
        OK(aipc_queue_shutdown(ctx, a, immediate != 0));
        aipc_ctx_leave(ctx);
        CHECK_EQ(put_message(&B, b, 3, 1), AIPC_SHUT_DOWN);
        if (!immediate) OK(take_message(&B, b, 2, 40));
        const aipc_status empty = immediate ? AIPC_SHUT_DOWN : AIPC_AGAIN; /* what is on lease may come back */
        CHECK_EQ(take_message(&B, b, 2, 40), empty);
        OK(settle_message(&B, b, &lease, AIPC_SETTLE_RETURN));
        if (!immediate) OK(take_message(&A, a, 0, 40));
        CHECK_EQ(lease_message(&A, a, &lease), empty);
        CHECK_EQ(joined(&A, a), AIPC_AGAIN);
        fixture_detach(&B); /* with the other lease, and perhaps a plain take */
        if (!immediate) OK(take_message(&A, a, 1, 40));
        CHECK_EQ(lease_message(&A, a, &lease), AIPC_SHUT_DOWN);
        if (!immediate) OK(report_done(&A, a, 2));
        OK(joined(&A, a));
        fixture_attach(&B);
        b = fixture_queue(&B);
        close_pair();
    }
}

static void a_destroyed_queue_says_so(void) {
    aipc_message lease;
    uint64_t dropped;
    open_pair(0, 0);
    OK(put_message(&A, a, 0, 40));
    OK(lease_message(&B, b, &lease));
    aipc_ctx *ctx = enter(&A);
    OK(aipc_queue_close(ctx, a));
    CHECK_EQ(aipc_queue_clear(ctx, a, &dropped), AIPC_CLOSED);
    CHECK_EQ(aipc_queue_joined(ctx, a), AIPC_CLOSED);
    aipc_ctx_leave(ctx);
    CHECK_EQ(put_message(&B, b, 1, 40), AIPC_CLOSED);
    CHECK_EQ(take_message(&B, b, 1, 40), AIPC_CLOSED);
    CHECK_EQ(lease_message(&A, a, &lease), AIPC_CLOSED);
    close_pair();
}

/* ---- waiting ------------------------------------------------------------------------------------ */

static uint32_t bell;
static int bell_fd;

static uint32_t stand(aipc_queue_role role, uint64_t token) {
    uint32_t node;
    aipc_ctx *ctx = enter(&B);
    OK(aipc_queue_stand(ctx, b, role, bell, token, &node));
    aipc_ctx_leave(ctx);
    return node;
}

static void again(aipc_queue_role role, uint32_t node) {
    aipc_ctx *ctx = enter(&B);
    OK(aipc_queue_again(ctx, b, role, node));
    aipc_ctx_leave(ctx);
}

static void leave(aipc_queue_role role, uint32_t node) {
    aipc_ctx *ctx = enter(&B);
    OK(aipc_queue_leave(ctx, b, role, node));
    aipc_ctx_leave(ctx);
}

/* The tokens of those that were woken, one after the other, as digits. */
static uint64_t woken(void) {
    uint64_t tokens[8], all = 0;
    uint32_t count;
    aipc_ctx *ctx = enter(&B);
    OK(aipc_wait_collect(ctx, bell, tokens, 8, &count));
    aipc_ctx_leave(ctx);
    for (uint32_t i = 0; i < count; i++) all = all * 10 + tokens[i];
    return all;
}

static void waiters_are_woken_in_order(void) {
    open_pair(2, 0);
    OK(aipc_bell_take(&B, &bell, &bell_fd));
    uint32_t one = stand(AIPC_GETTERS, 1), two = stand(AIPC_GETTERS, 2), three = stand(AIPC_GETTERS, 3);
    aipc_bell_woken(&B, bell);
    CHECK(!aipc_bell_arm(&B, bell));
    OK(put_message(&A, a, 0, 1));
    OK(aipc_os_poll2(bell_fd, -1, 0));
    CHECK_EQ(woken(), 1);
    again(AIPC_GETTERS, one); /* somebody else was faster, so it seems */
    leave(AIPC_GETTERS, one); /* and gives up: the message is still there for the next */
    CHECK_EQ(woken(), 2);
    OK(take_message(&B, b, 0, 1));
    leave(AIPC_GETTERS, two);
    CHECK_EQ(woken(), 0);
    OK(put_message(&A, a, 1, 1));
    CHECK_EQ(woken(), 3);
    leave(AIPC_GETTERS, three);
    CHECK_EQ(aipc_load_seq_cst32(&b->getters.asleep), 0);

    OK(put_message(&A, a, 2, 1));
    one = stand(AIPC_PUTTERS, 1);
    two = stand(AIPC_PUTTERS, 2);
    OK(take_message(&A, a, 1, 1));
    CHECK_EQ(woken(), 1);
    leave(AIPC_PUTTERS, one); /* without having put: there is room for the next */
    CHECK_EQ(woken(), 2);
    leave(AIPC_PUTTERS, two);

    one = stand(AIPC_JOINERS, 1);
    two = stand(AIPC_JOINERS, 2);
    OK(take_message(&A, a, 2, 1));
    OK(report_done(&A, a, 2));
    CHECK_EQ(woken(), 0);
    OK(report_done(&A, a, 1));
    CHECK_EQ(woken(), 12);
    leave(AIPC_JOINERS, one);
    leave(AIPC_JOINERS, two);
    CHECK_EQ(stats_of(a).joiners, 0);

    one = stand(AIPC_GETTERS, 1);
    two = stand(AIPC_PUTTERS, 2);
    aipc_ctx *ctx = enter(&A);
    OK(aipc_queue_shutdown(ctx, a, false));
    aipc_ctx_leave(ctx);
    CHECK_EQ(woken(), 12);
    leave(AIPC_GETTERS, one);
    leave(AIPC_PUTTERS, two);
    close_pair();
}

/* More than one hold of the lock can wake, and more bells than are rung in one go. */
static void everybody_is_woken(void) {
    enum { WAITERS = 90, BELLS = 30 };
    static uint32_t nodes[WAITERS];
    uint32_t bells[BELLS], total = 0, count;
    uint64_t tokens[WAITERS];
    int fd;
    fixture_size = 512 * 1024;
    open_pair(0, 0);
    fixture_size = FIXTURE_SIZE;
    for (int i = 0; i < BELLS; i++) OK(aipc_bell_take(&B, &bells[i], &fd));
    for (int i = 0; i < WAITERS; i++) {
        bell = bells[i % BELLS];
        nodes[i] = stand(AIPC_GETTERS, 1);
    }
    aipc_ctx *ctx = enter(&A);
    OK(aipc_line_wake(ctx, &a->getters, AIPC_EVERYBODY));
    aipc_ctx_leave(ctx);
    CHECK_EQ(aipc_load_seq_cst32(&a->getters.asleep), 0);
    for (int i = 0; i < BELLS; i++) {
        ctx = enter(&B);
        OK(aipc_wait_collect(ctx, bells[i], tokens, WAITERS, &count));
        aipc_ctx_leave(ctx);
        total += count;
    }
    CHECK_EQ(total, WAITERS);
    for (int i = 0; i < WAITERS; i++) leave(AIPC_GETTERS, nodes[i]);
    close_pair();
}

/* A node that was withdrawn behind a stopped process is passed over, and gone. */
static void a_withdrawn_waiter_is_passed_over(void) {
    open_pair(0, 0);
    OK(aipc_bell_take(&B, &bell, &bell_fd));
    uint32_t one = stand(AIPC_GETTERS, 1), two = stand(AIPC_GETTERS, 2);
    B.stall_ns = 1000;
    aipc_store_relaxed32(&A.waits->domain.lock, aipc_lock_word(A.slot, 0, A.generation)); /* A, stopped */
    leave(AIPC_GETTERS, one);
    aipc_store_relaxed32(&A.waits->domain.lock, 0);
    OK(put_message(&A, a, 0, 1));
    CHECK_EQ(woken(), 2);
    CHECK_EQ(stats_of(a).getters, 1);
    leave(AIPC_GETTERS, two);
    close_pair();
}

int main(void) {
    RUN(messages_come_out_as_they_went_in);
    RUN(many_go_in_and_out_at_once);
    RUN(large_messages_are_taken_a_few_at_a_time);
    RUN(limits_hold);
    RUN(a_full_heap_refuses_and_recovers);
    RUN(a_full_segment_can_be_recovered);
    RUN(a_lease_is_settled_once);
    RUN(what_a_leaver_had_comes_back);
    RUN(what_an_untold_leaver_had_comes_back);
    RUN(joiners_need_not_be_there_when_all_is_done);
    RUN(a_holder_does_not_overflow);
    RUN(peek_leaves_it_there);
    RUN(clear_drops_what_is_queued);
    RUN(shutdown_ends_puts_and_then_takes);
    RUN(a_destroyed_queue_says_so);
    RUN(waiters_are_woken_in_order);
    RUN(everybody_is_woken);
    RUN(a_withdrawn_waiter_is_passed_over);
    return SUMMARY();
}
