/* Locks of the kernel's on whole files. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atomics.h"

#define POINT() AIPC_HOOK_POINT(AIPC_HOOK_SYSCALL, NULL)

static pthread_mutex_t files_mutex = PTHREAD_MUTEX_INITIALIZER;
static aipc_os_file *files; /* all that are open */
static uint64_t forks;      /* of this process; the mutex is held during each */

/* ---- which files are open: a forked child closes them ---------------------------------------- */

/* The number may have been closed behind us, and be another file's. */
static bool still_ours(const aipc_os_file *file) {
    struct stat st;
    return file->fd >= 0 && fstat(file->fd, &st) == 0 && st.st_dev == file->device && st.st_ino == file->inode;
}

static void before_fork(void) {
    pthread_mutex_lock(&files_mutex);
    forks++;
}

static void in_parent(void) { pthread_mutex_unlock(&files_mutex); }

/* Closes without unlocking: the description, and the lock with it, is the parent's. */
static void in_child(void) {
    for (aipc_os_file *file = files; file != NULL; file = file->next) {
        if (still_ours(file)) close(file->fd);
        if (file->ready >= 0) close(file->ready);
        file->fd = file->ready = -1;
    }
    files = NULL;
    pthread_mutex_unlock(&files_mutex);
}

static void install(void) { (void)pthread_atfork(before_fork, in_parent, in_child); }

static uint64_t forks_so_far(void) {
    pthread_mutex_lock(&files_mutex);
    const uint64_t seen = forks;
    pthread_mutex_unlock(&files_mutex);
    return seen;
}

/* False: a child was forked since, and may have inherited the descriptor. */
static bool enlist(aipc_os_file *file, uint64_t seen) {
    pthread_mutex_lock(&files_mutex);
    const bool alone = forks == seen;
    if (alone) {
        file->next = files;
        files = file;
    }
    pthread_mutex_unlock(&files_mutex);
    return alone;
}

static void close_and_delist(aipc_os_file *file) {
    pthread_mutex_lock(&files_mutex);
    if (still_ours(file)) close(file->fd);
    file->fd = -1;
    for (aipc_os_file **link = &files; *link != NULL; link = &(*link)->next)
        if (*link == file) {
            *link = file->next;
            break;
        }
    pthread_mutex_unlock(&files_mutex);
}

/* ---- opening --------------------------------------------------------------------------------- */

static int open_or_create(const char *path, int access, bool create, uint32_t mode) {
    const int flags = access | O_CLOEXEC | O_NOCTTY;
    POINT();
    int fd = open(path, flags);
    if (fd >= 0 || errno != ENOENT || !create) return fd;
    POINT();
    fd = open(path, flags | O_CREAT | O_EXCL, (mode_t)mode);
    if (fd >= 0) (void)fchmod(fd, (mode_t)mode); /* exact, whatever the umask */
    if (fd >= 0 || errno != EEXIST) return fd;
    return open(path, flags | O_CREAT, (mode_t)mode); /* just made by another, or a link to nothing */
}

static int open_for(const aipc_os_file *file, const char *path, bool shared, bool create, uint32_t mode) {
    int fd = open_or_create(path, shared ? O_RDONLY : O_RDWR, create, mode);
    if (fd < 0 && !shared && file->flock && errno != ENOENT) /* writing is only needed by flock(2) on NFS */
        fd = open_or_create(path, O_RDONLY, create, mode);
    return fd;
}

aipc_status aipc_os_file_open(aipc_os_file *file, const char *path, bool shared, bool create, uint32_t mode,
                              int *error) {
    static pthread_once_t installed = PTHREAD_ONCE_INIT;
    (void)pthread_once(&installed, install);
    file->ready = -1;
    for (;;) {
        const uint64_t seen = forks_so_far();
        struct stat st;
        file->fd = open_for(file, path, shared, create, mode);
        if (file->fd < 0 && errno == EINTR) continue;
        POINT();
        if (file->fd < 0 || fstat(file->fd, &st) != 0) break;
        file->device = st.st_dev;
        file->inode = st.st_ino;
        if (enlist(file, seen)) return AIPC_OK;
        close(file->fd);
    }
    *error = errno;
    if (file->fd >= 0) close(file->fd);
    file->fd = -1;
    return AIPC_SYSTEM;
}

/* ---- locking --------------------------------------------------------------------------------- */

static struct flock whole_file(int type) {
    struct flock lock;
    memset(&lock, 0, sizeof lock); /* l_pid must be 0, and from 0 with length 0 is everything */
    lock.l_type = (short)type;
    lock.l_whence = SEEK_SET;
    return lock;
}

/* 0, or errno. */
static int set_lock(const aipc_os_file *file, int type, bool wait) {
    struct flock lock = whole_file(type);
    POINT();
    if (!file->flock) return fcntl(file->fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock) == 0 ? 0 : errno;
    const int operation = type == F_RDLCK ? LOCK_SH : type == F_WRLCK ? LOCK_EX : LOCK_UN;
    return flock(file->fd, operation | (wait ? 0 : LOCK_NB)) == 0 ? 0 : errno;
}

static aipc_status outcome(int failed, int *error) {
    if (failed == 0) return AIPC_OK;
    if (failed == EAGAIN || failed == EACCES) return AIPC_AGAIN;
    *error = failed;
    return AIPC_SYSTEM;
}

aipc_status aipc_os_file_lock(aipc_os_file *file, bool shared, int *error) {
    return outcome(set_lock(file, shared ? F_RDLCK : F_WRLCK, false), error);
}

aipc_status aipc_os_file_probe(aipc_os_file *file, bool shared, int64_t *pid, int *error) {
    struct flock lock = whole_file(shared ? F_RDLCK : F_WRLCK);
    *pid = 0;
    if (file->flock) { /* cannot be asked, only tried */
        aipc_status status = aipc_os_file_lock(file, shared, error);
        if (status == AIPC_OK) (void)set_lock(file, F_UNLCK, false);
        return status;
    }
    if (fcntl(file->fd, F_OFD_GETLK, &lock) != 0) return outcome(errno, error);
    if (lock.l_type == F_UNLCK) return AIPC_OK;
    *pid = lock.l_pid > 0 ? lock.l_pid : 0; /* -1: held through a description, not by a process */
    return AIPC_AGAIN;
}

void aipc_os_file_close(aipc_os_file *file) {
    int ignored;
    (void)aipc_os_file_wait_end(file, &ignored);
    /* Closing alone would not do while a process has a copy that was made behind the back of pthread_atfork. */
    if (still_ours(file)) (void)set_lock(file, F_UNLCK, false);
    close_and_delist(file);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void *wait_for_lock(void *argument) {
    aipc_os_file *file = argument;
    int failed, before;
    (void)pthread_setname_np(pthread_self(), "aioipc-file");
    do {
        pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &before); /* flock(2) is no cancellation point */
        failed = set_lock(file, file->shared ? F_RDLCK : F_WRLCK, true);
        pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &before);
    } while (failed == EINTR);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    file->failed = failed;
    (void)eventfd_write(file->ready, 1);
    return NULL;
}

/* With all signals blocked: they are for threads that run Python. */
static int start_thread(aipc_os_file *file) {
    enum { STACK = 256 << 10 };
    pthread_attr_t attributes;
    sigset_t all, before;
    int failed = pthread_attr_init(&attributes);
    if (failed != 0) return failed;
    (void)pthread_attr_setstacksize(&attributes, STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    failed = pthread_create(&file->thread, &attributes, wait_for_lock, file);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failed;
}

aipc_status aipc_os_file_wait_begin(aipc_os_file *file, bool shared, int *ready, int *error) {
    file->shared = shared;
    file->ready = eventfd(0, EFD_CLOEXEC);
    if (file->ready < 0) {
        *error = errno;
        return AIPC_SYSTEM;
    }
    *error = start_thread(file);
    if (*error != 0) {
        close(file->ready);
        file->ready = -1;
        return AIPC_SYSTEM;
    }
    *ready = file->ready;
    return AIPC_OK;
}

aipc_status aipc_os_file_wait_end(aipc_os_file *file, int *error) {
    void *result;
    if (file->ready < 0) return AIPC_AGAIN;
    pthread_cancel(file->thread);
    pthread_join(file->thread, &result);
    close(file->ready);
    file->ready = -1;
    return result == PTHREAD_CANCELED ? AIPC_AGAIN : outcome(file->failed, error);
}
