#include "journal.h"

#include "os.h"

aipc_status aipc_corrupt(aipc_seg *seg, const char *what, const void *where, uint64_t found,
                         uint64_t expected) {
    seg->fault = (aipc_fault){.what = what, .found = found, .expected = expected};
    seg->fault.offset = aipc_offset(seg, where);
    return AIPC_CORRUPT;
}

void aipc_tx_set32(aipc_tx *tx, uint32_t *field, uint32_t value) {
    uint64_t *word = (uint64_t *)((uintptr_t)field & ~(uintptr_t)7);
    unsigned shift = ((uintptr_t)field & 4) != 0 ? 32 : 0;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    shift = 32 - shift;
#endif
    uint64_t old = aipc_load_relaxed64(word);
    aipc_tx_set(tx, word, (old & ~(UINT64_C(0xffffffff) << shift)) | (uint64_t)value << shift);
}

/* A word that a log names.  Those of a new end lie behind the size that is published, but they are there. */
static uint64_t *logged(aipc_seg *seg, uint64_t offset) {
    uint64_t *word = aipc_at(seg, offset, sizeof *word);
    if (word != NULL || (offset & 7) != 0 || offset > seg->mapped - sizeof *word) return word;
    return aipc_os_readable(seg->base + offset) ? (uint64_t *)(void *)(seg->base + offset) : NULL;
}

/* Restores the undo entries of a log, newest first.  Repeatable: an entry restored twice is the same. */
static aipc_status undo(aipc_seg *seg, struct aipc_domain *domain, uint64_t count) {
    while (count-- > 0) {
        const struct aipc_log_entry *entry = &domain->entries[count];
        uint64_t *word = logged(seg, aipc_load_relaxed64(&entry->offset));
        if (word == NULL)
            return aipc_corrupt(seg, "L1 a log entry points outside the segment", entry,
                                aipc_load_relaxed64(&entry->offset), aipc_limit(seg));
        aipc_store_release64(word, aipc_load_relaxed64(&entry->value));
    }
    return AIPC_OK;
}

static aipc_status redo(aipc_seg *seg, struct aipc_domain *domain, uint64_t first, uint64_t count) {
    for (uint64_t i = first; i < first + count; i++) {
        const struct aipc_log_entry *entry = &domain->entries[i];
        uint64_t *word = logged(seg, aipc_load_relaxed64(&entry->offset));
        if (word == NULL)
            return aipc_corrupt(seg, "L1 a log entry points outside the segment", entry,
                                aipc_load_relaxed64(&entry->offset), aipc_limit(seg));
        aipc_store_release64(word, aipc_load_relaxed64(&entry->value));
    }
    return AIPC_OK;
}

void aipc_tx_abort(aipc_tx *tx) {
    (void)undo(tx->seg, tx->domain, tx->undo);
    aipc_tx_commit(tx);
}

void aipc_tx_redo(aipc_tx *tx) {
    const struct aipc_log_entry *entry = &tx->domain->entries[tx->undo];
    for (uint32_t i = 0; i < tx->redo; i++, entry++) /* written a moment ago, from pointers */
        aipc_store_release64((uint64_t *)(void *)(tx->seg->base + aipc_load_relaxed64(&entry->offset)),
                             aipc_load_relaxed64(&entry->value));
}

aipc_status aipc_journal_recover(aipc_seg *seg, struct aipc_domain *domain) {
    uint64_t head = aipc_load_relaxed64(&domain->head);
    uint64_t undo_count = head & AIPC_HEAD_COUNT_MASK;
    uint64_t redo_count = head >> AIPC_HEAD_REDO_SHIFT & AIPC_HEAD_COUNT_MASK;
    bool publishing = (head & AIPC_HEAD_PUBLISHING) != 0;

    if (undo_count + redo_count > AIPC_LOG_ENTRIES || head >> 33 != 0 || (!publishing && redo_count != 0))
        return aipc_corrupt(seg, "L2 log head", &domain->head, head, AIPC_LOG_ENTRIES);

    aipc_status status;
    if (publishing) {
        const uint64_t *word = aipc_at(seg, aipc_load_relaxed64(&domain->publish_offset), sizeof *word);
        if (word == NULL)
            return aipc_corrupt(seg, "L3 publish entry points outside the segment", &domain->publish_offset,
                                aipc_load_relaxed64(&domain->publish_offset), aipc_limit(seg));
        uint64_t now = aipc_load_seq_cst64(word); /* SYNC journal-publish */
        if (now == aipc_load_relaxed64(&domain->publish_new))
            status = redo(seg, domain, undo_count, redo_count);
        else if (now == aipc_load_relaxed64(&domain->publish_old))
            status = undo(seg, domain, undo_count);
        else
            return aipc_corrupt(seg, "L3 published word is neither old nor new", word, now,
                                aipc_load_relaxed64(&domain->publish_new));
    } else {
        status = undo(seg, domain, undo_count);
    }
    if (status != AIPC_OK) return status;
    aipc_compiler_barrier();
    aipc_store_release64(&domain->head, 0);
    return AIPC_OK;
}
