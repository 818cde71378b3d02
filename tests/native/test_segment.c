// variants: plain asan hook
/* A segment is created, opened, looked at and left; what is no segment is refused. */
#include "named_segment.h"
#ifdef AIPC_HOOK
#include "crash.h"
#endif

#include <sched.h>
#include <sys/mount.h>

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
    CHECK(!leaks_exists(fixture_bells)); /* the last one takes them along */
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
    memcpy(fixture_object(&A, "word", 105, 8), "kept  .", 8);
    fixture_detach(&A);
    OK(peek(&info));
    CHECK(!info.alive && info.state == AIPC_STATE_READY);
    OK(open_path(&B));
    CHECK(memcmp(fixture_object(&B, "word", 105, 8), "kept  .", 8) == 0);
    fixture_detach(&B);
    CHECK(!leaks_exists(bells));
    OK(remove_path());
    CHECK(!leaks_exists(path) && !leaks_exists(bells));
    CHECK_EQ(remove_path(), AIPC_NOT_FOUND);
    CHECK_EQ(leaks_fds(), fds);
}

static void options_outside_their_range_are_refused(void) {
    const int fds = leaks_fds();
    const uint64_t least = aipc_segment_minimum(SIZE, 4);
    const aipc_create_options bad[] = {
        {SIZE, SIZE, 0, 0, 0600, 0},        {SIZE, SIZE, AIPC_MAX_PARTICIPANTS + 1, 0, 0600, 0},
        {SIZE + 8, SIZE + 8, 4, 0, 0600, 0}, {SIZE, SIZE - 16, 4, 0, 0600, 0},
        {0, SIZE, 4, 0, 0600, 0},           {16, 16, 1, 0, 0600, 0},
        {least / 16 * 16 - 16, SIZE, 4, 0, 0600, 0},
        {SIZE, UINT64_C(1) << 47, 4, 0, 0600, 0}, {UINT64_MAX - 15, UINT64_MAX, 4, 0, 0600, 0},
        {SIZE, SIZE, UINT32_MAX, 0, 0600, 0}};
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
    aipc_segment_init(&B, open("/dev/null", O_RDWR | O_CLOEXEC), "");
    CHECK_EQ(aipc_segment_open(&B), AIPC_INCOMPATIBLE);
    CHECK_EQ(leaks_fds(), fds);
}

int main(void) {
    RUN(a_memfd_is_created_opened_and_left);
    RUN(a_named_segment_stays_until_it_is_removed);
    RUN(options_outside_their_range_are_refused);
    RUN(the_minimum_is_enough);
    RUN(a_full_filesystem_is_an_error_not_a_signal);
    RUN(files_that_are_no_segments_are_refused);
    return SUMMARY();
}
