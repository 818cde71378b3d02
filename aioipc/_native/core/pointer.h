/* Pointers from shared memory into shared memory: one word, so it is read and written whole.
 *
 *     offset / 16 40 | mark 24      of an object's or a block's payload; 0: null
 *
 * An offset means the same wherever the segment is mapped, and the word can be copied anywhere in it.  The mark comes from
 * the serial of the object, which never repeats: another object in the same place has another mark (but for one in
 * sixteen million).  Blocks have no serial; their mark is 0.
 */
#ifndef AIPC_POINTER_H
#define AIPC_POINTER_H

#include "catalog.h"

static inline uint64_t aipc_pointer_offset(uint64_t pointer) { return pointer >> 24 << 4; }
static inline uint32_t aipc_pointer_mark(uint64_t pointer) { return (uint32_t)(pointer & 0xffffff); }

/* 0: it lies beyond what a pointer reaches (16 TiB). */
uint64_t aipc_pointer_to_object(const aipc_object_ref *ref);
uint64_t aipc_pointer_to_block(uint64_t payload);
/* Whether the mark is this object's. */
bool aipc_pointer_means(uint64_t pointer, const aipc_object_ref *ref);

/* The object that is meant; *ref may be destroyed at any time: pin it to use it.  AIPC_NOT_FOUND: it is gone. */
aipc_status aipc_pointer_follow(aipc_ctx *ctx, uint64_t pointer, aipc_object_ref *ref);
/* The same without a lock, for who only reads.  Nothing keeps *ref: whoever uses it asks aipc_object_destroyed afterwards. */
aipc_status aipc_pointer_peek(aipc_seg *seg, uint64_t pointer, aipc_object_ref *ref);

#endif
