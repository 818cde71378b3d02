/* The log of a domain: every change to lock-protected shared words goes through it, so that the
 * survivors of a killed process can take back what it had half done, or finish it.
 *
 * Design.  While a domain's lock is held, each word is changed by aipc_tx_set: (offset, old value)
 * into the log, count + 1 with release, then the store with release.  The commit is one store,
 * head = 0.  Rolling back: restore the entries in reverse, then head = 0; it can be repeated from
 * anywhere, so a recoverer that dies is recovered the same way.
 *
 * A word that anyone reads without the lock must never be taken back.  Such a word is changed last,
 * by aipc_tx_publish, which is then the commit:
 *
 *     tx_set ...                 undo entries
 *     tx_after(word, new) ...    redo entries: stores to be made once the publish store is made
 *     tx_publish(word, new)      head |= publishing; store; apply the redo entries; head = 0
 *
 * The recoverer of a publishing log reads the word: new, so finish (apply redo); old, so roll back.
 * This needs new != old and that only holders of the lock write the word.
 *
 * SIGKILL leaves a prefix of the machine code's program order, whatever the processor: so no fences,
 * but the compiler must be held (with plain stores gcc -O2 deleted a count store as dead).
 * After: PMDK's undo log, wake-and-recovery measurements in docs/design/decisions/.
 */
#ifndef AIPC_JOURNAL_H
#define AIPC_JOURNAL_H

#include "attachment.h"

#define AIPC_HEAD_REDO_SHIFT 16
#define AIPC_HEAD_COUNT_MASK UINT64_C(0xffff)
#define AIPC_HEAD_PUBLISHING (UINT64_C(1) << 32)

/* A transaction: the holder's view of its domain's log. */
typedef struct aipc_tx {
    aipc_seg *seg;
    const uint8_t *base; /* the segment's, at hand */
    struct aipc_domain *domain;
    uint32_t undo, redo;
    bool overflowed; /* more entries than the log has room for: nothing further was stored */
} aipc_tx;

/* pre: the domain's lock is held and its log is empty (aipc_domain_lock checks both). */
static inline aipc_tx aipc_tx_begin(aipc_seg *seg, struct aipc_domain *domain) {
    return (aipc_tx){.seg = seg, .base = seg->base, .domain = domain};
}

/* Goes on with the transaction whose log is there: for the rest of an operation whose first part has left its words. */
static inline aipc_tx aipc_tx_resume(aipc_seg *seg, struct aipc_domain *domain) {
    aipc_tx tx = aipc_tx_begin(seg, domain);
    tx.undo = (uint32_t)(aipc_load_relaxed64(&domain->head) & AIPC_HEAD_COUNT_MASK);
    return tx;
}

static inline __attribute__((always_inline)) void aipc_log_entry_write(aipc_tx *tx, const uint64_t *word, uint64_t value) {
    struct aipc_log_entry *entry = &tx->domain->entries[tx->undo + tx->redo];
    aipc_store_relaxed64(&entry->offset, (uint64_t)((const uint8_t *)word - tx->base));
    aipc_store_relaxed64(&entry->value, value);
}

/* Changes one word, undoably.  pre: no aipc_tx_after yet.  Left to itself the compiler makes it a call, which costs the
 * heap half of its speed. */
static inline __attribute__((always_inline)) void aipc_tx_set(aipc_tx *tx, uint64_t *word, uint64_t value) {
    if (tx->overflowed || tx->undo + tx->redo == AIPC_LOG_ENTRIES) {
        tx->overflowed = true;
        return;
    }
#if defined(AIPC_BREAK_NO_LOG) /* broken on purpose: what tests/native/test_controls.py expects the sweeps to find */
    aipc_store_release64(word, value);
#elif defined(AIPC_BREAK_ORDER)
    aipc_log_entry_write(tx, word, aipc_load_relaxed64(word));
    aipc_store_release64(word, value);
    aipc_store_release64(&tx->domain->head, ++tx->undo);
#elif defined(AIPC_BREAK_PLAIN_STORES)
    struct aipc_log_entry *entry = &tx->domain->entries[tx->undo + tx->redo];
    entry->offset = aipc_offset(tx->seg, word);
    entry->value = *word;
    tx->domain->head = ++tx->undo;
    *word = value;
#else
    aipc_log_entry_write(tx, word, aipc_load_relaxed64(word));
    aipc_store_release64(&tx->domain->head, ++tx->undo);
    aipc_store_release64(word, value);
#endif
}

/* The same for half a word; both halves must belong to the same domain. */
void aipc_tx_set32(aipc_tx *tx, uint32_t *field, uint32_t value);

/* Makes everything so far permanent. */
static inline void aipc_tx_commit(aipc_tx *tx) {
    aipc_compiler_barrier();
    aipc_store_release64(&tx->domain->head, 0);
    aipc_compiler_barrier();
    tx->undo = tx->redo = 0;
}

/* Takes everything back. */
void aipc_tx_abort(aipc_tx *tx);

/* Ends a transaction the way its status says. */
static inline aipc_status aipc_tx_finish(aipc_tx *tx, aipc_status status) {
    if (status == AIPC_OK)
        aipc_tx_commit(tx);
    else
        aipc_tx_abort(tx);
    return status;
}

/* Notes a store to be made after the publish. */
static inline void aipc_tx_after(aipc_tx *tx, uint64_t *word, uint64_t value) {
    if (tx->overflowed || tx->undo + tx->redo == AIPC_LOG_ENTRIES) {
        tx->overflowed = true;
        return;
    }
    aipc_log_entry_write(tx, word, value);
    tx->redo++; /* head learns of it in aipc_tx_publish: until then a death undoes */
}

void aipc_tx_redo(aipc_tx *tx); /* for aipc_tx_publish */

/* Makes `*word = value` visible to lock-free readers, and with it the whole transaction permanent.  False, and
 * everything taken back, when the log had no room.
 * pre: value != *word; only holders of this domain's lock write *word. */
static inline bool aipc_tx_publish(aipc_tx *tx, uint64_t *word, uint64_t value) {
    struct aipc_domain *domain = tx->domain;
    if (tx->overflowed) { /* nothing may become visible that the log cannot finish */
        aipc_tx_abort(tx);
        return false;
    }
    aipc_store_relaxed64(&domain->publish_offset, (uint64_t)((const uint8_t *)word - tx->base));
    aipc_store_relaxed64(&domain->publish_old, aipc_load_relaxed64(word));
    aipc_store_relaxed64(&domain->publish_new, value);
    aipc_store_release64(&domain->head, AIPC_HEAD_PUBLISHING |
                                            (uint64_t)tx->redo << AIPC_HEAD_REDO_SHIFT | tx->undo);
    (void)aipc_exchange_seq_cst64(word, value); /* lock-free readers pair with it: SYNC journal-publish */
    if (tx->redo != 0) aipc_tx_redo(tx);
    aipc_tx_commit(tx);
    return true;
}

/* Puts a dead holder's domain right.  pre: the caller holds the right to recover that holder and the
 * domain's lock word is still the dead holder's.  AIPC_CORRUPT when the log itself is damaged. */
aipc_status aipc_journal_recover(aipc_seg *seg, struct aipc_domain *domain);

#endif
