/* A heap with no room left, and those who wait for some: what the tests of room.h share. */
#ifndef AIPC_TEST_ROOM_FIXTURE_H
#define AIPC_TEST_ROOM_FIXTURE_H

#include "sync_fixture.h"

/* Blocks that participant 0 has taken until there was no room: their sizes. */
enum { ROOM_SMALL = 1000, ROOM_LARGE = 3000, ROOM_BLOCKS = 8 };

static uint64_t room_small[ROOM_BLOCKS], room_large[ROOM_BLOCKS];

static inline struct aipc_line *room_line(int i) { return &segs[i].heap->line; }

static inline aipc_status room_allocate(int i, uint64_t size, uint64_t *block) {
    return aipc_heap_allocate(ctxs[i], size, AIPC_ALIGNMENT, 0, NULL, block);
}
/* What an awaited allocation does at each look. */
static inline aipc_status room_try(int i, uint32_t node, uint64_t size, uint64_t *block) {
    const aipc_status status = aipc_room_turn(ctxs[i], node);
    if (status != AIPC_OK) return status;
    return room_allocate(i, size, block) == AIPC_OK ? AIPC_OK : AIPC_AGAIN;
}
static inline uint32_t room_stand(int i) {
    uint32_t node;
    OK(aipc_room_stand(ctxs[i], bell[i], 7, &node));
    return node;
}
static inline void room_leave(int i, uint32_t node) { OK(aipc_room_leave(ctxs[i], node)); }
static inline void room_free(int i, uint64_t block) { OK(aipc_heap_free(ctxs[i], block, 0, NULL)); }

/* Participants 0 .. count - 1 in a segment without room: blocks of both sizes, none beside another of its size. */
static inline void room_make(int count) {
    static const struct aipc_event image;
    uint64_t rest;
    sync_make(count, AIPC_TYPE_EVENT, &image, sizeof image, sizeof image);
    for (int n = 0; n < ROOM_BLOCKS; n++) {
        OK(room_allocate(0, ROOM_SMALL, &room_small[n]));
        OK(room_allocate(0, ROOM_LARGE, &room_large[n]));
    }
    for (uint64_t size = fixture_size; size >= 1; size /= 2)
        while (room_allocate(0, size, &rest) == AIPC_OK) {}
}

static inline bool room_notified(uint32_t node) { return segs[0].nodes[node - 1].state == AIPC_NODE_NOTIFIED; }

#endif
