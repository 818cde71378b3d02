/* What a test may leave behind: descriptors, FIFOs, directories. */
#ifndef AIPC_TEST_LEAKS_H
#define AIPC_TEST_LEAKS_H

#include "harness.h"

#include <dirent.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Entries of a directory; -1 when there is none. */
static inline int leaks_entries(const char *path) {
    DIR *directory = opendir(path);
    if (directory == NULL) return -1;
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(directory);
    return count;
}

static inline int leaks_fds(void) { return leaks_entries("/proc/self/fd"); }

static inline bool leaks_exists(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

/* Processes that take turns: words in memory shared by all that are forked later. */
static inline uint32_t *shared_words(void) {
    static uint32_t *words;
    if (words == NULL) words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(words != MAP_FAILED);
    return words;
}
static inline void shared_wait(const uint32_t *word, uint32_t value) {
    siginfo_t ended = {.si_pid = 0};
    while (__atomic_load_n(word, __ATOMIC_SEQ_CST) < value) {
        usleep(200);
        /* A child that failed will never say it. */
        if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid != 0)
            CHECK(ended.si_code == CLD_KILLED || ended.si_status == 0);
    }
}
static inline void shared_set(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_SEQ_CST); }

#endif
