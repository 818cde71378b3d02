/* Adopting: a segment whose bytes were copied, or that lived through a reboot, becomes one of its own.
 *
 * The header names the device, the inode and the boot of the machine that it is about.  Where they differ from what the
 * bytes lie on, everybody who stands in the segment is gone, and nobody knows which of its stores are in the bytes: a
 * copy made beside writers is of no one moment, and power loss keeps pages in any order.  So no log is replayed:
 *
 *     a log that is not empty                       AIPC_CORRUPT: copied in the middle of a change
 *     all participants recovered as dead ones       their waiters, pins, leases, half-done blocks go; locks that they held are
 *                                                   abandoned
 *     a finding of the whole fsck                   AIPC_CORRUPT
 *     otherwise                                     the header names this object: from now on it is the original
 *
 * A copy gets a uuid of its own and is persistent, whatever the segment was that it was copied from.
 *
 *   A1  boot_id is inverted from the first change to the last: who dies in between is the first one to stand in the new
 *       segment, with logs that may be replayed, and the next opener goes on
 */
#ifndef AIPC_ADOPT_H
#define AIPC_ADOPT_H

#include "check.h"

/* Before a slot is taken.  AIPC_INCOMPATIBLE: somebody has it open under another identity.  AIPC_FULL: what the copy left out has
 * no room on the filesystem.  pre: under the gate. */
aipc_status aipc_adopt_begin(aipc_seg *seg, int gate);
/* Once the dead are recovered: checks everything, and makes it the original. */
aipc_status aipc_adopt_end(aipc_seg *seg);

#endif
