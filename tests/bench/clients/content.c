#include "content.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base.h"

static struct content mapped(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0)
        die("%s: %s", path, strerror(errno));
    if (!status.st_size)
        die("%s is empty: there is nothing to compare", path);
    void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (bytes == MAP_FAILED)
        die("%s: %s", path, strerror(errno));
    close(fd);
    return (struct content){bytes, (uint64_t)status.st_size, true};
}

struct content content_of(const char *key)
{
    const char *path = text_of(key, "");
    bool whole = strcmp(key, "verify") == 0;

    if (*path)
        return mapped(path);
    if (whole && text_of("size", NULL))
        return (struct content){NULL, (uint64_t)number_of("size", 0), true};
    return (struct content){0};
}

bool content_has(const struct content *content, uint64_t offset, const void *bytes, size_t count)
{
    if (content->size_known && offset + count > content->size)
        return false;
    return !content->bytes || memcmp(content->bytes + offset, bytes, count) == 0;
}
