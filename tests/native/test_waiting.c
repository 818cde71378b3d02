// variants: plain hook
/* Deaths in waiting alone, without a lock: queues, ready lists, bells, the watch; at every hook, and after sampled machine
 * instructions.  A peer that lives through it sleeps meanwhile, and must be woken by the next ringer, whatever the
 * dead one left. */
#include "segment_fixture.h"
#ifdef AIPC_HOOK
#include "crash.h"
#else
#include "step.h"
#endif

enum { TYPE = 77, PATIENCE_NS = 2000000000 };

static aipc_seg A, B, C;
static uint32_t bell_a, node_a;
static int fd_a;

static struct aipc_wait_queue *queue_of(aipc_seg *seg) {
    return fixture_object(seg, "queue", TYPE, sizeof(struct aipc_wait_queue));
}

/* ---- one transaction each ------------------------------------------------------------------------ */

static void finish(aipc_ctx *ctx, aipc_tx *tx, aipc_status status) {
    OK(status);
    aipc_tx_commit(tx);
    aipc_domain_unlock(ctx, &ctx->seg->waits->domain);
}

static uint32_t enlist(aipc_ctx *ctx, struct aipc_wait_queue *queue, uint32_t bell, uint64_t token) {
    uint32_t node;
    OK(aipc_domain_lock(ctx, &ctx->seg->waits->domain));
    aipc_tx tx = aipc_tx_begin(ctx->seg, &ctx->seg->waits->domain);
    finish(ctx, &tx, aipc_wait_enlist(&tx, queue, bell, token, 0, &node));
    return node;
}

static void withdraw(aipc_ctx *ctx, struct aipc_wait_queue *queue, uint32_t node) {
    OK(aipc_domain_lock(ctx, &ctx->seg->waits->domain));
    aipc_tx tx = aipc_tx_begin(ctx->seg, &ctx->seg->waits->domain);
    finish(ctx, &tx, aipc_wait_remove(&tx, queue, node));
}

static void wake(aipc_ctx *ctx, uint32_t node) {
    aipc_bell_target target;
    OK(aipc_domain_lock(ctx, &ctx->seg->waits->domain));
    aipc_tx tx = aipc_tx_begin(ctx->seg, &ctx->seg->waits->domain);
    finish(ctx, &tx, aipc_wait_notify(&tx, node, &target));
    aipc_bell_ring(ctx->seg, &target);
}

/* The first waiter of the queue, as whoever attaches finds it. */
static void wake_first(aipc_seg *seg) {
    aipc_ctx *ctx = enter(seg);
    wake(ctx, queue_of(seg)->head);
    aipc_ctx_leave(ctx);
}

static uint32_t collected(aipc_ctx *ctx, uint32_t bell) {
    uint64_t tokens[8];
    uint32_t count;
    OK(aipc_wait_collect(ctx, bell, tokens, 8, &count));
    for (uint32_t i = 0; i < count; i++) CHECK(tokens[i] == 1 || tokens[i] == 2);
    return count;
}

static void sweep(const struct scenario *s, uint64_t least) {
#ifdef AIPC_HOOK
    const uint64_t deaths = crash_sweep(s);
#else
    STEP_WATCH(&C.base, FIXTURE_SIZE);
    const uint64_t deaths = step_sweep(s);
#endif
    fprintf(stderr, "  %" PRIu64 " deaths\n", deaths);
    CHECK(deaths > least);
}

/* ---- a waiter that dies -------------------------------------------------------------------------- */

static uint32_t bell_b;
static int fd_b;

static void setup_waiter(void *arg) {
    (void)arg;
    fixture_create(&A);
    (void)queue_of(&A);
    fixture_detach(&A);
}

static void enter_waiter(void *arg) {
    (void)arg;
    fixture_attach(&B);
    fixture_attach(&C);
    OK(aipc_bell_take(&B, &bell_b, &fd_b));
    (void)queue_of(&B);
}

static void run_waiter(void *arg) {
    (void)arg;
    int watch;
    uint32_t bell;
    int fd;
    struct aipc_wait_queue *queue = queue_of(&B);
    aipc_ctx *ctx = enter(&B);
    OK(aipc_bell_take(&B, &bell, &fd));
    const uint32_t first = enlist(ctx, queue, bell, 1), second = enlist(ctx, queue, bell_b, 2);
    OK(aipc_watch_open(&B, &watch));
    OK(aipc_watch_refresh(&B));
    (void)aipc_bell_arm(&B, bell);
    wake(ctx, first);
    wake(ctx, second);
    aipc_os_drain(fd);
    aipc_bell_woken(&B, bell);
    CHECK_EQ(collected(ctx, bell), 1);
    OK(aipc_watch_collect(ctx));
    withdraw(ctx, queue, first);
    withdraw(ctx, queue, second); /* notified, and not collected */
    aipc_bell_give_back(&B, bell);
    aipc_ctx_leave(ctx);
}

/* Nothing of it stands anywhere, and the queue can be used. */
static void survive_waiter(void *arg) {
    (void)arg;
    aipc_report report;
    uint32_t bell;
    int fd;
    fixture_attach(&A);
    fixture_sound(&A, &report);
    CHECK_EQ(report.nodes_waiting, 0);
    struct aipc_wait_queue *queue = queue_of(&A);
    CHECK_EQ(queue->head, AIPC_NO_NODE);
    OK(aipc_bell_take(&A, &bell, &fd));
    aipc_ctx *ctx = enter(&A);
    const uint32_t node = enlist(ctx, queue, bell, 1);
    wake(ctx, node);
    CHECK_EQ(collected(ctx, bell), 1);
    withdraw(ctx, queue, node);
    aipc_ctx_leave(ctx);
    fixture_sound(&A, &report);
    fixture_detach(&A);
}

static void a_waiter_may_die_anywhere(void) {
    const struct scenario s = {setup_waiter, enter_waiter, run_waiter, survive_waiter, NULL};
    sweep(&s, 40);
#ifdef AIPC_HOOK
    CHECK(crash_sweep_nested(&s) > 100);
#endif
}

/* ---- a ringer that dies -------------------------------------------------------------------------- */

/* A sleeps, all the time. */
static void setup_sleeper(void *arg) {
    (void)arg;
    fixture_create(&A);
    OK(aipc_bell_take(&A, &bell_a, &fd_a));
    aipc_ctx *ctx = enter(&A);
    node_a = enlist(ctx, queue_of(&A), bell_a, 1);
    aipc_ctx_leave(ctx);
    fixture_attach(&C);
    CHECK_EQ(aipc_os_poll2(fd_a, -1, 0), AIPC_AGAIN);
}

static void enter_ringer(void *arg) {
    (void)arg;
    fixture_attach(&B);
    (void)queue_of(&B);
    (void)aipc_bell_arm(&A, bell_a); /* for the parent, which waits for our end: attaching would have disarmed it */
}

static void run_ringer(void *arg) {
    (void)arg;
    wake_first(&B);
}

/* Nobody looks at the watch here: the bell alone must do. */
static void survive_ringer(void *arg) {
    (void)arg;
    aipc_report report;
    wake_first(&C);
    OK(aipc_os_poll2(fd_a, -1, PATIENCE_NS));
    aipc_os_drain(fd_a);
    aipc_bell_woken(&A, bell_a);
    aipc_ctx *ctx = enter(&A);
    CHECK_EQ(collected(ctx, bell_a), 1);
    withdraw(ctx, queue_of(&A), node_a);
    uint32_t recovered;
    OK(aipc_recover_all(ctx, &recovered));
    aipc_ctx_leave(ctx);
    fixture_sound(&A, &report);
    CHECK_EQ(report.nodes_waiting, 0);
    fixture_detach(&C);
    fixture_detach(&A);
}

/* Also between the byte and the disarming. */
static void a_sleeper_is_woken_though_a_ringer_died_anywhere(void) {
    const struct scenario s = {setup_sleeper, enter_ringer, run_ringer, survive_ringer, NULL};
    sweep(&s, 15);
}

int main(void) {
    RUN(a_waiter_may_die_anywhere);
    RUN(a_sleeper_is_woken_though_a_ringer_died_anywhere);
    fixture_end();
    return SUMMARY();
}
