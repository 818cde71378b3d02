/* Single steps with the trap flag of x86-64: the process counts its own instructions, in a signal handler, and kills
 * itself at the one that is asked for.  Seven times as fast as ptrace.  See step.h. */
#ifndef AIPC_TEST_STEP_TRAP_H
#define AIPC_TEST_STEP_TRAP_H

#include "harness.h"

#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { STEP_POINTS = 1 << 20, STEP_SYSCALL = 0x050f };

/* What others can see change: the memory whose base is, or will be, at *base.  None: whatever happens may matter. */
static struct { uint8_t **base; size_t size; uint8_t *seen; } step_memory;

static struct step_record {
    uint64_t steps, limit;
    uint64_t points, point[STEP_POINTS]; /* after which instructions something had changed, when recording */
} *step_record; /* shared with the child */

static bool step_recording, step_in_syscall;

static inline bool step_changed(void) {
    if (step_memory.base == NULL) return true;
    if (*step_memory.base == NULL || memcmp(step_memory.seen, *step_memory.base, step_memory.size) == 0) return false;
    memcpy(step_memory.seen, *step_memory.base, step_memory.size);
    return true;
}

static inline void step_trapped(int signal_number, siginfo_t *info, void *context) {
    (void)signal_number, (void)info;
    struct step_record *record = step_record;
    record->steps++;
    if (step_recording) {
        const uint64_t address = (uint64_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
        uint16_t opcode;
        memcpy(&opcode, (void *)(uintptr_t)address, sizeof opcode);
        const bool changed = step_changed(); /* in any case: it remembers */
        if ((changed || step_in_syscall || record->points == 0) && record->points < STEP_POINTS)
            record->point[record->points++] = record->steps;
        step_in_syscall = opcode == STEP_SYSCALL;
    }
    if (record->steps == record->limit) kill(getpid(), SIGKILL);
}

/* 128 bytes below the stack pointer may be in use. */
#define STEP_FLAG(change)                                                                        \
    __asm__ volatile("lea -128(%%rsp), %%rsp\n pushfq\n " change ", (%%rsp)\n popfq\n lea 128(%%rsp), %%rsp" \
                     ::: "memory", "cc")

/* Runs the scenario, kills it after `limit` instructions, or at its end; the instructions executed. */
static inline uint64_t trapped_until(const struct scenario *s, uint64_t limit, bool recording) {
    if (step_record == NULL) {
        step_record = mmap(NULL, sizeof *step_record, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(step_record != MAP_FAILED);
    }
    step_record->steps = step_record->points = 0;
    step_record->limit = limit;
    step_recording = recording;
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        if (s->enter != NULL) s->enter(s->ctx);
        if (step_memory.base != NULL) CHECK((step_memory.seen = calloc(1, step_memory.size)) != NULL);
        struct sigaction action = {.sa_sigaction = step_trapped, .sa_flags = SA_SIGINFO};
        CHECK(sigaction(SIGTRAP, &action, NULL) == 0);
        STEP_FLAG("orq $0x100");
        s->run(s->ctx);
        STEP_FLAG("andq $~0x100");
        kill(getpid(), SIGKILL);
    }
    CHECK(harness_was_killed(pid));
    CHECK(step_record->points < STEP_POINTS);
    return step_record->steps;
}

#endif
