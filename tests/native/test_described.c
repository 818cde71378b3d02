// variants: plain asan
/* Structs and arrays: what a description says is believed only as far as it fits, whatever its bytes are. */
#include "catalog_fixture.h"
#include "described.h"
#include "types.h"

static const char TEXT[] = "Tick(price:float64@0,next:SharedPtr@8,volume:uint32@16,other:SharedPtr@24)32";
static const uint32_t OWNERS[] = {8, 24};
enum { COUNT = 3, ELEMENT = 32 };

static aipc_description described(void) {
    return (aipc_description){.text = TEXT, .text_size = strlen(TEXT), .element_size = ELEMENT, .owners = OWNERS,
                              .owner_count = 2};
}
static uint64_t head_size(void) { return aipc_described_head(strlen(TEXT), 2); }

static aipc_object_ref ref;
static aipc_report report;

/* A struct of three elements, all bytes of which are 7; or what else has such a payload. */
static void describe(uint64_t type) {
    fixture_make(1 << 16);
    const uint64_t head = head_size();
    const aipc_description as = described();
    static uint8_t image[512];
    memset(image, 0, sizeof image);
    aipc_described_init(image, &as);
    memset(image + head, 7, COUNT * ELEMENT);
    const aipc_object_spec spec = {.kind = AIPC_NAMED, .name = "ticks", .name_size = 5, .type = type, .count = COUNT,
                                   .size = head + COUNT * ELEMENT, .initial = image};
    CHECK_EQ(aipc_construct(ctx, &spec, &ref), AIPC_OK);
}
static uint64_t struct_type(void) {
    const aipc_description as = described();
    return aipc_struct_type(&as);
}
static uint8_t *payload(void) { return seg.base + ref.payload; }
static aipc_status look(aipc_description *said) {
    return aipc_described_at(&seg, ref.payload, ref.size, ref.count, said);
}
static uint64_t findings(void) {
    memset(&report, 0, sizeof report);
    CHECK_EQ(aipc_type_check(ctx, &ref, &report), AIPC_OK);
    return report.findings;
}

static void what_was_described_is_read(void) {
    describe(struct_type());
    aipc_description said;
    CHECK_EQ(look(&said), AIPC_OK);
    CHECK(said.text_size == strlen(TEXT) && memcmp(said.text, TEXT, said.text_size) == 0);
    CHECK(said.element_size == ELEMENT && (uint64_t)(said.elements - seg.base) % 16 == 0);
    for (int i = 0; i < COUNT * ELEMENT; i++) CHECK(said.elements[i] == 7);
    for (uint64_t i = 0; i < COUNT * 2; i++)
        CHECK((uint8_t *)aipc_owning_word(&said, i) == said.elements + i / 2 * ELEMENT + OWNERS[i % 2]);
    CHECK(findings() == 0);
    sound();
    fixture_drop();
}

/* Every byte of the head, with every value: what is read lies in the payload, and a wrong head is found. */
static void each_byte_may_lie(void) {
    describe(struct_type());
    const uint64_t head = head_size(), table = sizeof(struct aipc_described) + (strlen(TEXT) + 3) / 4 * 4;
    for (uint64_t at = 0; at < head; at++)
        for (int value = 0; value < 256; value++) {
            const uint8_t before = payload()[at];
            const bool padding = at >= sizeof(struct aipc_described) + strlen(TEXT) && (at < table || at >= table + 8);
            payload()[at] = (uint8_t)value;
            aipc_description said;
            if (look(&said) == AIPC_OK) {
                CHECK((const uint8_t *)said.text >= payload() && said.text_size <= head);
                CHECK(said.elements + said.element_size * ref.count <= payload() + ref.size);
                for (uint64_t i = 0; i < said.owner_count * ref.count; i++) {
                    const uint8_t *word = (const uint8_t *)aipc_owning_word(&said, i);
                    CHECK(word == NULL || (word >= said.elements && word + 8 <= payload() + ref.size));
                }
            }
            /* Fewer bytes an element fit too; what was given back is looked at with what it counted (shares.h). */
            CHECK(padding || value == before || findings() > 0 || at / 8 == 1 || at / 8 == 3);
            payload()[at] = before;
        }
    CHECK(findings() == 0);
    fixture_drop();
}

static void a_payload_may_be_too_small(void) {
    describe(struct_type());
    for (uint64_t size = 0; size < ref.size; size++) {
        aipc_description said;
        CHECK_EQ(aipc_described_at(&seg, ref.payload, size, ref.count, &said), AIPC_CORRUPT);
    }
    aipc_description said;
    CHECK_EQ(aipc_described_at(&seg, ref.payload, ref.size, ref.count + 1, &said), AIPC_CORRUPT);
    CHECK_EQ(aipc_described_at(&seg, ref.payload, ref.size, 0, &said), AIPC_CORRUPT);
    CHECK_EQ(aipc_described_at(&seg, seg.mapped - 8, ref.size, ref.count, &said), AIPC_CORRUPT);
    CHECK_EQ(aipc_described_at(&seg, UINT64_MAX - 7, ref.size, ref.count, &said), AIPC_CORRUPT);
    CHECK_EQ(aipc_described_at(&seg, ref.payload, UINT64_MAX, ref.count, &said), AIPC_CORRUPT);
    fixture_drop();
}

static void a_text_too_long_has_no_head(void) {
    CHECK_EQ(aipc_described_head(0, 0), 32);
    CHECK_EQ(aipc_described_head(1, 0), 48);
    CHECK_EQ(aipc_described_head(1, 3), 48);
    CHECK_EQ(aipc_described_head(1, 4), 64);
    CHECK(aipc_described_head(UINT32_MAX, 0) == 0 && aipc_described_head(UINT64_MAX, 0) == 0);
    CHECK(aipc_described_head(1, AIPC_OWNERS_MAX) != 0 && aipc_described_head(1, AIPC_OWNERS_MAX + 1) == 0);
}

static void another_type_is_another_number(void) {
    describe(struct_type() ^ 1);
    CHECK(findings() == 1 && strncmp(report.finding[0].what, "F2", 2) == 0);
    fixture_drop();
    describe(AIPC_TYPE_ARRAY); /* its number says nothing of its text */
    CHECK(findings() == 0);
    fixture_drop();
}

static void the_rest_of_a_payload_is_zero(void) {
    fixture_make(1 << 16);
    for (uint64_t given = 0; given <= 8; given++) {
        aipc_object_spec spec = {.kind = AIPC_ANONYMOUS, .type = 7, .size = 8, .count = 1, .initial = "12345678",
                                 .zeros = 8 - given};
        CHECK_EQ(aipc_construct(ctx, &spec, &ref), AIPC_OK);
        CHECK(memcmp(payload(), "12345678", given) == 0);
        for (uint64_t i = given; i < 8; i++) CHECK(payload()[i] == 0);
    }
    aipc_object_spec wrong = {.kind = AIPC_ANONYMOUS, .type = 7, .size = 8, .count = 1, .initial = "1", .zeros = 9};
    CHECK_EQ(aipc_construct(ctx, &wrong, &ref), AIPC_INVALID);
    fixture_drop();
}

int main(void) {
    RUN(what_was_described_is_read);
    RUN(each_byte_may_lie);
    RUN(a_payload_may_be_too_small);
    RUN(a_text_too_long_has_no_head);
    RUN(another_type_is_another_number);
    RUN(the_rest_of_a_payload_is_zero);
    return SUMMARY();
}
