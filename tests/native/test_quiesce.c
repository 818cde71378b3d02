// variants: plain asan
/* Copies of a segment in use, as of one moment: what is in them, and whom they disturb. */
#include "quiesce_fixture.h"

static int fresh_copy(void) {
    const int copy = memfd_create("aioipc-copy", MFD_CLOEXEC);
    CHECK(copy >= 0);
    return copy;
}

static void a_snapshot_is_a_segment_of_its_own_and_leaves_the_original_alone(void) {
    const int fds = leaks_fds();
    make_some_of_everything();
    for (int again = 0; again < 2; again++) {
        const int copy = fresh_copy();
        OK(snapshot(&A, copy));
        check_copy(copy);
        close(copy);
        check_all_free(&A);
    }
    fixture_detach(&A);
    fixture_end();
    CHECK_EQ(leaks_fds(), fds);
}

/* Holds one domain until it is killed. */
static pid_t holder_of(struct aipc_domain *domain) {
    uint32_t *words = shared_words();
    const uint64_t offset = aipc_offset(&A, domain);
    words[0] = 0;
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        aipc_ctx *ctx;
        fixture_attach(&B);
        OK(aipc_ctx_enter(&B, &ctx));
        OK(aipc_domain_lock(ctx, (void *)(B.base + offset)));
        shared_set(&words[0], 1);
        for (;;) pause();
    }
    shared_wait(&words[0], 1);
    return pid;
}

/* Each domain in turn is somebody's: alive, the copier waits in vain and names it; dead, it has to be recovered. */
static void whoever_holds_a_domain_is_waited_for_or_recovered(void) {
    const int fds = leaks_fds();
    make_some_of_everything();
    A.stall_ns = 5000000;
    struct aipc_domain *const domains[] = {&A.catalog->domain, &A.heap->domain, &A.waits->domain,
                                           &fixture_dict(&A)->domain, &queue_a->in.domain, &queue_a->out.domain,
                                           &fixture_vector(&A)->domain};
    for (size_t i = 0; i < sizeof domains / sizeof *domains; i++) {
        NOTE("domain %zu", i);
        uint32_t recovered;
        const int copy = fresh_copy();
        const pid_t pid = holder_of(domains[i]);
        CHECK_EQ(snapshot(&A, copy), AIPC_STALLED);
        CHECK_EQ(A.fault.pid, pid);
        CHECK(kill(pid, SIGKILL) == 0 && harness_was_killed(pid));
        CHECK_EQ(snapshot(&A, copy), AIPC_AGAIN);
        aipc_ctx *ctx = enter(&A);
        OK(aipc_recover_all(ctx, &recovered));
        aipc_ctx_leave(ctx);
        CHECK_EQ(recovered, 1);
        OK(snapshot(&A, copy));
        check_copy(copy);
        close(copy);
        check_all_free(&A);
    }
    fixture_detach(&A);
    fixture_end();
    CHECK_EQ(leaks_fds(), fds);
}

static void a_log_that_nobody_is_writing_is_damage(void) {
    make_some_of_everything();
    const int copy = fresh_copy();
    queue_a->out.domain.head = 1;
    CHECK_EQ(snapshot(&A, copy), AIPC_CORRUPT);
    queue_a->out.domain.head = 0;
    check_all_free(&A);
    A.heap->domain.lock = aipc_lock_word(4000, 0, 1);
    CHECK_EQ(snapshot(&A, copy), AIPC_CORRUPT);
    A.heap->domain.lock = 0;
    check_all_free(&A);
    close(copy);
    fixture_detach(&A);
    fixture_end();
}

/* Writers that change things all the time: every copy opens. */
static void copies_made_beside_writers_are_sound(void) {
    enum { WRITERS = 2 };
    pid_t writers[WRITERS];
    const int fds = leaks_fds(), copies = harness_full() ? 300 : 30;
    make_some_of_everything();
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = fork();
        CHECK(writers[i] >= 0);
        if (writers[i] == 0) {
            fixture_attach(&B);
            struct aipc_queue *queue = fixture_queue(&B);
            struct aipc_dict *d = fixture_dict(&B);
            for (uint64_t n = 0;; n++) {
                set_key(&B, d, 42);
                OK(put_message(&B, queue, 9, 100 + n % 3000));
                (void)drop_message(&B, queue);
            }
        }
    }
    for (int n = 0; n < copies; n++) {
        const int copy = fresh_copy();
        static aipc_report report;
        OK(snapshot(&A, copy));
        aipc_segment_init(&C, copy, "");
        OK(aipc_segment_open(&C));
        fixture_sound(&C, &report);
        CHECK_EQ(get_key(&C, fixture_dict(&C)), 42);
        fixture_detach(&C);
    }
    for (int i = 0; i < WRITERS; i++) CHECK(kill(writers[i], SIGKILL) == 0 && harness_was_killed(writers[i]));
    static aipc_report report;
    fixture_sound(&A, &report);
    fixture_detach(&A);
    fixture_end();
    CHECK_EQ(leaks_fds(), fds);
}

int main(void) {
    RUN(a_snapshot_is_a_segment_of_its_own_and_leaves_the_original_alone);
    RUN(whoever_holds_a_domain_is_waited_for_or_recovered);
    RUN(a_log_that_nobody_is_writing_is_damage);
    RUN(copies_made_beside_writers_are_sound);
    return SUMMARY();
}
