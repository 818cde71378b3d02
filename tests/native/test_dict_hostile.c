// variants: plain asan
/* Bytes that lie: whatever the dict, its tables and its entries say, every operation comes back, nothing outside the
 * segment is touched, and the check finds what can be found. */
#include "dict_fixture.h"

enum { SIZE = 1 << 16, KEYS = 20, VALUE = 24 };

static uint8_t *pristine;
static struct aipc_dict_table *current, *next, *shed;
static uint64_t entries[3]; /* of the current table: the first; of the shed one: the last; a retired one */
static bool operations_ran;
static void *guard; /* behind the segment: a step outside is a fault */

static uint64_t entry_of(const char *name) {
    aipc_dict_found found;
    CHECK_EQ(get_as(ctx, dict, name, &found), AIPC_OK);
    aipc_dict_done(ctx);
    return found.entry;
}
static void *at(uint64_t offset) { return seg.base + offset; }

/* A dict in the middle of everything: half built, half cleared, with retired blocks that somebody looks at. */
static void begin(void) {
    dict_make(SIZE);
    seg.idle = never_wait;
    seg.stall_ns = 1000;
    guard = mmap(seg.base + SIZE, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    for (uint64_t i = 0; i < 9; i++) CHECK_EQ(set_as(ctx, dict, numbered(100 + i), VALUE, i), AIPC_OK);
    entries[1] = entry_of(numbered(108));
    shed = at(dict->table);
    shed->retired_next = 0; /* detached, as by a clear whose process died */
    dict->shedding = dict->table;
    dict->table = dict->count = 0;
    shed->shed = 3;
    dict->retired = shed->retired_next;
    for (uint64_t i = 0; i < 3; i++) { /* what places below `shed` led to was retired and freed */
        const uint64_t gone = shed->slots[shed->capacity + i];
        CHECK_EQ(aipc_heap_free(ctx, gone, 0, NULL), AIPC_OK);
    }

    struct aipc_dict *d = dict;
    const uint64_t shedding = d->shedding;
    d->shedding = 0; /* not yet: the following would go on with it */
    for (uint64_t i = 0; i < KEYS; i++) CHECK_EQ(set_as(ctx, dict, numbered(i), VALUE, i), AIPC_OK);
    for (uint64_t i = 0; d->mark == 0; i++) {
        CHECK(d->building != 0);
        CHECK_EQ(set_as(ctx, dict, numbered(i), VALUE, i), AIPC_OK);
    }
    /* Retired, and looked at. */
    aipc_ctx *reader;
    CHECK_EQ(aipc_ctx_enter(&seg, &reader), AIPC_OK);
    entries[2] = entry_of(numbered(4));
    aipc_exchange_seq_cst64(&reader->shared->hazard[1], entries[2]);
    CHECK_EQ(delete_as(ctx, dict, numbered(4)), AIPC_OK);
    CHECK(d->building != 0);
    d->shedding = shedding;
    current = at(d->table);
    next = at(d->building);
    entries[0] = current->slots[current->capacity + 1];
    CHECK(d->retired == entries[2]);
    dict_sound_as(ctx, dict);
    dict_damaged = true;
    pristine = malloc(SIZE);
    memcpy(pristine, seg.base, SIZE);
}

static void restore(void) { memcpy(seg.base, pristine, SIZE); }
static void end(void) {
    restore();
    free(pristine);
    if (guard == seg.base + SIZE) munmap(guard, 4096);
    fixture_drop();
}

/* Everything a caller can do.  Statuses do not matter: coming back does. */
static void read_everything(void) {
    aipc_dict_found found;
    aipc_dict_cursor forward = {0}, back = {0}, stale = {.table = 1, .place = 5, .last = 3, .end = 20};
    uint64_t sum = 0;
    for (uint64_t i = 0; i < KEYS; i++)
        if (get_as(ctx, dict, numbered(i), &found) == AIPC_OK)
            for (uint64_t b = 0; b < found.value_size; b++) sum += found.value[b];
    (void)get_as(ctx, dict, "missing", &found);
    while (aipc_dict_next(ctx, dict, &forward, &found) == AIPC_OK) sum += found.original_size;
    while (aipc_dict_prev(ctx, dict, &back, &found) == AIPC_OK) sum += found.key_size;
    (void)aipc_dict_next(ctx, dict, &stale, &found);
    (void)aipc_dict_last(ctx, dict, &found);
    aipc_dict_done(ctx);
    operations_ran = operations_ran || sum != 0;
}
static void write_everything(void) {
    aipc_dict_found found;
    aipc_dict_stats stats;
    for (uint64_t i = 0; i < KEYS; i += 3) (void)set_as(ctx, dict, numbered(i), VALUE, i);
    (void)put_as(ctx, dict, numbered(1), VALUE, 1, AIPC_DICT_ABSENT, 0, &found);
    (void)put_as(ctx, dict, numbered(2), VALUE, 1, AIPC_DICT_VERSION, 3, &found);
    for (uint64_t i = 1; i < KEYS; i += 3) (void)delete_as(ctx, dict, numbered(i));
    for (uint64_t i = 30; i < 40; i++) (void)set_as(ctx, dict, numbered(i), VALUE, i);
    (void)aipc_dict_collect(ctx, dict);
    (void)aipc_dict_stats_get(ctx, dict, &stats);
    (void)aipc_dict_reserve(ctx, dict, 40);
}
static uint64_t findings(void) {
    static aipc_report report;
    report = (aipc_report){0};
    const aipc_status status = aipc_heap_check(ctx, &report);
    return (status != AIPC_OK) + (aipc_dict_check(ctx, dict, &report) != AIPC_OK) + report.findings;
}
static void do_everything(void) {
    read_everything();
    write_everything();
    (void)findings();
    (void)aipc_dict_clear(ctx, dict);
    (void)set_as(ctx, dict, "again", VALUE, 1);
    (void)findings();
}
/* Or it is taken apart at once. */
static void destroy_it(void) {
    aipc_object_ref ref = dict_ref;
    (void)aipc_destroy(ctx, &ref);
    (void)aipc_unpin(ctx, seg.slot, ref.holding);
    (void)aipc_catalog_collect(ctx);
}

/* Changes each byte of [from, to) in several ways; how often the check found it. */
static void flip(const char *what, const void *first, uint64_t bytes) {
    static const uint8_t masks[] = {0x01, 0x80, 0xff, 0x10};
    const uint64_t from = (uint64_t)((const uint8_t *)first - seg.base);
    uint64_t flips = 0, noticed = 0;
    for (uint64_t byte = from; byte < from + bytes; byte++)
        for (size_t m = 0; m < sizeof masks; m++) {
            NOTE("%s, byte %" PRIu64 " ^ %#x", what, byte - from, masks[m]);
            seg.base[byte] ^= masks[m];
            flips++;
            noticed += findings() != 0;
            do_everything();
            restore();
            seg.base[byte] ^= masks[m];
            destroy_it();
            restore();
        }
    fprintf(stderr, "   %-24s %6" PRIu64 " flips, %6" PRIu64 " noticed by the check\n", what, flips, noticed);
}

static void a_flipped_byte_harms_nobody(void) {
    begin();
    flip("dict", (uint8_t *)dict + sizeof(struct aipc_domain), sizeof *dict - sizeof(struct aipc_domain));
    flip("lock and log", dict, 64 + 16 * 4);
    flip("current table", (uint8_t *)current - 8, 8 + aipc_dict_table_size(current->capacity));
    flip("table being built", (uint8_t *)next - 8, 8 + aipc_dict_table_size(next->capacity));
    flip("shed table", (uint8_t *)shed - 8, 8 + aipc_dict_table_size(shed->capacity));
    flip("entry", at(entries[0] - 8), 8 + sizeof(struct aipc_dict_entry) + 16);
    flip("shed entry", at(entries[1] - 8), 8 + sizeof(struct aipc_dict_entry));
    flip("retired entry", at(entries[2] - 8), 8 + sizeof(struct aipc_dict_entry));
    CHECK(operations_ran);
    end();
}

static uint64_t blocks[64], count;
static bool note_block(void *unused, const aipc_block_info *block) {
    (void)unused;
    if ((block->flags & AIPC_USED) != 0) blocks[count++] = block->payload;
    return count < 64;
}

/* Words that are valid offsets elsewhere do more harm than flipped bits: circles, wrong kinds of blocks. */
static void a_link_to_another_block_harms_nobody(void) {
    begin();
    count = 0;
    CHECK_EQ(aipc_heap_walk(ctx, note_block, NULL), AIPC_OK);
    CHECK(count > 20);
    const uint64_t own = aipc_offset(&seg, dict) + sizeof(struct aipc_domain);
    for (int round = 0; round < (harness_full() ? 200000 : 10000); round++) {
        for (uint64_t changes = 1 + below(3); changes > 0; changes--) {
            const uint64_t block = below(3) == 0 ? own : blocks[below(count)];
            uint64_t *word = at(block + 8 * below(24));
            const uint64_t values[] = {blocks[below(count)], 0, 1, *word + 1, next_random(), *word ^ 16,
                                       (*word & ~AIPC_DICT_PLACE) | (1 + below(14)), UINT64_MAX};
            *word = values[below(8)];
            NOTE("round %d, block %" PRIu64, round, block);
        }
        (void)findings();
        if (below(3) == 0) destroy_it();
        else do_everything();
        restore();
    }
    end();
}

/* What contradicts something else must be found, each by its invariant. */
static void expect(const char *invariant, uint64_t *word, uint64_t value) {
    static aipc_report report;
    NOTE("%s", invariant);
    report = (aipc_report){0};
    *word = value;
    CHECK_EQ(aipc_dict_check(ctx, dict, &report), AIPC_OK);
    restore();
    bool found = false;
    for (uint64_t i = 0; i < report.findings && i < AIPC_REPORT_ROOM; i++)
        found = found || strncmp(report.finding[i].what, invariant, 2) == 0;
    if (!found) show_findings(&report);
    CHECK(found);
}

static uint64_t *slot_in_use(struct aipc_dict_table *table, uint64_t skip) {
    uint64_t *slot = table->slots;
    for (;; slot++) /* of a place that is no hole */
        if (*slot != 0 && table->slots[table->capacity + aipc_dict_slot_place(*slot)] != 0 && skip-- == 0) return slot;
}
static uint64_t *empty_slot(struct aipc_dict_table *table) {
    uint64_t *slot = table->slots;
    while (*slot != 0) slot++;
    return slot;
}

static void each_invariant_is_checked(void) {
    begin();
    uint64_t *places = current->slots + current->capacity;
    struct aipc_dict_entry *entry = at(entries[0]), *last = at(entries[1]);
    expect("E1", &dict->table, dict->table + 16);
    expect("E1", &dict->table, dict_ref.object);
    expect("E1", &current->capacity, current->capacity * 2);
    expect("E1", &next->capacity, 17);
    expect("E2", &places[1], 16);
    expect("E2", &places[1], dict_ref.object);
    expect("E2", &entry->value_size, VALUE + 64);
    expect("E2", &last->value_size, VALUE + 64);
    expect("E3", &entry->hash, entry->hash + 1);
    expect("E3", slot_in_use(current, 0), *slot_in_use(current, 0) ^ UINT64_C(1) << 60);
    expect("E3", empty_slot(current), *slot_in_use(current, 1));
    expect("E4", slot_in_use(current, 0), 0);
    expect("E4", slot_in_use(current, 0), *slot_in_use(current, 0) | 0xff);
    expect("E4", &current->used, current->used - 1);
    expect("E4", &current->used, 1000);
    expect("E4", &current->first, 3);
    expect("E4", &current->top, 2);
    expect("E5", &entry->serial, 1000);
    expect("E5", &entry->version, 1000);
    expect("E5", &dict->next_version, 3);
    expect("E5", &places[2], places[1]);
    expect("E6", &dict->count, dict->count + 1);
    expect("E6", &places[1], 0);
    expect("E7", &dict->mark, dict->mark - 1);
    expect("E7", &dict->mark, 1000);
    expect("E7", &dict->cleared, 0);
    expect("E7", &dict->building, 0);
    expect("E7", slot_in_use(next, 0), 0);
    expect("E7", &next->slots[next->capacity], 0);
    expect("E8", &dict->retired, dict_ref.object);
    expect("E8", (uint64_t *)at(entries[2]), entries[2]);
    expect("E8", &shed->retired_next, dict->shedding);
    expect("E8", &shed->shed, 1000);
    expect("E8", &current->shed, 1);
    expect("L2", &dict->domain.head, 1);
    end();
}

int main(void) {
    RUN(each_invariant_is_checked);
    RUN(a_flipped_byte_harms_nobody);
    RUN(a_link_to_another_block_harms_nobody);
    return SUMMARY();
}
