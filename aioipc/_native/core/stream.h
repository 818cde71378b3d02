/* Streams: bytes that grow at their end, in a fixed room or in as much as the segment has.
 *
 * What there is, is said by `length` alone, and it is written last: bytes beyond it are nobody's, so a write at the end
 * is seen as a whole or not at all, and a killed writer leaves what was there before.  What is overwritten in the
 * middle, or cut off and written again, may be seen half.
 *
 *   BufferIO   the room follows `aipc_stream` in the payload
 *   VectorIO   chunks, each twice as large as the one before.  They never move and are never given back before the object
 *              is: who reads needs no lock and no hazard.  A chunk is linked by one publish.
 *
 * One writer at a time is the users' business.  Several do no harm beyond the bytes themselves.
 *
 *   V1  length <= the room, or what the chunks hold together
 *   V2  each chunk is a PART block with room for its bytes; the chunks before a chunk are there
 */
#ifndef AIPC_STREAM_H
#define AIPC_STREAM_H

#include "heap.h"

static inline uint64_t aipc_stream_length(const struct aipc_stream *s) { return aipc_load_seq_cst64(&s->length); }

/* What new ones start with. */
static inline void aipc_buffer_init(struct aipc_stream *image, uint64_t room) { *image = (struct aipc_stream){.room = room}; }
static inline void aipc_vector_init(struct aipc_vector *image) { *image = (struct aipc_vector){.stream = {.room = 0}}; }

/* The stream in a payload; NULL when that is too small. */
struct aipc_stream *aipc_buffer_at(aipc_seg *seg, uint64_t payload, uint64_t size);
struct aipc_stream *aipc_vector_at(aipc_seg *seg, uint64_t payload, uint64_t size);

/* The bytes that lie end to end from `at` on: where, and how many; 0: beyond all room.  AIPC_CORRUPT (V2). */
aipc_status aipc_stream_span(aipc_seg *seg, struct aipc_stream *s, uint64_t at, uint8_t **bytes, uint64_t *count);

/* Makes room for the bytes below `end`.  A BufferIO has all its room: AIPC_OK.  AIPC_FULL. */
aipc_status aipc_stream_reserve(aipc_ctx *ctx, struct aipc_stream *s, uint64_t end);
/* Writes `count` bytes at `at`, with zeros from the end to there, and then says that they are there.
 * pre: there is room (aipc_stream_reserve, or within a BufferIO's).  `bytes` NULL: zeros. */
aipc_status aipc_stream_write(aipc_seg *seg, struct aipc_stream *s, uint64_t at, const void *bytes, uint64_t count);
/* Cuts the end off.  pre: length is not above what is there. */
void aipc_stream_cut(struct aipc_stream *s, uint64_t length);

/* Unlinks a chunk of a VectorIO that is destroyed (types.h); 0: it has none. */
uint64_t aipc_vector_shed(struct aipc_tx *tx, struct aipc_vector *v);
aipc_status aipc_stream_check(aipc_ctx *ctx, struct aipc_stream *s, uint64_t size, aipc_report *report);

#endif
