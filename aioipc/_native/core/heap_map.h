/* A picture of the heap: what so many equal parts of the segment consist of. */
#ifndef AIPC_HEAP_MAP_H
#define AIPC_HEAP_MAP_H

#include "heap.h"

enum { AIPC_MAP_SIZES = 48 };

/* Bytes of a cell, block headers included.  What is in none of them is the segment's own: its fixed areas. */
typedef struct aipc_map_cell {
    uint64_t free;
    uint64_t holes;   /* free, and its pages are the system's */
    uint64_t user;    /* blocks of the users', owned ones too */
    uint64_t objects; /* names, objects, holdings */
    uint64_t parts;   /* of containers */
} aipc_map_cell;

typedef struct aipc_map {
    aipc_map_cell *cells;
    uint64_t count;    /* of them, at least 1 */
    uint64_t width;    /* bytes of each: set here */
    uint64_t size;     /* bytes of the segment: set here */
    uint64_t free_blocks[AIPC_MAP_SIZES]; /* [n]: of 2^n up to 2^(n + 1) bytes */
} aipc_map;

/* Fills a map that is zero but for `cells` and `count`, under the heap's lock: linear in blocks.  AIPC_CORRUPT: as far
 * as the blocks could be followed. */
aipc_status aipc_heap_map(aipc_ctx *ctx, aipc_map *map);

#endif
