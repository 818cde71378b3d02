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
    uint32_t algorithm;    /* AIPC_BEST_FIT ...; 0: that one */
} aipc_create_options;

/* Bytes that a segment with these options needs before anything is allocated in it. */
uint64_t aipc_segment_minimum(uint64_t size, uint32_t participants);
/* Whether a segment can have so much address space. */
bool aipc_size_possible(uint64_t size);
bool aipc_options_valid(const aipc_create_options *options);

/* Wait nodes of a new segment. */
uint32_t aipc_nodes_for(uint64_t size);
/* Where the fixed areas are.  pre: base, participants and node_count are set. */
void aipc_place_areas(aipc_seg *seg);

/* Everything but the magic.  pre: the areas are placed; the memory is zero. */
aipc_status aipc_header_write(aipc_seg *seg, const aipc_create_options *options, const aipc_file_info *info);
/* A private copy, and what there is beneath it.  AIPC_INCOMPATIBLE: too small to be a segment. */
aipc_status aipc_header_read(int fd, struct aipc_header *copy, aipc_file_info *info, aipc_fault *fault, int *error);
/* The same from memory that was lent; `info` is about the control file, but for the size. */
aipc_status aipc_header_read_lent(aipc_seg *seg, struct aipc_header *copy, aipc_file_info *info);
/* Is this a segment that this build understands, and whole? */
aipc_status aipc_header_validate(const struct aipc_header *h, const aipc_file_info *info, aipc_fault *fault);
/* What tells an object from every other one; born 0, here or in the header: not known, and so not compared. */
typedef struct aipc_object_id {
    uint64_t device, inode, born;
} aipc_object_id;
static inline aipc_object_id aipc_id_of_file(const aipc_file_info *info) {
    return (aipc_object_id){info->device, info->inode, info->born};
}
static inline aipc_object_id aipc_id_of(const aipc_seg *seg) {
    return (aipc_object_id){seg->device, seg->inode, seg->born};
}
/* Is it on the object, and in the boot of the machine, that its words are about?  Otherwise it is a copy of a segment, or
 * one that lived through a reboot (adopt.h). */
bool aipc_header_original(const struct aipc_header *h, const aipc_object_id *id);
/* Is it here that a copy is being made an original?  The boot's words are inverted until that is done. */
bool aipc_header_adopting(const struct aipc_header *h, const aipc_object_id *id);
/* Is it on that object, in whichever boot? */
bool aipc_header_on(const struct aipc_header *h, const aipc_object_id *id);

#endif
