/*
 * What every load generator needs: arguments, the clock, latencies, and the JSON that it prints.
 *
 * A run is one process with one purpose, so arguments and results are kept here as globals.
 * Times are seconds, as double, of CLOCK_MONOTONIC; printed latencies are milliseconds.
 */
#ifndef BASE_H
#define BASE_H

#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAC_SIZE 6
#define TEXT_ROOM 512 /* for a path, a URL or a file name of DHCP */

#define container_of(pointer, type, member) ((type *)((char *)(pointer) - offsetof(type, member)))

/* The program cannot do what was asked: one line on stderr, and exit status 2. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

double now(void);
void *allocate(size_t count, size_t size); /* zeroed, for the whole run; dies without memory */

/* key=value words.  Each getter gives *fallback* where the key is absent, and dies of nonsense. */
void arguments_read(char **words);
const char *text_of(const char *key, const char *fallback);
double number_of(const char *key, double fallback);
in_addr_t address_of(const char *key); /* network order; 0 where absent */
void arguments_end(void);              /* dies of a key that nobody has asked for */

/* Machine number *n*: MAC mac= plus n; its own address nodes= plus n, or 0 without nodes=. */
void machine_mac(uint32_t number, uint8_t mac[MAC_SIZE]);
in_addr_t machine_address(uint32_t number);
/* *pattern* with each "{mac}" replaced, into TEXT_ROOM bytes. */
void expand(char *into, const char *pattern, const uint8_t mac[MAC_SIZE]);

/* Something that should not have happened; the first one is printed in words. */
void problem(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct times {
    float *seconds; /* a float has 24 bits: 60 s to 4 microseconds */
    size_t count, room;
};
void times_add(struct times *times, double seconds);

void json_begin(void);
void json_number(const char *name, double value);
void json_count(const char *name, uint64_t value);
void json_times(const char *name, struct times *times); /* sorts them */
void json_end(void);                                    /* adds what every run tells */

#endif
