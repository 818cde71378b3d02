// variants: plain asan hook
/* The last one out, the one who was killed, removal under the feet of those who stay. */
#include "named_segment.h"
#ifdef AIPC_HOOK
#include "crash.h"
#endif

static void the_last_one_out_removes_it(void) {
    aipc_segment_info info;
    new_path();
    create_with(&A, AIPC_FLAG_LAST_DETACH, 4);
    OK(open_path(&B));
    fixture_detach(&A);
    CHECK(leaks_exists(path));
    fixture_detach(&B);
    CHECK(!leaks_exists(path) && !leaks_exists(bells));
    CHECK_EQ(peek(&info), AIPC_NOT_FOUND);
}

/* All leave in the same instant: one of them must have been the last. */
static void of_many_who_leave_at_once_one_is_the_last(void) {
    uint32_t *words = shared_words();
    const int rounds = harness_full() ? 5000 : 300;
    for (int round = 0; round < rounds; round++) {
        NOTE("round %d", round);
        new_path();
        words[0] = words[1] = 0;
        create_with(&A, AIPC_FLAG_LAST_DETACH, 4);
        pid_t child = fork();
        if (child == 0) {
            OK(open_path(&B));
            shared_set(&words[0], 1);
            while (__atomic_load_n(&words[1], __ATOMIC_SEQ_CST) == 0) {}
            OK(aipc_segment_detach(&B));
            _exit(0);
        }
        shared_wait(&words[0], 1);
        shared_set(&words[1], 1);
        for (int spin = round % 50 * 20; spin > 0; spin--) __asm__ volatile("");
        OK(aipc_segment_detach(&A));
        CHECK(!harness_was_killed(child));
        CHECK(!leaks_exists(path));
        CHECK(!leaks_exists(bells));
    }
}

static void when_the_last_one_was_killed_the_next_look_finishes_it_off(void) {
    const int fds = leaks_fds();
    for (int how = 0; how < 2; how++) {
        uint32_t *said = shared_words();
        aipc_segment_info info;
        new_path();
        create_with(&A, AIPC_FLAG_LAST_DETACH, 4);
        *said = 0;
        const pid_t child = peer(said);
        fixture_detach(&A);
        CHECK(leaks_exists(path));
        CHECK(kill(child, SIGKILL) == 0);
        CHECK(harness_was_killed(child));
        CHECK_EQ(how == 0 ? open_path(&B) : peek(&info), AIPC_GONE);
        CHECK(!leaks_exists(path) && !leaks_exists(bells));
        CHECK_EQ(leaks_fds(), fds);
    }
}

static void a_segment_removed_while_attached_lives_on_without_its_name(void) {
    aipc_seg *second = calloc(1, sizeof *second);
    new_path();
    create_with(&A, 0, 4);
    char first_bells[96];
    strcpy(first_bells, bells);
    OK(open_path(&B));
    const int late = open(path, O_RDWR | O_CLOEXEC); /* opens, and is then slow */
    OK(remove_path());
    CHECK(!leaks_exists(path) && leaks_exists(first_bells));
    check_sound(&B);
    OK(aipc_lock_try(&A, fixture_lock(&A)));
    CHECK_EQ(aipc_lock_try(&B, fixture_lock(&B)), AIPC_AGAIN);

    create_with(second, 0, 4); /* another segment of that name */
    const int fds = leaks_fds();
    aipc_segment_init(&C, late, path);
    CHECK_EQ(aipc_segment_open(&C), AIPC_GONE);
    CHECK_EQ(leaks_fds(), fds - 1); /* it took the descriptor */
    fixture_detach(&A);
    CHECK(leaks_exists(path) && leaks_exists(first_bells));
    fixture_detach(&B);
    CHECK(leaks_exists(path) && !leaks_exists(first_bells)); /* the name is not theirs any more */
    OK(open_path(&B));
    check_sound(&B);
    fixture_detach(&B);
    fixture_detach(second);
    OK(remove_path());
    free(second);
}

/* Opens the object, and is so slow that the segment is gone by the time it looks. */
static void a_late_opener_leaves_nothing_behind(void) {
    for (int how = 0; how < 3; how++) {
        NOTE("way %d", how);
        const int fds = leaks_fds();
        new_path();
        create_with(&A, how == 0 ? AIPC_FLAG_LAST_DETACH : 0, 4);
        const int late = open(path, O_RDWR | O_CLOEXEC);
        fixture_detach(&A);
        if (how != 0) OK(remove_path());
        if (how == 2) create_with(&B, 0, 4);
        char first_bells[96];
        strcpy(first_bells, A.bell_path);
        CHECK(!leaks_exists(first_bells));
        aipc_segment_init(&C, late, path);
        CHECK_EQ(aipc_segment_open(&C), AIPC_GONE);
        CHECK(!leaks_exists(first_bells));
        if (how == 2) {
            fixture_detach(&B);
            OK(remove_path());
        }
        CHECK_EQ(leaks_fds(), fds);
    }
}

#ifdef AIPC_HOOK
static int wake_at;

/* Another process leaves at this very moment; it may have to wait for us, so it is not waited for long. */
static void maybe_wake(enum aipc_hook_kind kind) {
    (void)kind;
    if (wake_at == 0 || --wake_at != 0) return;
    uint32_t *words = shared_words();
    shared_set(&words[1], 1);
    for (int i = 0; i < 100 && __atomic_load_n(&words[2], __ATOMIC_SEQ_CST) == 0; i++) usleep(100);
}

static void of_two_who_leave_one_is_the_last_at_any_moment(void) {
    crash_other = maybe_wake;
    uint32_t *words = shared_words();
    bool woken = true;
    for (int k = 1; woken; k++) {
        NOTE("the other leaves at point %d", k);
        new_path();
        words[0] = words[1] = words[2] = 0;
        create_with(&A, AIPC_FLAG_LAST_DETACH, 4);
        const pid_t child = fork();
        if (child == 0) {
            OK(open_path(&B));
            shared_set(&words[0], 1);
            while (__atomic_load_n(&words[1], __ATOMIC_SEQ_CST) == 0) {}
            OK(aipc_segment_detach(&B));
            shared_set(&words[2], 1);
            _exit(0);
        }
        shared_wait(&words[0], 1);
        wake_at = k;
        OK(aipc_segment_detach(&A));
        woken = wake_at == 0;
        wake_at = 0;
        shared_set(&words[1], 1);
        CHECK(!harness_was_killed(child));
        CHECK(!leaks_exists(path));
        CHECK(!leaks_exists(bells));
    }
    crash_other = NULL;
}
#endif

int main(void) {
    RUN(the_last_one_out_removes_it);
    RUN(of_many_who_leave_at_once_one_is_the_last);
    RUN(when_the_last_one_was_killed_the_next_look_finishes_it_off);
    RUN(a_segment_removed_while_attached_lives_on_without_its_name);
    RUN(a_late_opener_leaves_nothing_behind);
#ifdef AIPC_HOOK
    RUN(of_two_who_leave_one_is_the_last_at_any_moment);
#endif
    return SUMMARY();
}
