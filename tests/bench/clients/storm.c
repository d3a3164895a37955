/*
 * load storm: nodes that are switched on together, each until it has its last byte.
 *
 *     server= count=N [spread=1]       switched on evenly over so many seconds
 *     [firmware=uefi|bios|mixed] [interface=eth0 | relay=] [nodes=] [mac=]
 *     [as=] [timeout=1] [tries=6] [blksize=] [windowsize=]   of TFTP; as= follows firmware=
 *     [ipxe=1]        asks again as iPXE, for the address of its script
 *     [script=URL]    {mac} too: this script, whatever DHCP says
 *     [loader=] [kernel=] [initrd=] local files to compare with, [sample=64] KiB of each MiB
 *     [patience=60]   seconds of silence on a connection; [deadline=170] for all
 *     [boots=1]       a boot that fails is begun anew, as by a watchdog, so many in all for a node
 *
 *     OFF -> ASKS -> [ASKS_4011] -> LOADS -> [IPXE_ASKS -> [IPXE_ASKS_4011]] -> GETS_SCRIPT
 *         -> GETS_KERNEL -> GETS_INITRD -> UP             from everywhere: LOST
 *
 * Questions are asked again as firmware does: DISCOVER after 4, 8, 16, 32 s, iPXE's after 1, 2, 4,
 * 8 s, requests to 4011 after 1, 2, 3, 4 s.  A firmware collects offers for 4 s before it takes
 * one, which is left out: it would be the same for every server.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "dhcpport.h"
#include "httpget.h"
#include "loads.h"
#include "loop.h"
#include "script.h"
#include "tftpget.h"

enum stage {
    OFF,
    ASKS,
    ASKS_4011,
    LOADS,
    IPXE_ASKS,
    IPXE_ASKS_4011,
    GETS_SCRIPT,
    GETS_KERNEL,
    GETS_INITRD,
    UP,
    LOST
};

/* An xid is a node's number, which of its four questions this is, and something of the clock. */
enum { NUMBER_BITS = 20, QUESTION_BITS = 2, QUESTIONS = 1 << QUESTION_BITS, TRIES = 4 };
static const enum stage question_stage[QUESTIONS] = {ASKS, ASKS_4011, IPXE_ASKS, IPXE_ASKS_4011};
#define PAUSE_S 1.0 /* before a boot is begun anew */
/* Seconds until each is asked again; after the last one the boot has failed. */
static const double delays[QUESTIONS][TRIES] = {
    {4, 8, 16, 32}, {1, 2, 3, 4}, {1, 2, 4, 8}, {1, 2, 3, 4}};

struct node {
    enum stage stage;
    enum firmware firmware;
    uint32_t number;
    unsigned question, tries, boots;
    double on, begun; /* switched on; this phase */
    struct timer timer;
    struct request request;
    in_addr_t boot_server;
    struct tftp_get tftp;
    struct http_get http;
    struct script script;
    unsigned file; /* of the script */
};

static struct {
    uint32_t count;
    unsigned boots;
    double spread, deadline;
    bool ipxe;
    const char *script;
    struct content loader, kernel, initrd, unknown;
    struct tftp_manner manner[2]; /* UEFI, BIOS */
    struct http_get http;         /* what all have in common */
} plan;

static struct {
    uint64_t up, lost, wrong, discovers, again, repeated, bytes, tftp_again, connects, waits;
    uint64_t anew, after_anew;
    struct times dhcp, tftp, ipxe, script, kernel, initrd, node;
} counted;

static struct node *nodes;
static double start, last;
static uint32_t salt;
static struct timer the_end;

static void ask(struct node *node, unsigned question, in_addr_t boot_server);
static void load(struct node *node, const char *file, in_addr_t server);
static void get_script(struct node *node, const char *url);

static void maybe_stop(void)
{
    last = now();
    if (counted.up + counted.lost == plan.count)
        loop_stop();
}

static void lose(struct node *node, const char *why)
{
    problem("node %u: %s", node->number, why);
    timer_clear(&node->timer);
    http_close(&node->http);
    if (node->boots < plan.boots) {
        counted.anew++;
        node->stage = OFF;
        timer_set(&node->timer, now() + PAUSE_S);
        return;
    }
    node->stage = LOST;
    counted.lost++;
    maybe_stop();
}

/* This phase is over; the next one begins now. */
static void passed(struct node *node, struct times *times)
{
    double time = now();

    times_add(times, time - node->begun);
    node->begun = time;
}

/* --- DHCP --- */

static void send_question(struct node *node)
{
    counted.discovers += node->request.type == DISCOVER;
    counted.again += node->tries > 0;
    node->request.secs = (uint16_t)(now() - node->begun);
    dhcp_send(&node->request, node->boot_server);
    timer_set(&node->timer, now() + delays[node->question][node->tries]);
}

static void unanswered(struct timer *timer)
{
    struct node *node = container_of(timer, struct node, timer);

    if (node->stage == OFF) {
        node->boots++;
        ask(node, 0, 0);
    } else if (node->stage == GETS_SCRIPT) { /* a pause that its script has asked for */
        http_start(&node->http);
    } else if (++node->tries == TRIES) {
        lose(node, "no answer by DHCP");
    } else {
        send_question(node);
    }
}

static void ask(struct node *node, unsigned question, in_addr_t boot_server)
{
    bool ipxe = question >= 2;
    enum firmware loaded = node->firmware == UEFI ? IPXE_EFI : IPXE_BIOS;
    int item = node->request.boot_item;

    if (question == 0)
        node->on = node->begun = now();
    node->stage = question_stage[question];
    node->question = question;
    node->tries = 0;
    node->boot_server = boot_server;
    node->request = (struct request){
        .firmware = ipxe ? loaded : node->firmware,
        .type = boot_server ? REQUEST : DISCOVER,
        .xid = salt | question << NUMBER_BITS | node->number,
        .machine = node->number,
        .boot_item = boot_server ? item : -1,
    };
    send_question(node);
}

/* What firmware makes of an answer that is complete. */
static void informed(struct node *node, const struct answer *answer)
{
    timer_clear(&node->timer);
    if (node->question < 2) {
        passed(node, &counted.dhcp);
        load(node, answer->file, answer->siaddr ? answer->siaddr : answer->server);
    } else {
        passed(node, &counted.ipxe);
        get_script(node, answer->file);
    }
}

static void answered(const struct answer *answer, bool from_4011)
{
    uint32_t number = answer->xid & ((1u << NUMBER_BITS) - 1);
    unsigned question = answer->xid >> NUMBER_BITS & (QUESTIONS - 1);
    struct node *node = &nodes[number];

    if (number >= plan.count || answer->xid >> (NUMBER_BITS + QUESTION_BITS) !=
                                    salt >> (NUMBER_BITS + QUESTION_BITS))
        return;
    const char *wrong = answer_wrong(answer, number, question & 1 ? 0 : dhcp_giaddr);
    if (!wrong && (!answer->pxe || from_4011 != (question & 1)))
        wrong = "no answer to PXE, or from the wrong port";
    if (wrong) {
        counted.wrong++;
        problem("node %u: %s", number, wrong);
        return;
    }
    if (node->stage != question_stage[question]) {
        counted.repeated++;
        return;
    }
    node->request.boot_item = answer->boot_item;
    bool knows_its_script = question == 2 && *plan.script;
    if (answer->type == OFFER && !knows_its_script && asks_4011(node->request.firmware, answer))
        ask(node, question + 1, answer->server);
    else
        informed(node, answer);
}

/* --- TFTP --- */

static void loaded(struct tftp_get *get, enum tftp_end end)
{
    struct node *node = container_of(get, struct node, tftp);

    counted.tftp_again += get->again;
    counted.bytes += get->bytes;
    counted.wrong += end == TFTP_WRONG;
    if (end != TFTP_DONE) {
        lose(node, "its loader did not come");
        return;
    }
    passed(node, &counted.tftp);
    if (plan.ipxe)
        ask(node, 2, 0);
    else
        get_script(node, "");
}

static void load(struct node *node, const char *file, in_addr_t server)
{
    node->stage = LOADS;
    node->tftp.server = server;
    snprintf(node->tftp.file, sizeof node->tftp.file, "%s", file);
    if (!*file)
        lose(node, "no boot file in the answer");
    else
        tftp_start(&node->tftp);
}

/* --- HTTP --- */

/* iPXE keeps one connection to a server, and opens another one for another server. */
static void aim(struct node *node, const struct url *url)
{
    struct http_get *http = &node->http;

    if (http->server != url->host || http->port != url->port)
        http_close(http);
    http->server = url->host;
    http->port = url->port;
    snprintf(http->path, sizeof http->path, "%s", url->path);
}

static void fetch(struct node *node, const struct url *url)
{
    aim(node, url);
    http_start(&node->http);
}

static void get_script(struct node *node, const char *offered)
{
    char address[TEXT_ROOM];
    uint8_t mac[MAC_SIZE];
    struct url url;

    machine_mac(node->number, mac);
    expand(address, *plan.script ? plan.script : offered, mac);
    const char *wrong = url_read(&url, address);
    if (wrong) {
        problem("\"%s\": %s", address, wrong);
        lose(node, "no address of a script");
        return;
    }
    node->stage = GETS_SCRIPT;
    node->http.want_text = true;
    node->http.content = &plan.unknown;
    fetch(node, &url);
}

static void get_file(struct node *node)
{
    bool kernel = node->file == 0;

    node->stage = kernel ? GETS_KERNEL : GETS_INITRD;
    node->http.want_text = false;
    node->http.content = kernel ? &plan.kernel : &plan.initrd;
    /* With more than one initrd no single file is the one to compare with. */
    if (!kernel && node->script.count > 2)
        node->http.content = &plan.unknown;
    fetch(node, &node->script.files[node->file]);
}

/* A governor may let it wait: the script is then one that asks again. */
static void got_script(struct node *node)
{
    const char *wrong = script_read(&node->script, node->http.text);

    if (wrong) {
        counted.wrong++;
        lose(node, wrong);
        return;
    }
    node->file = 0;
    if (node->script.count) {
        passed(node, &counted.script);
        get_file(node);
        return;
    }
    counted.waits++;
    aim(node, &node->script.next);
    timer_set(&node->timer, now() + node->script.pause);
}

static void got_initrd(struct node *node)
{
    passed(node, &counted.initrd);
    times_add(&counted.node, now() - node->on);
    http_close(&node->http);
    node->stage = UP;
    counted.up++;
    counted.after_anew += node->boots > 1;
    maybe_stop();
}

static void got(struct http_get *get, enum http_end end)
{
    struct node *node = container_of(get, struct node, http);

    counted.wrong += end == HTTP_WRONG;
    if (end != HTTP_DONE) {
        lose(node, "its script, kernel or initrd did not come");
        return;
    }
    if (node->stage == GETS_SCRIPT) {
        got_script(node);
        return;
    }
    if (node->stage == GETS_KERNEL)
        passed(node, &counted.kernel);
    if (++node->file < node->script.count)
        get_file(node);
    else
        got_initrd(node);
}

/* --- the whole --- */

static enum firmware firmware_of(uint32_t number)
{
    const char *name = text_of("firmware", "uefi");

    if (strcmp(name, "mixed") == 0)
        return number % 2 ? BIOS : UEFI;
    return firmware_named(name);
}

static void read_plan(void)
{
    struct http_get *http = &plan.http;

    plan.count = (uint32_t)number_of("count", 1);
    plan.boots = (unsigned)number_of("boots", 1);
    plan.spread = number_of("spread", 1);
    plan.deadline = number_of("deadline", 170);
    plan.ipxe = number_of("ipxe", 1) > 0;
    plan.script = text_of("script", "");
    plan.loader = content_of("loader");
    plan.kernel = content_of("kernel");
    plan.initrd = content_of("initrd");
    plan.manner[UEFI] = tftp_manner_of(text_of("as", "uefi"));
    plan.manner[BIOS] = tftp_manner_of(text_of("as", "bios"));
    http->agent = text_of("agent", "iPXE/1.21.1");
    http->keep = true;
    http->sample_kib = (unsigned)number_of("sample", 64);
    http->patience = number_of("patience", 60);
    http->counter = &counted.bytes;
    http->done = got;
    if (!plan.count || plan.count >> NUMBER_BITS)
        die("count=%u: expected some nodes, and less than a million", plan.count);
}

static void switch_on(struct node *node, uint32_t number)
{
    node->number = number;
    node->firmware = firmware_of(number);
    if (node->firmware != UEFI && node->firmware != BIOS)
        die("firmware=: expected uefi, bios or mixed");
    node->tftp = (struct tftp_get){.manner = &plan.manner[node->firmware],
                                   .content = &plan.loader,
                                   .own = machine_address(number),
                                   .port = 69,
                                   .done = loaded};
    node->http = plan.http;
    node->http.own = machine_address(number);
    node->timer.fire = unanswered;
    timer_set(&node->timer, start + plan.spread * number / plan.count);
}

static void too_late(struct timer *timer)
{
    (void)timer;
    problem("not all nodes were up by the deadline");
    last = now();
    loop_stop();
}

static void report(void)
{
    for (uint32_t i = 0; i < plan.count; i++)
        counted.connects += nodes[i].http.connects;
    json_begin();
    json_number("seconds", last - start);
    json_number("wall", last - start);
    json_count("nodes", plan.count);
    json_count("finished", counted.up);
    json_count("failed", plan.count - counted.up);
    json_count("anew", counted.anew);
    json_count("after_anew", counted.after_anew);
    json_count("wrong", counted.wrong);
    json_count("discovers", counted.discovers);
    json_count("again", counted.again);
    json_count("repeated", counted.repeated);
    json_count("tftp_again", counted.tftp_again);
    json_count("waits", counted.waits);
    json_count("connects", counted.connects);
    json_count("bytes", counted.bytes);
    json_times("dhcp", &counted.dhcp);
    json_times("tftp", &counted.tftp);
    json_times("ipxe", &counted.ipxe);
    json_times("script", &counted.script);
    json_times("kernel", &counted.kernel);
    json_times("initrd", &counted.initrd);
    json_times("node", &counted.node);
    json_end();
}

void load_storm(void)
{
    read_plan();
    dhcp_open(answered, true);
    nodes = allocate(plan.count, sizeof *nodes);
    start = now();
    salt = (uint32_t)(start * 1e3) << (NUMBER_BITS + QUESTION_BITS);
    for (uint32_t i = 0; i < plan.count; i++)
        switch_on(&nodes[i], i);
    machine_mac(0, (uint8_t[MAC_SIZE]){0});
    arguments_end();
    the_end.fire = too_late;
    timer_set(&the_end, start + plan.deadline);
    loop_run();
    report();
}
