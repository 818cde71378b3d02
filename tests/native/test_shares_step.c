// variants: plain
/* SIGKILL after sampled machine instructions of the optimized core while shares are taken, moved and given back: what the
 * compiler made of counting and ending in one transaction. */
#include "segment_fixture.h"

#include "described.h"
#include "pointer.h"
#include "shares.h"
#include "step.h"

enum { SIZE = 16 };

static aipc_seg seg;

static const char TEXT[] = "Link(next:SharedPtr@0)16";
static const uint32_t OWNERS[] = {0};

static aipc_object_ref link_of(aipc_ctx *ctx, const char *name, uint32_t shares) {
    const aipc_description said = {.text = TEXT, .text_size = sizeof TEXT - 1, .element_size = SIZE, .owners = OWNERS,
                                   .owner_count = 1};
    uint64_t image[32] = {0}, head = aipc_described_head(sizeof TEXT - 1, 1);
    aipc_described_init(image, &said);
    const aipc_object_spec spec = {.kind = name == NULL ? AIPC_ANONYMOUS : AIPC_NAMED, .name = name,
                                   .name_size = name == NULL ? 0 : (uint32_t)strlen(name), .initial = image,
                                   .type = aipc_struct_type(&said), .size = head + SIZE, .count = 1, .shares = shares};
    aipc_object_ref ref;
    CHECK(head + SIZE <= sizeof image);
    OK(aipc_construct(ctx, &spec, &ref));
    return ref;
}

static aipc_owner next_of(const aipc_object_ref *ref) {
    return (aipc_owner){.object = ref, .word = ref->payload + aipc_described_head(sizeof TEXT - 1, 1)};
}

static void setup(void *arg) {
    (void)arg;
    fixture_create(&seg);
    aipc_ctx *ctx = enter(&seg);
    (void)link_of(ctx, "root", 0);
    aipc_ctx_leave(ctx);
    fixture_detach(&seg);
}

static void attach(void *arg) {
    (void)arg;
    fixture_attach(&seg);
}

/* A list of two comes to hang from the root, and one of it goes again; fixture_detach never runs. */
static void run(void *arg) {
    (void)arg;
    aipc_ctx *ctx = enter(&seg);
    aipc_object_ref root, locked;
    OK(aipc_find(ctx, AIPC_NAMED, "root", 4, &root));
    const aipc_object_ref first = link_of(ctx, NULL, AIPC_SHARE_ANY), second = link_of(ctx, "second", AIPC_SOLE);
    const aipc_owner in_root = next_of(&root), in_first = next_of(&first);
    OK(aipc_share_store(ctx, &in_root, &first));
    OK(aipc_share_move_in(ctx, &in_first, second.holding));
    OK(aipc_share_lock(ctx, aipc_pointer_to_object(&first), &locked));
    OK(aipc_share_release(ctx, seg.slot, first.holding));
    OK(aipc_share_store(ctx, &in_first, NULL)); /* the end of the second */
    aipc_ctx_leave(ctx);
}

static void survive(void *arg) {
    (void)arg;
    aipc_report report;
    aipc_object_ref root;
    fixture_attach(&seg);
    fixture_sound(&seg, &report);
    CHECK_EQ(report.holdings, 0);
    aipc_ctx *ctx = enter(&seg);
    OK(aipc_find(ctx, AIPC_NAMED, "root", 4, &root));
    OK(aipc_destroy(ctx, &root));
    aipc_ctx_leave(ctx);
    fixture_sound(&seg, &report);
    CHECK_EQ(report.objects, 0);
    CHECK_EQ(report.internal_blocks, 1); /* the table of names */
    fixture_detach(&seg);
}

static void a_death_at_any_instruction_leaves_every_count_right(void) {
    const struct scenario s = {setup, attach, run, survive, NULL};
    STEP_WATCH(&seg.base, FIXTURE_SIZE);
    fprintf(stderr, "  %" PRIu64 " deaths\n", step_sweep(&s));
}

int main(void) {
    RUN(a_death_at_any_instruction_leaves_every_count_right);
    fixture_end();
    return SUMMARY();
}
