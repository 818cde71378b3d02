// variants: plain asan
/* Copies of segments: whoever opens one gets a whole segment of its own, or is refused. */
#include "named_segment.h"

static uint8_t bytes[SIZE], uuid[16];

/* Writes the bytes under the temporary name, which is opened as *seg. */
static aipc_status open_copy(aipc_seg *seg, size_t size) {
    unlink(temporary);
    const int copy = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CHECK(copy >= 0);
    CHECK_EQ(write(copy, bytes, size), (long long)size);
    aipc_segment_init(seg, copy, temporary);
    return aipc_segment_open(seg);
}

/* Somebody uses the segment; `bytes` are what a copy made now has. */
static struct aipc_lock *use_and_copy(uint32_t flags) {
    uint64_t payload;
    new_path();
    create_with(&A, flags, 4);
    memcpy(uuid, A.header->uuid, sizeof uuid);
    memcpy(fixture_object(&A, "word", 500, 8), "kept  .", 8);
    struct aipc_lock *lock = fixture_lock(&A);
    OK(aipc_lock_try(&A, lock));
    aipc_ctx *ctx = enter(&A);
    OK(aipc_owned_allocate(ctx, 300, 16, &payload));
    OK(aipc_heap_allocate(ctx, 100, 16, 0, &ctx->shared->orphan[0], &payload));
    memcpy(bytes, A.base, SIZE);
    OK(aipc_heap_free(ctx, payload, 0, &ctx->shared->orphan[0]));
    aipc_ctx_leave(ctx);
    return lock;
}

static void end(int fds) {
    if (B.base != NULL) fixture_detach(&B);
    fixture_detach(&A);
    unlink(temporary);
    unlink(path);
    CHECK(!leaks_exists(bells));
    CHECK_EQ(leaks_fds(), fds);
}

static void a_copy_of_a_segment_in_use_becomes_one_of_its_own(void) {
    const int fds = leaks_fds();
    (void)use_and_copy(AIPC_FLAG_LAST_DETACH);
    OK(open_copy(&B, SIZE));
    CHECK(memcmp(B.header->uuid, uuid, sizeof uuid) != 0);
    CHECK(memcmp(A.header->uuid, uuid, sizeof uuid) == 0);
    aipc_participant_info infos[8];
    CHECK_EQ(participants(&B, infos), 1); /* who used the original is no part of it */
    CHECK_EQ(participants(&A, infos), 1);
    CHECK(memcmp(fixture_object(&B, "word", 500, 8), "kept  .", 8) == 0);
    check_sound(&B);
    check_sound(&A);
    char copied_bells[96];
    strcpy(copied_bells, B.bell_path);
    fixture_detach(&B);
    CHECK(!leaks_exists(copied_bells));
    CHECK(leaks_exists(temporary)); /* a copy stays */
    end(fds);
}

static void what_its_users_held_is_given_back(void) {
    const int fds = leaks_fds();
    (void)use_and_copy(0);
    OK(open_copy(&B, SIZE));
    struct aipc_lock *lock = fixture_lock(&B);
    OK(aipc_lock_try(&B, lock));
    CHECK((lock->word & AIPC_LOCK_ABANDONED) != 0); /* what it protects was copied while somebody changed it */
    CHECK_EQ(used_blocks(&B), used_blocks(&A) - 3); /* without the owned block, its record, and one pin */
    end(fds);
}

static void a_copy_is_adopted_once(void) {
    const int fds = leaks_fds();
    uint8_t adopted[16];
    (void)use_and_copy(0);
    OK(open_copy(&B, SIZE));
    memcpy(adopted, B.header->uuid, sizeof adopted);
    const uint32_t generation = B.generation;
    fixture_detach(&B);
    aipc_segment_init(&B, open(temporary, O_RDWR | O_CLOEXEC), temporary);
    OK(aipc_segment_open(&B));
    CHECK(memcmp(B.header->uuid, adopted, sizeof adopted) == 0);
    CHECK(B.generation > generation);
    end(fds);
}

static void a_reboot_ends_everybody_and_keeps_the_identity(void) {
    const int fds = leaks_fds();
    (void)use_and_copy(0);
    OK(open_copy(&B, SIZE));
    memcpy(uuid, B.header->uuid, sizeof uuid);
    OK(aipc_lock_try(&B, fixture_lock(&B)));
    memcpy(bytes, B.base, SIZE); /* as it is on the disk when the power fails */
    fixture_detach(&B);
    const int file = open(temporary, O_RDWR | O_CLOEXEC);
    ((struct aipc_header *)(void *)bytes)->boot_id[0] ^= 1;
    CHECK_EQ(pwrite(file, bytes, SIZE, 0), SIZE);
    aipc_segment_init(&B, file, temporary);
    OK(aipc_segment_open(&B));
    CHECK(memcmp(B.header->uuid, uuid, sizeof uuid) == 0);
    aipc_participant_info infos[8];
    CHECK_EQ(participants(&B, infos), 1);
    check_sound(&B);
    end(fds);
}

/* Each domain in the middle of a change: nothing is taken back or finished, the copy is refused. */
static void a_copy_made_in_the_middle_of_a_change_is_refused(void) {
    const int fds = leaks_fds();
    (void)use_and_copy(0);
    struct aipc_domain *const domains[] = {&A.heap->domain, &A.catalog->domain, &A.waits->domain};
    uint64_t *const words[] = {&A.heap->used_blocks, &A.catalog->count, (uint64_t *)(void *)&A.waits->free_node};
    for (int i = 0; i < 3; i++) {
        NOTE("domain %d", i);
        aipc_ctx *ctx = enter(&A);
        OK(aipc_domain_lock(ctx, domains[i]));
        aipc_tx tx = aipc_tx_begin(&A, domains[i]);
        aipc_tx_set(&tx, words[i], *words[i] + 1);
        memcpy(bytes, A.base, SIZE);
        aipc_tx_abort(&tx);
        aipc_domain_unlock(ctx, domains[i]);
        aipc_ctx_leave(ctx);
        for (int again = 0; again < 2; again++) {
            CHECK_EQ(open_copy(&B, SIZE), AIPC_CORRUPT);
            CHECK(strstr(B.fault.what, "in the middle of a change") != NULL);
        }
    }
    end(fds);
}

static void a_copy_that_the_check_finds_unsound_is_refused(void) {
    const int fds = leaks_fds();
    char left[96];
    (void)use_and_copy(0);
    const uint64_t used = aipc_offset(&A, &A.heap->used_blocks);
    ++*(uint64_t *)(void *)&bytes[used];
    for (int again = 0; again < 2; again++) { /* and stays refused: it never becomes an original */
        CHECK_EQ(open_copy(&B, SIZE), AIPC_CORRUPT);
        CHECK(strncmp(B.fault.what, "H7", 2) == 0);
        strcpy(left, B.bell_path);
        CHECK(!leaks_exists(left));
        const int file = open(temporary, O_RDWR | O_CLOEXEC);
        aipc_segment_init(&B, file, temporary);
        CHECK_EQ(aipc_segment_open(&B), AIPC_CORRUPT);
    }
    end(fds);
}

static void a_truncated_copy_is_refused(void) {
    const int fds = leaks_fds();
    (void)use_and_copy(0);
    for (size_t size = 4096; size < SIZE; size += 4096) CHECK_EQ(open_copy(&B, size), AIPC_CORRUPT);
    end(fds);
}

/* The bells have the name of the original's uuid. */
static void looking_at_a_copy_and_removing_it_leave_the_original_alone(void) {
    const int fds = leaks_fds();
    aipc_segment_info info;
    aipc_fault fault;
    int error;
    (void)use_and_copy(AIPC_FLAG_LAST_DETACH);
    CHECK_EQ(open_copy(&B, 4096), AIPC_CORRUPT);
    const int copy = open(temporary, O_RDWR | O_CLOEXEC);
    CHECK_EQ(pwrite(copy, bytes, SIZE, 0), SIZE);
    OK(aipc_segment_peek(copy, temporary, &info, &fault, &error));
    CHECK(!info.alive && leaks_exists(temporary));
    OK(aipc_segment_remove(copy, temporary, &error));
    close(copy);
    CHECK(!leaks_exists(temporary));
    CHECK_EQ(leaks_entries(bells), 1);
    end(fds);
}

static void a_copy_that_is_open_under_another_identity_is_refused(void) {
    const int fds = leaks_fds();
    (void)use_and_copy(0);
    OK(open_copy(&B, SIZE));
    B.header->inode ^= 1; /* as when two mounts show one file with different numbers */
    aipc_segment_init(&C, open(temporary, O_RDWR | O_CLOEXEC), temporary);
    CHECK_EQ(aipc_segment_open(&C), AIPC_INCOMPATIBLE);
    CHECK(strstr(C.fault.what, "somebody has open") != NULL);
    end(fds);
}

int main(void) {
    RUN(a_copy_of_a_segment_in_use_becomes_one_of_its_own);
    RUN(what_its_users_held_is_given_back);
    RUN(a_copy_is_adopted_once);
    RUN(a_reboot_ends_everybody_and_keeps_the_identity);
    RUN(a_copy_made_in_the_middle_of_a_change_is_refused);
    RUN(a_copy_that_the_check_finds_unsound_is_refused);
    RUN(a_truncated_copy_is_refused);
    RUN(looking_at_a_copy_and_removing_it_leave_the_original_alone);
    RUN(a_copy_that_is_open_under_another_identity_is_refused);
    return SUMMARY();
}
