/* Deaths at single instructions of x86-64.  Once the process steps through the scenario with the trap flag and records,
 * in a signal handler, where it was.  To die somewhere it goes on to a breakpoint, until it comes to it for the n-th
 * time, and steps from there.  A step costs a signal, and so a death little more than the scenario.  See step.h. */
#ifndef AIPC_TEST_STEP_TRAP_H
#define AIPC_TEST_STEP_TRAP_H

#include "harness.h"

#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { STEP_ROOM = 1 << 21, STEP_PLACES = 1 << 16, STEP_SYSCALL = 0x050f, STEP_BREAKPOINT = 0xcc, STEP_FLAG = 0x100 };

/* What others can see change: the memory whose base is, or will be, at *base.  None: whatever happens may matter. */
static struct { uint8_t **base; size_t size; uint8_t *seen; } step_memory;

static struct step_record {
    uint64_t steps, points;
    uintptr_t after[STEP_ROOM]; /* [n]: the instruction that follows the n-th */
    uint32_t point[STEP_ROOM];  /* after which instructions something had changed */
    bool died;                  /* where it was to die */
} *step_record; /* shared with the child */

static uint32_t step_visits[STEP_ROOM]; /* [n]: how often it had come to after[n] by then, that time included */
static bool step_in_syscall;
static struct { uint8_t *at, original; uint64_t visits, steps; bool passing; } step_break; /* to come; steps: behind it */

static inline bool step_changed(void) {
    if (step_memory.base == NULL) return true;
    if (*step_memory.base == NULL || memcmp(step_memory.seen, *step_memory.base, step_memory.size) == 0) return false;
    memcpy(step_memory.seen, *step_memory.base, step_memory.size);
    return true;
}

static inline void step_recorded(int signal_number, siginfo_t *info, void *context) {
    (void)signal_number, (void)info;
    struct step_record *record = step_record;
    const uintptr_t address = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    if (++record->steps == STEP_ROOM) _exit(1);
    record->after[record->steps] = address;
    const bool changed = step_changed(); /* in any case: it remembers */
    if (changed || step_in_syscall || record->points == 0) record->point[record->points++] = (uint32_t)record->steps;
    uint16_t opcode;
    memcpy(&opcode, (void *)address, sizeof opcode);
    step_in_syscall = opcode == STEP_SYSCALL;
}

/* At the breakpoint, one instruction behind it, or on the way from there. */
static inline void step_broken(int signal_number, siginfo_t *info, void *context) {
    (void)signal_number, (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    if (step_break.passing) {
        step_break.passing = false;
        *step_break.at = STEP_BREAKPOINT;
        registers[REG_EFL] &= ~STEP_FLAG;
        return;
    }
    if (step_break.visits != 0) {
        *step_break.at = step_break.original;
        registers[REG_RIP] = (greg_t)(uintptr_t)step_break.at;
        registers[REG_EFL] |= STEP_FLAG;
        step_break.passing = --step_break.visits != 0;
    } else {
        step_break.steps--;
    }
    if (step_break.visits == 0 && step_break.steps == 0) {
        step_record->died = true;
        kill(getpid(), SIGKILL);
    }
}

static inline void step_handle(void (*handler)(int, siginfo_t *, void *)) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGTRAP, &action, NULL) == 0);
}

/* Sets the breakpoint on the way to the death after `steps` instructions where the fewest signals lead to that. */
static inline void step_set_break(uint64_t steps) {
    uint64_t best = UINT64_MAX;
    for (uint64_t n = steps; n > 1 && steps - n < best; n--) {
        const uint64_t signals = 2 * step_visits[n] + (steps - n);
        if (signals >= best) continue;
        best = signals;
        step_break.at = (uint8_t *)step_record->after[n];
        step_break.visits = step_visits[n];
        step_break.steps = steps - n;
    }
    const uintptr_t page = (uintptr_t)step_break.at & ~(uintptr_t)4095;
    CHECK(mprotect((void *)page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
    step_handle(step_broken);
    step_break.original = *step_break.at;
    *step_break.at = STEP_BREAKPOINT;
}

/* 128 bytes below the stack pointer may be in use. */
#define STEP_SET_FLAG(change)                                                                    \
    __asm__ volatile("lea -128(%%rsp), %%rsp\n pushfq\n " change ", (%%rsp)\n popfq\n lea 128(%%rsp), %%rsp" \
                     ::: "memory", "cc")

/* Runs the scenario and kills it after so many instructions; 0: records it, and kills it at its end. */
__attribute__((noinline, noclone)) static void trapped_child(const struct scenario *s, uint64_t steps) {
    if (s->enter != NULL) s->enter(s->ctx);
    if (steps == 0) {
        if (step_memory.base != NULL) CHECK((step_memory.seen = calloc(1, step_memory.size)) != NULL);
        step_handle(step_recorded);
        STEP_SET_FLAG("orq $0x100");
    } else if (steps == 1) { /* nothing has been done */
        step_record->died = true;
        kill(getpid(), SIGKILL);
    } else {
        step_set_break(steps);
    }
    s->run(s->ctx);
    STEP_SET_FLAG("andq $~0x100");
    kill(getpid(), SIGKILL);
}

static inline void trapped(const struct scenario *s, uint64_t steps) {
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) trapped_child(s, steps);
    CHECK(harness_was_killed(pid));
}

static inline void step_count_visits(void) {
    static struct { uintptr_t address; uint32_t visits; } places[STEP_PLACES];
    memset(places, 0, sizeof places);
    for (uint64_t n = 1; n <= step_record->steps; n++) {
        const uintptr_t address = step_record->after[n];
        uint64_t i = address % STEP_PLACES;
        while (places[i].address != 0 && places[i].address != address) i = (i + 1) % STEP_PLACES;
        places[i].address = address;
        step_visits[n] = ++places[i].visits;
    }
}

/* Counts the points at which the scenario is to die. */
static inline uint64_t trapped_points(const struct scenario *s) {
    if (step_record == NULL) {
        step_record = mmap(NULL, sizeof *step_record, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(step_record != MAP_FAILED);
    }
    step_record->steps = step_record->points = 0;
    trapped(s, 0);
    step_count_visits();
    return step_record->points;
}

/* Kills the scenario at its i-th point; false: it did not come to it this time, and died at its end. */
static inline bool trapped_at(const struct scenario *s, uint64_t i) {
    step_record->died = false;
    trapped(s, step_record->point[i]);
    return step_record->died;
}

#endif
