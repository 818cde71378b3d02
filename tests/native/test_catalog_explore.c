// variants: hook
/* Every interleaving of a lookup with destruction, growth and collection, and of two constructors of one name:
 * the proof that hazards keep a reader out of freed memory. */
#include "catalog_explore.h"

/* ---- lookup and destruction -------------------------------------------------------------------- */
static void look_or_destroy(int thread, void *unused) {
    (void)unused;
    if (thread == READER) {
        status[READER] = find_as(contexts[READER], "x", &refs[READER]);
        return;
    }
    status[1] = aipc_destroy(contexts[1], &victim);
    note_freed(0, victim.object, sizeof(struct aipc_object) + 32);
}

static bool read_rightly(void *unused) {
    (void)unused;
    if (touched || status[1] != AIPC_OK) return false;
    if (status[READER] == AIPC_OK && refs[READER].serial != victim.serial) return false;
    return (status[READER] == AIPC_OK || status[READER] == AIPC_NOT_FOUND) && sound_and_tidy();
}

static void a_lookup_never_reads_what_was_freed(void) {
    begin(2);
    check_holds(all_schedules(2, look_or_destroy, read_rightly));
    end();
}

static void without_hazards_it_would(void) {
    begin(2);
    ((struct aipc_slot *)(void *)(pristine + aipc_offset(&seg, seg.slots)))->contexts_used = 0; /* nobody is asked */
    const struct explored e = all_schedules(2, look_or_destroy, read_rightly);
    CHECK(e.violation != NULL);
    end();
}

/* ---- lookup and growth ------------------------------------------------------------------------- */
static void look_or_grow(int thread, void *unused) {
    (void)unused;
    if (thread == READER) {
        status[READER] = find_as(contexts[READER], "x", &refs[READER]);
        return;
    }
    status[1] = construct_as(contexts[1], "one more", 8, &refs[1]);
    note_freed(1, old_table, 300);
    status[2] = aipc_destroy(contexts[1], &victim); /* from the new table: the old one's slot still names it */
    note_freed(0, victim.object, sizeof(struct aipc_object) + 32);
}

static bool grown_under_a_reader(void *unused) {
    (void)unused;
    if (touched || status[1] != AIPC_OK || status[2] != AIPC_OK || seg.catalog->table == old_table) return false;
    return (status[READER] == AIPC_OK || status[READER] == AIPC_NOT_FOUND) && sound_and_tidy();
}

static void a_lookup_survives_the_growth_of_the_table(void) {
    begin(23); /* and x: one more makes it grow */
    check_holds(all_schedules(2, look_or_grow, grown_under_a_reader));
    end();
}

static void only_grow(int thread, void *unused) {
    (void)unused;
    if (thread == READER) status[READER] = find_as(contexts[READER], "x", &refs[READER]);
    else status[1] = construct_as(contexts[1], "one more", 8, &refs[1]);
}

static bool always_found(void *unused) {
    (void)unused;
    return status[READER] == AIPC_OK && status[1] == AIPC_OK && refs[READER].serial == victim.serial && sound_and_tidy();
}

static void what_is_there_is_found_while_the_table_grows(void) {
    begin(23);
    check_holds(all_schedules(2, only_grow, always_found));
    end();
}

/* ---- constructors ------------------------------------------------------------------------------ */
static void construct_both(int thread, void *unused) {
    (void)unused;
    status[thread] = construct_as(contexts[thread], "new", 8, &refs[thread]);
}

static bool one_constructed(void *unused) {
    (void)unused;
    const int done = (status[0] == AIPC_OK) + (status[1] == AIPC_OK);
    const int refused = (status[0] == AIPC_EXISTS) + (status[1] == AIPC_EXISTS);
    return done == 1 && refused == 1 && refs[0].object == refs[1].object && sound_and_tidy();
}

static void of_two_constructors_one_wins(void) {
    begin(2);
    check_holds(all_schedules(2, construct_both, one_constructed));
    end();
}

static void find_or_construct_both(int thread, void *unused) {
    (void)unused;
    const aipc_object_spec spec = spec_of("new", 8);
    status[thread] = aipc_find_or_construct(contexts[thread], &spec, &refs[thread], &created[thread]);
}

static bool one_created_both_pinned(void *unused) {
    (void)unused;
    return status[0] == AIPC_OK && status[1] == AIPC_OK && created[0] != created[1] &&
           refs[0].object == refs[1].object && refs[0].holding != refs[1].holding &&
           ((struct aipc_object *)(void *)(seg.base + refs[0].object))->pins == 2 && sound_and_tidy();
}

static void of_two_finders_one_creates_and_both_pin(void) {
    begin(2);
    check_holds(all_schedules(2, find_or_construct_both, one_created_both_pinned));
    end();
}

static void destroy_or_pin(int thread, void *unused) {
    (void)unused;
    refs[thread] = victim;
    status[thread] = thread == 0 ? aipc_destroy(contexts[0], &victim) : aipc_pin(contexts[1], &refs[1]);
}

static bool pinned_or_gone(void *unused) {
    (void)unused;
    if (status[0] != AIPC_OK || !sound_and_tidy()) return false;
    if (status[1] == AIPC_NOT_FOUND) return true;
    return status[1] == AIPC_OK && aipc_object_destroyed(&seg, &refs[1]) &&
           aipc_unpin(ctx, seg.slot, refs[1].holding) == AIPC_OK && sound_and_tidy();
}

static void a_pin_comes_before_the_end_or_not_at_all(void) {
    begin(2);
    check_holds(all_schedules(2, destroy_or_pin, pinned_or_gone));
    end();
}

int main(void) {
    on_one_processor();
    RUN(a_lookup_never_reads_what_was_freed);
    RUN(without_hazards_it_would);
    RUN(a_lookup_survives_the_growth_of_the_table);
    RUN(what_is_there_is_found_while_the_table_grows);
    RUN(of_two_constructors_one_wins);
    RUN(of_two_finders_one_creates_and_both_pin);
    RUN(a_pin_comes_before_the_end_or_not_at_all);
    return SUMMARY();
}
