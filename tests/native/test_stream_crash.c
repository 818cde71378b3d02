// variants: hook
/* Death at every store of a write that makes a stream grow, of its destruction, and of the recovery after it: the length
 * says what was there before or all of it, no chunk is lost, and the next one goes on. */
#include "catalog_fixture.h"
#include "crash.h"
#include "stream.h"
#include "types.h"

enum { OLD = 100, NEW = 3000 }; /* bytes before; a write that needs several chunks */

static aipc_seg child_seg;
static aipc_ctx *child;
static aipc_object_ref child_ref;

static aipc_status stream_open(aipc_ctx *c, aipc_object_ref *ref) {
    struct aipc_vector image;
    aipc_vector_init(&image);
    const aipc_object_spec spec = {.kind = AIPC_NAMED, .name = "s", .name_size = 1, .type = AIPC_TYPE_VECTOR_IO,
                                   .size = sizeof image, .count = 1, .initial = &image};
    bool created;
    return aipc_find_or_construct(c, &spec, ref, &created);
}
static struct aipc_stream *stream_of(aipc_seg *s, const aipc_object_ref *ref) {
    struct aipc_stream *stream = aipc_vector_at(s, ref->payload, ref->size);
    CHECK(stream != NULL);
    return stream;
}
static void write_byte(aipc_ctx *c, const aipc_object_ref *ref, uint64_t at, uint8_t byte, uint64_t count) {
    static uint8_t bytes[NEW];
    memset(bytes, byte, count);
    CHECK_EQ(aipc_stream_reserve(c, stream_of(c->seg, ref), at + count), AIPC_OK);
    CHECK_EQ(aipc_stream_write(c->seg, stream_of(c->seg, ref), at, bytes, count), AIPC_OK);
}

static bool made;
static void setup(void *unused) {
    (void)unused;
    if (made) fixture_drop();
    made = true;
    fixture_make(1 << 17);
    aipc_object_ref ref;
    CHECK_EQ(stream_open(ctx, &ref), AIPC_OK);
    write_byte(ctx, &ref, 0, 'o', OLD);
    unpin(&ref);
}
static void attach(void) {
    aipc_segment_init(&child_seg, dup(fixture_fd), "");
    CHECK_EQ(aipc_segment_open(&child_seg), AIPC_OK);
    CHECK_EQ(aipc_ctx_enter(&child_seg, &child), AIPC_OK);
}
static void enter(void *unused) {
    (void)unused;
    attach();
    CHECK_EQ(stream_open(child, &child_ref), AIPC_OK);
}
static void grow(void *unused) {
    (void)unused;
    write_byte(child, &child_ref, OLD, 'n', NEW);
}
static void demolish(void *unused) {
    (void)unused;
    write_byte(child, &child_ref, OLD, 'n', NEW);
    CHECK_EQ(aipc_destroy(child, &child_ref), AIPC_OK);
    (void)unpin_as(child, &child_ref);
}

/* Old bytes, and all of the new ones or none. */
static void bytes_are_right(struct aipc_stream *s) {
    const uint64_t length = aipc_stream_length(s);
    CHECK(length == 0 || length == OLD || length == OLD + NEW);
    for (uint64_t at = 0; at < length;) {
        uint8_t *bytes;
        uint64_t count;
        CHECK_EQ(aipc_stream_span(&child_seg, s, at, &bytes, &count), AIPC_OK);
        CHECK(count > 0);
        for (uint64_t i = 0; i < count && at < length; i++, at++) CHECK(bytes[i] == (at < OLD ? 'o' : 'n'));
    }
}
static void survive(void *unused) {
    (void)unused;
    attach(); /* recovers whoever died */
    CHECK_EQ(stream_open(child, &child_ref), AIPC_OK);
    bytes_are_right(stream_of(&child_seg, &child_ref));
    sound_as(child);
    write_byte(child, &child_ref, aipc_stream_length(stream_of(&child_seg, &child_ref)), 'p', NEW);
    sound_as(child);
    CHECK_EQ(aipc_destroy(child, &child_ref), AIPC_OK);
    CHECK_EQ(unpin_as(child, &child_ref), AIPC_OK);
    CHECK_EQ(aipc_catalog_collect(child), AIPC_OK);
    sound_as(child);
    CHECK_EQ(used_blocks(child), 1);
    CHECK(no_orphans(child));
    aipc_ctx_leave(child);
    CHECK_EQ(aipc_segment_detach(&child_seg), AIPC_OK);
}

static void sweep(void (*run)(void *)) {
    const struct scenario scenario = {.setup = setup, .enter = enter, .run = run, .survive = survive};
    CHECK(crash_sweep(&scenario) > 0);
}
static void a_death_while_growing(void) { sweep(grow); }
static void a_death_while_it_is_taken_apart(void) { sweep(demolish); }

int main(void) {
    RUN(a_death_while_growing);
    RUN(a_death_while_it_is_taken_apart);
    if (made) fixture_drop();
    return SUMMARY();
}
