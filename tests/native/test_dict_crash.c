// variants: hook
/* Death at every store of every operation of the dict, and of the recovery after it: each key has wholly the old value
 * or wholly the new one, order and count agree, nothing is leaked, and the next one goes on. */
#include "dict_fixture.h"
#include "crash.h"

enum { VALUE = 40, KEYS = 200, NEW = 1000 }; /* a new value's number is the old one's plus NEW */
static const uint64_t GONE = UINT64_MAX;

/* What the operations work on.  Made by the parent; the child inherits the mapping, not the participation. */
static struct {
    uint64_t keys;                  /* inserted before: key i has the value i */
    void (*prepare)(void);
    void (*operate)(aipc_ctx *c, struct aipc_dict *d);
    bool together;                  /* all keys have the old values, or all the new ones */
} plan;
static uint64_t was[KEYS], will_be[KEYS]; /* numbers before and after; GONE */

static aipc_seg child_seg; /* of whoever dies, and of whoever recovers */
static aipc_ctx *child;
static struct aipc_dict *child_dict;
static aipc_object_ref child_ref;

static void attach(void) {
    aipc_segment_init(&child_seg, dup(fixture_fd), "");
    CHECK_EQ(aipc_segment_open(&child_seg), AIPC_OK);
    CHECK_EQ(aipc_ctx_enter(&child_seg, &child), AIPC_OK);
}
static void enter(void *unused) {
    (void)unused;
    attach();
    child_dict = dict_open(child, &child_ref);
}
static void run(void *unused) {
    (void)unused;
    plan.operate(child, child_dict);
}

static bool made;
static void setup(void *unused) {
    (void)unused;
    if (made) fixture_drop();
    made = true;
    dict_make(1 << 18);
    for (uint64_t i = 0; i < KEYS; i++) was[i] = will_be[i] = GONE;
    for (uint64_t i = 0; i < plan.keys; i++) {
        CHECK_EQ(set_as(ctx, dict, numbered(i), VALUE, i), AIPC_OK);
        was[i] = will_be[i] = i;
    }
    if (plan.prepare != NULL) plan.prepare();
    unpin(&dict_ref); /* survivors must be able to free it */
}

/* ---- survival ---------------------------------------------------------------------------------- */
static uint64_t number_of(uint64_t i) {
    aipc_dict_found found;
    const aipc_status status = get_as(child, child_dict, numbered(i), &found);
    CHECK(status == AIPC_OK || status == AIPC_NOT_FOUND);
    if (status != AIPC_OK) return GONE;
    const uint64_t number = found.value_size == 0 ? GONE : (i & 0xff) == found.value[0] ? i : i + NEW;
    CHECK(value_is(&found, VALUE, number));
    aipc_dict_done(child);
    return number;
}
static void check_keys(void) {
    bool old = false, fresh = false;
    for (uint64_t i = 0; i < KEYS; i++) {
        const uint64_t number = number_of(i);
        CHECK(number == was[i] || number == will_be[i]);
        old = old || number != will_be[i];
        fresh = fresh || number != was[i];
    }
    CHECK(!plan.together || !old || !fresh);
}

static void survive(void *unused) {
    (void)unused;
    attach(); /* recovers whoever died */
    child_dict = dict_open(child, &child_ref);
    dict_sound_as(child, child_dict);
    check_keys();
    dict_walk_agrees(child, child_dict);
    CHECK_EQ(set_as(child, child_dict, "progress", VALUE, 7), AIPC_OK);
    for (uint64_t i = 0; i < 40; i++) CHECK_EQ(set_as(child, child_dict, numbered(500 + i), VALUE, i), AIPC_OK);
    CHECK_EQ(delete_as(child, child_dict, "progress"), AIPC_OK);
    dict_sound_as(child, child_dict);
    dict_walk_agrees(child, child_dict);
    CHECK_EQ(aipc_destroy(child, &child_ref), AIPC_OK);
    aipc_dict_close(child_dict);
    CHECK_EQ(unpin_as(child, &child_ref), AIPC_OK);
    CHECK_EQ(aipc_catalog_collect(child), AIPC_OK);
    sound_as(child);
    CHECK_EQ(used_blocks(child), 1);
    CHECK(no_orphans(child));
    aipc_ctx_leave(child);
    CHECK_EQ(aipc_segment_detach(&child_seg), AIPC_OK);
}

/* survive() leaves nothing for a second one to look at: a nested sweep's may only recover. */
static void recover_only(void *unused) {
    (void)unused;
    attach();
    aipc_ctx_leave(child);
    CHECK_EQ(aipc_segment_detach(&child_seg), AIPC_OK);
}

static const struct scenario scenario = {.setup = setup, .enter = enter, .run = run, .survive = survive};

static void sweep(const char *label, uint64_t keys, void (*prepare)(void),
                  void (*operate)(aipc_ctx *, struct aipc_dict *)) {
    plan.keys = keys;
    plan.prepare = prepare;
    plan.operate = operate;
    const uint64_t deaths = crash_sweep(&scenario);
    fprintf(stderr, "   %-44s %5" PRIu64 " deaths\n", label, deaths);
    CHECK(deaths > 0);
}

/* All pairs of deaths would take an hour: so many of each are tried, spread evenly. */
static uint64_t spread(uint64_t points) { return points / (harness_full() ? 60 : 9) + 1; }

static uint64_t sweep_nested(uint64_t keys, void (*prepare)(void), void (*operate)(aipc_ctx *, struct aipc_dict *)) {
    plan.keys = keys;
    plan.prepare = prepare;
    plan.operate = operate;
    const uint64_t points = crash_points(&scenario), stride = spread(points);
    uint64_t deaths = 0;
    for (uint64_t k = 1; k <= points; k += stride) {
        uint64_t inner = 0, step = 1;
        for (bool died = true; died; inner += step) {
            NOTE("death at point %" PRIu64 ", recoverer's at %" PRIu64, k, inner);
            setup(NULL);
            (void)crash_child(enter, run, NULL, k); /* a seed that hashes otherwise may end it sooner */
            died = crash_child(NULL, recover_only, NULL, inner == 0 ? UINT64_MAX : inner);
            if (inner == 0) {
                died = true;
                step = spread(*crash_passed);
                inner = 1 - step;
            } else {
                deaths += died;
            }
            survive(NULL);
        }
    }
    return deaths;
}

/* ---- states ------------------------------------------------------------------------------------ */
static void set_old(uint64_t i) {
    CHECK_EQ(set_as(ctx, dict, numbered(i), VALUE, i), AIPC_OK);
    was[i] = will_be[i] = i;
}
/* A table is being built; by and by it is cleared, then filled.  Replacing changes no value here. */
static uint64_t last_key; /* inserted by start_building */
static void start_building(void) {
    for (last_key = plan.keys; dict->building == 0; last_key++) set_old(last_key);
}
static void being_cleared(void) {
    start_building();
    set_old(0);
    CHECK(dict->mark == 0 && dict->cleared != 0);
}
static void half_built(void) {
    start_building();
    while (dict->mark < 60) set_old(0);
    CHECK(dict->building != 0);
}
static void almost_built(void) {
    struct aipc_dict_table *now;
    start_building();
    do {
        set_old(0);
        CHECK(dict->building != 0);
        now = (void *)(seg.base + dict->table);
    } while (dict->mark + 8 < now->used);
}
/* The table is full to the last place, and what is being built is far behind. */
static void full_to_the_last_place(void) {
    start_building();
    struct aipc_dict_table *now = (void *)(seg.base + dict->table);
    while (now->used < aipc_dict_room(now->capacity)) {
        set_old(last_key++);
        dict->mark = dict->cleared = 0;
        if (dict->building != 0) ((struct aipc_dict_table *)(void *)(seg.base + dict->building))->used = 0;
    }
}
/* Keys keep coming while a small table is built for a few, and the process that builds it is set back every time. */
static void too_small(void) {
    uint64_t i;
    for (i = 5; dict->building == 0; i++) {
        CHECK_EQ(delete_as(ctx, dict, numbered(i)), AIPC_OK);
        was[i] = will_be[i] = GONE;
    }
    struct aipc_dict_table *next = (void *)(seg.base + dict->building);
    const uint64_t room = aipc_dict_room(next->capacity);
    for (i = 100; dict->count < room + 3; i++) {
        dict->mark = dict->cleared = next->used = 0;
        set_old(i);
        CHECK(i < KEYS - 1);
    }
    while (next->used + 8 <= room && dict->building != 0) set_old(0);
    CHECK(dict->building != 0 && next->used != 0);
}
static void with_a_hole(void) {
    CHECK_EQ(delete_as(ctx, dict, numbered(3)), AIPC_OK);
    was[3] = will_be[3] = GONE;
}
/* What a clearer that died left, and something that is looked at. */
static void half_cleared(void) {
    aipc_ctx *reader;
    aipc_dict_found found;
    half_built();
    CHECK_EQ(aipc_ctx_enter(&seg, &reader), AIPC_OK);
    CHECK_EQ(get_as(reader, dict, numbered(1), &found), AIPC_OK);
    const uint64_t table = dict->table;
    CHECK_EQ(aipc_dict_clear(ctx, dict), AIPC_OK);
    aipc_dict_done(reader);
    aipc_ctx_leave(reader);
    CHECK(dict->retired != 0 && dict->table == 0 && table != 0);
    for (uint64_t i = 0; i < KEYS; i++) was[i] = will_be[i] = GONE;
    for (uint64_t i = 0; i < 30; i++) set_old(i);
    CHECK_EQ(aipc_dict_lock(ctx, dict), AIPC_OK); /* as detach() does, but without what follows */
    ((struct aipc_dict_table *)(void *)(seg.base + dict->table))->retired_next = dict->shedding;
    dict->shedding = dict->table;
    dict->table = dict->count = 0;
    dict->mark = dict->cleared = 0;
    CHECK_EQ(dict->building, 0);
    aipc_domain_unlock(ctx, &dict->domain);
    for (uint64_t i = 0; i < 30; i++) was[i] = will_be[i] = GONE;
    for (uint64_t i = 0; i < 2; i++) set_old(i);
    CHECK(dict->shedding != 0);
}

/* ---- operations -------------------------------------------------------------------------------- */
static void change(aipc_ctx *c, struct aipc_dict *d, uint64_t i, uint64_t number) {
    if (number == GONE) CHECK_EQ(delete_as(c, d, numbered(i)), AIPC_OK);
    else CHECK_EQ(set_as(c, d, numbered(i), VALUE, number), AIPC_OK);
}
/* Which keys an operation changes is said before, in setup's process. */
#define CHANGES(name, key, number)                                                              \
    static void name(aipc_ctx *c, struct aipc_dict *d) { change(c, d, key, number); }           \
    static void name##_from(void (*state)(void)) {                                              \
        if (state != NULL) state();                                                             \
        will_be[key] = number;                                                                  \
    }
CHANGES(insert, KEYS - 1, KEYS - 1)
CHANGES(replace, 5, 5 + NEW)
CHANGES(erase, 5, GONE)
CHANGES(insert_again, 3, 3 + NEW)
#define FROM(name, operation, state) static void name(void) { operation##_from(state); }
FROM(insert_plain, insert, NULL)
FROM(insert_cleared, insert, being_cleared)
FROM(insert_half, insert, half_built)
FROM(insert_last_step, insert, almost_built)
FROM(insert_full, insert, full_to_the_last_place)
FROM(insert_shedding, insert, half_cleared)
FROM(replace_plain, replace, NULL)
FROM(replace_half, replace, half_built)
FROM(replace_last_step, replace, almost_built)
FROM(erase_plain, erase, NULL)
FROM(erase_half, erase, half_built)
FROM(erase_last_step, erase, almost_built)
FROM(insert_too_small, insert, too_small)
FROM(insert_into_slot, insert_again, with_a_hole)

static void pop(aipc_ctx *c, struct aipc_dict *d) {
    aipc_dict_found found;
    const aipc_dict_key key = key_named(c, numbered(5));
    CHECK_EQ(aipc_dict_delete(c, d, &key, 0, &found), AIPC_OK);
    CHECK(value_is(&found, VALUE, 5));
    aipc_dict_done(c);
    CHECK_EQ(aipc_dict_collect(c, d), AIPC_OK);
}
static void clear(aipc_ctx *c, struct aipc_dict *d) { CHECK_EQ(aipc_dict_clear(c, d), AIPC_OK); }
static void all_gone(void) {
    for (uint64_t i = 0; i < KEYS; i++) will_be[i] = GONE;
}
static void all_gone_half(void) {
    half_built();
    all_gone();
}
static void all_gone_shedding(void) {
    half_cleared();
    all_gone();
}
static void reserve(aipc_ctx *c, struct aipc_dict *d) { CHECK_EQ(aipc_dict_reserve(c, d, 400), AIPC_OK); }
/* Whoever has the last pin takes it apart. */
static void destroy_it(aipc_ctx *c, struct aipc_dict *d) {
    CHECK_EQ(aipc_destroy(c, &child_ref), AIPC_OK);
    aipc_dict_close(d);
    CHECK_EQ(unpin_as(c, &child_ref), AIPC_OK);
}
/* Each of them, with a rebuild or two in between. */
static void a_whole_life(aipc_ctx *c, struct aipc_dict *d) {
    for (uint64_t i = 0; i < 40; i++) change(c, d, i, i + NEW);
    for (uint64_t i = 0; i < 40; i += 3) change(c, d, i, GONE);
}
static void a_whole_life_to_be(void) {
    for (uint64_t i = 0; i < 40; i++) was[i] = GONE, will_be[i] = i + NEW;
}
static void survive_a_whole_life(void *unused) {
    /* Of three values a key may have, `was` says one: what is there now, if it is one of the others. */
    attach();
    child_dict = dict_open(child, &child_ref);
    for (uint64_t i = 0; i < 40; i += 3)
        if (number_of(i) == GONE) will_be[i] = GONE;
    aipc_ctx_leave(child);
    CHECK_EQ(aipc_segment_detach(&child_seg), AIPC_OK);
    survive(unused);
}

static void a_death_at_any_store_leaves_old_or_new(void) {
    sweep("the first insert", 0, insert_plain, insert);
    sweep("insert", 4, insert_plain, insert);
    sweep("insert that begins a rebuild", 9, insert_plain, insert);
    sweep("insert, slots being cleared", 160, insert_cleared, insert);
    sweep("insert, places being moved", 60, insert_half, insert);
    sweep("insert, table published", 60, insert_last_step, insert);
    sweep("insert without room", 12, insert_full, insert);
    sweep("insert after half a clear", 60, insert_shedding, insert);
    sweep("insert, table built is too small", 100, insert_too_small, insert);
    sweep("insert of a key that was deleted", 5, insert_into_slot, insert_again);
    sweep("replace", 8, replace_plain, replace);
    sweep("replace, place moved already", 60, replace_half, replace);
    sweep("replace, table published", 60, replace_last_step, replace);
    sweep("delete", 8, erase_plain, erase);
    sweep("delete, place moved already", 60, erase_half, erase);
    sweep("delete, table published", 60, erase_last_step, erase);
    sweep("pop", 8, erase_plain, pop);
    sweep("reserve", 30, NULL, reserve);
}

static void a_clear_is_all_or_nothing(void) {
    plan.together = true;
    sweep("clear", 20, all_gone, clear);
    sweep("clear of a table with one being built", 60, all_gone_half, clear);
    sweep("clear after half a clear", 60, all_gone_shedding, clear);
    sweep("destroy", 12, all_gone, destroy_it);
    sweep("destroy, with one being built", 60, all_gone_half, destroy_it);
    sweep("destroy after half a clear", 60, all_gone_shedding, destroy_it);
    plan.together = false;
}

static void a_death_anywhere_in_a_whole_life(void) {
    const struct scenario life = {.setup = setup, .enter = enter, .run = run, .survive = survive_a_whole_life};
    plan.keys = 0;
    plan.prepare = a_whole_life_to_be;
    plan.operate = a_whole_life;
    const uint64_t deaths = crash_sweep(&life);
    fprintf(stderr, "   %-44s %5" PRIu64 " deaths\n", "40 inserts, 14 deletes", deaths);
}

static void a_recoverer_may_die_too(void) {
    uint64_t deaths = sweep_nested(9, insert_plain, insert);
    deaths += sweep_nested(60, insert_last_step, insert);
    deaths += sweep_nested(60, replace_half, replace);
    deaths += sweep_nested(60, erase_half, erase);
    plan.together = true;
    deaths += sweep_nested(60, all_gone_half, clear);
    deaths += sweep_nested(60, all_gone_shedding, destroy_it);
    plan.together = false;
    fprintf(stderr, "   %" PRIu64 " recoverers died\n", deaths);
    CHECK(deaths > 0);
}

int main(void) {
    crash_budget = 100;
    RUN(a_death_at_any_store_leaves_old_or_new);
    RUN(a_clear_is_all_or_nothing);
    RUN(a_death_anywhere_in_a_whole_life);
    RUN(a_recoverer_may_die_too);
    fixture_drop();
    return SUMMARY();
}
