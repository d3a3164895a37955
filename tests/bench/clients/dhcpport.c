#include "dhcpport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"

enum { BATCH = 64, SERVER_PORT = 67, CLIENT_PORT = 68, BOOT_PORT = 4011 };
enum { BUFFER = 64 << 20 }; /* 10,000 answers at once, with all that the kernel adds */

union control { /* aligned as a cmsghdr is */
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(struct in_pktinfo))];
};

struct queue {
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    struct sockaddr_in addresses[BATCH];
    union control controls[BATCH];
    uint8_t bytes[BATCH][DHCP_ROOM];
    unsigned count;
};

/* Requests to 67 and to 4011 leave by different sockets, so each has its queue. */
struct port {
    struct watcher watcher;
    struct queue out;
};

in_addr_t dhcp_server, dhcp_giaddr;
uint64_t dhcp_from_others;

static struct port main_port, boot_port;
static struct queue in;
static in_addr_t own_address; /* of clients without nodes= */
static void (*on_answer)(const struct answer *answer, bool from_4011);

static void set(int fd, int level, int option, int value, const char *name)
{
    if (setsockopt(fd, level, option, &value, sizeof value) < 0)
        die("%s: %s", name, strerror(errno));
}

static int bound_socket(in_addr_t address, uint16_t port)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        die("socket: %s", strerror(errno));
    here.sin_addr.s_addr = address;
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
    set(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER, "SO_RCVBUFFORCE");
    set(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER, "SO_SNDBUFFORCE");
    if (bind(fd, (struct sockaddr *)&here, sizeof here) < 0)
        die("port %u: %s", port, strerror(errno));
    return fd;
}

static in_addr_t address_on(int fd, const char *interface)
{
    struct ifreq request = {0};

    strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
    if (ioctl(fd, SIOCGIFADDR, &request) < 0)
        die("interface %s: %s", interface, strerror(errno));
    return ((struct sockaddr_in *)&request.ifr_addr)->sin_addr.s_addr;
}

static void open_broadcast(const char *interface)
{
    int fd = bound_socket(INADDR_ANY, CLIENT_PORT);

    set(fd, SOL_SOCKET, SO_BROADCAST, 1, "SO_BROADCAST");
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface)) < 0)
        die("interface %s: %s", interface, strerror(errno));
    own_address = address_on(fd, interface);
    main_port.watcher.fd = fd;
}

static void deliver(const struct mmsghdr *message, const uint8_t *bytes, bool from_4011)
{
    const struct sockaddr_in *from = message->msg_hdr.msg_name;
    struct answer answer;

    if (dhcp_server != INADDR_BROADCAST && from->sin_addr.s_addr != dhcp_server) {
        dhcp_from_others++;
        return;
    }
    const char *wrong = answer_read(&answer, bytes, message->msg_len);
    if (wrong)
        problem("a packet from port %u: %s", ntohs(from->sin_port), wrong);
    else
        on_answer(&answer, from_4011);
}

static void prepare(struct queue *queue, unsigned index, size_t size)
{
    queue->parts[index] = (struct iovec){queue->bytes[index], size};
    queue->messages[index].msg_hdr = (struct msghdr){
        .msg_name = &queue->addresses[index],
        .msg_namelen = sizeof queue->addresses[index],
        .msg_iov = &queue->parts[index],
        .msg_iovlen = 1,
    };
}

static void hear(struct watcher *watcher, uint32_t events)
{
    (void)events;
    for (unsigned i = 0; i < BATCH; i++)
        prepare(&in, i, DHCP_ROOM);
    int count = recvmmsg(watcher->fd, in.messages, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) {
        /* iPXE asks 4011 from port 68: the sender's port says which service has answered. */
        bool from_4011 = in.addresses[i].sin_port == htons(BOOT_PORT);

        deliver(&in.messages[i], in.bytes[i], from_4011);
    }
}

void dhcp_open(void (*answered)(const struct answer *answer, bool from_4011), bool asks_4011)
{
    dhcp_server = address_of("server");
    dhcp_giaddr = address_of("relay");
    const char *interface = text_of("interface", "eth0");

    if (!dhcp_server)
        die("server=: whose answers count?");
    on_answer = answered;
    if (dhcp_giaddr) {
        own_address = dhcp_giaddr;
        main_port.watcher.fd = bound_socket(dhcp_giaddr, SERVER_PORT);
    } else {
        open_broadcast(interface);
    }
    main_port.watcher.ready = boot_port.watcher.ready = hear;
    watch(&main_port.watcher, EPOLLIN);
    if (asks_4011) {
        boot_port.watcher.fd = bound_socket(INADDR_ANY, BOOT_PORT);
        watch(&boot_port.watcher, EPOLLIN);
    }
    loop_each_turn(dhcp_flush);
}

/* From this address of ours (ip(7), IP_PKTINFO). */
static void set_source(struct queue *queue, unsigned index, in_addr_t source)
{
    struct in_pktinfo info = {.ipi_spec_dst.s_addr = source};
    struct cmsghdr *header = &queue->controls[index].header;

    *header = (struct cmsghdr){CMSG_LEN(sizeof info), IPPROTO_IP, IP_PKTINFO};
    memcpy(CMSG_DATA(header), &info, sizeof info);
    queue->messages[index].msg_hdr.msg_control = header;
    queue->messages[index].msg_hdr.msg_controllen = sizeof queue->controls[index];
}

static void flush(struct port *port)
{
    unsigned sent = 0;

    while (sent < port->out.count) {
        struct mmsghdr *rest = port->out.messages + sent;
        struct pollfd full = {port->watcher.fd, POLLOUT, 0};
        int count = sendmmsg(port->watcher.fd, rest, port->out.count - sent, 0);

        if (count > 0) {
            sent += (unsigned)count;
        } else if (errno == EAGAIN) {
            poll(&full, 1, -1);
        } else if (errno != EINTR) {
            problem("sendmmsg: %s", strerror(errno)); /* this one is lost, as on a wire */
            sent++;
        }
    }
    port->out.count = 0;
}

void dhcp_flush(void)
{
    flush(&main_port);
    flush(&boot_port);
}

static void queue_request(struct port *port, const struct request *request, in_addr_t source,
                          struct sockaddr_in to)
{
    struct queue *queue = &port->out;

    if (queue->count == BATCH)
        flush(port);
    unsigned index = queue->count++;
    prepare(queue, index, request_write(queue->bytes[index], request));
    queue->addresses[index] = to;
    if (source)
        set_source(queue, index, source);
}

static void send_to_4011(struct request *request, in_addr_t boot_server)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(BOOT_PORT)};
    in_addr_t own = machine_address(request->machine);
    bool ipxe = request->firmware == IPXE_EFI || request->firmware == IPXE_BIOS;

    to.sin_addr.s_addr = boot_server;
    request->giaddr = 0; /* no relay between a client that has an address and its server */
    request->ciaddr = own ? own : own_address;
    /* iPXE asks from port 68, which a relay does not have. */
    struct port *port = ipxe && !dhcp_giaddr ? &main_port : &boot_port;
    queue_request(port, request, request->ciaddr, to);
}

void dhcp_send(struct request *request, in_addr_t boot_server)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(SERVER_PORT)};

    if (boot_server) {
        send_to_4011(request, boot_server);
        return;
    }
    request->giaddr = dhcp_giaddr;
    to.sin_addr.s_addr = dhcp_giaddr ? dhcp_server : INADDR_BROADCAST;
    queue_request(&main_port, request, 0, to);
}
