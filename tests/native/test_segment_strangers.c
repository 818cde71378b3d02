// variants: plain asan hook
/* Descriptors that became strangers' files behind our back, and another user's processes. */
#include "named_segment.h"
#ifdef AIPC_HOOK
#include "crash.h"
#endif

#include <linux/close_range.h>
#include <sys/syscall.h>

/* What a daemonizer does: closes everything, and opens files of its own under the same numbers. */
static void close_all_and_open_strangers(int strangers[], int count) {
    CHECK(syscall(SYS_close_range, 3, ~0U, 0) == 0);
    for (int i = 0; i < count; i++) {
        strangers[i] = open("/dev/shm", O_RDWR | O_TMPFILE, 0600);
        CHECK(strangers[i] >= 0);
    }
}

static void closing_all_descriptors_does_not_look_like_death(void) {
    enum { STRANGERS = 40 };
    for (int with_strangers = 0; with_strangers < 2; with_strangers++) {
        uint32_t *words = shared_words();
        words[0] = words[1] = 0;
        new_path();
        create_with(&A, AIPC_FLAG_LAST_DETACH, 4);
        const pid_t pid = fork();
        if (pid == 0) {
            uint32_t bell, node;
            int fd, strangers[STRANGERS];
            uint64_t payload;
            struct stat st;
            OK(open_path(&B));
            struct aipc_lock *lock = fixture_lock(&B);
            OK(aipc_bell_take(&B, &bell, &fd));
            aipc_bell_ring_all(&B); /* and caches the other's bell */
            close_all_and_open_strangers(strangers, with_strangers ? STRANGERS : 0);
            OK(aipc_lock_try(&B, lock));
            shared_set(&words[0], 1);
            shared_wait(&words[1], 1); /* the parent waits for the lock, armed */
            aipc_ctx *ctx = enter(&B);
            OK(aipc_lock_release_slow(ctx, lock));
            CHECK_EQ(aipc_lock_wait(ctx, lock, bell, 1, false, &node), AIPC_AGAIN);
            OK(aipc_lock_cancel(ctx, lock, node));
            OK(aipc_heap_allocate(ctx, 100, 16, 0, NULL, &payload));
            OK(aipc_deallocate(ctx, payload));
            aipc_ctx_leave(ctx);
            (void)fixture_object(&B, "other", 105, 100);
            check_sound(&B);
            shared_set(&words[0], 2);
            shared_wait(&words[1], 2);
            fixture_detach(&B);
            for (int i = 0; with_strangers && i < STRANGERS; i++) {
                CHECK(fstat(strangers[i], &st) == 0); /* not closed */
                CHECK_EQ(st.st_size, 0);              /* and nothing written into it */
            }
            _exit(0);
        }
        shared_wait(&words[0], 1);
        uint32_t recovered, bell, node;
        int fd;
        OK(aipc_bell_take(&A, &bell, &fd));
        aipc_ctx *ctx = enter(&A);
        OK(aipc_recover_all(ctx, &recovered));
        CHECK_EQ(recovered, 0);
        struct aipc_lock *lock = fixture_lock(&A);
        CHECK_EQ(aipc_lock_try_recover(ctx, lock), AIPC_AGAIN);
        CHECK_EQ(aipc_lock_wait(ctx, lock, bell, 1, false, &node), AIPC_AGAIN);
        aipc_bell_woken(&A, bell);
        CHECK(!aipc_bell_arm(&A, bell));
        shared_set(&words[1], 1);
        OK(aipc_os_poll2(fd, -1, 2000000000)); /* rung all the same */
        shared_wait(&words[0], 2);
        OK(aipc_lock_look(ctx, lock, node));
        aipc_ctx_leave(ctx);
        CHECK(aipc_lock_release_fast(&A, lock));
        shared_set(&words[1], 2);
        CHECK(!harness_was_killed(pid));
        aipc_participant_info infos[8];
        CHECK_EQ(participants(&A, infos), 1);
        CHECK_EQ(leaks_entries(bells), 1);
        fixture_detach(&A);
        CHECK(!leaks_exists(path) && !leaks_exists(bells));
    }
}

static void another_user_may_ring_the_bells_of_a_segment_open_to_all(void) {
    if (geteuid() != 0) {
        fprintf(stderr, "  skipped: not root\n");
        return;
    }
    uint32_t *words = shared_words(), bell, node;
    int fd;
    words[0] = words[1] = 0;
    new_path();
    aipc_create_options options = options_of(AIPC_FLAG_LAST_DETACH, 4);
    options.mode = 0666;
    OK(create(&A, &options));
    CHECK(chmod(path, 0666) == 0);
    struct aipc_lock *lock = fixture_lock(&A);
    const pid_t pid = fork();
    if (pid == 0) {
        CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
        OK(open_path(&B));
        struct aipc_lock *theirs = fixture_lock(&B);
        OK(aipc_lock_try(&B, theirs));
        shared_set(&words[0], 1);
        shared_wait(&words[1], 1);
        aipc_ctx *ctx = enter(&B);
        OK(aipc_lock_release_slow(ctx, theirs));
        aipc_ctx_leave(ctx);
        shared_wait(&words[1], 2);
        fixture_detach(&B);
        _exit(0);
    }
    shared_wait(&words[0], 1);
    OK(aipc_bell_take(&A, &bell, &fd));
    aipc_ctx *ctx = enter(&A);
    CHECK_EQ(aipc_lock_wait(ctx, lock, bell, 1, false, &node), AIPC_AGAIN);
    aipc_bell_woken(&A, bell);
    CHECK(!aipc_bell_arm(&A, bell));
    shared_set(&words[1], 1);
    OK(aipc_os_poll2(fd, -1, 2000000000));
    OK(aipc_lock_look(ctx, lock, node));
    aipc_ctx_leave(ctx);
    CHECK(aipc_lock_release_fast(&A, lock));
    shared_set(&words[1], 2);
    CHECK(!harness_was_killed(pid));
    fixture_detach(&A);
    CHECK(!leaks_exists(path) && !leaks_exists(bells));
}

int main(void) {
    RUN(closing_all_descriptors_does_not_look_like_death);
    RUN(another_user_may_ring_the_bells_of_a_segment_open_to_all);
    return SUMMARY();
}
