#include "base.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct argument {
    const char *key, *value;
    bool used;
};

static struct argument arguments[64];
static size_t argument_count;
static char first_problem[300];

void die(const char *format, ...)
{
    va_list values;

    va_start(values, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    exit(2);
}

double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);

    if (!memory)
        die("no memory for %zu times %zu bytes", count, size);
    return memory;
}

void arguments_read(char **words)
{
    for (; *words; words++) {
        char *equals = strchr(*words, '=');

        if (!equals)
            die("%s: expected key=value", *words);
        if (argument_count == sizeof arguments / sizeof *arguments)
            die("too many arguments");
        *equals = '\0';
        arguments[argument_count++] = (struct argument){*words, equals + 1, false};
    }
}

/* The last one of that name counts, so that a script may append its own to a caller's. */
const char *text_of(const char *key, const char *fallback)
{
    for (size_t i = 0; i < argument_count; i++) {
        if (strcmp(arguments[i].key, key) == 0) {
            arguments[i].used = true;
            fallback = arguments[i].value;
        }
    }
    return fallback;
}

double number_of(const char *key, double fallback)
{
    const char *text = text_of(key, NULL);
    char *end;

    if (!text)
        return fallback;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= 0))
        die("%s=%s: expected a number", key, text);
    return value;
}

in_addr_t address_of(const char *key)
{
    const char *text = text_of(key, NULL);
    struct in_addr address = {0};

    if (text && !inet_aton(text, &address))
        die("%s=%s: expected an IPv4 address", key, text);
    return address.s_addr;
}

void arguments_end(void)
{
    for (size_t i = 0; i < argument_count; i++) {
        if (!arguments[i].used)
            die("unknown argument %s=", arguments[i].key);
    }
}

static uint64_t first_mac(void)
{
    const char *text = text_of("mac", "02:00:00:00:00:00");
    unsigned byte[MAC_SIZE];
    uint64_t value = 0;

    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4],
               &byte[5]) != MAC_SIZE)
        die("mac=%s: expected aa:bb:cc:dd:ee:ff", text);
    for (size_t i = 0; i < MAC_SIZE; i++)
        value = value << 8 | byte[i];
    return value;
}

void machine_mac(uint32_t number, uint8_t mac[MAC_SIZE])
{
    static uint64_t base;
    static bool known;

    if (!known)
        base = first_mac();
    known = true;
    uint64_t value = base + number;
    for (size_t i = MAC_SIZE; i-- > 0; value >>= 8)
        mac[i] = value & 0xff;
}

in_addr_t machine_address(uint32_t number)
{
    static in_addr_t base;
    static bool known;

    if (!known)
        base = address_of("nodes");
    known = true;
    return base ? htonl(ntohl(base) + number) : 0;
}

void expand(char *into, const char *pattern, const uint8_t mac[MAC_SIZE])
{
    char *end = into + TEXT_ROOM - 18; /* there is always room for one more MAC */

    while (*pattern && into < end) {
        if (strncmp(pattern, "{mac}", 5) != 0) {
            *into++ = *pattern++;
            continue;
        }
        into += sprintf(into, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
                        mac[4], mac[5]);
        pattern += 5;
    }
    if (*pattern)
        die("%s: too long", pattern);
    *into = '\0';
}

void problem(const char *format, ...)
{
    va_list values;

    if (*first_problem)
        return;
    va_start(values, format);
    vsnprintf(first_problem, sizeof first_problem, format, values);
    va_end(values);
}

void times_add(struct times *times, double seconds)
{
    if (times->count == times->room) {
        times->room = times->room ? times->room * 2 : 4096;
        times->seconds = realloc(times->seconds, times->room * sizeof *times->seconds);
        if (!times->seconds)
            die("no memory for %zu latencies", times->room);
    }
    times->seconds[times->count++] = (float)seconds;
}

static int ascending(const void *one, const void *other)
{
    float a = *(const float *)one, b = *(const float *)other;

    return (a > b) - (a < b);
}

/* The time within which *part* of all were over (nearest rank), in ms. */
static double quantile(const struct times *sorted, double part)
{
    size_t rank = (size_t)(part * (double)sorted->count);

    return sorted->seconds[rank < sorted->count ? rank : sorted->count - 1] * 1e3;
}

static double cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

/* What of a peer's text may stand in JSON as it is. */
static void print_quoted(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        unsigned char letter = (unsigned char)*text;

        if (letter == '"' || letter == '\\')
            printf("\\%c", letter);
        else
            putchar(letter >= 0x20 && letter < 0x7f ? letter : '?');
    }
    putchar('"');
}

void json_begin(void)
{
    putchar('{');
}

void json_number(const char *name, double value)
{
    printf("\"%s\": %.6f, ", name, value);
}

void json_count(const char *name, uint64_t value)
{
    printf("\"%s\": %llu, ", name, (unsigned long long)value);
}

void json_times(const char *name, struct times *times)
{
    static const struct {
        const char *name;
        double part;
    } parts[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};

    if (times->count)
        qsort(times->seconds, times->count, sizeof *times->seconds, ascending);
    printf("\"%s\": {\"count\": %zu", name, times->count);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (times->count)
            printf(", \"%s\": %.4f", parts[i].name, quantile(times, parts[i].part));
        else
            printf(", \"%s\": null", parts[i].name);
    }
    fputs("}, ", stdout);
}

void json_end(void)
{
    json_number("load_cpu_s", cpu_seconds());
    fputs("\"problem\": ", stdout);
    print_quoted(first_problem);
    puts("}");
}
