#include "heap_map.h"

static uint64_t *part_of(aipc_map_cell *cell, uint32_t flags) {
    if ((flags & AIPC_USED) == 0) return &cell->free;
    if ((flags & AIPC_HOLE) != 0) return &cell->holes;
    if ((flags & AIPC_PART) == AIPC_PART) return &cell->parts;
    return (flags & AIPC_INTERNAL) != 0 ? &cell->objects : &cell->user;
}

/* A block reaches over as many cells as it does: their number bounds the work, not its size. */
static bool draw(void *arg, const aipc_block_info *block) {
    aipc_map *map = arg;
    uint64_t at = block->payload - AIPC_BLOCK_OVERHEAD, end = at + block->size;
    if ((block->flags & AIPC_USED) == 0 && block->size != 0)
        map->free_blocks[(63 - (uint32_t)__builtin_clzll(block->size)) % AIPC_MAP_SIZES]++;
    while (at < end && at / map->width < map->count) {
        uint64_t cell = at / map->width, next = (cell + 1) * map->width;
        if (next > end) next = end;
        *part_of(&map->cells[cell], block->flags) += next - at;
        at = next;
    }
    return true;
}

aipc_status aipc_heap_map(aipc_ctx *ctx, aipc_map *map) {
    map->size = aipc_load_acquire64(&ctx->seg->header->size);
    map->width = map->size / map->count + (map->size % map->count != 0);
    if (map->width == 0) map->width = 1;
    return aipc_heap_walk(ctx, draw, map);
}
