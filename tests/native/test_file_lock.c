// variants: plain asan tsan hook
/* The kernel's locks on whole files: one description each, a wait that can be ended, and nothing left to children. */
#include "harness.h"
#include "leaks.h"
#include "os.h"
#ifdef AIPC_HOOK
#include "crash.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

static char path[64];
static int error;

static void fresh(bool use_flock, aipc_os_file *a, aipc_os_file *b) {
    (void)snprintf(path, sizeof path, "/tmp/aioipc-file-lock-%d", getpid());
    (void)unlink(path);
    *a = *b = (aipc_os_file){.flock = use_flock, .fd = -1, .ready = -1};
}

static void opened(aipc_os_file *file, bool shared) {
    CHECK_EQ(aipc_os_file_open(file, path, shared, true, 0600, &error), AIPC_OK);
}

static void locked(aipc_os_file *file, bool shared) {
    opened(file, shared);
    CHECK_EQ(aipc_os_file_lock(file, shared, &error), AIPC_OK);
}

static bool readable(int fd, int milliseconds) {
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    return poll(&waiting, 1, milliseconds) == 1;
}

/* A child that was only just forked may have to run first. */
static void locked_at_last(aipc_os_file *file) {
    int ready;
    opened(file, false);
    CHECK_EQ(aipc_os_file_wait_begin(file, false, &ready, &error), AIPC_OK);
    CHECK(readable(ready, -1));
    CHECK_EQ(aipc_os_file_wait_end(file, &error), AIPC_OK);
}

static void exclude_each_other(bool use_flock) {
    aipc_os_file a, b;
    int64_t pid = 7;
    fresh(use_flock, &a, &b);
    locked(&a, false);
    opened(&b, false);
    CHECK_EQ(aipc_os_file_lock(&b, false, &error), AIPC_AGAIN);
    CHECK_EQ(aipc_os_file_lock(&b, true, &error), AIPC_AGAIN);
    CHECK_EQ(aipc_os_file_probe(&b, true, &pid, &error), AIPC_AGAIN);
    CHECK_EQ(pid, 0);
    close(open(path, O_RDONLY)); /* drops fcntl's own locks, and none of these */
    CHECK_EQ(aipc_os_file_lock(&b, false, &error), AIPC_AGAIN);
    aipc_os_file_close(&a);
    aipc_os_file_close(&a);
    CHECK_EQ(a.fd, -1);
    CHECK_EQ(aipc_os_file_probe(&b, false, &pid, &error), AIPC_OK);
    CHECK_EQ(aipc_os_file_lock(&b, true, &error), AIPC_OK);
    locked(&a, true);
    CHECK_EQ(aipc_os_file_lock(&b, false, &error), AIPC_AGAIN);
    aipc_os_file_close(&a);
    aipc_os_file_close(&b);
}

static void two_descriptions_exclude_each_other(void) { exclude_each_other(false), exclude_each_other(true); }

static void a_lock_of_fcntls_own_is_seen_with_its_holder(void) {
    aipc_os_file a, b;
    int64_t pid = 0;
    fresh(false, &a, &b);
    opened(&a, false);
    const int other = open(path, O_RDWR);
    CHECK(lockf(other, F_LOCK, 0) == 0);
    CHECK_EQ(aipc_os_file_lock(&a, true, &error), AIPC_AGAIN);
    CHECK_EQ(aipc_os_file_probe(&a, true, &pid, &error), AIPC_AGAIN);
    CHECK_EQ(pid, getpid());
    CHECK(lockf(other, F_ULOCK, 0) == 0);
    CHECK_EQ(aipc_os_file_lock(&a, false, &error), AIPC_OK);
    CHECK(lockf(other, F_TLOCK, 0) == -1);
    close(other);
    aipc_os_file_close(&a);
}

static void wait_gets_it(bool use_flock) {
    aipc_os_file a, b;
    int ready;
    fresh(use_flock, &a, &b);
    locked(&a, false);
    opened(&b, false);
    CHECK_EQ(aipc_os_file_wait_begin(&b, false, &ready, &error), AIPC_OK);
    CHECK(!readable(ready, 1));
    aipc_os_file_close(&a);
    CHECK(readable(ready, -1));
    CHECK_EQ(aipc_os_file_wait_end(&b, &error), AIPC_OK);
    CHECK_EQ(aipc_os_file_wait_end(&b, &error), AIPC_AGAIN);
    opened(&a, false);
    CHECK_EQ(aipc_os_file_lock(&a, false, &error), AIPC_AGAIN);
    aipc_os_file_close(&b);
    CHECK_EQ(aipc_os_file_lock(&a, false, &error), AIPC_OK);
    aipc_os_file_close(&a);
}

static void a_wait_gets_the_lock_when_it_is_free(void) { wait_gets_it(false), wait_gets_it(true); }

/* Ended while it sleeps, in the instant of the grant, and after it: once closed, the lock is free. */
static void ended_waits_leave_nothing(bool use_flock) {
    const int rounds = harness_full() ? 5000 : 300;
    const int fds = leaks_fds();
    int got = 0;
    for (int round = 0; round < rounds; round++) {
        aipc_os_file a, b, c = {.flock = use_flock, .fd = -1, .ready = -1};
        int ready;
        NOTE("round %d", round);
        fresh(use_flock, &a, &b);
        locked(&a, false);
        opened(&b, round % 2);
        CHECK_EQ(aipc_os_file_wait_begin(&b, round % 2, &ready, &error), AIPC_OK);
        if (round % 4 == 1) CHECK(!readable(ready, 1)); /* it sleeps */
        if (round % 3 != 0) aipc_os_file_close(&a);
        if (round % 4 == 1 && round % 3 != 0) CHECK(readable(ready, -1));
        for (volatile int i = 0; i < round % 13 * 5000; i++) {}
        if (round % 11 == 0) aipc_os_file_close(&b);
        got += aipc_os_file_wait_end(&b, &error) == AIPC_OK;
        aipc_os_file_close(&b);
        aipc_os_file_close(&a);
        locked(&c, false);
        aipc_os_file_close(&c);
    }
    CHECK(got > 0 && got < rounds);
    CHECK_EQ(leaks_fds(), fds);
}

static void an_ended_wait_leaves_no_lock_thread_or_descriptor(void) {
    ended_waits_leave_nothing(false), ended_waits_leave_nothing(true);
}

static void a_forked_child_keeps_no_lock(void) {
    for (int way = 0; way < 4; way++) { /* a lock, or a wait for one; its holder closes, or dies */
        aipc_os_file a, b, waiting = {.fd = -1, .ready = -1};
        int ready, ends[2];
        pid_t child;
        NOTE("way %d", way);
        fresh(false, &a, &b);
        CHECK(pipe(ends) == 0);
        const pid_t parent = fork();
        if (parent == 0) {
            locked(&a, false);
            if (way & 1) {
                opened(&waiting, false);
                CHECK_EQ(aipc_os_file_wait_begin(&waiting, false, &ready, &error), AIPC_OK);
            }
            child = fork();
            if (child == 0) {
                CHECK_EQ(a.fd, -1);
                aipc_os_file_close(&a);
                aipc_os_file_close(&waiting);
                for (;;) pause();
            }
            if (way & 1) { /* the wait is the parent's own, and goes on */
                aipc_os_file_close(&a);
                CHECK(readable(ready, -1));
                CHECK_EQ(aipc_os_file_wait_end(&waiting, &error), AIPC_OK);
            }
            if (way & 2) aipc_os_file_close(way & 1 ? &waiting : &a);
            CHECK(write(ends[1], &child, sizeof child) == sizeof child);
            for (;;) pause();
        }
        CHECK(read(ends[0], &child, sizeof child) == sizeof child);
        if (!(way & 2)) {
            opened(&b, false);
            CHECK_EQ(aipc_os_file_lock(&b, false, &error), AIPC_AGAIN);
            aipc_os_file_close(&b);
            CHECK(kill(parent, SIGKILL) == 0);
            CHECK(harness_was_killed(parent));
        }
        locked_at_last(&b); /* though the child lives */
        aipc_os_file_close(&b);
        CHECK(kill(child, SIGKILL) == 0);
        if (way & 2) {
            CHECK(kill(parent, SIGKILL) == 0);
            CHECK(harness_was_killed(parent));
        }
        close(ends[0]);
        close(ends[1]);
    }
}

#ifdef AIPC_HOOK
static int fork_at;
static pid_t forked;

static void fork_there(enum aipc_hook_kind kind) {
    (void)kind;
    if (--fork_at != 0) return;
    forked = fork(); /* as another thread might */
    if (forked == 0)
        for (;;) pause();
}

/* Before each system call of opening and locking: between opening and listing too. */
static void a_child_forked_meanwhile_keeps_no_lock(void) {
    aipc_os_file a, b;
    int ends[2], way = 1;
    pid_t child = 1;
    CHECK(pipe(ends) == 0);
    for (; child != 0; way++) {
        NOTE("before point %d", way);
        fresh(way % 2, &a, &b);
        const pid_t parent = fork();
        if (parent == 0) {
            fork_at = way;
            crash_other = fork_there;
            locked(&a, false);
            CHECK(write(ends[1], &forked, sizeof forked) == sizeof forked);
            for (;;) pause();
        }
        CHECK(read(ends[0], &child, sizeof child) == sizeof child);
        CHECK(kill(parent, SIGKILL) == 0);
        CHECK(harness_was_killed(parent));
        locked_at_last(&b); /* though the child lives */
        aipc_os_file_close(&b);
        if (child != 0) CHECK(kill(child, SIGKILL) == 0);
    }
    CHECK(way > 4);
    close(ends[0]);
    close(ends[1]);
}
#endif

static void a_number_that_was_closed_behind_us_is_left_to_its_new_owner(void) {
    aipc_os_file a, b;
    fresh(true, &a, &b);
    locked(&a, false);
    const int number = a.fd;
    CHECK(dup2(STDERR_FILENO, number) == number);
    aipc_os_file_close(&a);
    CHECK(fcntl(number, F_GETFD) >= 0);
    close(number);
}

static void the_mode_is_exact_and_missing_files_are_created_only_if_asked(void) {
    aipc_os_file a, b;
    struct stat st;
    fresh(false, &a, &b);
    CHECK_EQ(aipc_os_file_open(&a, path, false, false, 0, &error), AIPC_SYSTEM);
    CHECK_EQ(error, ENOENT);
    const mode_t before = umask(0777);
    CHECK_EQ(aipc_os_file_open(&a, path, true, true, 0666, &error), AIPC_OK);
    umask(before);
    CHECK(stat(path, &st) == 0);
    CHECK_EQ(st.st_mode & 0777, 0666);
    aipc_os_file_close(&a);
    CHECK_EQ(aipc_os_file_open(&a, path, true, true, 0600, &error), AIPC_OK);
    CHECK(stat(path, &st) == 0);
    CHECK_EQ(st.st_mode & 0777, 0666);
    aipc_os_file_close(&a);
}

int main(void) {
    RUN(two_descriptions_exclude_each_other);
    RUN(a_lock_of_fcntls_own_is_seen_with_its_holder);
    RUN(a_wait_gets_the_lock_when_it_is_free);
    RUN(an_ended_wait_leaves_no_lock_thread_or_descriptor);
    RUN(a_forked_child_keeps_no_lock);
#ifdef AIPC_HOOK
    RUN(a_child_forked_meanwhile_keeps_no_lock);
#endif
    RUN(a_number_that_was_closed_behind_us_is_left_to_its_new_owner);
    RUN(the_mode_is_exact_and_missing_files_are_created_only_if_asked);
    (void)unlink(path);
    return SUMMARY();
}
