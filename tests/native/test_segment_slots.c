// variants: plain asan hook
/* Every process has a slot; a dead one's can be had, and what was left in it is given back first. */
#include "named_segment.h"
#ifdef AIPC_HOOK
#include "crash.h"
#endif

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
    (void)fixture_object(&A, "pinned", 105, 100);
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
        CHECK(!leaks_exists(bells));
    }
    OK(remove_path());
    CHECK(!leaks_exists(bells));
}

int main(void) {
    RUN(when_all_slots_are_alive_there_is_none_left);
    RUN(a_dead_slot_is_settled_before_it_is_used_again);
    return SUMMARY();
}
