/* Registry: the attachments of this process, so that a forked child owns none of them.
 *
 * A pthread_atfork handler in C, since a raw fork() skips Python's hooks: in the child every attachment becomes
 * nobody's, and inherited bells are closed.
 */
#ifndef AIPC_REGISTRY_H
#define AIPC_REGISTRY_H

#include "attachment.h"

void aipc_registry_add(aipc_seg *seg);
void aipc_registry_remove(aipc_seg *seg);

#endif
