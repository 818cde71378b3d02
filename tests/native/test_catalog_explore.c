// variants: hook
/* Every interleaving of a lookup with destruction, growth and collection, and of two constructors of one name:
 * the proof that hazards keep a reader out of freed memory. */
#define aipc_hook explore_hook /* ours comes first: it looks at what the reader is about to read */
#include "explore.h"
#undef aipc_hook
#include "catalog_fixture.h"

#include <sched.h>

enum { SIZE = 1 << 16, READER = 0 };

static uint8_t *pristine;    /* the segment before each schedule */
static aipc_ctx *contexts[3];
static aipc_status status[3];
static aipc_object_ref refs[3], victim;
static bool created[3];
static uint64_t old_table;

/* Memory the reader must not touch any more: what has been freed. */
static struct {
    uint64_t from, to;
} freed[2];
static bool touched;

void aipc_hook(enum aipc_hook_kind kind, const volatile void *word) {
    explorer.run_length = 0; /* long, but no spin: nobody's turn is to end by force */
    explore_hook(kind, word);
    if (explorer.current != READER || kind != AIPC_HOOK_LOAD) return;
    const uint64_t at = (uint64_t)((const volatile uint8_t *)word - seg.base);
    for (int i = 0; i < 2; i++)
        if (at >= freed[i].from && at < freed[i].to) touched = true;
}

static aipc_status wait_for_change(aipc_seg *s, const uint32_t *word, uint32_t seen) {
    (void)s;
    /* As a futex: not when the word has changed already. */
    if (explorer.current >= 0 && *(const volatile uint32_t *)word == seen) explore_wait();
    return AIPC_OK;
}

static void note_freed(int i, uint64_t block, uint64_t size) {
    uint64_t usable;
    uint32_t flags;
    const int current = explorer.current; /* our own looking is not part of the schedule */
    explorer.current = -1;
    if (aipc_heap_size_of(&seg, block, &usable, &flags) != AIPC_OK) {
        freed[i].from = block;
        freed[i].to = block + size;
    }
    explorer.current = current;
}

static void reset(void *unused) {
    (void)unused;
    memcpy(seg.base, pristine, SIZE);
    memset(status, 0xff, sizeof status);
    memset(freed, 0, sizeof freed);
    memset(created, 0, sizeof created);
    touched = false;
}

static void begin(int names) {
    fixture_make(SIZE);
    seg.idle = wait_for_change;
    char name[16];
    for (int i = 0; i < names; i++) {
        snprintf(name, sizeof name, "base%d", i);
        make(name, 8);
    }
    make("x", 8);
    victim = find("x");
    old_table = seg.catalog->table;
    contexts[0] = ctx;
    for (int i = 1; i < 3; i++) CHECK_EQ(aipc_ctx_enter(&seg, &contexts[i]), AIPC_OK);
    pristine = malloc(SIZE);
    memcpy(pristine, seg.base, SIZE);
}

static void end(void) {
    reset(NULL);
    free(pristine);
    for (int i = 1; i < 3; i++) aipc_ctx_leave(contexts[i]);
    fixture_drop();
}

static struct explored all_schedules(int threads, void (*body)(int, void *), bool (*holds)(void *)) {
    const struct exploration plan = {.threads = threads, .preemptions = harness_full() ? 3 : 2,
                                     .max_schedules = harness_full() ? 1000000 : 60000,
                                     .reset = reset, .body = body, .holds = holds};
    const struct explored e = explore(&plan);
    fprintf(stderr, "   %" PRIu64 " schedules%s\n", e.schedules, e.complete ? "" : ", not all");
    return e;
}

static void check_holds(struct explored e) {
    if (e.violation != NULL) fprintf(stderr, "  %s in schedule %s\n", e.violation, e.schedule);
    CHECK(e.violation == NULL);
}

/* After each schedule, as one process: is everything sound and nothing left over? */
static bool sound_and_tidy(void) {
    static aipc_report report;
    report = (aipc_report){0};
    (void)aipc_catalog_collect(ctx);
    if (aipc_heap_check(ctx, &report) != AIPC_OK || aipc_catalog_check(ctx, &report) != AIPC_OK) return false;
    for (int i = 0; i < 3; i++)
        if (!no_orphans(contexts[i])) return false;
    return report.findings == 0;
}

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
    /* One processor: a lock that is taken is waited for at once, instead of spun on for 200 accesses. */
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    RUN(a_lookup_never_reads_what_was_freed);
    RUN(without_hazards_it_would);
    RUN(a_lookup_survives_the_growth_of_the_table);
    RUN(what_is_there_is_found_while_the_table_grows);
    RUN(of_two_constructors_one_wins);
    RUN(of_two_finders_one_creates_and_both_pin);
    RUN(a_pin_comes_before_the_end_or_not_at_all);
    return SUMMARY();
}
