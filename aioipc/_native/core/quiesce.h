/* Everything stands still: all domains of a segment held at once, for the time of a copy.
 *
 * Nobody ever holds one domain while waiting for another, so whoever wants all of them waits for each in turn and can
 * meet no deadlock; of two who want all, the second waits for the catalog.  Order:
 *
 *     catalog     no object comes or goes
 *     heap        no block comes or goes: a walk finds every object
 *     waits
 *     each domain inside of an object, as the walk finds it
 *
 * What changes without a domain's lock goes on: words of locks and semaphores, bells, what programs write into their
 * blocks.  Operations that consist of several transactions stand between two of them, as after a death.
 *
 * A dead holder's domain cannot be recovered meanwhile (recovery needs domains of its own): everything is given back first.
 *
 *   S1  context.domain is AIPC_EVERY_DOMAIN from before the first lock until after the last
 *   S2  whoever holds an object's domain in this way holds the heap: it is given back later.  So a dead one's can be found
 *       by the same walk
 */
#ifndef AIPC_QUIESCE_H
#define AIPC_QUIESCE_H

#include "types.h"

/* Copies the segment's bytes to the file `fd`, as of one moment.  It should be in memory, and have its pages already:
 * everybody waits for it.  Waits in short system calls, never in `idle`: needs
 * no interpreter.  AIPC_AGAIN: somebody dead holds a domain; recover it (aipc_recover_all), and again.  AIPC_STALLED,
 * AIPC_CORRUPT, AIPC_FULL, AIPC_SYSTEM. */
aipc_status aipc_snapshot(aipc_ctx *ctx, int fd);

/* Gives back all domains that are held with this word: the holder's, or a dead one's. */
aipc_status aipc_quiesce_end(aipc_seg *seg, uint32_t word);

#endif
