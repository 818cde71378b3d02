#include "described.h"

#include <string.h>

#include "seal.h"
#include "siphash.h"

enum { ELEMENTS_ALIGNMENT = 16 };

uint64_t aipc_struct_type(const void *text, uint64_t size) { return aipc_siphash(0, text, size) | AIPC_TYPE_STRUCT; }

uint64_t aipc_described_head(uint64_t text_size) {
    if (text_size > UINT32_MAX - sizeof(struct aipc_described) - ELEMENTS_ALIGNMENT) return 0;
    return (sizeof(struct aipc_described) + text_size + ELEMENTS_ALIGNMENT - 1) / ELEMENTS_ALIGNMENT * ELEMENTS_ALIGNMENT;
}

void aipc_described_init(void *image, const void *text, uint64_t size, uint64_t element_size) {
    struct aipc_described *d = image;
    d->description_size = (uint32_t)size;
    d->elements = (uint32_t)aipc_described_head(size);
    d->element_size = aipc_seal(element_size, aipc_siphash(0, text, size));
    memcpy(d->description, text, size);
}

aipc_status aipc_described_at(aipc_seg *seg, uint64_t payload, uint64_t size, uint32_t count, aipc_description *said) {
    const struct aipc_described *d = size < sizeof *d ? NULL : aipc_at(seg, payload, size);
    if (d == NULL) return aipc_corrupt(seg, "F1 struct or array is too small", seg->base + payload, size, sizeof *d);

    uint64_t text_size = aipc_load_relaxed32(&d->description_size), begin = aipc_load_relaxed32(&d->elements);
    uint64_t element_size = aipc_load_relaxed64(&d->element_size) & AIPC_SEALED;
    if (begin > size || begin < sizeof *d || begin != aipc_described_head(text_size))
        return aipc_corrupt(seg, "F1 description of a struct or array", d, text_size, begin);
    if (count == 0 || element_size > (size - begin) / count)
        return aipc_corrupt(seg, "F1 elements of a struct or array", &d->element_size, element_size, size - begin);
    *said = (aipc_description){.text = d->description, .text_size = text_size, .element_size = element_size,
                               .elements = seg->base + payload + begin};
    return AIPC_OK;
}

void aipc_described_check(aipc_seg *seg, uint64_t payload, uint64_t size, uint32_t count, uint64_t type,
                          aipc_report *report) {
    aipc_description said;
    if (aipc_described_at(seg, payload, size, count, &said) != AIPC_OK) {
        aipc_report_add(report, seg->fault.what, seg->fault.offset, seg->fault.found, seg->fault.expected);
        return;
    }
    const struct aipc_described *d = (const void *)(seg->base + payload);
    uint64_t size_word = aipc_load_relaxed64(&d->element_size), text = aipc_siphash(0, said.text, said.text_size);
    if (size_word != aipc_seal(size_word, text))
        aipc_report_add(report, "F2 seal of a description", payload, size_word, aipc_seal(size_word, text));
    else if ((type & AIPC_TYPE_STRUCT) != 0 && type != (text | AIPC_TYPE_STRUCT))
        aipc_report_add(report, "F2 description of a struct and its type", payload, text | AIPC_TYPE_STRUCT, type);
}
