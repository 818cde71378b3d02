/* Holes: room of the heap whose pages are the system's (layout.h, aipc_hole).  What the files heap*.c know of them; see
 * holes.h. */
#ifndef AIPC_HEAP_HOLES_H
#define AIPC_HEAP_HOLES_H

#include "heap_change.h"
#include "os.h"
#include "participants.h"

static const char BAD_HOLE[] = "H8 hole";
static const char BAD_HOLES[] = "H8 list of holes";
static const char BAD_HOLE_SUMS[] = "H8 sums of holes";

typedef struct hole {
    uint64_t offset, size; /* of the block */
    uint64_t next, prev;   /* other holes' offsets */
    uint64_t busy, pass;
} hole;

/* Where the unbacked pages of a hole at `offset` begin, and where those of one that ends at `end` do. */
INLINE uint64_t first_page(uint64_t offset) { return offset + sizeof(struct aipc_hole); }
INLINE uint64_t last_page(uint64_t end) { return end & ~(uint64_t)(AIPC_HOLE_PAGE - 1); }

#define HOLE_WORD(offset, field) ((offset) + offsetof(struct aipc_hole, field))

/* pre: nobody but who holds the heap changes it. */
INLINE bool read_hole(view v, uint64_t offset, hole *h) {
    uint64_t room = v.end - v.seg->heap_begin;
    if (first_page(offset) % AIPC_HOLE_PAGE != 0 || offset - v.seg->heap_begin >= room)
        return wrong(v, BAD_HOLE, place(v, &v.seg->heap->hole_first), offset, v.end);
    uint64_t header = get(v, offset), size = aipc_block_size(header);
    if (!check_header(v, offset, header)) return false;
    if ((aipc_block_flags(header) & ~(uint32_t)AIPC_PREV_USED) != (AIPC_USED | AIPC_HOLE) ||
        last_page(offset + size) <= first_page(offset) || offset + size == v.end)
        return wrong(v, BAD_HOLE, offset, header, AIPC_USED | AIPC_HOLE);
    *h = (hole){offset, size, get(v, HOLE_WORD(offset, next)), get(v, HOLE_WORD(offset, prev)),
                get(v, HOLE_WORD(offset, busy)), get(v, HOLE_WORD(offset, pass))};
    return true;
}

/* Whether the word `from` of the hole or the list there leads to that hole. */
INLINE bool leads(view v, uint64_t from, uint64_t to) {
    return get(v, from) == to || wrong(v, BAD_HOLES, from, get(v, from), to);
}

/* The words that lead to a hole with these neighbours. */
INLINE uint64_t to_it(view v, uint64_t prev) {
    return prev != 0 ? HOLE_WORD(prev, next) : place(v, &v.seg->heap->hole_first);
}
INLINE uint64_t back_to_it(view v, uint64_t next) {
    return next != 0 ? HOLE_WORD(next, prev) : place(v, &v.seg->heap->hole_last);
}

/* Both neighbours of a hole exist, and know it. */
INLINE bool check_links(view v, const hole *h) {
    hole other;
    if (h->prev != 0 && !read_hole(v, h->prev, &other)) return false;
    if (h->next != 0 && !read_hole(v, h->next, &other)) return false;
    return leads(v, to_it(v, h->prev), h->offset) && leads(v, back_to_it(v, h->next), h->offset);
}

INLINE bool count_holes(view v, aipc_tx *tx, uint64_t bytes, uint64_t number) {
    struct aipc_heap *heap = v.seg->heap;
    uint64_t sum = aipc_load_relaxed64(&heap->hole_bytes) + bytes, count = aipc_load_relaxed64(&heap->hole_count) + number;
    if (sum > v.end || count > v.end) return wrong(v, BAD_HOLE_SUMS, place(v, &heap->hole_bytes), sum, v.end);
    aipc_tx_set(tx, &heap->hole_bytes, sum);
    aipc_tx_set(tx, &heap->hole_count, count);
    return true;
}

/* Takes a hole out of the list; what becomes of the block is the caller's.  At most 4 log entries. */
INLINE bool unlink_hole(view v, aipc_tx *tx, const hole *h) {
    if (!check_links(v, h)) return false;
    set(v, tx, to_it(v, h->prev), h->next);
    set(v, tx, back_to_it(v, h->next), h->prev);
    return count_holes(v, tx, -h->size, UINT64_MAX);
}

/* Puts a hole at the end of the list, or (`like`) where another stands, which goes.  At most 9 log entries. */
INLINE bool link_hole(view v, aipc_tx *tx, const hole *h, const hole *like) {
    uint64_t next = 0, prev = aipc_load_relaxed64(&v.seg->heap->hole_last);
    hole other;
    if (like != NULL) {
        if (!check_links(v, like)) return false;
        next = like->next;
        prev = like->prev;
    } else if (prev != 0 && (!read_hole(v, prev, &other) || !leads(v, HOLE_WORD(prev, next), 0))) {
        return false;
    }
    set(v, tx, to_it(v, prev), h->offset);
    set(v, tx, back_to_it(v, next), h->offset);
    set(v, tx, HOLE_WORD(h->offset, next), next);
    set(v, tx, HOLE_WORD(h->offset, prev), prev);
    set(v, tx, HOLE_WORD(h->offset, busy), h->busy);
    set(v, tx, HOLE_WORD(h->offset, pass), h->pass);
    return count_holes(v, tx, h->size - (like != NULL ? like->size : 0), like == NULL);
}

/* The hole that ends at `end`; offset 0: none does. */
INLINE bool find_hole_before(view v, uint64_t end, hole *h) {
    uint64_t left = aipc_load_relaxed64(&v.seg->heap->hole_count), at = aipc_load_relaxed64(&v.seg->heap->hole_first);
    for (; at != 0; at = h->next) {
        if (left-- == 0) return wrong(v, BAD_HOLES, place(v, &v.seg->heap->hole_first), at, 0);
        if (!read_hole(v, at, h)) return false;
        if (h->offset + h->size == end) return true;
    }
    *h = (hole){0};
    return true;
}

/* ---- who is at work on a hole -------------------------------------------------------------------- */
/* slot << 20 | generation << 32 of a participant, whose system calls are under way.  Until it is done, or dead, nobody else
 * changes the hole's extent or its pages. */
INLINE bool is_busy(const aipc_seg *seg, uint64_t busy) {
    return busy != 0 && aipc_participant_current(seg, (uint32_t)(busy >> 20 & 0xfff), (uint32_t)(busy >> 32));
}

/* pre: it is busy with us. */
INLINE void release_hole(view v, const hole *h) {
    aipc_tx tx = aipc_tx_resume(v.seg, &v.seg->heap->domain);
    set(v, &tx, HOLE_WORD(h->offset, busy), 0);
}

/* Those who wait for somebody at work look again.  A death before it costs them a slice. */
INLINE void wake_waiting(aipc_seg *seg) {
    (void)aipc_fetch_add_seq_cst32(&seg->heap->holes_moved, 1);
    aipc_os_futex_wake(&seg->heap->holes_moved, INT32_MAX);
}

#endif
