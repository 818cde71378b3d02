/* Blocks of the locked heap: what the files heap*.c are made of, and nobody else includes; see heap.h.
 *
 * An operation: open_heap, look (nothing is believed that is not checked), aipc_tx_begin, change words through the
 * transaction, close_heap with the status: it commits, or takes everything back.  What is wrong is recorded (wrong)
 * where it is found, and handed up as false.  At most AIPC_LOG_ENTRIES words in one transaction (had_room).
 */
#ifndef AIPC_HEAP_BLOCK_H
#define AIPC_HEAP_BLOCK_H

#include "heap.h"

/* A free block is known by its end, the offset of the header behind it: bins and links name ends.  What
 * is cut from a block's front, or joined to it there, then leaves its place in the list alone.
 *     header | ... | next | prev | footer (size) | header of the next block */
enum { NEXT = 24, PREV = 16, FOOTER = 8 };

static const char BAD_RANGE[] = "H2 block outside the heap";
static const char BAD_TAG[] = "H1 block tag";
static const char BAD_SIZE[] = "H2 block size";
static const char BAD_TOUCH[] = "H3 free blocks touch";
static const char BAD_PREV_USED[] = "H4 PREV_USED is wrong";
static const char BAD_FOOTER[] = "H4 free block's footer";
static const char BAD_LINK[] = "H5 links of a bin contradict each other";
static const char BAD_LENGTH[] = "H5 a bin's list does not end";
static const char BAD_ORDER[] = "H5 list out of order";
static const char BAD_MAP[] = "H6 map and bins disagree";
static const char BAD_COUNT[] = "H7 counters";

/* The locked heap: the segment, and the sentinel's offset, which was checked.  Passed by value. */
typedef struct view {
    aipc_seg *seg;
    uint64_t end;
} view;

#define INLINE static inline __attribute__((always_inline))

/* ---- headers -----------------------------------------------------------------------------------
 * The tag is the top of a product.  A change of one byte below it moves the product by e * 2^8j *
 * MULTIPLIER, |e| < 256, and for this multiplier that is never within 2^48 of 0 (tests/native/test_heap.c
 * tries them all): so every damaged byte of a header shows. */
#define MULTIPLIER UINT64_C(0x9e3779b97f4a7c15)
#define OFFSET_MULTIPLIER UINT64_C(0xd1b54a32d192ed03)
#define LOW_MASK UINT64_C(0x0000ffffffffffff)

INLINE uint64_t product(const aipc_seg *seg, uint64_t offset, uint64_t low) {
    return (low ^ offset * OFFSET_MULTIPLIER ^ seg->seed) * MULTIPLIER;
}
INLINE uint64_t tagged(const aipc_seg *seg, uint64_t offset, uint64_t low) {
    return (product(seg, offset, low) & ~LOW_MASK) | low;
}
INLINE bool tag_fits(const aipc_seg *seg, uint64_t offset, uint64_t header) {
    return (product(seg, offset, header & LOW_MASK) ^ header) >> 48 == 0;
}

INLINE uint64_t header_low(uint64_t size, uint32_t flags) {
    return size | (flags & 15) | (uint64_t)(flags & AIPC_HOLE) << 42;
}

/* Records what contradicts itself; false, for who gives up because of it. */
void aipc_heap_wrong(view v, const char *what, uint64_t where, uint64_t found, uint64_t expected);
INLINE bool wrong(view v, const char *what, uint64_t where, uint64_t found, uint64_t expected) {
    aipc_heap_wrong(v, what, where, found, expected);
    return false;
}

/* pre: `offset` was checked to lie in the heap, or is that of one of the heap's fields. */
INLINE uint64_t *word(view v, uint64_t offset) { return (uint64_t *)(void *)(v.seg->base + offset); }
INLINE uint64_t get(view v, uint64_t offset) { return aipc_load_relaxed64(word(v, offset)); }
INLINE void set(view v, aipc_tx *tx, uint64_t offset, uint64_t value) { aipc_tx_set(tx, word(v, offset), value); }
/* In a used block that nobody else knows: no log. */
INLINE void set_plain(view v, uint64_t offset, uint64_t value) { aipc_store_relaxed64(word(v, offset), value); }
INLINE void set_header(view v, aipc_tx *tx, uint64_t offset, uint64_t size, uint32_t flags) {
    set(v, tx, offset, tagged(v.seg, offset, header_low(size, flags)));
}
INLINE uint64_t place(view v, const uint64_t *field) { return aipc_offset(v.seg, field); }

/* Bytes of a block with so many of payload, which are at most `mapped`. */
INLINE uint64_t block_size_for(uint64_t payload_size) {
    uint64_t size = (payload_size + AIPC_BLOCK_OVERHEAD + 15) & ~UINT64_C(15);
    return size < AIPC_BLOCK_MIN ? AIPC_BLOCK_MIN : size;
}

/* The offset of a header behind at least one block: any end of a block, that is. */
INLINE bool is_end(view v, uint64_t offset) {
    uint64_t first = v.seg->heap_begin + AIPC_BLOCK_MIN;
    return (offset & 15) == 8 && offset - first <= v.end - first;
}

/* H1 and H2 of a header that was read at `offset` in the heap.  Only the sentinel has size 0. */
INLINE bool check_header(view v, uint64_t offset, uint64_t header) {
    if (!tag_fits(v.seg, offset, header))
        return wrong(v, BAD_TAG, offset, header, tagged(v.seg, offset, header & LOW_MASK));
    uint64_t size = aipc_block_size(header), room = v.end - offset;
    if (size > room || (size < AIPC_BLOCK_MIN && room != 0)) return wrong(v, BAD_SIZE, offset, size, room);
    return true;
}

/* The header at the end of a free block: that of a used block (H3), or the sentinel, and it knows (H4). */
INLINE bool read_end(view v, uint64_t end, uint64_t *header) {
    *header = get(v, end);
    if (!check_header(v, end, *header)) return false;
    if ((*header & AIPC_PREV_USED) != 0) return wrong(v, BAD_PREV_USED, end, *header, 0);
    return (*header & AIPC_USED) != 0 || wrong(v, BAD_TOUCH, end, *header, AIPC_USED);
}

/* The size of the free block that ends at `end`, an end of a block: footer and header agree. */
INLINE bool read_free(view v, uint64_t end, uint64_t *size) {
    *size = get(v, end - FOOTER);
    if ((*size & 15) != 0 || *size < AIPC_BLOCK_MIN || *size > end - v.seg->heap_begin)
        return wrong(v, BAD_FOOTER, end - FOOTER, *size, end - v.seg->heap_begin);
    uint64_t offset = end - *size, header = get(v, offset);
    if ((header & LOW_MASK) != (*size | AIPC_PREV_USED) || !tag_fits(v.seg, offset, header))
        return wrong(v, BAD_TAG, offset, header, tagged(v.seg, offset, *size | AIPC_PREV_USED));
    return true;
}

/* What is wrong at `end`, where a free block should end. */
bool aipc_heap_wrong_link(view v, uint64_t where, uint64_t end);

/* Whether a link or a bin leads to the end of a free block.  Nothing is written there before. */
INLINE bool check_link(view v, uint64_t where, uint64_t end) {
    if (!is_end(v, end)) return aipc_heap_wrong_link(v, where, end);
    uint64_t header = get(v, end);
    bool behind_free = (header & (AIPC_USED | AIPC_PREV_USED)) == AIPC_USED;
    return (behind_free && tag_fits(v.seg, end, header)) || aipc_heap_wrong_link(v, where, end);
}

/* H3 lets every free block say PREV_USED; H4 wants its size in its last word. */
INLINE void set_free(view v, aipc_tx *tx, uint64_t offset, uint64_t size) {
    set_header(v, tx, offset, size, AIPC_PREV_USED);
    set(v, tx, offset + size - FOOTER, size);
}

/* H7: so many more bytes and blocks are used, or fewer (modulo 2^64). */
INLINE bool count_more(view v, aipc_tx *tx, uint64_t more_bytes, uint64_t more_blocks) {
    uint64_t *free_bytes = &v.seg->heap->free_bytes, *used_blocks = &v.seg->heap->used_blocks;
    uint64_t bytes = aipc_load_relaxed64(free_bytes) - more_bytes;
    uint64_t blocks = aipc_load_relaxed64(used_blocks) + more_blocks;
    if (bytes > v.end) return wrong(v, BAD_COUNT, place(v, free_bytes), bytes, v.end);
    if (blocks > v.end) return wrong(v, BAD_COUNT, place(v, used_blocks), blocks, 0);
    aipc_tx_set(tx, free_bytes, bytes);
    aipc_tx_set(tx, used_blocks, blocks);
    return true;
}

/* `sign` is 1 when a block of `size` bytes comes to be used, -1 when it becomes free. */
INLINE bool count(view v, aipc_tx *tx, uint64_t size, uint64_t sign) {
    return count_more(v, tx, sign * size, sign);
}

/* No operation needs all of the log; but one that did would have to be taken back. */
INLINE bool had_room(view v, const aipc_tx *tx) {
    return !tx->overflowed || wrong(v, "L2 log too small for one operation", place(v, &v.seg->heap->domain.head),
                                    tx->undo, AIPC_LOG_ENTRIES);
}

/* ---- begin and end of an operation ------------------------------------------------------------- */
INLINE aipc_status open_heap(aipc_ctx *ctx, view *v) {
    aipc_seg *seg = ctx->seg;
    aipc_status status = aipc_domain_lock(ctx, &seg->heap->domain);
    if (status != AIPC_OK) return status;
    uint64_t end = aipc_load_relaxed64(&seg->heap->end);
    *v = (view){seg, end};
    bool exists = end < aipc_limit(seg) - 8 || aipc_at(seg, end, 8) != NULL; /* aipc_at looks again after growth */
    if ((end & 15) == 8 && end >= seg->heap_begin && exists) return AIPC_OK;
    aipc_domain_unlock(ctx, &seg->heap->domain);
    return aipc_corrupt(seg, "H2 end of the heap", &seg->heap->end, end, aipc_limit(seg));
}

/* Ends one transaction of an operation that has several. */
INLINE void commit(view v) {
    aipc_tx tx = aipc_tx_begin(v.seg, &v.seg->heap->domain);
    aipc_tx_commit(&tx);
}

/* Takes everything back; the log itself knows how much that is. */
aipc_status aipc_heap_give_up(view v, aipc_status status);

INLINE aipc_status close_heap(aipc_ctx *ctx, view v, aipc_status status) {
    if (status == AIPC_OK)
        commit(v);
    else
        status = aipc_heap_give_up(v, status);
    aipc_domain_unlock(ctx, &v.seg->heap->domain);
    return status;
}

#endif
