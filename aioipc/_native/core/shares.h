/* Shares: who owns an object, so that it goes with the last owner.
 *
 * The count stands in the object itself (aipc_object.shares).  A share is had by a participant, as a holding of kind
 * SHARE, or by another object, as an owning word: a word of a struct that leads to what it owns (pointer.h has its form;
 * described.h says where in a struct such words lie).  Every change of a count is one transaction of the catalog with
 * the change of the holding or word that it counts; the last share ends the object in that same transaction.  A
 * participant that dies has its holdings given back, so its shares go with it.
 *
 * A weak pointer is a word that is not counted: marks tell whether the object is still the one that was meant.  It needs
 * no count of its own, nothing in the segment, and is never given back.
 *
 * SOLE: an object with one share, which nobody else can get one beside.
 *
 * What an atomic block has touched (pending.h) gets no share before the block is settled, and what has shares is not touched by
 * blocks: counting is true at once.
 *
 * An object that ends gives back what its owning words lead to, which may end more objects, to any depth.  It becomes
 * SHEDDING and stands on a list of the catalog; whoever collects (destroy, unpin, release, recovery) takes a bounded
 * number of words from the first of the list in each hold of the lock, one transaction each, and what ends thereby goes
 * in front of the list.  So a death leaves the rest to the next one, and nothing recurses.
 *
 *   U1  an object's shares are the number of SHARE holdings and of owning words that name it; SOLE: exactly one
 *   U2  an object with shares is LIVE, and no block's: nobody else can destroy it
 *   U3  SHEDDING objects are those on the list; the owning words that one has given back are 0
 *   U4  an owning word of an object that is in its place, or SHEDDING, is 0 or leads to a LIVE object
 *
 * Objects that own each other in a circle keep each other for ever; setting one of the words to null opens it.
 *
 * Lock: the catalog's; the heap's is taken before or after, never inside.
 */
#ifndef AIPC_SHARES_H
#define AIPC_SHARES_H

#include "catalog.h"

/* What a share may be beside others. */
enum { AIPC_SHARE_ANY = 1, AIPC_SHARE_OF_SHARED = 2 };
/* Owning words that a new object may begin with: what one transaction can count. */
enum { AIPC_WORDS_AT_ONCE = 32 };

/* An owning word: of which object, and where in the segment.  pre: the object is pinned, the word one of its owning words. */
typedef struct aipc_owner {
    const aipc_object_ref *object;
    uint64_t word;
} aipc_owner;

/* Takes a share of the object for this participant; ref->holding names it.  `how`: SHARE_ANY, also as the first;
 * SOLE, which must be the first; SHARE_OF_SHARED, only beside others.  AIPC_NOT_FOUND: it is gone, or (SHARE_OF_SHARED)
 * nobody owns it; AIPC_NOT_OWNER: a sole share is involved; AIPC_PENDING: an atomic block has touched it. */
aipc_status aipc_share_take(aipc_ctx *ctx, aipc_object_ref *ref, uint32_t how);
/* The same of what a pointer's word leads to (SHARE_OF_SHARED). */
aipc_status aipc_share_lock(aipc_ctx *ctx, uint64_t pointer, aipc_object_ref *ref);
/* The same of what an owning word leads to; ref->object is 0 when that is nothing.  AIPC_CLOSED: its object is gone. */
aipc_status aipc_share_copy(aipc_ctx *ctx, const aipc_owner *from, aipc_object_ref *ref);
/* Makes the word's share this participant's own, and the word null. */
aipc_status aipc_share_move_out(aipc_ctx *ctx, const aipc_owner *from, aipc_object_ref *ref);

/* Makes the word lead to the target and own a share of it, or (NULL) nothing; gives back its share of what it led to before. */
aipc_status aipc_share_store(aipc_ctx *ctx, const aipc_owner *to, const aipc_object_ref *target);
/* The same, with the share of one of this participant's own holdings, which is gone afterwards. */
aipc_status aipc_share_move_in(aipc_ctx *ctx, const aipc_owner *to, uint64_t holding);
/* What the word leads to at this moment. */
aipc_status aipc_share_word(aipc_ctx *ctx, const aipc_owner *from, uint64_t *word);

/* Gives back a share that stands in `slot`'s chain (one's own, or a dead participant's in recovery). */
aipc_status aipc_share_release(aipc_ctx *ctx, uint32_t slot, uint64_t holding);
/* The same for a sole share of one's own, without ending the object: nobody owns it from then on. */
aipc_status aipc_share_abandon(aipc_ctx *ctx, uint64_t holding);
/* Makes a sole share of one's own an ordinary one. */
aipc_status aipc_share_open(aipc_ctx *ctx, uint64_t holding);

/* How many shares there are of what a pointer's word leads to; 0 when it is gone. */
aipc_status aipc_share_count(aipc_ctx *ctx, uint64_t pointer, uint32_t *count);

/* U1-U4.  Exact only while the catalog stands still; says nothing when it does not. */
aipc_status aipc_shares_check(aipc_ctx *ctx, aipc_report *report);

/* ---- for the catalog, within its lock ----------------------------------------------------------- */

/* Counts the share of an object that is shared already, which a fresh record in `*word` is about, and links it.
 * AIPC_NOT_OWNER: it is not. */
aipc_status aipc_share_link(aipc_ctx *ctx, uint64_t object, uint64_t record, uint64_t *word, aipc_object_ref *ref);
/* Before the transaction: sees to it that what the words of a new object lead to is LIVE.  AIPC_NOT_FOUND, AIPC_PENDING. */
aipc_status aipc_words_settle(aipc_seg *seg, const uint64_t *words, uint32_t count);
/* Counts the owning words that a new object begins with.  AIPC_NOT_FOUND, AIPC_NOT_OWNER. */
aipc_status aipc_words_count(aipc_tx *tx, const uint64_t *words, uint32_t count);
/* Whether an object has owning words, so that it is SHEDDING first when it ends. */
bool aipc_object_owns(aipc_seg *seg, const aipc_object_ref *ref);
/* Gives back some of what SHEDDING objects own; *more: there was something. */
aipc_status aipc_shed_some(aipc_ctx *ctx, bool *more);

#endif
