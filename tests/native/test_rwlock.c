// variants: plain asan
/* What each call of a read-write lock does, one after another. */
#include "rwlock_fixture.h"

/* ---- the table of transitions ------------------------------------------------------------------------ */

/* What participant 0 has, and what participant 1 has, when 0 does something. */
static const struct {
    const char *own, *other;
} situations[] = {{"", ""},   {"", "R"},  {"", "U"},  {"", "W"}, {"", "UR"}, {"R", ""}, {"R", "R"},
                  {"R", "U"}, {"RR", ""}, {"U", ""},  {"U", "R"}, {"UR", ""}, {"W", ""}};

enum { TRY, CONVERT, RELEASE };

/* + it gets it, . it would have to wait, n it has no such hold.  The columns are the situations. */
static const struct {
    int what;
    aipc_rwlock_want from, to;
    const char *outcomes;
} rows[] = {
    /*                                          own                R  R  R  RR U  U  UR W     */
    /*                                          other     R  U  W UR     R  U        R        */
    {TRY, AIPC_UPGRADE, AIPC_READ,              "+  +  +  .  +  +  +  +  +  +  +  +  ."},
    {TRY, AIPC_UPGRADE, AIPC_UPGRADABLE,        "+  +  .  .  .  +  +  .  +  .  .  .  ."},
    {TRY, AIPC_UPGRADE, AIPC_WRITE,             "+  .  .  .  .  .  .  .  .  .  .  .  ."},
    {TRY, AIPC_UPGRADE, AIPC_UPGRADE,           "n  n  n  n  n  n  n  n  n  +  .  .  n"},
    {CONVERT, AIPC_READ, AIPC_UPGRADABLE,       "n  n  n  n  n  +  +  .  +  n  n  .  n"},
    {CONVERT, AIPC_READ, AIPC_WRITE,            "n  n  n  n  n  +  .  .  .  n  n  .  n"},
    {CONVERT, AIPC_UPGRADABLE, AIPC_WRITE,      "n  n  n  n  n  n  n  n  n  +  .  .  n"},
    {CONVERT, AIPC_UPGRADABLE, AIPC_READ,       "n  n  n  n  n  n  n  n  n  +  +  +  n"},
    {CONVERT, AIPC_WRITE, AIPC_UPGRADABLE,      "n  n  n  n  n  n  n  n  n  n  n  n  +"},
    {CONVERT, AIPC_WRITE, AIPC_READ,            "n  n  n  n  n  n  n  n  n  n  n  n  +"},
    {RELEASE, AIPC_READ, AIPC_UPGRADE,          "n  n  n  n  n  +  +  +  +  n  n  +  n"},
    {RELEASE, AIPC_UPGRADABLE, AIPC_UPGRADE,    "n  n  n  n  n  n  n  n  n  +  +  +  n"},
    {RELEASE, AIPC_WRITE, AIPC_UPGRADE,         "n  n  n  n  n  n  n  n  n  n  n  n  +"},
};

static const uint32_t unit[] = {AIPC_RW_READ, (uint32_t)AIPC_RW_WRITE, (uint32_t)AIPC_RW_UPGRADABLE, 0};

static void let_go_of_all(int i) {
    while (release(i, AIPC_READ) == AIPC_OK) {}
    (void)release(i, AIPC_WRITE);
    (void)release(i, AIPC_UPGRADABLE);
    CHECK_EQ(held_by(i), 0);
}

static void take_all(int i, const char *holds) {
    for (; *holds != '\0'; holds++) OK(try(i, *holds == 'R' ? AIPC_READ : *holds == 'W' ? AIPC_WRITE : AIPC_UPGRADABLE));
}

static void one_transition(size_t row, size_t column) {
    const aipc_rwlock_want from = rows[row].from, to = rows[row].to;
    NOTE("row %zu, own %s, other %s", row, situations[column].own, situations[column].other);
    take_all(0, situations[column].own);
    take_all(1, situations[column].other);
    const uint32_t mine = held_by(0), others = held_by(1);
    const aipc_status status = rows[row].what == TRY ? try(0, to) : rows[row].what == CONVERT ? convert(0, from, to) : release(0, from);
    uint32_t expected = mine;
    switch (rows[row].outcomes[3 * column]) {
    case '+':
        OK(status);
        expected = to == AIPC_UPGRADE && rows[row].what == TRY ? (uint32_t)AIPC_RW_WRITE : mine - unit[from] + unit[to];
        break;
    case '.': CHECK_EQ(status, AIPC_AGAIN); break;
    default: CHECK_EQ(status, AIPC_NOT_OWNER);
    }
    CHECK_EQ(held_by(0), expected);
    CHECK_EQ(held_by(1), others);
    rw_sound();
    let_go_of_all(0);
    let_go_of_all(1);
    CHECK_EQ(rw_at(0)->gate, AIPC_GATE_OPEN);
}

static void every_transition_is_as_in_the_table(void) {
    for (int fair = 0; fair < 2; fair++) {
        rw_make(2, fair);
        for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++)
            for (size_t column = 0; column < sizeof situations / sizeof situations[0]; column++) one_transition(row, column);
        rw_end();
    }
}

static void what_is_no_transition_changes_nothing(void) {
    rw_make(1, false);
    OK(try(0, AIPC_READ));
    for (int i = AIPC_READ; i <= AIPC_UPGRADE; i++) {
        CHECK_EQ(convert(0, i, i), AIPC_INVALID);
        CHECK_EQ(convert(0, i, AIPC_UPGRADE), AIPC_INVALID);
        CHECK_EQ(convert(0, AIPC_UPGRADE, i), AIPC_INVALID);
    }
    CHECK_EQ(release(0, AIPC_UPGRADE), AIPC_INVALID);
    CHECK_EQ(held_by(0), 1);
    OK(release(0, AIPC_READ));
    rw_end();
}

/* ---- fast paths -------------------------------------------------------------------------------------- */

static void readers_need_no_lock_while_nobody_writes_or_waits(void) {
    rw_make(2, false);
    CHECK(!aipc_rwlock_read_fast(&segs[0], rw_at(0))); /* its word is not claimed yet */
    OK(try(0, AIPC_READ));
    OK(try(1, AIPC_UPGRADABLE)); /* does not disturb readers */
    CHECK(aipc_rwlock_read_fast(&segs[0], rw_at(0)));
    CHECK_EQ(held_by(0), 2);
    const uint32_t upgrade = waits(1, AIPC_UPGRADE);
    CHECK(!aipc_rwlock_read_fast(&segs[0], rw_at(0)));
    CHECK(!aipc_rwlock_release_read_fast(&segs[0], rw_at(0)));
    CHECK_EQ(held_by(0), 2);
    OK(release(0, AIPC_READ));
    CHECK_EQ(sync_collect(1), 0);
    OK(release(0, AIPC_READ));
    CHECK_EQ(sync_collect(1), 1);
    OK(look(1, AIPC_UPGRADE, upgrade));
    CHECK(!aipc_rwlock_read_fast(&segs[0], rw_at(0)));
    OK(release(1, AIPC_WRITE));
    CHECK(aipc_rwlock_read_fast(&segs[0], rw_at(0)));
    CHECK(aipc_rwlock_release_read_fast(&segs[0], rw_at(0)));
    CHECK(!aipc_rwlock_release_read_fast(&segs[0], rw_at(0)));
    rw_end();
}

static void reads_are_counted_up_to_a_limit(void) {
    rw_make(2, false);
    OK(try(0, AIPC_UPGRADABLE));
    rw_at(0)->holders[segs[0].slot] += AIPC_RW_MAX_READS;
    CHECK(!aipc_rwlock_read_fast(&segs[0], rw_at(0)));
    CHECK_EQ(try(0, AIPC_READ), AIPC_FULL);
    uint32_t node;
    CHECK_EQ(stand(0, AIPC_READ, &node), AIPC_FULL);
    CHECK_EQ(convert(0, AIPC_UPGRADABLE, AIPC_READ), AIPC_FULL);
    CHECK_EQ(held_by(0), AIPC_RW_UPGRADABLE + AIPC_RW_MAX_READS);
    CHECK_EQ(rw_stats(1).readers, AIPC_RW_MAX_READS);
    OK(try(1, AIPC_READ));
    OK(release(1, AIPC_READ));
    rw_at(0)->holders[segs[0].slot] -= AIPC_RW_MAX_READS;
    OK(release(0, AIPC_UPGRADABLE));
    rw_end();
}

/* ---- whose turn it is ---------------------------------------------------------------------------------- */

static void readers_wait_while_a_writer_waits(void) {
    rw_make(3, false);
    OK(try(0, AIPC_READ));
    const uint32_t writer = waits(1, AIPC_WRITE);
    CHECK(!aipc_rwlock_read_fast(&segs[2], rw_at(2)));
    CHECK_EQ(try(2, AIPC_READ), AIPC_AGAIN);
    const uint32_t reader = waits(2, AIPC_READ);
    OK(release(0, AIPC_READ));
    CHECK_EQ(look(2, AIPC_READ, reader), AIPC_AGAIN);
    CHECK_EQ(sync_collect(2), 0);
    CHECK_EQ(sync_collect(1), 1);
    OK(look(1, AIPC_WRITE, writer));
    OK(release(1, AIPC_WRITE));
    CHECK_EQ(sync_collect(2), 1);
    OK(look(2, AIPC_READ, reader));
    OK(release(2, AIPC_READ));
    rw_end();
}

static void readers_go_together(void) {
    uint32_t reader[6];
    rw_make(3, false);
    OK(try(0, AIPC_WRITE));
    for (int i = 0; i < 6; i++) reader[i] = waits(1 + i % 2, AIPC_READ);
    OK(release(0, AIPC_WRITE));
    CHECK_EQ(sync_collect(1), 3);
    CHECK_EQ(sync_collect(2), 3);
    for (int i = 0; i < 6; i++) OK(look(1 + i % 2, AIPC_READ, reader[i]));
    CHECK_EQ(rw_stats(0).readers, 6);
    for (int i = 0; i < 6; i++) OK(release(1 + i % 2, AIPC_READ));
    rw_end();
}

static void a_cancelled_writer_lets_readers_go(void) {
    rw_make(3, false);
    OK(try(0, AIPC_READ));
    const uint32_t writer = waits(1, AIPC_WRITE), reader = waits(2, AIPC_READ);
    OK(cancel(1, AIPC_WRITE, writer));
    CHECK_EQ(sync_collect(2), 1);
    OK(look(2, AIPC_READ, reader));
    CHECK_EQ(rw_at(0)->gate, AIPC_GATE_OPEN);
    OK(release(2, AIPC_READ));
    OK(release(0, AIPC_READ));
    rw_end();
}

static void a_cancelled_wake_up_goes_to_the_next(void) {
    rw_make(3, false);
    OK(try(0, AIPC_WRITE));
    const uint32_t first = waits(1, AIPC_WRITE), second = waits(2, AIPC_UPGRADABLE);
    OK(release(0, AIPC_WRITE));
    CHECK_EQ(sync_collect(2), 0);
    OK(cancel(1, AIPC_WRITE, first));
    CHECK_EQ(sync_collect(2), 1);
    OK(look(2, AIPC_UPGRADABLE, second));
    OK(release(2, AIPC_UPGRADABLE));
    rw_end();
}

static void the_oldest_who_wants_to_write_or_be_upgradable_is_next(void) {
    for (int fair = 0; fair < 2; fair++) {
        rw_make(4, fair);
        OK(try(0, AIPC_UPGRADABLE));
        const uint32_t write = waits(1, AIPC_WRITE), upgradable = waits(2, AIPC_UPGRADABLE), last = waits(3, AIPC_WRITE);
        OK(release(0, AIPC_UPGRADABLE));
        CHECK_EQ(look(2, AIPC_UPGRADABLE, upgradable), AIPC_AGAIN);
        CHECK_EQ(look(3, AIPC_WRITE, last), AIPC_AGAIN);
        CHECK_EQ(sync_collect(1), 1);
        OK(look(1, AIPC_WRITE, write));
        OK(release(1, AIPC_WRITE));
        CHECK_EQ(look(3, AIPC_WRITE, last), AIPC_AGAIN);
        CHECK_EQ(sync_collect(2), 1);
        OK(look(2, AIPC_UPGRADABLE, upgradable));
        OK(release(2, AIPC_UPGRADABLE));
        CHECK_EQ(sync_collect(3), 1);
        OK(look(3, AIPC_WRITE, last));
        OK(release(3, AIPC_WRITE));
        rw_end();
    }
}

static void an_upgrade_goes_before_all_others(void) {
    for (int fair = 0; fair < 2; fair++) {
        rw_make(4, fair);
        OK(try(0, AIPC_READ));
        OK(try(1, AIPC_UPGRADABLE));
        const uint32_t writer = waits(2, AIPC_WRITE), reader = waits(3, AIPC_READ), upgrade = waits(1, AIPC_UPGRADE);
        OK(release(0, AIPC_READ));
        CHECK_EQ(sync_collect(2) + sync_collect(3), 0);
        CHECK_EQ(look(2, AIPC_WRITE, writer), AIPC_AGAIN);
        CHECK_EQ(look(3, AIPC_READ, reader), AIPC_AGAIN);
        CHECK_EQ(sync_collect(1), 1);
        OK(look(1, AIPC_UPGRADE, upgrade));
        OK(release(1, AIPC_WRITE));
        CHECK_EQ(sync_collect(2), 1);
        CHECK_EQ(sync_collect(3), 0);
        OK(cancel(2, AIPC_WRITE, writer));
        CHECK_EQ(sync_collect(3), 1);
        OK(look(3, AIPC_READ, reader));
        OK(release(3, AIPC_READ));
        rw_end();
    }
}

static void a_cancelled_upgrade_keeps_the_hold_and_lets_readers_go(void) {
    rw_make(3, false);
    OK(try(0, AIPC_READ));
    OK(try(1, AIPC_UPGRADABLE));
    const uint32_t upgrade = waits(1, AIPC_UPGRADE), reader = waits(2, AIPC_READ);
    OK(cancel(1, AIPC_UPGRADE, upgrade));
    CHECK_EQ(held_by(1), AIPC_RW_UPGRADABLE);
    CHECK_EQ(sync_collect(2), 1);
    OK(look(2, AIPC_READ, reader));
    OK(release(2, AIPC_READ));
    OK(release(1, AIPC_UPGRADABLE));
    OK(release(0, AIPC_READ));
    rw_end();
}

/* Another task lets go of the hold that this one waits to upgrade. */
static void an_upgrade_whose_hold_is_gone_is_told(void) {
    rw_make(2, false);
    OK(try(0, AIPC_READ));
    OK(try(1, AIPC_UPGRADABLE));
    const uint32_t upgrade = waits(1, AIPC_UPGRADE);
    OK(release(1, AIPC_UPGRADABLE));
    CHECK_EQ(sync_collect(1), 1);
    CHECK_EQ(look(1, AIPC_UPGRADE, upgrade), AIPC_NOT_OWNER);
    OK(cancel(1, AIPC_UPGRADE, upgrade));
    OK(release(0, AIPC_READ));
    rw_end();
}

static void a_running_process_comes_before_one_that_has_not_waited_for_long(void) {
    rw_make(3, false);
    OK(try(0, AIPC_WRITE));
    const uint32_t waiter = waits(1, AIPC_WRITE);
    OK(release(0, AIPC_WRITE));
    segs[1].nodes[waiter - 1].since = aipc_os_now() + 60000000000; /* however slow this machine is */
    OK(try(0, AIPC_WRITE));
    OK(release(0, AIPC_WRITE));
    uint32_t node;
    CHECK_EQ(aipc_rwlock_wait(ctxs[0], rw_at(0), AIPC_UPGRADABLE, bell[0], TOKEN, true, &node), AIPC_OK);
    OK(release(0, AIPC_UPGRADABLE));
    segs[1].nodes[waiter - 1].since = aipc_os_now();
    CHECK_EQ(stand(0, AIPC_UPGRADABLE, &node), AIPC_AGAIN); /* has others of its own before it */
    OK(cancel(0, AIPC_UPGRADABLE, node));
    sync_age(1, waiter);
    CHECK_EQ(try(0, AIPC_WRITE), AIPC_AGAIN);
    CHECK_EQ(try(2, AIPC_UPGRADABLE), AIPC_AGAIN);
    CHECK_EQ(aipc_rwlock_wait(ctxs[0], rw_at(0), AIPC_WRITE, bell[0], TOKEN, true, &node), AIPC_AGAIN);
    OK(look(1, AIPC_WRITE, waiter));
    OK(release(1, AIPC_WRITE));
    OK(look(0, AIPC_WRITE, node));
    OK(release(0, AIPC_WRITE));
    rw_end();
}

static void fair_means_first_come_first_served(void) {
    rw_make(4, true);
    OK(try(0, AIPC_WRITE));
    const uint32_t read_1 = waits(1, AIPC_READ), read_2 = waits(2, AIPC_READ), write = waits(3, AIPC_WRITE);
    const uint32_t read_3 = waits(1, AIPC_READ);
    OK(release(0, AIPC_WRITE));
    CHECK_EQ(try(0, AIPC_WRITE), AIPC_AGAIN); /* nobody is faster */
    CHECK_EQ(try(0, AIPC_READ), AIPC_AGAIN);
    CHECK_EQ(sync_collect(1) + sync_collect(2), 2);
    CHECK_EQ(look(3, AIPC_WRITE, write), AIPC_AGAIN);
    CHECK_EQ(look(1, AIPC_READ, read_3), AIPC_AGAIN);
    OK(look(2, AIPC_READ, read_2));
    OK(look(1, AIPC_READ, read_1));
    OK(release(1, AIPC_READ));
    OK(release(2, AIPC_READ));
    CHECK_EQ(sync_collect(1), 0);
    CHECK_EQ(sync_collect(3), 1);
    OK(look(3, AIPC_WRITE, write));
    OK(release(3, AIPC_WRITE));
    CHECK_EQ(sync_collect(1), 1);
    OK(look(1, AIPC_READ, read_3));
    OK(release(1, AIPC_READ));
    rw_end();
}

/* An upgradable hold does not keep readers out, so neither does waiting for one. */
static void who_shares_does_not_wait(void) {
    for (int fair = 0; fair < 2; fair++) {
        rw_make(3, fair);
        OK(try(0, AIPC_UPGRADABLE));
        const uint32_t node = waits(1, AIPC_UPGRADABLE);
        OK(try(2, AIPC_READ));
        OK(release(0, AIPC_UPGRADABLE));
        OK(look(1, AIPC_UPGRADABLE, node));
        OK(release(2, AIPC_READ));
        OK(release(1, AIPC_UPGRADABLE));
        rw_end();
    }
}

static void tasks_of_one_process_exclude_each_other(void) {
    rw_make(1, false);
    OK(try(0, AIPC_READ));
    OK(try(0, AIPC_READ));
    const uint32_t writer = waits(0, AIPC_WRITE), reader = waits(0, AIPC_READ);
    OK(release(0, AIPC_READ));
    CHECK_EQ(look(0, AIPC_WRITE, writer), AIPC_AGAIN);
    OK(release(0, AIPC_READ));
    CHECK_EQ(sync_collect(0), 1);
    CHECK_EQ(look(0, AIPC_READ, reader), AIPC_AGAIN);
    OK(look(0, AIPC_WRITE, writer));
    CHECK_EQ(try(0, AIPC_UPGRADABLE), AIPC_AGAIN);
    OK(convert(0, AIPC_WRITE, AIPC_UPGRADABLE));
    OK(look(0, AIPC_READ, reader));
    CHECK_EQ(try(0, AIPC_UPGRADE), AIPC_AGAIN);
    OK(release(0, AIPC_READ));
    OK(try(0, AIPC_UPGRADE));
    OK(release(0, AIPC_WRITE));
    rw_end();
}

/* ---- downgrading --------------------------------------------------------------------------------------- */

static void a_downgrade_lets_in_whom_it_can(void) {
    rw_make(3, false);
    OK(try(0, AIPC_WRITE));
    const uint32_t reader = waits(1, AIPC_READ), upgradable = waits(2, AIPC_UPGRADABLE);
    OK(convert(0, AIPC_WRITE, AIPC_UPGRADABLE));
    CHECK_EQ(sync_collect(1), 1);
    CHECK_EQ(sync_collect(2), 0);
    OK(look(1, AIPC_READ, reader));
    CHECK_EQ(look(2, AIPC_UPGRADABLE, upgradable), AIPC_AGAIN);
    OK(convert(0, AIPC_UPGRADABLE, AIPC_READ));
    CHECK_EQ(sync_collect(2), 1);
    OK(look(2, AIPC_UPGRADABLE, upgradable));
    const uint32_t writer = waits(0, AIPC_WRITE);
    OK(release(1, AIPC_READ));
    OK(release(0, AIPC_READ));
    OK(release(2, AIPC_UPGRADABLE));
    CHECK_EQ(sync_collect(0), 1);
    OK(look(0, AIPC_WRITE, writer));
    OK(convert(0, AIPC_WRITE, AIPC_READ));
    CHECK(aipc_rwlock_read_fast(&segs[1], rw_at(1)));
    read_unlock(1);
    read_unlock(0);
    rw_end();
}

/* ---- many waiters -------------------------------------------------------------------------------------- */

static void thousands_of_readers_are_woken_some_at_a_time(void) {
    enum { READERS = 10000, HOLD = 64 };
    static uint32_t reader[READERS];
    fixture_size = 20480 * 1024;
    rw_make(2, false);
    OK(try(0, AIPC_WRITE));
    for (int i = 0; i < READERS; i++) reader[i] = waits(1, AIPC_READ);
    const uint32_t before = segs[0].waits->domain.acquisitions;
    OK(release(0, AIPC_WRITE));
    CHECK(segs[0].waits->domain.acquisitions - before >= READERS / HOLD);
    for (int i = 0; i < READERS; i++) CHECK_EQ(segs[1].nodes[reader[i] - 1].state, AIPC_NODE_NOTIFIED);
    for (int i = 0; i < READERS; i++) OK(look(1, AIPC_READ, reader[i]));
    for (int i = 0; i < READERS; i++) read_unlock(1);
    rw_end();
    fixture_size = FIXTURE_SIZE;
}

static void who_finds_no_node_leaves_the_gate_as_it_was(void) {
    uint32_t node, nodes[FIXTURE_SIZE / 2048];
    rw_make(2, false);
    OK(try(0, AIPC_READ));
    for (uint32_t i = 0; i < segs[1].node_count; i++) nodes[i] = waits(1, AIPC_WRITE);
    CHECK_EQ(stand(1, AIPC_WRITE, &node), AIPC_NO_WAITER);
    for (uint32_t i = 0; i < segs[1].node_count; i++) OK(cancel(1, AIPC_WRITE, nodes[i]));
    CHECK_EQ(rw_at(0)->gate, AIPC_GATE_OPEN);
    OK(release(0, AIPC_READ));
    rw_end();
}

/* ---- statistics, closing, checking ----------------------------------------------------------------------- */

static void statistics_say_who_holds_and_who_waits(void) {
    rw_make(2, false);
    OK(try(0, AIPC_READ));
    OK(try(1, AIPC_READ));
    OK(try(1, AIPC_UPGRADABLE));
    const uint32_t writer = waits(0, AIPC_WRITE), reader = waits(0, AIPC_READ);
    aipc_rwlock_stats stats = rw_stats(1);
    CHECK_EQ(stats.readers, 2);
    CHECK_EQ(stats.my_reads, 1);
    CHECK(stats.upgradable && !stats.writing && stats.mine && !stats.abandoned);
    CHECK_EQ(stats.owner_pid, getpid());
    CHECK(stats.waiters[AIPC_WRITE] == 1 && stats.waiters[AIPC_READ] == 1 && stats.waiters[AIPC_UPGRADABLE] == 0);
    CHECK_EQ(stats.contended, 2);
    CHECK(!rw_stats(0).mine);
    OK(cancel(0, AIPC_WRITE, writer));
    OK(look(0, AIPC_READ, reader));
    let_go_of_all(0);
    let_go_of_all(1);
    OK(try(0, AIPC_WRITE));
    stats = rw_stats(1);
    CHECK(stats.writing && !stats.upgradable && !stats.mine && stats.readers == 0);
    OK(release(0, AIPC_WRITE));
    stats = rw_stats(0);
    CHECK(!stats.writing && stats.owner_pid == 0 && stats.takeovers == 0);
    rw_end();
}

static void closing_wakes_every_waiter(void) {
    rw_make(3, false);
    OK(try(0, AIPC_WRITE));
    const uint32_t reader = waits(1, AIPC_READ), writer = waits(2, AIPC_WRITE);
    const uint32_t epoch = aipc_watch_epoch(&segs[1]);
    CHECK(!aipc_bell_arm(&segs[1], bell[1]) && !aipc_bell_arm(&segs[2], bell[2]));
    OK(aipc_rwlock_close(ctxs[0], rw_at(0)));
    OK(aipc_os_poll2(bell_fd[1], -1, 0));
    OK(aipc_os_poll2(bell_fd[2], -1, 0));
    CHECK(aipc_watch_epoch(&segs[1]) != epoch); /* so they look, although none was notified */
    OK(cancel(1, AIPC_READ, reader));
    OK(cancel(2, AIPC_WRITE, writer));
    OK(release(0, AIPC_WRITE));
    rw_end();
}

static void check_finds_what_is_wrong(void) {
    rw_make(2, false);
    OK(try(0, AIPC_WRITE));
    CHECK_EQ(sync_findings("X"), 0);
    rw_at(0)->gate = AIPC_GATE_OPEN;
    CHECK_EQ(sync_findings("X2"), 1);
    const uint32_t node = waits(1, AIPC_READ);
    rw_at(0)->gate = AIPC_GATE_WRITER;
    CHECK_EQ(sync_findings("X2"), 1);
    rw_at(0)->gate = 3;
    CHECK_EQ(sync_findings("X2"), 1);
    rw_at(0)->gate = AIPC_GATE_WAITERS;
    rw_at(0)->holders[segs[1].slot] = (uint64_t)segs[1].generation << 32 | AIPC_RW_UPGRADABLE;
    CHECK_EQ(sync_findings("X1"), 1);
    rw_at(0)->holders[segs[1].slot]++; /* a generation that is over: counts for nothing */
    rw_at(0)->holders[segs[1].slot] -= UINT64_C(1) << 32;
    CHECK_EQ(sync_findings("X"), 0);
    rw_at(0)->fair = 2;
    CHECK_EQ(sync_findings("X3"), 1);
    rw_at(0)->fair = 0;
    rw_at(0)->waiters[AIPC_UPGRADE].length = 1;
    CHECK_EQ(sync_findings("W2"), 1);
    rw_at(0)->waiters[AIPC_UPGRADE].length = 0;
    OK(cancel(1, AIPC_READ, node));
    OK(release(0, AIPC_WRITE));
    rw_end();
}

int main(void) {
    RUN(every_transition_is_as_in_the_table);
    RUN(what_is_no_transition_changes_nothing);
    RUN(readers_need_no_lock_while_nobody_writes_or_waits);
    RUN(reads_are_counted_up_to_a_limit);
    RUN(readers_wait_while_a_writer_waits);
    RUN(readers_go_together);
    RUN(a_cancelled_writer_lets_readers_go);
    RUN(a_cancelled_wake_up_goes_to_the_next);
    RUN(the_oldest_who_wants_to_write_or_be_upgradable_is_next);
    RUN(an_upgrade_goes_before_all_others);
    RUN(a_cancelled_upgrade_keeps_the_hold_and_lets_readers_go);
    RUN(an_upgrade_whose_hold_is_gone_is_told);
    RUN(a_running_process_comes_before_one_that_has_not_waited_for_long);
    RUN(fair_means_first_come_first_served);
    RUN(who_shares_does_not_wait);
    RUN(tasks_of_one_process_exclude_each_other);
    RUN(a_downgrade_lets_in_whom_it_can);
    RUN(thousands_of_readers_are_woken_some_at_a_time);
    RUN(who_finds_no_node_leaves_the_gate_as_it_was);
    RUN(statistics_say_who_holds_and_who_waits);
    RUN(closing_wakes_every_waiter);
    RUN(check_finds_what_is_wrong);
    return SUMMARY();
}
