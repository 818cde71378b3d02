/* Every struct that lives in shared memory, and the contract of every field.
 *
 *   0            header          identity, sizes, state, roster
 *   +            heap            short lock + log, bins, counters
 *   +            catalog         short lock + log, the table of names, retired memory
 *   +            waits           short lock + log, free list of wait nodes
 *   +            slots[]         one per participant: who it is, its bells
 *   +            contexts[]      AIPC_CONTEXTS per slot: what one operation is in the middle of
 *   +            nodes[]         the slab of wait nodes
 *   heap_begin   blocks ...      user memory, up to header.size
 *
 * Links are byte offsets from the segment's base (0 is null) or, for wait nodes, index + 1.  The
 * places of the fixed areas follow from `participants` and `nodes` alone (segment.c, geometry), so
 * no offset of a fixed area is ever read from a segment.
 *
 * "under heap" means: read and written only by who holds the heap's short lock, through the log;
 * what a dead writer leaves is put right by rolling that log back.  "lock-free" means: anyone may
 * read or write it at any time, it is never undo-logged, and its states after every prefix of a
 * writer's stores are harmless.  Stale reads of lock-free fields are re-checked by their readers.
 */
#ifndef AIPC_LAYOUT_H
#define AIPC_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#define AIPC_MAGIC UINT64_C(0x1a0a6370696f6961) /* the bytes "aioipc\n\x1a" */
#define AIPC_FORMAT_VERSION 1u

enum {
    AIPC_MAX_PARTICIPANTS = 1024,
    AIPC_CONTEXTS = 8,        /* operations of one participant that can be under way at once */
    AIPC_BELLS = 64,          /* event loops and blocked threads of one participant */
    AIPC_ORPHANS = 8,         /* blocks one operation can be responsible for */
    AIPC_HAZARDS = 2,
    AIPC_PINS = 64,           /* values that one process can keep in place for long at once */
    AIPC_LOG_ENTRIES = 64,
    AIPC_MAX_NODES = 16384,
    AIPC_NAME_MAX = 255,      /* bytes of UTF-8 */
    AIPC_SMALL_BINS = 64,     /* exact: 32, 48, .. 1024 bytes */
    AIPC_BINS = 384,          /* the others: eight per power of two */
    AIPC_LINE = 64
};

/* ---- the log of one domain ---------------------------------------------------------------------
 * Written by the holder of the domain's lock; read by it and by its recoverer.  See journal.h. */
struct aipc_log_entry {
    uint64_t offset; /* of an aligned word */
    uint64_t value;  /* undo: what it was; redo: what it shall be */
};

/* A domain is a short lock and the log of what its holder is changing. */
struct aipc_domain {
    uint32_t lock;           /* lock-free. 0 free, else slot 12 | context 6 | generation 13 | contended 1.
                                A dead holder's word stands until its recoverer has rolled back. */
    uint32_t acquisitions;   /* holder only, unlogged: statistics */
    uint64_t head;           /* undo count 16 | redo count 16 | publishing 1.  0: nothing under way.
                                The release store of 0 is the commit. */
    uint64_t publish_offset; /* meaningful while head has the publishing bit */
    uint64_t publish_old;
    uint64_t publish_new;
    uint64_t reserved[3];
    struct aipc_log_entry entries[AIPC_LOG_ENTRIES];
};

/* ---- header ------------------------------------------------------------------------------------ */
enum { AIPC_STATE_READY = 1, AIPC_STATE_DEAD = 2 };
enum { AIPC_FLAG_LAST_DETACH = 1u, AIPC_FLAG_ORDERED = 2u };
enum { AIPC_BEST_FIT = 1, AIPC_TLSF = 2, AIPC_SEQ_FIT = 3 }; /* how free blocks are found: heap.h */

struct aipc_header {
    /* Written by the creator before the segment gets its name, never afterwards. */
    uint64_t magic;
    uint32_t version;
    uint32_t header_size;
    uint64_t layout_hash;    /* of all sizes and offsets in this file */
    uint8_t uuid[16];
    uint64_t max_size;       /* bytes of address space each participant reserves */
    uint64_t seed;           /* of name hashes and block tags; each attachment keeps its own copy */
    uint64_t device, inode;  /* of the object itself: a copy of the bytes is recognised by them */
    uint64_t boot_id[2];
    uint64_t created_at;     /* wall clock, ns */
    uint64_t creator_pid;
    uint32_t participants;   /* slots */
    uint32_t nodes;          /* wait nodes */
    uint32_t algorithm;      /* AIPC_BEST_FIT ...; each attachment keeps its own copy */
    uint32_t flags;
    uint64_t born;           /* when the object's inode was taken into use, ns; 0: its filesystem does not say */

    /* Lock-free, changing. */
    uint64_t size;           /* bytes that exist.  Grows by release store of who holds the heap; a stale
                                (smaller) value only makes its reader look again. */
    uint32_t state;          /* READY until the last detach of a last_detach segment: DEAD.  Written
                                under the gate. */
    uint32_t unlinked;       /* 1 once the name was removed; written by the remover */
    uint32_t roster;         /* RMW at each attach: watchers look for newcomers when it moved */
    uint32_t recoveries;     /* RMW after each recovery: waiters look again when it moved */
    uint32_t slots_used;     /* high-water mark of claimed slots, written under the slot's OFD lock by
                                RMW loop; bounds every scan of slots */
    uint32_t reserved1[9];
};

/* ---- participants ------------------------------------------------------------------------------
 * A slot belongs to whoever holds the OFD write lock on byte AIPC_LIVENESS_BASE + slot of the object.
 * Only that process writes it (its recoverer holds the same lock), except for the bells' lock-free
 * words. */
enum { AIPC_EVERY_DOMAIN = 1 };
enum { AIPC_SLOT_FREE = 0, AIPC_SLOT_LIVE = 1 };

struct aipc_bell {
    uint32_t armed;      /* lock-free, seq_cst.  Odd: the owner is, or is about to be, asleep.  The owner moves it
                            to its next odd value; who has written to the FIFO moves the odd value it saw to the
                            next even one.  Only grows, over all owners: a late ringer disarms nobody else. */
    uint32_t rung;       /* lock-free, seq_cst: RMW by each ringer after publishing; the owner compares */
    uint32_t ready_head; /* under waits: notified nodes of this bell, oldest first (index + 1) */
    uint32_t ready_tail; /* under waits */
};

struct aipc_slot {
    uint64_t life;          /* generation 32 | state 32.  Release store by the slot's owner or recoverer;
                               lock-free readers.  The generation never repeats. */
    uint64_t pid;           /* these describe the owner to people; never used to decide liveness */
    uint64_t start_time;    /* clock ticks since boot, /proc/self/stat field 22 */
    uint64_t pid_namespace; /* inode */
    uint64_t attached_at;   /* wall clock, ns */
    uint32_t uid;
    uint32_t contexts_used; /* high-water mark: bounds scans of this slot's contexts */
    uint64_t bells_made;    /* RMW by the owner: bit b is set before FIFO b is made; recovery removes them */
    uint64_t holdings;      /* under catalog: chain of aipc_holding, what to give back at death */
    uint64_t registrations; /* under catalog: chain of aipc_holding, what its atomic block has done to objects (pending.h),
                               the latest first */
    uint32_t pins_used;     /* high-water mark: bounds scans of `pinned` */
    uint32_t reserved[13];
    uint64_t pinned[AIPC_PINS]; /* lock-free, seq_cst: payload offsets of blocks that this process looks at for long
                                   (retire.h).  Written by the owner; its recoverer sets them to 0. */
    struct aipc_bell bells[AIPC_BELLS];
};

#define AIPC_ORPHAN_CHAIN UINT64_C(1)
/* What one operation is in the middle of.  Written by the thread that runs it (the deferred frees and
 * reservations through the logs of heap and catalog), read by the recoverer. */
struct aipc_context {
    uint64_t domain;                 /* offset of the domain it is about to lock or holds; 0 none; AIPC_EVERY_DOMAIN:
                                        it may hold any (quiesce.h) */
    uint64_t hazard[AIPC_HAZARDS];   /* lock-free, seq_cst: blocks this context reads without a lock.
                                        A dead context's protect until it is recovered. */
    uint64_t orphan[AIPC_ORPHANS];   /* blocks that nobody but this context knows: reserved and not yet
                                        linked, or unlinked and not yet freed.  Recovery frees them.
                                        AIPC_ORPHAN_CHAIN: this one, and those that its first word and theirs lead to */
    uint64_t thread;                 /* kernel thread id, for people */
    uint64_t reserved[4];
};

/* ---- places to wait at ---------------------------------------------------------------------------- */

struct aipc_wait_queue { /* part of every object that can be waited on; all under waits */
    uint32_t head, tail; /* index + 1 */
    uint32_t length;
    uint32_t reserved;
};

/* Where waiters stand for a condition (line.h). */
struct aipc_line {
    struct aipc_wait_queue queue; /* under waits */
    uint32_t asleep;     /* lock-free, seq_cst, never logged; written under waits only.  1 when some node of the queue may
                            be WAITING.  A stale 1 costs one look at the queue; 0 is only written when no node is. */
    uint32_t contended;  /* under waits, unlogged statistics: how many ever stood here */
    uint32_t ordered;    /* lock-free, seq_cst, never logged; written under waits, and to 0 by who withdraws.  1: the head has
                            waited so long that one of what is there is set aside for it (aipc_line_reserved).  Means
                            nothing while the queue is empty */
    uint32_t reserved;
};

/* ---- heap --------------------------------------------------------------------------------------
 * A block is a header word at an offset = 8 (mod 16), its payload behind it, 16-byte aligned:
 *     tag 16 | hole 1 | size 43 | flags 4  size in bytes, header included, multiple of 16, >= 32
 * A free block is known by its end, the offset of the header behind it: there, in its last three words, lie its
 * two links and its size (the footer); bins and links hold ends.  Cutting a block off its front, or joining
 * one to it, then changes no link.
 * The last word of the heap is a sentinel: a used block of size 0 (see heap.h).
 * Whose it is: INTERNAL the catalog's, OWNED a user's that goes with its process, both a part of a container. */
enum { AIPC_USED = 1u, AIPC_PREV_USED = 2u, AIPC_INTERNAL = 4u, AIPC_OWNED = 8u, AIPC_PART = 12u };
enum { AIPC_HOLE = 32u, AIPC_HOLE_PAGE = 4096 }; /* the flag stands for the header's bit 47 */

/* A used block for everybody, whose pages are the system's (holes.h).  These words end at a multiple of AIPC_HOLE_PAGE, where
 * its first page begins; the last one ends before the block does.  All under heap. */
struct aipc_hole {
    uint64_t header;
    uint64_t next, prev;          /* in heap.hole_first: headers' offsets */
    uint64_t busy;                /* slot << 20 | generation << 32 of who makes its pages come or go; 0: nobody */
    uint64_t pass;                /* of trim that saw it last */
};

struct aipc_heap {
    struct aipc_domain domain;
    uint64_t end;                 /* under heap: offset of the sentinel header */
    uint64_t free_bytes;          /* under heap: sum of the sizes of all free blocks */
    uint64_t used_blocks;         /* under heap */
    uint64_t summary;             /* under heap: bit w set when map[w] != 0 */
    uint64_t map[AIPC_BINS / 64]; /* under heap: bit set when the bin is not empty */
    uint64_t bins[AIPC_BINS];     /* under heap: first free block (its end).  AIPC_SEQ_FIT: all are in the first one, by
                                     address */
    uint64_t hole_first, hole_last; /* under heap: least and most lately trimmed (struct aipc_hole); 0: there are none.
                                     hole_first is a lock-free hint too: whether there are any */
    uint64_t hole_bytes, hole_count; /* under heap: sizes and number of all holes */
    uint64_t trims;               /* under heap: passes of trim that have begun */
    uint32_t holes_moved;         /* lock-free, seq_cst: moves when somebody is done with a hole, who waits sleeps on it */
    uint32_t reserved1;
    struct aipc_line line;        /* those who wait for room (room.h) */
    uint64_t reserved[2];
};

/* ---- catalog: names, objects, holdings --------------------------------------------------------- */
enum { AIPC_NAMED = 1, AIPC_UNIQUE = 2, AIPC_ANONYMOUS = 3 };
/* What an object is: the low byte of its state.  NEW, GONE and BOTH are what an atomic block makes of one: the bits above
 * are the block's serial, see pending.h. */
enum {
    AIPC_OBJECT_LIVE = 1,
    AIPC_OBJECT_DESTROYED = 2,
    AIPC_OBJECT_NEW = 3,  /* the block constructed it */
    AIPC_OBJECT_GONE = 4, /* the block destroyed it */
    AIPC_OBJECT_BOTH = 5, /* first the one, then the other */
    AIPC_OBJECT_SHEDDING = 6 /* destroyed, and what its owning words lead to has not been given back yet (shares.h) */
};
enum { AIPC_LEVELS = 12 }; /* of the ordered index: one in four names reaches the next */

/* Open addressing, linear probing.  A slot is 0 (never used), 1 (tombstone) or
 * tag 16 | offset 48 of an object; slots are lock-free for readers. */
struct aipc_table {
    uint64_t retired_next; /* under catalog, once retired */
    uint64_t capacity;     /* immutable: a power of two */
    uint64_t slots[];
};

/* Precedes every object; immutable once published unless said otherwise. */
struct aipc_object {
    uint64_t retired_next; /* under catalog, once retired or shedding */
    uint64_t hash;         /* of kind and name */
    uint64_t type;         /* AIPC_TYPE_* of a built-in, else a hash of the type's description */
    uint64_t serial;       /* never repeats in this segment: tells a reused address from a stale handle */
    uint64_t size;         /* bytes of payload asked for */
    uint64_t state;        /* lock-free readers, redo-published under catalog: LIVE, then DESTROYED, or SHEDDING and then
                              DESTROYED; before and between them what a block makes of it */
    uint32_t pins;         /* under catalog: holdings of the kinds PIN, MADE and UNMADE that name it */
    uint32_t shares;       /* under catalog: 0 nobody owns it, else SOLE 1 | holdings of kind SHARE and owning words 31 */
    uint32_t count;        /* elements (arrays), 1 otherwise */
    uint16_t name_size;
    uint8_t kind;
    uint8_t seal;          /* of type, size, count and this word's other half: what else would tell that one of them was
                              damaged? */
    char name[];           /* padded with zeros to 16 bytes.  In a segment with an ordered index then, when it is NAMED, its
                              place in there (order.h), padded likewise.  The payload follows */
};

/* In aipc_object.shares: the one share there is excludes all others. */
#define AIPC_SOLE UINT32_C(0x80000000)

enum { AIPC_HOLD_PIN = 1, AIPC_HOLD_BLOCK = 2, AIPC_HOLD_SHARE = 3, AIPC_HOLD_MADE = 4, AIPC_HOLD_UNMADE = 6 };

/* One thing a participant holds: an object it has a handle on (PIN: counted in the object's pins), a block it owns (BLOCK:
 * freed when it dies), or a share of an object (SHARE: counted in the object's shares; the object goes with the last).
 * Doubly linked from slot.holdings.  Or what its atomic block did to an object,
 * which stays in place for that (counted in the object's pins): constructed it (MADE), destroyed it (UNMADE).  Doubly linked
 * from slot.registrations.  All under catalog. */
struct aipc_holding {
    uint64_t next, prev;
    uint64_t kind;
    uint64_t target; /* payload offset of the object or block */
};

/* ---- waiting ----------------------------------------------------------------------------------- */
enum { AIPC_NODE_FREE = 0, AIPC_NODE_WAITING = 1, AIPC_NODE_NOTIFIED = 2 };

struct aipc_node { /* all under waits */
    uint64_t queue;      /* offset of the aipc_wait_queue it stands in */
    uint32_t next, prev; /* in that queue; `next` alone in the free list */
    uint32_t ready_next, ready_prev; /* in its bell's ready list */
    uint32_t state;
    uint32_t slot, generation; /* whose it is */
    uint32_t got;        /* what it was given while it waited, 0: nothing yet.  Its queue's own meaning; TOKEN: a wake-up
                            that goes to the next in the queue `want` when it leaves without having used it */
    uint32_t bell;       /* immutable while it stands, so never logged: it shares its word with the next one */
    uint32_t withdrawn;  /* lock-free, never logged: 1 when its owner gave up and could not reach the queue;
                            whoever finds the node first in its queue removes it */
    uint64_t token;      /* the owner's own name for it */
    uint64_t since;      /* CLOCK_MONOTONIC ns when it was enlisted */
    uint64_t want;       /* what it waits for; immutable while it stands, never logged.  Its queue's own meaning */
};
#define AIPC_GOT_TOKEN UINT32_MAX

struct aipc_waits {
    struct aipc_domain domain;
    uint32_t free_node;  /* under waits: head of the free list (index + 1) */
    uint32_t nodes_used; /* under waits: nodes below this index were used once; bounds every scan */
    uint32_t waiting;    /* under waits: nodes in queues now */
    uint32_t reserved[13];
};

/* ---- lock -------------------------------------------------------------------------------------- */
struct aipc_lock {
    uint64_t word;       /* lock-free: generation 32 | slot 12 | granted node + 1 16 | flags 4 (lock.h).
                            The truth about who owns it; a dead owner's word is recognised by its
                            generation and taken over, never cleaned up beforehand. */
    struct aipc_wait_queue waiters;
    uint32_t contended;  /* under waits, unlogged statistics: acquisitions that had to queue */
    uint32_t abandoned;  /* RMW statistics: takeovers from a dead owner */
    uint64_t holder[4];  /* lock-free, relaxed: what the holder's task is called, UTF-8 padded with zeros, for people.
                            Written by the holder once it has the lock; until then, and after a death, it is the last
                            holder's; may be torn */
};

/* A lock whose holder leads (lock.h).  */
struct aipc_leader {
    struct aipc_lock lock;
    uint64_t term;       /* lock-free readers.  RMW by each leader before it knows that it leads: never the same for two */
    uint64_t reserved[3];
};

/* ---- the catalog itself --------------------------------------------------------------------------- */
struct aipc_catalog {
    struct aipc_domain domain;
    uint64_t table;        /* lock-free readers (hazard 0), published under catalog: payload offset of the
                              current aipc_table */
    uint64_t count;        /* under catalog: objects in the table */
    uint64_t tombstones;   /* under catalog */
    uint64_t retired;      /* under catalog: unlinked payloads that a reader may still look at, chained
                              through their first word */
    uint64_t next_serial;  /* under catalog */
    uint64_t anonymous;    /* under catalog: number of live anonymous objects */
    uint64_t epoch;        /* lock-free readers, published under catalog; only grows.  Odd: the serial of the atomic block that
                              is open.  The store of the next even number is the block's commit */
    uint64_t pending;      /* under catalog: registrations in the chains of all slots */
    uint64_t unique;       /* under catalog: how many of `count` are unique instances */
    uint64_t owner;        /* under catalog, by redo: identity of the participant whose block is open, 0: none */
    uint64_t shedding;     /* under catalog: SHEDDING objects, chained through their first word */
    uint64_t reserved[5];
    struct aipc_lock turn; /* who may have a block open (pending.h) */
    uint64_t first[AIPC_LEVELS]; /* under catalog: the ordered index (order.h); 0 in a segment without one */
    uint64_t reserved1[4];
};

#define AIPC_CHECK_SIZE(T, n) _Static_assert(sizeof(struct T) == (n) && sizeof(struct T) % 8 == 0, #T)
AIPC_CHECK_SIZE(aipc_domain, 64 + 16 * AIPC_LOG_ENTRIES);
AIPC_CHECK_SIZE(aipc_header, 192);
AIPC_CHECK_SIZE(aipc_slot, 128 + 8 * AIPC_PINS + 16 * AIPC_BELLS);
AIPC_CHECK_SIZE(aipc_context, 128);
AIPC_CHECK_SIZE(aipc_hole, 40);
AIPC_CHECK_SIZE(aipc_heap, 1088 + 32 + 48 + 8 * AIPC_BINS + 48 + 48);
AIPC_CHECK_SIZE(aipc_catalog, 1088 + 128 + 64 + 8 * AIPC_LEVELS + 32);
AIPC_CHECK_SIZE(aipc_object, 64);
AIPC_CHECK_SIZE(aipc_holding, 32);
AIPC_CHECK_SIZE(aipc_waits, 1088 + 64);
AIPC_CHECK_SIZE(aipc_node, 72);
AIPC_CHECK_SIZE(aipc_lock, 64);
AIPC_CHECK_SIZE(aipc_leader, 96);
AIPC_CHECK_SIZE(aipc_line, 32);

/* OFD lock bytes of the object, far beyond its end. */
#define AIPC_LIVENESS_BASE (INT64_C(1) << 62)
#define AIPC_GATE_BYTE (AIPC_LIVENESS_BASE + 4096)
#define AIPC_READER_BYTE (AIPC_LIVENESS_BASE + 4097)
#define AIPC_GROW_BYTE (AIPC_LIVENESS_BASE + 4098) /* whoever changes how long the object is */
#define AIPC_RECOVERY_BASE (AIPC_LIVENESS_BASE + 8192) /* + slot: somebody recovers it, so it will be free soon */

#include "layout_objects.h"

#endif
