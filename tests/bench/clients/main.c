/*
 * load dhcp|tftp|http|storm key=value…: many boot clients in one thread; prints one JSON object.
 *
 * Each subcommand's file begins with its arguments.  The exit status is 2 for arguments that make
 * no sense and sockets that cannot be had; clients that fail are counted, not an error.
 */
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "base.h"
#include "loads.h"

static const struct {
    const char *name;
    void (*run)(void);
} loads[] = {
    {"dhcp", load_dhcp},
    {"tftp", load_tftp},
    {"http", load_http},
    {"storm", load_storm},
};

/* Each client of thousands has its socket. */
static void allow_sockets(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2)
        die("expected dhcp, tftp, http or storm");
    signal(SIGPIPE, SIG_IGN);
    allow_sockets();
    arguments_read(argv + 2);
    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++) {
        if (strcmp(argv[1], loads[i].name) == 0) {
            loads[i].run();
            return 0;
        }
    }
    die("%s: expected dhcp, tftp, http or storm", argv[1]);
}
