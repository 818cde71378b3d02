/* Single steps under ptrace: every processor can, but each step costs two changes of process.  See step.h. */
#ifndef AIPC_TEST_STEP_PTRACE_H
#define AIPC_TEST_STEP_PTRACE_H

#include "harness.h"

#include <sys/ptrace.h>

enum { HARNESS_SKIPPED = 77 }; /* exit status: this machine forbids ptrace */

/* In the child. */
_Noreturn static inline void traced_child(const struct scenario *s) {
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(HARNESS_SKIPPED);
    if (s->enter != NULL) s->enter(s->ctx);
    raise(SIGSTOP);
    s->run(s->ctx);
    raise(SIGSTOP);
    _exit(0);
}

/* Lets the traced child go on as `request` says until its next stop; the signal it stopped with. */
static inline int traced_resume(pid_t pid, int request, int signal_number) {
    int status;
    CHECK(ptrace(request, pid, NULL, (void *)(intptr_t)signal_number) == 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSTOPPED(status));
    return WSTOPSIG(status);
}

/* Runs the scenario for at most `limit` instructions and kills it there; the instructions executed. */
static inline uint64_t traced_until(const struct scenario *s, uint64_t limit) {
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) traced_child(s);

    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == HARNESS_SKIPPED) exit(HARNESS_SKIPPED);
    CHECK(WIFSTOPPED(status));
    for (int stopped = WSTOPSIG(status); stopped != SIGSTOP;) stopped = traced_resume(pid, PTRACE_CONT, stopped);

    uint64_t steps = 0;
    int pending = 0; /* a signal of the scenario's own, to be delivered */
    while (steps < limit && pending != SIGSTOP) {
        pending = traced_resume(pid, PTRACE_SINGLESTEP, pending);
        if (pending == SIGTRAP) pending = 0;
        steps++;
    }
    CHECK(kill(pid, SIGKILL) == 0);
    CHECK(harness_was_killed(pid));
    return steps;
}

#endif
