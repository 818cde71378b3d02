/* The ordered index: a skip list of the named objects of a segment that was created with it.
 *
 * The hash table says what there is (catalog.h); this one only says in which order, so that a range of names is found
 * without a look at all others.  An object's place is a tower of links behind its name, one for each level it reaches: how
 * many that are follows from its hash, which nobody can choose (the segment's seed is in it).  catalog->first is the tower
 * that all levels begin with.  No memory of its own, nothing to rebalance, and no reader without the lock: each change is a
 * part of the transaction that puts the object into the table or takes it out, and is taken back with it.
 *
 *   O1  along each level names ascend: by their bytes, then by serial (an atomic block may put a second object beside the
 *       one that it has destroyed)
 *   O2  an object stands in exactly the levels that its hash says
 *   O3  level 0 has every NAMED object of the table, and nothing else
 *
 * Hostile links: a walk goes on only to an object that is sound (names.h) and greater than the one before, so it ends.
 */
#ifndef AIPC_ORDER_H
#define AIPC_ORDER_H

#include "names.h"

/* Within a catalog transaction: puts an object, whose fields are all there, into its place / takes it out.
 * At most AIPC_LEVELS log entries.  AIPC_CORRUPT when the links contradict each other.  Without an ordered index: nothing. */
aipc_status aipc_order_link(aipc_tx *tx, uint64_t object);
aipc_status aipc_order_unlink(aipc_tx *tx, uint64_t object);

/* Under the lock: the first object whose name is not less than this one; 0: there is none. */
aipc_status aipc_order_seek(aipc_seg *seg, const char *name, uint32_t name_size, uint64_t *object);
/* Under the lock: the one behind `object`; 0: there is none. */
aipc_status aipc_order_next(aipc_seg *seg, uint64_t object, uint64_t *next);

/* Less than 0, 0, more than 0: as memcmp, and of two names that begin alike the shorter one comes first. */
static inline int aipc_name_compare(const char *a, uint32_t a_size, const char *b, uint32_t b_size) {
    uint32_t common = a_size < b_size ? a_size : b_size;
    int order = common == 0 ? 0 : memcmp(a, b, common);
    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

/* Reports what is wrong, under the lock; `named`: how many NAMED objects there are in the table. */
void aipc_order_check(aipc_seg *seg, aipc_report *report, uint64_t named);

#endif
