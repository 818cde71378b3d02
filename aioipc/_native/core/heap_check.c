/* The heap's fsck, walk and statistics: read everything under the lock, believe nothing, change nothing. */
#include "heap.h"

typedef struct check {
    aipc_seg *seg;
    struct aipc_heap *heap;
    aipc_report *report;
    uint64_t begin, end;
    uint64_t free_blocks, free_bytes, used_blocks; /* what the walk found */
    uint64_t fingerprint; /* sum over free blocks, to compare the walk's with the bins' (H5) */
    uint64_t holes, hole_bytes, hole_print; /* the same of holes, for the list's (H8) */
    bool walked;          /* the walk came to the sentinel */
} check;

/* The rest of a block is only looked at when its header can be believed. */
typedef struct block {
    uint64_t offset, size;
    uint32_t flags;
} block;

static uint64_t get(const check *c, uint64_t offset) {
    return aipc_load_relaxed64((const uint64_t *)(const void *)(c->seg->base + offset));
}

static void add(check *c, const char *what, uint64_t where, uint64_t found, uint64_t expected) {
    aipc_report_add(c->report, what, where, found, expected);
}

/* Whether there can be a sentinel where the heap says it ends. */
static bool find_end(check *c) {
    c->end = aipc_load_relaxed64(&c->heap->end);
    return (c->end & 15) == 8 && c->end >= c->begin && aipc_at(c->seg, c->end, 8) != NULL;
}

/* H1 and the limits of H2.  Returns what is wrong, NULL when the header can be believed. */
static const char *read_header(const check *c, uint64_t offset, block *b) {
    *b = (block){.offset = offset};
    if ((offset & 15) != 8 || offset < c->begin || offset >= c->end) return "H2 block outside the heap";
    uint64_t header = get(c, offset);
    *b = (block){offset, aipc_block_size(header), aipc_block_flags(header)};
    if (header != aipc_heap_header(c->seg, offset, b->size, b->flags)) return "H1 block tag";
    if (b->size < AIPC_BLOCK_MIN || b->size > c->end - offset) return "H2 block size";
    return NULL;
}

/* Mixes an offset so that sums of different sets of offsets differ. */
static uint64_t mixed(uint64_t offset) {
    offset = (offset ^ offset >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    return (offset ^ offset >> 32) * UINT64_C(0x94d049bb133111eb);
}

/* ---- the walk: H1 to H4 ------------------------------------------------------------------------ */
static void walked_free(check *c, const block *b) {
    uint64_t footer = get(c, b->offset + b->size - 8);
    if (footer != b->size) add(c, "H4 free block's footer", b->offset + b->size - 8, footer, b->size);
    if ((b->flags & (AIPC_INTERNAL | AIPC_OWNED)) != 0)
        add(c, "H1 free block with a user's flags", b->offset, b->flags, AIPC_PREV_USED);
    c->free_blocks++;
    c->free_bytes += b->size;
    c->fingerprint += mixed(b->offset);
    if (b->size - AIPC_BLOCK_OVERHEAD > c->report->largest_free)
        c->report->largest_free = b->size - AIPC_BLOCK_OVERHEAD;
}

/* Its words are where a page begins, and there is a page in it. */
static bool is_hole(const check *c, const block *b) {
    uint64_t first = b->offset + sizeof(struct aipc_hole), end = b->offset + b->size;
    return (b->flags & ~(uint32_t)AIPC_PREV_USED) == (AIPC_USED | AIPC_HOLE) && first % AIPC_HOLE_PAGE == 0 &&
           end / AIPC_HOLE_PAGE * AIPC_HOLE_PAGE > first && end != c->end;
}

static void walked_hole(check *c, const block *b) {
    if (!is_hole(c, b)) add(c, "H8 hole", b->offset, b->flags, AIPC_USED | AIPC_HOLE);
    c->holes++;
    c->hole_bytes += b->size;
    c->hole_print += mixed(b->offset);
}

static void walked_used(check *c, const block *b) {
    c->used_blocks++;
    if ((b->flags & AIPC_HOLE) != 0)
        walked_hole(c, b);
    else if ((b->flags & AIPC_PART) == AIPC_PART)
        c->report->part_blocks++;
    else if ((b->flags & AIPC_INTERNAL) != 0)
        c->report->internal_blocks++;
    else if ((b->flags & AIPC_OWNED) != 0)
        c->report->owned_blocks++;
    else
        c->report->user_blocks++;
}

static void check_prev_used(check *c, uint64_t offset, uint32_t flags, bool prev_used) {
    bool claimed = (flags & AIPC_PREV_USED) != 0;
    if (claimed != prev_used) add(c, "H4 PREV_USED is wrong", offset, claimed, prev_used);
}

static void check_sentinel(check *c, bool prev_used) {
    uint64_t header = get(c, c->end);
    uint32_t flags = aipc_block_flags(header);
    if (header != aipc_heap_header(c->seg, c->end, 0, flags)) add(c, "H1 sentinel's tag", c->end, header, 0);
    if ((flags & ~(uint32_t)AIPC_PREV_USED) != AIPC_USED) add(c, "H2 sentinel's flags", c->end, flags, AIPC_USED);
    check_prev_used(c, c->end, flags, prev_used);
}

static void walk(check *c) {
    bool prev_used = true;
    block b;
    for (uint64_t offset = c->begin; offset != c->end; offset += b.size) { /* each step >= 32 */
        const char *broken = read_header(c, offset, &b);
        if (broken != NULL) {
            add(c, broken, offset, get(c, offset), aipc_heap_header(c->seg, offset, b.size, b.flags));
            return;
        }
        bool used = (b.flags & AIPC_USED) != 0;
        check_prev_used(c, offset, b.flags, prev_used);
        if (!used && !prev_used) add(c, "H3 free blocks touch", offset, b.flags, 0);
        if (used)
            walked_used(c, &b);
        else
            walked_free(c, &b);
        prev_used = used;
    }
    check_sentinel(c, prev_used);
    c->walked = true;
}

/* ---- the bins: H5 and H6 ----------------------------------------------------------------------- */
typedef struct listed {
    uint64_t blocks, fingerprint;
} listed;

/* Bins and links name free blocks by their ends; the footer leads to the header. */
static const char *read_listed(const check *c, uint64_t end, block *b) {
    if ((end & 15) != 8 || end < c->begin + AIPC_BLOCK_MIN || end > c->end) return "H5 link outside the heap";
    uint64_t size = get(c, end - 8);
    if ((size & 15) != 0 || size > end - c->begin) return "H4 free block's footer";
    const char *broken = read_header(c, end - size, b);
    return broken == NULL && b->size != size ? "H4 free block's footer" : broken;
}

static void check_bin(check *c, uint32_t bin, uint64_t *left, listed *found) {
    uint64_t from = aipc_offset(c->seg, &c->heap->bins[bin]), prev = 0;
    block b;
    for (uint64_t end = get(c, from); end != 0; end = get(c, from)) {
        const char *broken = read_listed(c, end, &b);
        if (broken == NULL && *left == 0) broken = "H5 a bin's list does not end";
        if (broken != NULL) {
            add(c, broken, from, end, 0);
            return;
        }
        --*left;
        if ((b.flags & AIPC_USED) != 0) add(c, "H5 used block in a bin", b.offset, b.flags, 0);
        if (aipc_heap_bin_of(c->seg, b.size) != bin) add(c, "H5 block in a bin not its own", b.offset, b.size, bin);
        if (c->seg->algorithm == AIPC_SEQ_FIT && end <= prev) add(c, "H5 list out of order", from, end, prev);
        if (get(c, end - 16) != prev) add(c, "H5 backward link", end - 16, get(c, end - 16), prev);
        found->blocks++;
        found->fingerprint += mixed(b.offset);
        prev = end;
        from = end - 24;
    }
}

static void check_map(check *c) {
    uint64_t summary = aipc_load_relaxed64(&c->heap->summary), expected = 0;
    for (uint32_t w = 0; w < AIPC_BINS / 64; w++) {
        uint64_t map = aipc_load_relaxed64(&c->heap->map[w]), filled = 0;
        for (uint32_t b = 0; b < 64; b++)
            filled |= (uint64_t)(aipc_load_relaxed64(&c->heap->bins[w * 64 + b]) != 0) << b;
        if (map != filled) add(c, "H6 map", aipc_offset(c->seg, &c->heap->map[w]), map, filled);
        expected |= (uint64_t)(filled != 0) << w;
    }
    if (summary != expected) add(c, "H6 summary", aipc_offset(c->seg, &c->heap->summary), summary, expected);
}

static void check_bins(check *c) {
    uint64_t left = (c->end - c->begin) / AIPC_BLOCK_MIN + 1; /* blocks there can be */
    listed found = {0};
    for (uint32_t bin = 0; bin < AIPC_BINS; bin++) check_bin(c, bin, &left, &found);
    check_map(c);
    if (!c->walked) return;
    uint64_t where = aipc_offset(c->seg, c->heap->bins);
    if (found.blocks != c->free_blocks)
        add(c, "H5 number of blocks in bins", where, found.blocks, c->free_blocks);
    else if (found.fingerprint != c->fingerprint)
        add(c, "H5 bins hold other blocks than the free ones", where, found.fingerprint, c->fingerprint);
}

/* H8: the list has the holes that the walk has found. */
static void check_holes(check *c) {
    struct aipc_heap *heap = c->heap;
    uint64_t from = aipc_offset(c->seg, &heap->hole_first), prev = 0, left = c->holes, print = 0;
    for (uint64_t at = get(c, from); at != 0; at = get(c, from)) {
        block b;
        const char *broken = left-- == 0 ? "H8 list of holes does not end" : read_header(c, at, &b);
        if (broken != NULL || !is_hole(c, &b)) {
            add(c, broken != NULL ? broken : "H8 no hole in the list of holes", from, at, 0);
            return;
        }
        if (get(c, at + offsetof(struct aipc_hole, prev)) != prev) add(c, "H8 backward link", at, prev, 0);
        print += mixed(at);
        prev = at;
        from = at + offsetof(struct aipc_hole, next);
    }
    uint64_t last = aipc_load_relaxed64(&heap->hole_last), bytes = aipc_load_relaxed64(&heap->hole_bytes);
    if (last != prev) add(c, "H8 last hole", aipc_offset(c->seg, &heap->hole_last), last, prev);
    if (print != c->hole_print) add(c, "H8 the list has other holes", from, c->holes - left, c->holes);
    if (bytes != c->hole_bytes || aipc_load_relaxed64(&heap->hole_count) != c->holes)
        add(c, "H8 sums of holes", aipc_offset(c->seg, &heap->hole_bytes), bytes, c->hole_bytes);
}

static void check_counters(check *c) {
    uint64_t size = aipc_load_relaxed64(&c->seg->header->size);
    if (size != c->end + 8) add(c, "G2 size and end of the heap", offsetof(struct aipc_header, size), size, c->end + 8);
    uint64_t free_bytes = aipc_load_relaxed64(&c->heap->free_bytes);
    uint64_t used_blocks = aipc_load_relaxed64(&c->heap->used_blocks);
    if (free_bytes != c->free_bytes)
        add(c, "H7 free_bytes", aipc_offset(c->seg, &c->heap->free_bytes), free_bytes, c->free_bytes);
    if (used_blocks != c->used_blocks)
        add(c, "H7 used_blocks", aipc_offset(c->seg, &c->heap->used_blocks), used_blocks, c->used_blocks);
}

aipc_status aipc_heap_check(aipc_ctx *ctx, aipc_report *report) {
    aipc_seg *seg = ctx->seg;
    struct aipc_heap *heap = seg->heap;
    aipc_status status = aipc_domain_lock(ctx, &heap->domain);
    if (status != AIPC_OK) return status;

    check c = {.seg = seg, .heap = heap, .report = report, .begin = seg->heap_begin};
    if (!find_end(&c)) {
        add(&c, "H2 end of the heap", aipc_offset(seg, &heap->end), c.end, aipc_limit(seg));
    } else {
        walk(&c);
        check_bins(&c);
        if (c.walked) check_counters(&c);
        if (c.walked) check_holes(&c);
    }
    aipc_domain_unlock(ctx, &heap->domain);

    report->blocks += c.free_blocks + c.used_blocks;
    report->free_blocks += c.free_blocks;
    report->free_bytes += c.free_bytes;
    report->holes += c.holes;
    report->hole_bytes += c.hole_bytes;
    return AIPC_OK;
}

aipc_status aipc_heap_walk_held(aipc_seg *seg, bool (*visit)(void *arg, const aipc_block_info *block), void *arg) {
    struct aipc_heap *heap = seg->heap;
    check c = {.seg = seg, .heap = heap, .begin = seg->heap_begin};
    const char *broken = find_end(&c) ? NULL : "H2 end of the heap";
    uint64_t offset = broken == NULL ? c.begin : aipc_offset(seg, &heap->end);
    while (broken == NULL && offset != c.end) { /* each step >= 32 */
        block b;
        broken = read_header(&c, offset, &b);
        if (broken != NULL) break;
        aipc_block_info info = {.payload = offset + AIPC_BLOCK_OVERHEAD, .size = b.size, .flags = b.flags};
        if (!visit(arg, &info)) break;
        offset += b.size;
    }
    return broken == NULL ? AIPC_OK : aipc_corrupt(seg, broken, seg->base + offset, get(&c, offset), 0);
}

aipc_status aipc_heap_walk(aipc_ctx *ctx, bool (*visit)(void *arg, const aipc_block_info *block), void *arg) {
    struct aipc_domain *domain = &ctx->seg->heap->domain;
    aipc_status status = aipc_domain_lock(ctx, domain);
    if (status != AIPC_OK) return status;
    status = aipc_heap_walk_held(ctx->seg, visit, arg);
    aipc_domain_unlock(ctx, domain);
    return status;
}

/* ---- statistics -------------------------------------------------------------------------------- */

/* The largest piece before `limit` among the free blocks of a bin: all of them have to be looked at, unless the heap itself
 * looks at the first one only. */
static const char *largest_of_bin(const check *c, uint32_t bin, uint64_t limit, uint64_t *largest) {
    uint64_t left = (c->end - c->begin) / AIPC_BLOCK_MIN + 1;
    block b;
    for (uint64_t end = aipc_load_relaxed64(&c->heap->bins[bin]); end != 0; end = get(c, end - 24), left--) {
        const char *broken = left == 0 ? "H5 a bin's list does not end" : read_listed(c, end, &b);
        if (broken != NULL) return broken;
        uint64_t size = end <= limit ? b.size : b.offset < limit ? limit - b.offset : 0;
        if (size > *largest) *largest = size;
        if (c->seg->algorithm == AIPC_TLSF) break;
    }
    return NULL;
}

/* The largest piece for an ordinary request: in the last bin, unless the reserve is a part of what is there. */
static const char *find_largest(const check *c, uint64_t limit, uint64_t *largest) {
    const char *broken = NULL;
    *largest = 0;
    for (uint32_t bin = AIPC_BINS; broken == NULL && bin > 0; bin--) {
        if (*largest >= AIPC_BLOCK_MIN && aipc_heap_bin_of(c->seg, *largest) >= bin) break; /* what follows is smaller */
        broken = largest_of_bin(c, bin - 1, limit, largest);
    }
    if (*largest < AIPC_BLOCK_MIN) *largest = 0;
    return broken;
}

/* The same of a hole with what is free before it, and what follows, free or a hole. */
static const char *run_of(const check *c, const block *hole, uint64_t limit, uint64_t *bytes) {
    enum { FAR = 4096 };
    block b = *hole;
    *bytes = (b.flags & AIPC_PREV_USED) == 0 && b.offset > c->begin ? get(c, b.offset - 8) : 0;
    for (int steps = 0; steps < FAR && ((b.flags & AIPC_USED) == 0 || (b.flags & AIPC_HOLE) != 0); steps++) {
        uint64_t room = b.offset < limit ? limit - b.offset : 0;
        *bytes += b.size < room ? b.size : room;
        if (b.offset + b.size == c->end) break;
        const char *broken = read_header(c, b.offset + b.size, &b);
        if (broken != NULL) return broken;
    }
    return *bytes > c->end ? "H4 free block's footer" : NULL;
}

static const char *largest_with_holes(const check *c, uint64_t limit, uint64_t *largest) {
    uint64_t left = aipc_load_relaxed64(&c->heap->hole_count), bytes;
    for (uint64_t at = aipc_load_relaxed64(&c->heap->hole_first); at != 0; left--) {
        block b;
        const char *broken = left == 0 ? "H8 list of holes does not end" : read_header(c, at, &b);
        if (broken == NULL && !is_hole(c, &b)) broken = "H8 hole";
        if (broken == NULL) broken = run_of(c, &b, limit, &bytes);
        if (broken != NULL) return broken;
        bytes = bytes > AIPC_BLOCK_MIN ? (bytes - AIPC_BLOCK_MIN) & ~UINT64_C(15) : 0; /* make_room wants so much more */
        if (bytes > *largest) *largest = bytes;
        at = get(c, at + offsetof(struct aipc_hole, next));
    }
    return NULL;
}

aipc_status aipc_heap_stats_get(aipc_ctx *ctx, aipc_heap_stats *stats) {
    aipc_seg *seg = ctx->seg;
    struct aipc_heap *heap = seg->heap;
    aipc_status status = aipc_domain_lock(ctx, &heap->domain);
    if (status != AIPC_OK) return status;
    check c = {.seg = seg, .heap = heap, .begin = seg->heap_begin};
    uint64_t largest = 0, reserve = 0, free_bytes = aipc_load_relaxed64(&heap->free_bytes);
    const char *broken = find_end(&c) ? NULL : "H2 end of the heap";
    if (broken == NULL) {
        reserve = aipc_heap_reserve(c.end - c.begin, seg->participants);
        broken = find_largest(&c, c.end - reserve, &largest);
        /* Where the reserve is in use, there is more than that elsewhere. */
        free_bytes = free_bytes > reserve ? free_bytes - reserve : 0;
        if (free_bytes < largest) free_bytes = largest;
        if (broken == NULL) broken = largest_with_holes(&c, c.end - reserve, &largest);
    }
    uint64_t holes = aipc_load_relaxed64(&heap->hole_bytes);
    *stats = (aipc_heap_stats){.total_bytes = c.end - c.begin,
                               .free_bytes = free_bytes + holes,
                               .hole_bytes = holes,
                               .largest_free = largest != 0 ? largest - AIPC_BLOCK_OVERHEAD : 0,
                               .used_blocks = aipc_load_relaxed64(&heap->used_blocks)};
    if (broken != NULL) status = aipc_corrupt(seg, broken, &heap->bins, largest, 0);
    aipc_domain_unlock(ctx, &heap->domain);
    return status;
}
