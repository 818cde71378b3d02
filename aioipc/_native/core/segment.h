/* Segment: create, open, detach, remove.
 *
 * Creation: the caller makes an empty object under a temporary name; aipc_segment_create fills it and
 * attaches; the caller then links it into place.  There is no half-made state for anybody to wait for.
 */
#ifndef AIPC_SEGMENT_H
#define AIPC_SEGMENT_H

#include "adopt.h"
#include "gate.h"
#include "header.h"
#include "recovery.h"
#include "watch.h"

/* Zeroes and prepares; before create or open.  `path` ("" if it has none) is where the object is or will be. */
void aipc_segment_init(aipc_seg *seg, int fd, const char *path);

/* The segment lies in memory of the caller's (aligned to 16, `size` a multiple of 16), which stays until it is detached;
 * the object behind fd is only what is locked.  To be created in, the memory must be zero.  `solitary`: no other process
 * may have it, and forked children get AIPC_FORKED.  Between init and create or open. */
void aipc_segment_lend(aipc_seg *seg, void *memory, uint64_t size, bool solitary);

/* Formats an empty object and attaches.  The core owns fd from here on, also on failure.
 * AIPC_FULL: the filesystem has no room; AIPC_INVALID: options. */
aipc_status aipc_segment_create(aipc_seg *seg, const aipc_create_options *options);
/* Validates and attaches; adopts a copy (adopt.h).  AIPC_INCOMPATIBLE, AIPC_CORRUPT, AIPC_NO_SLOT; AIPC_GONE: marked dead, or the path
 * names another object by now: open by name again. */
aipc_status aipc_segment_open(aipc_seg *seg);
/* Attaches again in a forked child: its own participant, same mapping. */
aipc_status aipc_segment_reattach(aipc_seg *seg);
/* Gives everything back and leaves; unmaps.  The last one out of a last_detach segment removes it. */
aipc_status aipc_segment_detach(aipc_seg *seg);

/* Takes the name away.  Attached processes keep the segment.  AIPC_NOT_FOUND when `path` is no longer the
 * object behind fd, AIPC_INCOMPATIBLE when that is no segment. */
aipc_status aipc_segment_remove(int fd, const char *path, int *error);

typedef struct aipc_segment_info {
    uint8_t uuid[16];
    uint64_t size, max_size, created_at, creator_pid;
    uint32_t participants, flags, state, unlinked;
    uint32_t alive; /* 1 when anybody is attached */
    uint32_t uid, mode;
} aipc_segment_info;
/* Looks at a segment without attaching; removes it when it is a last_detach segment that nobody has any more
 * (AIPC_GONE). */
aipc_status aipc_segment_peek(int fd, const char *path, aipc_segment_info *info, aipc_fault *fault, int *error);

#endif
