/* Bells: how a sleeping process is woken.
 *
 * A bell is a named FIFO in the segment's bell directory, read by one event loop or one blocked
 * thread, with two words in its owner's slot.  Bell 0 exists as long as its participant is attached;
 * its hang-up tells the others of a death (watch.h).
 *
 * Ring only a sleeper.  The owner announces in shared memory that it is about to sleep:
 *
 *     ringer                                   owner
 *     publish (under the waits lock)           armed = next odd    (exchange)     // SYNC bell-armed
 *     rung += 1            (RMW)               rung moved? don't sleep            // SYNC bell-rung
 *     a = armed; odd?                          sleep on the FIFO
 *         write one byte
 *         CAS armed: a -> a + 1
 *
 * The byte before the disarming: a ringer that dies or is stopped between the two, or cannot write, leaves the
 * bell armed for the next one.  At worst there is a byte too many.
 *
 * Store-load in both directions: all four accesses are seq_cst.  With release and acquire, 707 wake-ups
 * in 3 million were lost.
 */
#ifndef AIPC_BELLS_H
#define AIPC_BELLS_H

#include "participants.h"

typedef struct aipc_bell_target {
    uint32_t slot, generation, bell;
    bool set;
} aipc_bell_target;

enum { AIPC_RINGS = 16 };

/* Whom to ring after one hold of the waits lock. */
typedef struct aipc_rings {
    aipc_bell_target targets[AIPC_RINGS];
    uint32_t count;
} aipc_rings;

/* Makes bell 0.  pre: attached. */
aipc_status aipc_bells_attach(aipc_seg *seg);
/* Closes all descriptors and removes this participant's FIFOs. */
void aipc_bells_detach(aipc_seg *seg);
/* Removes the FIFOs of this or a dead participant.  pre: it has not ended; the right to recover it. */
void aipc_bells_remove(aipc_seg *seg, uint32_t slot);
/* Closes all descriptors. */
void aipc_bells_close(aipc_seg *seg);

/* aipc_seg_verify_descriptors for the bells alone; under the local lock, or in a forked child. */
void aipc_bells_verify(aipc_seg *seg);

/* Takes a bell for an event loop or a thread: its index and the descriptor to sleep on.
 * AIPC_NO_WAITER when all AIPC_BELLS are taken. */
aipc_status aipc_bell_take(aipc_seg *seg, uint32_t *bell, int *fd);
void aipc_bell_give_back(aipc_seg *seg, uint32_t bell);

/* Announces sleep.  True: something was published since the last aipc_bell_woken: do not sleep. */
bool aipc_bell_arm(aipc_seg *seg, uint32_t bell);
/* After waking, before looking for what was published. */
void aipc_bell_woken(aipc_seg *seg, uint32_t bell);

/* Wakes the owner of a bell if it sleeps.  Harmless when it is dead. */
void aipc_bell_ring(aipc_seg *seg, const aipc_bell_target *target);
/* True when the bell is among those to ring, or there was room for one more. */
bool aipc_rings_add(aipc_rings *rings, const aipc_bell_target *target);
/* Rings them; then there are none. */
void aipc_rings_ring(aipc_seg *seg, aipc_rings *rings);
/* Wakes every sleeper: after a recovery, a new participant, a destroyed object. */
void aipc_bell_ring_all(aipc_seg *seg);

/* Opens bell `bell` of (slot, generation) for writing.  AIPC_NOT_FOUND: its owner is gone. */
aipc_status aipc_bell_open(aipc_seg *seg, uint32_t slot, uint32_t generation, uint32_t bell, int *fd);

#endif
