/* Taking apart a dict that nobody uses any more. */
#include "dict_table.h"

static bool is_part(aipc_seg *seg, uint64_t block) {
    uint64_t usable;
    uint32_t flags;
    return aipc_heap_size_of(seg, block, &usable, &flags) == AIPC_OK && flags == AIPC_PART;
}

/* Unlinks the first block of a chain. */
static uint64_t shed_first(aipc_tx *tx, uint64_t *link) {
    uint64_t block = aipc_load_relaxed64(link);
    if (block == 0) return 0;
    bool sound = is_part(tx->seg, block);
    aipc_tx_set(tx, link, sound ? aipc_load_relaxed64((uint64_t *)(void *)(tx->seg->base + block)) : 0);
    return sound ? block : 0;
}

/* Unlinks an entry of the table, or else the table itself.  A run of holes is passed in one go: one load for eight of
 * them, at most as often as there were deletions. */
static uint64_t shed_table(aipc_tx *tx, uint64_t *link, bool chain) {
    aipc_seg *seg = tx->seg;
    aipc_dict_view view;
    uint64_t table = aipc_load_relaxed64(link), used;
    if (table == 0) return 0;
    if (aipc_dict_view_at(seg, table, &view) != AIPC_OK || aipc_dict_used(seg, &view, &used) != AIPC_OK) {
        aipc_tx_set(tx, link, 0); /* damaged: what it leads to is lost */
        return 0;
    }
    for (uint64_t place = aipc_load_relaxed64(&view.table->shed); place < used; place++) {
        uint64_t entry = aipc_load_relaxed64(&view.places[place]);
        if (entry == 0 || !is_part(seg, entry)) continue;
        aipc_tx_set(tx, &view.table->shed, place + 1);
        return entry;
    }
    aipc_tx_set(tx, link, chain ? aipc_load_relaxed64(&view.table->retired_next) : 0);
    return table;
}

uint64_t aipc_dict_shed(aipc_tx *tx, struct aipc_dict *d) {
    uint64_t block = shed_first(tx, &d->retired);
    if (block != 0) return block;
    block = aipc_load_relaxed64(&d->building);
    if (block != 0) { /* it shares its entries with the current table */
        aipc_tx_set(tx, &d->building, 0);
        if (is_part(tx->seg, block)) return block;
    }
    block = shed_table(tx, &d->shedding, true);
    return block != 0 ? block : shed_table(tx, &d->table, false);
}
