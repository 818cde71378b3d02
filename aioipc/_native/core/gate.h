/* The gate, and what goes with the last one out.
 *
 * The gate is one more OFD-locked byte of the object.  Opening, the last detach and removing the
 * name happen under it, so that an opener never joins a segment that is going away, and nobody
 * unlinks a name that has become another segment's.
 */
#ifndef AIPC_GATE_H
#define AIPC_GATE_H

#include "attachment.h"
#include "os.h"

/* Locks the gate's byte on a description of its own.  AIPC_STALLED: a stopped process has it. */
aipc_status aipc_gate_open(aipc_seg *seg, int *gate);
void aipc_gate_close(int gate);
/* The same of another byte, which does not wait: AIPC_AGAIN. */
aipc_status aipc_byte_take(aipc_seg *seg, int64_t byte, int *taken);
void aipc_byte_give_back(int taken, int64_t byte);

/* Whether no living process is attached to the object behind `fd`. */
bool aipc_nobody(int fd, int *error);
/* AIPC_NOT_FOUND when `path` ("": any) is not, or no longer, that object. */
aipc_status aipc_path_is(const char *path, uint64_t device, uint64_t inode, int *error);
/* Marks the segment dead, removes its bells and its name.  pre: under the gate; nobody is attached. */
void aipc_finish_off(aipc_seg *seg);

/* Directory of a segment's bells: "/dev/shm/.aioipc-<uuid>".  `out` has room for 96 bytes. */
void aipc_bell_directory(const uint8_t uuid[16], char *out);

#endif
