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

/* What one operation is in the middle of.  Written by the thread that runs it (the deferred frees and
 * reservations through the logs of heap and catalog), read by the recoverer. */
struct aipc_context {
    uint64_t domain;                 /* offset of the domain it is about to lock or holds; 0 none; AIPC_EVERY_DOMAIN:
                                        it may hold any (quiesce.h) */
    uint64_t hazard[AIPC_HAZARDS];   /* lock-free, seq_cst: blocks this context reads without a lock.
                                        A dead context's protect until it is recovered. */
    uint64_t orphan[AIPC_ORPHANS];   /* blocks that nobody but this context knows: reserved and not yet
                                        linked, or unlinked and not yet freed.  Recovery frees them. */
    uint64_t thread;                 /* kernel thread id, for people */
    uint64_t reserved[4];
};

/* ---- heap --------------------------------------------------------------------------------------
 * A block is a header word at an offset = 8 (mod 16), its payload behind it, 16-byte aligned:
 *     tag 16 | size 44 | flags 4          size in bytes, header included, multiple of 16, >= 32
 * A free block is known by its end, the offset of the header behind it: there, in its last three words, lie its
 * two links and its size (the footer); bins and links hold ends.  Cutting a block off its front, or joining
 * one to it, then changes no link.
 * The last word of the heap is a sentinel: a used block of size 0 (see heap.h).
 * Whose it is: INTERNAL the catalog's, OWNED a user's that goes with its process, both a part of a container. */
enum { AIPC_USED = 1u, AIPC_PREV_USED = 2u, AIPC_INTERNAL = 4u, AIPC_OWNED = 8u, AIPC_PART = 12u };

struct aipc_heap {
    struct aipc_domain domain;
    uint64_t end;                 /* under heap: offset of the sentinel header */
    uint64_t free_bytes;          /* under heap: sum of the sizes of all free blocks */
    uint64_t used_blocks;         /* under heap */
    uint64_t summary;             /* under heap: bit w set when map[w] != 0 */
    uint64_t map[AIPC_BINS / 64]; /* under heap: bit set when the bin is not empty */
    uint64_t bins[AIPC_BINS];     /* under heap: first free block (its end).  AIPC_SEQ_FIT: all are in the first one, by
                                     address */
    uint64_t reserved[6];
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
    AIPC_OBJECT_BOTH = 5  /* first the one, then the other */
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
    uint64_t retired_next; /* under catalog, once retired */
    uint64_t hash;         /* of kind and name */
    uint64_t type;         /* AIPC_TYPE_* of a built-in, else a hash of the type's description */
    uint64_t serial;       /* never repeats in this segment: tells a reused address from a stale handle */
    uint64_t size;         /* bytes of payload asked for */
    uint64_t state;        /* lock-free readers, redo-published under catalog: LIVE, then DESTROYED; before and between
                              them what a block makes of it */
    uint64_t pins;         /* under catalog: holdings of the kinds PIN, MADE and UNMADE that name it */
    uint32_t count;        /* elements (arrays), 1 otherwise */
    uint16_t name_size;
    uint8_t kind;
    uint8_t reserved;
    char name[];           /* padded with zeros to 16 bytes.  In a segment with an ordered index then, when it is NAMED, its
                              place in there (order.h), padded likewise.  The payload follows */
};

enum { AIPC_HOLD_PIN = 1, AIPC_HOLD_BLOCK = 2, AIPC_HOLD_MADE = 4, AIPC_HOLD_UNMADE = 6 };

/* One thing a participant holds: an object it has a handle on (PIN: counted in the object's pins), or
 * a block it owns (BLOCK: freed when it dies).  Doubly linked from slot.holdings.  Or what its atomic block did to an object,
 * which stays in place for that (counted in the object's pins): constructed it (MADE), destroyed it (UNMADE).  Doubly linked
 * from slot.registrations.  All under catalog. */
struct aipc_holding {
    uint64_t next, prev;
    uint64_t kind;
    uint64_t target; /* payload offset of the object or block */
};

/* ---- waiting ----------------------------------------------------------------------------------- */
enum { AIPC_NODE_FREE = 0, AIPC_NODE_WAITING = 1, AIPC_NODE_NOTIFIED = 2 };

struct aipc_wait_queue { /* part of every object that can be waited on; all under waits */
    uint32_t head, tail; /* index + 1 */
    uint32_t length;
    uint32_t reserved;
};

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
    uint64_t reserved[6];
    struct aipc_lock turn; /* who may have a block open (pending.h) */
    uint64_t first[AIPC_LEVELS]; /* under catalog: the ordered index (order.h); 0 in a segment without one */
    uint64_t reserved1[4];
};

/* ---- the other things to wait for ---------------------------------------------------------------- */

struct aipc_semaphore {
    uint64_t value;      /* lock-free, seq_cst CAS: permits to be had.  Nobody owns them: a death changes nothing */
    uint64_t bound;      /* immutable: `value` never exceeds it; UINT32_MAX when it was made without a bound */
    struct aipc_line line;
    uint64_t initial;    /* immutable: what `value` was at first */
    uint64_t reserved;
};

struct aipc_event {
    uint64_t word;       /* lock-free, seq_cst CAS: times it was set 63 | set 1 */
    struct aipc_line line;
    uint64_t reserved[3];
};

/* Tokens of a CapacityLimiter belong to participants: one that has ended holds none. */
struct aipc_limiter {
    uint64_t total;      /* lock-free, seq_cst: tokens there are; UINT64_MAX: no limit */
    struct aipc_line line;
    uint64_t reserved[3];
    uint64_t holders[];  /* one for each slot of the segment: generation 32 | tokens 32.  Lock-free readers, seq_cst CAS by
                            the slot's owner, who adds to it under waits only; counts only while its generation is the
                            slot's */
};

struct aipc_condition {
    struct aipc_lock own;  /* the lock, when `lock` is 0 */
    uint64_t lock;         /* immutable: offset of the aipc_object that is the lock */
    uint64_t lock_serial;  /* immutable */
    uint32_t lock_type;    /* immutable: AIPC_TYPE_LOCK (the own one too), AIPC_TYPE_RLOCK, AIPC_TYPE_CONDITION: its own */
    uint32_t contended;    /* under waits, unlogged statistics: how many ever waited */
    uint64_t notified;     /* under waits, unlogged statistics: how many were notified */
    struct aipc_wait_queue waiters; /* those who have no token */
    struct aipc_wait_queue served;  /* those who have one, and have not looked yet */
    uint32_t withdrawn;    /* lock-free, seq_cst, never logged: see aipc_wait_withdraw */
    uint32_t closed;       /* lock-free, seq_cst: 0, then 1 for ever */
    uint64_t reserved;
};

struct aipc_barrier {
    uint64_t parties;      /* immutable, 1 .. AIPC_MAX_NODES */
    uint64_t word;         /* lock-free readers, written under waits by one exchange: cycle 62 | through 1 | broken 1 */
    struct aipc_wait_queue waiters; /* those who want the present cycle; before them, for a moment, those of the last one */
    struct aipc_wait_queue served;  /* those whose cycle is over; what came of it is in aipc_node.got */
    uint32_t contended;    /* under waits, unlogged statistics: how many ever waited */
    uint32_t place;        /* under waits: how many of the last cycle were served */
    uint32_t withdrawn;    /* lock-free, seq_cst, never logged: see aipc_wait_withdraw */
    uint32_t closed;       /* lock-free, seq_cst: 0, then 1 for ever */
};

/* Read-write lock: what each participant holds is one word of its own, see rwlock.h. */
enum { AIPC_GATE_OPEN = 0, AIPC_GATE_WRITER = 1, AIPC_GATE_WAITERS = 2 };
struct aipc_rwlock {
    uint64_t fair;         /* immutable: 1 strictly first come first served, 0 writers first */
    uint64_t gate;         /* lock-free, seq_cst; written under waits.  OPEN only while nobody writes or waits: readers
                              need no lock.  WAITERS if somebody waits: who lets go must tell */
    uint64_t abandoned;    /* lock-free readers.  1: set under waits by who finds a writer dead; 0: by the next writer when
                              it lets go */
    uint32_t contended;    /* under waits, unlogged statistics: acquisitions that had to wait */
    uint32_t takeovers;    /* under waits, unlogged statistics: writers found dead */
    struct aipc_wait_queue waiters[4]; /* by aipc_rwlock_want */
    uint64_t holder[4];    /* as in aipc_lock: the writer's task */
    uint64_t holders[];    /* one for each slot of the segment: generation 32 | writes 1 | upgradable 1 | reads 30.  RMW by the
                              slot's owner; counts only while its generation is the slot's.  A dead writer's is cleared,
                              under waits, by who finds it */
};

/* ---- dict --------------------------------------------------------------------------------------
 * A compact hash table: slots lead to places, places stand in insertion order and lead to entries.  What
 * is true is said by the places of the current table alone (dict.h).  Tables and entries are PART blocks. */
struct aipc_dict {
    struct aipc_domain domain;
    /* Read by everybody, written seldom. */
    uint64_t table;      /* lock-free, published under the domain: payload offset of the current aipc_dict_table; 0:
                            none, the dict is empty.  A reader whose hazard names the table, and who then finds it
                            here, knows that its places are the truth until it is not here any more. */
    uint64_t closed;     /* lock-free: 0, then 1 for ever.  RMW by who destroyed the object. */
    uint64_t reserved0[6];
    /* Changed by every write. */
    uint64_t count;        /* keys.  Lock-free readers, redo only: behind by one while a writer publishes, or is
                              stopped or dead in the middle of that. */
    uint64_t next_version; /* of the next entry.  Lock-free readers (cursors), redo only; behind as `count` is */
    uint64_t retired;      /* under the domain: unlinked blocks that a reader may look at, chained by first words */
    uint64_t shedding;     /* under the domain: tables whose entries are still to be retired, chained likewise */
    uint64_t building;     /* under the domain: the table that will be current, 0: none.  Nobody else reads it. */
    uint64_t cleared;      /* under the domain: its slots below this are 0 or in use, those above are garbage */
    uint64_t mark;         /* under the domain: places of the current table below this are in `building` too */
    uint64_t next_table;   /* under the domain: serial of the last table made */
    uint64_t rebuilds;     /* under the domain: tables replaced, for statistics */
    uint64_t skip;         /* under the domain, unlogged: retired blocks to pass over at first (retire.h) */
    uint64_t reserved1[6];
};

/* A slot is 0 or tag 24 | place + 1 40; a place is an entry's offset, or 0 when that was deleted.  Both are lock-free,
 * published under the domain.  A slot never becomes 0 again, and is given to another place only when its own is 0; a
 * place that became 0 stays so.  capacity slots are followed by capacity - capacity / 8 places. */
struct aipc_dict_table {
    uint64_t retired_next; /* under the domain, once it is retired or shed */
    uint64_t serial;       /* immutable: tells a table from another one in the same memory */
    uint64_t capacity;     /* immutable: a power of two */
    uint64_t reserved[7];  /* keeps what follows off the cache line that readers need */
    uint64_t used;         /* places below this were filled once, holes included.  Lock-free readers, redo only; behind
                              by one as `count` is.  In `building`: undo-logged, as nobody else reads it. */
    uint64_t shed;         /* under the domain: places below this have given up their entry.  0 in the current one */
    uint64_t first, top;   /* places below `first`, and from `top` on, are holes: where iterations begin.  Lock-free
                              readers, redo only; `top` is behind as `used` is, before next_version */
    uint64_t slots[];
};

/* Immutable once published, but for the first word.  Key, original key and value follow; the value at a multiple
 * of 16. */
struct aipc_dict_entry {
    uint64_t retired_next;  /* under the domain, once it is retired */
    uint64_t hash;          /* of the key */
    uint64_t serial;        /* ascends with the places of a table; a replacement takes over that of the old entry */
    uint64_t version;       /* never repeats in this dict */
    uint32_t key_size;
    uint32_t original_size;
    uint64_t value_size;
    uint8_t bytes[];
};

/* ---- queues --------------------------------------------------------------------------- */

/* A run of records in a PART block, at 8-byte steps:
 *     INLINE  size << 8 | 1, then the payload, padded to 8
 *     BLOCK   size << 8 | 2, then the offset of an aipc_item
 *     END     3: the next record is the first of the next chunk
 * Nobody changes a record once it is published (in.count).  Bytes beyond in.at are the producers' alone; what a
 * dead one wrote there is overwritten. */
enum { AIPC_RECORD_INLINE = 1, AIPC_RECORD_BLOCK = 2, AIPC_RECORD_END = 3 };
struct aipc_chunk {
    uint64_t next;      /* payload offset; written under in.domain before the END that leads to it is published */
    uint64_t records[];
};

/* A message with memory of its own: too large for a record, or leased.  PART block.  All under out.domain once it
 * was published; before, its producer's alone. */
struct aipc_item {
    uint64_t next;       /* younger lease of the same holder, or next in `returned` */
    uint64_t prev;       /* older lease of the same holder */
    uint64_t owner;      /* identity of the latest holder; counts only in a holder's list */
    uint64_t queue;      /* payload offset of the aipc_queue it was made for */
    uint64_t serial;     /* of the latest lease, never repeats in its queue; 0: never leased */
    uint64_t size;       /* bytes of payload; immutable */
    uint32_t deliveries; /* how often it was leased */
    uint32_t reserved0;
    uint64_t reserved1;
    /* payload */
};

/* The producers' end. */
struct aipc_queue_in {
    uint64_t count;      /* lock-free readers, published under `domain`: messages ever put.  The commit of a put. */
    uint64_t bytes;      /* the same, by redo: payload bytes ever put.  Lags behind `count` while a put is on its way. */
    uint64_t chunk;      /* under `domain`: payload offset of the chunk that `at` is in; 0 before the first put */
    uint64_t at;         /* under `domain`: where in it the next record goes */
    uint64_t first;      /* under `domain`, written once: the first chunk ever; read under out.domain once count > 0,
                            and is never taken back from then on */
    uint64_t reserved[3];
    struct aipc_domain domain;
};

/* The consumers' end.  All under `domain`; lock-free readers where it says so. */
struct aipc_queue_out {
    uint64_t taken;      /* lock-free readers, published: messages taken or leased, less those returned */
    uint64_t done;       /* lock-free readers, published or by redo: messages reported done, or dropped */
    uint64_t bytes;      /* lock-free readers, by redo: payload bytes taken, less those returned */
    uint64_t chunk;      /* payload offset of the chunk that `at` is in; 0: nothing was taken yet, see in.first */
    uint64_t at;         /* where in it the next record is */
    uint64_t ring_taken; /* records ever taken out of the chunks */
    uint64_t returned;   /* items that came back, next to be taken first, chained through `next` */
    uint64_t leases;     /* lock-free readers, by redo: in all holders' lists together */
    uint64_t serial;     /* of the latest lease */
    uint64_t returns;    /* unlogged statistics: how many leases came back */
    uint32_t reclaimed;  /* unlogged: header.recoveries as of the last look at all holders; stale: they are looked at again */
    uint32_t reserved0;
    uint64_t all_done;   /* lock-free readers, by redo: what in.count was when all of it was done, the last time.  So
                            whoever finds it at n or beyond knows that the first n messages are done, all of them */
    uint64_t reserved1[4];
    struct aipc_domain domain;
};

/* What one participant has of a queue.  All under out.domain.  A dead one's is reclaimed by whoever takes next. */
struct aipc_queue_holder {
    uint64_t plain;       /* generation 32 | outstanding 32: of the slot's owner this is about; how many it took
                             plainly and has not reported done */
    uint64_t leases;
    uint64_t oldest, newest; /* leased items, linked both ways */
    uint64_t bytes;       /* payload bytes of them */
};

enum { AIPC_QUEUE_SHUTDOWN = 1, AIPC_QUEUE_DISCARD = 2, AIPC_QUEUE_CLOSED = 4 };

struct aipc_queue {
    uint64_t maxsize;    /* immutable: messages, 0: no limit */
    uint64_t max_bytes;  /* immutable: payload bytes, 0: no limit */
    uint32_t codec;      /* immutable, the binding's own */
    uint32_t state;      /* lock-free, seq_cst: bits are only ever set.  SHUTDOWN and DISCARD under in.domain: whoever
                            sees SHUTDOWN sees every message that was put before it */
    struct aipc_line getters, putters, joiners;
    uint64_t reserved[9]; /* keeps the ends out of each other's cache lines, and of this one */
    struct aipc_queue_in in;
    struct aipc_queue_out out;
    struct aipc_queue_holder holders[]; /* one for each slot of the segment */
};

/* ---- structs and arrays -------------------------------------------------------------------------- */

/* What the payload of a struct or an array begins with (described.h).  Immutable.  The elements are the users': words that
 * lie as their types want it are read and written in one access each, by anybody at any time. */
struct aipc_described {
    uint32_t description_size; /* bytes of UTF-8 behind these fields */
    uint32_t elements;         /* where the elements begin, counted from the payload: a multiple of 16 */
    uint64_t element_size;     /* bytes; aipc_object.count of them lie end to end */
    char description[];
};

/* ---- streams ------------------------------------------------------------------------------------- */
enum { AIPC_STREAM_CHUNKS = 40 };

/* The whole of a BufferIO but for its room, and the beginning of a VectorIO (stream.h). */
struct aipc_stream {
    uint64_t length;     /* lock-free, seq_cst: bytes that are there.  Written after them: the commit of a write */
    uint64_t room;       /* immutable: bytes that follow; 0: it grows */
    uint64_t reserved[6];
};

struct aipc_vector {
    struct aipc_stream stream;
    struct aipc_domain domain;
    uint64_t chunks[AIPC_STREAM_CHUNKS]; /* lock-free readers, published under the domain: payload offsets of PART blocks,
                                            0: not there yet.  Never changed afterwards, but by who destroys the object */
};

#define AIPC_CHECK_SIZE(T, n) _Static_assert(sizeof(struct T) == (n) && sizeof(struct T) % 8 == 0, #T)
AIPC_CHECK_SIZE(aipc_domain, 64 + 16 * AIPC_LOG_ENTRIES);
AIPC_CHECK_SIZE(aipc_header, 192);
AIPC_CHECK_SIZE(aipc_slot, 128 + 8 * AIPC_PINS + 16 * AIPC_BELLS);
AIPC_CHECK_SIZE(aipc_context, 128);
AIPC_CHECK_SIZE(aipc_heap, 1088 + 32 + 48 + 8 * AIPC_BINS + 48);
AIPC_CHECK_SIZE(aipc_catalog, 1088 + 128 + 64 + 8 * AIPC_LEVELS + 32);
AIPC_CHECK_SIZE(aipc_object, 64);
AIPC_CHECK_SIZE(aipc_holding, 32);
AIPC_CHECK_SIZE(aipc_waits, 1088 + 64);
AIPC_CHECK_SIZE(aipc_node, 72);
AIPC_CHECK_SIZE(aipc_lock, 64);
AIPC_CHECK_SIZE(aipc_leader, 96);
AIPC_CHECK_SIZE(aipc_semaphore, 64);
AIPC_CHECK_SIZE(aipc_event, 64);
AIPC_CHECK_SIZE(aipc_limiter, 64);
AIPC_CHECK_SIZE(aipc_condition, 144);
AIPC_CHECK_SIZE(aipc_barrier, 64);
AIPC_CHECK_SIZE(aipc_rwlock, 128);
AIPC_CHECK_SIZE(aipc_dict, 1088 + 64 + 128);
AIPC_CHECK_SIZE(aipc_dict_table, 112);
AIPC_CHECK_SIZE(aipc_dict_entry, 48);
AIPC_CHECK_SIZE(aipc_line, 32);
AIPC_CHECK_SIZE(aipc_item, 64);
AIPC_CHECK_SIZE(aipc_described, 16);
AIPC_CHECK_SIZE(aipc_stream, 64);
AIPC_CHECK_SIZE(aipc_vector, 64 + 1088 + 8 * AIPC_STREAM_CHUNKS);
AIPC_CHECK_SIZE(aipc_queue_in, 64 + 1088);
AIPC_CHECK_SIZE(aipc_queue_out, 128 + 1088);
AIPC_CHECK_SIZE(aipc_queue_holder, 40);
AIPC_CHECK_SIZE(aipc_queue, 192 + 1152 + 1216);

/* OFD lock bytes of the object, far beyond its end. */
#define AIPC_LIVENESS_BASE (INT64_C(1) << 62)
#define AIPC_GATE_BYTE (AIPC_LIVENESS_BASE + 4096)
#define AIPC_READER_BYTE (AIPC_LIVENESS_BASE + 4097)
#define AIPC_RECOVERY_BASE (AIPC_LIVENESS_BASE + 8192) /* + slot: somebody recovers it, so it will be free soon */

#endif
