// variants: hook
/* A dead participant is recovered as a whole, whoever is dead with it and whoever dies recovering it. */
#include "segment_fixture.h"
#ifdef AIPC_HOOK
#include "crash.h"
#endif
#include "leaks.h"

#include <pthread.h>

static aipc_seg A, B, C, D;

static uint64_t used_blocks(aipc_seg *seg) {
    aipc_heap_stats stats;
    aipc_ctx *ctx = enter(seg);
    OK(aipc_heap_stats_get(ctx, &stats));
    aipc_ctx_leave(ctx);
    return stats.used_blocks;
}

static uint32_t recover_all(aipc_seg *seg) {
    uint32_t recovered;
    aipc_ctx *ctx = enter(seg);
    OK(aipc_recover_all(ctx, &recovered));
    aipc_ctx_leave(ctx);
    return recovered;
}

static uint64_t own(aipc_seg *seg, uint64_t size) {
    uint64_t payload;
    aipc_ctx *ctx = enter(seg);
    OK(aipc_owned_allocate(ctx, size, 16, &payload));
    aipc_ctx_leave(ctx);
    return payload;
}

static aipc_status give_back(aipc_seg *seg, uint64_t payload) {
    aipc_ctx *ctx = enter(seg);
    const aipc_status status = aipc_deallocate(ctx, payload);
    aipc_ctx_leave(ctx);
    return status;
}

static aipc_object_ref construct(aipc_seg *seg, const char *name, uint64_t type, uint64_t size) {
    aipc_object_spec spec = {.kind = AIPC_NAMED, .name = name, .name_size = (uint32_t)strlen(name), .type = type,
                             .size = size, .count = 1};
    aipc_object_ref ref;
    aipc_ctx *ctx = enter(seg);
    OK(aipc_construct(ctx, &spec, &ref));
    aipc_ctx_leave(ctx);
    return ref;
}

static void destroy(aipc_seg *seg, const aipc_object_ref *ref) {
    aipc_ctx *ctx = enter(seg);
    OK(aipc_destroy(ctx, ref));
    OK(aipc_unpin(ctx, seg->slot, ref->holding));
    aipc_ctx_leave(ctx);
}

/* A child that does `live` as D and is killed when it says so. */
static void die_after(void (*live)(void)) {
    uint32_t *said = shared_words();
    *said = 0;
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        fixture_attach(&D);
        live();
        shared_set(said, 1);
        for (;;) pause();
    }
    shared_wait(said, 1);
    CHECK(kill(pid, SIGKILL) == 0);
    CHECK(harness_was_killed(pid));
}

/* ---- one instant after another ----------------------------------------------------------------- */

static void hold_all_sorts_of_things(void) {
    uint32_t bell, node;
    int fd;
    (void)own(&D, 100);
    (void)own(&D, 3000);
    (void)construct(&D, "of the dead", 105, 10);
    OK(aipc_bell_take(&D, &bell, &fd));
    OK(aipc_bell_take(&D, &bell, &fd));
    aipc_ctx *ctx = enter(&D);
    struct aipc_lock *lock = fixture_lock(&D);
    CHECK_EQ(aipc_lock_wait(ctx, lock, bell, 1, false, &node), AIPC_AGAIN);
    CHECK_EQ(aipc_lock_wait(ctx, lock, bell, 2, false, &node), AIPC_AGAIN);
    aipc_ctx_leave(ctx);
}

static void nothing_of_the_dead_is_left(void) {
    aipc_report report;
    fixture_create(&A);
    struct aipc_lock *lock = fixture_lock(&A);
    OK(aipc_lock_try(&A, lock));
    const uint64_t blocks = used_blocks(&A);
    die_after(hold_all_sorts_of_things);
    CHECK_EQ(leaks_entries(fixture_bells), 3);
    CHECK(used_blocks(&A) > blocks);
    CHECK_EQ(recover_all(&A), 1);
    CHECK_EQ(recover_all(&A), 0);
    fixture_sound(&A, &report);
    CHECK_EQ(report.nodes_waiting, 0);
    CHECK_EQ(report.holdings, 1);
    CHECK_EQ(used_blocks(&A), blocks + 1); /* what it constructed has no owner */
    CHECK_EQ(leaks_entries(fixture_bells), 1);
    aipc_ctx *ctx = enter(&A);
    OK(aipc_lock_release_slow(ctx, lock));
    aipc_ctx_leave(ctx);
    fixture_detach(&A);
    fixture_end();
}

static void take_the_lock(void) { OK(aipc_lock_try(&D, fixture_lock(&D))); }
static void own_some_blocks(void) {
    (void)own(&D, 100);
    (void)own(&D, 3000);
    (void)fixture_lock(&D);
}
static void do_nothing(void) {}

/* The slot has a living owner again, but not the one the lock's word names. */
static void a_lock_of_an_old_generation_is_nobodys(void) {
    fixture_create(&A);
    struct aipc_lock *lock = fixture_lock(&A);
    die_after(take_the_lock);
    const uint64_t word = lock->word;
    CHECK_EQ(recover_all(&A), 1);
    fixture_attach(&B);
    CHECK_EQ(B.slot, aipc_lock_owner_slot(word));
    CHECK(B.generation != word >> 32);
    OK(aipc_lock_try(&A, lock));
    CHECK((lock->word & AIPC_LOCK_ABANDONED) != 0);
    aipc_ctx *ctx = enter(&A);
    OK(aipc_lock_release_slow(ctx, lock));

    /* A short lock's word of another generation is not waited for: it cannot be. */
    const uint64_t from = aipc_os_now();
    uint64_t payload;
    A.heap->domain.lock = aipc_lock_word(B.slot, 0, B.generation - 1);
    CHECK_EQ(aipc_heap_allocate(ctx, 10, 16, 0, NULL, &payload), AIPC_CORRUPT);
    A.heap->domain.lock = aipc_lock_word(7, 0, 1);
    CHECK_EQ(aipc_heap_allocate(ctx, 10, 16, 0, NULL, &payload), AIPC_CORRUPT);
    A.heap->domain.lock = aipc_lock_word(FIXTURE_PARTICIPANTS, 0, 1);
    CHECK_EQ(aipc_heap_allocate(ctx, 10, 16, 0, NULL, &payload), AIPC_CORRUPT);
    CHECK(aipc_os_now() - from < 1000000000);
    A.heap->domain.lock = 0;
    OK(aipc_heap_allocate(ctx, 10, 16, 0, NULL, &payload));
    aipc_ctx_leave(ctx);
    fixture_detach(&B);
    fixture_detach(&A);
    fixture_end();
}

static void generations_only_grow(void) {
    fixture_create(&A);
    uint32_t last[FIXTURE_PARTICIPANTS] = {0};
    for (int i = 0; i < 30; i++) {
        if (i % 3 == 0) die_after(do_nothing);
        if (i % 2 == 0) (void)recover_all(&A);
        fixture_attach(&B);
        CHECK(B.generation > last[B.slot]);
        last[B.slot] = B.generation;
        fixture_detach(&B);
    }
    fixture_detach(&A);
    fixture_end();
}

/* Takes all slots but the first two. */
static aipc_seg *others;
static void others_attach(void) {
    others = calloc(FIXTURE_PARTICIPANTS, sizeof *others);
    for (int i = 2; i < FIXTURE_PARTICIPANTS; i++) fixture_attach(&others[i]);
}
static void others_detach(void) {
    for (int i = 2; i < FIXTURE_PARTICIPANTS; i++) fixture_detach(&others[i]);
    free(others);
}

/* Hears of whatever there is to hear, when the descriptor says so. */
static void listen_as_a(void) {
    int watch;
    aipc_ctx *ctx = enter(&A);
    OK(aipc_watch_open(&A, &watch));
    OK(aipc_watch_refresh(&A));
    OK(aipc_watch_collect(ctx));
    while (fixture_suspects(&A)) {
        OK(aipc_os_poll2(watch, -1, UINT64_C(2000000000)));
        OK(aipc_watch_collect(ctx));
    }
    aipc_ctx_leave(ctx);
}
static void take_and_release_as_a(void) {
    struct aipc_lock *lock = fixture_lock(&A);
    aipc_ctx *ctx = enter(&A);
    OK(aipc_lock_try(&A, lock));
    OK(aipc_lock_release_slow(ctx, lock));
    aipc_ctx_leave(ctx);
}

/* The epoch tells waiters to look again; it must move whatever way the dead one was noticed. */
static void the_epoch_moves_when_a_death_is_noticed(void) {
    int fd;
    fixture_create(&A);
    (void)fixture_lock(&A);
    OK(aipc_watch_open(&A, &fd));
    listen_as_a();
    const uint32_t epoch = aipc_watch_epoch(&A);
    die_after(take_the_lock);
    listen_as_a();
    CHECK(aipc_watch_epoch(&A) != epoch);
    take_and_release_as_a();
    fixture_detach(&A);
    fixture_end();
}

static void the_epoch_moves_when_somebody_takes_a_dead_ones_slot(void) {
    fixture_create(&A);
    (void)fixture_lock(&A);
    fixture_attach(&B); /* keeps the second slot free for a moment */
    others_attach();
    fixture_detach(&B);
    die_after(take_the_lock);
    const uint32_t recoveries = A.header->recoveries;
    fixture_attach(&C);
    CHECK_EQ(C.slot, 1);
    CHECK(A.header->recoveries != recoveries); /* everybody's */
    take_and_release_as_a();
    fixture_detach(&C);
    others_detach();
    fixture_detach(&A);
    fixture_end();
}

#ifdef AIPC_HOOK
/* ---- several in the middle of something --------------------------------------------------------- */

enum { ACTORS = 3 };
static uint64_t lock_offset[ACTORS];
static uint64_t blocks_before;
static uint32_t *parked; /* how many have stopped or are done */

/* Where a thread stops for good: before the park_at-th point of its own. */
static _Thread_local uint64_t park_at;

static void maybe_park(enum aipc_hook_kind kind) {
    if (park_at == 0 || (CRASH_WRITES & 1 << kind) == 0 || --park_at != 0) return;
    __atomic_fetch_add(parked, 1, __ATOMIC_SEQ_CST);
    for (;;) pause();
}

static void act_on_heap(uint32_t actor) {
    const uint64_t first = own(&B, 40 + actor), second = own(&B, 4000);
    OK(give_back(&B, first));
    OK(give_back(&B, second));
}
static void act_on_catalog(uint32_t actor) {
    const char *const names[ACTORS] = {"first's", "second's", "third's"};
    aipc_object_ref ref = construct(&B, names[actor], 106, 300);
    destroy(&B, &ref);
}
static void act_on_waits(uint32_t actor) {
    uint32_t first, second;
    struct aipc_lock *lock = (void *)(B.base + lock_offset[actor]);
    aipc_ctx *ctx = enter(&B);
    OK(aipc_lock_try(&B, lock));
    CHECK_EQ(aipc_lock_wait(ctx, lock, 0, 1, false, &first), AIPC_AGAIN);
    CHECK_EQ(aipc_lock_wait(ctx, lock, 0, 2, false, &second), AIPC_AGAIN);
    OK(aipc_lock_release_slow(ctx, lock));
    OK(aipc_lock_look(ctx, lock, first));
    OK(aipc_lock_cancel(ctx, lock, second));
    if (!aipc_lock_release_fast(&B, lock)) OK(aipc_lock_release_slow(ctx, lock));
    aipc_ctx_leave(ctx);
}

typedef struct part {
    void (*act)(uint32_t actor);
    uint32_t actor;
    uint64_t stop; /* before which point */
} part;

static void *play(void *arg) {
    const part *p = arg;
    park_at = p->stop;
    p->act(p->actor);
    park_at = 0;
    __atomic_fetch_add(parked, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

/* One process with a thread for each part, stopped in the middle of it. */
static pid_t process_of(part *parts, int count) {
    uint32_t *attached = shared_words() + 8;
    *attached = 0;
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        pthread_t threads[ACTORS];
        fixture_attach(&B);
        shared_set(attached, 1);
        shared_wait(shared_words() + 9, 1); /* all are attached */
        for (int i = 0; i < count; i++) CHECK(pthread_create(&threads[i], NULL, play, &parts[i]) == 0);
        for (;;) pause();
    }
    shared_wait(attached, 1);
    return pid;
}

/* Stopped, done, or behind somebody who is stopped; then all die at once. */
static void kill_together(const pid_t pids[], int processes, uint32_t parts) {
    shared_set(shared_words() + 9, 1);
    for (int i = 0; i < 40 && __atomic_load_n(parked, __ATOMIC_SEQ_CST) < parts; i++) usleep(100);
    for (int i = 0; i < processes; i++) CHECK(kill(pids[i], SIGKILL) == 0);
    for (int i = 0; i < processes; i++) CHECK(harness_was_killed(pids[i]));
}

static void stage(void) {
    const char *const names[ACTORS] = {"lock 1", "lock 2", "lock 3"};
    parked = shared_words() + 10;
    shared_words()[9] = *parked = 0;
    crash_other = maybe_park;
    fixture_create(&A);
    for (int i = 0; i < ACTORS; i++)
        lock_offset[i] = construct(&A, names[i], AIPC_TYPE_LOCK, sizeof(struct aipc_lock)).payload;
    blocks_before = used_blocks(&A);
}

/* A is alive all the time, and finds the world as it was. */
static void check_stage(void) {
    aipc_report report;
    const char *const names[ACTORS] = {"first's", "second's", "third's"};
    (void)recover_all(&A);
    aipc_ctx *ctx = enter(&A);
    for (int i = 0; i < ACTORS; i++) {
        aipc_object_ref ref;
        if (aipc_find(ctx, AIPC_NAMED, names[i], (uint32_t)strlen(names[i]), &ref) == AIPC_OK)
            OK(aipc_destroy(ctx, &ref));
        struct aipc_lock *lock = (void *)(A.base + lock_offset[i]);
        OK(aipc_lock_try_recover(ctx, lock));
        if (!aipc_lock_release_fast(&A, lock)) OK(aipc_lock_release_slow(ctx, lock));
    }
    aipc_ctx_leave(ctx);
    fixture_sound(&A, &report);
    CHECK_EQ(report.nodes_waiting, 0);
    CHECK_EQ(report.holdings, ACTORS);
    CHECK_EQ(used_blocks(&A), blocks_before);
    /* A claimer that died before its life began may leave a bell for the next claimer of the slot. */
    int unborn = 0;
    for (int i = 0; i < FIXTURE_PARTICIPANTS; i++)
        unborn += aipc_life_state(A.slots[i].life) == AIPC_SLOT_FREE && A.slots[i].bells_made != 0;
    CHECK(leaks_entries(fixture_bells) <= 1 + unborn);
    fixture_detach(&A);
    crash_other = NULL;
}

static uint64_t random_state = 88172645463325252u;
static uint64_t below(uint64_t n) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % n;
}
static part random_part(uint32_t actor) {
    void (*const acts[])(uint32_t) = {act_on_heap, act_on_catalog, act_on_waits};
    return (part){acts[below(3)], actor, 1 + below(120)};
}

static void two_threads_of_one_process_die_together(void) {
    const int rounds = harness_full() ? 20000 : 400;
    int both = 0;
    for (int round = 0; round < rounds; round++) {
        NOTE("round %d", round);
        stage();
        part parts[2] = {random_part(0), random_part(1)};
        const pid_t pid = process_of(parts, 2);
        kill_together(&pid, 1, 2);
        const struct aipc_context *contexts = aipc_context_of(&A, 1, 0);
        both += contexts[0].domain != 0 && contexts[1].domain != 0;
        check_stage();
    }
    fprintf(stderr, "  %d deaths, %d with both threads in a domain\n", rounds, both);
    CHECK(both > rounds / 20);
    fixture_end();
}

static void recover_as_c(void *arg) {
    (void)arg;
    fixture_attach(&C);
    fixture_detach(&C);
}

static void three_dead_at_once_and_their_recoverer_too(void) {
    const int rounds = harness_full() ? 20000 : 400;
    int recoverers = 0;
    for (int round = 0; round < rounds; round++) {
        NOTE("round %d", round);
        stage();
        part parts[ACTORS];
        pid_t pids[ACTORS];
        for (uint32_t i = 0; i < ACTORS; i++) {
            parts[i] = random_part(i);
            pids[i] = process_of(&parts[i], 1);
        }
        kill_together(pids, ACTORS, ACTORS);
        for (int n = 0; n < 2; n++) recoverers += crash_child(NULL, recover_as_c, NULL, 1 + below(700));
        check_stage();
    }
    fprintf(stderr, "  %d times three dead, %d recoverers' deaths\n", rounds, recoverers);
    CHECK(recoverers > rounds / 2);
    fixture_end();
}

/* ---- recovery and others ------------------------------------------------------------------------ */

/* A process that attaches when told, while the recoverer is at any point. */
static uint64_t tell_at;
static void somebody_attaches(enum aipc_hook_kind kind) {
    (void)kind;
    if (tell_at == 0 || --tell_at != 0) return;
    uint32_t *words = shared_words();
    shared_set(&words[1], 1);
    for (int i = 0; i < 30 && __atomic_load_n(&words[2], __ATOMIC_SEQ_CST) == 0; i++) usleep(100);
}

/* All slots are taken, one by somebody dead who is just being recovered: that one is to be had. */
static void a_slot_under_recovery_can_be_had(void) {
    uint32_t *words = shared_words();
    bool told = true;
    const uint64_t stride = harness_full() ? 1 : 9;
    for (uint64_t k = 1; told; k += stride) {
        NOTE("point %" PRIu64, k);
        fixture_create(&A);
        (void)fixture_lock(&A);
        fixture_attach(&B); /* keeps the second slot free for a moment */
        others_attach();
        fixture_detach(&B);
        words[1] = words[2] = 0;
        const pid_t pid = fork();
        if (pid == 0) {
            shared_wait(&words[1], 1);
            fixture_attach(&C);
            shared_set(&words[2], 1);
            fixture_detach(&C);
            _exit(0);
        }
        die_after(own_some_blocks);
        crash_other = somebody_attaches;
        tell_at = k;
        (void)recover_all(&A);
        told = tell_at == 0;
        tell_at = 0;
        crash_other = NULL;
        shared_set(&words[1], 1);
        CHECK(!harness_was_killed(pid));
        others_detach();
        fixture_detach(&A);
    }
    fixture_end();
}

/* The owner of a lock is killed while it detaches, and its slot is another's before anybody listens. */
static void attach_holding(void) {
    fixture_attach(&B);
    OK(aipc_lock_try(&B, fixture_lock(&B)));
    shared_set(shared_words(), 1);
    shared_wait(&shared_words()[1], 1); /* A watches */
}
static void the_epoch_moves_when_the_owner_dies_in_its_detach(void) {
    bool died = true;
    int fd;
    for (uint64_t k = 1; died; k += harness_full() ? 1 : 2) {
        NOTE("death at point %" PRIu64, k);
        uint32_t *words = shared_words();
        words[0] = words[1] = 0;
        fixture_create(&A);
        (void)fixture_lock(&A);
        OK(aipc_watch_open(&A, &fd));
        *crash_passed = 0;
        const pid_t pid = fork();
        if (pid == 0) {
            attach_holding();
            crash_at = k;
            fixture_detach(&B);
            _exit(0);
        }
        shared_wait(&words[0], 1);
        listen_as_a();
        const uint32_t epoch = aipc_watch_epoch(&A);
        shared_set(&words[1], 1);
        died = harness_was_killed(pid);
        fixture_attach(&C); /* in its slot, if that is free */
        listen_as_a();
        CHECK(aipc_watch_epoch(&A) != epoch);
        take_and_release_as_a();
        fixture_detach(&C);
        fixture_detach(&A);
    }
    fixture_end();
}

/* Somebody claims a dead one's slot and dies as well, at any point; a living one clears up after both. */
static void attach_as_c(void *arg) {
    (void)arg;
    fixture_attach(&C);
}
static void no_bell_is_left_of_a_claimer_who_died(void) {
    bool died = true;
    for (uint64_t k = 1; died; k += harness_full() ? 1 : 3) {
        NOTE("death at point %" PRIu64, k);
        fixture_create(&A);
        fixture_attach(&B); /* keeps the second slot free for a moment */
        others_attach();
        fixture_detach(&B);
        die_after(do_nothing);
        died = crash_child(NULL, attach_as_c, NULL, k);
        (void)recover_all(&A);
        CHECK_EQ(leaks_entries(fixture_bells), FIXTURE_PARTICIPANTS - 1);
        others_detach();
        fixture_detach(&A);
    }
    fixture_end();
}

/* The object a dead process waited on was destroyed; its pin alone kept it.  Whenever the recoverer dies, the
 * memory must not be used again before the node is out of the queue. */
static aipc_object_ref condemned;
static void wait_on_the_condemned(void) {
    uint32_t bell, node;
    int fd;
    aipc_object_ref ref = condemned;
    aipc_ctx *ctx = enter(&D);
    OK(aipc_pin(ctx, &ref));
    OK(aipc_bell_take(&D, &bell, &fd));
    CHECK_EQ(aipc_lock_wait(ctx, (void *)(D.base + ref.payload), bell, 1, false, &node), AIPC_AGAIN);
    aipc_ctx_leave(ctx);
}
static void recover_as_a_child(void *arg) {
    (void)arg;
    fixture_attach(&C);
}
static void fill_all_memory(void) {
    uint64_t payloads[4096], size;
    uint32_t flags;
    int count = 0;
    aipc_ctx *ctx = enter(&A);
    for (uint64_t want = 1 << 16; want >= 16; want /= 2)
        while (count < 4096 && aipc_heap_allocate(ctx, want, 16, 0, NULL, &payloads[count]) == AIPC_OK) {
            OK(aipc_heap_size_of(&A, payloads[count], &size, &flags));
            memset(A.base + payloads[count++], 0xa5, size);
        }
    uint32_t recovered;
    OK(aipc_recover_all(ctx, &recovered)); /* in the midst of it all */
    for (int i = 0; i < count; i++) {
        const uint8_t *bytes = A.base + payloads[i];
        OK(aipc_heap_size_of(&A, payloads[i], &size, &flags));
        for (uint64_t n = 0; n < size; n++) CHECK_EQ(bytes[n], 0xa5);
        OK(aipc_deallocate(ctx, payloads[i]));
    }
    aipc_ctx_leave(ctx);
}
static void a_waiter_on_a_destroyed_lock_dies(void) {
    bool died = true;
    aipc_report report;
    for (uint64_t k = 1; died; k += harness_full() ? 1 : 4) {
        NOTE("death at point %" PRIu64, k);
        fixture_create(&A);
        const uint64_t blocks = used_blocks(&A);
        condemned = construct(&A, "condemned", AIPC_TYPE_LOCK, sizeof(struct aipc_lock));
        OK(aipc_lock_try(&A, (void *)(A.base + condemned.payload)));
        die_after(wait_on_the_condemned);
        aipc_ctx *ctx = enter(&A);
        OK(aipc_lock_close(ctx, (void *)(A.base + condemned.payload)));
        aipc_ctx_leave(ctx);
        destroy(&A, &condemned);
        died = crash_child(NULL, recover_as_a_child, NULL, k);
        fill_all_memory();
        (void)recover_all(&A);
        fixture_sound(&A, &report);
        CHECK_EQ(report.nodes_waiting, 0);
        CHECK_EQ(used_blocks(&A), blocks);
        fixture_detach(&A);
    }
    fixture_end();
}

/* While A recovers the dead one, B frees its block and takes two of its own, in the very memory of the record. */
static uint64_t foreign, mine[2];
static bool freed;
static uint64_t foreign_at;
static aipc_status never_idle(aipc_seg *seg, const uint32_t *word, uint32_t seen) {
    (void)seg, (void)word, (void)seen;
    return AIPC_INTERRUPTED;
}
static void somebody_frees_its_block(enum aipc_hook_kind kind) {
    (void)kind;
    if (foreign_at == 0 || --foreign_at != 0) return;
    const aipc_status status = give_back(&B, foreign); /* AIPC_INTERRUPTED where A itself holds a lock */
    freed = status == AIPC_OK;
    if (!freed) return;
    aipc_ctx *ctx = enter(&B);
    for (int i = 0; i < 2; i++)
        if (aipc_owned_allocate(ctx, 100, 16, &mine[i]) != AIPC_OK) mine[i] = 0;
    aipc_ctx_leave(ctx);
}
static void own_a_block(void) { shared_words()[20] = (uint32_t)own(&D, 100); }
static void a_dead_ones_block_is_freed_by_another_while_it_is_recovered(void) {
    aipc_report report;
    int times = 0;
    bool passed = true;
    for (uint64_t k = 1; passed; k++) {
        NOTE("point %" PRIu64, k);
        fixture_create(&A);
        fixture_attach(&B);
        const uint64_t blocks = used_blocks(&A);
        B.stall_ns = 1;
        B.idle = never_idle;
        die_after(own_a_block);
        foreign = shared_words()[20];
        memset(mine, 0, sizeof mine);
        freed = false;
        crash_other = somebody_frees_its_block;
        foreign_at = k;
        CHECK_EQ(recover_all(&A), 1);
        passed = foreign_at == 0;
        foreign_at = 0;
        crash_other = NULL;
        times += freed;
        fixture_sound(&A, &report);
        for (int i = 0; i < 2; i++)
            if (mine[i] != 0) OK(give_back(&B, mine[i]));
        fixture_detach(&B); /* with what it could not finish */
        CHECK_EQ(used_blocks(&A), blocks);
        fixture_detach(&A);
    }
    CHECK(times > 10);
    fixture_end();
}

/* ---- the stopped -------------------------------------------------------------------------------- */

/* Stops itself in a hook, where it holds the domain's lock. */
static struct aipc_domain *stop_in;
static void stop_while_held(enum aipc_hook_kind kind) {
    (void)kind;
    if (stop_in == NULL || stop_in->lock >> 20 != B.slot || stop_in->head == 0) return;
    stop_in = NULL;
    raise(SIGSTOP);
}

static void a_stopped_holder_of_a_short_lock_is_named_and_keeps_it(void) {
    void (*const acts[])(uint32_t) = {act_on_heap, act_on_catalog, act_on_waits};
    for (int i = 0; i < 3; i++) {
        NOTE("domain %d", i);
        stage();
        crash_other = stop_while_held;
        struct aipc_domain *const domains[] = {&A.heap->domain, &A.catalog->domain, &A.waits->domain};
        const uint64_t offset = aipc_offset(&A, domains[i]);
        const pid_t pid = fork();
        if (pid == 0) {
            fixture_attach(&B);
            stop_in = (void *)(B.base + offset);
            acts[i](0);
            fixture_detach(&B);
            _exit(0);
        }
        int status;
        CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
        CHECK(WIFSTOPPED(status));

        A.stall_ns = 50000000;
        const uint32_t word = domains[i]->lock;
        CHECK(word != 0);
        aipc_ctx *ctx = enter(&A);
        for (int n = 0; n < 2; n++) {
            const uint64_t from = aipc_os_now();
            CHECK_EQ(aipc_domain_lock(ctx, domains[i]), AIPC_STALLED);
            const uint64_t took = aipc_os_now() - from;
            CHECK(took >= 50000000 && took < 2000000000);
            CHECK_EQ(A.fault.pid, pid);
            CHECK_EQ(domains[i]->lock & ~AIPC_LOCK_CONTENDED, word & ~AIPC_LOCK_CONTENDED);
            CHECK(domains[i]->head != 0);
        }
        uint32_t recovered;
        OK(aipc_recover_all(ctx, &recovered));
        CHECK_EQ(recovered, 0);
        CHECK(kill(pid, SIGCONT) == 0);
        A.stall_ns = UINT64_C(5000000000);
        OK(aipc_domain_lock(ctx, domains[i]));
        aipc_domain_unlock(ctx, domains[i]);
        aipc_ctx_leave(ctx);
        CHECK(!harness_was_killed(pid));
        check_stage();
    }
    fixture_end();
}

/* The stopped one is killed after all: then its lock is anybody's. */
static void a_stopped_holder_that_is_killed_is_recovered(void) {
    stage();
    crash_other = stop_while_held;
    const uint64_t offset = aipc_offset(&A, &A.heap->domain);
    const pid_t pid = fork();
    if (pid == 0) {
        fixture_attach(&B);
        stop_in = (void *)(B.base + offset);
        act_on_heap(0);
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
    aipc_ctx *ctx = enter(&A);
    A.stall_ns = 20000000;
    CHECK_EQ(aipc_domain_lock(ctx, &A.heap->domain), AIPC_STALLED);
    CHECK(kill(pid, SIGKILL) == 0);
    CHECK(harness_was_killed(pid));
    aipc_ctx_leave(ctx);
    CHECK_EQ(used_blocks(&A), blocks_before);
    check_stage();
    fixture_end();
}

/* Somebody stopped in the gate: openers get an answer, and everything goes on afterwards. */
static void stop_in_the_gate(enum aipc_hook_kind kind) {
    int error;
    if (kind != AIPC_HOOK_SYSCALL || parked == NULL || *parked != 0) return;
    *parked = 1;
    const bool locked = aipc_os_test_bytes(fixture_fd, AIPC_GATE_BYTE, 1, &error) == AIPC_AGAIN;
    *parked = locked ? 2 : 0;
    if (locked) raise(SIGSTOP);
}
static void an_opener_stopped_in_the_gate_stalls_others_but_not_for_ever(void) {
    stage();
    crash_other = stop_in_the_gate;
    *parked = 3;
    const pid_t pid = fork();
    if (pid == 0) {
        *parked = 0;
        fixture_attach(&B);
        fixture_detach(&B);
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
    CHECK(WIFSTOPPED(status));
    aipc_segment_init(&C, dup(fixture_fd), "");
    C.stall_ns = 50000000;
    CHECK_EQ(aipc_segment_open(&C), AIPC_STALLED);
    CHECK(kill(pid, SIGCONT) == 0);
    fixture_attach(&C);
    fixture_detach(&C);
    CHECK(!harness_was_killed(pid));
    check_stage();
    fixture_end();
}
#endif

int main(void) {
    RUN(nothing_of_the_dead_is_left);
    RUN(a_lock_of_an_old_generation_is_nobodys);
    RUN(generations_only_grow);
    RUN(the_epoch_moves_when_a_death_is_noticed);
    RUN(the_epoch_moves_when_somebody_takes_a_dead_ones_slot);
#ifdef AIPC_HOOK
    RUN(two_threads_of_one_process_die_together);
    RUN(three_dead_at_once_and_their_recoverer_too);
    RUN(a_slot_under_recovery_can_be_had);
    RUN(the_epoch_moves_when_the_owner_dies_in_its_detach);
    RUN(no_bell_is_left_of_a_claimer_who_died);
    RUN(a_waiter_on_a_destroyed_lock_dies);
    RUN(a_dead_ones_block_is_freed_by_another_while_it_is_recovered);
    RUN(a_stopped_holder_of_a_short_lock_is_named_and_keeps_it);
    RUN(a_stopped_holder_that_is_killed_is_recovered);
    RUN(an_opener_stopped_in_the_gate_stalls_others_but_not_for_ever);
#endif
    return SUMMARY();
}
