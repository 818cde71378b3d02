/* The instruction sweep: SIGKILL after the n-th machine instruction of the unhooked -O2 core.
 *
 * Hooks act as compiler barriers, so the crash sweep cannot see a store that gcc moved or dropped; this
 * can.  A child runs the scenario between two SIGSTOP markers under ptrace, one instruction at a time.
 * About 60 instructions are sampled; AIPC_TEST_FULL takes every one. */
#ifndef AIPC_TEST_STEP_H
#define AIPC_TEST_STEP_H

#include "harness.h"

#include <sys/ptrace.h>

enum { HARNESS_SKIPPED = 77 }; /* exit status: this machine forbids ptrace */

/* In the child. */
_Noreturn static inline void step_child(const struct scenario *s) {
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(HARNESS_SKIPPED);
    if (s->enter != NULL) s->enter(s->ctx);
    raise(SIGSTOP);
    s->run(s->ctx);
    raise(SIGSTOP);
    _exit(0);
}

/* Lets the traced child go on as `request` says until its next stop; the signal it stopped with. */
static inline int step_resume(pid_t pid, int request, int signal_number) {
    int status;
    CHECK(ptrace(request, pid, NULL, (void *)(intptr_t)signal_number) == 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSTOPPED(status));
    return WSTOPSIG(status);
}

/* Runs the scenario for at most `limit` instructions and kills it there; the instructions executed. */
static inline uint64_t step_child_until(const struct scenario *s, uint64_t limit) {
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) step_child(s);

    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == HARNESS_SKIPPED) exit(HARNESS_SKIPPED);
    CHECK(WIFSTOPPED(status));
    for (int stopped = WSTOPSIG(status); stopped != SIGSTOP;) stopped = step_resume(pid, PTRACE_CONT, stopped);

    uint64_t steps = 0;
    int pending = 0; /* a signal of the scenario's own, to be delivered */
    while (steps < limit && pending != SIGSTOP) {
        pending = step_resume(pid, PTRACE_SINGLESTEP, pending);
        if (pending == SIGTRAP) pending = 0;
        steps++;
    }
    CHECK(kill(pid, SIGKILL) == 0);
    CHECK(harness_was_killed(pid));
    return steps;
}

/* Kills run() after sampled (or all) instructions; returns the number of deaths. */
static inline uint64_t step_sweep(const struct scenario *s) {
    NOTE("counting instructions");
    s->setup(s->ctx);
    const uint64_t instructions = step_child_until(s, UINT64_MAX);
    s->survive(s->ctx);

    uint64_t deaths = 0;
    const uint64_t stride = harness_stride(instructions, 60);
    for (uint64_t n = 1; n <= instructions; n += stride, deaths++) {
        NOTE("death after instruction %" PRIu64 " of %" PRIu64, n, instructions);
        s->setup(s->ctx);
        step_child_until(s, n);
        s->survive(s->ctx);
    }
    return deaths;
}

#endif
