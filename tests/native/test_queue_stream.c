// variants: plain
/* A stream between two processes that are killed again and again: nothing that was put is lost, nothing comes twice
 * but what a dead process had leased, the order holds, and nobody sleeps for ever. */
#include "queue_fixture.h"

enum { NUMBERS = 1 << 22, LARGEST = 3008 };
enum { PUT = 1, HANDLED = 2 };

/* Not in the segment: what all know. */
static struct stream_page {
    uint8_t fate[NUMBERS];
    uint64_t next;   /* to be put; its put may have been cut short when it has no PUT */
    uint64_t last;   /* the largest that was delivered */
    uint32_t taking; /* a plain take is on its way: its message may go with the taker */
    uint32_t stop;
    uint64_t redelivered;
} *page;

static aipc_seg seg;
static struct aipc_queue *queue;
static uint32_t bell;
static int bell_fd;
static bool plain; /* takes, rather than leases */

static void come(void) {
    for (;;) {
        aipc_segment_init(&seg, dup(fixture_fd), "");
        const aipc_status status = aipc_segment_open(&seg);
        if (status == AIPC_OK) break;
        CHECK_EQ(status, AIPC_NO_SLOT); /* somebody recovers it */
        usleep(500);
    }
    queue = fixture_queue(&seg);
    OK(aipc_bell_take(&seg, &bell, &bell_fd));
}

static uint64_t length_of(uint64_t number) { return number % 97 == 5 ? LARGEST : 8 + number % 60; }

static void compose(uint8_t *bytes, uint64_t number) {
    message_fill(bytes, length_of(number), number);
    memcpy(bytes, &number, 8);
}

static aipc_status put_next(void) {
    static uint8_t bytes[LARGEST];
    const uint64_t number = page->next;
    const aipc_bytes message = {.data = bytes, .size = length_of(number)};
    uint32_t put;
    CHECK(number < NUMBERS);
    compose(bytes, number);
    page->next = number + 1;
    aipc_ctx *ctx = enter(&seg);
    const aipc_status status = aipc_queue_put(ctx, queue, &message, 1, &put);
    aipc_ctx_leave(ctx);
    if (status == AIPC_OK) page->fate[number] |= PUT;
    else page->next = number;
    return status;
}

static void handle(const aipc_message *message) {
    static uint8_t expected[LARGEST];
    uint64_t number;
    memcpy(&number, message->data, 8);
    CHECK(number < page->next);
    CHECK_EQ(message->size, length_of(number));
    compose(expected, number);
    CHECK(memcmp(message->data, expected, message->size) == 0);
    if (message->deliveries == 1) {
        CHECK(number > page->last || number == 0);
        CHECK((page->fate[number] & HANDLED) == 0);
    } else {
        page->redelivered++;
    }
    page->fate[number] |= HANDLED;
    if (number > page->last) page->last = number;
}

static aipc_status take_next(void) {
    aipc_message message;
    uint32_t taken;
    aipc_ctx *ctx = enter(&seg);
    aipc_status status;
    if (plain) {
        page->taking = 1;
        status = aipc_queue_take(ctx, queue, queue_room, sizeof queue_room, &message, 1, &taken);
    } else {
        status = aipc_queue_lease(ctx, queue, &message);
    }
    if (status == AIPC_OK) {
        handle(&message);
        page->taking = 0;
        if (plain) OK(aipc_queue_dispose(ctx, &message, 1));
        OK(plain ? aipc_queue_task_done(ctx, queue, 1)
                 : aipc_queue_settle(ctx, queue, message.item, message.serial, AIPC_SETTLE_DONE));
    }
    page->taking = 0;
    aipc_ctx_leave(ctx);
    return status;
}

static void wait_for(aipc_queue_role role, aipc_status (*attempt)(void)) {
    uint32_t node;
    aipc_ctx *ctx = enter(&seg);
    OK(aipc_queue_stand(ctx, queue, role, bell, 1, &node));
    aipc_ctx_leave(ctx);
    aipc_status status = attempt();
    while (status == AIPC_AGAIN) {
        fixture_sleep(&seg, bell, bell_fd);
        status = attempt();
        if (status != AIPC_AGAIN) break;
        ctx = enter(&seg);
        OK(aipc_queue_again(ctx, queue, role, node));
        aipc_ctx_leave(ctx);
        status = attempt();
    }
    ctx = enter(&seg);
    OK(aipc_queue_leave(ctx, queue, role, node));
    aipc_ctx_leave(ctx);
}

_Noreturn static void side(aipc_queue_role role, aipc_status (*attempt)(void)) {
    come();
    for (;;) {
        aipc_status status = AIPC_AGAIN;
        if (role == AIPC_PUTTERS && page->stop) break;
        status = attempt();
        if (status == AIPC_AGAIN) wait_for(role, attempt);
        else if (status == AIPC_SHUT_DOWN) break;
        else OK(status);
    }
    aipc_bell_give_back(&seg, bell);
    fixture_detach(&seg);
    _exit(0);
}

static pid_t start(bool consumer) {
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid != 0) return pid;
    if (consumer) side(AIPC_GETTERS, take_next);
    side(AIPC_PUTTERS, put_next);
}

static uint64_t random_state = 88172645463325252u;
static uint64_t below(uint64_t n) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % n;
}

static void a_stream_survives_kills(void) {
    const int kills = harness_full() ? 1500 : 100;
    uint64_t may_be_lost = 0, lost = 0;
    aipc_report report;
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    queue_options = (aipc_queue_options){.maxsize = 32};
    fixture_create(&seg);
    queue = fixture_queue(&seg);
    fixture_detach(&seg);
    pid_t pids[2] = {start(false), start(true)};
    for (int k = 0; k < kills; k++) {
        const int which = (int)below(2);
        NOTE("kill %d, %" PRIu64 " put", k, page->next);
        usleep((useconds_t)(500 + below(4000)));
        CHECK(kill(pids[which], SIGKILL) == 0);
        CHECK(harness_was_killed(pids[which]));
        if (which == 1) {
            may_be_lost += page->taking;
            page->taking = 0;
            plain = below(2) == 0;
        }
        pids[which] = start(which == 1);
    }
    page->stop = 1;
    NOTE("the producer ends");
    CHECK(!harness_was_killed(pids[0]));
    fixture_attach(&seg);
    aipc_ctx *ctx = enter(&seg);
    OK(aipc_queue_shutdown(ctx, queue = fixture_queue(&seg), false));
    aipc_ctx_leave(ctx);
    NOTE("the consumer ends");
    CHECK(!harness_was_killed(pids[1]));
    for (uint64_t n = 0; n < page->next; n++) lost += page->fate[n] == PUT;
    CHECK(lost <= may_be_lost);
    OK(joined(&seg, queue));
    fixture_sound(&seg, &report);
    CHECK_EQ(report.parts, report.part_blocks);
    CHECK_EQ(stats_of(queue).queued, 0);
    CHECK_EQ(stats_of(queue).bytes, 0);
    fprintf(stderr, "  %d kills, %" PRIu64 " messages, %" PRIu64 " delivered again, %" PRIu64 " went with their takers\n", kills,
            page->next, page->redelivered, lost);
    fixture_detach(&seg);
    fixture_end();
}

int main(void) {
    RUN(a_stream_survives_kills);
    return SUMMARY();
}
