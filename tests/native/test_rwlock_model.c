// variants: plain asan
/* Random schedules of tasks in three processes against a model of thirty lines: who gets it, who must wait, who is woken. */
#include "rwlock_fixture.h"

enum { PROCESSES = 3, WAITERS = 6 };

/* ---- the model ----------------------------------------------------------------------------------------- */

static uint32_t random_state, got, stood, woken; /* how often */
static uint64_t clock_now;

static struct model {
    bool fair, abandoned;
    struct { int reads; bool writes, upgradable; } has[PROCESSES];
    struct waiter { int process; aipc_rwlock_want want; uint32_t node; bool told; } waiters[WAITERS]; /* oldest first */
    int waiting;
} m;

/* Whether `want` goes with all holds but one of kind `from` of this process (UPGRADE: none). */
static bool possible(int process, aipc_rwlock_want from, aipc_rwlock_want want) {
    struct model others = m;
    if (want == AIPC_UPGRADE) from = AIPC_UPGRADABLE, want = AIPC_WRITE;
    if (from == AIPC_READ) others.has[process].reads--;
    if (from == AIPC_UPGRADABLE) others.has[process].upgradable = false;
    for (int i = 0; i < PROCESSES; i++) {
        if (others.has[i].writes || (others.has[i].upgradable && want != AIPC_READ)) return false;
        if (others.has[i].reads != 0 && want == AIPC_WRITE) return false;
    }
    return true;
}

/* Whether one that wants this, and came after the first `before` waiters, would have to let others go first. */
static bool turn(aipc_rwlock_want want, int before) {
    for (int i = 0; i < m.waiting; i++) {
        const aipc_rwlock_want other = m.waiters[i].want;
        const bool older = i < before;
        if (want == AIPC_READ && (other == AIPC_UPGRADE || (other == AIPC_WRITE && (older || !m.fair)))) return false;
        if ((want == AIPC_WRITE || want == AIPC_UPGRADABLE) && older && (other == AIPC_WRITE || other == AIPC_UPGRADABLE))
            return false;
        if (want == AIPC_WRITE && older && m.fair && other == AIPC_READ) return false;
        if (want == AIPC_UPGRADE && older && other == AIPC_UPGRADE) return false;
    }
    return true;
}

static bool has(int process, aipc_rwlock_want held) {
    return held == AIPC_READ ? m.has[process].reads != 0 : held == AIPC_WRITE ? m.has[process].writes : m.has[process].upgradable;
}

static void change(int process, aipc_rwlock_want held, int by) {
    if (held == AIPC_READ) m.has[process].reads += by;
    if (held == AIPC_WRITE) m.has[process].writes = by > 0;
    if (held == AIPC_UPGRADABLE) m.has[process].upgradable = by > 0;
    if (held == AIPC_WRITE && by < 0) m.abandoned = false;
}

static aipc_status outcome(int process, aipc_rwlock_want want, int before) {
    if (want == AIPC_UPGRADE && !m.has[process].upgradable) return AIPC_NOT_OWNER;
    if (!turn(want, before) || !possible(process, AIPC_UPGRADE, want)) return AIPC_AGAIN;
    if (want == AIPC_UPGRADE) change(process, AIPC_UPGRADABLE, -1);
    change(process, want == AIPC_UPGRADE ? AIPC_WRITE : want, 1);
    got++;
    return AIPC_OK;
}

static void forget(int index) {
    memmove(&m.waiters[index], &m.waiters[index + 1], (size_t)(--m.waiting - index) * sizeof m.waiters[0]);
}

/* ---- both ------------------------------------------------------------------------------------------------ */

static int below(int n) {
    random_state = random_state * 1664525 + 1013904223;
    return (int)((random_state >> 8) % (uint32_t)n);
}

static void do_try(int p, aipc_rwlock_want want) {
    const bool recover = below(2) == 0;
    const aipc_status status = recover ? aipc_rwlock_try_recover(ctxs[p], rw_at(p), want) : try(p, want);
    CHECK_EQ(status, outcome(p, want, m.waiting));
}

static void do_read_fast(int p) {
    if (aipc_rwlock_read_fast(&segs[p], rw_at(p))) OK(outcome(p, AIPC_READ, m.waiting));
}

static void do_wait(int p, aipc_rwlock_want want) {
    uint32_t node;
    if (m.waiting == WAITERS) return;
    const aipc_status status = aipc_rwlock_wait(ctxs[p], rw_at(p), want, bell[p], TOKEN, below(2) == 0, &node);
    CHECK_EQ(status, outcome(p, want, m.waiting));
    if (status != AIPC_AGAIN) return;
    stood++;
    segs[p].nodes[node - 1].since = ++clock_now; /* longer ago than anybody may barge */
    m.waiters[m.waiting++] = (struct waiter){p, want, node, false};
}

static void do_cancel(int index) {
    const struct waiter w = m.waiters[index];
    OK(cancel(w.process, w.want, w.node));
    forget(index);
}

static void do_look(int index) {
    const struct waiter w = m.waiters[index];
    const aipc_status status = look(w.process, w.want, w.node);
    CHECK_EQ(status, outcome(w.process, w.want, index));
    m.waiters[index].told = false;
    if (status == AIPC_OK) forget(index);
    else if (status == AIPC_NOT_OWNER) do_cancel(index);
}

static void do_release(int p, aipc_rwlock_want held) {
    const bool fast = held == AIPC_READ && below(2) == 0 && aipc_rwlock_release_read_fast(&segs[p], rw_at(p));
    if (!fast && release(p, held) != AIPC_OK) {
        CHECK(!has(p, held));
        return;
    }
    CHECK(has(p, held));
    change(p, held, -1);
}

static void do_release_something(void) {
    for (int tries = 0, p, held; tries < 9; tries++)
        if (has(p = below(PROCESSES), held = below(3))) {
            do_release(p, held);
            return;
        }
}

static void do_convert(int p, aipc_rwlock_want from, aipc_rwlock_want to) {
    if (from == to) return;
    const bool down = from == AIPC_WRITE || to == AIPC_READ;
    const aipc_status status = convert(p, from, to);
    if (!has(p, from)) {
        CHECK_EQ(status, AIPC_NOT_OWNER);
    } else if (!down && !possible(p, from, to)) {
        CHECK_EQ(status, AIPC_AGAIN);
    } else {
        OK(status);
        change(p, from, -1);
        change(p, to, 1);
    }
}

/* Goes with all it holds and waits for; somebody else takes its place, or nobody. */
static void do_leave(int p) {
    sync_go(p);
    if (m.has[p].writes) m.abandoned = true;
    m.has[p].reads = 0;
    m.has[p].writes = m.has[p].upgradable = false;
    for (int i = m.waiting - 1; i >= 0; i--) {
        if (m.waiters[i].process == p) forget(i);
        else m.waiters[i].told = true; /* everybody was made to look */
    }
    fixture_attach(&segs[p]);
    sync_enter(p);
}

/* Nobody who may go sleeps on; nobody is woken who may not. */
static void compare(void) {
    rw_sound();
    for (int p = 0; p < PROCESSES; p++) {
        const uint32_t word = (m.has[p].writes ? (uint32_t)AIPC_RW_WRITE : 0) |
                              (m.has[p].upgradable ? (uint32_t)AIPC_RW_UPGRADABLE : 0) | (uint32_t)m.has[p].reads;
        CHECK_EQ(held_by(p), word);
    }
    CHECK_EQ(is_abandoned(below(PROCESSES)), m.abandoned);
    for (int i = 0; i < m.waiting; i++) {
        struct waiter *w = &m.waiters[i];
        const bool lost = w->want == AIPC_UPGRADE && !m.has[w->process].upgradable;
        const bool may_go = !lost && turn(w->want, i) && possible(w->process, AIPC_UPGRADE, w->want);
        const bool notified = segs[0].nodes[w->node - 1].state == AIPC_NODE_NOTIFIED;
        if (may_go) CHECK(notified || w->told);
        if (notified && !w->told) CHECK(may_go || lost);
        woken += notified && !w->told;
        w->told |= notified;
    }
    for (int p = 0; p < PROCESSES; p++) (void)sync_collect(p);
}

/* The first who was woken. */
static void do_look_told(void) {
    int i = 0;
    while (i < m.waiting && !m.waiters[i].told) i++;
    if (i < m.waiting) do_look(i);
}

static void step(void) {
    const int p = below(PROCESSES);
    switch (below(14)) {
    case 0: do_try(p, (aipc_rwlock_want)below(4)); break;
    case 1:
    case 2: do_wait(p, (aipc_rwlock_want)below(4)); break;
    case 3: if (m.waiting != 0) do_look(below(m.waiting)); break;
    case 4:
    case 12:
    case 13: do_look_told(); break;
    case 5: if (m.waiting != 0) do_cancel(below(m.waiting)); break;
    case 6: do_convert(p, (aipc_rwlock_want)below(3), (aipc_rwlock_want)below(3)); break;
    case 7: do_read_fast(p); break;
    case 8: if (below(4) == 0) do_leave(p); break;
    case 9: do_release(p, (aipc_rwlock_want)below(3)); break;
    default: do_release_something();
    }
    compare();
}

static void every_schedule_goes_as_in_the_model(void) {
    const uint32_t schedules = harness_full() ? 400 : 30;
    for (uint32_t n = 1; n <= schedules; n++) {
        m = (struct model){.fair = n % 2 == 0};
        random_state = n * 2654435761u;
        clock_now = 0;
        rw_make(PROCESSES, m.fair);
        for (int i = 0; i < 600; i++) {
            NOTE("schedule %u, step %d", n, i);
            step();
        }
        while (m.waiting != 0) do_cancel(0);
        for (int p = 0; p < PROCESSES; p++)
            for (int held = AIPC_READ; held <= AIPC_UPGRADABLE; held++)
                while (has(p, held)) do_release(p, held);
        rw_end();
    }
    fprintf(stderr, "  %u schedules: %u holds, %u waiters, %u woken\n", schedules, got, stood, woken);
    CHECK(got > schedules && stood > schedules && woken > schedules);
}

int main(void) {
    RUN(every_schedule_goes_as_in_the_model);
    return SUMMARY();
}
