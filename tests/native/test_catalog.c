// variants: plain asan
/* The catalog: edges, a random model against an array, and a table that must not grow. */
#include "catalog_fixture.h"
#include "siphash.h"

/* ---- SipHash ----------------------------------------------------------------------------------- */
static uint64_t left(uint64_t x, int by) { return x << by | x >> (64 - by); }

/* The paper's own words, slowly: c rounds a block, d at the end. */
static uint64_t reference(int c, int d, uint64_t k0, uint64_t k1, const uint8_t *data, size_t size) {
    uint64_t v0 = k0 ^ 0x736f6d6570736575, v1 = k1 ^ 0x646f72616e646f6d, v2 = k0 ^ 0x6c7967656e657261,
             v3 = k1 ^ 0x7465646279746573;
    for (size_t block = 0; block <= size / 8 + 1; block++) {
        const bool finalization = block > size / 8;
        uint64_t m = 0;
        for (size_t i = 0; i < 8 && block * 8 + i < size; i++) m |= (uint64_t)data[block * 8 + i] << (8 * i);
        if (block == size / 8) m |= (uint64_t)size << 56;
        if (finalization) v2 ^= 0xff;
        else v3 ^= m;
        for (int i = 0; i < (finalization ? d : c); i++) {
            v0 += v1, v1 = left(v1, 13), v1 ^= v0, v0 = left(v0, 32);
            v2 += v3, v3 = left(v3, 16), v3 ^= v2;
            v0 += v3, v3 = left(v3, 21), v3 ^= v0;
            v2 += v1, v1 = left(v1, 17), v1 ^= v2, v2 = left(v2, 32);
        }
        if (!finalization) v0 ^= m;
    }
    return v0 ^ v1 ^ v2 ^ v3;
}

static void siphash_is_the_papers(void) {
    uint8_t data[64];
    for (int i = 0; i < 64; i++) data[i] = (uint8_t)i;
    const uint64_t k0 = 0x0706050403020100, k1 = 0x0f0e0d0c0b0a0908;
    CHECK(reference(2, 4, k0, k1, data, 15) == 0xa129ca6149be45e5); /* the paper's test vector */
    CHECK(reference(2, 4, k0, k1, data, 0) == 0x726fdb47dd0e0e31);
    for (size_t size = 0; size <= 64; size++) {
        const uint64_t seed = next_random(), second = left(seed, 32) ^ 0x9e3779b97f4a7c15;
        CHECK(aipc_siphash(seed, data, size) == reference(1, 3, seed, second, data, size));
    }
}

/* ---- edges ------------------------------------------------------------------------------------- */
static void a_fresh_catalog_is_empty(void) {
    fixture_make(1 << 18);
    check_empty();
    CHECK(!exists("anything"));
    fixture_drop();
}

static void what_was_constructed_is_found(void) {
    fixture_make(1 << 18);
    const char text[] = "twelve bytes";
    aipc_object_spec spec = spec_of("name", sizeof text);
    spec.initial = text;
    spec.count = 13;
    spec.type = 99;
    aipc_object_ref ref, again;
    CHECK_EQ(aipc_construct(ctx, &spec, &ref), AIPC_OK);
    CHECK_EQ(ref.payload % 16, 0);
    CHECK(memcmp(seg.base + ref.payload, text, sizeof text) == 0);
    again = find("name");
    CHECK_EQ(again.holding, 0);
    again.holding = ref.holding;
    CHECK(memcmp(&again, &ref, sizeof ref) == 0);
    CHECK(again.count == 13 && again.type == 99 && again.size == sizeof text && again.kind == AIPC_NAMED);
    sound();
    CHECK_EQ(aipc_destroy(ctx, &ref), AIPC_OK);
    CHECK(!exists("name"));
    unpin(&ref);
    check_empty();
    fixture_drop();
}

static void names_of_every_length(void) {
    fixture_make(1 << 20);
    char name[AIPC_NAME_MAX + 2];
    memset(name, 'x', sizeof name);
    for (uint32_t size = 0; size <= AIPC_NAME_MAX + 1; size++) {
        aipc_object_spec spec = {.kind = AIPC_NAMED, .name = name, .name_size = size, .size = size};
        aipc_object_ref ref;
        CHECK_EQ(aipc_construct(ctx, &spec, &ref), size <= AIPC_NAME_MAX ? AIPC_OK : AIPC_INVALID);
        CHECK_EQ(aipc_find(ctx, AIPC_NAMED, name, size, &ref), size <= AIPC_NAME_MAX ? AIPC_OK : AIPC_INVALID);
        if (size <= AIPC_NAME_MAX) CHECK_EQ(ref.size, size);
    }
    CHECK_EQ(sound().objects, AIPC_NAME_MAX + 1);
    fixture_drop();
}

static void kinds_are_namespaces_of_their_own(void) {
    fixture_make(1 << 18);
    aipc_object_spec spec = spec_of("i", 8);
    aipc_object_ref named, unique, ref;
    CHECK_EQ(aipc_construct(ctx, &spec, &named), AIPC_OK);
    CHECK_EQ(aipc_find(ctx, AIPC_UNIQUE, "i", 1, &ref), AIPC_NOT_FOUND);
    spec.kind = AIPC_UNIQUE;
    CHECK_EQ(aipc_construct(ctx, &spec, &unique), AIPC_OK);
    CHECK_EQ(aipc_find(ctx, AIPC_UNIQUE, "i", 1, &ref), AIPC_OK);
    CHECK_EQ(ref.object, unique.object);
    CHECK_EQ(find("i").object, named.object);
    CHECK_EQ(aipc_destroy(ctx, &unique), AIPC_OK);
    CHECK(exists("i"));
    spec.kind = AIPC_ANONYMOUS;
    CHECK_EQ(aipc_construct(ctx, &spec, &ref), AIPC_INVALID);
    spec.kind = 0;
    CHECK_EQ(aipc_construct(ctx, &spec, &ref), AIPC_INVALID);
    spec.kind = 4;
    CHECK_EQ(aipc_construct(ctx, &spec, &ref), AIPC_INVALID);
    CHECK_EQ(aipc_find(ctx, AIPC_ANONYMOUS, "", 0, &ref), AIPC_INVALID);
    sound();
    fixture_drop();
}

static void a_taken_name_is_said_to_exist(void) {
    fixture_make(1 << 18);
    aipc_object_ref first = construct("name", 8), second = {0};
    const uint64_t blocks = used_blocks(ctx);
    CHECK_EQ(construct_as(ctx, "name", 100, &second), AIPC_EXISTS);
    CHECK(second.object == first.object && second.holding == 0 && second.size == 8);
    CHECK_EQ(construct_as(ctx, "name", 1 << 19, &second), AIPC_EXISTS); /* though there is no room for it */
    CHECK_EQ(construct_as(ctx, "name", UINT64_MAX - 20, &second), AIPC_EXISTS);
    CHECK_EQ(construct_as(ctx, "other", 1 << 19, &second), AIPC_FULL);
    CHECK_EQ(construct_as(ctx, "other", UINT64_MAX - 20, &second), AIPC_FULL);
    CHECK_EQ(used_blocks(ctx), blocks);
    CHECK(no_orphans(ctx));
    sound();
    fixture_drop();
}

static void find_or_construct_pins_either_way(void) {
    fixture_make(1 << 18);
    aipc_object_spec spec = spec_of("name", 8);
    aipc_object_ref first, second;
    bool created;
    CHECK_EQ(aipc_find_or_construct(ctx, &spec, &first, &created), AIPC_OK);
    CHECK(created);
    spec.size = 1 << 19; /* arguments of the second are ignored */
    CHECK_EQ(aipc_find_or_construct(ctx, &spec, &second, &created), AIPC_OK);
    CHECK(!created && second.object == first.object && second.holding != first.holding && second.size == 8);
    sound();
    CHECK_EQ(aipc_destroy(ctx, &first), AIPC_OK);
    sound();
    unpin(&first);
    CHECK_EQ(sound().holdings, 1);
    unpin(&second);
    check_empty();
    fixture_drop();
}

static void a_destroyed_object_stays_until_the_last_unpin(void) {
    fixture_make(1 << 18);
    aipc_object_ref ref = construct("name", 64), other = find("name");
    CHECK_EQ(aipc_pin(ctx, &other), AIPC_OK);
    memset(seg.base + ref.payload, 0xaa, 64);
    CHECK(!aipc_object_destroyed(&seg, &ref));
    CHECK_EQ(aipc_destroy(ctx, &ref), AIPC_OK);
    CHECK(aipc_object_destroyed(&seg, &ref));
    CHECK_EQ(aipc_destroy(ctx, &ref), AIPC_NOT_FOUND);
    make("name", 64); /* the name is free at once */
    unpin(&ref);
    for (int i = 0; i < 64; i++) CHECK_EQ(seg.base[other.payload + (uint64_t)i], 0xaa);
    aipc_object_ref zombie = other;
    CHECK_EQ(aipc_pin(ctx, &zombie), AIPC_NOT_FOUND);
    sound();
    unpin(&other);
    destroy("name");
    check_empty();
    fixture_drop();
}

static void a_handle_of_a_reused_address_finds_nothing(void) {
    fixture_make(1 << 18);
    make("name", 8);
    aipc_object_ref old = find("name"), ref;
    destroy("name");
    make("name", 8);
    CHECK_EQ(find("name").object, old.object);
    CHECK(find("name").serial != old.serial);
    CHECK_EQ(aipc_pin(ctx, &old), AIPC_NOT_FOUND);
    CHECK_EQ(aipc_destroy(ctx, &old), AIPC_NOT_FOUND);
    CHECK_EQ(aipc_object_at(ctx, old.object, old.serial, &ref), AIPC_NOT_FOUND);
    CHECK(aipc_object_destroyed(&seg, &old));
    CHECK_EQ(aipc_object_at(ctx, old.object, old.serial + 1, &ref), AIPC_OK);
    for (uint64_t offset = 0; offset < seg.limit + 64; offset += 8)
        CHECK(aipc_object_at(ctx, offset, 1, &ref) == AIPC_NOT_FOUND);
    CHECK_EQ(aipc_object_at(ctx, UINT64_MAX - 7, 1, &ref), AIPC_NOT_FOUND);
    CHECK_EQ(aipc_unpin(ctx, seg.slot, old.object), AIPC_NOT_OWNER);
    CHECK_EQ(aipc_unpin(ctx, 9999, old.object), AIPC_INVALID);
    CHECK(no_orphans(ctx));
    fixture_drop();
}

static void anonymous_objects_live_until_destroyed(void) {
    fixture_make(1 << 18);
    aipc_object_spec spec = {.kind = AIPC_ANONYMOUS, .size = 24};
    aipc_object_ref ref, at;
    CHECK_EQ(aipc_construct(ctx, &spec, &ref), AIPC_OK);
    CHECK_EQ(ref.payload, ref.object + 64);
    unpin(&ref);
    CHECK_EQ(sound().objects, 1);
    CHECK_EQ(aipc_object_at(ctx, ref.object, ref.serial, &at), AIPC_OK);
    CHECK_EQ(aipc_pin(ctx, &at), AIPC_OK);
    CHECK_EQ(aipc_destroy(ctx, &at), AIPC_OK);
    CHECK_EQ(aipc_destroy(ctx, &at), AIPC_NOT_FOUND);
    sound();
    unpin(&at);
    check_empty();
    fixture_drop();
}

static void owned_blocks_are_records_and_back(void) {
    fixture_make(1 << 18);
    uint64_t blocks[20], size, plain;
    uint32_t flags;
    for (uint64_t i = 0; i < 20; i++) {
        CHECK_EQ(aipc_owned_allocate(ctx, i * 13, i % 2 == 0 ? 16 : 256, &blocks[i]), AIPC_OK);
        CHECK_EQ(aipc_heap_size_of(&seg, blocks[i], &size, &flags), AIPC_OK);
        CHECK(size - 8 >= i * 13 && flags == AIPC_OWNED);
        memset(seg.base + blocks[i], 0x55, i * 13);
    }
    CHECK_EQ(sound().holdings, 20);
    CHECK_EQ(aipc_heap_allocate(ctx, 40, 16, 0, NULL, &plain), AIPC_OK);
    for (uint64_t i = 0; i < 20; i += 2) CHECK_EQ(aipc_deallocate(ctx, blocks[i]), AIPC_OK);
    for (uint64_t i = 0; i < 20; i += 2) CHECK_EQ(aipc_deallocate(ctx, blocks[i]), AIPC_INVALID);
    sound();
    while (seg.slots[seg.slot].holdings != 0) /* as recovery does */
        CHECK_EQ(aipc_owned_release(ctx, seg.slot, seg.slots[seg.slot].holdings), AIPC_OK);
    CHECK_EQ(aipc_deallocate(ctx, plain), AIPC_OK);
    CHECK_EQ(aipc_deallocate(ctx, plain), AIPC_INVALID);
    CHECK_EQ(aipc_deallocate(ctx, seg.catalog->table), AIPC_INVALID);
    CHECK_EQ(aipc_owned_allocate(ctx, UINT64_MAX, 16, &plain), AIPC_FULL);
    CHECK_EQ(aipc_owned_allocate(ctx, 8, 3, &plain), AIPC_INVALID);
    check_empty();
    fixture_drop();
}

static void an_overrun_owned_block_is_refused_and_named(void) {
    fixture_make(1 << 18);
    uint64_t block, size;
    uint32_t flags;
    CHECK_EQ(aipc_owned_allocate(ctx, 40, 16, &block), AIPC_OK);
    CHECK_EQ(aipc_heap_size_of(&seg, block, &size, &flags), AIPC_OK);
    memset(seg.base + block, 0xff, size);
    CHECK_EQ(aipc_deallocate(ctx, block), AIPC_CORRUPT);
    aipc_report report = {0};
    CHECK_EQ(aipc_catalog_check(ctx, &report), AIPC_OK);
    CHECK_EQ(report.findings, 1);
    CHECK(strncmp(report.finding[0].what, "D2", 2) == 0);
    CHECK_EQ(aipc_owned_release(ctx, seg.slot, seg.slots[seg.slot].holdings), AIPC_OK);
    check_empty();
    fixture_drop();
}

/* ---- many names -------------------------------------------------------------------------------- */
static const char *numbered(uint64_t i) {
    static char name[32];
    snprintf(name, sizeof name, "object %" PRIu64, i);
    return name;
}

static void ten_thousand_names(void) {
    fixture_make(8 << 20);
    enum { MANY = 10000 };
    for (uint64_t i = 0; i < MANY; i++) {
        aipc_object_ref ref = construct(numbered(i), 8);
        memcpy(seg.base + ref.payload, &i, 8);
        unpin(&ref);
    }
    CHECK_EQ(sound().objects, MANY);
    CHECK_EQ(used_blocks(ctx), MANY + 1); /* old tables are gone */
    for (uint64_t i = 0; i < MANY; i++) CHECK(memcmp(seg.base + find(numbered(i)).payload, &i, 8) == 0);
    CHECK(!exists(numbered(MANY)));
    for (uint64_t i = 0; i < MANY; i += 2) destroy(numbered(i));
    for (uint64_t i = 0; i < MANY; i++) CHECK_EQ(exists(numbered(i)), i % 2 == 1);
    sound();
    for (uint64_t i = 1; i < MANY; i += 2) destroy(numbered(i));
    check_empty();
    fixture_drop();
}

static void a_million_changes_of_a_few_names_do_not_grow_the_table(void) {
    fixture_make(1 << 18);
    const uint64_t changes = harness_full() ? 1000000 : 100000;
    for (uint64_t i = 0; i < changes; i++) {
        make(numbered(i), 8);
        if (i >= 20) destroy(numbered(i - 20));
    }
    const struct aipc_table *table = (void *)(seg.base + seg.catalog->table);
    CHECK(table->capacity <= 64);
    CHECK_EQ(sound().objects, 20);
    destroy_all_as(ctx);
    check_empty();
    fixture_drop();
}

static void reserve_makes_room_ahead(void) {
    fixture_make(1 << 20);
    make("before", 8);
    CHECK_EQ(aipc_catalog_reserve(ctx, 5000), AIPC_OK);
    const uint64_t table = seg.catalog->table;
    for (uint64_t i = 1; i < 4000; i++) make(numbered(i), 8);
    CHECK_EQ(seg.catalog->table, table);
    CHECK(exists("before"));
    CHECK_EQ(aipc_catalog_reserve(ctx, 10), AIPC_OK);
    CHECK_EQ(seg.catalog->table, table);
    CHECK_EQ(aipc_catalog_reserve(ctx, UINT64_MAX), AIPC_FULL);
    CHECK_EQ(aipc_catalog_reserve(ctx, 1 << 17), AIPC_FULL);
    sound();
    CHECK(no_orphans(ctx));
    fixture_drop();
}

static void a_list_is_everything_or_a_count(void) {
    fixture_make(1 << 18);
    for (uint64_t i = 0; i < 50; i++) make(numbered(i), i);
    const aipc_wanted all = {.kind = 0};
    aipc_list list = {.room = list_room};
    CHECK_EQ(aipc_catalog_list(ctx, &all, &list), AIPC_AGAIN);
    CHECK_EQ(list.objects, 50);
    list.size = list.used - 8;
    CHECK_EQ(aipc_catalog_list(ctx, &all, &list), AIPC_AGAIN);
    list.size = list.used;
    CHECK_EQ(aipc_catalog_list(ctx, &all, &list), AIPC_OK);
    CHECK_EQ(list.objects, 50);
    uint64_t seen = 0;
    const aipc_listed *at = list.room;
    for (uint64_t i = 0; i < list.objects; i++, at = listed_next(at)) {
        CHECK_EQ(at->name_size, strlen(numbered(at->size)));
        CHECK(memcmp(at + 1, numbered(at->size), at->name_size) == 0);
        seen |= UINT64_C(1) << at->size;
    }
    CHECK(seen == (UINT64_C(1) << 50) - 1);
    fixture_drop();
}

static void a_full_heap_leaves_nothing_half_made(void) {
    fixture_make(1 << 17);
    uint64_t made = 0;
    aipc_object_ref ref;
    while (construct_as(ctx, numbered(made), 8, &ref) == AIPC_OK) {
        CHECK_EQ(unpin_as(ctx, &ref), AIPC_OK);
        made++;
    }
    CHECK(no_orphans(ctx));
    CHECK_EQ(sound().objects, made);
    bool created;
    const aipc_object_spec spec = spec_of("another", 4000);
    CHECK_EQ(aipc_find_or_construct(ctx, &spec, &ref, &created), AIPC_FULL);
    CHECK(no_orphans(ctx));
    destroy_all_as(ctx);
    check_empty();
    fixture_drop();
}

static void a_hazard_keeps_what_it_names(void) {
    fixture_make(1 << 18);
    aipc_ctx *reader;
    CHECK_EQ(aipc_ctx_enter(&seg, &reader), AIPC_OK);
    make("name", 8);
    const aipc_object_ref ref = find("name");
    aipc_exchange_seq_cst64(&reader->shared->hazard[1], ref.object);
    destroy("name");
    const aipc_object_ref *object = &ref;
    CHECK_EQ(seg.catalog->retired, object->object);
    for (uint64_t i = 0; i < 100; i++) make(numbered(i), 8); /* tables retire behind it */
    for (uint64_t i = 0; i < 100; i++) destroy(numbered(i));
    sound();
    CHECK_EQ(seg.catalog->retired, object->object);
    aipc_exchange_seq_cst64(&reader->shared->hazard[1], 0);
    CHECK_EQ(aipc_catalog_collect(ctx), AIPC_OK);
    aipc_ctx_leave(reader);
    check_empty();
    fixture_drop();
}

/* ---- a model ----------------------------------------------------------------------------------- */
enum { MODEL_NAMES = 60 };
typedef struct model_entry {
    aipc_object_ref pinned; /* holding 0: not pinned by us */
    uint64_t serial;        /* of what bears the name now; 0: nobody */
} model_entry;
static model_entry model[MODEL_NAMES];

static void model_construct(model_entry *entry, const char *name) {
    aipc_object_ref ref;
    const aipc_status status = construct_as(ctx, name, below(100), &ref);
    CHECK_EQ(status, entry->serial == 0 ? AIPC_OK : AIPC_EXISTS);
    if (status != AIPC_OK) return;
    entry->serial = ref.serial;
    if (entry->pinned.holding == 0) entry->pinned = ref;
    else unpin(&ref);
}

static void model_pin(model_entry *entry, const char *name) {
    if (entry->pinned.holding != 0) {
        unpin(&entry->pinned);
    } else if (entry->serial != 0) {
        entry->pinned = find(name);
        CHECK_EQ(aipc_pin(ctx, &entry->pinned), AIPC_OK);
    }
}

static void model_step(void) {
    const uint64_t i = below(MODEL_NAMES);
    model_entry *entry = &model[i];
    const char *name = numbered(i);
    switch (below(4)) {
    case 0: model_construct(entry, name); break;
    case 1: model_pin(entry, name); break;
    case 2:
        if (entry->serial != 0) destroy(name);
        entry->serial = 0;
        break;
    default:
        CHECK_EQ(exists(name), entry->serial != 0);
        if (entry->serial != 0) CHECK_EQ(find(name).serial, entry->serial);
        if (entry->pinned.holding != 0)
            CHECK_EQ(aipc_object_destroyed(&seg, &entry->pinned), entry->pinned.serial != entry->serial);
    }
}

static void random_operations_do_what_an_array_does(void) {
    fixture_make(1 << 18);
    const int steps = harness_full() ? 1000000 : 100000;
    for (int i = 0; i < steps; i++) {
        model_step();
        if (i % 200 == 0) sound();
    }
    for (int i = 0; i < MODEL_NAMES; i++)
        if (model[i].pinned.holding != 0) unpin(&model[i].pinned);
    destroy_all_as(ctx);
    check_empty();
    fixture_drop();
}

int main(void) {
    RUN(siphash_is_the_papers);
    RUN(a_fresh_catalog_is_empty);
    RUN(what_was_constructed_is_found);
    RUN(names_of_every_length);
    RUN(kinds_are_namespaces_of_their_own);
    RUN(a_taken_name_is_said_to_exist);
    RUN(find_or_construct_pins_either_way);
    RUN(a_destroyed_object_stays_until_the_last_unpin);
    RUN(a_handle_of_a_reused_address_finds_nothing);
    RUN(anonymous_objects_live_until_destroyed);
    RUN(owned_blocks_are_records_and_back);
    RUN(an_overrun_owned_block_is_refused_and_named);
    RUN(ten_thousand_names);
    RUN(a_million_changes_of_a_few_names_do_not_grow_the_table);
    RUN(reserve_makes_room_ahead);
    RUN(a_list_is_everything_or_a_count);
    RUN(a_full_heap_leaves_nothing_half_made);
    RUN(a_hazard_keeps_what_it_names);
    RUN(random_operations_do_what_an_array_does);
    return SUMMARY();
}
