/* An iPXE script, as far as a simulated node follows it. */
#ifndef SCRIPT_H
#define SCRIPT_H

#include "base.h"

#define SCRIPT_FILES 8

struct url {
    in_addr_t host;
    uint16_t port;
    char path[TEXT_ROOM];
};
/* NULL, or what is wrong; only http://ADDRESS[:PORT]/… is understood. */
const char *url_read(struct url *url, const char *text);

struct script {
    struct url files[SCRIPT_FILES]; /* the kernel first, then what it has for its initrd */
    unsigned count;
    bool chains; /* no kernel: another script, or this one once more, after a pause */
    struct url next;
    double pause; /* seconds */
};
/* NULL, or what is wrong.  Variables of iPXE in the address of a next script are left out. */
const char *script_read(struct script *script, const char *text);

#endif
