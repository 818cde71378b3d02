// variants: plain asan hook
/* A forked child is nobody until it attaches, and keeps nothing of its parent's. */
#include "named_segment.h"
#ifdef AIPC_HOOK
#include "crash.h"
#endif

#include <pthread.h>
#include <time.h>

static void a_forked_child_is_nobody_until_it_attaches(void) {
    uint32_t bell, *words = shared_words();
    int fd;
    words[0] = words[1] = 0;
    new_path();
    create_with(&A, AIPC_FLAG_LAST_DETACH, 4);
    struct aipc_lock *lock = fixture_lock(&A);
    OK(aipc_bell_take(&A, &bell, &fd));
    OK(aipc_lock_try(&A, lock));
    const uint64_t word = lock->word, life = A.slots[A.slot].life;
    const pid_t pid = fork();
    if (pid == 0) {
        aipc_ctx *ctx;
        CHECK_EQ(aipc_ctx_enter(&A, &ctx), AIPC_FORKED);
        CHECK_EQ(aipc_lock_try(&A, lock), AIPC_FORKED);
        CHECK(!aipc_lock_release_fast(&A, lock));
        CHECK_EQ(fcntl(fd, F_GETFD), -1); /* the parent's wake-ups are not ours to read */
        OK(aipc_segment_reattach(&A));
        OK(aipc_segment_reattach(&A)); /* again: nothing to do */
        CHECK(A.slot != 0);
        CHECK_EQ(aipc_lock_try(&A, lock), AIPC_AGAIN);
        check_sound(&A);
        (void)fixture_object(&A, "child's", 105, 100);
        OK(aipc_bell_take(&A, &bell, &fd));
        shared_set(&words[0], 1);
        shared_wait(&words[1], 1);
        fixture_detach(&A);
        _exit(0);
    }
    shared_wait(&words[0], 1);
    CHECK_EQ(leaks_entries(bells), 2);
    CHECK_EQ(lock->word, word);
    CHECK_EQ(A.slots[A.slot].life, life);
    aipc_participant_info infos[8];
    CHECK_EQ(participants(&A, infos), 2);
    CHECK(infos[0].self && infos[0].alive && infos[1].alive && infos[1].pid == (uint64_t)pid);
    shared_set(&words[1], 1);
    CHECK(!harness_was_killed(pid));
    CHECK_EQ(participants(&A, infos), 1);
    CHECK(leaks_exists(path));
    CHECK_EQ(leaks_entries(bells), 1);

    aipc_bell_woken(&A, bell);
    CHECK(!aipc_bell_arm(&A, bell)); /* and the parent's bell still rings */
    aipc_bell_ring_all(&A);
    OK(aipc_os_poll2(fd, -1, 0));
    check_sound(&A);
    CHECK(aipc_lock_release_fast(&A, lock));
    fixture_detach(&A);
    CHECK(!leaks_exists(path) && !leaks_exists(bells));
}

/* The child neither attaches nor goes away: its parent's death must be seen all the same. */
static void a_forked_child_does_not_hide_its_parents_death(void) {
    uint32_t *words = shared_words();
    words[0] = 0;
    new_path();
    create_with(&A, 0, 4);
    const pid_t parent = fork();
    if (parent == 0) {
        OK(open_path(&B));
        const pid_t child = fork();
        if (child == 0)
            for (;;) pause();
        shared_set(&words[1], (uint32_t)child);
        shared_set(&words[0], 1);
        for (;;) pause();
    }
    shared_wait(&words[0], 1);
    CHECK(kill(parent, SIGKILL) == 0);
    CHECK(harness_was_killed(parent));
    CHECK(kill((pid_t)words[1], 0) == 0);
    uint32_t recovered;
    aipc_ctx *ctx = enter(&A);
    OK(aipc_recover_all(ctx, &recovered));
    aipc_ctx_leave(ctx);
    CHECK_EQ(recovered, 1);
    CHECK_EQ(leaks_entries(bells), 1);
    CHECK(kill((pid_t)words[1], SIGKILL) == 0);
    fixture_detach(&A);
    OK(remove_path());
}

/* A last_detach segment that its parent left: the child must not take away a name that is another's by now. */
static void a_child_left_alone_does_not_touch_a_stranger_of_the_same_name(void) {
    uint32_t *words = shared_words();
    words[0] = 0;
    new_path();
    create_with(&A, AIPC_FLAG_LAST_DETACH, 4);
    const pid_t pid = fork();
    if (pid == 0) {
        shared_wait(&words[0], 1);
        const aipc_status status = aipc_segment_reattach(&A);
        CHECK(status == AIPC_GONE || status == AIPC_OK);
        fixture_detach(&A);
        _exit(0);
    }
    fixture_detach(&A);
    CHECK(!leaks_exists(path));
    create_with(&B, 0, 4);
    shared_set(&words[0], 1);
    CHECK(!harness_was_killed(pid));
    CHECK(leaks_exists(path));
    fixture_detach(&B);
    OK(remove_path());
}

#ifdef AIPC_HOOK
static int fork_at;
static pid_t bystander;

static void *fork_bystander(void *arg) {
    const pid_t pid = fork();
    if (pid == 0) {
        const struct timespec forever = {1000, 0};
        nanosleep(&forever, NULL);
        _exit(0);
    }
    __atomic_store_n(&bystander, pid, __ATOMIC_SEQ_CST);
    return arg;
}

/* Another thread forks a child at this very moment, or as soon as it may. */
static pthread_t forker;
static void maybe_fork(enum aipc_hook_kind kind) {
    if (fork_at == 0 || kind != AIPC_HOOK_SYSCALL || --fork_at != 0) return;
    CHECK(pthread_create(&forker, NULL, fork_bystander, NULL) == 0);
    for (int i = 0; i < 50 && __atomic_load_n(&bystander, __ATOMIC_SEQ_CST) == 0; i++) usleep(100);
}

/* Whatever was held while a bystander was forked must not stay held as long as the bystander lives. */
static void a_child_forked_at_any_moment_keeps_no_lock(void) {
    crash_other = maybe_fork;
    uint32_t *said = shared_words();
    for (int k = 1;; k++) {
        NOTE("fork at system call %d", k);
        new_path();
        create_with(&B, 0, 4);
        *said = 0;
        const pid_t dead = peer(said); /* somebody to recover while we open */
        CHECK(kill(dead, SIGKILL) == 0);
        CHECK(harness_was_killed(dead));
        bystander = 0;
        fork_at = k;
        OK(open_path(&A));
        check_sound(&A);
        OK(aipc_segment_detach(&A));
        const bool forked = fork_at == 0;
        fork_at = 0;
        if (forked) CHECK(pthread_join(forker, NULL) == 0);

        B.stall_ns = 20000000;
        int error;
        OK(aipc_os_test_bytes(B.fd, AIPC_LIVENESS_BASE + 1, AIPC_MAX_PARTICIPANTS - 1, &error));
        OK(aipc_os_test_bytes(B.fd, AIPC_GATE_BYTE, 1, &error));
        if (bystander > 0) {
            CHECK(kill(bystander, SIGKILL) == 0);
            CHECK(harness_was_killed(bystander));
        }
        fixture_detach(&B);
        OK(remove_path());
        if (!forked) break;
    }
    crash_other = NULL;
}
#endif

int main(void) {
    RUN(a_forked_child_is_nobody_until_it_attaches);
    RUN(a_forked_child_does_not_hide_its_parents_death);
    RUN(a_child_left_alone_does_not_touch_a_stranger_of_the_same_name);
#ifdef AIPC_HOOK
    RUN(a_child_forked_at_any_moment_keeps_no_lock);
#endif
    return SUMMARY();
}
