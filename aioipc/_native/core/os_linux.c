#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "atomics.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x00000100
#endif

/* The crash sweep kills before every system call as well. */
#define POINT() AIPC_HOOK_POINT(AIPC_HOOK_SYSCALL, NULL)

static aipc_status failed(int *error) {
    *error = errno;
    return AIPC_SYSTEM;
}

/* ---- files ------------------------------------------------------------------------------------- */

static void describe(const struct stat *st, aipc_file_info *info) {
    *info = (aipc_file_info){.device = st->st_dev, .inode = st->st_ino, .size = (uint64_t)st->st_size,
                             .uid = st->st_uid, .mode = st->st_mode & 07777,
                             .regular = S_ISREG(st->st_mode)};
}

aipc_status aipc_os_stat_fd(int fd, aipc_file_info *info, int *error) {
    struct stat st;
    POINT();
    if (fstat(fd, &st) != 0) return failed(error);
    describe(&st, info);
    return AIPC_OK;
}

aipc_status aipc_os_identify(int fd, aipc_file_info *info, int *error) {
    struct statx more;
    aipc_status status = aipc_os_stat_fd(fd, info, error);
    if (status != AIPC_OK) return status;
    POINT();
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &more) == 0 && (more.stx_mask & STATX_BTIME) != 0)
        info->born = (uint64_t)more.stx_btime.tv_sec * 1000000000 + more.stx_btime.tv_nsec;
    return AIPC_OK;
}

aipc_status aipc_os_stat_path(const char *path, aipc_file_info *info, int *error) {
    struct stat st;
    POINT();
    if (lstat(path, &st) != 0) return errno == ENOENT ? AIPC_NOT_FOUND : failed(error);
    describe(&st, info);
    return AIPC_OK;
}

static bool same_file(int fd, uint64_t device, uint64_t inode) {
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

aipc_status aipc_os_reopen(int fd, const char *path, uint64_t device, uint64_t inode, int *out, int *error) {
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    POINT();
    int again = fd >= 0 && same_file(fd, device, inode) ? open(link, O_RDWR | O_CLOEXEC) : -1;
    if (again >= 0 && !same_file(again, device, inode)) { /* the number was closed behind us and reused */
        close(again);
        again = -1;
    }
    if (again < 0 && path[0] != '\0') {
        POINT();
        again = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (again >= 0 && !same_file(again, device, inode)) {
            close(again);
            errno = ESTALE;
            again = -1;
        }
    }
    if (again < 0) return failed(error);
    *out = again;
    return AIPC_OK;
}

void aipc_os_close(int fd) {
    POINT();
    if (fd >= 0) close(fd);
}

aipc_status aipc_os_map(int fd, uint64_t size, bool write, void **out, int *error) {
    int protection = write ? PROT_READ | PROT_WRITE : PROT_READ;
    POINT();
    void *address = mmap(NULL, (size_t)size, protection, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (address == MAP_FAILED) return failed(error);
    /* Dumping a large segment would delay every signal of its process's death. */
    (void)madvise(address, (size_t)size, MADV_DONTDUMP);
    *out = address;
    return AIPC_OK;
}

void aipc_os_unmap(void *address, uint64_t size) {
    POINT();
    munmap(address, (size_t)size);
}

aipc_status aipc_os_map_as(int fd, const aipc_mapping *how, void **out, int *error) {
    int flags = (how->copy ? MAP_PRIVATE : MAP_SHARED) | (fd < 0 ? MAP_ANONYMOUS : 0) | (how->populate ? MAP_POPULATE : 0) |
                (how->address != 0 ? MAP_FIXED_NOREPLACE : 0);
    void *wanted = (void *)(uintptr_t)how->address;
    POINT();
    void *address = mmap(wanted, how->size, how->write ? PROT_READ | PROT_WRITE : PROT_READ, flags, fd, (off_t)how->offset);
    if (address == MAP_FAILED) return errno == EEXIST ? AIPC_EXISTS : failed(error);
    if (wanted != NULL && address != wanted) { /* a kernel before 4.17 takes it for a hint */
        munmap(address, how->size);
        return AIPC_EXISTS;
    }
    *out = address;
    return AIPC_OK;
}

aipc_status aipc_os_sync(void *address, uint64_t size, bool wait, int *error) {
    POINT();
    return msync(address, size, wait ? MS_SYNC : MS_ASYNC) == 0 ? AIPC_OK : failed(error);
}

aipc_status aipc_os_advise(void *address, uint64_t size, int advice, int *error) {
    POINT();
    return madvise(address, size, advice) == 0 ? AIPC_OK : failed(error);
}

aipc_status aipc_os_reserve(int fd, uint64_t from, uint64_t to, int *error) {
    enum { CHUNK = 32 << 20 };
    while (from < to) {
        uint64_t step = to - from < CHUNK ? to - from : CHUNK;
        POINT();
        /* The raw call: glibc's posix_fallocate emulates it by writing, which races live writers. */
        if (fallocate(fd, 0, (off_t)from, (off_t)step) != 0) {
            if (errno == EINTR) continue;
            if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) {
                *error = errno;
                return AIPC_FULL;
            }
            return failed(error);
        }
        from += step;
    }
    return AIPC_OK;
}

aipc_status aipc_os_truncate(int fd, uint64_t size, int *error) {
    POINT();
    return ftruncate(fd, (off_t)size) == 0 ? AIPC_OK : failed(error);
}

aipc_status aipc_os_punch(void *address, uint64_t size, bool shared, int *error) {
    POINT();
    return madvise(address, size, shared ? MADV_REMOVE : MADV_DONTNEED) == 0 ? AIPC_OK : failed(error);
}

aipc_status aipc_os_populate(void *address, uint64_t size, int *error) {
    POINT();
    if (madvise(address, size, MADV_POPULATE_WRITE) == 0 || errno == EINVAL) return AIPC_OK; /* Linux before 5.14 */
    if (errno != ENOMEM && errno != EFAULT) return failed(error);
    *error = ENOMEM;
    return AIPC_FULL;
}

bool aipc_os_readable(const void *address) {
    enum { NO_SUCH_CHANGE = -1, SET_BYTES = 8 }; /* the kernel reads the set, then finds that it shall do nothing with it */
    const void *set = (const void *)((uintptr_t)address & ~(uintptr_t)(SET_BYTES - 1));
    POINT();
    return syscall(SYS_rt_sigprocmask, NO_SUCH_CHANGE, set, NULL, (size_t)SET_BYTES) == 0 || errno != EFAULT;
}

uint64_t aipc_os_page_size(void) {
    static uint32_t size;
    uint32_t known = aipc_load_relaxed32(&size);
    if (known == 0) aipc_store_relaxed32(&size, known = (uint32_t)sysconf(_SC_PAGESIZE));
    return known;
}

aipc_status aipc_os_write(int fd, const void *bytes, uint64_t size, uint64_t offset, int *error) {
    enum { CHUNK = 32 << 20 };
    for (uint64_t done = 0; done < size;) {
        uint64_t left = size - done;
        POINT();
        ssize_t written = pwrite(fd, (const uint8_t *)bytes + done, left < CHUNK ? left : CHUNK, (off_t)(offset + done));
        if (written < 0 && errno == EINTR) continue;
        if (written < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
            *error = errno;
            return AIPC_FULL;
        }
        if (written < 0) return failed(error);
        done += (uint64_t)written;
    }
    return AIPC_OK;
}

/* ---- liveness ---------------------------------------------------------------------------------- */

static struct flock byte_range(short type, int64_t first, int64_t count) {
    struct flock lock;
    memset(&lock, 0, sizeof lock); /* l_pid must be 0 for OFD locks */
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = first;
    lock.l_len = count;
    return lock;
}

aipc_status aipc_os_lock_byte(int fd, int64_t byte, int *error) {
    struct flock lock = byte_range(F_WRLCK, byte, 1);
    POINT();
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0) return AIPC_OK;
    return errno == EAGAIN || errno == EACCES ? AIPC_AGAIN : failed(error);
}

aipc_status aipc_os_share_byte(int fd, int64_t byte, int *error) {
    struct flock lock = byte_range(F_RDLCK, byte, 1);
    POINT();
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0) return AIPC_OK;
    return errno == EAGAIN || errno == EACCES ? AIPC_AGAIN : failed(error);
}

aipc_status aipc_os_unlock_byte(int fd, int64_t byte, int *error) {
    struct flock lock = byte_range(F_UNLCK, byte, 1);
    POINT();
    return fcntl(fd, F_OFD_SETLK, &lock) == 0 ? AIPC_OK : failed(error);
}

aipc_status aipc_os_test_bytes(int fd, int64_t first, int64_t count, int *error) {
    struct flock lock = byte_range(F_WRLCK, first, count);
    POINT();
    if (fcntl(fd, F_OFD_GETLK, &lock) != 0) return failed(error);
    return lock.l_type == F_UNLCK ? AIPC_OK : AIPC_AGAIN;
}

aipc_status aipc_os_pin_description(int fd, void **page, int *error) {
    POINT();
    void *address = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_NONE, MAP_SHARED, fd, 0);
    if (address == MAP_FAILED) return failed(error);
    if (madvise(address, (size_t)sysconf(_SC_PAGESIZE), MADV_DONTFORK) != 0) {
        aipc_status status = failed(error);
        munmap(address, (size_t)sysconf(_SC_PAGESIZE));
        return status;
    }
    POINT();
    close(fd);
    *page = address;
    return AIPC_OK;
}

void aipc_os_unpin_description(void *page) {
    POINT();
    munmap(page, (size_t)sysconf(_SC_PAGESIZE));
}

/* ---- futex ------------------------------------------------------------------------------------- */

void aipc_os_futex_wait(const uint32_t *word, uint32_t seen, uint64_t timeout_ns) {
    struct timespec timeout = {(time_t)(timeout_ns / 1000000000), (long)(timeout_ns % 1000000000)};
    POINT();
    syscall(SYS_futex, word, FUTEX_WAIT, seen, &timeout, NULL, 0);
}

void aipc_os_futex_wake(const uint32_t *word, int count) {
    POINT();
    syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

/* ---- bells ------------------------------------------------------------------------------------- */

aipc_status aipc_os_open_directory(const char *path, int *out_fd, int *error) {
    POINT();
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return failed(error);
    *out_fd = fd;
    return AIPC_OK;
}

aipc_status aipc_os_make_directory(const char *path, uint32_t mode, int *out_fd, int *error) {
    POINT();
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST) return failed(error);
    aipc_status status = aipc_os_open_directory(path, out_fd, error);
    if (status == AIPC_OK && made && fchmod(*out_fd, mode) != 0) { /* exact, whatever the umask */
        status = failed(error);
        close(*out_fd);
        *out_fd = -1;
    }
    return status;
}

aipc_status aipc_os_remove_directory(const char *path, int *error) {
    POINT();
    DIR *directory = opendir(path);
    if (directory == NULL) return errno == ENOENT ? AIPC_OK : failed(error);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            POINT();
            unlinkat(dirfd(directory), entry->d_name, 0);
        }
    closedir(directory);
    POINT();
    return rmdir(path) == 0 || errno == ENOENT ? AIPC_OK : failed(error);
}

aipc_status aipc_os_make_fifo(int dir, const char *name, int *out_fd, int *error) {
    POINT();
    if (mkfifoat(dir, name, 0600) != 0 && errno != EEXIST) return failed(error);
    POINT();
    int fd = openat(dir, name, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return failed(error);
    (void)fcntl(fd, F_SETPIPE_SZ, 4096); /* the kernel limits pipe pages per user */
    struct stat st;
    POINT();
    if (fstat(dir, &st) == 0 && (st.st_mode & 0022) != 0) {
        (void)!fchown(fd, (uid_t)-1, st.st_gid);
        (void)fchmod(fd, 0600 | (st.st_mode & 0022));
    }
    *out_fd = fd;
    return AIPC_OK;
}

aipc_status aipc_os_make_pipe(int *out_fd, int *error) {
    int ends[2];
    char link[32];
    POINT();
    if (pipe2(ends, O_CLOEXEC) != 0) return failed(error);
    snprintf(link, sizeof link, "/proc/self/fd/%d", ends[0]);
    int fd = open(link, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    aipc_status status = fd >= 0 ? AIPC_OK : failed(error);
    close(ends[0]);
    close(ends[1]);
    if (status == AIPC_OK) (void)fcntl(fd, F_SETPIPE_SZ, 4096);
    *out_fd = fd;
    return status;
}

aipc_status aipc_os_open_fifo(int dir, const char *name, int *out_fd, int *error) {
    POINT();
    int fd = openat(dir, name, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return errno == ENXIO || errno == ENOENT ? AIPC_NOT_FOUND : failed(error);
    *out_fd = fd;
    return AIPC_OK;
}

void aipc_os_unlink_at(int dir, const char *name) {
    POINT();
    unlinkat(dir, name, 0);
}

void aipc_os_unlink(const char *path) {
    POINT();
    unlink(path);
}

/* Linux before 6.18 cannot suppress SIGPIPE per write: block it, and eat the one we caused. */
static ssize_t write_without_signal(int fd, const char *byte) {
    sigset_t pipe_only, old, pending;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_only, &old);
    ssize_t written = write(fd, byte, 1);
    int saved = errno;
    if (written < 0 && saved == EPIPE && !was_pending) {
        struct timespec none = {0, 0};
        while (sigtimedwait(&pipe_only, NULL, &none) < 0 && errno == EINTR) {}
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = saved;
    return written;
}

aipc_status aipc_os_ring(int fd, int *error) {
    static uint32_t no_signal_flag_missing;
    const char byte = 1;
    struct iovec vector = {(void *)(uintptr_t)&byte, 1};
    ssize_t written = -1;
    POINT();
    if (!aipc_load_relaxed32(&no_signal_flag_missing)) {
        written = pwritev2(fd, &vector, 1, -1, RWF_NOSIGNAL);
        if (written < 0 && errno != EAGAIN && errno != EPIPE && errno != EBADF) /* EPERM: a seccomp filter */
            aipc_store_relaxed32(&no_signal_flag_missing, 1);
    }
    if (written < 0 && aipc_load_relaxed32(&no_signal_flag_missing)) written = write_without_signal(fd, &byte);
    if (written == 1 || errno == EAGAIN) return AIPC_OK; /* full: it has been rung */
    return errno == EPIPE ? AIPC_NOT_FOUND : failed(error);
}

void aipc_os_drain(int fd) {
    char bytes[4096];
    POINT();
    (void)!read(fd, bytes, sizeof bytes);
}

/* ---- watching ---------------------------------------------------------------------------------- */

aipc_status aipc_os_epoll_create(int *out, int *error) {
    POINT();
    *out = epoll_create1(EPOLL_CLOEXEC);
    return *out >= 0 ? AIPC_OK : failed(error);
}

aipc_status aipc_os_epoll_add(int epoll, int fd, bool readable, uint64_t data, int *error) {
    /* EPOLLERR and EPOLLHUP always report */
    struct epoll_event event = {.events = readable ? EPOLLIN : 0, .data.u64 = data};
    POINT();
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? AIPC_OK : failed(error);
}

void aipc_os_epoll_remove(int epoll, int fd) {
    POINT();
    epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
}

aipc_status aipc_os_timer_create(int *out, int *error) {
    POINT();
    *out = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return *out >= 0 ? AIPC_OK : failed(error);
}

void aipc_os_timer_set(int timer, uint64_t after_ns) {
    struct itimerspec once = {.it_value = {(time_t)(after_ns / 1000000000), (long)(after_ns % 1000000000)}};
    POINT();
    timerfd_settime(timer, 0, &once, NULL);
}

int aipc_os_epoll_collect(int epoll, uint64_t *data, int capacity) {
    struct epoll_event events[32];
    POINT();
    int count = epoll_wait(epoll, events, capacity < 32 ? capacity : 32, 0);
    for (int i = 0; i < count; i++) data[i] = events[i].data.u64;
    return count < 0 ? 0 : count;
}

aipc_status aipc_os_poll2(int first, int second, uint64_t timeout_ns) {
    struct pollfd fds[2] = {{.fd = first, .events = POLLIN}, {.fd = second, .events = POLLIN}};
    struct timespec timeout = {(time_t)(timeout_ns / 1000000000), (long)(timeout_ns % 1000000000)};
    POINT();
    int ready = ppoll(fds, 2, timeout_ns == UINT64_MAX ? NULL : &timeout, NULL);
    if (ready == 0) return AIPC_AGAIN;
    return ready < 0 ? AIPC_INTERRUPTED : AIPC_OK;
}

/* ---- facts ------------------------------------------------------------------------------------- */

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t aipc_os_now(void) { return clock_ns(CLOCK_MONOTONIC); }
uint64_t aipc_os_wall_clock(void) { return clock_ns(CLOCK_REALTIME); }
uint64_t aipc_os_pid(void) { return (uint64_t)getpid(); }
static _Thread_local uint64_t this_thread; /* asking the kernel takes as long as an operation */
uint64_t aipc_os_thread(void) {
    if (this_thread == 0) this_thread = (uint64_t)syscall(SYS_gettid);
    return this_thread;
}
void aipc_os_forget_thread(void) { this_thread = 0; }
uint32_t aipc_os_uid(void) { return geteuid(); }
void aipc_os_yield(void) { sched_yield(); }

uint32_t aipc_os_cpus(void) {
    static uint32_t cached;
    uint32_t cpus = aipc_load_relaxed32(&cached);
    if (cpus == 0) {
        cpu_set_t set;
        cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
        aipc_store_relaxed32(&cached, cpus);
    }
    return cpus;
}

static ssize_t read_file(const char *path, char *buffer, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t count = read(fd, buffer, size - 1);
    close(fd);
    if (count >= 0) buffer[count] = '\0';
    return count;
}

uint64_t aipc_os_start_time(void) {
    char text[1024];
    if (read_file("/proc/self/stat", text, sizeof text) < 0) return 0;
    char *field = strrchr(text, ')'); /* the command may hold spaces and brackets */
    for (int i = 0; field != NULL && i < 20; i++) field = strchr(field + 1, ' ');
    unsigned long long start = 0;
    if (field != NULL) (void)sscanf(field, "%llu", &start);
    return start;
}

uint64_t aipc_os_pid_namespace(void) {
    struct stat st;
    return stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
}

void aipc_os_boot_id(uint64_t id[2]) {
    char text[64];
    id[0] = id[1] = 0;
    if (read_file("/proc/sys/kernel/random/boot_id", text, sizeof text) < 36) return;
    unsigned nibbles = 0;
    for (const char *c = text; *c != '\0' && nibbles < 32; c++) {
        int digit = *c >= '0' && *c <= '9' ? *c - '0' : *c >= 'a' && *c <= 'f' ? *c - 'a' + 10 : -1;
        if (digit < 0) continue;
        id[nibbles / 16] = id[nibbles / 16] << 4 | (uint64_t)digit;
        nibbles++;
    }
}

aipc_status aipc_os_random(void *buffer, size_t size, int *error) {
    POINT();
    return getrandom(buffer, size, 0) == (ssize_t)size ? AIPC_OK : failed(error);
}

static pthread_mutex_t fork_mutex = PTHREAD_MUTEX_INITIALIZER;

static void install_fork_mutex(void) {
    (void)pthread_atfork(aipc_os_fork_block, aipc_os_fork_allow, aipc_os_fork_allow);
}

void aipc_os_fork_block(void) {
    static pthread_once_t installed = PTHREAD_ONCE_INIT;
    (void)pthread_once(&installed, install_fork_mutex);
    pthread_mutex_lock(&fork_mutex);
}

void aipc_os_fork_allow(void) { pthread_mutex_unlock(&fork_mutex); }

aipc_status aipc_os_at_fork(void (*child)(void)) {
    return pthread_atfork(NULL, NULL, child) == 0 ? AIPC_OK : AIPC_SYSTEM;
}
