/* The header: geometry, writing, reading, validation of a foreign file's bytes.
 *
 * What is validated is a private copy, and only the copy is used afterwards.
 */
#ifndef AIPC_HEADER_H
#define AIPC_HEADER_H

#include "heap.h"
#include "os.h"

typedef struct aipc_create_options {
    uint64_t size;         /* bytes, whole segment */
    uint64_t max_size;     /* bytes of address space; >= size */
    uint32_t participants; /* 1 .. AIPC_MAX_PARTICIPANTS */
    uint32_t flags;        /* AIPC_FLAG_* */
    uint32_t mode;         /* permission bits of the object, applied exactly */
} aipc_create_options;

/* Bytes that a segment with these options needs before anything is allocated in it. */
uint64_t aipc_segment_minimum(uint64_t size, uint32_t participants);
bool aipc_options_valid(const aipc_create_options *options);

/* Wait nodes of a new segment. */
uint32_t aipc_nodes_for(uint64_t size);
/* Where the fixed areas are.  pre: base, participants and node_count are set. */
void aipc_place_areas(aipc_seg *seg);

/* Everything but the magic.  pre: the areas are placed; the memory is zero. */
aipc_status aipc_header_write(aipc_seg *seg, const aipc_create_options *options, const aipc_file_info *info);
/* A private copy.  AIPC_INCOMPATIBLE: too small to be a segment. */
aipc_status aipc_header_read(int fd, struct aipc_header *copy, aipc_file_info *info, aipc_fault *fault, int *error);
/* Is this a segment that this build understands, whole, and the original rather than a copy? */
aipc_status aipc_header_validate(const struct aipc_header *h, const aipc_file_info *info, aipc_fault *fault);

#endif
