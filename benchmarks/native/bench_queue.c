/* The queue alone, crash safety on: ns per message.
 *
 *     bench_queue [rounds]
 *
 * One line per case, `name  median  min  max`.  The first cases put and take in one process, timed by the processor time
 * it used; the stream, by the clock, has a producer and a consumer process, each spinning a little and then sleeping
 * on its bell. */
#include "queue_fixture.h"

#include <sys/wait.h>
#include <time.h>

enum { PAIRS = 1000000, STREAM = 3000000, LARGE = 20000, MOST_ROUNDS = 50 };

static aipc_seg seg;
static struct aipc_queue *queue;
static uint32_t bell;
static int bell_fd;

static double time_of(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const char *name, double *values, int rounds) {
    qsort(values, (size_t)rounds, sizeof *values, by_value);
    printf("%-46s %10.1f %10.1f %10.1f\n", name, values[rounds / 2], values[0], values[rounds - 1]);
    fflush(stdout);
}

static double pairs(uint64_t size, int count) {
    static uint8_t bytes[1 << 17], room[AIPC_QUEUE_INLINE];
    const aipc_bytes message = {.data = bytes, .size = size};
    aipc_message taken;
    uint32_t n;
    aipc_ctx *ctx = enter(&seg);
    const double start = time_of(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < count; i++) {
        OK(aipc_queue_put(ctx, queue, &message, 1, &n));
        OK(aipc_queue_take(ctx, queue, room, sizeof room, &taken, 1, &n));
        if (taken.item != 0) OK(aipc_queue_dispose(ctx, &taken, 1));
    }
    const double ns = (time_of(CLOCK_PROCESS_CPUTIME_ID) - start) / count;
    OK(aipc_queue_task_done(ctx, queue, (uint64_t)count));
    aipc_ctx_leave(ctx);
    return ns;
}

static double batches(uint64_t size, int batch, int count) {
    static uint8_t bytes[64], room[64 * 1024];
    static aipc_bytes messages[64];
    static aipc_message taken[64];
    uint32_t n;
    for (int i = 0; i < batch; i++) messages[i] = (aipc_bytes){.data = bytes, .size = size};
    aipc_ctx *ctx = enter(&seg);
    const double start = time_of(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < count; i += batch) {
        OK(aipc_queue_put(ctx, queue, messages, (uint32_t)batch, &n));
        OK(aipc_queue_take(ctx, queue, room, sizeof room, taken, (uint32_t)batch, &n));
        CHECK_EQ(n, batch);
    }
    const double ns = (time_of(CLOCK_PROCESS_CPUTIME_ID) - start) / count;
    aipc_ctx_leave(ctx);
    return ns;
}

static double leases(int count) {
    static uint8_t bytes[64];
    const aipc_bytes message = {.data = bytes, .size = sizeof bytes};
    aipc_message taken;
    uint32_t n;
    aipc_ctx *ctx = enter(&seg);
    const double start = time_of(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < count; i++) {
        OK(aipc_queue_put(ctx, queue, &message, 1, &n));
        OK(aipc_queue_lease(ctx, queue, &taken));
        OK(aipc_queue_settle(ctx, queue, taken.item, taken.serial, AIPC_SETTLE_DONE));
    }
    const double ns = (time_of(CLOCK_PROCESS_CPUTIME_ID) - start) / count;
    aipc_ctx_leave(ctx);
    return ns;
}

/* ---- two processes -------------------------------------------------------------------------------- */

enum { SPINS = 2000 };

static void sleep_until(aipc_queue_role role, aipc_status (*attempt)(void)) {
    uint32_t node;
    aipc_ctx *ctx = enter(&seg);
    OK(aipc_queue_stand(ctx, queue, role, bell, 1, &node));
    aipc_ctx_leave(ctx);
    while (attempt() == AIPC_AGAIN) {
        fixture_sleep(&seg, bell, bell_fd);
        if (attempt() != AIPC_AGAIN) break;
        ctx = enter(&seg);
        OK(aipc_queue_again(ctx, queue, role, node));
        aipc_ctx_leave(ctx);
    }
    ctx = enter(&seg);
    OK(aipc_queue_leave(ctx, queue, role, node));
    aipc_ctx_leave(ctx);
}

static aipc_ctx *stream_ctx;
static uint64_t stream_size, stream_batch, stream_left;
static uint8_t stream_bytes[4096], stream_room[64 * 1024];
static aipc_bytes stream_messages[64];
static aipc_message stream_taken[64];

static aipc_status put_some(void) {
    uint32_t n, count = (uint32_t)(stream_left < stream_batch ? stream_left : stream_batch);
    const aipc_status status = aipc_queue_put(stream_ctx, queue, stream_messages, count, &n);
    stream_left -= n;
    return n != 0 ? AIPC_OK : status;
}
static aipc_status take_some(void) {
    uint32_t n;
    const aipc_status status = aipc_queue_take(stream_ctx, queue, stream_room, sizeof stream_room, stream_taken,
                                               (uint32_t)stream_batch, &n);
    stream_left -= n;
    return status;
}

static void stream_side(aipc_queue_role role, aipc_status (*attempt)(void)) {
    fixture_attach(&seg);
    queue = fixture_queue(&seg);
    OK(aipc_bell_take(&seg, &bell, &bell_fd));
    stream_ctx = enter(&seg);
    for (int i = 0; i < 64; i++) stream_messages[i] = (aipc_bytes){.data = stream_bytes, .size = stream_size};
    while (stream_left > 0) {
        int spins = 0;
        while (attempt() == AIPC_AGAIN && ++spins < SPINS) aipc_cpu_relax();
        if (spins == SPINS) sleep_until(role, attempt);
    }
    aipc_ctx_leave(stream_ctx);
    fixture_detach(&seg);
}

static double stream(uint64_t size, uint64_t batch) {
    queue_options.maxsize = 4096;
    fixture_create(&seg);
    (void)fixture_queue(&seg);
    fixture_detach(&seg);
    stream_size = size;
    stream_batch = batch;
    stream_left = STREAM;
    const double start = time_of(CLOCK_MONOTONIC);
    for (int side = 0; side < 2; side++) {
        if (fork() != 0) continue;
        stream_side(side == 0 ? AIPC_PUTTERS : AIPC_GETTERS, side == 0 ? put_some : take_some);
        _exit(0);
    }
    for (int side = 0; side < 2; side++) CHECK(wait(NULL) > 0);
    return (time_of(CLOCK_MONOTONIC) - start) / STREAM;
}

int main(int argc, char **argv) {
    const int rounds = argc > 1 && atoi(argv[1]) < MOST_ROUNDS ? atoi(argv[1]) : 5;
    double ns[7][MOST_ROUNDS];
    fixture_size = 16 << 20;
    queue_options = (aipc_queue_options){0};
    fixture_create(&seg);
    queue = fixture_queue(&seg);
    for (int r = 0; r < rounds; r++) {
        ns[0][r] = pairs(64, PAIRS);
        ns[1][r] = pairs(1024, PAIRS / 4);
        ns[2][r] = pairs(65536, LARGE);
        ns[3][r] = batches(64, 64, PAIRS);
        ns[4][r] = leases(PAIRS / 4);
    }
    fixture_detach(&seg);
    for (int r = 0; r < rounds; r++) {
        ns[5][r] = stream(64, 1);
        ns[6][r] = stream(64, 16);
    }
    fixture_end();
    report("put + take 64 B", ns[0], rounds);
    report("put + take 1 KiB", ns[1], rounds);
    report("put + take 64 KiB", ns[2], rounds);
    report("put_many + take_many 64 B, by 64", ns[3], rounds);
    report("put + lease + settle 64 B", ns[4], rounds);
    report("stream 64 B, two processes", ns[5], rounds);
    report("stream 64 B, two processes, by 16", ns[6], rounds);
    return 0;
}
