/* Segment: create, open, detach, remove; validation of a foreign file's bytes.
 *
 * Creation: the caller makes an empty object under a temporary name; aipc_segment_create fills it and
 * attaches; the caller then links it into place.  There is no half-made state for anybody to wait for.
 *
 * The gate is one more OFD-locked byte of the object.  Opening, the last detach and removing the
 * name happen under it, so that an opener never joins a segment that is going away, and nobody
 * unlinks a name that has become another segment's.
 */
#ifndef AIPC_SEGMENT_H
#define AIPC_SEGMENT_H

#include "recovery.h"
#include "watch.h"

typedef struct aipc_create_options {
    uint64_t size;         /* bytes, whole segment */
    uint64_t max_size;     /* bytes of address space; >= size */
    uint32_t participants; /* 1 .. AIPC_MAX_PARTICIPANTS */
    uint32_t flags;        /* AIPC_FLAG_* */
    uint32_t mode;         /* permission bits of the object, applied exactly */
} aipc_create_options;

/* Zeroes and prepares; before create or open.  `path` ("" if it has none) is where the object is or will be. */
void aipc_segment_init(aipc_seg *seg, int fd, const char *path);

/* Bytes that a segment with these options needs before anything is allocated in it. */
uint64_t aipc_segment_minimum(uint64_t size, uint32_t participants);

/* Formats an empty object and attaches.  The core owns fd from here on, also on failure.
 * AIPC_FULL: the filesystem has no room; AIPC_INVALID: options. */
aipc_status aipc_segment_create(aipc_seg *seg, const aipc_create_options *options);
/* Validates and attaches.  AIPC_INCOMPATIBLE, AIPC_CORRUPT, AIPC_NO_SLOT; AIPC_GONE: marked dead, or the path
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

/* Directory of a segment's bells: "/dev/shm/.aioipc-<uuid>".  `out` has room for 96 bytes. */
void aipc_bell_directory(const uint8_t uuid[16], char *out);

#endif
