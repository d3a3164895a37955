/* What a server should send: a local file, mapped, to compare with. */
#ifndef CONTENT_H
#define CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct content {
    const uint8_t *bytes; /* NULL: unknown, nothing is compared */
    uint64_t size;
    bool size_known;
};

/* Of the file named in *key*=; or only of the size in size=, if *key* is "verify"; or unknown. */
struct content content_of(const char *key);

/* Are these *count* bytes what belongs at *offset*?  True where nobody knows. */
bool content_has(const struct content *content, uint64_t offset, const void *bytes, size_t count);

#endif
