/*
 * load dhcp: how many exchanges a second, or how long each takes at a rate or in a burst.
 *
 *     window=W seconds=S [patience=1]  closed loop: always W exchanges under way; asks again
 *     rate=R seconds=S                 open loop: so many begin each second; never asks twice
 *     burst=N                          all at once; never asks twice
 *
 * Exchanges that take longer than late_ms= are counted as late; the last ones are waited for
 * linger= seconds (2).
 *
 * An exchange is mode=offer (DISCOVER, OFFER), pair (and REQUEST to port 4011, ACK) or lease
 * (DISCOVER, OFFER, REQUEST, ACK with an address that nobody else may be given).  Exchange k is of
 * machine first + k modulo distinct.  The xid tells which exchange an answer belongs to; a REQUEST
 * to 4011 has one of its own, as EDK2 has it.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "dhcpport.h"
#include "loads.h"
#include "loop.h"

enum mode { MODE_OFFER, MODE_PAIR, MODE_LEASE };
enum stage { NOT_BEGUN, WAITS_FOR_OFFER, WAITS_FOR_ACK, OVER };

#define SECOND_XID 0x80000000u /* the bit that a REQUEST to 4011 adds */
#define SETTLE_S 0.05          /* for answers that should not come */

struct exchange {
    struct timer timer; /* when to ask again */
    double begun;
    uint32_t number;
    enum stage stage;
    unsigned asked[2], answered[2]; /* DISCOVER and REQUEST */
    struct request request;
    in_addr_t boot_server;
};

static struct {
    enum mode mode;
    enum firmware firmware;
    uint32_t distinct, first;
    double seconds, rate, patience, linger, late;
    uint32_t window, burst;
    const char *expect;
} plan;

static struct exchange *exchanges;
static uint32_t slots, begun_count, under_way;
static uint32_t first_xid; /* of exchange 0: a second run must not look like a client's retry */
static double start, last_answer;
static struct timer pace, the_end;
static in_addr_t *address_of_machine;

static struct {
    uint64_t asked, answers, in_time, late, again, repeated, refused, wrong;
    struct times offer, exchange;
} counted;

static void ask(struct exchange *exchange)
{
    exchange->asked[exchange->stage == WAITS_FOR_ACK]++;
    exchange->request.secs = (uint16_t)(now() - exchange->begun);
    counted.asked++;
    dhcp_send(&exchange->request, exchange->boot_server);
    if (plan.window)
        timer_set(&exchange->timer, now() + plan.patience);
}

static void ask_again(struct timer *timer)
{
    counted.again++;
    ask(container_of(timer, struct exchange, timer));
}

static bool may_begin(void)
{
    if (!plan.window)
        return begun_count < slots;
    return now() < start + plan.seconds;
}

/* In an open loop *due* is when it should have begun: being late counts as latency. */
static void begin_exchange(struct exchange *exchange, uint32_t number, double due)
{
    *exchange = (struct exchange){
        .timer.fire = ask_again,
        .begun = due,
        .number = number,
        .stage = WAITS_FOR_OFFER,
        .request = {.firmware = plan.firmware,
                    .type = DISCOVER,
                    .xid = (first_xid + number) & ~SECOND_XID,
                    .machine = plan.first + begun_count % plan.distinct,
                    .boot_item = -1},
    };
    begun_count++;
    under_way++;
    ask(exchange);
}

static void end_exchange(struct exchange *exchange)
{
    timer_clear(&exchange->timer);
    exchange->stage = OVER;
    under_way--;
    last_answer = now();
    if (plan.window && may_begin())
        begin_exchange(exchange, exchange->number + slots, now());
    else if (!under_way && !may_begin())
        timer_set(&the_end, now() + SETTLE_S);
}

static void finish(struct exchange *exchange)
{
    double time = now();

    counted.answers++;
    counted.in_time += time < start + plan.seconds;
    counted.late += time - exchange->begun > plan.late;
    times_add(&counted.exchange, time - exchange->begun);
    end_exchange(exchange);
}

static void refused(struct exchange *exchange)
{
    counted.refused++;
    end_exchange(exchange);
}

/* Each address is compared with all others at the end: here only what this machine had before. */
static const char *note_address(const struct answer *answer, uint32_t machine)
{
    in_addr_t *had = &address_of_machine[machine - plan.first];

    if (!answer->yiaddr)
        return "an ACK without an address";
    if (*had && *had != answer->yiaddr)
        return "a second address for the same machine";
    *had = answer->yiaddr;
    return NULL;
}

static const char *fault_of(const struct exchange *exchange, const struct answer *answer)
{
    uint32_t machine = exchange->request.machine;
    bool last = plan.mode == MODE_OFFER || answer->type == ACK;
    in_addr_t giaddr = answer->xid & SECOND_XID ? 0 : dhcp_giaddr;
    const char *wrong = answer_wrong(answer, machine, giaddr);
    char expected[TEXT_ROOM];
    uint8_t mac[MAC_SIZE];

    if (wrong)
        return wrong;
    if (plan.mode == MODE_LEASE)
        return answer->type == ACK ? note_address(answer, machine) : NULL;
    if (!answer->pxe)
        return "no option 60 of PXEClient";
    if (!last || !*plan.expect)
        return NULL;
    machine_mac(machine, mac);
    expand(expected, plan.expect, mac);
    return strstr(answer->file, expected) ? NULL : "a boot file that does not hold expect=";
}

static void offered(struct exchange *exchange, const struct answer *answer)
{
    struct request *request = &exchange->request;

    times_add(&counted.offer, now() - exchange->begun);
    if (plan.mode == MODE_OFFER) {
        finish(exchange);
        return;
    }
    exchange->stage = WAITS_FOR_ACK;
    request->type = REQUEST;
    if (plan.mode == MODE_PAIR) {
        exchange->boot_server = answer->server;
        request->xid |= SECOND_XID;
        request->boot_item = answer->boot_item;
    } else {
        request->server = answer->server;
        request->requested = answer->yiaddr;
    }
    ask(exchange);
}

static void answered(const struct answer *answer, bool from_4011)
{
    uint32_t number = (answer->xid - first_xid) & ~SECOND_XID;
    struct exchange *exchange = &exchanges[number % slots];
    bool second = answer->type != OFFER;

    if (plan.mode == MODE_LEASE && answer->type == OFFER && !answer->yiaddr)
        return; /* a proxy on the same address */
    if (exchange->stage == NOT_BEGUN || exchange->number != number) {
        /* Its slot is another's already, so it was answered before. */
        counted.repeated++;
        return;
    }
    const char *wrong = fault_of(exchange, answer);
    if (!wrong && from_4011 != (second && plan.mode == MODE_PAIR))
        wrong = "an answer from the wrong port";
    if (wrong) {
        counted.wrong++;
        problem("machine %u: %s (file \"%s\")", exchange->request.machine, wrong, answer->file);
    }
    if (++exchange->answered[second] > exchange->asked[second])
        counted.repeated++;
    if (answer->type == NAK && exchange->stage == WAITS_FOR_ACK)
        refused(exchange);
    else if (!second && exchange->stage == WAITS_FOR_OFFER)
        offered(exchange, answer);
    else if (second && exchange->stage == WAITS_FOR_ACK)
        finish(exchange);
}

static void begin(void)
{
    double time = now();

    if (plan.window) {
        while (begun_count < slots)
            begin_exchange(&exchanges[begun_count], begun_count, time);
        return;
    }
    while (may_begin()) {
        double due = plan.rate ? start + begun_count / plan.rate : time;

        if (due > time) {
            timer_set(&pace, due);
            return;
        }
        begin_exchange(&exchanges[begun_count], begun_count, due);
    }
    timer_set(&the_end, now() + plan.linger);
}

static void begin_more(struct timer *timer)
{
    (void)timer;
    begin();
}

static void stop(struct timer *timer)
{
    (void)timer;
    loop_stop();
}

static enum mode mode_named(const char *name)
{
    static const char *const names[] = {"offer", "pair", "lease"};

    for (int i = 0; i < 3; i++) {
        if (strcmp(name, names[i]) == 0)
            return (enum mode)i;
    }
    die("mode=%s: expected offer, pair or lease", name);
}

static void read_plan(void)
{
    plan.mode = mode_named(text_of("mode", "offer"));
    plan.firmware = firmware_named(text_of("firmware", "uefi"));
    plan.distinct = (uint32_t)number_of("distinct", 1);
    plan.first = (uint32_t)number_of("first", 0);
    plan.seconds = number_of("seconds", 5);
    plan.rate = number_of("rate", 0);
    plan.window = (uint32_t)number_of("window", 0);
    plan.burst = (uint32_t)number_of("burst", 0);
    plan.patience = number_of("patience", 1);
    plan.linger = number_of("linger", 2);
    plan.late = number_of("late_ms", 1e9) / 1e3;
    plan.expect = text_of("expect", "");
    if (!plan.distinct)
        die("distinct=0: of which machine?");
    if ((plan.rate > 0) + (plan.window > 0) + (plan.burst > 0) != 1)
        die("expected one of window=, rate= and burst=");
    slots = plan.window ? plan.window : plan.burst;
    if (plan.rate > 0)
        slots = (uint32_t)(plan.rate * plan.seconds);
}

static int by_value(const void *one, const void *other)
{
    uint32_t a = *(const in_addr_t *)one, b = *(const in_addr_t *)other;

    return (a > b) - (a < b);
}

/* How many different addresses were given; one that two machines have is wrong. */
static uint64_t distinct_addresses(void)
{
    uint64_t found = 0;

    qsort(address_of_machine, plan.distinct, sizeof *address_of_machine, by_value);
    for (uint32_t i = 0; i < plan.distinct; i++) {
        if (!address_of_machine[i])
            continue;
        if (i && address_of_machine[i] == address_of_machine[i - 1]) {
            counted.wrong++;
            problem("an address for two machines");
        } else {
            found++;
        }
    }
    return found;
}

static void report(void)
{
    double seconds = plan.burst ? last_answer - start : plan.seconds;

    json_begin();
    json_number("seconds", last_answer > start ? last_answer - start : 0);
    json_count("asked", counted.asked);
    json_count("begun", begun_count);
    json_count("answers", counted.answers);
    json_number("per_second", seconds > 0 ? (double)counted.in_time / seconds : 0);
    json_count("late", counted.late);
    json_count("again", counted.again);
    json_count("lost", under_way);
    json_count("repeated", counted.repeated);
    json_count("refused", counted.refused);
    json_count("from_others", dhcp_from_others);
    json_count("addresses", distinct_addresses());
    json_count("wrong", counted.wrong);
    json_times("offer", &counted.offer);
    json_times("exchange", &counted.exchange);
    json_end();
}

void load_dhcp(void)
{
    read_plan();
    dhcp_open(answered, plan.mode == MODE_PAIR);
    machine_mac(0, (uint8_t[MAC_SIZE]){0});
    machine_address(0);
    arguments_end();
    exchanges = allocate(slots, sizeof *exchanges);
    address_of_machine = allocate(plan.distinct, sizeof *address_of_machine);
    pace.fire = begin_more;
    the_end.fire = stop;
    start = now();
    first_xid = (uint32_t)(start * 1e6);
    if (plan.burst)
        plan.seconds = plan.linger;
    timer_set(&the_end, start + plan.seconds + plan.linger);
    begin();
    loop_run();
    report();
}
