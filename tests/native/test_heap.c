// variants: plain asan
/* The heap: edges, a random model, and bytes that lie. */
#include "heap_fixture.h"
#include "memory.h"

static uint64_t random_state = 1;
static uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}
static uint64_t below(uint64_t n) { return next_random() % n; }

static aipc_heap_stats stats(void) {
    aipc_heap_stats s = {0};
    CHECK_EQ(aipc_heap_stats_get(&ctx, &s), AIPC_OK);
    return s;
}
static aipc_status try_allocate(uint64_t size, uint64_t alignment, uint64_t *payload) {
    return aipc_heap_allocate(&ctx, size, alignment, 0, no_orphan, payload);
}
static aipc_status try_release(uint64_t payload) { return aipc_heap_free(&ctx, payload, 0, no_orphan); }

static uint64_t reserve(void) { return aipc_heap_reserve(stats().total_bytes, FIXTURE_PARTICIPANTS); }

/* One free block again, and nothing else. */
static void check_empty(void) {
    const aipc_report report = fixture_sound();
    CHECK_EQ(report.blocks, 1);
    CHECK_EQ(report.free_blocks, 1);
    const aipc_heap_stats s = stats();
    CHECK_EQ(s.used_blocks, 0);
    CHECK_EQ(s.free_bytes, s.total_bytes - reserve());
    CHECK_EQ(s.largest_free, s.free_bytes - AIPC_BLOCK_OVERHEAD);
}

/* ---- edges ------------------------------------------------------------------------------------- */
static void a_fresh_heap_is_one_free_block(void) {
    fixture_make(4096);
    check_empty();
    CHECK_EQ(shared->heap.end + 8, shared_size);
}

static void every_size_up_to_the_whole_heap(void) {
    fixture_make(8192);
    const uint64_t largest = stats().largest_free;
    for (uint64_t size = 0; size <= largest; size += size < 2100 ? 1 : 61) {
        const uint64_t payload = allocate(size, 16);
        CHECK(usable_size(payload) < size + 24 + AIPC_BLOCK_MIN);
        fixture_sound();
        release(payload);
    }
    check_empty();
    release(allocate(largest, 16));
    uint64_t payload;
    CHECK_EQ(try_allocate(largest + 1, 16, &payload), AIPC_FULL);
    check_empty();
}

static void sizes_and_alignments_out_of_range(void) {
    fixture_make(4096);
    uint64_t payload = 7;
    const uint64_t huge[] = {shared_size, UINT64_MAX, UINT64_MAX - 7, UINT64_MAX - 15, UINT64_C(1) << 63,
                             UINT64_C(1) << 44, (UINT64_C(1) << 44) - 8};
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++) {
        CHECK_EQ(try_allocate(huge[i], 16, &payload), AIPC_FULL);
        CHECK_EQ(try_allocate(8, huge[i], &payload), (huge[i] & (huge[i] - 1)) == 0 ? AIPC_FULL : AIPC_INVALID);
    }
    const uint64_t odd[] = {0, 3, 12, 24, 17};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        CHECK_EQ(try_allocate(8, odd[i], &payload), AIPC_INVALID);
    CHECK_EQ(aipc_heap_allocate(&ctx, 8, 16, AIPC_USED, no_orphan, &payload), AIPC_INVALID);
    CHECK_EQ(payload, 7);
    check_empty();
}

static void every_alignment(void) {
    fixture_make(1 << 18);
    for (uint64_t alignment = 1; alignment <= 65536; alignment *= 2) {
        uint64_t held[24], count = 0;
        for (uint64_t i = 0; i < 24; i++) {
            uint64_t payload;
            const uint64_t size = 1 + i * 37 % 700;
            if (try_allocate(size, alignment, &payload) != AIPC_OK) break;
            CHECK_EQ(payload % alignment, 0);
            CHECK(usable_size(payload) >= size);
            held[count++] = payload;
            fixture_sound();
        }
        CHECK(count >= 3);
        for (uint64_t i = 0; i < count; i += 2) release(held[i]);
        fixture_sound();
        for (uint64_t i = 1; i < count; i += 2) release(held[i]);
        check_empty();
    }
}

static void an_aligned_block_is_found_where_only_one_place_fits(void) {
    fixture_make(8192);
    uint64_t first = allocate(4096, 64), rest[400], count = 0;
    while (try_allocate(24, 16, &rest[count]) == AIPC_OK) count++;
    CHECK_EQ(stats().largest_free, 0);
    release(first); /* its place is aligned, and exactly as large */
    CHECK_EQ(allocate(4096, 64), first);
    release(first);
    uint64_t payload;
    CHECK_EQ(try_allocate(4096 + 16, 64, &payload), AIPC_FULL);
    while (count > 0) release(rest[--count]);
    check_empty();
}

/* The first of its bin lies wrong, the other one right. */
static void an_aligned_block_is_found_behind_one_of_its_size(void) {
    fixture_make(8192);
    uint64_t rest[400], count = 0, payload;
    while (try_allocate(40, 16, &rest[count]) == AIPC_OK) count++; /* 48 bytes apart */
    uint64_t right = 0;
    while (rest[right] % 64 != 0) right++;
    release(rest[right]), release(rest[right + 2]); /* the latest comes first, but for seq_fit */
    CHECK_EQ(try_allocate(40, 64, &payload), seg.algorithm == AIPC_TLSF ? AIPC_FULL : AIPC_OK); /* it looks at one only */
    if (seg.algorithm != AIPC_TLSF) CHECK_EQ(payload, rest[right]);
}

static void a_heap_filled_to_the_last_byte(void) {
    static uint64_t held[4096];
    for (uint64_t size = 1; size < 3000; size = size * 2 + 9) {
        fixture_make(65536);
        uint64_t count = 0;
        while (try_allocate(size, 16, &held[count]) == AIPC_OK) fill(held[count++]);
        CHECK(stats().largest_free < size);
        CHECK_EQ(fixture_sound().user_blocks, count);
        for (uint64_t i = 0; i < count; i++) check_filled(held[i]);
        for (uint64_t i = 0; i < count; i += 2) release(held[i]);
        fixture_sound();
        for (uint64_t i = 1; i < count; i += 2) release(held[i]);
        check_empty();
    }
}

static uint64_t take_all(uint64_t size, uint32_t flags, uint64_t *into) {
    uint64_t count = 0;
    while (aipc_heap_allocate(&ctx, size, 16, flags, no_orphan, &into[count]) == AIPC_OK) fill(into[count++]);
    return count;
}
static void drop_all(const uint64_t *from, uint64_t count, uint64_t first, uint64_t step) {
    for (uint64_t i = first; i < count; i += step) release(from[i]);
}

/* Whatever is free elsewhere, in however many crumbs: there are records for some, and some room for leases. */
static void a_full_heap_keeps_a_reserve(void) {
    static uint64_t users[8192], leases[64], records[256];
    uint64_t size;
    uint32_t flags;
    for (uint64_t wanted = 24; wanted < 20000; wanted = wanted * 3 + 8) {
        NOTE("blocks of %" PRIu64, wanted);
        fixture_make(160 * 1024);
        const uint64_t share = aipc_heap_record_share(reserve(), FIXTURE_PARTICIPANTS);
        CHECK_EQ(reserve(), 4096 + 64 * FIXTURE_PARTICIPANTS);
        uint64_t n = take_all(wanted, 0, users);
        n += take_all(24, 0, users + n);
        const bool crumbs = wanted == 24; /* nothing larger fits there, and all of it is a lot */
        if (crumbs) drop_all(users, n, 0, 2);
        CHECK(stats().largest_free < 48);
        const uint64_t leased = take_all(2048 + 64, AIPC_PART | AIPC_RESERVE, leases);
        CHECK_EQ(leased, (reserve() - share) / (2048 + 64 + 16));
        const uint64_t more = take_all(64, AIPC_PART | AIPC_RESERVE, leases + leased);
        CHECK(more < 48);
        const uint64_t kept = take_all(32, AIPC_INTERNAL | AIPC_RESERVE, records);
        CHECK(kept >= share / 48 && kept >= FIXTURE_PARTICIPANTS);
        CHECK_EQ(aipc_heap_size_of(&seg, records[0], &size, &flags), AIPC_OK);
        CHECK_EQ(flags, AIPC_INTERNAL);
        CHECK_EQ(try_allocate(40, 16, &size), AIPC_FULL);
        CHECK_EQ(try_allocate(40, 64, &size), AIPC_FULL);
        fixture_sound();
        drop_all(leases, leased + more, 0, 1), drop_all(records, kept, 0, 1);
        CHECK_EQ(take_all(2048 + 64, AIPC_PART | AIPC_RESERVE, leases), leased); /* in one piece again */
        drop_all(leases, leased, 0, 1);
        drop_all(users, n, crumbs, crumbs ? 2 : 1);
        check_empty();
    }
}

static void splitting_leaves_no_crumbs(void) {
    fixture_make(4096);
    const uint64_t hole = allocate(200 - 8, 16), wall = allocate(8, 16);
    const uint64_t whole = usable_size(hole); /* 200 */
    for (uint64_t size = whole - 40; size <= whole; size++) {
        release(hole);
        CHECK_EQ(allocate(size, 16), hole);
        const uint64_t exact = (size + 8 + 15) / 16 * 16 - 8;
        CHECK_EQ(usable_size(hole), whole - exact < AIPC_BLOCK_MIN ? whole : exact);
        fixture_sound();
    }
    release(hole);
    release(wall);
    check_empty();
}

static void blocks_join_with_either_both_and_no_neighbour(void) {
    for (int free_before = 0; free_before < 2; free_before++)
        for (int free_after = 0; free_after < 2; free_after++)
            for (uint64_t size = 24; size < 3000; size += 530) {
                fixture_make(16384);
                const uint64_t a = allocate(size, 16), b = allocate(size, 16), c = allocate(size, 16), d = allocate(8, 16);
                fill(a), fill(c), fill(d);
                if (free_before) release(a);
                if (free_after) release(c);
                release(b);
                const aipc_report report = fixture_sound();
                CHECK_EQ(report.blocks, 5 - free_before - free_after);
                CHECK_EQ(try_release(b), AIPC_INVALID);
                if (!free_before) check_filled(a), release(a);
                if (!free_after) check_filled(c), release(c);
                check_filled(d);
                release(d);
                check_empty();
            }
}

static void bad_handles_harm_nothing(void) {
    fixture_make(4096);
    const uint64_t a = allocate(100, 16), b = allocate(100, 16), c = allocate(100, 16);
    fill(a), fill(b), fill(c);
    release(b);
    static uint8_t before[sizeof(struct aipc_heap)], bytes[1 << 16];
    memcpy(before, &shared->heap, sizeof before);
    memcpy(bytes, shared, shared_size);
    uint64_t size;
    uint32_t flags;
    for (uint64_t payload = 0; payload < shared_size + 100; payload++) {
        if (payload == a || payload == c) continue;
        CHECK_EQ(try_release(payload), AIPC_INVALID);
        CHECK_EQ(aipc_heap_size_of(&seg, payload, &size, &flags), AIPC_INVALID);
    }
    const uint64_t wild[] = {UINT64_MAX, UINT64_MAX - 7, UINT64_MAX - 15, UINT64_C(1) << 63, UINT64_C(1) << 44};
    for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
        CHECK_EQ(try_release(wild[i]), AIPC_INVALID);
        CHECK_EQ(aipc_heap_size_of(&seg, wild[i], &size, &flags), AIPC_INVALID);
    }
    CHECK(memcmp(before + sizeof(struct aipc_domain), (uint8_t *)&shared->heap + sizeof(struct aipc_domain),
                 sizeof before - sizeof(struct aipc_domain)) == 0);
    CHECK(memcmp(bytes + seg.heap_begin, seg.base + seg.heap_begin, shared_size - seg.heap_begin) == 0);
    release(a);
    CHECK_EQ(try_release(a), AIPC_INVALID);
    release(c);
    CHECK_EQ(try_release(c), AIPC_INVALID); /* joined with what lies before: its header is gone */
    check_empty();
}

static void flags_are_kept_and_forbidden_ones_refused(void) {
    fixture_make(4096);
    uint64_t internal, owned, size;
    uint32_t flags;
    CHECK_EQ(aipc_heap_allocate(&ctx, 40, 16, AIPC_INTERNAL, no_orphan, &internal), AIPC_OK);
    CHECK_EQ(aipc_heap_allocate(&ctx, 40, 16, AIPC_OWNED, no_orphan, &owned), AIPC_OK);
    CHECK_EQ(aipc_heap_size_of(&seg, internal, &size, &flags), AIPC_OK);
    CHECK_EQ(flags, AIPC_INTERNAL);
    CHECK_EQ(aipc_heap_size_of(&seg, owned, &size, &flags), AIPC_OK);
    CHECK_EQ(flags, AIPC_OWNED);
    const uint64_t user = allocate(40, 16);
    const aipc_report report = fixture_sound();
    CHECK_EQ(report.internal_blocks, 1);
    CHECK_EQ(report.owned_blocks, 1);
    CHECK_EQ(report.user_blocks, 1);
    CHECK_EQ(aipc_heap_free(&ctx, internal, AIPC_INTERNAL, no_orphan), AIPC_INVALID);
    CHECK_EQ(aipc_heap_free(&ctx, owned, AIPC_INTERNAL, no_orphan), AIPC_OK);
    CHECK_EQ(aipc_heap_free(&ctx, internal, 0, no_orphan), AIPC_OK);
    release(user);
    check_empty();
}

static void the_orphan_word_follows_the_block(void) {
    fixture_make(4096);
    uint64_t *orphan = &ctx.shared->orphan[3], payload;
    CHECK_EQ(aipc_heap_allocate(&ctx, 40, 16, 0, orphan, &payload), AIPC_OK);
    CHECK_EQ(*orphan, payload);
    CHECK_EQ(aipc_heap_free(&ctx, payload + 16, 0, orphan), AIPC_INVALID);
    CHECK_EQ(*orphan, payload);
    CHECK_EQ(aipc_heap_free(&ctx, payload, 0, orphan), AIPC_OK);
    CHECK_EQ(*orphan, 0);
    check_empty();
}

struct walked {
    uint64_t blocks, bytes, stop_at;
};
static bool visit(void *arg, const aipc_block_info *block) {
    struct walked *walked = arg;
    walked->bytes += block->size;
    return ++walked->blocks != walked->stop_at;
}

static void the_walk_sees_every_block_and_stops_when_told(void) {
    fixture_make(4096);
    for (int i = 0; i < 5; i++) allocate(50, 16);
    struct walked all = {0}, some = {.stop_at = 3};
    CHECK_EQ(aipc_heap_walk(&ctx, visit, &all), AIPC_OK);
    CHECK_EQ(all.blocks, 6);
    CHECK_EQ(all.bytes, stats().total_bytes);
    CHECK_EQ(aipc_heap_walk(&ctx, visit, &some), AIPC_OK);
    CHECK_EQ(some.blocks, 3);
}

static void bins_cover_all_sizes_in_order(void) {
    fixture_make(4096);
    uint32_t last = 0;
    for (uint64_t size = 32; size < UINT64_C(1) << 44; size += size < 8192 ? 16 : size / 64 / 16 * 16) {
        const uint32_t bin = aipc_heap_bin_of(&seg, size);
        CHECK(bin >= last && bin <= last + 1 && bin < AIPC_BINS);
        CHECK(size > 1024 || bin < AIPC_SMALL_BINS);
        CHECK(size <= 1024 || bin >= AIPC_SMALL_BINS);
        if (size <= 1024 && size > 32) CHECK_EQ(bin, last + 1);
        last = bin;
    }
}

static void any_damaged_byte_of_a_header_shows(void) {
    fixture_make(4096);
    for (int round = 0; round < 200; round++) {
        seg.seed = next_random();
        const uint64_t offset = below(1 << 20) * 16 + 8, size = (below(1 << 24) + 2) * 16;
        const uint64_t header = aipc_heap_header(&seg, offset, size, (uint32_t)below(16));
        for (int byte = 0; byte < 8; byte++)
            for (uint64_t change = 1; change < 256; change++) {
                const uint64_t bad = header ^ change << byte * 8;
                CHECK(bad != aipc_heap_header(&seg, offset, aipc_block_size(bad), aipc_block_flags(bad)));
            }
    }
}

/* ---- the random model -------------------------------------------------------------------------- */
enum { MODEL_SLOTS = 200 };
static struct model_slot {
    uint64_t payload, wanted;
    uint32_t flags;
} model[MODEL_SLOTS];

/* What there is for an ordinary request. */
struct pieces {
    uint64_t limit, all, largest;
};
static bool measure(void *arg, const aipc_block_info *block) {
    struct pieces *pieces = arg;
    const uint64_t begin = block->payload - AIPC_BLOCK_OVERHEAD, end = begin + block->size;
    if ((block->flags & AIPC_USED) != 0) return true;
    const uint64_t size = end <= pieces->limit ? block->size : begin < pieces->limit ? pieces->limit - begin : 0;
    pieces->all += block->size;
    if (size > pieces->largest) pieces->largest = size;
    return true;
}

static void model_check(void) {
    uint64_t used = 0, internal = 0, owned = 0, limit = shared->heap.end - reserve();
    for (int i = 0; i < MODEL_SLOTS; i++) {
        if (model[i].payload == 0) continue;
        used++;
        internal += (model[i].flags & AIPC_PART) == AIPC_INTERNAL;
        owned += model[i].flags == AIPC_OWNED;
        if ((model[i].flags & AIPC_RESERVE) == 0) CHECK(model[i].payload + usable_size(model[i].payload) <= limit + 16);
        check_filled(model[i].payload);
    }
    const aipc_report report = fixture_sound();
    const aipc_heap_stats s = stats();
    CHECK_EQ(report.blocks - report.free_blocks, used);
    CHECK_EQ(report.internal_blocks, internal);
    CHECK_EQ(report.owned_blocks, owned);
    CHECK_EQ(s.used_blocks, used);
    struct pieces pieces = {.limit = limit};
    CHECK_EQ(aipc_heap_walk(&ctx, measure, &pieces), AIPC_OK);
    CHECK_EQ(pieces.all, report.free_bytes);
    if (pieces.largest < AIPC_BLOCK_MIN) pieces.largest = 0;
    if (seg.algorithm == AIPC_TLSF && s.largest_free + AIPC_BLOCK_OVERHEAD < pieces.largest) return; /* behind another */
    CHECK_EQ(s.free_bytes, pieces.all > pieces.largest + reserve() ? pieces.all - reserve() : pieces.largest);
    CHECK_EQ(s.largest_free, pieces.largest == 0 ? 0 : pieces.largest - AIPC_BLOCK_OVERHEAD);
    CHECK(report.largest_free <= s.largest_free + reserve());
}

static void model_allocate(struct model_slot *slot, uint64_t max_size, uint64_t align_one_in) {
    const uint32_t kinds[] = {0, 0, AIPC_INTERNAL, AIPC_OWNED, AIPC_INTERNAL | AIPC_RESERVE, AIPC_PART | AIPC_RESERVE};
    slot->wanted = below(max_size);
    slot->flags = kinds[below(6)];
    const uint64_t alignment = below(align_one_in) == 0 ? UINT64_C(1) << below(11) : 16;
    const uint64_t largest = stats().largest_free;
    const aipc_status status =
        aipc_heap_allocate(&ctx, slot->wanted, alignment, slot->flags, no_orphan, &slot->payload);
    const bool fits = largest != 0 && slot->wanted <= largest;
    if (alignment <= 16) CHECK((slot->flags & AIPC_RESERVE) != 0 ? status == AIPC_OK || !fits : (status == AIPC_OK) == fits);
    if (status != AIPC_OK) {
        CHECK_EQ(status, AIPC_FULL);
        slot->payload = 0;
        return;
    }
    CHECK_EQ(slot->payload % alignment, 0);
    CHECK(usable_size(slot->payload) >= slot->wanted);
    fill(slot->payload);
}

static void random_steps_against_a_model(void) {
    const int steps = harness_full() ? 20000 : 1500;
    const uint64_t sizes[] = {100, 1100, 4000, 20000};
    for (int round = 0; round < 8; round++) {
        fixture_make(round < 4 ? 32768 : 262144);
        memset(model, 0, sizeof model);
        for (int step = 0; step < steps; step++) {
            NOTE("round %d, step %d", round, step);
            struct model_slot *slot = &model[below(MODEL_SLOTS)];
            if (slot->payload == 0) {
                model_allocate(slot, sizes[round % 4], round % 2 == 0 ? 4 : 50);
            } else {
                check_filled(slot->payload);
                release(slot->payload);
                slot->payload = 0;
            }
            model_check();
        }
        for (int i = 0; i < MODEL_SLOTS; i++)
            if (model[i].payload != 0) release(model[i].payload);
        check_empty();
    }
}

/* ---- bytes that lie ---------------------------------------------------------------------------- */
static uint8_t sound_bytes[1 << 16];
static uint64_t held[12];

/* Used and free blocks, small and large, next to each other. */
static void make_sample(void) {
    fixture_make(8192);
    for (int i = 0; i < 12; i++) held[i] = allocate(i % 3 == 2 ? 1300 : 20 + (uint64_t)i * 9, 16);
    for (int i = 0; i < 12; i += 2) fill(held[i]);
    release(held[1]), release(held[4]), release(held[5]), release(held[8]);
    fixture_sound();
    memcpy(sound_bytes, shared, shared_size);
}

/* Any answer will do, but there has to be one; a fault names its place. */
static bool is_answer(aipc_status status) {
    if (status == AIPC_CORRUPT) CHECK(seg.fault.what != NULL);
    return status == AIPC_OK || status == AIPC_FULL || status == AIPC_INVALID || status == AIPC_CORRUPT ||
           status == AIPC_INTERRUPTED || status == AIPC_SYSTEM || status == AIPC_STALLED || status == AIPC_AGAIN;
}

static void use_damaged_heap(void) {
    uint64_t payload, size;
    uint32_t flags;
    aipc_heap_stats s;
    for (int i = 0; i < 12; i++) {
        CHECK(is_answer(aipc_heap_size_of(&seg, held[i], &size, &flags)));
        CHECK(is_answer(try_release(held[i])));
        CHECK(is_answer(try_allocate((uint64_t)i * 150, i % 4 == 3 ? 128 : 16, &payload)));
    }
    CHECK(is_answer(aipc_heap_stats_get(&ctx, &s)));
    for (uint32_t ways = 0; ways < 8; ways++) {
        aipc_resizing r = {.payload = held[ways], .minimum = 100, .preferred = ways * 300, .ways = ways};
        if (r.minimum > r.preferred) r.minimum = 0;
        CHECK(is_answer(aipc_resize(&ctx, &r, 16, ways % 2 == 0)));
    }
    uint64_t many[40];
    const uint64_t sizes[] = {40};
    for (uint64_t alignment = 16; alignment <= 64; alignment *= 4)
        CHECK(is_answer(aipc_allocate_many(&ctx, &(aipc_many){sizes, true, 40, alignment, many})));
    CHECK(is_answer(aipc_deallocate_many(&ctx, held, 12, &size)));
    CHECK(is_answer(aipc_zero_free_memory(&ctx)));
    memset(ctx.shared->orphan, 0, sizeof ctx.shared->orphan);
    struct walked all = {0};
    CHECK(is_answer(aipc_heap_walk(&ctx, visit, &all)));
    CHECK(all.blocks <= shared_size / AIPC_BLOCK_MIN);
}

/* Damages one byte; true when the check or the lock notices. */
static bool detected(uint64_t offset, uint8_t change) {
    static aipc_report report;
    memcpy(shared, sound_bytes, shared_size);
    ctx.shared->domain = 0;
    seg.base[offset] ^= change;
    memset(&report, 0, sizeof report);
    const aipc_status status = aipc_heap_check(&ctx, &report);
    CHECK(is_answer(status));
    const bool found = status != AIPC_OK || report.findings != 0;
    use_damaged_heap();
    memset(&report, 0, sizeof report);
    CHECK(is_answer(aipc_heap_check(&ctx, &report)));
    return found;
}

static void damage(const char *what, uint64_t from, uint64_t to, bool all) {
    static const uint8_t changes[] = {0x01, 0x10, 0x80, 0xff};
    uint64_t noticed = 0, flips = 0;
    for (uint64_t offset = from; offset < to; offset++)
        for (size_t i = 0; i < sizeof changes; i++, flips++) {
            NOTE("%s, byte %" PRIu64 " ^ %02x", what, offset - from, changes[i]);
            noticed += detected(offset, changes[i]);
        }
    fprintf(stderr, "  %-28s %6" PRIu64 " flips, %6" PRIu64 " noticed by the check\n", what, flips, noticed);
    if (all) CHECK_EQ(noticed, flips);
}

static void damaged_control_words(void) {
    make_sample();
    const uint64_t heap = aipc_offset(&seg, &shared->heap);
#define FIELD(field) heap + offsetof(struct aipc_heap, field)
    damage("lock", FIELD(domain.lock), FIELD(domain.acquisitions), false);
    damage("log head", FIELD(domain.head), FIELD(domain.publish_offset), true);
    damage("end", FIELD(end), FIELD(free_bytes), true);
    damage("counters", FIELD(free_bytes), FIELD(summary), true);
    damage("summary, map", FIELD(summary), FIELD(bins), true);
    damage("bins", FIELD(bins), FIELD(hole_first), true);
    damage("holes", FIELD(hole_first), FIELD(trims), true);
    damage("trims", FIELD(trims), FIELD(line), false);
    damage("line", FIELD(line), FIELD(reserved), false);
    damage("idle log, reserved", FIELD(domain.acquisitions), FIELD(domain.head), false);
    damage("idle log, reserved", FIELD(domain.publish_offset), FIELD(end), false);
}

static void damaged_blocks(void) {
    make_sample();
    uint64_t offset = seg.heap_begin, header;
    for (; offset != shared->heap.end; offset += aipc_block_size(header)) {
        memcpy(&header, sound_bytes + offset, 8);
        const uint64_t size = aipc_block_size(header);
        const bool used = (header & AIPC_USED) != 0;
        damage(used ? "used block's header" : "free block's header", offset, offset + 8, true);
        if (used) continue;
        damage("free block's links, footer", offset + size - 24, offset + size, true);
    }
    damage("sentinel", offset, offset + 8, true);
}

/* Whole words, and many at once: nothing is promised but an answer. */
static void random_garbage(void) {
    make_sample();
    const uint64_t rounds = harness_full() ? 200000 : 4000, heap = aipc_offset(&seg, &shared->heap);
    for (uint64_t round = 0; round < rounds; round++) {
        memcpy(shared, sound_bytes, shared_size);
        ctx.shared->domain = 0;
        NOTE("garbage %" PRIu64, round);
        for (uint64_t n = 1 + below(8); n > 0; n--) {
            const uint64_t from = below(2) != 0 ? heap + sizeof(struct aipc_domain) : seg.heap_begin;
            const uint64_t to = from == seg.heap_begin ? shared_size : heap + sizeof(struct aipc_heap);
            const uint64_t at = from + below((to - from) / 8) * 8;
            /* offsets and headers of the heap itself are the most convincing lies */
            const uint64_t lies[] = {next_random(), 0, seg.heap_begin + below(500) * 16,
                                     aipc_heap_header(&seg, at, below(600) * 16, (uint32_t)below(16))};
            memcpy(seg.base + at, &lies[below(4)], 8);
        }
        aipc_report *report = calloc(1, sizeof *report);
        CHECK(is_answer(aipc_heap_check(&ctx, report)));
        use_damaged_heap();
        CHECK(is_answer(aipc_heap_check(&ctx, report)));
        free(report);
    }
}

int main(void) {
    RUN_EACH(a_fresh_heap_is_one_free_block);
    RUN_EACH(every_size_up_to_the_whole_heap);
    RUN_EACH(sizes_and_alignments_out_of_range);
    RUN_EACH(every_alignment);
    RUN_EACH(an_aligned_block_is_found_where_only_one_place_fits);
    RUN_EACH(an_aligned_block_is_found_behind_one_of_its_size);
    RUN_EACH(a_heap_filled_to_the_last_byte);
    RUN_EACH(a_full_heap_keeps_a_reserve);
    RUN_EACH(splitting_leaves_no_crumbs);
    RUN_EACH(blocks_join_with_either_both_and_no_neighbour);
    RUN_EACH(bad_handles_harm_nothing);
    RUN_EACH(flags_are_kept_and_forbidden_ones_refused);
    RUN_EACH(the_orphan_word_follows_the_block);
    RUN_EACH(the_walk_sees_every_block_and_stops_when_told);
    RUN(bins_cover_all_sizes_in_order);
    RUN(any_damaged_byte_of_a_header_shows);
    RUN_EACH(random_steps_against_a_model);
    RUN_EACH(damaged_control_words);
    RUN_EACH(damaged_blocks);
    RUN_EACH(random_garbage);
    return SUMMARY();
}
