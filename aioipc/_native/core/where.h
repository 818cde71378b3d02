/* What lies where: for people who are told an offset.
 *
 * Takes no lock, ends on any bytes, and says nothing about what cannot be followed. */
#ifndef AIPC_WHERE_H
#define AIPC_WHERE_H

#include "catalog.h"

typedef struct aipc_where {
    const char *area;     /* static: "header", "heap", "catalog", "waits", "slot", "context", "node", "block", "" beyond
                             what can be followed */
    uint64_t index;       /* of the slot, or wait node; of a context: its slot */
    uint64_t block, size; /* "block": its payload offset, and bytes of payload; "": of the last one that can be followed */
    uint32_t flags;
    uint64_t object, serial; /* "block": of the aipc_object that it is; 0: none */
} aipc_where;

/* Answers for `count` offsets in one walk over the heap. */
void aipc_where_list(aipc_seg *seg, const uint64_t *offsets, aipc_where *found, uint32_t count);

#endif
