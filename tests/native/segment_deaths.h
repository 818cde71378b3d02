/* What is killed in the middle of coming and going, and what must be found afterwards: for crash.h and step.h.  The
 * killed creators' bells are left; the tests say so in their first lines. */
#ifndef AIPC_TEST_SEGMENT_DEATHS_H
#define AIPC_TEST_SEGMENT_DEATHS_H

#include "named_segment.h"

static int sweep_fds;
static uint64_t sweep_blocks;

static inline void forget_segment(void) {
    int error;
    if (path[0] != '\0') unlink(path), unlink(temporary);
    if (bells[0] != '\0') (void)aipc_os_remove_directory(bells, &error);
    bells[0] = '\0';
}

/* Nobody is attached afterwards. */
static inline void setup_persistent(void *arg) {
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

static inline void enter_opening(void *arg) {
    (void)arg;
    OK(prepare_open(&B));
}
static inline void run_open(void *arg) {
    (void)arg;
    OK(aipc_segment_open(&B));
}

/* The survivor finds everything given back, FIFOs included. */
static inline void survive_persistent(void *arg) {
    (void)arg;
    OK(open_path(&C));
    check_sound(&C);
    aipc_participant_info infos[8];
    CHECK_EQ(participants(&C, infos), 1);
    CHECK_EQ(used_blocks(&C), sweep_blocks);
    CHECK_EQ(leaks_entries(bells), 1);
    fixture_detach(&C);
    CHECK(!leaks_exists(bells));
    CHECK_EQ(leaks_fds(), sweep_fds);
}

/* The opener takes the slot of somebody dead. */
static inline void setup_one_dead(void *arg) {
    (void)arg;
    forget_segment();
    new_path();
    create_with(&A, 0, 1);
    (void)fixture_lock(&A);
    (void)fixture_object(&A, "pinned", 105, 100);
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

static inline void enter_open(void *arg) {
    (void)arg;
    OK(open_path(&B));
    uint32_t bell;
    int fd;
    OK(aipc_bell_take(&B, &bell, &fd));
    OK(aipc_bell_take(&B, &bell, &fd));
    (void)fixture_lock(&B);
    uint64_t payload;
    aipc_ctx *ctx = enter(&B);
    OK(aipc_owned_allocate(ctx, 105, 16, &payload));
    aipc_ctx_leave(ctx);
}
static inline void run_detach(void *arg) {
    (void)arg;
    OK(aipc_segment_detach(&B));
}

static inline void setup_last_detach(void *arg) {
    (void)arg;
    forget_segment();
    new_path();
    sweep_fds = leaks_fds();
}
/* The bell directory's name has to come out of the child that made it. */
static inline void enter_create(void *arg) {
    (void)arg;
    create_with(&B, AIPC_FLAG_LAST_DETACH, 4);
    strcpy((char *)(shared_words() + 16), bells);
}
/* Its owner was killed somewhere in its detach: the next look leaves nothing of it, neither name nor bells. */
static inline void survive_last_detach(void *arg) {
    (void)arg;
    strcpy(bells, (char *)(shared_words() + 16));
    const aipc_status status = open_path(&C);
    CHECK(status == AIPC_NOT_FOUND || status == AIPC_GONE);
    CHECK(!leaks_exists(path) && !leaks_exists(bells));
    CHECK_EQ(leaks_fds(), sweep_fds);
}

static inline void setup_removal(void *arg) {
    setup_persistent(arg);
    OK(open_path(&A));
}
static inline void run_remove(void *arg) {
    (void)arg;
    OK(remove_path());
}
/* Whether or not the name went, once it is removed and all have left nothing remains. */
static inline void survive_removal(void *arg) {
    (void)arg;
    const aipc_status status = remove_path();
    CHECK(status == AIPC_OK || status == AIPC_NOT_FOUND);
    fixture_detach(&A);
    CHECK(!leaks_exists(path));
    CHECK(!leaks_exists(bells));
}

static inline void enter_creation(void *arg) {
    (void)arg;
    make_object(&B);
}
static inline void run_create(void *arg) {
    (void)arg;
    const aipc_create_options options = options_of(0, 4);
    OK(fill_object(&B, &options));
}
/* A half-made object, and its bells, may remain; they disturb nobody. */
static inline void survive_creation(void *arg) {
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
static inline void setup_creation(void *arg) {
    (void)arg;
    forget_segment();
    new_path();
    sweep_fds = leaks_fds();
}

static inline void setup_forked(void *arg) {
    (void)arg;
    if (A.base != NULL) fixture_detach(&A);
    forget_segment();
    new_path();
    create_with(&A, 0, 4);
    (void)fixture_lock(&A);
    sweep_blocks = used_blocks(&A);
    sweep_fds = leaks_fds();
}
static inline void run_reattach(void *arg) {
    (void)arg;
    OK(aipc_segment_reattach(&A));
    (void)fixture_lock(&A);
    fixture_detach(&A);
}
static inline void survive_forked(void *arg) {
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

/* As if the bytes had been copied here from another file, while somebody held things. */
static inline void setup_copied(void *arg) {
    setup_one_dead(arg);
    struct aipc_header header;
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK_EQ(pread(fd, &header, sizeof header, 0), sizeof header);
    header.inode ^= 1;
    CHECK_EQ(pwrite(fd, &header, sizeof header, 0), sizeof header);
    close(fd);
    sweep_fds = leaks_fds();
}
/* Whole, and with bells of its own. */
static inline void survive_adoption(void *arg) {
    (void)arg;
    OK(open_path(&C));
    check_sound(&C);
    aipc_participant_info infos[8];
    CHECK_EQ(participants(&C, infos), 1);
    CHECK_EQ(used_blocks(&C), sweep_blocks);
    const aipc_object_id id = aipc_id_of(&C);
    CHECK(aipc_header_original(C.header, &id));
    CHECK_EQ(leaks_entries(C.bell_path), 1);
    fixture_detach(&C);
    CHECK_EQ(leaks_fds(), sweep_fds);
}

static const struct scenario opening = {setup_persistent, enter_opening, run_open, survive_persistent, NULL};
static const struct scenario taking_over = {setup_one_dead, enter_opening, run_open, survive_persistent, NULL};
static const struct scenario leaving = {setup_persistent, enter_open, run_detach, survive_persistent, NULL};
static const struct scenario leaving_last = {setup_last_detach, enter_create, run_detach, survive_last_detach, NULL};
static const struct scenario removing = {setup_removal, NULL, run_remove, survive_removal, NULL};
static const struct scenario creating = {setup_creation, enter_creation, run_create, survive_creation, NULL};
static const struct scenario adopting = {setup_copied, enter_opening, run_open, survive_adoption, NULL};
static const struct scenario reattaching = {setup_forked, NULL, run_reattach, survive_forked, NULL};

#endif
