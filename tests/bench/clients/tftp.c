/*
 * load tftp: many transfers of one file at once.
 *
 *     server= [port=69] file= [clients=1] transfers=N | seconds=S
 *     [as=plain|uefi|bios|ipxe] [blksize=] [windowsize=] [tsize=0|1] [timeout_option=]
 *     [timeout=1] [tries=6]      the client's own timer, in seconds
 *     [verify=LOCALFILE | size=] every byte, or how many
 *
 * Each client begins its next transfer when one is over.  After seconds= those that are under way
 * are left: their bytes count, they do not.
 */
#include <stdlib.h>

#include "loads.h"
#include "loop.h"
#include "tftpget.h"

struct client {
    struct tftp_get get;
    double begun;
};

static struct {
    uint32_t clients;
    uint64_t transfers;
    double seconds;
    const char *file;
    struct tftp_manner manner;
    struct content content;
    in_addr_t server;
    uint16_t port;
} plan;

static struct {
    uint64_t begun, done, failed, wrong, bytes, again, duplicates, gaps;
    struct times transfer;
} counted;

static struct client *clients;
static double start, last;
static struct timer the_end;
static uint32_t under_way;

static void begin(struct client *client);

static bool may_begin(void)
{
    if (plan.transfers)
        return counted.begun < plan.transfers;
    return now() < start + plan.seconds;
}

static void add_up(const struct tftp_get *get)
{
    counted.again += get->again;
    counted.duplicates += get->duplicates;
    counted.gaps += get->gaps;
    counted.bytes += get->bytes;
}

static void count(struct client *client, enum tftp_end end)
{
    add_up(&client->get);
    counted.failed += end != TFTP_DONE;
    counted.wrong += end == TFTP_WRONG;
    if (end != TFTP_DONE)
        return;
    counted.done++;
    times_add(&counted.transfer, last - client->begun);
}

static void over(struct tftp_get *get, enum tftp_end end)
{
    struct client *client = container_of(get, struct client, get);

    last = now();
    under_way--;
    count(client, end);
    if (may_begin())
        begin(client);
    else if (!under_way)
        loop_stop();
}

static void begin(struct client *client)
{
    counted.begun++;
    under_way++;
    client->begun = now();
    tftp_start(&client->get);
}

static void stop(struct timer *timer)
{
    (void)timer;
    last = now();
    for (uint32_t i = 0; i < plan.clients; i++) {
        if (clients[i].get.open) {
            add_up(&clients[i].get);
            tftp_leave(&clients[i].get);
        }
    }
    loop_stop();
}

static void read_plan(void)
{
    plan.server = address_of("server");
    plan.port = (uint16_t)number_of("port", 69);
    plan.file = text_of("file", "");
    plan.clients = (uint32_t)number_of("clients", 1);
    plan.transfers = (uint64_t)number_of("transfers", 0);
    plan.seconds = number_of("seconds", 0);
    plan.manner = tftp_manner_of(text_of("as", "plain"));
    plan.content = content_of("verify");
    if (!plan.server || !*plan.file || !plan.clients)
        die("expected server=, file= and clients=");
    if ((plan.transfers > 0) == (plan.seconds > 0))
        die("expected one of transfers= and seconds=");
}

static void prepare(struct client *client, uint32_t number)
{
    uint8_t mac[MAC_SIZE];

    machine_mac(number, mac);
    client->get = (struct tftp_get){.manner = &plan.manner,
                                    .content = &plan.content,
                                    .server = plan.server,
                                    .own = machine_address(number),
                                    .port = plan.port,
                                    .done = over};
    expand(client->get.file, plan.file, mac);
}

static void report(void)
{
    double seconds = last - start;

    json_begin();
    json_number("seconds", seconds);
    json_count("transfers", counted.done);
    json_count("failed", counted.failed);
    json_count("wrong", counted.wrong);
    json_count("bytes", counted.bytes);
    json_number("mb_per_s", (double)counted.bytes / 1e6 / seconds);
    json_count("again", counted.again);
    json_count("duplicates", counted.duplicates);
    json_count("gaps", counted.gaps);
    json_times("transfer", &counted.transfer);
    json_end();
}

void load_tftp(void)
{
    read_plan();
    clients = allocate(plan.clients, sizeof *clients);

    for (uint32_t i = 0; i < plan.clients; i++)
        prepare(&clients[i], i);
    arguments_end();
    start = now();
    the_end.fire = stop;
    if (plan.seconds > 0)
        timer_set(&the_end, start + plan.seconds);
    for (uint32_t i = 0; i < plan.clients && may_begin(); i++)
        begin(&clients[i]);
    loop_run();
    report();
}
