#include "tftpget.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RRQ = 1, DATA = 3, ACK = 4, ERROR = 5, OACK = 6 };
enum { HEADER = 4, DEFAULT_BLKSIZE = 512, LARGEST_BLOCK = 65464, ABORTED = 8 };
enum { BATCH = 64, BUFFER = 4 << 20 };
#define UNKNOWN UINT64_MAX

/* Of all transfers: a datagram is looked at before the next one is read into its place. */
static struct mmsghdr messages[BATCH];
static struct iovec parts[BATCH];
static struct sockaddr_in senders[BATCH];
static uint8_t bytes[BATCH][HEADER + LARGEST_BLOCK + 4];

struct tftp_manner tftp_manner_of(const char *habit)
{
    struct tftp_manner manner = {.habit = TFTP_PLAIN};

    if (strcmp(habit, "uefi") == 0)
        manner = (struct tftp_manner){.habit = TFTP_UEFI, .blksize = 1468, .windowsize = 4};
    else if (strcmp(habit, "bios") == 0)
        manner = (struct tftp_manner){.habit = TFTP_BIOS, .blksize = 1456};
    else if (strcmp(habit, "ipxe") == 0)
        manner = (struct tftp_manner){.blksize = 1432, .tsize = true};
    else if (strcmp(habit, "plain") != 0)
        die("as=%s: expected plain, uefi, bios or ipxe", habit);
    manner.blksize = (unsigned)number_of("blksize", manner.blksize);
    manner.windowsize = (unsigned)number_of("windowsize", manner.windowsize);
    manner.timeout_option = (unsigned)number_of("timeout_option", 0);
    manner.tsize = number_of("tsize", manner.tsize) > 0;
    manner.patience = number_of("timeout", 1);
    manner.tries = (unsigned)number_of("tries", 6);
    if (manner.blksize > LARGEST_BLOCK || manner.windowsize > 65535)
        die("blksize=%u windowsize=%u: beyond the RFCs", manner.blksize, manner.windowsize);
    return manner;
}

static void end(struct tftp_get *get, enum tftp_end how)
{
    timer_clear(&get->timer);
    if (get->open)
        close(get->watcher.fd);
    get->open = false;
    get->done(get, how);
}

static void say_aborted(const struct tftp_get *get)
{
    static const uint8_t aborted[] = "\0\5\0\10User aborted the transfer";

    send(get->watcher.fd, aborted, sizeof aborted, 0);
}

/* *what* went wrong; for the first one that does, in words. */
static void end_wrong(struct tftp_get *get, enum tftp_end how, const char *what)
{
    problem("%s: %s after %llu bytes", get->file, what, (unsigned long long)get->bytes);
    end(get, how);
}

static void transmit(struct tftp_get *get)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(get->port)};

    to.sin_addr.s_addr = get->server;
    if (get->connected)
        send(get->watcher.fd, get->last, get->last_size, 0);
    else
        sendto(get->watcher.fd, get->last, get->last_size, 0, (struct sockaddr *)&to, sizeof to);
    get->heard = now();
}

static void acknowledge(struct tftp_get *get)
{
    uint16_t block = (uint16_t)(get->next - 1);

    get->last[0] = 0;
    get->last[1] = ACK;
    get->last[2] = (uint8_t)(block >> 8);
    get->last[3] = (uint8_t)block;
    get->last_size = HEADER;
    get->in_window = 0;
    transmit(get);
}

/* The timer is set once a while, not for each packet: it looks at when something was heard. */
static void silence(struct timer *timer)
{
    struct tftp_get *get = container_of(timer, struct tftp_get, timer);
    double until = get->heard + get->manner->patience;

    if (until > now()) {
        timer_set(timer, until);
        return;
    }
    timer_set(timer, now() + get->manner->patience);
    if (++get->unanswered >= get->manner->tries) {
        end_wrong(get, TFTP_SILENCE, "no answer");
        return;
    }
    get->again++;
    if (get->last[1] == ACK)
        acknowledge(get); /* of all that has come since, too */
    else
        transmit(get);
}

static void add_text(struct tftp_get *get, const char *text)
{
    size_t size = strlen(text) + 1;

    if (get->last_size + size > sizeof get->last)
        die("%s: too long for a request", get->file);
    memcpy(get->last + get->last_size, text, size);
    get->last_size += size;
}

static void add_option(struct tftp_get *get, const char *name, unsigned value)
{
    char digits[16];

    snprintf(digits, sizeof digits, "%u", value);
    add_text(get, name);
    add_text(get, digits);
}

static void write_request(struct tftp_get *get)
{
    const struct tftp_manner *manner = get->manner;
    bool only_size = manner->habit == TFTP_BIOS && get->probing;

    get->last[0] = 0;
    get->last[1] = RRQ;
    get->last_size = 2;
    add_text(get, get->file);
    add_text(get, "octet");
    if (get->probing)
        add_option(get, "tsize", 0);
    if (manner->blksize && !only_size)
        add_option(get, "blksize", manner->blksize);
    if (manner->windowsize && !only_size)
        add_option(get, "windowsize", manner->windowsize);
    if (manner->tsize && !get->probing)
        add_option(get, "tsize", 0);
    if (manner->timeout_option && !only_size)
        add_option(get, "timeout", manner->timeout_option);
}

static void open_socket(struct tftp_get *get)
{
    struct sockaddr_in here = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), size = BUFFER;

    if (fd < 0)
        die("socket: %s", strerror(errno));
    /* A window of 64 blocks may come in one piece while other clients are being heard. */
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    here.sin_addr.s_addr = get->own;
    if (bind(fd, (struct sockaddr *)&here, sizeof here) < 0)
        die("bind: %s", strerror(errno));
    get->watcher.fd = fd;
    get->open = true;
    get->connected = false;
    watch(&get->watcher, EPOLLIN);
}

static void ask(struct tftp_get *get)
{
    open_socket(get);
    get->blksize = DEFAULT_BLKSIZE;
    get->windowsize = 1;
    get->announced = UNKNOWN;
    get->next = 1;
    get->unanswered = get->in_window = 0;
    get->ahead = 0;
    write_request(get);
    transmit(get);
    timer_set(&get->timer, get->heard + get->manner->patience);
}

/* The size is known: firmware says that it has no use for the rest, and asks from a new port. */
static void abort_and_ask_again(struct tftp_get *get)
{
    say_aborted(get);
    close(get->watcher.fd);
    get->probing = false;
    ask(get);
}

static const char *take_option(struct tftp_get *get, const char *name, const char *value)
{
    unsigned long long number = strtoull(value, NULL, 10);

    if (strcasecmp(name, "blksize") == 0) {
        if (!get->manner->blksize || number < 8 || number > get->manner->blksize)
            return "a blksize that was not asked for";
        get->blksize = (unsigned)number;
    } else if (strcasecmp(name, "windowsize") == 0) {
        if (!get->manner->windowsize || number < 1 || number > get->manner->windowsize)
            return "a windowsize that was not asked for";
        get->windowsize = (unsigned)number;
    } else if (strcasecmp(name, "tsize") == 0) {
        get->announced = number;
    } else if (strcasecmp(name, "timeout") != 0) {
        return "an option that was not asked for";
    }
    return NULL;
}

static const char *take_options(struct tftp_get *get, const char *at, const char *limit)
{
    while (at < limit) {
        const char *value = memchr(at, '\0', (size_t)(limit - at));

        if (!value || ++value >= limit || !memchr(value, '\0', (size_t)(limit - value)))
            return "an OACK without its end";
        const char *wrong = take_option(get, at, value);
        if (wrong)
            return wrong;
        at = value + strlen(value) + 1;
    }
    if (get->announced != UNKNOWN && get->content->size_known &&
        get->announced != get->content->size)
        return "the wrong tsize";
    return NULL;
}

/* False if *get* is over, or is another request by now. */
static bool option_ack(struct tftp_get *get, const uint8_t *packet, size_t size)
{
    if (get->next > 1 || get->in_window) {
        get->duplicates++;
        return true;
    }
    if (get->last[1] == RRQ) {
        const char *options = (const char *)packet + 2;
        const char *wrong = take_options(get, options, (const char *)packet + size);

        if (wrong) {
            end_wrong(get, TFTP_WRONG, wrong);
            return false;
        }
        if (get->probing) {
            abort_and_ask_again(get);
            return false;
        }
    } else {
        get->duplicates++;
    }
    acknowledge(get); /* block 0, once more if the server has not heard of it */
    return true;
}

static void last_block(struct tftp_get *get)
{
    const struct content *content = get->content;

    acknowledge(get);
    if (content->size_known && get->bytes != content->size)
        end_wrong(get, TFTP_WRONG, "a short file");
    else if (get->announced != UNKNOWN && get->bytes != get->announced)
        end_wrong(get, TFTP_WRONG, "not the size announced");
    else
        end(get, TFTP_DONE);
}

/* A block before the one waited for.  If the very last one comes again, our ACK was lost. */
static void came_again(struct tftp_get *get, bool last_good)
{
    get->duplicates++;
    if (last_good)
        acknowledge(get);
}

/* Blocks are missing: told once in each train of them, or a lossy line would fill with ACKs. */
static void came_early(struct tftp_get *get, int16_t ahead)
{
    bool next_train = !get->ahead || ahead <= get->ahead;

    get->ahead = ahead;
    if (!next_train)
        return;
    get->gaps++;
    if (get->last[1] == ACK)
        acknowledge(get);
}

static bool data(struct tftp_get *get, const uint8_t *packet, size_t size)
{
    int16_t off = (int16_t)((packet[2] << 8 | packet[3]) - (uint16_t)get->next);
    size_t length = size - HEADER;

    get->probing = false; /* a server without options: its file is taken as it comes */
    if (off > 0)
        came_early(get, off);
    else if (off < 0)
        came_again(get, off == -1 && get->next > 1);
    if (off)
        return true;
    if (length > get->blksize || !content_has(get->content, get->bytes, packet + HEADER, length)) {
        end_wrong(get, TFTP_WRONG, length > get->blksize ? "too large a block" : "wrong bytes");
        return false;
    }
    get->bytes += length;
    get->next++;
    get->unanswered = 0;
    get->ahead = 0;
    if (length < get->blksize) {
        last_block(get);
        return false;
    }
    if (++get->in_window >= get->windowsize)
        acknowledge(get);
    return true;
}

static bool refused(struct tftp_get *get, const uint8_t *packet, size_t size)
{
    char text[100];

    snprintf(text, sizeof text, "error %u \"%.*s\"", packet[3], (int)(size - HEADER),
             (const char *)packet + HEADER);
    end_wrong(get, TFTP_REFUSED, text);
    return false;
}

static bool received(struct tftp_get *get, const uint8_t *packet, size_t size)
{
    uint8_t opcode = size >= HEADER && packet[0] == 0 ? packet[1] : 0;

    if (opcode == DATA)
        return data(get, packet, size);
    if (opcode == OACK)
        return option_ack(get, packet, size);
    if (opcode == ERROR)
        return refused(get, packet, size);
    end_wrong(get, TFTP_WRONG, "no TFTP");
    return false;
}

/* The first answer says which port is the server's end (RFC 1350, section 4). */
static bool adopt(struct tftp_get *get, const struct sockaddr_in *sender)
{
    if (sender->sin_addr.s_addr != get->server)
        return false;
    if (connect(get->watcher.fd, (const struct sockaddr *)sender, sizeof *sender) < 0)
        die("connect: %s", strerror(errno));
    get->connected = true;
    return true;
}

static void prepare(unsigned count, size_t room)
{
    for (unsigned i = 0; i < count; i++) {
        parts[i] = (struct iovec){bytes[i], room};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &senders[i],
                                              .msg_namelen = sizeof senders[i],
                                              .msg_iov = &parts[i],
                                              .msg_iovlen = 1};
    }
}

static void ready(struct watcher *watcher, uint32_t events)
{
    struct tftp_get *get = container_of(watcher, struct tftp_get, watcher);
    unsigned batch = get->windowsize < BATCH ? get->windowsize : BATCH;

    (void)events;
    /* One byte more than a block may have, so that one that is too long is seen. */
    prepare(batch, HEADER + (get->blksize > DEFAULT_BLKSIZE ? get->blksize : DEFAULT_BLKSIZE) + 1);
    int count = recvmmsg(watcher->fd, messages, batch, MSG_DONTWAIT, NULL);
    get->heard = now();
    if (count < 0 && errno == ECONNREFUSED)
        end_wrong(get, TFTP_REFUSED, "the port is closed");
    for (int i = 0; i < count; i++) {
        if (!get->connected && !adopt(get, &senders[i]))
            continue;
        if (!received(get, bytes[i], messages[i].msg_len))
            return;
    }
}

void tftp_leave(struct tftp_get *get)
{
    timer_clear(&get->timer);
    if (get->connected)
        say_aborted(get);
    close(get->watcher.fd);
    get->open = false;
}

void tftp_start(struct tftp_get *get)
{
    get->watcher.ready = ready;
    get->timer.fire = silence;
    get->bytes = get->again = get->duplicates = get->gaps = 0;
    get->probing = get->manner->habit != TFTP_PLAIN;
    ask(get);
}
