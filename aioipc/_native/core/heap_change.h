/* How blocks change: a used one is cut out of a free one (take), or joins the free ones beside it (give).  Each is one
 * transaction, which close_heap ends. */
#ifndef AIPC_HEAP_CHANGE_H
#define AIPC_HEAP_CHANGE_H

#include "heap_bins.h"
#include "heap_find.h"

/* ---- allocate ---------------------------------------------------------------------------------- */
/* What is cut out of a free block: [gap free] [used] [rest free]; gap and rest are 0 or >= 32. */
typedef struct cut {
    uint64_t offset, gap, size, rest; /* offset: of the used block */
    uint64_t next;                    /* the header behind it, when rest is 0 */
    uint32_t flags;
    uint64_t *orphan;
} cut;

INLINE bool set_cut(view v, aipc_tx *tx, const cut *c) {
    uint64_t end = c->offset + c->size;
    if (c->gap != 0) set_free(v, tx, c->offset - c->gap, c->gap);
    if (c->rest != 0)
        set_free(v, tx, end, c->rest);
    else
        set_header(v, tx, end, aipc_block_size(c->next), aipc_block_flags(c->next) | AIPC_PREV_USED);
    set_header(v, tx, c->offset, c->size, c->flags | AIPC_USED | (c->gap == 0 ? (uint32_t)AIPC_PREV_USED : 0));
    if (c->orphan != NULL) aipc_tx_set(tx, c->orphan, c->offset + AIPC_BLOCK_OVERHEAD);
    return count(v, tx, c->size, 1);
}

/* The bins change too. */
bool aipc_heap_cut_and_rebin(view v, const cut *c);

/* Cuts a block out of the free one that ends at `end`; at most 24 log entries. */
INLINE bool take(view v, uint64_t end, request want, cut *c) {
    uint64_t whole;
    if (!read_free(v, end, &whole)) return false;
    c->gap = front_gap(want.alignment, end - whole);
    c->size = want.size;
    if (c->gap > whole || c->size > whole - c->gap) return wrong(v, BAD_FOOTER, end - FOOTER, whole, c->size);
    c->offset = end - whole + c->gap;
    c->rest = whole - c->gap - c->size;
    if (c->rest < AIPC_BLOCK_MIN) {
        c->size += c->rest;
        c->rest = 0;
        if (!read_end(v, end, &c->next)) return false;
    }
    if (c->gap != 0 || !same_bin(v.seg, whole, c->rest)) return aipc_heap_cut_and_rebin(v, c);
    aipc_tx tx = aipc_tx_begin(v.seg, &v.seg->heap->domain);
    return set_cut(v, &tx, c);
}

/* ---- free -------------------------------------------------------------------------------------- */
/* The size of the free block before `offset`; 0 when PREV_USED says there is none. */
INLINE bool read_before(view v, uint64_t offset, uint64_t header, uint64_t *size) {
    *size = 0;
    if ((header & AIPC_PREV_USED) != 0) return true;
    if (!is_end(v, offset)) return wrong(v, BAD_PREV_USED, offset, header, AIPC_PREV_USED);
    return read_free(v, offset, size);
}

/* The header behind a used block, and the block's size if it is free, else 0. */
INLINE bool read_after(view v, uint64_t offset, uint64_t *header, uint64_t *size) {
    *size = 0;
    *header = get(v, offset);
    if (!check_header(v, offset, *header)) return false;
    if ((*header & AIPC_PREV_USED) == 0) return wrong(v, BAD_PREV_USED, offset, *header, AIPC_PREV_USED);
    if ((*header & AIPC_USED) != 0) return true;
    *size = aipc_block_size(*header);
    if (*size == 0) return wrong(v, BAD_SIZE, offset, *header, AIPC_USED); /* a free sentinel */
    uint64_t footer = get(v, offset + *size - FOOTER);
    return footer == *size || wrong(v, BAD_FOOTER, offset + *size - FOOTER, footer, *size);
}

/* A used block and its free neighbours, if any; their sizes. */
typedef struct join {
    uint64_t offset, before, size, after;
    uint64_t next; /* the header behind the used block */
    uint64_t *orphan, left; /* NULL, or the word that names the block, and what is left in it */
} join;

INLINE bool set_join(view v, aipc_tx *tx, const join *j) {
    uint64_t end = j->offset + j->size;
    if (j->before != 0) set(v, tx, j->offset, 0); /* or a second free of it would find a good header */
    set_free(v, tx, j->offset - j->before, j->before + j->size + j->after);
    if (j->after == 0)
        set_header(v, tx, end, aipc_block_size(j->next), aipc_block_flags(j->next) & ~(uint32_t)AIPC_PREV_USED);
    if (j->orphan != NULL) aipc_tx_set(tx, j->orphan, j->left);
    return count(v, tx, j->size, UINT64_MAX);
}

/* The bins change too. */
bool aipc_heap_join_and_rebin(view v, const join *j);

/* Joins the used block with its free neighbours (H3); at most 21 log entries. */
INLINE bool give(view v, join *j, uint64_t header) {
    if (!read_before(v, j->offset, header, &j->before)) return false;
    if (!read_after(v, j->offset + j->size, &j->next, &j->after)) return false;
    if (j->before != 0 || !same_bin(v.seg, j->after, j->size + j->after)) return aipc_heap_join_and_rebin(v, j);
    aipc_tx tx = aipc_tx_begin(v.seg, &v.seg->heap->domain);
    return set_join(v, &tx, j);
}

#endif
