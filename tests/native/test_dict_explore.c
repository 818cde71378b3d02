// variants: hook
/* Every interleaving of a reader with replacing, deleting, rebuilding and clearing, and of two writers: the proof that
 * hazards keep a reader out of freed memory, and that it misses nothing that is there. */
#define aipc_hook explore_hook /* ours comes first: it looks at what the reader is about to read */
#include "explore.h"
#undef aipc_hook
#include "dict_fixture.h"

#include <sched.h>

enum { SIZE = 1 << 16, READER = 0, WRITER = 1, VALUE = 48 };

static uint8_t *pristine; /* the segment before each schedule */
static aipc_ctx *contexts[2];
static aipc_status status[2];
static uint64_t number[2]; /* of the value that was read; the fate of what was written */

/* Memory the reader must not touch any more: what has been freed. */
static struct {
    uint64_t block, size, from, to;
} watched[2];
static bool touched;

static void (*interfere)(void); /* before each time that a hazard is set without the lock */

void aipc_hook(enum aipc_hook_kind kind, const volatile void *word) {
    if (interfere != NULL && word == &ctx->shared->hazard[1] && kind == AIPC_HOOK_RMW && dict->domain.lock == 0) {
        void (*once)(void) = interfere;
        interfere = NULL;
        once();
        interfere = once;
    }
    explorer.run_length = 0; /* long, but no spin: nobody's turn is to end by force */
    explore_hook(kind, word);
    if (explorer.current != READER || kind != AIPC_HOOK_LOAD) return;
    const uint64_t at = (uint64_t)((const volatile uint8_t *)word - seg.base);
    for (int i = 0; i < 2; i++)
        if (at >= watched[i].from && at < watched[i].to) touched = true;
}

static aipc_status wait_for_change(aipc_seg *s, const uint32_t *word, uint32_t seen) {
    (void)s;
    /* As a futex: not when the word has changed already. */
    if (explorer.current >= 0 && *(const volatile uint32_t *)word == seen) explore_wait();
    return AIPC_OK;
}

/* The writer's last step.  Of the watched blocks, those that are free then are out of bounds.  They are overwritten, but for the heap's own
 * words at the end: plain reads of them show as well. */
static void mark_freed(void) {
    if (status[WRITER] == AIPC_OK) status[WRITER] = aipc_dict_collect(contexts[WRITER], dict);
    const int current = explorer.current; /* our own looking is not part of the schedule */
    explorer.current = -1;
    for (int i = 0; i < 2; i++) {
        uint64_t usable;
        uint32_t flags;
        if (watched[i].block == 0 || watched[i].from != 0 ||
            aipc_heap_size_of(&seg, watched[i].block, &usable, &flags) == AIPC_OK)
            continue;
        watched[i].from = watched[i].block - 8;
        watched[i].to = watched[i].block + watched[i].size;
        memset(seg.base + watched[i].block, 0xee, watched[i].size - 32);
    }
    explorer.current = current;
}
static void watch(int i, uint64_t block) {
    uint32_t flags;
    watched[i].block = block;
    CHECK_EQ(aipc_heap_size_of(&seg, block, &watched[i].size, &flags), AIPC_OK);
}

static void reset(void *unused) {
    (void)unused;
    memcpy(seg.base, pristine, SIZE);
    memset(status, 0xff, sizeof status);
    memset(number, 0, sizeof number);
    for (int i = 0; i < 2; i++) watched[i].from = watched[i].to = 0;
    touched = false;
}

static void set(const char *name, uint64_t value) { CHECK_EQ(set_as(ctx, dict, name, VALUE, value), AIPC_OK); }

static uint64_t entry_of(const char *name) {
    aipc_dict_found found;
    CHECK_EQ(get_as(ctx, dict, name, &found), AIPC_OK);
    aipc_dict_done(ctx);
    return found.entry;
}

/* "x" with the value 1 and the entry watched; two others. */
static void begin(void) {
    memset(watched, 0, sizeof watched);
    dict_make(SIZE);
    seg.idle = wait_for_change;
    set("gone", 6); /* a hole: a new table has other places */
    CHECK_EQ(delete_as(ctx, dict, "gone"), AIPC_OK);
    set("first", 7);
    set("x", 1);
    set("third", 8);
    watch(0, entry_of("x"));
    contexts[0] = ctx;
    CHECK_EQ(aipc_ctx_enter(&seg, &contexts[1]), AIPC_OK);
}
static void ready(void) {
    pristine = malloc(SIZE);
    memcpy(pristine, seg.base, SIZE);
}
static void end(void) {
    reset(NULL);
    free(pristine);
    aipc_ctx_leave(contexts[1]);
    dict_drop();
}

/* One more write publishes the new table; the old one is watched. */
static void almost_rebuilt(void) {
    for (int i = 0; dict->building == 0; i++) {
        set(numbered(0), 2);
        if (dict->building == 0) CHECK_EQ(delete_as(ctx, dict, numbered(0)), AIPC_OK);
        CHECK(i < 16);
    }
    const struct aipc_dict_table *next = (void *)(seg.base + dict->building);
    while (dict->cleared < next->capacity) set(numbered(0), 2); /* few keys: they are moved in one step */
    CHECK(dict->building != 0 && dict->mark == 0);
    watch(1, dict->table);
}

static struct explored all_schedules(void (*body)(int, void *), bool (*holds)(void *)) {
    const struct exploration plan = {.threads = 2, .preemptions = harness_full() ? 3 : 2,
                                     .max_schedules = harness_full() ? 1000000 : 25000,
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
    if (aipc_dict_collect(ctx, dict) != AIPC_OK || dict->retired != 0) return false;
    if (aipc_heap_check(ctx, &report) != AIPC_OK || aipc_dict_check(ctx, dict, &report) != AIPC_OK) return false;
    show_findings(&report);
    for (int i = 0; i < 2; i++)
        if (!no_orphans(contexts[i])) return false;
    return report.findings == 0 && report.parts == report.part_blocks;
}

/* ---- one reader, one writer -------------------------------------------------------------------- */

/* What the value says it is; 0 when it is torn. */
static uint64_t value_of(const aipc_dict_found *f) {
    return f->value_size == VALUE && value_is(f, VALUE, f->value[0]) ? f->value[0] : 0;
}
static void read_x(void) {
    aipc_dict_found found;
    status[READER] = get_as(contexts[READER], dict, "x", &found);
    if (status[READER] != AIPC_OK) return;
    number[READER] = value_of(&found);
    aipc_dict_done(contexts[READER]);
}

static void (*writes)(void);
static void read_or_write(int thread, void *unused) {
    (void)unused;
    if (thread == READER) {
        read_x();
    } else {
        writes();
        mark_freed();
    }
}

static void replace_x(void) { status[WRITER] = set_as(contexts[WRITER], dict, "x", VALUE, 2); }
static void delete_x(void) { status[WRITER] = delete_as(contexts[WRITER], dict, "x"); }
static void clear_all(void) { status[WRITER] = aipc_dict_clear(contexts[WRITER], dict); }
static void rebuild(void) { status[WRITER] = set_as(contexts[WRITER], dict, "third", VALUE, 9); }
static void rebuild_and_delete(void) {
    rebuild();
    if (status[WRITER] == AIPC_OK) delete_x();
}
/* From the new table: a slot and a place of the old one still name the old entry. */
static void rebuild_and_replace(void) {
    rebuild();
    if (status[WRITER] == AIPC_OK) replace_x();
}
static void delete_and_insert(void) {
    delete_x();
    if (status[WRITER] == AIPC_OK) replace_x();
}

static bool there_all_the_time(void *unused) {
    (void)unused;
    return !touched && status[WRITER] == AIPC_OK && status[READER] == AIPC_OK &&
           (number[READER] == 1 || number[READER] == 2) && sound_and_tidy();
}
static bool there_or_not(void *unused) {
    (void)unused;
    return !touched && status[WRITER] == AIPC_OK && sound_and_tidy() &&
           (status[READER] == AIPC_NOT_FOUND ||
            (status[READER] == AIPC_OK && (number[READER] == 1 || number[READER] == 2)));
}

static void against(void (*state)(void), void (*operation)(void), bool (*holds)(void *)) {
    begin();
    if (state != NULL) state();
    ready();
    writes = operation;
    check_holds(all_schedules(read_or_write, holds));
    end();
}
static void a_reader_sees_the_old_value_or_the_new_one(void) { against(NULL, replace_x, there_all_the_time); }
static void a_reader_sees_a_deleted_key_or_not(void) { against(NULL, delete_x, there_or_not); }
static void a_reader_sees_a_cleared_dict_or_not(void) { against(NULL, clear_all, there_or_not); }
static void a_reader_survives_delete_and_insert(void) { against(NULL, delete_and_insert, there_or_not); }
static void what_is_there_is_found_during_a_rebuild(void) { against(almost_rebuilt, rebuild, there_all_the_time); }
static void a_reader_of_the_old_table_reads_nothing_freed(void) {
    against(almost_rebuilt, rebuild_and_delete, there_or_not);
    against(almost_rebuilt, rebuild_and_replace, there_all_the_time);
}

static void without_hazards_it_would(void) {
    begin();
    ready();
    ((struct aipc_slot *)(void *)(pristine + aipc_offset(&seg, seg.slots)))->contexts_used = 0; /* nobody is asked */
    writes = replace_x;
    const struct explored e = all_schedules(read_or_write, there_all_the_time);
    CHECK(e.violation != NULL);
    end();
}

/* ---- a slot that changes hands ----------------------------------------------------------------- */

/* Keys of one hash, which no real key has: they share a way, and x's slot comes before y's. */
static aipc_dict_key alike(const char *name) { return (aipc_dict_key){.bytes = name, .size = 1, .hash = 5}; }
static aipc_status put_alike(aipc_ctx *c, const char *name, uint64_t value) {
    const aipc_dict_key key = alike(name);
    aipc_dict_draft draft;
    const aipc_status made = aipc_dict_draft_make(c, dict, &key, NULL, 0, VALUE, &draft);
    if (made != AIPC_OK) return made;
    value_fill(draft.value, VALUE, value);
    return aipc_dict_put(c, dict, &draft, AIPC_DICT_ALWAYS, 0, NULL, NULL);
}
static void read_or_take_over(int thread, void *unused) {
    (void)unused;
    if (thread == READER) {
        aipc_dict_found found;
        const aipc_dict_key y = alike("y");
        status[READER] = aipc_dict_get(contexts[READER], dict, &y, &found);
        if (status[READER] == AIPC_OK) number[READER] = value_of(&found);
        aipc_dict_done(contexts[READER]);
    } else {
        const aipc_dict_key x = alike("a");
        status[WRITER] = aipc_dict_delete(contexts[WRITER], dict, &x, 0, NULL);
        if (status[WRITER] == AIPC_OK) status[WRITER] = put_alike(contexts[WRITER], "z", 3);
        mark_freed();
    }
}
static bool y_was_found(void *unused) {
    (void)unused;
    return !touched && status[READER] == AIPC_OK && number[READER] == 2 && status[WRITER] == AIPC_OK;
}
static void a_key_is_found_while_a_slot_before_its_own_changes_hands(void) {
    begin();
    CHECK_EQ(put_alike(ctx, "a", 1), AIPC_OK);
    CHECK_EQ(put_alike(ctx, "y", 2), AIPC_OK);
    ready();
    check_holds(all_schedules(read_or_take_over, y_was_found));
    end();
}

/* ---- a reader that is never lucky -------------------------------------------------------------- */
static uint64_t replaced;
static void replace_again(void) {
    replaced++;
    CHECK_EQ(set_as(contexts[WRITER], dict, "x", VALUE, 1 + replaced % 200), AIPC_OK);
}
/* Every time it looks at the entry, that has just been replaced: in the end it asks for the lock. */
static void a_reader_that_is_always_late_takes_the_lock(void) {
    begin();
    ready();
    aipc_dict_found found;
    replaced = 0;
    interfere = replace_again;
    CHECK_EQ(get_as(ctx, dict, "x", &found), AIPC_OK);
    CHECK(replaced >= 64);
    for (int i = 0; i < 10; i++) replace_again();
    CHECK(value_of(&found) != 0 && found.value[0] == 1 + (replaced - 10) % 200);
    interfere = NULL;
    aipc_dict_done(ctx);
    CHECK_EQ(get_as(ctx, dict, "missing", &found), AIPC_NOT_FOUND);
    end();
}

/* ---- iteration --------------------------------------------------------------------------------- */
static uint64_t came[2]; /* how often: x, all */
static void walk_or_write(int thread, void *unused) {
    (void)unused;
    if (thread == WRITER) {
        writes();
        mark_freed();
        return;
    }
    aipc_dict_cursor cursor = {0};
    aipc_dict_found found;
    uint64_t last = 0;
    came[0] = came[1] = 0;
    while ((status[READER] = aipc_dict_next(contexts[READER], dict, &cursor, &found)) == AIPC_OK) {
        if (value_of(&found) == 0 || found.serial <= last) break;
        last = found.serial;
        came[1]++;
        came[0] += found.key_size == 1 && found.key[0] == 'x';
    }
}
static bool each_came_once(void *unused) {
    (void)unused;
    return !touched && status[WRITER] == AIPC_OK && status[READER] == AIPC_NOT_FOUND && came[0] == 1 &&
           came[1] == 4 && sound_and_tidy();
}
static void what_is_there_comes_once_during_a_rebuild(void) {
    begin();
    almost_rebuilt();
    ready();
    writes = rebuild;
    check_holds(all_schedules(walk_or_write, each_came_once));
    end();
}

/* ---- a pin ------------------------------------------------------------------------------------- */
static void pin_or_replace(int thread, void *unused) {
    (void)unused;
    if (thread == WRITER) {
        for (uint64_t i = 0; i < 2; i++) status[WRITER] = set_as(contexts[WRITER], dict, "x", VALUE, 2 + i);
        mark_freed();
        return;
    }
    aipc_dict_found found;
    uint32_t pin;
    status[READER] = get_as(contexts[READER], dict, "x", &found);
    if (status[READER] != AIPC_OK) return;
    status[READER] = aipc_value_pin(&seg, found.entry, &pin);
    aipc_dict_done(contexts[READER]);
    number[READER] = aipc_dict_closed(dict) ? 0 : value_of(&found); /* and a point where the writer may go first */
    aipc_value_unpin(&seg, pin);
}
static bool pinned_value_stayed(void *unused) {
    (void)unused;
    return !touched && status[READER] == AIPC_OK && number[READER] >= 1 && number[READER] <= 3 &&
           status[WRITER] == AIPC_OK && sound_and_tidy();
}
static void a_pinned_value_stays(void) {
    begin();
    ready();
    check_holds(all_schedules(pin_or_replace, pinned_value_stayed));
    end();
}

/* ---- two writers ------------------------------------------------------------------------------- */
static uint64_t version;
static void both_set(int thread, void *unused) {
    (void)unused;
    status[thread] = set_as(contexts[thread], dict, "new", VALUE, 2 + (uint64_t)thread);
}
static void both_compare_and_set(int thread, void *unused) {
    (void)unused;
    status[thread] = put_as(contexts[thread], dict, "x", VALUE, 2, AIPC_DICT_VERSION, version, NULL);
}
static void both_insert(int thread, void *unused) {
    (void)unused;
    status[thread] = put_as(contexts[thread], dict, "new", VALUE, 2, AIPC_DICT_ABSENT, 0, NULL);
    aipc_dict_done(contexts[thread]);
}
static void clear_or_set(int thread, void *unused) {
    (void)unused;
    status[thread] = thread == 0 ? aipc_dict_clear(contexts[0], dict) : set_as(contexts[1], dict, "x", VALUE, 2);
}
static bool is_sound_with(uint64_t keys) { return dict->count == keys && sound_and_tidy(); }
static bool both_did(void *unused) {
    (void)unused;
    return status[0] == AIPC_OK && status[1] == AIPC_OK && is_sound_with(4);
}
static bool one_did(void *unused) {
    (void)unused;
    const aipc_status lost = status[0] == AIPC_OK ? status[1] : status[0];
    return (status[0] == AIPC_OK) != (status[1] == AIPC_OK) && (lost == AIPC_AGAIN || lost == AIPC_EXISTS) &&
           sound_and_tidy();
}
static bool x_or_nothing(void *unused) {
    (void)unused;
    return status[0] == AIPC_OK && status[1] == AIPC_OK && dict->count <= 1 && sound_and_tidy();
}
static void of_two_writers_each_has_its_turn(void) {
    begin();
    ready();
    aipc_dict_found found;
    CHECK_EQ(get_as(ctx, dict, "x", &found), AIPC_OK);
    version = found.version;
    aipc_dict_done(ctx);
    check_holds(all_schedules(both_set, both_did));
    check_holds(all_schedules(both_compare_and_set, one_did));
    check_holds(all_schedules(both_insert, one_did));
    check_holds(all_schedules(clear_or_set, x_or_nothing));
    end();
}

static void both_push_on(int thread, void *unused) {
    (void)unused;
    status[thread] = set_as(contexts[thread], dict, thread == 0 ? "x" : "third", VALUE, 2);
}
static bool rebuilt_once(void *unused) {
    (void)unused;
    return status[0] == AIPC_OK && status[1] == AIPC_OK && dict->rebuilds == 1 && sound_and_tidy();
}
static void two_writers_share_a_rebuild(void) {
    begin();
    almost_rebuilt();
    ready();
    check_holds(all_schedules(both_push_on, rebuilt_once));
    end();
}

int main(void) {
    /* One processor: a lock that is taken is waited for at once, instead of spun on for 200 accesses. */
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    RUN(a_reader_sees_the_old_value_or_the_new_one);
    RUN(a_reader_sees_a_deleted_key_or_not);
    RUN(a_reader_sees_a_cleared_dict_or_not);
    RUN(a_reader_survives_delete_and_insert);
    RUN(what_is_there_is_found_during_a_rebuild);
    RUN(a_reader_of_the_old_table_reads_nothing_freed);
    RUN(without_hazards_it_would);
    RUN(a_key_is_found_while_a_slot_before_its_own_changes_hands);
    RUN(a_reader_that_is_always_late_takes_the_lock);
    RUN(what_is_there_comes_once_during_a_rebuild);
    RUN(a_pinned_value_stays);
    RUN(of_two_writers_each_has_its_turn);
    RUN(two_writers_share_a_rebuild);
    return SUMMARY();
}
