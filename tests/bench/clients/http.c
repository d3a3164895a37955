/*
 * load http: boot scripts, or images, over one or many connections.
 *
 *     server= [port=80] path=/… [connections=1] requests=N | seconds=S
 *     [keepalive=0]            1: connections are kept
 *     [distinct=1] [first=0]   request k is of machine first + k modulo distinct: {mac} in path=
 *     [expect=TEXT]            has to be in the body; {mac} too
 *     [verify=LOCALFILE] [sample=64] | [size=]   so many KiB of each MiB are compared; or its size
 *     [patience=60]            seconds of silence until a request has failed
 *     [agent=iPXE/1.21.1]
 *
 * After seconds= requests that are under way are left: their bytes count, they do not.
 */
#include <stdlib.h>
#include <string.h>

#include "httpget.h"
#include "loads.h"
#include "loop.h"

struct client {
    struct http_get get;
    double begun;
    uint32_t machine;
};

static struct {
    uint32_t connections, distinct, first;
    uint64_t requests;
    double seconds;
    const char *path, *expect;
    struct content content;
    struct http_get pattern; /* what all requests have in common */
} plan;

static struct {
    uint64_t begun, done, failed, wrong, bytes;
    struct times request;
} counted;

static struct client *clients;
static double start, last;
static uint32_t under_way;
static struct timer the_end;

static bool may_begin(void)
{
    if (plan.requests)
        return counted.begun < plan.requests;
    return now() < start + plan.seconds;
}

static void begin(struct client *client)
{
    uint8_t mac[MAC_SIZE];

    client->machine = plan.first + (uint32_t)(counted.begun % plan.distinct);
    counted.begun++;
    under_way++;
    machine_mac(client->machine, mac);
    expand(client->get.path, plan.path, mac);
    client->begun = now();
    http_start(&client->get);
}

static bool as_expected(const struct client *client)
{
    char expected[TEXT_ROOM];
    uint8_t mac[MAC_SIZE];

    if (!*plan.expect)
        return true;
    machine_mac(client->machine, mac);
    expand(expected, plan.expect, mac);
    if (strstr(client->get.text, expected))
        return true;
    problem("%s: no %s in it", client->get.path, expected);
    return false;
}

static void over(struct http_get *get, enum http_end end)
{
    struct client *client = container_of(get, struct client, get);
    bool wrong = end == HTTP_WRONG || (end == HTTP_DONE && !as_expected(client));

    last = now();
    under_way--;
    counted.wrong += wrong;
    counted.failed += wrong || end != HTTP_DONE;
    if (!wrong && end == HTTP_DONE) {
        counted.done++;
        times_add(&counted.request, get->finished - client->begun);
    }
    if (may_begin())
        begin(client);
    else if (!under_way)
        loop_stop();
}

static void read_plan(void)
{
    struct http_get *pattern = &plan.pattern;

    plan.connections = (uint32_t)number_of("connections", 1);
    plan.distinct = (uint32_t)number_of("distinct", 1);
    plan.first = (uint32_t)number_of("first", 0);
    plan.requests = (uint64_t)number_of("requests", 0);
    plan.seconds = number_of("seconds", 0);
    plan.path = text_of("path", "/");
    plan.expect = text_of("expect", "");
    plan.content = content_of("verify");
    pattern->server = address_of("server");
    pattern->port = (uint16_t)number_of("port", 80);
    pattern->agent = text_of("agent", "iPXE/1.21.1");
    pattern->keep = number_of("keepalive", 0) > 0;
    pattern->sample_kib = (unsigned)number_of("sample", 64);
    pattern->patience = number_of("patience", 60);
    pattern->want_text = *plan.expect;
    pattern->content = &plan.content;
    pattern->counter = &counted.bytes;
    pattern->done = over;
    if (!pattern->server || !plan.connections || !plan.distinct)
        die("expected server=, connections= and distinct=");
    if ((plan.requests > 0) == (plan.seconds > 0))
        die("expected one of requests= and seconds=");
}

static void stop(struct timer *timer)
{
    (void)timer;
    last = now();
    loop_stop();
}

static void report(void)
{
    double seconds = last - start;
    uint64_t connects = 0;

    for (uint32_t i = 0; i < plan.connections; i++)
        connects += clients[i].get.connects;
    json_begin();
    json_number("seconds", seconds);
    json_count("requests", counted.done);
    json_count("failed", counted.failed);
    json_count("wrong", counted.wrong);
    json_count("bytes", counted.bytes);
    json_number("per_second", (double)counted.done / seconds);
    json_number("gb_per_s", (double)counted.bytes / 1e9 / seconds);
    json_count("connects", connects);
    json_times("request", &counted.request);
    json_end();
}

void load_http(void)
{
    read_plan();
    clients = allocate(plan.connections, sizeof *clients);
    for (uint32_t i = 0; i < plan.connections; i++) {
        clients[i].get = plan.pattern;
        clients[i].get.own = machine_address(i);
    }
    machine_mac(0, (uint8_t[MAC_SIZE]){0});
    arguments_end();
    start = now();
    the_end.fire = stop;
    if (plan.seconds > 0)
        timer_set(&the_end, start + plan.seconds);
    for (uint32_t i = 0; i < plan.connections && may_begin(); i++)
        begin(&clients[i]);
    loop_run();
    report();
}
