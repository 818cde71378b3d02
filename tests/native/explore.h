/* The interleaving explorer: every schedule of a few threads over the hooked atomics, depth first.
 *
 * For a program built with AIPC_HOOK.  The threads are ucontexts of one process; each atomic access is a
 * point at which another thread may be chosen.  Taking the turn from a thread that could go on is a
 * preemption, and their number is bounded: most errors need two.  Schedules are sequentially consistent;
 * weak memory is TSan's business.
 *
 * explore_wait() is how a thread says that it can do nothing until another one changes a word, in place
 * of sleeping or spinning.  A thread that spins on its own gives up its turn after EXPLORE_SPIN accesses.
 * If all wait, or a schedule does not end, that is a violation as well. */
#ifndef AIPC_TEST_EXPLORE_H
#define AIPC_TEST_EXPLORE_H

#include "atomics.h"
#include "harness.h"

#include <string.h>
#include <ucontext.h>

enum {
    EXPLORE_THREADS = 4,
    EXPLORE_STACK = 256 * 1024,
    EXPLORE_SPIN = 200,
    EXPLORE_STEPS = 20000, /* accesses in one schedule; more is a livelock */
    EXPLORE_DEPTH = 4096   /* choices in one schedule */
};

struct exploration {
    int threads;
    int preemptions;                     /* the bound */
    uint64_t max_schedules;              /* 0: all of them */
    void (*reset)(void *ctx);            /* before each schedule */
    void (*body)(int thread, void *ctx); /* each thread's work */
    bool (*holds)(void *ctx);            /* after each schedule: is what must hold true? */
    void *ctx;
};

struct explored {
    uint64_t schedules;
    bool complete;         /* every schedule within the bound was run */
    const char *violation; /* NULL, "property", "deadlock" or "livelock" */
    char schedule[256];    /* of the violation: the threads in the order of their turns */
};

enum explore_state { EXPLORE_READY, EXPLORE_WAITING, EXPLORE_DONE };

static struct {
    const struct exploration *plan;
    ucontext_t main, contexts[EXPLORE_THREADS];
    enum explore_state states[EXPLORE_THREADS];
    int current; /* -1: not exploring, hooks do nothing */
    int preemptions, steps, run_length;
    const char *violation;
    const volatile void *waits_on[EXPLORE_THREADS]; /* NULL: any word */
    const volatile void *written; /* the word whose access comes next, and its value before */
    uint64_t before;
    /* The choices of this schedule: which alternative was taken, of how many. */
    unsigned char taken[EXPLORE_DEPTH], alternatives[EXPLORE_DEPTH];
    int depth, replay;
    char turns[256];
    size_t turn_count;
} explorer = {.current = -1};

static char explore_stacks[EXPLORE_THREADS][EXPLORE_STACK] __attribute__((aligned(64)));

/* The threads that may go next, the current one first when it may. */
static inline int explore_candidates(int *candidates, bool may_stay, bool may_leave) {
    int count = 0;
    if (may_stay) candidates[count++] = explorer.current;
    for (int t = 0; may_leave && t < explorer.plan->threads; t++) {
        if (t != explorer.current && explorer.states[t] == EXPLORE_READY) candidates[count++] = t;
    }
    return count;
}

/* Takes the recorded choice while replaying, the first alternative after that; and when a clock made this run differ. */
static inline int explore_choose(const int *candidates, int count) {
    if (count == 1) return candidates[0];
    CHECK(explorer.depth < EXPLORE_DEPTH);
    const int d = explorer.depth++;
    if (d < explorer.replay && explorer.alternatives[d] != count) explorer.replay = d;
    if (d >= explorer.replay) {
        explorer.taken[d] = 0;
        explorer.alternatives[d] = (unsigned char)count;
    }
    return candidates[explorer.taken[d]];
}

static inline void explore_switch_to(int next) {
    const int previous = explorer.current;
    explorer.current = next;
    explorer.run_length = 0;
    if (explorer.turn_count < sizeof explorer.turns - 1) explorer.turns[explorer.turn_count++] = (char)('0' + next);
    swapcontext(previous < 0 ? &explorer.main : &explorer.contexts[previous], &explorer.contexts[next]);
}

/* A word's value at the widest width its alignment allows: a neighbour read by it is harmless. */
static inline uint64_t explore_value(const volatile void *word) {
    return (uintptr_t)word % 8 == 0 ? *(const volatile uint64_t *)word : *(const volatile uint32_t *)word;
}

/* Once the latest access has happened: if it changed its word, those who wait may look again. */
static inline void explore_settle(void) {
    if (explorer.written != NULL && explore_value(explorer.written) != explorer.before) {
        for (int t = 0; t < explorer.plan->threads; t++) {
            const volatile void *word = explorer.waits_on[t];
            if (explorer.states[t] == EXPLORE_WAITING && (word == NULL || word == explorer.written))
                explorer.states[t] = EXPLORE_READY;
        }
    }
    explorer.written = NULL;
}

/* Ends the schedule from inside a thread; its context is never resumed. */
static inline void explore_abandon(const char *violation) {
    explorer.violation = violation;
    explorer.current = -1;
    setcontext(&explorer.main);
}

/* The current thread cannot go on (it waits, or is done): somebody else must. */
static inline void explore_yield_for_good(void) {
    int candidates[EXPLORE_THREADS];
    const int count = explore_candidates(candidates, false, true);
    if (count > 0) {
        explore_switch_to(explore_choose(candidates, count));
        return;
    }
    for (int t = 0; t < explorer.plan->threads; t++) {
        if (explorer.states[t] == EXPLORE_WAITING) explore_abandon("deadlock");
    }
    explore_abandon(NULL);
}

/* In a thread: wait until another thread changes `word` (NULL: any).  Nothing comes between the latest access and
 * the wait, as with a futex. */
static inline void explore_wait_on(const volatile void *word) {
    explore_settle();
    explorer.waits_on[explorer.current] = word;
    explorer.states[explorer.current] = EXPLORE_WAITING;
    explore_yield_for_good();
}

static inline void explore_wait(void) { explore_wait_on(NULL); }

/* In a thread, before each access: somebody else may go first. */
static inline void explore_point(void) {
    int candidates[EXPLORE_THREADS];
    if (++explorer.steps > EXPLORE_STEPS) explore_abandon("livelock");
    const bool spinning = ++explorer.run_length > EXPLORE_SPIN;
    const bool may_leave = spinning || explorer.preemptions < explorer.plan->preemptions;
    const int count = explore_candidates(candidates, !spinning, may_leave);
    if (count == 0) return;
    const int next = explore_choose(candidates, count);
    if (next == explorer.current) return;
    if (!spinning) explorer.preemptions++;
    explore_switch_to(next);
}

void aipc_hook(enum aipc_hook_kind kind, const volatile void *word) {
    if (explorer.current < 0) return;
    explore_settle();
    explore_point();
    if (kind == AIPC_HOOK_STORE || kind == AIPC_HOOK_RMW) {
        explorer.before = explore_value(word);
        explorer.written = word;
    }
}

static void explore_thread(int thread) {
    explorer.plan->body(thread, explorer.plan->ctx);
    explore_settle();
    explorer.states[thread] = EXPLORE_DONE;
    explore_yield_for_good();
}

static inline void explore_one_schedule(void) {
    const struct exploration *plan = explorer.plan;
    plan->reset(plan->ctx);
    explorer.preemptions = explorer.steps = explorer.run_length = explorer.depth = 0;
    explorer.turn_count = 0;
    explorer.violation = NULL;
    explorer.written = NULL;
    int all[EXPLORE_THREADS];
    for (int t = 0; t < plan->threads; t++) {
        all[t] = t;
        explorer.states[t] = EXPLORE_READY;
        getcontext(&explorer.contexts[t]);
        explorer.contexts[t].uc_stack.ss_sp = explore_stacks[t];
        explorer.contexts[t].uc_stack.ss_size = EXPLORE_STACK;
        makecontext(&explorer.contexts[t], (void (*)(void))explore_thread, 1, t);
    }
    explore_switch_to(explore_choose(all, plan->threads));
    explorer.turns[explorer.turn_count] = '\0';
    if (explorer.violation == NULL && !plan->holds(plan->ctx)) explorer.violation = "property";
}

/* Runs schedule after schedule until one violates the property, or all are done. */
static inline struct explored explore(const struct exploration *plan) {
    struct explored result = {0};
    CHECK(plan->threads <= EXPLORE_THREADS);
    explorer.plan = plan;
    explorer.replay = 0;
    while (!result.complete && (plan->max_schedules == 0 || result.schedules < plan->max_schedules)) {
        explore_one_schedule();
        result.schedules++;
        if (explorer.violation != NULL) {
            result.violation = explorer.violation;
            memcpy(result.schedule, explorer.turns, sizeof result.schedule);
            NOTE("%s violated by schedule %.120s", result.violation, result.schedule);
            break;
        }
        /* The next one in depth-first order: advance the deepest choice that has an alternative left. */
        int d = explorer.depth - 1;
        while (d >= 0 && explorer.taken[d] + 1 >= explorer.alternatives[d]) d--;
        result.complete = d < 0;
        if (d >= 0) explorer.taken[d]++;
        explorer.replay = d + 1;
    }
    return result;
}

#endif
