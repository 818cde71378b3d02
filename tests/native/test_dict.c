// variants: plain asan
/* The contract of the dict's operations, against a model that does the same with arrays. */
#include "dict_fixture.h"

static void one_key_at_a_time(void) {
    dict_make(1 << 16);
    aipc_dict_found found;
    CHECK_EQ(get_as(ctx, dict, "a", &found), AIPC_NOT_FOUND);
    CHECK_EQ(delete_as(ctx, dict, "a"), AIPC_NOT_FOUND);
    CHECK_EQ(set_as(ctx, dict, "a", 10, 1), AIPC_OK);
    CHECK_EQ(get_as(ctx, dict, "a", &found), AIPC_OK);
    CHECK(value_is(&found, 10, 1));
    CHECK_EQ(found.key_size, 1);
    CHECK_EQ(found.key[0], 'a');
    CHECK_EQ(found.original_size, 4);
    CHECK(memcmp(found.original, "ORIG", 4) == 0);
    CHECK_EQ((uintptr_t)found.value % 16, 0);
    const uint64_t version = found.version, serial = found.serial;
    aipc_dict_done(ctx);
    CHECK_EQ(set_as(ctx, dict, "a", 0, 2), AIPC_OK);
    CHECK_EQ(get_as(ctx, dict, "a", &found), AIPC_OK);
    CHECK_EQ(found.value_size, 0);
    CHECK(found.version > version);
    CHECK_EQ(found.serial, serial); /* it keeps its place */
    aipc_dict_done(ctx);
    CHECK_EQ(aipc_dict_count(dict), 1);
    CHECK_EQ(delete_as(ctx, dict, "a"), AIPC_OK);
    CHECK_EQ(get_as(ctx, dict, "a", &found), AIPC_NOT_FOUND);
    CHECK_EQ(aipc_dict_count(dict), 0);
    CHECK_EQ(set_as(ctx, dict, "", 3, 9), AIPC_OK); /* the empty key is one like others */
    CHECK_EQ(get_as(ctx, dict, "", &found), AIPC_OK);
    CHECK(value_is(&found, 3, 9));
    aipc_dict_done(ctx);
    dict_sound_as(ctx, dict);
    dict_drop();
}

static void compare_and_set(void) {
    dict_make(1 << 16);
    aipc_dict_found found;
    CHECK_EQ(put_as(ctx, dict, "a", 4, 1, AIPC_DICT_PRESENT, 0, &found), AIPC_NOT_FOUND);
    CHECK_EQ(put_as(ctx, dict, "a", 4, 1, AIPC_DICT_VERSION, 1, &found), AIPC_NOT_FOUND);
    CHECK_EQ(put_as(ctx, dict, "a", 4, 1, AIPC_DICT_ABSENT, 0, &found), AIPC_OK);
    CHECK_EQ(put_as(ctx, dict, "a", 4, 2, AIPC_DICT_ABSENT, 0, &found), AIPC_EXISTS);
    CHECK(value_is(&found, 4, 1));
    const uint64_t first = found.version;
    aipc_dict_done(ctx);
    CHECK_EQ(put_as(ctx, dict, "a", 4, 3, AIPC_DICT_VERSION, first + 1, &found), AIPC_AGAIN);
    CHECK_EQ(put_as(ctx, dict, "a", 4, 3, AIPC_DICT_VERSION, first, &found), AIPC_OK);
    CHECK_EQ(put_as(ctx, dict, "a", 4, 4, AIPC_DICT_VERSION, first, &found), AIPC_AGAIN);
    CHECK_EQ(put_as(ctx, dict, "a", 4, 5, AIPC_DICT_PRESENT, 0, &found), AIPC_OK);
    CHECK_EQ(get_as(ctx, dict, "a", &found), AIPC_OK);
    CHECK(value_is(&found, 4, 5));
    aipc_dict_done(ctx);

    const aipc_dict_key key = key_named(ctx, "a");
    CHECK_EQ(aipc_dict_delete(ctx, dict, &key, first, NULL), AIPC_AGAIN);
    CHECK_EQ(aipc_dict_delete(ctx, dict, &key, found.version, &found), AIPC_OK);
    CHECK(value_is(&found, 4, 5)); /* pop: readable until done */
    CHECK_EQ(aipc_dict_collect(ctx, dict), AIPC_OK);
    CHECK(value_is(&found, 4, 5));
    CHECK(dict->retired == found.entry);
    aipc_dict_done(ctx);
    CHECK_EQ(aipc_dict_collect(ctx, dict), AIPC_OK);
    CHECK_EQ(dict->retired, 0);

    aipc_dict_draft draft;
    bool replaced;
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(aipc_dict_draft_make(ctx, dict, &key, NULL, 0, 8, &draft), AIPC_OK);
        value_fill(draft.value, 8, 6);
        CHECK_EQ(aipc_dict_put(ctx, dict, &draft, AIPC_DICT_ALWAYS, 0, NULL, &replaced), AIPC_OK);
        CHECK_EQ(replaced, i == 1);
        CHECK(draft.word == NULL && draft.version >= draft.serial);
        CHECK_EQ(aipc_dict_discard(ctx, &draft), AIPC_OK); /* harmless */
    }
    dict_sound_as(ctx, dict);
    dict_drop();
}

/* ---- against a model --------------------------------------------------------------------------- */
enum { KEYS = 3000, LONGEST = 90 };

static struct {
    uint64_t rank, size, number; /* rank 0: not there */
} model[KEYS];
static uint64_t ranks, there;

static void model_check_key(uint64_t i) {
    aipc_dict_found found;
    const aipc_status status = get_as(ctx, dict, numbered(i), &found);
    CHECK_EQ(status, model[i].rank == 0 ? AIPC_NOT_FOUND : AIPC_OK);
    if (status != AIPC_OK) return;
    CHECK(value_is(&found, model[i].size, model[i].number));
    aipc_dict_done(ctx);
}
static void model_set(uint64_t i) {
    const uint64_t size = below(LONGEST), number = next_random();
    CHECK_EQ(set_as(ctx, dict, numbered(i), size, number), AIPC_OK);
    if (model[i].rank == 0) {
        model[i].rank = ++ranks;
        there++;
    }
    model[i].size = size;
    model[i].number = number;
}
static void model_delete(uint64_t i) {
    CHECK_EQ(delete_as(ctx, dict, numbered(i)), model[i].rank == 0 ? AIPC_NOT_FOUND : AIPC_OK);
    if (model[i].rank != 0) there--;
    model[i].rank = 0;
}
/* Every key once, in the order of insertion. */
static void model_check_order(void) {
    aipc_dict_cursor cursor = {0};
    aipc_dict_found found;
    uint64_t count = 0, last = 0;
    while (aipc_dict_next(ctx, dict, &cursor, &found) == AIPC_OK) {
        char name[24] = {0};
        memcpy(name, found.key, found.key_size);
        const uint64_t i = strtoull(name + 4, NULL, 10);
        CHECK(i < KEYS && model[i].rank > last);
        CHECK(value_is(&found, model[i].size, model[i].number));
        last = model[i].rank;
        count++;
    }
    CHECK_EQ(count, there);
    CHECK_EQ(aipc_dict_count(dict), there);
    dict_walk_agrees(ctx, dict);
}
static void model_check_last(void) {
    uint64_t best = 0, number = 0;
    for (uint64_t i = 0; i < KEYS; i++)
        if (model[i].rank > best) best = model[i].rank, number = model[i].number;
    aipc_dict_found found;
    CHECK_EQ(aipc_dict_last(ctx, dict, &found), best == 0 ? AIPC_NOT_FOUND : AIPC_OK);
    if (best != 0) CHECK(value_is(&found, found.value_size, number));
    aipc_dict_done(ctx);
}

static void any_sequence_of_operations_does_what_the_model_says(void) {
    dict_make(1 << 22);
    memset(model, 0, sizeof model);
    ranks = there = 0;
    /* Phases that grow, churn, shrink: so many keys, and how often one is deleted. */
    static const struct { uint64_t keys, deletes, rounds; } phases[] = {
        {20, 40, 2000}, {KEYS, 10, 9000}, {KEYS, 50, 9000}, {KEYS, 95, 9000}, {10, 50, 2000}, {400, 20, 2000},
    };
    for (size_t p = 0; p < sizeof phases / sizeof *phases; p++) {
        for (uint64_t r = 0; r < phases[p].rounds * (harness_full() ? 10 : 1); r++) {
            NOTE("phase %zu, round %" PRIu64, p, r);
            const uint64_t i = below(phases[p].keys);
            if (below(100) < phases[p].deletes) model_delete(i);
            else model_set(i);
            model_check_key(below(phases[p].keys));
            if (r % 500 == 0) {
                dict_sound_as(ctx, dict);
                model_check_order();
                model_check_last();
            }
        }
        if (p == 4) {
            CHECK_EQ(aipc_dict_clear(ctx, dict), AIPC_OK);
            memset(model, 0, sizeof model);
            there = 0;
            CHECK_EQ(dict->shedding, 0);
            model_check_order();
        }
    }
    for (uint64_t i = 0; i < KEYS; i++) model_check_key(i);
    CHECK(dict->rebuilds > 20);
    fprintf(stderr, "   %" PRIu64 " rebuilds\n", dict->rebuilds);
    dict_drop();
}

static void a_table_follows_its_keys(void) {
    dict_make(1 << 22);
    aipc_dict_stats stats;
    for (uint64_t i = 0; i < 2000; i++) CHECK_EQ(set_as(ctx, dict, numbered(i), 8, i), AIPC_OK);
    CHECK_EQ(aipc_dict_stats_get(ctx, dict, &stats), AIPC_OK);
    CHECK_EQ(stats.count, 2000);
    CHECK(stats.capacity >= 2500 && stats.capacity <= 16384);
    const uint64_t large = stats.capacity;
    for (uint64_t i = 0; i < 1990; i++) CHECK_EQ(delete_as(ctx, dict, numbered(i)), AIPC_OK);
    for (uint64_t i = 0; i < 500; i++) CHECK_EQ(set_as(ctx, dict, numbered(1995), 8, i), AIPC_OK);
    CHECK_EQ(aipc_dict_stats_get(ctx, dict, &stats), AIPC_OK);
    CHECK(stats.capacity < large / 4);
    CHECK(stats.retired_blocks < 8);
    CHECK_EQ(aipc_dict_collect(ctx, dict), AIPC_OK);
    CHECK_EQ(aipc_dict_stats_get(ctx, dict, &stats), AIPC_OK);
    CHECK_EQ(stats.retired_blocks, 0);
    dict_sound_as(ctx, dict);

    CHECK_EQ(aipc_dict_reserve(ctx, dict, 5000), AIPC_OK);
    CHECK_EQ(aipc_dict_stats_get(ctx, dict, &stats), AIPC_OK);
    const uint64_t rebuilds = stats.rebuilds, capacity = stats.capacity;
    for (uint64_t i = 0; i < 5000; i++) CHECK_EQ(set_as(ctx, dict, numbered(i), 8, i), AIPC_OK);
    CHECK_EQ(aipc_dict_stats_get(ctx, dict, &stats), AIPC_OK);
    CHECK_EQ(stats.rebuilds, rebuilds);
    CHECK_EQ(stats.capacity, capacity);
    CHECK_EQ(aipc_dict_reserve(ctx, dict, UINT64_MAX), AIPC_FULL);
    dict_drop();
}

/* A cursor goes on where it was when the table is another one. */
static void an_iteration_survives_rebuilds(void) {
    dict_make(1 << 22);
    for (int forward = 0; forward < 2; forward++) {
        CHECK_EQ(aipc_dict_clear(ctx, dict), AIPC_OK);
        for (uint64_t i = 0; i < 600; i++) CHECK_EQ(set_as(ctx, dict, numbered(i), 8, i), AIPC_OK);
        aipc_dict_cursor cursor = {0};
        aipc_dict_found found;
        uint64_t came = 0, rebuilds = dict->rebuilds, fresh = 10000;
        while ((forward ? aipc_dict_next : aipc_dict_prev)(ctx, dict, &cursor, &found) == AIPC_OK) {
            const uint64_t expected = forward ? came * 3 : 599 - came * 3;
            CHECK(value_is(&found, 8, expected));
            came++;
            /* What came is replaced; its two neighbours go, and come again at the end; others are inserted.  None of
             * these is in the iteration. */
            CHECK_EQ(set_as(ctx, dict, numbered(expected), 8, expected), AIPC_OK);
            for (uint64_t j = 1; j <= 2; j++) {
                const uint64_t neighbour = forward ? expected + j : expected - j;
                CHECK_EQ(delete_as(ctx, dict, numbered(neighbour)), AIPC_OK);
                CHECK_EQ(set_as(ctx, dict, numbered(neighbour), 8, 1), AIPC_OK);
            }
            for (int i = 0; i < 30; i++) CHECK_EQ(set_as(ctx, dict, numbered(fresh++), 8, i), AIPC_OK);
        }
        CHECK_EQ(came, 200);
        CHECK(dict->rebuilds > rebuilds + 3);
        dict_sound_as(ctx, dict);
    }
    dict_drop();
}

static void a_full_segment_loses_nothing(void) {
    dict_make(1 << 17);
    uint64_t count = 0;
    aipc_status status;
    while ((status = set_as(ctx, dict, numbered(count), 24, count)) == AIPC_OK) count++;
    CHECK_EQ(status, AIPC_FULL);
    CHECK(count > 500);
    CHECK_EQ(aipc_dict_count(dict), count);
    dict_sound_as(ctx, dict);
    aipc_dict_found found;
    for (uint64_t i = 0; i < count; i++) {
        CHECK_EQ(get_as(ctx, dict, numbered(i), &found), AIPC_OK);
        CHECK(value_is(&found, 24, i));
        aipc_dict_done(ctx);
    }
    CHECK_EQ(set_as(ctx, dict, numbered(3), 1 << 20, 0), AIPC_FULL);
    CHECK_EQ(set_as(ctx, dict, numbered(3), UINT64_MAX, 0), AIPC_FULL);
    while (set_as(ctx, dict, "another", 24, 7) == AIPC_OK && delete_as(ctx, dict, numbered(7)) == AIPC_OK) {}
    for (uint64_t i = 10; i < 20; i++) { /* what was deleted serves at once */
        CHECK_EQ(delete_as(ctx, dict, numbered(i)), AIPC_OK);
        CHECK_EQ(set_as(ctx, dict, numbered(i), 24, 7), AIPC_OK);
    }
    CHECK_EQ(aipc_dict_clear(ctx, dict), AIPC_OK);
    CHECK_EQ(aipc_dict_count(dict), 0);
    CHECK_EQ(used_blocks(ctx), 3); /* names, the dict, our pin */
    CHECK_EQ(set_as(ctx, dict, "another", 24, 7), AIPC_OK);
    dict_sound_as(ctx, dict);
    dict_drop();
}

/* The run of holes that grows at one end is not walked for every key: 20,000 keys would take seconds. */
static void the_oldest_and_the_youngest_are_found_at_once(void) {
    enum { MANY = 20000 };
    dict_make(1 << 23);
    for (int youngest = 0; youngest < 2; youngest++) {
        for (uint64_t i = 0; i < MANY; i++) CHECK_EQ(set_as(ctx, dict, numbered(i), 8, i), AIPC_OK);
        for (uint64_t i = 0; i < MANY; i++) {
            aipc_dict_cursor cursor = {0};
            aipc_dict_found found;
            CHECK_EQ(youngest ? aipc_dict_last(ctx, dict, &found) : aipc_dict_next(ctx, dict, &cursor, &found), AIPC_OK);
            CHECK(value_is(&found, 8, youngest ? MANY - 1 - i : i));
            const struct aipc_dict_table *table = (void *)(seg.base + dict->table);
            CHECK(table->top - table->first < MANY - i + 1000); /* hardly any hole in between */
            const aipc_dict_key key = {.bytes = found.key, .size = found.key_size,
                                       .hash = key_named(ctx, numbered(youngest ? MANY - 1 - i : i)).hash};
            CHECK_EQ(aipc_dict_delete(ctx, dict, &key, found.version, NULL), AIPC_OK);
            aipc_dict_done(ctx);
            if (i % 1000 == 0) dict_sound_as(ctx, dict);
        }
        CHECK_EQ(aipc_dict_count(dict), 0);
    }
    dict_drop();
}

/* What somebody looks at stays, as it was. */
static void what_is_held_stays(void) {
    dict_make(1 << 18);
    aipc_ctx *reader;
    aipc_dict_found found, again;
    CHECK_EQ(aipc_ctx_enter(&seg, &reader), AIPC_OK);
    CHECK_EQ(set_as(ctx, dict, "a", 100, 1), AIPC_OK);
    CHECK_EQ(get_as(reader, dict, "a", &found), AIPC_OK);
    for (uint64_t i = 0; i < 300; i++) CHECK_EQ(set_as(ctx, dict, numbered(i), 100, i), AIPC_OK);
    CHECK_EQ(set_as(ctx, dict, "a", 100, 2), AIPC_OK);
    CHECK_EQ(aipc_dict_clear(ctx, dict), AIPC_OK);
    for (uint64_t i = 0; i < 300; i++) CHECK_EQ(set_as(ctx, dict, numbered(i), 100, i), AIPC_OK);
    CHECK(value_is(&found, 100, 1));
    uint32_t pin;
    CHECK_EQ(aipc_value_pin(&seg, found.entry, &pin), AIPC_OK);
    aipc_dict_done(reader);
    CHECK_EQ(aipc_dict_collect(ctx, dict), AIPC_OK);
    CHECK_EQ(set_as(ctx, dict, "b", 100, 3), AIPC_OK);
    CHECK(value_is(&found, 100, 1));
    CHECK(dict->retired == found.entry);
    aipc_value_unpin(&seg, pin);
    CHECK_EQ(aipc_dict_collect(ctx, dict), AIPC_OK);
    CHECK_EQ(dict->retired, 0);
    CHECK_EQ(get_as(reader, dict, "b", &again), AIPC_OK);
    CHECK(value_is(&again, 100, 3));
    aipc_dict_done(reader);
    aipc_ctx_leave(reader);
    dict_sound_as(ctx, dict);
    dict_drop();
}

/* Large values are given back at once, small ones soon. */
static void what_nobody_holds_goes(void) {
    dict_make(1 << 20);
    for (uint64_t i = 0; i < 100; i++) {
        CHECK_EQ(set_as(ctx, dict, "large", 5000, i), AIPC_OK);
        CHECK_EQ(dict->retired, 0);
        CHECK_EQ(set_as(ctx, dict, "small", 50, i), AIPC_OK);
        aipc_dict_stats stats;
        CHECK_EQ(aipc_dict_stats_get(ctx, dict, &stats), AIPC_OK);
        CHECK(stats.retired_blocks <= 4);
    }
    dict_drop();
}

static void a_closed_dict_says_so(void) {
    dict_make(1 << 16);
    aipc_dict_found found;
    aipc_dict_cursor cursor = {0};
    aipc_dict_stats stats;
    aipc_dict_draft draft;
    const aipc_dict_key key = key_named(ctx, "a"), endless = {.bytes = "a", .size = UINT64_MAX};
    CHECK_EQ(aipc_dict_draft_make(ctx, dict, &endless, NULL, 0, 1, &draft), AIPC_INVALID);
    CHECK_EQ(aipc_dict_draft_make(ctx, dict, &key, NULL, 0, 1, &draft), AIPC_OK);
    CHECK(!aipc_dict_closed(dict));
    aipc_dict_close(dict);
    CHECK(aipc_dict_closed(dict));
    CHECK_EQ(aipc_dict_put(ctx, dict, &draft, AIPC_DICT_ALWAYS, 0, NULL, NULL), AIPC_CLOSED);
    CHECK_EQ(aipc_dict_discard(ctx, &draft), AIPC_OK);
    CHECK_EQ(set_as(ctx, dict, "a", 1, 1), AIPC_CLOSED);
    CHECK_EQ(get_as(ctx, dict, "a", &found), AIPC_CLOSED);
    CHECK_EQ(delete_as(ctx, dict, "a"), AIPC_CLOSED);
    CHECK_EQ(aipc_dict_next(ctx, dict, &cursor, &found), AIPC_CLOSED);
    CHECK_EQ(aipc_dict_last(ctx, dict, &found), AIPC_CLOSED);
    CHECK_EQ(aipc_dict_clear(ctx, dict), AIPC_CLOSED);
    CHECK_EQ(aipc_dict_reserve(ctx, dict, 100), AIPC_CLOSED);
    CHECK_EQ(aipc_dict_stats_get(ctx, dict, &stats), AIPC_CLOSED);
    dict_drop();
}

int main(void) {
    RUN(one_key_at_a_time);
    RUN(compare_and_set);
    RUN(any_sequence_of_operations_does_what_the_model_says);
    RUN(a_table_follows_its_keys);
    RUN(an_iteration_survives_rebuilds);
    RUN(a_full_segment_loses_nothing);
    RUN(the_oldest_and_the_youngest_are_found_at_once);
    RUN(what_is_held_stays);
    RUN(what_nobody_holds_goes);
    RUN(a_closed_dict_says_so);
    return SUMMARY();
}
