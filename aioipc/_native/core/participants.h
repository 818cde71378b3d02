/* Participants: who is attached, and who is alive.
 *
 * A participant is one attachment of one process.  It is alive exactly as long as the OFD write
 * lock on its slot's byte (AIPC_LIVENESS_BASE + slot) is held; the kernel drops that lock however the
 * process dies.  The lock's description is kept open by a page mapping, not by a descriptor, so that
 * neither a daemonizer's close-all nor a forked child changes the answer (os.h, pin_description).
 *
 * The right to recover a dead participant is the same lock, taken by the recoverer or by the next
 * claimer of the slot.
 *
 *   P1  life's state is LIVE only while, or after, its byte was locked by that generation's owner
 *   P2  generations of a slot only grow
 *   P3  slots_used is above every slot that ever left FREE
 */
#ifndef AIPC_PARTICIPANTS_H
#define AIPC_PARTICIPANTS_H

#include "attachment.h"

/* AIPC_OK: alive, as *generation.  AIPC_NOT_FOUND: *generation is dead and not yet recovered.  A free slot is
 * AIPC_OK too (nothing to recover), with *generation 0. */
aipc_status aipc_participant_test(aipc_seg *seg, uint32_t slot, uint32_t *generation);

/* True while `generation` of `slot` is attached or not yet recovered; a cheap look, no system call. */
static inline bool aipc_participant_current(const aipc_seg *seg, uint32_t slot, uint32_t generation) {
    if (slot >= seg->participants) return false;
    uint64_t life = aipc_load_seq_cst64(&seg->slots[slot].life);
    return aipc_life_generation(life) == generation && aipc_life_state(life) != AIPC_SLOT_FREE;
}

uint64_t aipc_participant_pid(const aipc_seg *seg, uint32_t slot);
static inline uint32_t aipc_slots_used(const aipc_seg *seg) {
    uint32_t used = aipc_load_relaxed32(&seg->header->slots_used);
    return used < seg->participants ? used : seg->participants;
}
static inline uint32_t aipc_contexts_used(const struct aipc_slot *slot) {
    uint32_t used = aipc_load_relaxed32(&slot->contexts_used);
    return used < AIPC_CONTEXTS ? used : AIPC_CONTEXTS;
}

/* Locks the byte of `slot` on `fd`; AIPC_AGAIN when it is held. */
aipc_status aipc_slot_lock(aipc_seg *seg, int fd, uint32_t slot);

/* Takes a slot for this process: locks its byte on `fd`, fixes seg->slot and seg->generation, calls
 * `prepare`, and makes the slot LIVE.  `prepare` gets dirty = true when a dead participant's remains are in
 * the slot: its domains must be rolled back before its generation ends.  AIPC_NO_SLOT when all are alive. */
aipc_status aipc_participant_claim(aipc_seg *seg, int fd, aipc_status (*prepare)(aipc_seg *seg, bool dirty));

/* Ends this process's (or a recovered) participation: next generation, FREE.  The last step of both. */
void aipc_participant_end(aipc_seg *seg, uint32_t slot);

/* In a forked child: this attachment is the parent's, and the child nobody until it attaches for itself. */
void aipc_participants_in_child(aipc_seg *seg);

typedef struct aipc_participant_info {
    uint32_t slot, generation, uid;
    uint64_t pid, pid_namespace, start_time, attached_at;
    bool alive, self;
} aipc_participant_info;
/* Fills up to `capacity` entries for slots that are not free. */
aipc_status aipc_participants_list(aipc_seg *seg, aipc_participant_info *infos, uint32_t capacity,
                                   uint32_t *count);

#endif
