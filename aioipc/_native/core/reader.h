/* Reading a segment without leave to write it: a mapping that cannot be written, no slot, no lock, no hazard.
 *
 * Nothing keeps what a reader looks at from being freed, so every look is a guess that is checked afterwards.  A block is
 * freed only after the domain that knew it was held, changed and given back.  So between two moments with the same count
 * of acquisitions and the same lock word nothing was freed that could be reached at the first:
 *
 *     nobody holds it, at both moments                  nothing changed
 *     the same one holds it, alive, stopped or dead     it changes what readers without a lock may meet at any time, and what it
 *                                                       unlinks it frees after it has given the domain back
 *
 * Whatever a look that does not hold has found, an error or damage too, means nothing.  It has stayed inside of the
 * segment and come to an end, as with hostile bytes.
 *
 * The reader's byte is locked, shared, for as long as it is there: whoever would make the object smaller can see it.
 */
#ifndef AIPC_READER_H
#define AIPC_READER_H

#include "catalog.h"
#include "header.h"

/* Maps the segment for reading; the fd need not be writable, and is the core's from here on.  AIPC_INCOMPATIBLE, also for a
 * copy that nobody has opened for writing yet; AIPC_CORRUPT; AIPC_GONE: marked dead. */
aipc_status aipc_reader_open(aipc_seg *seg);
void aipc_reader_close(aipc_seg *seg);
/* The context of all its looks: its hazards are private, and it gets no lock (AIPC_FORKED from whoever asks for one). */
static inline aipc_ctx *aipc_reader_ctx(aipc_seg *seg) { return &seg->ctx[0]; }

typedef struct aipc_look {
    const struct aipc_domain *domain;
    uint32_t acquisitions, lock;
} aipc_look;

/* Before a look at what the domain protects.  The count first: who takes the lock after this is seen by it.  A
 * handle's object may be anything else's memory by now: aipc_object_destroyed is part of each look. */
static inline aipc_look aipc_look_begin(const struct aipc_domain *domain) {
    aipc_look look = {.domain = domain, .acquisitions = aipc_load_acquire32(&domain->acquisitions)};
    look.lock = aipc_load_acquire32(&domain->lock) & ~AIPC_LOCK_CONTENDED;
    return look;
}
/* Whether what was found, and copied, was true. */
static inline bool aipc_look_holds(const aipc_look *look) {
    aipc_fence_acquire();
    return (aipc_load_acquire32(&look->domain->lock) & ~AIPC_LOCK_CONTENDED) == look->lock &&
           aipc_load_acquire32(&look->domain->acquisitions) == look->acquisitions;
}

#endif
