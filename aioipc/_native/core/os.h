/* The one door to the operating system: every system call of the core is in os_linux.c, or os_file_lock.c.
 *
 * All functions return a status; AIPC_SYSTEM leaves errno in *error.  None allocates; none waits
 * longer than its arguments say.  Descriptors are opened O_CLOEXEC.
 */
#ifndef AIPC_OS_H
#define AIPC_OS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

typedef struct aipc_file_info {
    uint64_t device, inode, size;
    uint64_t born; /* aipc_os_identify: when its inode was taken into use, ns; 0: not known */
    uint32_t uid, mode;
    bool regular;
} aipc_file_info;

aipc_status aipc_os_stat_fd(int fd, aipc_file_info *info, int *error);
/* The same, and when it was born: numbers of inodes are used again. */
aipc_status aipc_os_identify(int fd, aipc_file_info *info, int *error);
/* AIPC_NOT_FOUND when there is nothing; symbolic links are not followed. */
aipc_status aipc_os_stat_path(const char *path, aipc_file_info *info, int *error);

/* Opens the object behind `fd` once more (a new open file description); falls back to `path`, which
 * must then be the same inode. */
aipc_status aipc_os_reopen(int fd, const char *path, uint64_t device, uint64_t inode, int *out, int *error);
void aipc_os_close(int fd);

/* Maps [0, size) shared; write = false maps read-only.  Address space only: pages beyond the object's
 * end must not be touched.  Excluded from core dumps. */
aipc_status aipc_os_map(int fd, uint64_t size, bool write, void **out, int *error);
void aipc_os_unmap(void *address, uint64_t size);
/* A mapping as a program asks for it.  fd -1: anonymous.  `offset` and `address` (0: anywhere) are multiples of the page
 * size; AIPC_EXISTS: something is at that address. */
typedef struct aipc_mapping {
    uint64_t offset, size, address;
    bool write, copy, populate; /* copy: changes stay private */
} aipc_mapping;
aipc_status aipc_os_map_as(int fd, const aipc_mapping *how, void **out, int *error);
aipc_status aipc_os_sync(void *address, uint64_t size, bool wait, int *error);
aipc_status aipc_os_advise(void *address, uint64_t size, int advice, int *error);

/* Makes the bytes exist: AIPC_FULL when the filesystem has no room. In chunks of 32 MiB. */
aipc_status aipc_os_reserve(int fd, uint64_t from, uint64_t to, int *error);

/* Cuts the object off, or makes it longer without pages. */
aipc_status aipc_os_truncate(int fd, uint64_t size, int *error);

/* Gives the pages of a mapping back to the system; they read as zeros, and come again when touched, as long as there is
 * room.  `shared`: from the object itself, of memory that nobody else has from this mapping alone.  Both ends are
 * multiples of the page size. */
aipc_status aipc_os_punch(void *address, uint64_t size, bool shared, int *error);
/* Makes pages of a mapping that has no descriptor exist; AIPC_FULL. */
aipc_status aipc_os_populate(void *address, uint64_t size, int *error);
/* Whether the byte there can be read, without a signal if not: its page may have to be made, and there may be no room. */
bool aipc_os_readable(const void *address);
uint64_t aipc_os_page_size(void);

/* Writes `size` bytes to a file at `offset`.  AIPC_FULL: the filesystem has no room. */
aipc_status aipc_os_write(int fd, const void *bytes, uint64_t size, uint64_t offset, int *error);

/* OFD locks, one byte each.  lock: AIPC_AGAIN when another description holds it. */
aipc_status aipc_os_lock_byte(int fd, int64_t byte, int *error);
aipc_status aipc_os_unlock_byte(int fd, int64_t byte, int *error);
/* Shared with all who do the same; needs no leave to write.  AIPC_AGAIN: somebody locks it for itself. */
aipc_status aipc_os_share_byte(int fd, int64_t byte, int *error);
/* AIPC_OK: nobody (but this description) locks any byte of [first, first + count); AIPC_AGAIN: somebody. */
aipc_status aipc_os_test_bytes(int fd, int64_t first, int64_t count, int *error);
/* Keeps the description of `fd` open without a descriptor, not inherited by fork: maps one page
 * PROT_NONE, MADV_DONTFORK, and closes fd. */
aipc_status aipc_os_pin_description(int fd, void **page, int *error);
void aipc_os_unpin_description(void *page);

/* Locks of the kernel's on whole files, which other programs see.  Each has an open file description of its
 * own: two in one process exclude each other, and closing another descriptor of the file drops nothing.  A forked
 * child has none of its parent's: they are closed there, fd is -1.  Used by one thread at a time. */
typedef struct aipc_os_file {
    bool flock;             /* set by the caller: flock(2), else F_OFD_SETLK, which fcntl's own locks respect */
    int fd;                 /* -1: closed */
    uint64_t device, inode;
    int ready;              /* -1: no thread waits */
    bool shared;            /* what the thread waits for */
    int failed;             /* errno of the thread's */
    pthread_t thread;
    struct aipc_os_file *next;
} aipc_os_file;

/* Opens the file for a lock of that kind; creates it if `create`, with exactly that mode. */
aipc_status aipc_os_file_open(aipc_os_file *file, const char *path, bool shared, bool create, uint32_t mode,
                              int *error);
/* Ends the wait, unlocks and closes.  Harmless when it is closed. */
void aipc_os_file_close(aipc_os_file *file);
/* AIPC_AGAIN: somebody else's lock is in the way. */
aipc_status aipc_os_file_lock(aipc_os_file *file, bool shared, int *error);
/* AIPC_AGAIN: a lock of that kind would have to wait for another; its holder's pid where it has one, else 0.
 * flock(2) cannot be asked: it is locked for an instant. */
aipc_status aipc_os_file_probe(aipc_os_file *file, bool shared, int64_t *pid, int *error);
/* Starts a thread that waits for the lock; *ready becomes readable when it has it, or has failed. */
aipc_status aipc_os_file_wait_begin(aipc_os_file *file, bool shared, int *ready, int *error);
/* Ends the thread.  AIPC_OK: it has the lock.  AIPC_AGAIN: it had to give up, or there was none; should it have
 * got the lock in that instant, closing drops it. */
aipc_status aipc_os_file_wait_end(aipc_os_file *file, int *error);

/* Shared futex.  wait returns when *word != seen, woken, timed out or interrupted. */
void aipc_os_futex_wait(const uint32_t *word, uint32_t seen, uint64_t timeout_ns);
void aipc_os_futex_wake(const uint32_t *word, int count);

/* Bells. */
aipc_status aipc_os_make_directory(const char *path, uint32_t mode, int *out_fd, int *error);
aipc_status aipc_os_open_directory(const char *path, int *out_fd, int *error);
aipc_status aipc_os_remove_directory(const char *path, int *error);
/* O_RDWR; writable by whom the directory is writable. */
aipc_status aipc_os_make_fifo(int dir, const char *name, int *out_fd, int *error);
/* The same without a name, for this process alone. */
aipc_status aipc_os_make_pipe(int *out_fd, int *error);
aipc_status aipc_os_open_fifo(int dir, const char *name, int *out_fd, int *error); /* O_WRONLY */
void aipc_os_unlink_at(int dir, const char *name);
void aipc_os_unlink(const char *path);
/* One byte, never a SIGPIPE.  AIPC_NOT_FOUND: no reader is left.  Full counts as rung. */
aipc_status aipc_os_ring(int fd, int *error);
void aipc_os_drain(int fd);

/* Watching.  Each registered descriptor reports its hang-up, a `readable` one also that it can be read, with `data`. */
aipc_status aipc_os_epoll_create(int *out, int *error);
aipc_status aipc_os_epoll_add(int epoll, int fd, bool readable, uint64_t data, int *error);
void aipc_os_epoll_remove(int epoll, int fd);
aipc_status aipc_os_timer_create(int *out, int *error);
void aipc_os_timer_set(int timer, uint64_t after_ns); /* once; readable then, until drained */
/* Up to `capacity` hang-ups, without waiting; returns how many. */
int aipc_os_epoll_collect(int epoll, uint64_t *data, int capacity);
/* Waits for either descriptor to become readable (-1: none), at most timeout_ns (UINT64_MAX: for ever).
 * AIPC_OK: something is; AIPC_AGAIN: timed out; AIPC_INTERRUPTED: a signal. */
aipc_status aipc_os_poll2(int first, int second, uint64_t timeout_ns);

uint64_t aipc_os_now(void);       /* CLOCK_MONOTONIC, ns */
uint64_t aipc_os_wall_clock(void); /* CLOCK_REALTIME, ns */
uint64_t aipc_os_pid(void);
uint64_t aipc_os_thread(void);    /* the kernel's number of this thread, kept */
void aipc_os_forget_thread(void);  /* in a forked child */
uint32_t aipc_os_uid(void);
uint32_t aipc_os_cpus(void);      /* usable by this process; cached */
void aipc_os_yield(void);
uint64_t aipc_os_start_time(void);
uint64_t aipc_os_pid_namespace(void);
void aipc_os_boot_id(uint64_t id[2]);
aipc_status aipc_os_random(void *buffer, size_t size, int *error);
/* Between the two no thread of this process can fork.  Held for microseconds. */
void aipc_os_fork_block(void);
void aipc_os_fork_allow(void);
/* Calls `child` in every forked child; once per process. */
aipc_status aipc_os_at_fork(void (*child)(void));

#endif
