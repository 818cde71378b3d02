// variants: hook
/* Every interleaving of a lookup with the beginning, the commit and the taking back of an atomic block that replaces an
 * object: whoever looks finds the old one or the new one, at every moment, and never neither. */
#include "catalog_explore.h"

enum { OLD_SIZE = sizeof(struct aipc_object) + 16 + 8 }; /* name, payload */

static uint64_t block;
static aipc_object_ref fresh;
static bool commits;

static void open_block(aipc_ctx *c) {
    CHECK_EQ(aipc_block_open(c, &block), AIPC_OK);
    c->block = block;
}
static void replace(aipc_ctx *c) {
    CHECK_EQ(aipc_destroy(c, &victim), AIPC_OK);
    CHECK_EQ(construct_as(c, "x", 16, &fresh), AIPC_OK);
}
static void end_block(aipc_ctx *c) {
    c->block = 0;
    if (commits) CHECK_EQ(aipc_block_commit(c, block), AIPC_OK);
    CHECK_EQ(aipc_block_settle(c, seg.slot), AIPC_OK);
}

/* A name whose place in the table is that of "x" as well. */
static const char *beside_x(void) {
    static char name[16];
    const uint64_t mask = ((struct aipc_table *)(void *)(seg.base + seg.catalog->table))->capacity - 1;
    const uint64_t home = aipc_key_of(&seg, AIPC_NAMED, "x", 1).hash & mask;
    for (int i = 0;; i++) {
        snprintf(name, sizeof name, "y%d", i);
        if ((aipc_key_of(&seg, AIPC_NAMED, name, (uint32_t)strlen(name)).hash & mask) == home) return name;
    }
}

/* `before`: the new object stands before the old one where it is looked for, in what another one has left; otherwise
 * behind it. */
static void begin_with(bool before, bool open, bool replaced) {
    begin(0);
    if (before) {
        destroy("x");
        make(beside_x(), 8);
        make("x", 8);
        victim = find("x");
        destroy(beside_x());
        CHECK_EQ(seg.catalog->tombstones, 1);
    }
    if (open) open_block(ctx);
    if (replaced) replace(ctx);
    ctx->block = 0;
    free(pristine);
    pristine = malloc(SIZE);
    memcpy(pristine, seg.base, SIZE);
}

static void end_all(void) {
    end(); /* and who leaves takes back what is open */
}

static void look(void) {
    status[READER] = find_as(contexts[READER], "x", &refs[READER]);
}

/* What may have been found: the old one while it is there for others, the new one once it was committed. */
static bool found_one(void *unused) {
    (void)unused;
    if (touched || status[READER] != AIPC_OK) return false;
    const uint64_t serial = refs[READER].serial;
    return (serial == victim.serial || (commits && serial == fresh.serial)) && sound_and_tidy();
}

static void look_or_end(int thread, void *unused) {
    (void)unused;
    if (thread == READER) {
        look();
        return;
    }
    end_block(contexts[1]);
    note_freed(0, commits ? victim.object : fresh.object, OLD_SIZE);
}

static void of_a_block_that_commits_the_old_or_the_new_is_found(void) {
    commits = true;
    for (int before = 0; before < 2; before++) {
        begin_with(before != 0, true, true);
        check_holds(all_schedules(2, look_or_end, found_one));
        end_all();
    }
}

static void of_a_block_that_is_taken_back_the_old_is_found(void) {
    commits = false;
    for (int before = 0; before < 2; before++) {
        begin_with(before != 0, true, true);
        check_holds(all_schedules(2, look_or_end, found_one));
        end_all();
    }
}

static void look_or_replace(int thread, void *unused) {
    (void)unused;
    if (thread == READER) {
        look();
        return;
    }
    open_block(contexts[1]);
    replace(contexts[1]);
    contexts[1]->block = 0;
}

static void while_a_block_is_open_the_old_is_found(void) {
    commits = false;
    begin_with(false, false, false);
    check_holds(all_schedules(2, look_or_replace, found_one));
    end_all();
}

static void look_or_do_it_all(int thread, void *unused) {
    (void)unused;
    if (thread == READER) {
        look();
        return;
    }
    open_block(contexts[1]);
    replace(contexts[1]);
    end_block(contexts[1]);
    note_freed(0, victim.object, OLD_SIZE);
}

static void all_through_a_block_one_of_them_is_found(void) {
    commits = true;
    for (int before = 0; before < 2; before++) {
        begin_with(before != 0, false, false);
        check_holds(all_schedules(2, look_or_do_it_all, found_one));
        end_all();
    }
}

static void construct_or_end(int thread, void *unused) {
    (void)unused;
    if (thread == 0)
        status[0] = construct_as(contexts[0], "x", 8, &refs[0]);
    else
        end_block(contexts[1]);
}

static bool refused(void *unused) {
    (void)unused;
    return (status[0] == AIPC_EXISTS || status[0] == AIPC_PENDING) && sound_and_tidy();
}

static void nobody_gets_in_between(void) {
    for (int commit = 0; commit < 2; commit++) {
        commits = commit != 0;
        begin_with(false, true, true);
        check_holds(all_schedules(2, construct_or_end, refused));
        end_all();
    }
}

int main(void) {
    on_one_processor();
    RUN(of_a_block_that_commits_the_old_or_the_new_is_found);
    RUN(of_a_block_that_is_taken_back_the_old_is_found);
    RUN(while_a_block_is_open_the_old_is_found);
    RUN(all_through_a_block_one_of_them_is_found);
    RUN(nobody_gets_in_between);
    return SUMMARY();
}
