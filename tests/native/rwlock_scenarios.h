/* Things done to a read-write lock that may be killed at any point, and what must be true of it then: nothing stays held by
 * the dead, and it is abandoned exactly when a writer died.
 *
 * What a process is about to do, and what it has done, it writes down in memory that all of them share; so the survivor
 * knows whether a writer died: surely, surely not, or perhaps (in the middle of the call that makes it one). */
#ifndef AIPC_TEST_RWLOCK_SCENARIOS_H
#define AIPC_TEST_RWLOCK_SCENARIOS_H

#include "rwlock_fixture.h"

enum writing { NOBODY_WRITES, PERHAPS, SOMEBODY_WRITES };
static struct rwlock_page {
    uint32_t writing;   /* enum writing: the present one */
    uint32_t abandoned; /* enum writing: an earlier one that died */
} *page;

/* Calls that begin, and end, a write.  Ending one ends what an earlier one's death left as well. */
#define BEGIN_WRITING(call)             \
    do {                                \
        page->writing = PERHAPS;        \
        OK(call);                       \
        page->writing = SOMEBODY_WRITES; \
    } while (0)
#define END_WRITING(call)                                    \
    do {                                                     \
        page->writing = PERHAPS;                             \
        if (page->abandoned != 0) page->abandoned = PERHAPS; \
        OK(call);                                            \
        page->writing = page->abandoned = NOBODY_WRITES;     \
    } while (0)

/* What a survivor knows of the dead. */
static inline uint32_t died_writing(void) {
    const uint32_t died = page->writing > page->abandoned ? page->writing : page->abandoned;
    page->abandoned = died;
    page->writing = NOBODY_WRITES;
    return died;
}

/* ---- before ------------------------------------------------------------------------------------------- */

static inline void begin_free(void *arg) {
    (void)arg;
    if (page == NULL) {
        page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(page != MAP_FAILED);
    }
    memset(page, 0, sizeof *page);
    rw_make(1, false);
    sync_leave();
}
static inline void come(void *arg) {
    (void)arg;
    sync_join(2);
}

/* Whoever attaches next has the slot of one that died while it wrote. */
static inline void begin_abandoned(void *arg) {
    begin_free(arg);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        sync_join(1);
        OK(try(0, AIPC_WRITE));
        _exit(0);
    }
    CHECK(!harness_was_killed(pid));
    page->abandoned = SOMEBODY_WRITES;
}

/* ---- what is killed: one process with two participants --------------------------------------------------- */

static inline void read_and_read(void *arg) {
    (void)arg;
    read_lock(0);
    read_lock(0);
    read_lock(1);
    for (int i = 0; i < 3; i++) read_unlock(i / 2);
}

static inline void write_once(int i) {
    BEGIN_WRITING(try(i, AIPC_WRITE));
    END_WRITING(release(i, AIPC_WRITE));
}
static inline void write_twice(void *arg) {
    (void)arg;
    write_once(0);
    write_once(1);
}

static inline void up_and_down(void *arg) {
    (void)arg;
    OK(try(0, AIPC_UPGRADABLE));
    read_lock(1);
    CHECK_EQ(try(0, AIPC_UPGRADE), AIPC_AGAIN);
    const uint32_t upgrade = waits(0, AIPC_UPGRADE);
    OK(release(1, AIPC_READ));
    BEGIN_WRITING(look(0, AIPC_UPGRADE, upgrade));
    END_WRITING(convert(0, AIPC_WRITE, AIPC_UPGRADABLE));
    BEGIN_WRITING(convert(0, AIPC_UPGRADABLE, AIPC_WRITE));
    END_WRITING(convert(0, AIPC_WRITE, AIPC_READ));
    OK(convert(0, AIPC_READ, AIPC_UPGRADABLE));
    OK(convert(0, AIPC_UPGRADABLE, AIPC_READ));
    BEGIN_WRITING(convert(0, AIPC_READ, AIPC_WRITE));
    END_WRITING(release(0, AIPC_WRITE));
}

static inline void wait_and_look(void *arg) {
    (void)arg;
    BEGIN_WRITING(try(0, AIPC_WRITE));
    const uint32_t reader = waits(1, AIPC_READ), writer = waits(1, AIPC_WRITE), upgradable = waits(1, AIPC_UPGRADABLE);
    END_WRITING(release(0, AIPC_WRITE));
    BEGIN_WRITING(look(1, AIPC_WRITE, writer));
    CHECK_EQ(look(1, AIPC_READ, reader), AIPC_AGAIN);
    END_WRITING(release(1, AIPC_WRITE));
    OK(look(1, AIPC_READ, reader));
    OK(look(1, AIPC_UPGRADABLE, upgradable));
    OK(release(1, AIPC_READ));
    OK(release(1, AIPC_UPGRADABLE));
}

static inline void wait_and_cancel(void *arg) {
    (void)arg;
    read_lock(0);
    const uint32_t writer = waits(1, AIPC_WRITE), reader = waits(1, AIPC_READ), other = waits(0, AIPC_UPGRADABLE);
    OK(cancel(1, AIPC_WRITE, writer));
    OK(look(1, AIPC_READ, reader));
    OK(cancel(0, AIPC_UPGRADABLE, other));
    read_unlock(0);
    read_unlock(1);
}

/* ---- after ----------------------------------------------------------------------------------------------- */

static inline void survive(void *arg) {
    (void)arg;
    const uint32_t died = died_writing();
    sync_join(2);
    sync_sound();
    CHECK_EQ(sync_report.nodes_waiting, 0);
    CHECK_EQ(sync_report.holdings, 2); /* our own pins */
    OK(aipc_rwlock_try_recover(ctxs[0], rw_at(0), AIPC_READ));
    if (died != PERHAPS) CHECK_EQ(is_abandoned(0), died == SOMEBODY_WRITES);
    const aipc_rwlock_stats stats = rw_stats(1);
    CHECK(stats.readers == 1 && !stats.writing && !stats.upgradable);
    CHECK_EQ(rw_at(0)->gate, AIPC_GATE_OPEN);
    OK(try(1, AIPC_UPGRADABLE));
    OK(release(0, AIPC_READ));
    BEGIN_WRITING(try(1, AIPC_UPGRADE));
    END_WRITING(release(1, AIPC_WRITE));
    CHECK(!is_abandoned(0));
    rw_idle();
    sync_leave();
}

static const struct {
    const char *name;
    struct scenario s;
} rwlock_scenarios[] = {
    {"read", {begin_free, come, read_and_read, survive, NULL}},
    {"write", {begin_free, come, write_twice, survive, NULL}},
    {"up and down", {begin_free, come, up_and_down, survive, NULL}},
    {"wait and look", {begin_free, come, wait_and_look, survive, NULL}},
    {"wait and cancel", {begin_free, come, wait_and_cancel, survive, NULL}},
    {"after a dead writer", {begin_abandoned, come, wait_and_look, survive, NULL}},
    {"find a dead writer", {begin_abandoned, come, read_and_read, survive, NULL}},
};
enum { RWLOCK_SCENARIOS = sizeof rwlock_scenarios / sizeof rwlock_scenarios[0] };

#endif
