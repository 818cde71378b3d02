// variants: plain asan
/* A read-write lock among processes that are killed, stopped or forked, and between calls that cannot reach the queues. */
#include "rwlock_fixture.h"

/* ---- behind one who was stopped with the waits lock ------------------------------------------------------ */

/* Participant 3 is the stopped one. */
static uint32_t epoch;
static void stall(void) {
    epoch = aipc_watch_epoch(&segs[0]);
    for (int i = 0; i < 3; i++) {
        (void)aipc_bell_arm(&segs[i], bell[i]);
        aipc_os_drain(bell_fd[i]);
    }
    sync_stall(3);
}
static void everybody_looks(void) {
    CHECK(aipc_watch_epoch(&segs[0]) != epoch);
    for (int i = 0; i < 3; i++) {
        OK(aipc_os_poll2(bell_fd[i], -1, 0));
        aipc_os_drain(bell_fd[i]);
        aipc_bell_woken(&segs[i], bell[i]);
    }
}

static void a_release_needs_no_queue(void) {
    static const aipc_rwlock_want kinds[] = {AIPC_READ, AIPC_WRITE, AIPC_UPGRADABLE};
    for (int k = 0; k < 3; k++) {
        rw_make(4, false);
        OK(try(0, kinds[k]));
        const uint32_t node = waits(1, AIPC_WRITE);
        stall();
        OK(release(0, kinds[k]));
        CHECK_EQ(held_by(0), 0);
        CHECK_EQ(release(0, kinds[k]), AIPC_NOT_OWNER);
        everybody_looks();
        CHECK_EQ(look(1, AIPC_WRITE, node), AIPC_STALLED); /* its pid can be told */
        CHECK_EQ(segs[1].fault.pid, getpid());
        sync_unstall(3);
        OK(look(1, AIPC_WRITE, node));
        OK(release(1, AIPC_WRITE));
        rw_end();
    }
}

static void a_downgrade_needs_no_queue(void) {
    rw_make(4, false);
    OK(try(0, AIPC_WRITE));
    const uint32_t node = waits(1, AIPC_READ);
    stall();
    OK(convert(0, AIPC_WRITE, AIPC_UPGRADABLE));
    everybody_looks();
    OK(convert(0, AIPC_UPGRADABLE, AIPC_READ));
    CHECK_EQ(held_by(0), 1);
    CHECK_EQ(convert(0, AIPC_READ, AIPC_WRITE), AIPC_STALLED);
    CHECK_EQ(held_by(0), 1);
    sync_unstall(3);
    OK(look(1, AIPC_READ, node));
    read_unlock(0);
    read_unlock(1);
    rw_end();
}

static void readers_need_no_queue(void) {
    rw_make(4, false);
    read_lock(0);
    stall();
    CHECK(aipc_rwlock_read_fast(&segs[0], rw_at(0)));
    CHECK(aipc_rwlock_release_read_fast(&segs[0], rw_at(0)));
    CHECK_EQ(try(1, AIPC_READ), AIPC_STALLED); /* its first */
    OK(release(0, AIPC_READ));
    sync_unstall(3);
    rw_end();
}

/* Its node stays, withdrawn, until somebody comes to it. */
static void a_cancelled_writer_that_cannot_leave_holds_up_nobody(void) {
    rw_make(4, false);
    read_lock(0);
    const uint32_t writer = waits(1, AIPC_WRITE), reader = waits(2, AIPC_READ);
    stall();
    OK(cancel(1, AIPC_WRITE, writer));
    everybody_looks();
    sync_unstall(3);
    CHECK_EQ(rw_at(0)->waiters[AIPC_WRITE].length, 1);
    OK(look(2, AIPC_READ, reader));
    CHECK_EQ(rw_at(0)->waiters[AIPC_WRITE].length, 0);
    CHECK_EQ(rw_at(0)->gate, AIPC_GATE_OPEN);
    read_unlock(0);
    read_unlock(2);
    rw_end();
}

static void a_cancelled_reader_that_cannot_leave_is_passed_over(void) {
    rw_make(4, false);
    OK(try(0, AIPC_WRITE));
    const uint32_t first = waits(1, AIPC_READ), second = waits(2, AIPC_READ), third = waits(1, AIPC_READ);
    stall();
    OK(cancel(2, AIPC_READ, second));
    sync_unstall(3);
    CHECK_EQ(look(1, AIPC_READ, third), AIPC_AGAIN);
    OK(release(0, AIPC_WRITE));
    CHECK_EQ(rw_at(0)->waiters[AIPC_READ].length, 2);
    CHECK_EQ(sync_collect(1), 2);
    OK(look(1, AIPC_READ, first));
    OK(look(1, AIPC_READ, third));
    read_unlock(1);
    read_unlock(1);
    rw_end();
}

/* ---- signals --------------------------------------------------------------------------------------------- */

static int asked;
static aipc_status interrupted(aipc_seg *seg, const uint32_t *word, uint32_t seen) {
    asked++;
    aipc_os_futex_wait(word, seen, 100000);
    return seg->uninterruptible == 0 ? AIPC_INTERRUPTED : AIPC_OK;
}
static void a_signal_stops_what_wants_and_not_what_gives(void) {
    rw_make(4, false);
    uint32_t node;
    OK(try(0, AIPC_WRITE));
    const uint32_t waiter = waits(1, AIPC_WRITE), other = waits(0, AIPC_READ);
    segs[0].idle = segs[1].idle = interrupted;
    stall();
    CHECK_EQ(try(0, AIPC_READ), AIPC_INTERRUPTED);
    CHECK_EQ(stand(0, AIPC_UPGRADABLE, &node), AIPC_INTERRUPTED);
    CHECK_EQ(look(1, AIPC_WRITE, waiter), AIPC_INTERRUPTED);
    CHECK_EQ(asked, 3);
    OK(cancel(0, AIPC_READ, other));
    OK(release(0, AIPC_WRITE));
    CHECK(asked > 4);
    CHECK_EQ(segs[0].uninterruptible, 0);
    sync_unstall(3);
    segs[0].idle = segs[1].idle = segs[2].idle;
    OK(look(1, AIPC_WRITE, waiter));
    OK(release(1, AIPC_WRITE));
    rw_end();
}

/* ---- death, and what only looks like it --------------------------------------------------------------------- */

/* A child that is participant 1, has done `act`, and waits. */
static pid_t start(void (*act)(void)) {
    int ready[2];
    char byte;
    CHECK(pipe(ready) == 0);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        fixture_attach(&segs[1]);
        sync_enter(1);
        act();
        CHECK_EQ(write(ready[1], "x", 1), 1);
        for (;;) pause();
    }
    CHECK_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return child;
}
static void stop(pid_t child) {
    int status;
    CHECK(kill(child, SIGSTOP) == 0);
    CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
}
static void end(pid_t child) {
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(harness_was_killed(child));
}

static void child_reads(void) { read_lock(1); }
static void child_writes(void) { OK(try(1, AIPC_WRITE)); }
static void child_is_upgradable(void) { OK(try(1, AIPC_UPGRADABLE)); }
static void child_waits_to_write(void) { (void)waits(1, AIPC_WRITE); }

static aipc_status recover_and_try(aipc_rwlock_want want) { return aipc_rwlock_try_recover(ctxs[0], rw_at(0), want); }

static void a_stopped_holder_keeps_it_and_a_dead_one_does_not(void) {
    static const struct {
        void (*act)(void);
        aipc_rwlock_want want;
        bool abandoned;
    } cases[] = {{child_reads, AIPC_WRITE, false},        {child_writes, AIPC_READ, true},
                 {child_writes, AIPC_WRITE, true},        {child_writes, AIPC_UPGRADABLE, true},
                 {child_is_upgradable, AIPC_WRITE, false}, {child_is_upgradable, AIPC_UPGRADABLE, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        NOTE("case %zu", i);
        rw_make(1, false);
        const pid_t child = start(cases[i].act);
        stop(child);
        CHECK_EQ(recover_and_try(cases[i].want), AIPC_AGAIN);
        CHECK(!is_abandoned(0));
        end(child);
        CHECK_EQ(try(0, cases[i].want), AIPC_AGAIN); /* nobody knows yet */
        OK(recover_and_try(cases[i].want));
        CHECK_EQ(is_abandoned(0), cases[i].abandoned);
        CHECK_EQ(rw_stats(0).takeovers, cases[i].abandoned);
        OK(release(0, cases[i].want));
        CHECK_EQ(is_abandoned(0), cases[i].abandoned && cases[i].want != AIPC_WRITE);
        OK(try(0, AIPC_WRITE));
        OK(convert(0, AIPC_WRITE, AIPC_READ)); /* a writer has let go */
        CHECK(!is_abandoned(0));
        OK(release(0, AIPC_READ));
        rw_end();
    }
}

static void a_dead_waiter_is_nobodys_obstacle(void) {
    rw_make(1, false);
    read_lock(0);
    const pid_t child = start(child_waits_to_write);
    CHECK_EQ(recover_and_try(AIPC_READ), AIPC_AGAIN);
    end(child);
    OK(recover_and_try(AIPC_READ));
    CHECK_EQ(rw_at(0)->gate, AIPC_GATE_OPEN);
    read_unlock(0);
    read_unlock(0);
    rw_end();
}

static void a_dead_reader_is_no_obstacle_to_more(void) {
    static const aipc_rwlock_want kinds[] = {AIPC_READ, AIPC_UPGRADABLE};
    for (int k = 0; k < 2; k++) {
        rw_make(1, false);
        OK(try(0, kinds[k]));
        const pid_t child = start(child_reads);
        CHECK_EQ(convert(0, kinds[k], AIPC_WRITE), AIPC_AGAIN);
        end(child);
        OK(convert(0, kinds[k], AIPC_WRITE));
        CHECK(!is_abandoned(0));
        OK(release(0, AIPC_WRITE));
        rw_end();
    }
}

static void who_comes_after_a_dead_writer_in_its_slot_knows(void) {
    rw_make(1, false);
    const pid_t child = start(child_writes);
    const uint32_t slot = segs[0].slot + 1;
    end(child);
    uint32_t recovered;
    OK(aipc_recover_all(ctxs[0], &recovered));
    fixture_attach(&segs[1]);
    sync_enter(1);
    sync_count = 2;
    CHECK_EQ(segs[1].slot, slot);
    CHECK(is_abandoned(0) && is_abandoned(1));
    CHECK(!aipc_rwlock_read_fast(&segs[1], rw_at(1)));
    OK(try(1, AIPC_READ)); /* makes the word its own */
    CHECK(is_abandoned(0) && is_abandoned(1));
    CHECK_EQ(held_by(1), 1);
    OK(release(1, AIPC_READ));
    OK(try(0, AIPC_WRITE));
    CHECK(is_abandoned(1));
    OK(release(0, AIPC_WRITE));
    CHECK(!is_abandoned(1));
    rw_end();
}

static void detaching_lets_go_of_everything(void) {
    rw_make(3, false);
    OK(try(2, AIPC_UPGRADABLE));
    read_lock(2);
    const uint32_t writer = waits(1, AIPC_WRITE), reader = waits(0, AIPC_READ);
    (void)waits(2, AIPC_UPGRADE);
    sync_count = 2;
    sync_go(2);
    CHECK_EQ(look(0, AIPC_READ, reader), AIPC_AGAIN);
    OK(look(1, AIPC_WRITE, writer));
    CHECK(!is_abandoned(1));
    OK(release(1, AIPC_WRITE));
    OK(look(0, AIPC_READ, reader));
    read_unlock(0);
    rw_end();
}

static void a_forked_child_holds_nothing(void) {
    rw_make(1, false);
    OK(try(0, AIPC_UPGRADABLE));
    read_lock(0);
    const pid_t child = fork();
    if (child == 0) {
        for (int held = AIPC_READ; held <= AIPC_UPGRADABLE; held++) CHECK_EQ(release(0, held), AIPC_NOT_OWNER);
        CHECK(!aipc_rwlock_read_fast(&segs[0], rw_at(0)) && !aipc_rwlock_release_read_fast(&segs[0], rw_at(0)));
        CHECK_EQ(try(0, AIPC_READ), AIPC_FORKED);
        CHECK_EQ(convert(0, AIPC_UPGRADABLE, AIPC_READ), AIPC_NOT_OWNER);
        CHECK_EQ(convert(0, AIPC_UPGRADABLE, AIPC_WRITE), AIPC_FORKED);
        CHECK(!rw_stats(0).mine && rw_stats(0).my_reads == 0 && rw_stats(0).readers == 1);
        _exit(0);
    }
    CHECK(!harness_was_killed(child));
    CHECK_EQ(held_by(0), AIPC_RW_UPGRADABLE + 1);
    read_unlock(0);
    OK(release(0, AIPC_UPGRADABLE));
    rw_end();
}

int main(void) {
    RUN(a_release_needs_no_queue);
    RUN(a_downgrade_needs_no_queue);
    RUN(readers_need_no_queue);
    RUN(a_cancelled_writer_that_cannot_leave_holds_up_nobody);
    RUN(a_cancelled_reader_that_cannot_leave_is_passed_over);
    RUN(a_signal_stops_what_wants_and_not_what_gives);
    RUN(a_stopped_holder_keeps_it_and_a_dead_one_does_not);
    RUN(a_dead_waiter_is_nobodys_obstacle);
    RUN(a_dead_reader_is_no_obstacle_to_more);
    RUN(who_comes_after_a_dead_writer_in_its_slot_knows);
    RUN(detaching_lets_go_of_everything);
    RUN(a_forked_child_holds_nothing);
    return SUMMARY();
}
