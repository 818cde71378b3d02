/* What every C test uses: CHECK, CHECK_EQ, RUN, and the scenario that crash.h and step.h kill.
 *
 * A failed check prints file:line, the test's name and the current note, and ends the program: what
 * follows a broken invariant is noise.  AIPC_TEST_FULL=1 asks for the long form.  A hung test is ended by
 * an alarm that says where it was. */
#ifndef AIPC_TEST_HARNESS_H
#define AIPC_TEST_HARNESS_H

#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Something done to shared memory that may be killed at any point. */
struct scenario {
    void (*setup)(void *ctx);   /* test process: a fresh state, before every death */
    void (*enter)(void *ctx);   /* child, optional: what is not killed, for instance attaching */
    void (*run)(void *ctx);     /* child: what is killed */
    void (*survive)(void *ctx); /* recovers, checks, makes progress; must attach for itself, because the
                                   nested sweep runs it in a child as well and kills it there */
    void *ctx;
};

static const char *harness_test = "";
static char harness_note[160]; /* where in a sweep we are; printed when a check fails */
static int harness_tests;
static pid_t harness_pid; /* of the test process, which leads a group of its own */

#define NOTE(...) ((void)snprintf(harness_note, sizeof harness_note, __VA_ARGS__))

#define CHECK(condition) \
    ((condition) ? (void)0 : harness_fail(__FILE__, __LINE__, #condition))

#define CHECK_EQ(left, right)                                                              \
    do {                                                                                   \
        const long long left_ = (long long)(left), right_ = (long long)(right);            \
        if (left_ != right_) {                                                             \
            fprintf(stderr, "  %s is %lld, %s is %lld\n", #left, left_, #right, right_);   \
            harness_fail(__FILE__, __LINE__, #left " == " #right);                         \
        }                                                                                  \
    } while (0)

#define RUN(test)                              \
    do {                                       \
        harness_begin(#test);                  \
        test();                                \
        harness_done();                        \
    } while (0)

/* The last statement of main: `return SUMMARY();` */
#define SUMMARY() (fprintf(stderr, "%d tests passed\n", harness_tests), 0)

/* A peer that waits for a failed test would wait for ever, and whoever reads the test's output with it. */
static inline void harness_end_children(void) {
    if (getpid() != harness_pid || getpgrp() != harness_pid) return;
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
    kill(0, SIGCONT);
}

_Noreturn static inline void harness_fail(const char *file, int line, const char *what) {
    fprintf(stderr, "%s:%d: in %s: %s [%s]\n", file, line, harness_test, what, harness_note);
    harness_end_children();
    _exit(1);
}

static inline bool harness_full(void) { return getenv("AIPC_TEST_FULL") != NULL; }

/* Every `stride`-th of `points`, so that about `budget` are tried; all of them in the full form. */
static inline uint64_t harness_stride(uint64_t points, uint64_t budget) {
    return harness_full() || points <= budget ? 1 : points / budget + 1;
}

static inline void harness_hung(int signal_number) {
    (void)signal_number;
    dprintf(2, "hung: in %s [%s]\n", harness_test, harness_note);
    harness_end_children();
    _exit(1);
}

static double harness_spent; /* by the tests so far */

static inline double harness_seconds(const struct rusage *usage) {
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
           (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
}

static inline void harness_begin(const char *test) {
    if (harness_pid == 0) {
        harness_pid = getpid();
        (void)setpgid(0, 0);
    }
    harness_test = test;
    harness_note[0] = '\0';
    harness_tests++;
    signal(SIGALRM, harness_hung);
    alarm(harness_full() ? 1000 : 100);
}

/* Says what the test cost: processor time, its children's included. */
static inline void harness_done(void) {
    struct rusage own, children;
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &children);
    const double all = harness_seconds(&own) + harness_seconds(&children);
    fprintf(stderr, "ok %s, %.2f s\n", harness_test, all - harness_spent);
    harness_spent = all;
}

/* Waits for a child: true when it was killed, false when it ended by itself; any other end is a failure. */
static inline bool harness_was_killed(pid_t pid) {
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return true;
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return false;
}

#endif
