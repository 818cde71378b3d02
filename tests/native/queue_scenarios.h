/* Things done to a queue that may be killed at any point, and what must be true of it then: every message is whole
 * in the queue, or with its taker, exactly once and in order; and nothing leaks.
 *
 * What a process is about to do, and what it has done, it writes down in memory that all of them share; so the
 * survivor knows of each message whether it must be there, must not, or may. */
#ifndef AIPC_TEST_QUEUE_SCENARIOS_H
#define AIPC_TEST_QUEUE_SCENARIOS_H

#include "queue_fixture.h"

enum fate { ABSENT, PUTTING, PRESENT, TAKING, GONE };
enum { NUMBERS = 64 };

static struct scenario_page {
    uint32_t fate[NUMBERS];
    uint32_t deliveries[NUMBERS]; /* known leases */
    uint64_t used_blocks;         /* without the queue */
    uint32_t discarding, destroying;
} *page;

static aipc_seg seg;
static struct aipc_queue *queue;
static aipc_ctx *ctx;

static inline uint64_t length_of(uint64_t number) { return number % 6 == 3 ? 2500 + number : 8 + number * 17 % 90; }

static inline void compose(uint8_t *bytes, uint64_t number) { /* few instructions: step.h counts them */
    memset(bytes, (uint8_t)(number * 31 + 1), length_of(number));
    memcpy(bytes, &number, 8);
}

static inline uint64_t read_number(const aipc_message *message) {
    uint64_t number;
    static uint8_t expected[4096];
    CHECK(message->size >= 8);
    memcpy(&number, message->data, 8);
    CHECK(number < NUMBERS);
    CHECK_EQ(message->size, length_of(number));
    compose(expected, number);
    CHECK(memcmp(message->data, expected, message->size) == 0);
    return number;
}

/* ---- operations that are written down ------------------------------------------------------------- */

static inline void put_numbers(uint64_t first, uint32_t count) {
    static uint8_t bytes[NUMBERS][4096];
    aipc_bytes messages[NUMBERS];
    uint32_t put;
    for (uint32_t i = 0; i < count; i++) {
        compose(bytes[i], first + i);
        messages[i] = (aipc_bytes){.data = bytes[i], .size = length_of(first + i)};
        page->fate[first + i] = PUTTING;
    }
    OK(aipc_queue_put(ctx, queue, messages, count, &put));
    CHECK_EQ(put, count);
    for (uint32_t i = 0; i < count; i++) page->fate[first + i] = PRESENT;
}

static inline void take_numbers(uint64_t first, uint32_t count) {
    aipc_message messages[NUMBERS];
    uint32_t taken;
    for (uint32_t i = 0; i < count; i++) page->fate[first + i] = TAKING;
    OK(aipc_queue_take(ctx, queue, queue_room, sizeof queue_room, messages, count, &taken));
    for (uint32_t i = 0; i < count; i++) page->fate[first + i] = i < taken ? GONE : PRESENT;
    for (uint32_t i = 0; i < taken; i++) CHECK_EQ(read_number(&messages[i]), first + i);
    OK(aipc_queue_dispose(ctx, messages, taken));
}

static inline aipc_message lease_number(uint64_t number) {
    aipc_message message;
    OK(aipc_queue_lease(ctx, queue, &message));
    CHECK_EQ(read_number(&message), number);
    page->deliveries[number]++;
    return message;
}

static inline void settle_number(const aipc_message *message, aipc_settlement how) {
    uint64_t number = read_number(message);
    if (how == AIPC_SETTLE_DONE) page->fate[number] = TAKING;
    OK(aipc_queue_settle(ctx, queue, message->item, message->serial, how));
    if (how == AIPC_SETTLE_DONE) page->fate[number] = GONE;
}

/* ---- before --------------------------------------------------------------------------------------- */

static inline uint64_t blocks_in_use(void) {
    aipc_heap_stats stats;
    OK(aipc_heap_stats_get(ctx, &stats));
    return stats.used_blocks;
}

static inline void come(void *arg) {
    (void)arg;
    fixture_attach(&seg);
    queue = fixture_queue(&seg);
    ctx = enter(&seg);
}

static inline void go(void) {
    aipc_ctx_leave(ctx);
    fixture_detach(&seg);
}

static inline void begin_with(uint32_t count) {
    if (page == NULL) {
        page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(page != MAP_FAILED);
    }
    memset(page, 0, sizeof *page);
    queue_options = (aipc_queue_options){.maxsize = 60, .max_bytes = 100000};
    fixture_create(&seg);
    ctx = enter(&seg);
    page->used_blocks = blocks_in_use();
    queue = fixture_queue(&seg);
    for (uint32_t i = 0; i < count; i++) put_numbers(i, 1);
    go();
}

/* A process that leases and takes, and dies; its slot is not the next one's. */
static inline void begin_with_a_dead_holder(void) {
    begin_with(20);
    come(NULL);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        come(NULL);
        take_numbers(0, 1);
        for (uint64_t i = 1; i < 5; i++) (void)lease_number(i);
        take_numbers(5, 1);
        _exit(0);
    }
    CHECK(!harness_was_killed(pid));
    go();
}

/* ---- after ---------------------------------------------------------------------------------------- */

static inline void everything_sound(bool quiet) {
    static aipc_report report;
    aipc_ctx_leave(ctx);
    fixture_sound(&seg, &report);
    ctx = enter(&seg);
    CHECK_EQ(report.nodes_waiting, 0);
    if (quiet) CHECK_EQ(report.part_blocks, report.parts);
}

/* Takes all there is; the messages between two of them, and behind the last, need not be there. */
static inline void drain(void) {
    uint64_t next = 0;
    aipc_message message;
    aipc_status status;
    while ((status = aipc_queue_peek(ctx, queue, queue_room, sizeof queue_room, &message)) == AIPC_OK) {
        uint64_t number = read_number(&message);
        CHECK(number >= next);
        for (; next < number; next++) CHECK(page->fate[next] != PRESENT || page->discarding);
        CHECK(page->fate[number] != ABSENT && page->fate[number] != GONE);
        CHECK(message.deliveries == page->deliveries[number] + 1 || message.deliveries == page->deliveries[number] + 2);
        take_numbers(number, 1);
        next++;
    }
    CHECK_EQ(status, page->discarding && stats_of(queue).state != 0 ? AIPC_SHUT_DOWN : AIPC_AGAIN);
    for (; next < NUMBERS; next++) CHECK(page->fate[next] != PRESENT || page->discarding);
}

static inline void settle_accounts(void) {
    aipc_queue_stats stats = stats_of(queue);
    if (stats.unfinished != 0) OK(aipc_queue_task_done(ctx, queue, stats.unfinished));
    CHECK_EQ(aipc_queue_task_done(ctx, queue, 1), AIPC_INVALID);
    OK(aipc_queue_joined(ctx, queue));
    stats = stats_of(queue);
    CHECK_EQ(stats.queued, 0);
    CHECK_EQ(stats.bytes, 0);
    CHECK_EQ(stats.leased, 0);
}

static inline void nothing_left(void) {
    go(); /* with the last pin */
    fixture_attach(&seg);
    ctx = enter(&seg);
    everything_sound(true);
    CHECK_EQ(blocks_in_use(), page->used_blocks);
    go();
}

static inline void survive(void *arg) {
    (void)arg;
    aipc_object_ref ref;
    fixture_attach(&seg);
    ctx = enter(&seg);
    everything_sound(false);
    aipc_status status = aipc_find(ctx, AIPC_NAMED, "queue", 5, &ref);
    if (status == AIPC_NOT_FOUND) {
        CHECK(page->destroying);
        nothing_left();
        return;
    }
    OK(status);
    queue = fixture_queue(&seg);
    CHECK(page->destroying || aipc_queue_joined(ctx, queue) != AIPC_CORRUPT); /* reclaims */
    everything_sound(true);
    if (!page->destroying) {
        aipc_queue_stats stats = stats_of(queue);
        CHECK_EQ(stats.leased, 0);
        CHECK_EQ(stats.unfinished, stats.queued); /* all others are dead */
        drain();
        settle_accounts();
        if (stats.state == 0) {
            put_numbers(NUMBERS - 1, 1);
            take_numbers(NUMBERS - 1, 1);
        }
    }
    page->destroying = 1;
    aipc_ctx_leave(ctx);
    fixture_drop_queue(&seg);
    ctx = enter(&seg);
    nothing_left();
}

/* ---- what is killed --------------------------------------------------------------------------------- */

static void begin_put(void *arg) { (void)arg; begin_with(10); }
static void run_put(void *arg) { /* inline, large, into a second and a third chunk */
    (void)arg;
    for (uint64_t i = 10; i < 32; i++) put_numbers(i, 1);
}

static void begin_first(void *arg) { (void)arg; begin_with(0); }
static void run_first(void *arg) { (void)arg; put_numbers(0, 1); take_numbers(0, 1); }

static void run_put_many(void *arg) { (void)arg; put_numbers(10, 25); }

static void begin_take(void *arg) { (void)arg; begin_with(34); }
static void run_take(void *arg) {
    (void)arg;
    for (uint64_t i = 0; i < 22; i++) take_numbers(i, 1);
}

static void run_take_many(void *arg) { (void)arg; take_numbers(0, 20); }

static void run_lease(void *arg) {
    (void)arg;
    aipc_message leases[6];
    for (uint64_t i = 0; i < 6; i++) leases[i] = lease_number(i);
    settle_number(&leases[1], AIPC_SETTLE_DONE);
    settle_number(&leases[5], AIPC_SETTLE_RETURN);
    settle_number(&leases[4], AIPC_SETTLE_RETURN);
    settle_number(&leases[3], AIPC_SETTLE_DONE);
    leases[4] = lease_number(4);
    settle_number(&leases[0], AIPC_SETTLE_DONE);
    settle_number(&leases[4], AIPC_SETTLE_RETURN);
}

static void run_done(void *arg) {
    (void)arg;
    take_numbers(0, 3);
    OK(aipc_queue_task_done(ctx, queue, 1));
    OK(aipc_queue_task_done(ctx, queue, 2));
}

static void begin_reclaim(void *arg) { (void)arg; begin_with_a_dead_holder(); }
static void recover_first(void *arg) {
    uint32_t recovered;
    come(arg);
    OK(aipc_recover_all(ctx, &recovered));
}
static void run_reclaim(void *arg) {
    (void)arg;
    CHECK_EQ(aipc_queue_joined(ctx, queue), AIPC_AGAIN);
    CHECK_EQ(stats_of(queue).unfinished, 18);
    take_numbers(1, 2);
}

static void run_shutdown(void *arg) {
    (void)arg;
    page->discarding = 1;
    OK(aipc_queue_shutdown(ctx, queue, true));
}

static void run_clear(void *arg) {
    uint64_t dropped;
    (void)arg;
    page->discarding = 1;
    OK(aipc_queue_clear(ctx, queue, &dropped));
}

static void run_destroy(void *arg) {
    (void)arg;
    (void)lease_number(0);
    aipc_message lease = lease_number(1);
    settle_number(&lease, AIPC_SETTLE_RETURN);
    page->destroying = 1;
    aipc_ctx_leave(ctx);
    fixture_drop_queue(&seg);
    ctx = enter(&seg);
    OK(aipc_unpin(ctx, seg.slot, queue_pin)); /* the last: its memory goes, one part after the other */
}

static const struct queue_scenario {
    const char *name;
    struct scenario s;
} queue_scenarios[] = {
    {"first put", {begin_first, come, run_first, survive, NULL}},
    {"put", {begin_put, come, run_put, survive, NULL}},
    {"put many", {begin_put, come, run_put_many, survive, NULL}},
    {"take", {begin_take, come, run_take, survive, NULL}},
    {"take many", {begin_take, come, run_take_many, survive, NULL}},
    {"lease and settle", {begin_take, come, run_lease, survive, NULL}},
    {"task done", {begin_take, come, run_done, survive, NULL}},
    {"reclaim", {begin_reclaim, recover_first, run_reclaim, survive, NULL}},
    {"shutdown at once", {begin_take, come, run_shutdown, survive, NULL}},
    {"clear", {begin_take, come, run_clear, survive, NULL}},
    {"destroy", {begin_take, come, run_destroy, survive, NULL}},
};
enum { QUEUE_SCENARIOS = sizeof queue_scenarios / sizeof queue_scenarios[0] };

#endif
