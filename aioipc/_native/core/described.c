#include "described.h"

#include <string.h>

#include "seal.h"
#include "siphash.h"

enum { ELEMENTS_ALIGNMENT = 16 };

/* Of the text and of the places of owning words. */
static uint64_t hash_of(const aipc_description *said) {
    uint64_t hash = aipc_siphash(0, said->text, said->text_size);
    return said->owner_count == 0 ? hash : aipc_siphash(hash, said->owners, said->owner_count * sizeof *said->owners);
}

uint64_t aipc_struct_type(const aipc_description *said) { return hash_of(said) | AIPC_TYPE_STRUCT; }

/* Where the places of owning words begin. */
static uint64_t table_at(uint64_t text_size) { return sizeof(struct aipc_described) + ((text_size + 3) & ~UINT64_C(3)); }

uint64_t aipc_described_head(uint64_t text_size, uint64_t owner_count) {
    enum { REST = sizeof(struct aipc_described) + AIPC_OWNERS_MAX * sizeof(uint32_t) + 2 * ELEMENTS_ALIGNMENT };
    if (owner_count > AIPC_OWNERS_MAX || text_size > UINT32_MAX - REST) return 0;
    uint64_t size = table_at(text_size) + owner_count * sizeof(uint32_t);
    return (size + ELEMENTS_ALIGNMENT - 1) / ELEMENTS_ALIGNMENT * ELEMENTS_ALIGNMENT;
}

void aipc_described_init(void *image, const aipc_description *said) {
    struct aipc_described *d = image;
    d->description_size = (uint32_t)said->text_size;
    d->elements = (uint32_t)aipc_described_head(said->text_size, said->owner_count);
    d->element_size = aipc_seal(said->element_size, hash_of(said));
    d->owners = said->owner_count;
    memcpy(d->description, said->text, said->text_size);
    if (said->owner_count != 0)
        memcpy((uint8_t *)image + table_at(said->text_size), said->owners, said->owner_count * sizeof *said->owners);
}

aipc_status aipc_described_at(aipc_seg *seg, uint64_t payload, uint64_t size, uint32_t count, aipc_description *said) {
    const struct aipc_described *d = size < sizeof *d ? NULL : aipc_at(seg, payload, size);
    if (d == NULL) return aipc_corrupt(seg, "F1 struct or array is too small", seg->base + payload, size, sizeof *d);

    uint64_t text_size = aipc_load_relaxed32(&d->description_size), begin = aipc_load_relaxed32(&d->elements);
    uint64_t element_size = aipc_load_relaxed64(&d->element_size) & AIPC_SEALED, owners = aipc_load_relaxed64(&d->owners);
    if (begin > size || begin < sizeof *d || begin != aipc_described_head(text_size, owners))
        return aipc_corrupt(seg, "F1 description of a struct or array", d, text_size, begin);
    if (count == 0 || element_size > (size - begin) / count)
        return aipc_corrupt(seg, "F1 elements of a struct or array", &d->element_size, element_size, size - begin);
    if (owners > element_size / 8) /* so nobody goes through more words than there is room for */
        return aipc_corrupt(seg, "F1 owning words of a struct", &d->owners, owners, element_size / 8);
    *said = (aipc_description){.text = d->description, .text_size = text_size, .element_size = element_size,
                               .owners = (const void *)(seg->base + payload + table_at(text_size)),
                               .owner_count = owners, .elements = seg->base + payload + begin};
    return AIPC_OK;
}

uint64_t *aipc_owning_word(const aipc_description *said, uint64_t n) {
    uint64_t place = aipc_load_relaxed32(&said->owners[n % said->owner_count]);
    uint64_t at = n / said->owner_count * said->element_size + place;
    if (said->element_size < 8 || place > said->element_size - 8 || (at & 7) != 0) return NULL;
    return (uint64_t *)(void *)(said->elements + at);
}

static bool places_ascend(const aipc_description *said) {
    for (uint64_t i = 0; i < said->owner_count; i++) {
        uint64_t place = aipc_load_relaxed32(&said->owners[i]);
        if ((place & 7) != 0 || said->element_size < 8 || place > said->element_size - 8) return false;
        if (i > 0 && place <= aipc_load_relaxed32(&said->owners[i - 1])) return false;
    }
    return said->owner_count == 0 || said->element_size % 8 == 0;
}

void aipc_described_check(aipc_seg *seg, uint64_t payload, uint64_t size, uint32_t count, uint64_t type,
                          aipc_report *report) {
    aipc_description said;
    if (aipc_described_at(seg, payload, size, count, &said) != AIPC_OK) {
        aipc_report_add(report, seg->fault.what, seg->fault.offset, seg->fault.found, seg->fault.expected);
        return;
    }
    const struct aipc_described *d = (const void *)(seg->base + payload);
    uint64_t size_word = aipc_load_relaxed64(&d->element_size), hash = hash_of(&said);
    if (size_word != aipc_seal(size_word, hash))
        aipc_report_add(report, "F2 seal of a description", payload, size_word, aipc_seal(size_word, hash));
    else if ((type & AIPC_TYPE_STRUCT) != 0 && type != (hash | AIPC_TYPE_STRUCT))
        aipc_report_add(report, "F2 description of a struct and its type", payload, hash | AIPC_TYPE_STRUCT, type);
    if (!places_ascend(&said))
        aipc_report_add(report, "F3 places of owning words", aipc_offset(seg, said.owners), said.owner_count, 0);
}
