// variants: plain asan hook
// leaves: bells
/* Segments come and go: create, open, detach, remove, fork, and the death of whoever is doing it. */
#include "segment_fixture.h"
#ifdef AIPC_HOOK
#include "crash.h"
#endif
#include "leaks.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>

enum { SIZE = 128 * 1024 };

static aipc_seg A, B, C;
static char path[96], temporary[112], bells[96];

static void new_path(void) {
    static int serial;
    snprintf(path, sizeof path, "/dev/shm/aioipc-test-c-%d-%d", (int)getpid(), ++serial);
    snprintf(temporary, sizeof temporary, "%s.new", path);
}

static aipc_create_options options_of(uint32_t flags, uint32_t participants) {
    return (aipc_create_options){.size = SIZE, .max_size = SIZE, .participants = participants, .flags = flags, .mode = 0600};
}

/* What the binding does: fill an object under a temporary name, link it into place. */
static aipc_status create(aipc_seg *seg, const aipc_create_options *options) {
    const int fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    aipc_segment_init(seg, fd, path);
    const aipc_status status = aipc_segment_create(seg, options);
    if (status == AIPC_OK) {
        strcpy(bells, seg->bell_path);
        CHECK(link(temporary, path) == 0);
    }
    CHECK(unlink(temporary) == 0);
    return status;
}
static void create_with(aipc_seg *seg, uint32_t flags, uint32_t participants) {
    const aipc_create_options options = options_of(flags, participants);
    OK(create(seg, &options));
}

/* AIPC_NOT_FOUND when the name is gone. */
static aipc_status open_path(aipc_seg *seg) {
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return AIPC_NOT_FOUND;
    aipc_segment_init(seg, fd, path);
    const aipc_status status = aipc_segment_open(seg);
    if (status == AIPC_SYSTEM) fprintf(stderr, "  open: %s\n", strerror(seg->error));
    return status;
}

static aipc_status peek(aipc_segment_info *info) {
    aipc_fault fault;
    int error;
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return AIPC_NOT_FOUND;
    const aipc_status status = aipc_segment_peek(fd, path, info, &fault, &error);
    close(fd);
    return status;
}

static aipc_status remove_path(void) {
    int error;
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return AIPC_NOT_FOUND;
    const aipc_status status = aipc_segment_remove(fd, path, &error);
    close(fd);
    return status;
}

static void check_sound(aipc_seg *seg) {
    static aipc_report report;
    fixture_sound(seg, &report);
}

static uint64_t used_blocks(aipc_seg *seg) {
    aipc_heap_stats stats;
    aipc_ctx *ctx = enter(seg);
    OK(aipc_heap_stats_get(ctx, &stats));
    aipc_ctx_leave(ctx);
    return stats.used_blocks;
}

static uint32_t participants(aipc_seg *seg, aipc_participant_info infos[8]) {
    uint32_t count;
    OK(aipc_participants_list(seg, infos, 8, &count));
    return count;
}

/* ---- the straight path ------------------------------------------------------------------------- */

static void a_memfd_is_created_opened_and_left(void) {
    const int fds = leaks_fds();
    fixture_create(&A);
    fixture_attach(&B);
    CHECK_EQ(leaks_entries(fixture_bells), 2);
    aipc_participant_info infos[8];
    CHECK_EQ(participants(&A, infos), 2);
    CHECK(infos[0].alive && infos[0].self && infos[1].alive && !infos[1].self);
    CHECK_EQ(infos[1].pid, getpid());
    check_sound(&B);
    fixture_detach(&A);
    CHECK_EQ(participants(&B, infos), 1);
    CHECK_EQ(leaks_entries(fixture_bells), 1);
    fixture_detach(&B);
    CHECK_EQ(leaks_entries(fixture_bells), 0);
    OK(aipc_segment_detach(&B)); /* again: nothing to do */
    fixture_attach(&A);
    check_sound(&A);
    fixture_detach(&A);
    fixture_end();
    CHECK_EQ(leaks_fds(), fds);
}

static void a_named_segment_stays_until_it_is_removed(void) {
    const int fds = leaks_fds();
    aipc_segment_info info;
    new_path();
    CHECK_EQ(open_path(&A), AIPC_NOT_FOUND);
    create_with(&A, 0, 4);
    OK(peek(&info));
    CHECK(info.alive && info.size == SIZE && info.participants == 4 && info.creator_pid == (uint64_t)getpid());
    memcpy(fixture_object(&A, "word", 5, 8), "kept  .", 8);
    fixture_detach(&A);
    OK(peek(&info));
    CHECK(!info.alive && info.state == AIPC_STATE_READY);
    OK(open_path(&B));
    CHECK(memcmp(fixture_object(&B, "word", 5, 8), "kept  .", 8) == 0);
    fixture_detach(&B);
    CHECK_EQ(leaks_entries(bells), 0);
    OK(remove_path());
    CHECK(!leaks_exists(path) && !leaks_exists(bells));
    CHECK_EQ(remove_path(), AIPC_NOT_FOUND);
    CHECK_EQ(leaks_fds(), fds);
}

static void options_outside_their_range_are_refused(void) {
    const int fds = leaks_fds();
    const uint64_t least = aipc_segment_minimum(SIZE, 4);
    const aipc_create_options bad[] = {
        {SIZE, SIZE, 0, 0, 0600},        {SIZE, SIZE, AIPC_MAX_PARTICIPANTS + 1, 0, 0600},
        {SIZE + 8, SIZE + 8, 4, 0, 0600}, {SIZE, SIZE - 16, 4, 0, 0600},
        {0, SIZE, 4, 0, 0600},           {16, 16, 1, 0, 0600},
        {least / 16 * 16 - 16, SIZE, 4, 0, 0600},
        {SIZE, UINT64_C(1) << 47, 4, 0, 0600}, {UINT64_MAX - 15, UINT64_MAX, 4, 0, 0600},
        {SIZE, SIZE, UINT32_MAX, 0, 0600}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        NOTE("options %zu", i);
        new_path();
        CHECK_EQ(create(&A, &bad[i]), AIPC_INVALID);
        CHECK(!leaks_exists(path));
    }
    CHECK_EQ(leaks_fds(), fds);
}

/* The smallest size that is allowed works, for the fewest and the most participants. */
static void the_minimum_is_enough(void) {
    const int fds = leaks_fds();
    const uint32_t numbers[] = {1, 2, 7, AIPC_MAX_PARTICIPANTS};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        aipc_create_options options = options_of(AIPC_FLAG_LAST_DETACH, numbers[i]);
        for (options.size = 16; options.size < aipc_segment_minimum(options.size, numbers[i]);) options.size += 16;
        options.max_size = options.size;
        NOTE("%u participants, %" PRIu64 " bytes", numbers[i], options.size);
        new_path();
        OK(create(&A, &options));
        check_sound(&A);
        fixture_detach(&A);
        CHECK(!leaks_exists(path) && !leaks_exists(bells));
        options.size -= 16;
        CHECK_EQ(create(&A, &options), AIPC_INVALID);
    }
    CHECK_EQ(leaks_fds(), fds);
}

static void a_full_filesystem_is_an_error_not_a_signal(void) {
    const pid_t pid = fork();
    if (pid == 0) { /* a mount namespace of its own */
        char directory[] = "/tmp/aioipc-full-XXXXXX";
        if (mkdtemp(directory) == NULL || unshare(CLONE_NEWNS) != 0 ||
            mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("none", directory, "tmpfs", 0, "size=1m") != 0) {
            fprintf(stderr, "  skipped: may not mount\n");
            rmdir(directory);
            _exit(0);
        }
        const int fds = leaks_fds();
        snprintf(path, sizeof path, "%s/segment", directory);
        snprintf(temporary, sizeof temporary, "%s.new", path);
        aipc_create_options options = options_of(AIPC_FLAG_LAST_DETACH, 4);
        options.size = options.max_size = 8 << 20;
        CHECK_EQ(create(&A, &options), AIPC_FULL);
        CHECK_EQ(A.bell_path[0], '\0'); /* so none was made */
        CHECK_EQ(leaks_fds(), fds);
        create_with(&A, AIPC_FLAG_LAST_DETACH, 4);
        fixture_detach(&A);
        CHECK_EQ(leaks_entries(directory), 0);
        CHECK(umount(directory) == 0 && rmdir(directory) == 0);
        _exit(0);
    }
    CHECK(!harness_was_killed(pid));
}

/* ---- slots ------------------------------------------------------------------------------------- */

/* Attaches in a child, takes a block, a pin and a lock, says so and waits for its end. */
static pid_t peer(uint32_t *said) {
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid > 0) {
        shared_wait(said, 1);
        return pid;
    }
    uint64_t payload;
    OK(open_path(&C));
    (void)fixture_object(&C, "pinned", 5, 100);
    OK(aipc_lock_try(&C, fixture_lock(&C)));
    OK(aipc_owned_allocate(enter(&C), 500, 16, &payload));
    shared_set(said, 1);
    for (;;) pause();
}

static void when_all_slots_are_alive_there_is_none_left(void) {
    uint32_t *said = shared_words();
    new_path();
    create_with(&A, AIPC_FLAG_LAST_DETACH, 3);
    fixture_detach(&A);
    create_with(&A, AIPC_FLAG_LAST_DETACH, 3);
    (void)fixture_lock(&A);
    *said = 0;
    const pid_t child = peer(said);
    OK(open_path(&B));
    const int fds = leaks_fds();
    aipc_seg *extra = calloc(1, sizeof *extra);
    CHECK_EQ(open_path(extra), AIPC_NO_SLOT);
    CHECK_EQ(leaks_fds(), fds);
    CHECK_EQ(leaks_entries(bells), 3);
    fixture_detach(&B); /* the second slot, or the third */
    OK(open_path(extra));
    fixture_detach(extra);
    OK(open_path(&B));
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(harness_was_killed(child));
    OK(open_path(extra)); /* in the dead one's slot */
    CHECK_EQ(leaks_entries(bells), 3);
    aipc_participant_info infos[8];
    CHECK_EQ(participants(&A, infos), 3);
    for (int i = 0; i < 3; i++) CHECK(infos[i].alive && infos[i].pid == (uint64_t)getpid());
    check_sound(extra);
    aipc_lock_stats stats;
    aipc_lock_stats_get(&A, fixture_lock(&A), &stats);
    CHECK(!stats.locked && stats.abandoned);
    fixture_detach(extra);
    fixture_detach(&B);
    fixture_detach(&A);
    CHECK(!leaks_exists(path) && !leaks_exists(bells));
    free(extra);
}

static void a_dead_slot_is_settled_before_it_is_used_again(void) {
    uint32_t *said = shared_words();
    new_path();
    create_with(&A, 0, 1);
    (void)fixture_lock(&A);
    (void)fixture_object(&A, "pinned", 5, 100);
    fixture_detach(&A);
    uint64_t before = 0, generation = 0;
    for (int i = 0; i < 5; i++) {
        *said = 0;
        const pid_t child = peer(said);
        CHECK(kill(child, SIGKILL) == 0);
        CHECK(harness_was_killed(child));
        OK(open_path(&A)); /* the only slot there is */
        CHECK(A.generation > generation);
        generation = A.generation;
        check_sound(&A);
        if (i == 0) before = used_blocks(&A);
        CHECK_EQ(used_blocks(&A), before);
        CHECK_EQ(leaks_entries(bells), 1);
        fixture_detach(&A);
        CHECK_EQ(leaks_entries(bells), 0);
    }
    OK(remove_path());
    CHECK(!leaks_exists(bells));
}

/* ---- the end of a segment ---------------------------------------------------------------------- */

static void the_last_one_out_removes_it(void) {
    aipc_segment_info info;
    new_path();
    create_with(&A, AIPC_FLAG_LAST_DETACH, 4);
    OK(open_path(&B));
    fixture_detach(&A);
    CHECK(leaks_exists(path));
    fixture_detach(&B);
    CHECK(!leaks_exists(path) && !leaks_exists(bells));
    CHECK_EQ(peek(&info), AIPC_NOT_FOUND);
}

/* All leave in the same instant: one of them must have been the last. */
static void of_many_who_leave_at_once_one_is_the_last(void) {
    uint32_t *words = shared_words();
    const int rounds = harness_full() ? 5000 : 300;
    for (int round = 0; round < rounds; round++) {
        NOTE("round %d", round);
        new_path();
        words[0] = words[1] = 0;
        create_with(&A, AIPC_FLAG_LAST_DETACH, 4);
        pid_t child = fork();
        if (child == 0) {
            OK(open_path(&B));
            shared_set(&words[0], 1);
            while (__atomic_load_n(&words[1], __ATOMIC_SEQ_CST) == 0) {}
            OK(aipc_segment_detach(&B));
            _exit(0);
        }
        shared_wait(&words[0], 1);
        shared_set(&words[1], 1);
        for (int spin = round % 50 * 20; spin > 0; spin--) __asm__ volatile("");
        OK(aipc_segment_detach(&A));
        CHECK(!harness_was_killed(child));
        CHECK(!leaks_exists(path));
        CHECK(!leaks_exists(bells));
    }
}

static void when_the_last_one_was_killed_the_next_look_finishes_it_off(void) {
    const int fds = leaks_fds();
    for (int how = 0; how < 2; how++) {
        uint32_t *said = shared_words();
        aipc_segment_info info;
        new_path();
        create_with(&A, AIPC_FLAG_LAST_DETACH, 4);
        *said = 0;
        const pid_t child = peer(said);
        fixture_detach(&A);
        CHECK(leaks_exists(path));
        CHECK(kill(child, SIGKILL) == 0);
        CHECK(harness_was_killed(child));
        CHECK_EQ(how == 0 ? open_path(&B) : peek(&info), AIPC_GONE);
        CHECK(!leaks_exists(path) && !leaks_exists(bells));
        CHECK_EQ(leaks_fds(), fds);
    }
}

static void a_segment_removed_while_attached_lives_on_without_its_name(void) {
    aipc_seg *second = calloc(1, sizeof *second);
    new_path();
    create_with(&A, 0, 4);
    char first_bells[96];
    strcpy(first_bells, bells);
    OK(open_path(&B));
    const int late = open(path, O_RDWR | O_CLOEXEC); /* opens, and is then slow */
    OK(remove_path());
    CHECK(!leaks_exists(path) && leaks_exists(first_bells));
    check_sound(&B);
    OK(aipc_lock_try(&A, fixture_lock(&A)));
    CHECK_EQ(aipc_lock_try(&B, fixture_lock(&B)), AIPC_AGAIN);

    create_with(second, 0, 4); /* another segment of that name */
    const int fds = leaks_fds();
    aipc_segment_init(&C, late, path);
    CHECK_EQ(aipc_segment_open(&C), AIPC_GONE);
    CHECK_EQ(leaks_fds(), fds - 1); /* it took the descriptor */
    fixture_detach(&A);
    CHECK(leaks_exists(path) && leaks_exists(first_bells));
    fixture_detach(&B);
    CHECK(leaks_exists(path) && !leaks_exists(first_bells)); /* the name is not theirs any more */
    OK(open_path(&B));
    check_sound(&B);
    fixture_detach(&B);
    fixture_detach(second);
    OK(remove_path());
    free(second);
}

/* Opens the object, and is so slow that the segment is gone by the time it looks. */
static void a_late_opener_leaves_nothing_behind(void) {
    for (int how = 0; how < 3; how++) {
        NOTE("way %d", how);
        const int fds = leaks_fds();
        new_path();
        create_with(&A, how == 0 ? AIPC_FLAG_LAST_DETACH : 0, 4);
        const int late = open(path, O_RDWR | O_CLOEXEC);
        fixture_detach(&A);
        if (how != 0) OK(remove_path());
        if (how == 2) create_with(&B, 0, 4);
        char first_bells[96];
        strcpy(first_bells, A.bell_path);
        CHECK(!leaks_exists(first_bells));
        aipc_segment_init(&C, late, path);
        CHECK_EQ(aipc_segment_open(&C), AIPC_GONE);
        CHECK(!leaks_exists(first_bells));
        if (how == 2) {
            fixture_detach(&B);
            OK(remove_path());
        }
        CHECK_EQ(leaks_fds(), fds);
    }
}

static void files_that_are_no_segments_are_refused(void) {
    const int fds = leaks_fds();
    aipc_segment_info info;
    static const char text[4096] = "this is not a segment, and long enough to be one";
    const size_t sizes[] = {0, 1, sizeof(struct aipc_header) - 1, sizeof text};
    for (size_t i = 0; i < 4; i++) {
        new_path();
        const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        CHECK_EQ(write(fd, text, sizes[i]), (long long)sizes[i]);
        close(fd);
        CHECK_EQ(open_path(&A), AIPC_INCOMPATIBLE);
        CHECK_EQ(peek(&info), AIPC_INCOMPATIBLE);
        CHECK_EQ(remove_path(), AIPC_INCOMPATIBLE);
        CHECK(leaks_exists(path));
        unlink(path);
    }
    new_path(); /* a copy is not the segment */
    create_with(&A, 0, 4);
    const int copy = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CHECK_EQ(write(copy, A.base, SIZE), SIZE);
    aipc_segment_init(&B, copy, temporary);
    CHECK_EQ(aipc_segment_open(&B), AIPC_INCOMPATIBLE);
    unlink(temporary);
    fixture_detach(&A);
    OK(remove_path());
    aipc_segment_init(&B, open("/dev/null", O_RDWR | O_CLOEXEC), "");
    CHECK_EQ(aipc_segment_open(&B), AIPC_INCOMPATIBLE);
    CHECK_EQ(leaks_fds(), fds);
}

/* ---- fork -------------------------------------------------------------------------------------- */

static void a_forked_child_is_nobody_until_it_attaches(void) {
    uint32_t bell, *words = shared_words();
    int fd;
    words[0] = words[1] = 0;
    new_path();
    create_with(&A, AIPC_FLAG_LAST_DETACH, 4);
    struct aipc_lock *lock = fixture_lock(&A);
    OK(aipc_bell_take(&A, &bell, &fd));
    OK(aipc_lock_try(&A, lock));
    const uint64_t word = lock->word, life = A.slots[A.slot].life;
    const pid_t pid = fork();
    if (pid == 0) {
        aipc_ctx *ctx;
        CHECK_EQ(aipc_ctx_enter(&A, &ctx), AIPC_FORKED);
        CHECK_EQ(aipc_lock_try(&A, lock), AIPC_FORKED);
        CHECK(!aipc_lock_release_fast(&A, lock));
        CHECK_EQ(fcntl(fd, F_GETFD), -1); /* the parent's wake-ups are not ours to read */
        OK(aipc_segment_reattach(&A));
        OK(aipc_segment_reattach(&A)); /* again: nothing to do */
        CHECK(A.slot != 0);
        CHECK_EQ(aipc_lock_try(&A, lock), AIPC_AGAIN);
        check_sound(&A);
        (void)fixture_object(&A, "child's", 5, 100);
        OK(aipc_bell_take(&A, &bell, &fd));
        shared_set(&words[0], 1);
        shared_wait(&words[1], 1);
        fixture_detach(&A);
        _exit(0);
    }
    shared_wait(&words[0], 1);
    CHECK_EQ(leaks_entries(bells), 2);
    CHECK_EQ(lock->word, word);
    CHECK_EQ(A.slots[A.slot].life, life);
    aipc_participant_info infos[8];
    CHECK_EQ(participants(&A, infos), 2);
    CHECK(infos[0].self && infos[0].alive && infos[1].alive && infos[1].pid == (uint64_t)pid);
    shared_set(&words[1], 1);
    CHECK(!harness_was_killed(pid));
    CHECK_EQ(participants(&A, infos), 1);
    CHECK(leaks_exists(path));
    CHECK_EQ(leaks_entries(bells), 1);

    aipc_bell_woken(&A, bell);
    CHECK(!aipc_bell_arm(&A, bell)); /* and the parent's bell still rings */
    aipc_bell_ring_all(&A);
    OK(aipc_os_poll2(fd, -1, 0));
    check_sound(&A);
    CHECK(aipc_lock_release_fast(&A, lock));
    fixture_detach(&A);
    CHECK(!leaks_exists(path) && !leaks_exists(bells));
}

/* The child neither attaches nor goes away: its parent's death must be seen all the same. */
static void a_forked_child_does_not_hide_its_parents_death(void) {
    uint32_t *words = shared_words();
    words[0] = 0;
    new_path();
    create_with(&A, 0, 4);
    const pid_t parent = fork();
    if (parent == 0) {
        OK(open_path(&B));
        const pid_t child = fork();
        if (child == 0)
            for (;;) pause();
        shared_set(&words[1], (uint32_t)child);
        shared_set(&words[0], 1);
        for (;;) pause();
    }
    shared_wait(&words[0], 1);
    CHECK(kill(parent, SIGKILL) == 0);
    CHECK(harness_was_killed(parent));
    CHECK(kill((pid_t)words[1], 0) == 0);
    uint32_t recovered;
    aipc_ctx *ctx = enter(&A);
    OK(aipc_recover_all(ctx, &recovered));
    aipc_ctx_leave(ctx);
    CHECK_EQ(recovered, 1);
    CHECK_EQ(leaks_entries(bells), 1);
    CHECK(kill((pid_t)words[1], SIGKILL) == 0);
    fixture_detach(&A);
    OK(remove_path());
}

/* A last_detach segment that its parent left: the child must not take away a name that is another's by now. */
static void a_child_left_alone_does_not_touch_a_stranger_of_the_same_name(void) {
    uint32_t *words = shared_words();
    words[0] = 0;
    new_path();
    create_with(&A, AIPC_FLAG_LAST_DETACH, 4);
    const pid_t pid = fork();
    if (pid == 0) {
        shared_wait(&words[0], 1);
        const aipc_status status = aipc_segment_reattach(&A);
        CHECK(status == AIPC_GONE || status == AIPC_OK);
        fixture_detach(&A);
        _exit(0);
    }
    fixture_detach(&A);
    CHECK(!leaks_exists(path));
    create_with(&B, 0, 4);
    shared_set(&words[0], 1);
    CHECK(!harness_was_killed(pid));
    CHECK(leaks_exists(path));
    fixture_detach(&B);
    OK(remove_path());
}

#ifdef AIPC_HOOK
static int fork_at;
static pid_t bystander;

static int wake_at;

/* Another process leaves at this very moment; it may have to wait for us, so it is not waited for long. */
static void maybe_wake(enum aipc_hook_kind kind) {
    (void)kind;
    if (wake_at == 0 || --wake_at != 0) return;
    uint32_t *words = shared_words();
    shared_set(&words[1], 1);
    for (int i = 0; i < 100 && __atomic_load_n(&words[2], __ATOMIC_SEQ_CST) == 0; i++) usleep(100);
}

static void of_two_who_leave_one_is_the_last_at_any_moment(void) {
    crash_other = maybe_wake;
    uint32_t *words = shared_words();
    bool woken = true;
    for (int k = 1; woken; k++) {
        NOTE("the other leaves at point %d", k);
        new_path();
        words[0] = words[1] = words[2] = 0;
        create_with(&A, AIPC_FLAG_LAST_DETACH, 4);
        const pid_t child = fork();
        if (child == 0) {
            OK(open_path(&B));
            shared_set(&words[0], 1);
            while (__atomic_load_n(&words[1], __ATOMIC_SEQ_CST) == 0) {}
            OK(aipc_segment_detach(&B));
            shared_set(&words[2], 1);
            _exit(0);
        }
        shared_wait(&words[0], 1);
        wake_at = k;
        OK(aipc_segment_detach(&A));
        woken = wake_at == 0;
        wake_at = 0;
        shared_set(&words[1], 1);
        CHECK(!harness_was_killed(child));
        CHECK(!leaks_exists(path));
        CHECK(!leaks_exists(bells));
    }
    crash_other = NULL;
}

static void *fork_bystander(void *arg) {
    const pid_t pid = fork();
    if (pid == 0) {
        const struct timespec forever = {1000, 0};
        nanosleep(&forever, NULL);
        _exit(0);
    }
    __atomic_store_n(&bystander, pid, __ATOMIC_SEQ_CST);
    return arg;
}

/* Another thread forks a child at this very moment, or as soon as it may. */
static pthread_t forker;
static void maybe_fork(enum aipc_hook_kind kind) {
    if (fork_at == 0 || kind != AIPC_HOOK_SYSCALL || --fork_at != 0) return;
    CHECK(pthread_create(&forker, NULL, fork_bystander, NULL) == 0);
    for (int i = 0; i < 50 && __atomic_load_n(&bystander, __ATOMIC_SEQ_CST) == 0; i++) usleep(100);
}

/* Whatever was held while a bystander was forked must not stay held as long as the bystander lives. */
static void a_child_forked_at_any_moment_keeps_no_lock(void) {
    crash_other = maybe_fork;
    uint32_t *said = shared_words();
    for (int k = 1;; k++) {
        NOTE("fork at system call %d", k);
        new_path();
        create_with(&B, 0, 4);
        *said = 0;
        const pid_t dead = peer(said); /* somebody to recover while we open */
        CHECK(kill(dead, SIGKILL) == 0);
        CHECK(harness_was_killed(dead));
        bystander = 0;
        fork_at = k;
        OK(open_path(&A));
        check_sound(&A);
        OK(aipc_segment_detach(&A));
        const bool forked = fork_at == 0;
        fork_at = 0;
        if (forked) CHECK(pthread_join(forker, NULL) == 0);

        B.stall_ns = 20000000;
        int error;
        OK(aipc_os_test_bytes(B.fd, AIPC_LIVENESS_BASE + 1, AIPC_MAX_PARTICIPANTS - 1, &error));
        OK(aipc_os_test_bytes(B.fd, AIPC_GATE_BYTE, 1, &error));
        if (bystander > 0) {
            CHECK(kill(bystander, SIGKILL) == 0);
            CHECK(harness_was_killed(bystander));
        }
        fixture_detach(&B);
        OK(remove_path());
        if (!forked) break;
    }
    crash_other = NULL;
}
#endif

/* ---- descriptors closed behind our back ---------------------------------------------------------- */

/* What a daemonizer does: closes everything, and opens files of its own under the same numbers. */
static void close_all_and_open_strangers(int strangers[], int count) {
    CHECK(syscall(SYS_close_range, 3, ~0U, 0) == 0);
    for (int i = 0; i < count; i++) {
        strangers[i] = open("/dev/shm", O_RDWR | O_TMPFILE, 0600);
        CHECK(strangers[i] >= 0);
    }
}

static void closing_all_descriptors_does_not_look_like_death(void) {
    enum { STRANGERS = 40 };
    for (int with_strangers = 0; with_strangers < 2; with_strangers++) {
        uint32_t *words = shared_words();
        words[0] = words[1] = 0;
        new_path();
        create_with(&A, AIPC_FLAG_LAST_DETACH, 4);
        const pid_t pid = fork();
        if (pid == 0) {
            uint32_t bell, node;
            int fd, strangers[STRANGERS];
            uint64_t payload;
            struct stat st;
            OK(open_path(&B));
            struct aipc_lock *lock = fixture_lock(&B);
            OK(aipc_bell_take(&B, &bell, &fd));
            aipc_bell_ring_all(&B); /* and caches the other's bell */
            close_all_and_open_strangers(strangers, with_strangers ? STRANGERS : 0);
            OK(aipc_lock_try(&B, lock));
            shared_set(&words[0], 1);
            shared_wait(&words[1], 1); /* the parent waits for the lock, armed */
            aipc_ctx *ctx = enter(&B);
            OK(aipc_lock_release_slow(ctx, lock));
            CHECK_EQ(aipc_lock_wait(ctx, lock, bell, 1, false, &node), AIPC_AGAIN);
            OK(aipc_lock_cancel(ctx, lock, node));
            OK(aipc_heap_allocate(ctx, 100, 16, 0, NULL, &payload));
            OK(aipc_deallocate(ctx, payload));
            aipc_ctx_leave(ctx);
            (void)fixture_object(&B, "other", 5, 100);
            check_sound(&B);
            shared_set(&words[0], 2);
            shared_wait(&words[1], 2);
            fixture_detach(&B);
            for (int i = 0; with_strangers && i < STRANGERS; i++) {
                CHECK(fstat(strangers[i], &st) == 0); /* not closed */
                CHECK_EQ(st.st_size, 0);              /* and nothing written into it */
            }
            _exit(0);
        }
        shared_wait(&words[0], 1);
        uint32_t recovered, bell, node;
        int fd;
        OK(aipc_bell_take(&A, &bell, &fd));
        aipc_ctx *ctx = enter(&A);
        OK(aipc_recover_all(ctx, &recovered));
        CHECK_EQ(recovered, 0);
        struct aipc_lock *lock = fixture_lock(&A);
        CHECK_EQ(aipc_lock_try_recover(ctx, lock), AIPC_AGAIN);
        CHECK_EQ(aipc_lock_wait(ctx, lock, bell, 1, false, &node), AIPC_AGAIN);
        aipc_bell_woken(&A, bell);
        CHECK(!aipc_bell_arm(&A, bell));
        shared_set(&words[1], 1);
        OK(aipc_os_poll2(fd, -1, 2000000000)); /* rung all the same */
        shared_wait(&words[0], 2);
        OK(aipc_lock_look(ctx, lock, node));
        aipc_ctx_leave(ctx);
        CHECK(aipc_lock_release_fast(&A, lock));
        shared_set(&words[1], 2);
        CHECK(!harness_was_killed(pid));
        aipc_participant_info infos[8];
        CHECK_EQ(participants(&A, infos), 1);
        CHECK_EQ(leaks_entries(bells), 1);
        fixture_detach(&A);
        CHECK(!leaks_exists(path) && !leaks_exists(bells));
    }
}

/* ---- users ------------------------------------------------------------------------------------- */

static void another_user_may_ring_the_bells_of_a_segment_open_to_all(void) {
    if (geteuid() != 0) {
        fprintf(stderr, "  skipped: not root\n");
        return;
    }
    uint32_t *words = shared_words(), bell, node;
    int fd;
    words[0] = words[1] = 0;
    new_path();
    aipc_create_options options = options_of(AIPC_FLAG_LAST_DETACH, 4);
    options.mode = 0666;
    OK(create(&A, &options));
    CHECK(chmod(path, 0666) == 0);
    struct aipc_lock *lock = fixture_lock(&A);
    const pid_t pid = fork();
    if (pid == 0) {
        CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
        OK(open_path(&B));
        struct aipc_lock *theirs = fixture_lock(&B);
        OK(aipc_lock_try(&B, theirs));
        shared_set(&words[0], 1);
        shared_wait(&words[1], 1);
        aipc_ctx *ctx = enter(&B);
        OK(aipc_lock_release_slow(ctx, theirs));
        aipc_ctx_leave(ctx);
        shared_wait(&words[1], 2);
        fixture_detach(&B);
        _exit(0);
    }
    shared_wait(&words[0], 1);
    OK(aipc_bell_take(&A, &bell, &fd));
    aipc_ctx *ctx = enter(&A);
    CHECK_EQ(aipc_lock_wait(ctx, lock, bell, 1, false, &node), AIPC_AGAIN);
    aipc_bell_woken(&A, bell);
    CHECK(!aipc_bell_arm(&A, bell));
    shared_set(&words[1], 1);
    OK(aipc_os_poll2(fd, -1, 2000000000));
    OK(aipc_lock_look(ctx, lock, node));
    aipc_ctx_leave(ctx);
    CHECK(aipc_lock_release_fast(&A, lock));
    shared_set(&words[1], 2);
    CHECK(!harness_was_killed(pid));
    fixture_detach(&A);
    CHECK(!leaks_exists(path) && !leaks_exists(bells));
}

/* ---- death ------------------------------------------------------------------------------------- */
#ifdef AIPC_HOOK

static int sweep_fds;
static uint64_t sweep_blocks;

static void forget_segment(void) {
    int error;
    if (path[0] != '\0') unlink(path), unlink(temporary);
    if (bells[0] != '\0') (void)aipc_os_remove_directory(bells, &error);
    bells[0] = '\0';
}

/* Nobody is attached afterwards. */
static void setup_persistent(void *arg) {
    (void)arg;
    forget_segment();
    new_path();
    create_with(&A, 0, 4);
    (void)fixture_lock(&A);
    fixture_detach(&A);
    OK(open_path(&A));
    sweep_blocks = used_blocks(&A);
    fixture_detach(&A);
    sweep_fds = leaks_fds();
}

static void run_open(void *arg) {
    (void)arg;
    OK(open_path(&B));
}

/* The survivor finds everything given back, FIFOs included. */
static void survive_persistent(void *arg) {
    (void)arg;
    OK(open_path(&C));
    check_sound(&C);
    aipc_participant_info infos[8];
    CHECK_EQ(participants(&C, infos), 1);
    CHECK_EQ(used_blocks(&C), sweep_blocks);
    CHECK_EQ(leaks_entries(bells), 1);
    fixture_detach(&C);
    CHECK_EQ(leaks_entries(bells), 0);
    CHECK_EQ(leaks_fds(), sweep_fds);
}

/* The opener takes the slot of somebody dead. */
static void setup_one_dead(void *arg) {
    (void)arg;
    forget_segment();
    new_path();
    create_with(&A, 0, 1);
    (void)fixture_lock(&A);
    (void)fixture_object(&A, "pinned", 5, 100);
    fixture_detach(&A);
    OK(open_path(&A));
    sweep_blocks = used_blocks(&A);
    fixture_detach(&A);
    uint32_t *said = shared_words();
    *said = 0;
    const pid_t child = peer(said);
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(harness_was_killed(child));
    sweep_fds = leaks_fds();
}

static void enter_open(void *arg) {
    (void)arg;
    OK(open_path(&B));
    uint32_t bell;
    int fd;
    OK(aipc_bell_take(&B, &bell, &fd));
    OK(aipc_bell_take(&B, &bell, &fd));
    (void)fixture_lock(&B);
    uint64_t payload;
    aipc_ctx *ctx = enter(&B);
    OK(aipc_owned_allocate(ctx, 500, 16, &payload));
    aipc_ctx_leave(ctx);
}
static void run_detach(void *arg) {
    (void)arg;
    OK(aipc_segment_detach(&B));
}

static void setup_last_detach(void *arg) {
    (void)arg;
    forget_segment();
    new_path();
    sweep_fds = leaks_fds();
}
/* The bell directory's name has to come out of the child that made it. */
static void enter_create(void *arg) {
    (void)arg;
    create_with(&B, AIPC_FLAG_LAST_DETACH, 4);
    strcpy((char *)(shared_words() + 16), bells);
}
/* Its owner was killed somewhere in its detach: the next look leaves nothing of it, neither name nor bells. */
static void survive_last_detach(void *arg) {
    (void)arg;
    strcpy(bells, (char *)(shared_words() + 16));
    const aipc_status status = open_path(&C);
    CHECK(status == AIPC_NOT_FOUND || status == AIPC_GONE);
    CHECK(!leaks_exists(path) && !leaks_exists(bells));
    CHECK_EQ(leaks_fds(), sweep_fds);
}

static void setup_removal(void *arg) {
    setup_persistent(arg);
    OK(open_path(&A));
}
static void run_remove(void *arg) {
    (void)arg;
    OK(remove_path());
}
/* Whether or not the name went, once it is removed and all have left nothing remains. */
static void survive_removal(void *arg) {
    (void)arg;
    const aipc_status status = remove_path();
    CHECK(status == AIPC_OK || status == AIPC_NOT_FOUND);
    fixture_detach(&A);
    CHECK(!leaks_exists(path));
    CHECK(!leaks_exists(bells));
}

static void run_create(void *arg) {
    (void)arg;
    create_with(&B, 0, 4);
}
/* A half-made object, and its bells, may remain; they disturb nobody. */
static void survive_creation(void *arg) {
    (void)arg;
    struct aipc_header header;
    int error;
    const int fd = open(leaks_exists(temporary) ? temporary : path, O_RDONLY | O_CLOEXEC);
    char left[96] = "";
    if (fd >= 0 && read(fd, &header, sizeof header) == sizeof header) aipc_bell_directory(header.uuid, left);
    if (fd >= 0) close(fd);
    unlink(temporary);
    if (leaks_exists(path)) { /* linked before its maker died */
        OK(open_path(&C));
    } else {
        create_with(&C, 0, 4);
    }
    aipc_participant_info infos[8];
    check_sound(&C);
    CHECK_EQ(participants(&C, infos), 1);
    CHECK_EQ(leaks_entries(C.bell_path), 1);
    fixture_detach(&C);
    const aipc_status removed = remove_path(); /* AIPC_NOT_FOUND: an earlier survivor was killed while it did that */
    CHECK(removed == AIPC_OK || removed == AIPC_NOT_FOUND);
    CHECK(!leaks_exists(path));
    if (left[0] != '\0') (void)aipc_os_remove_directory(left, &error);
    CHECK_EQ(leaks_fds(), sweep_fds);
}
static void setup_creation(void *arg) {
    (void)arg;
    forget_segment();
    new_path();
    sweep_fds = leaks_fds();
}

static void setup_forked(void *arg) {
    (void)arg;
    if (A.base != NULL) fixture_detach(&A);
    forget_segment();
    new_path();
    create_with(&A, 0, 4);
    (void)fixture_lock(&A);
    sweep_blocks = used_blocks(&A);
    sweep_fds = leaks_fds();
}
static void run_reattach(void *arg) {
    (void)arg;
    OK(aipc_segment_reattach(&A));
    (void)fixture_lock(&A);
    fixture_detach(&A);
}
static void survive_forked(void *arg) {
    (void)arg;
    const int fds = leaks_fds(); /* a nested survivor is a forked child: fewer */
    OK(open_path(&C));
    check_sound(&C);
    aipc_participant_info infos[8];
    CHECK_EQ(participants(&C, infos), 2); /* the parent's is untouched */
    CHECK(infos[0].alive && infos[0].slot == A.slot && infos[0].generation == A.generation);
    CHECK_EQ(leaks_entries(bells), 2);
    CHECK_EQ(used_blocks(&C), sweep_blocks);
    fixture_detach(&C);
    CHECK_EQ(leaks_entries(bells), 1);
    CHECK_EQ(leaks_fds(), fds);
}

static const struct scenario opening = {setup_persistent, NULL, run_open, survive_persistent, NULL};
static const struct scenario taking_over = {setup_one_dead, NULL, run_open, survive_persistent, NULL};
static const struct scenario leaving = {setup_persistent, enter_open, run_detach, survive_persistent, NULL};
static const struct scenario leaving_last = {setup_last_detach, enter_create, run_detach, survive_last_detach, NULL};
static const struct scenario removing = {setup_removal, NULL, run_remove, survive_removal, NULL};
static const struct scenario creating = {setup_creation, NULL, run_create, survive_creation, NULL};
static const struct scenario reattaching = {setup_forked, NULL, run_reattach, survive_forked, NULL};

static void sweep(const char *what, const struct scenario *s, bool nested) {
    const uint64_t deaths = crash_sweep(s), recoverers = nested ? crash_sweep_nested(s) : 0;
    fprintf(stderr, "  %-12s %5" PRIu64 " deaths, %6" PRIu64 " recoverers' deaths\n", what, deaths, recoverers);
    CHECK(deaths > 10 && (!nested || recoverers > 50));
    if (A.base != NULL) fixture_detach(&A);
    forget_segment();
}

static void an_opener_may_die_anywhere(void) { sweep("open", &opening, true); }
static void an_opener_may_die_in_a_dead_ones_slot(void) { sweep("take over", &taking_over, true); }
static void a_leaver_may_die_anywhere(void) { sweep("detach", &leaving, true); }
static void the_last_leaver_may_die_anywhere(void) { sweep("last detach", &leaving_last, true); }
static void a_remover_may_die_anywhere(void) { sweep("remove", &removing, false); }
/* Nested in the short form only: all pairs would take half an hour. */
static void a_creator_may_die_anywhere(void) { sweep("create", &creating, !harness_full()); }
static void a_forked_child_may_die_while_it_attaches(void) { sweep("reattach", &reattaching, true); }
#endif

int main(void) {
    RUN(a_memfd_is_created_opened_and_left);
    RUN(a_named_segment_stays_until_it_is_removed);
    RUN(options_outside_their_range_are_refused);
    RUN(the_minimum_is_enough);
    RUN(a_full_filesystem_is_an_error_not_a_signal);
    RUN(when_all_slots_are_alive_there_is_none_left);
    RUN(a_dead_slot_is_settled_before_it_is_used_again);
    RUN(the_last_one_out_removes_it);
    RUN(of_many_who_leave_at_once_one_is_the_last);
    RUN(when_the_last_one_was_killed_the_next_look_finishes_it_off);
    RUN(a_segment_removed_while_attached_lives_on_without_its_name);
    RUN(a_late_opener_leaves_nothing_behind);
    RUN(files_that_are_no_segments_are_refused);
    RUN(a_forked_child_is_nobody_until_it_attaches);
    RUN(a_forked_child_does_not_hide_its_parents_death);
    RUN(a_child_left_alone_does_not_touch_a_stranger_of_the_same_name);
    RUN(closing_all_descriptors_does_not_look_like_death);
    RUN(another_user_may_ring_the_bells_of_a_segment_open_to_all);
#ifdef AIPC_HOOK
    crash_nested_budget = 12;
    RUN(of_two_who_leave_one_is_the_last_at_any_moment);
    RUN(a_child_forked_at_any_moment_keeps_no_lock);
    RUN(an_opener_may_die_anywhere);
    RUN(an_opener_may_die_in_a_dead_ones_slot);
    RUN(a_leaver_may_die_anywhere);
    RUN(the_last_leaver_may_die_anywhere);
    RUN(a_remover_may_die_anywhere);
    RUN(a_creator_may_die_anywhere);
    RUN(a_forked_child_may_die_while_it_attaches);
#endif
    return SUMMARY();
}
