// variants: hook
/* Behind a process that was stopped inside a short domain: what must not fail does not, and nobody waits for ever. */
#include "segment_fixture.h"
#ifdef AIPC_HOOK
#include "crash.h"
#endif
#include "leaks.h"

enum { STALL_NS = 50000000, SOON_NS = 2000000000 };

static aipc_seg A, B, C; /* B is the one that is stopped, in a child */
static struct aipc_lock *lock_a, *lock_c;
static uint32_t bell_a, bell_c;
static int fd_a, fd_c;
static pid_t stopped;

/* ---- the stopped one ----------------------------------------------------------------------------- */

static struct aipc_domain *stop_in;
static void stop_while_held(enum aipc_hook_kind kind) {
    (void)kind;
    if (stop_in == NULL || stop_in->lock >> 20 != B.slot || stop_in->head == 0) return;
    stop_in = NULL;
    raise(SIGSTOP);
}

static void use_waits(void) {
    uint32_t node;
    struct aipc_lock *lock = fixture_object(&B, "other lock", AIPC_TYPE_LOCK, sizeof(struct aipc_lock));
    OK(aipc_lock_try(&B, lock));
    aipc_ctx *ctx = enter(&B);
    stop_in = &B.waits->domain;
    CHECK_EQ(aipc_lock_wait(ctx, lock, 0, 1, false, &node), AIPC_AGAIN);
    OK(aipc_lock_cancel(ctx, lock, node));
    aipc_ctx_leave(ctx);
}
static void use_heap(void) {
    uint64_t payload;
    aipc_ctx *ctx = enter(&B);
    stop_in = &B.heap->domain;
    OK(aipc_heap_allocate(ctx, 100, 16, 0, NULL, &payload));
    OK(aipc_deallocate(ctx, payload));
    aipc_ctx_leave(ctx);
}

/* Attached, and going to do `act` when told to. */
static void start_peer(void (*act)(void)) {
    uint32_t *words = shared_words();
    words[0] = words[1] = 0;
    crash_other = stop_while_held;
    stopped = fork();
    CHECK(stopped >= 0);
    if (stopped == 0) {
        fixture_attach(&B);
        shared_set(&words[0], 1);
        shared_wait(&words[1], 1);
        act();
        fixture_detach(&B);
        _exit(0);
    }
    shared_wait(&words[0], 1);
}
static void stop_peer(void) {
    int status;
    shared_set(&shared_words()[1], 1);
    CHECK_EQ(waitpid(stopped, &status, WUNTRACED), stopped);
    CHECK(WIFSTOPPED(status));
}
static void let_peer_go_on(void) {
    CHECK(kill(stopped, SIGCONT) == 0);
    CHECK(!harness_was_killed(stopped));
}

/* ---- the stage ----------------------------------------------------------------------------------- */

static void open_stage(void (*act)(void)) {
    fixture_create(&A);
    fixture_attach(&C);
    lock_a = fixture_lock(&A);
    lock_c = fixture_lock(&C);
    OK(aipc_bell_take(&A, &bell_a, &fd_a));
    OK(aipc_bell_take(&C, &bell_c, &fd_c));
    start_peer(act);
    A.stall_ns = C.stall_ns = STALL_NS;
}

static void close_stage(void) {
    aipc_report report;
    fixture_sound(&A, &report);
    CHECK_EQ(report.nodes_waiting, 0);
    fixture_detach(&C);
    fixture_detach(&A);
    fixture_end();
    crash_other = NULL;
}

static uint64_t used_blocks(void) {
    aipc_heap_stats stats;
    aipc_ctx *ctx = enter(&A);
    OK(aipc_heap_stats_get(ctx, &stats));
    aipc_ctx_leave(ctx);
    return stats.used_blocks;
}

static uint32_t wait_as_c(aipc_ctx *ctx) {
    uint32_t node;
    CHECK_EQ(aipc_lock_wait(ctx, lock_c, bell_c, 1, false, &node), AIPC_AGAIN);
    aipc_bell_woken(&C, bell_c);
    CHECK(!aipc_bell_arm(&C, bell_c));
    return node;
}
static void c_is_rung(void) {
    OK(aipc_os_poll2(fd_c, -1, SOON_NS));
    aipc_os_drain(fd_c);
}

static uint64_t began;
static void begin(void) { began = aipc_os_now(); }
static void was_stalled(uint64_t times) {
    const uint64_t took = aipc_os_now() - began;
    CHECK(took >= times * STALL_NS && took < times * STALL_NS + SOON_NS);
}

/* ---- release and cancel -------------------------------------------------------------------------- */

static void a_release_frees_the_lock_and_rouses_the_waiters(void) {
    open_stage(use_waits);
    OK(aipc_lock_try(&A, lock_a));
    aipc_ctx *ctx = enter(&A), *waiter = enter(&C);
    const uint32_t node = wait_as_c(waiter);
    stop_peer();
    begin();
    OK(aipc_lock_release_slow(ctx, lock_a));
    was_stalled(1);
    CHECK_EQ(aipc_lock_owner(lock_a->word), 0);
    CHECK_EQ(aipc_lock_release_slow(ctx, lock_a), AIPC_NOT_OWNER);
    c_is_rung();
    CHECK_EQ(aipc_lock_look(waiter, lock_c, node), AIPC_STALLED); /* its pid can be told */
    CHECK_EQ(C.fault.pid, stopped);
    let_peer_go_on();
    OK(aipc_lock_look(waiter, lock_c, node));
    OK(aipc_lock_release_slow(waiter, lock_c));
    aipc_ctx_leave(waiter);
    aipc_ctx_leave(ctx);
    close_stage();
}

/* A signal handler's exception goes on, but the lock is not kept for it. */
static aipc_status interrupted(aipc_seg *seg, const uint32_t *word, uint32_t seen) {
    aipc_os_futex_wait(word, seen, 1000000);
    return seg->uninterruptible == 0 ? AIPC_INTERRUPTED : AIPC_OK;
}
static void an_interrupted_release_frees_the_lock_all_the_same(void) {
    open_stage(use_waits);
    OK(aipc_lock_try(&A, lock_a));
    aipc_ctx *ctx = enter(&A), *waiter = enter(&C);
    const uint32_t node = wait_as_c(waiter);
    A.idle = interrupted;
    stop_peer();
    CHECK_EQ(aipc_lock_release_slow(ctx, lock_a), AIPC_INTERRUPTED);
    CHECK_EQ(aipc_lock_owner(lock_a->word), 0);
    c_is_rung();
    let_peer_go_on();
    OK(aipc_lock_look(waiter, lock_c, node));
    OK(aipc_lock_release_slow(waiter, lock_c));
    aipc_ctx_leave(waiter);
    aipc_ctx_leave(ctx);
    close_stage();
}

/* The node stays behind, withdrawn; whoever comes to it next takes it away. */
static void a_cancellation_leaves_a_node_that_gets_nothing(void) {
    uint32_t node;
    open_stage(use_waits);
    OK(aipc_lock_try(&C, lock_c));
    aipc_ctx *ctx = enter(&A), *holder = enter(&C);
    CHECK_EQ(aipc_lock_wait(ctx, lock_a, bell_a, 1, false, &node), AIPC_AGAIN);
    A.idle = interrupted; /* must not be asked */
    stop_peer();
    begin();
    OK(aipc_lock_cancel(ctx, lock_a, node));
    was_stalled(1);
    let_peer_go_on();
    CHECK_EQ(lock_a->waiters.length, 1);
    OK(aipc_lock_release_slow(holder, lock_c));
    CHECK_EQ(lock_a->waiters.length, 0);
    OK(aipc_lock_try(&C, lock_c));
    CHECK(aipc_lock_release_fast(&C, lock_c));
    aipc_ctx_leave(holder);
    aipc_ctx_leave(ctx);
    close_stage();
}

static void a_cancelled_grant_goes_to_whoever_waits(void) {
    uint32_t node;
    open_stage(use_waits);
    OK(aipc_lock_try(&C, lock_c));
    aipc_ctx *ctx = enter(&A), *waiter = enter(&C);
    CHECK_EQ(aipc_lock_wait(ctx, lock_a, bell_a, 1, false, &node), AIPC_AGAIN);
    A.nodes[node - 1].since = 0; /* has waited long enough to be handed the lock */
    OK(aipc_lock_release_slow(waiter, lock_c));
    CHECK_EQ(aipc_lock_granted(lock_a->word), node);
    const uint32_t second = wait_as_c(waiter);
    stop_peer();
    begin();
    OK(aipc_lock_cancel(ctx, lock_a, node));
    was_stalled(1);
    CHECK_EQ(aipc_lock_owner(lock_a->word), 0);
    c_is_rung();
    let_peer_go_on();
    OK(aipc_lock_look(waiter, lock_c, second));
    OK(aipc_lock_release_slow(waiter, lock_c));
    aipc_ctx_leave(waiter);
    aipc_ctx_leave(ctx);
    close_stage();
}

/* ---- frees after a commit ------------------------------------------------------------------------ */

static aipc_object_ref construct(const char *name) {
    aipc_object_spec spec = {.kind = AIPC_NAMED, .name = name, .name_size = (uint32_t)strlen(name), .type = 77,
                             .size = 300, .count = 1};
    aipc_object_ref ref;
    aipc_ctx *ctx = enter(&A);
    OK(aipc_construct(ctx, &spec, &ref));
    aipc_ctx_leave(ctx);
    return ref;
}

/* What was destroyed or given back is gone, though its memory cannot be freed now; that comes with a later operation of
 * the same context, or when the process leaves or dies. */
static void frees_that_come_too_late(bool leave) {
    aipc_object_ref found;
    uint64_t payload;
    open_stage(use_heap);
    const uint64_t blocks = used_blocks();
    aipc_object_ref ref = construct("doomed");
    aipc_ctx *ctx = enter(&A);
    OK(aipc_owned_allocate(ctx, 500, 16, &payload));
    A.idle = interrupted; /* after the commit there is nothing to interrupt */
    stop_peer();
    begin();
    OK(aipc_deallocate(ctx, payload)); /* the block and its record: two frees */
    was_stalled(2);
    begin();
    OK(aipc_destroy(ctx, &ref));
    OK(aipc_unpin(ctx, A.slot, ref.holding)); /* the record and the object */
    was_stalled(2);
    CHECK_EQ(aipc_find(ctx, AIPC_NAMED, "doomed", 6, &found), AIPC_NOT_FOUND);
    CHECK(ctx->untidy);
    CHECK(aipc_deallocate(ctx, payload) != AIPC_OK); /* not twice */
    aipc_ctx_leave(ctx);
    let_peer_go_on();
    if (leave) {
        fixture_detach(&A);
        fixture_attach(&A);
        (void)fixture_lock(&A); /* pinned as before */
    }
    CHECK_EQ(used_blocks(), blocks);
    close_stage();
}
static void a_free_that_fails_after_the_commit_is_made_up_for(void) { frees_that_come_too_late(false); }
static void a_free_that_fails_after_the_commit_is_made_up_for_at_the_end(void) { frees_that_come_too_late(true); }

int main(void) {
    RUN(a_release_frees_the_lock_and_rouses_the_waiters);
    RUN(an_interrupted_release_frees_the_lock_all_the_same);
    RUN(a_cancellation_leaves_a_node_that_gets_nothing);
    RUN(a_cancelled_grant_goes_to_whoever_waits);
    RUN(a_free_that_fails_after_the_commit_is_made_up_for);
    RUN(a_free_that_fails_after_the_commit_is_made_up_for_at_the_end);
    return SUMMARY();
}
