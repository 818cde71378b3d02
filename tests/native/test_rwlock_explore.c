// variants: hook
/* Every interleaving, within a bound, of what two or three threads do with a read-write lock: threads of different
 * participants, and of one. */
#include "sync_explore.h"

#include "rwlock_state.h"

#define MANY 3

/* Who does what thread i does. */
static struct actor {
    aipc_seg *seg;
    aipc_ctx *ctx;
    uint32_t bell;
    int fd;
} actors[MANY];

static struct {
    int readers, writers, entered, cancelled, abandoned;
    bool broken; /* a writer was not alone */
} seen;

static struct aipc_rwlock *rw(int i) { return (void *)(actors[i].seg->base + sync_payload); }

/* `processes` participants; thread 2, or 1, shares the last one's if there are fewer. */
static void stage(int processes, bool fair) {
    struct aipc_rwlock image = {0};
    aipc_rwlock_init(&image, fair);
    sync_make(processes, AIPC_TYPE_RWLOCK, &image, sizeof image, aipc_rwlock_object_size(FIXTURE_PARTICIPANTS));
    for (int i = 0; i < MANY; i++) {
        const int p = i < processes ? i : processes - 1;
        actors[i] = (struct actor){&segs[p], ctxs[p], bell[p], bell_fd[p]};
        if (i < processes) continue;
        actors[i].ctx = enter(&segs[p]);
        OK(aipc_bell_take(&segs[p], &actors[i].bell, &actors[i].fd));
        (void)aipc_bell_arm(&segs[p], actors[i].bell);
    }
    sync_stage();
    for (int i = 0; i < MANY; i++) { /* words claimed: not part of what is explored */
        OK(aipc_rwlock_try(actors[i].ctx, rw(i), AIPC_READ));
        OK(aipc_rwlock_release(actors[i].ctx, rw(i), AIPC_READ));
        aipc_os_drain(actors[i].fd);
        aipc_bell_woken(actors[i].seg, actors[i].bell);
    }
    sync_save();
}

static void reset(void *arg) {
    sync_reset(arg);
    for (int i = 0; i < MANY; i++) aipc_os_drain(actors[i].fd);
    memset(&seen, 0, sizeof seen);
}

static void unstage(int processes) {
    reset(NULL);
    for (int i = processes; i < MANY; i++) aipc_ctx_leave(actors[i].ctx);
    sync_unstage();
}

/* ---- what each of them does ------------------------------------------------------------------------- */

static void sleep_on_bell(int i) {
    const struct actor *a = &actors[i];
    uint64_t tokens[4];
    uint32_t count;
    if (!aipc_bell_arm(a->seg, a->bell))
        while (aipc_os_poll2(a->fd, -1, 0) != AIPC_OK) explore_wait();
    aipc_os_drain(a->fd);
    aipc_bell_woken(a->seg, a->bell);
    OK(aipc_wait_collect(a->ctx, a->bell, tokens, 4, &count));
}

static aipc_status stand(int i, aipc_rwlock_want want, uint32_t *node) {
    return aipc_rwlock_wait(actors[i].ctx, rw(i), want, actors[i].bell, 1, false, node);
}
static aipc_status look(int i, aipc_rwlock_want want, uint32_t node) {
    return aipc_rwlock_look(actors[i].ctx, rw(i), want, node);
}

static void acquire(int i, aipc_rwlock_want want) {
    uint32_t node;
    if (want == AIPC_READ && aipc_rwlock_read_fast(actors[i].seg, rw(i))) return;
    aipc_status status;
    for (status = stand(i, want, &node); status == AIPC_AGAIN; status = look(i, want, node)) sleep_on_bell(i);
    OK(status);
}
static void release(int i, aipc_rwlock_want held) {
    if (held == AIPC_READ && aipc_rwlock_release_read_fast(actors[i].seg, rw(i))) return;
    OK(aipc_rwlock_release(actors[i].ctx, rw(i), held));
}

/* Inside: a point at which others may come in. */
static void be_inside(bool writes) {
    uint32_t anything = 0;
    *(writes ? &seen.writers : &seen.readers) += 1;
    for (int i = 0; i < 2; i++) {
        if (seen.writers > 1 || (seen.writers == 1 && seen.readers != 0)) seen.broken = true;
        if (i == 0) (void)aipc_load_relaxed32(&anything);
    }
    *(writes ? &seen.writers : &seen.readers) -= 1;
    seen.entered++;
}

static void once(int i, aipc_rwlock_want want) {
    acquire(i, want);
    be_inside(want == AIPC_WRITE);
    release(i, want);
}

static aipc_status check(aipc_ctx *ctx, aipc_report *report) { return aipc_rwlock_check(ctx, sync_at(0), report); }

static int expected; /* how often somebody is inside */
static bool all_went(void *arg) {
    (void)arg;
    bool idle = true;
    for (int i = 0; i < sync_count; i++) idle &= (uint32_t)rw(0)->holders[segs[i].slot] == 0;
    return sync_tidy(check) && !seen.broken && seen.entered == expected && idle && rw(0)->gate == AIPC_GATE_OPEN;
}

static void all_hold(const char *what, struct exploration plan) {
    plan.max_schedules = harness_full() ? 100000 : 3000;
    holds(what, plan);
}

/* Each thread does as its letter says: r reads, w writes, u is upgradable, R and W do it twice. */
static const char *script;
static void by_script(int i, void *arg) {
    (void)arg;
    const aipc_rwlock_want want = strchr("rR", script[i]) ? AIPC_READ : strchr("wW", script[i]) ? AIPC_WRITE : AIPC_UPGRADABLE;
    once(i, want);
    if (strchr("RW", script[i])) once(i, want);
}

static void explore_script(const char *letters, int processes, int preemptions) {
    char what[64];
    script = letters;
    expected = 0;
    for (const char *c = letters; *c; c++) expected += 1 + (strchr("RW", *c) != NULL);
    snprintf(what, sizeof what, "%s by %d processes", letters, processes);
    all_hold(what, (struct exploration){.threads = (int)strlen(letters), .preemptions = preemptions, .reset = reset,
                                     .body = by_script, .holds = all_went});
}

static void writers_are_alone_and_nobody_sleeps_for_ever(void) {
    for (int fair = 0; fair < 2; fair++) {
        stage(3, fair);
        explore_script("rw", 3, 3);
        explore_script("RW", 3, 2);
        explore_script("rrw", 3, 1);
        explore_script("rww", 3, 1);
        explore_script("ruw", 3, 1);
        unstage(3);
    }
}

static void tasks_of_one_process_exclude_each_other(void) {
    stage(1, false);
    explore_script("rw", 1, 3);
    explore_script("RW", 1, 2);
    explore_script("rrw", 1, 1);
    unstage(1);
    stage(2, false); /* threads 1 and 2 are of one process */
    explore_script("rwr", 2, 1);
    explore_script("wrw", 2, 1);
    unstage(2);
}

/* ---- turning one hold into another -------------------------------------------------------------------- */

static void upgrade(int i) {
    acquire(i, AIPC_UPGRADABLE);
    be_inside(false);
    acquire(i, AIPC_UPGRADE);
    be_inside(true);
    release(i, AIPC_WRITE);
}
static void upgrade_against_others(int i, void *arg) {
    if (i == 0) upgrade(0);
    else by_script(i, arg);
}
static void upgraders(int i, void *arg) {
    (void)arg;
    upgrade(i);
}
static void an_upgrade_waits_for_readers_only(void) {
    stage(3, false);
    struct exploration plan = {.threads = 2, .preemptions = 2, .reset = reset, .body = upgrade_against_others, .holds = all_went};
    script = "-R";
    expected = 4;
    all_hold("upgrade, read twice", plan);
    script = "-w";
    expected = 3;
    all_hold("upgrade, write", plan);
    plan.threads = 3;
    plan.preemptions = 1;
    script = "-rr";
    expected = 4;
    all_hold("upgrade, read, read", plan);
    script = "-rw";
    all_hold("upgrade, read, write", plan);
    plan.threads = 2;
    plan.preemptions = 2;
    plan.body = upgraders;
    all_hold("two upgrade", plan);
    unstage(3);
}

/* From write down to read: nobody writes in between. */
static void downgrade_against_others(int i, void *arg) {
    if (i != 0) {
        by_script(i, arg);
        return;
    }
    acquire(0, AIPC_WRITE);
    const int before = seen.entered;
    be_inside(true);
    OK(aipc_rwlock_convert(actors[0].ctx, rw(0), AIPC_WRITE, AIPC_UPGRADABLE));
    be_inside(false);
    OK(aipc_rwlock_convert(actors[0].ctx, rw(0), AIPC_UPGRADABLE, AIPC_READ));
    be_inside(false);
    seen.broken |= script[1] == 'w' && seen.entered != before + 3;
    release(0, AIPC_READ);
}
static void a_downgrade_lets_readers_in_and_no_writer(void) {
    stage(3, false);
    struct exploration plan = {.threads = 2, .preemptions = 2, .reset = reset, .body = downgrade_against_others, .holds = all_went};
    script = "-r";
    expected = 4;
    all_hold("downgrade, read", plan);
    script = "-w";
    all_hold("downgrade, write", plan);
    script = "-u";
    all_hold("downgrade, be upgradable", plan);
    plan.threads = 3;
    plan.preemptions = 1;
    script = "-rw";
    expected = 5;
    all_hold("downgrade, read, write", (struct exploration){.threads = 3, .preemptions = 1, .reset = reset, .body = downgrade_against_others, .holds = all_went});
    unstage(3);
}

/* Two readers both want more, without waiting: one of them at most gets it. */
static int raised;
static void raise_a_read(int i, void *arg) {
    acquire(i, AIPC_READ);
    const aipc_rwlock_want to = *(const aipc_rwlock_want *)arg;
    if (aipc_rwlock_convert(actors[i].ctx, rw(i), AIPC_READ, to) == AIPC_OK) {
        raised++;
        be_inside(to == AIPC_WRITE);
        release(i, to);
    } else {
        be_inside(false);
        release(i, AIPC_READ);
    }
}
static void one_of_two_readers_gets_more(void) {
    stage(3, false);
    expected = 2;
    aipc_rwlock_want to = AIPC_WRITE;
    all_hold("two turn reads into writes", (struct exploration){.threads = 2, .preemptions = 3, .reset = reset, .body = raise_a_read, .holds = all_went, .ctx = &to});
    to = AIPC_UPGRADABLE;
    all_hold("two turn reads upgradable", (struct exploration){.threads = 2, .preemptions = 3, .reset = reset, .body = raise_a_read, .holds = all_went, .ctx = &to});
    unstage(3);
}

/* ---- cancelling ------------------------------------------------------------------------------------------ */

static aipc_rwlock_want held_first, cancelled_want;
static void reset_held(void *arg) {
    reset(arg);
    OK(aipc_rwlock_try(actors[0].ctx, rw(0), held_first));
}
/* 0 holds it and lets go; 1 waits and gives up; 2 must get it in the end. */
static void release_cancel_acquire(int i, void *arg) {
    (void)arg;
    uint32_t node;
    if (i == 0) {
        release(0, held_first);
    } else if (i == 2) {
        once(2, strchr("r", script[2]) ? AIPC_READ : AIPC_WRITE);
    } else if (stand(1, cancelled_want, &node) == AIPC_AGAIN) {
        OK(aipc_rwlock_cancel(actors[1].ctx, rw(1), cancelled_want, node));
    } else {
        release(1, cancelled_want);
    }
}
static void who_gives_up_holds_up_nobody(void) {
    stage(3, false);
    struct exploration plan = {.threads = 3, .preemptions = 1, .reset = reset_held, .body = release_cancel_acquire, .holds = all_went};
    expected = 1;
    held_first = AIPC_READ;
    cancelled_want = AIPC_WRITE;
    script = "--r";
    all_hold("read ends, a write is cancelled, read", plan);
    script = "--w";
    all_hold("read ends, a write is cancelled, write", plan);
    held_first = AIPC_WRITE;
    cancelled_want = AIPC_READ;
    all_hold("write ends, a read is cancelled, write", plan);
    cancelled_want = AIPC_UPGRADABLE;
    script = "--r";
    all_hold("write ends, another is cancelled, read", plan);
    unstage(3);
}

/* ---- ends ------------------------------------------------------------------------------------------------ */

/* The holder goes in an orderly way: what a detach leaves for others. */
static void leave_or_acquire(int i, void *arg) {
    (void)arg;
    if (i == 0) {
        aipc_participant_end(actors[0].seg, actors[0].seg->slot);
        (void)aipc_fetch_add_seq_cst32(&actors[0].seg->header->recoveries, 1);
        actors[0].seg->self = 0;
        aipc_bell_ring_all(actors[0].seg);
        return;
    }
    const aipc_rwlock_want want = script[i] == 'r' ? AIPC_READ : AIPC_WRITE;
    acquire(i, want);
    aipc_rwlock_stats stats;
    aipc_rwlock_stats_get(actors[i].seg, rw(i), &stats);
    seen.abandoned += stats.abandoned;
    be_inside(want == AIPC_WRITE);
    release(i, want);
}
static bool found_abandoned(void *arg) {
    (void)arg;
    explorer.current = -1;
    sync_report = (aipc_report){0};
    OK(aipc_rwlock_check(actors[1].ctx, rw(1), &sync_report));
    const int most = held_first != AIPC_WRITE ? 0 : script[2] == 'r' ? 2 : 1; /* until the first writer lets go */
    return sync_report.findings == 0 && !seen.broken && seen.entered == expected && rw(1)->gate == AIPC_GATE_OPEN &&
           (script[1] == 'w' || script[2] == 'w' ? seen.abandoned >= (most > 0) : seen.abandoned == most) &&
           (most != 0 || seen.abandoned == 0);
}
static void what_one_who_leaves_held_is_free(void) {
    stage(3, false);
    struct exploration plan = {.threads = 3, .preemptions = 1, .reset = reset_held, .body = leave_or_acquire, .holds = found_abandoned};
    expected = 2;
    held_first = AIPC_WRITE;
    script = "-rr";
    all_hold("a writer leaves, read, read", plan);
    script = "-wr";
    all_hold("a writer leaves, write, read", plan);
    held_first = AIPC_UPGRADABLE;
    script = "-ww";
    all_hold("an upgradable leaves, write, write", plan);
    held_first = AIPC_READ;
    all_hold("a reader leaves, write, write", plan);
    unstage(3);
}

/* ---- wrong ones -------------------------------------------------------------------------------------------- */

static int wrong;
enum { NO_SECOND_LOOK = 1, NO_LOOK_AFTER_RELEASE, SUM_BEFORE_GATE, CANCEL_SILENTLY, NO_ROUSE };

/* A fast path that looks at the gate only before. */
static void read_wrongly(int i) {
    uint64_t *own = &rw(i)->holders[actors[i].seg->slot];
    if (wrong == NO_SECOND_LOOK && aipc_load_seq_cst64(&rw(i)->gate) == AIPC_GATE_OPEN) {
        (void)aipc_fetch_add_seq_cst64(own, AIPC_RW_READ);
    } else if (wrong == NO_ROUSE && aipc_load_seq_cst64(&rw(i)->gate) == AIPC_GATE_OPEN) {
        (void)aipc_fetch_add_seq_cst64(own, AIPC_RW_READ);
        if (aipc_load_seq_cst64(&rw(i)->gate) != AIPC_GATE_OPEN) {
            (void)aipc_fetch_add_seq_cst64(own, -AIPC_RW_READ);
            seen.entered++;
            return;
        }
    } else {
        acquire(i, AIPC_READ);
    }
    be_inside(false);
    if (wrong == NO_LOOK_AFTER_RELEASE && aipc_load_seq_cst64(&rw(i)->gate) != AIPC_GATE_WAITERS)
        (void)aipc_fetch_add_seq_cst64(own, -AIPC_RW_READ);
    else
        release(i, AIPC_READ);
}
static void write_wrongly(int i) {
    aipc_seg *seg = actors[i].seg;
    if (wrong != SUM_BEFORE_GATE) {
        once(i, AIPC_WRITE);
        return;
    }
    OK(aipc_domain_lock(actors[i].ctx, &seg->waits->domain));
    aipc_rw_sum sum = aipc_rw_sum_up(seg, rw(i));
    const bool possible = aipc_rw_possible(&sum, AIPC_RW_NOTHING, AIPC_RW_WRITE);
    if (possible) {
        aipc_rw_close_gate(rw(i), AIPC_GATE_WRITER);
        (void)aipc_fetch_add_seq_cst64(&rw(i)->holders[seg->slot], AIPC_RW_WRITE);
    }
    aipc_domain_unlock(actors[i].ctx, &seg->waits->domain);
    if (possible) be_inside(true), release(i, AIPC_WRITE);
    else seen.entered++;
}
static void read_and_write_wrongly(int i, void *arg) {
    (void)arg;
    if (i == 0) read_wrongly(0);
    else write_wrongly(i);
}
static void cancel_silently(int i, void *arg) {
    uint32_t node;
    if (i != 1) {
        release_cancel_acquire(i, arg);
    } else if (stand(1, AIPC_WRITE, &node) == AIPC_OK) {
        release(1, AIPC_WRITE);
    } else {
        aipc_seg *seg = actors[1].seg;
        OK(aipc_domain_lock(actors[1].ctx, &seg->waits->domain));
        aipc_tx tx = aipc_tx_begin(seg, &seg->waits->domain);
        OK(aipc_tx_finish(&tx, aipc_wait_remove(&tx, &rw(1)->waiters[AIPC_WRITE], node)));
        aipc_domain_unlock(actors[1].ctx, &seg->waits->domain);
    }
}
static bool never_mind(void *arg) { return arg == NULL; }
static void wrong_locks_are_caught(void) {
    stage(3, false);
    struct exploration plan = {.threads = 2, .preemptions = 2, .reset = reset, .body = read_and_write_wrongly, .holds = all_went};
    expected = 2;
    wrong = NO_SECOND_LOOK;
    fails("gate not looked at after reading", "property", plan);
    wrong = SUM_BEFORE_GATE;
    fails("words summed up before the gate is closed", "property", plan);
    wrong = NO_LOOK_AFTER_RELEASE;
    fails("gate not looked at after letting go", "deadlock", plan);
    wrong = NO_ROUSE;
    fails("a read taken back without a word", "deadlock", plan);
    held_first = AIPC_READ;
    script = "--r";
    plan = (struct exploration){.threads = 3, .preemptions = 1, .reset = reset_held, .body = cancel_silently, .holds = never_mind};
    fails("cancelled without telling", "deadlock", plan);
    unstage(3);
}

int main(void) {
    sync_one_processor();
    RUN(writers_are_alone_and_nobody_sleeps_for_ever);
    RUN(tasks_of_one_process_exclude_each_other);
    RUN(an_upgrade_waits_for_readers_only);
    RUN(a_downgrade_lets_readers_in_and_no_writer);
    RUN(one_of_two_readers_gets_more);
    RUN(who_gives_up_holds_up_nobody);
    RUN(what_one_who_leaves_held_is_free);
    RUN(wrong_locks_are_caught);
    return SUMMARY();
}
