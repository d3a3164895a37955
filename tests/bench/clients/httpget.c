#include "httpget.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define MIB (1u << 20)
#define TURN (1u << 20) /* bytes that one connection may have before the next one's turn */
#define TO_THE_END UINT64_MAX
#define CLOSING_S 1 /* what a server may take to close what it said it would */

static uint8_t buffer[256 << 10]; /* fits a second-level cache */

void http_close(struct http_get *get)
{
    timer_clear(&get->timer);
    if (get->open)
        close(get->watcher.fd);
    get->open = false;
    get->state = IDLE;
}

static void end(struct http_get *get, enum http_end how, const char *what)
{
    timer_clear(&get->timer);
    if (how != HTTP_DONE) {
        problem("%s: %s after %llu bytes", get->path, what, (unsigned long long)get->bytes);
        http_close(get);
    }
    get->state = IDLE;
    get->done(get, how);
}

static void end_closed(struct http_get *get)
{
    http_close(get);
    end(get, HTTP_DONE, "");
}

/* The timer is set once a while, not for each packet: it looks at when something was heard. */
static void silence(struct timer *timer)
{
    struct http_get *get = container_of(timer, struct http_get, timer);
    double until = get->heard + get->patience;

    if (get->state == CLOSES)
        end_closed(get);
    else if (until > now())
        timer_set(timer, until);
    else
        end(get, HTTP_FAILED, get->state == CONNECTING ? "no connection" : "silence");
}

static void closed(struct http_get *get);

static void send_request(struct http_get *get)
{
    char text[TEXT_ROOM + 256], address[INET_ADDRSTRLEN];
    struct in_addr server = {get->server};
    bool fresh = get->state == CONNECTING;

    inet_ntop(AF_INET, &server, address, sizeof address);
    int size = snprintf(text, sizeof text,
                        "GET %s HTTP/1.1\r\nUser-Agent: %s\r\n"
                        "Connection: %s\r\nHost: %s:%u\r\n\r\n",
                        get->path, get->agent, get->keep ? "keep-alive" : "close", address,
                        get->port);
    get->head_size = get->text_size = 0;
    get->state = READS_HEAD;
    /* A request is smaller than any socket's buffer: it goes out whole, or there is no peer. */
    if (send(get->watcher.fd, text, (size_t)size, 0) == size) {
        if (fresh)
            watch_for(&get->watcher, EPOLLIN | EPOLLRDHUP);
    } else if (fresh) {
        end(get, HTTP_FAILED, strerror(errno)); /* what has become of connect() */
    } else {
        closed(get);
    }
}

static void open_connection(struct http_get *get)
{
    struct sockaddr_in here = {.sin_family = AF_INET}, there = here;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;

    if (fd < 0)
        die("socket: %s", strerror(errno));
    here.sin_addr.s_addr = get->own;
    there.sin_addr.s_addr = get->server;
    there.sin_port = htons(get->port);
    if (get->own) {
        /* The port is chosen when the server is known: each server then has all ports. */
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
        if (bind(fd, (struct sockaddr *)&here, sizeof here) < 0)
            die("bind: %s", strerror(errno));
    }
    get->watcher.fd = fd;
    get->open = true;
    get->state = CONNECTING;
    get->connects++;
    watch(&get->watcher, EPOLLOUT);
    if (connect(fd, (struct sockaddr *)&there, sizeof there) < 0 && errno != EINPROGRESS) {
        /* Told in the next turn: whoever asks again at once would never get out of here. */
        problem("connect: %s", strerror(errno));
        get->heard = -get->patience;
        timer_set(&get->timer, now());
    }
}

/* The value of a header, or NULL; *head* ends with an empty line and a NUL. */
static const char *header(const char *head, const char *name)
{
    size_t size = strlen(name);

    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, size) == 0 && line[size] == ':')
            return line + size + 1 + strspn(line + size + 1, " \t");
    }
    return NULL;
}

/* Must this length of body be wrong? */
static bool wrong_length(const struct http_get *get)
{
    return get->length != TO_THE_END && get->content->size_known &&
           get->length != get->content->size;
}

static const char *read_head(struct http_get *get)
{
    const char *length = header(get->head, "Content-Length");
    const char *connection = header(get->head, "Connection");

    if (sscanf(get->head, "HTTP/1.%*1[01] %u", &get->status) != 1)
        return "no HTTP";
    get->length = length ? strtoull(length, NULL, 10) : TO_THE_END;
    get->closes = !length || (connection && strncasecmp(connection, "close", 5) == 0);
    if (header(get->head, "Transfer-Encoding"))
        return "a body in chunks";
    return NULL;
}

/* *count* bytes of the body, which are the next ones. */
static bool body(struct http_get *get, const void *bytes, size_t count)
{
    size_t kept = HTTP_ROOM - get->text_size;

    if (get->want_text) {
        kept = kept < count ? kept : count;
        memcpy(get->text + get->text_size, bytes, kept);
        get->text_size += kept;
    }
    if (!content_has(get->content, get->bytes, bytes, count)) {
        end(get, HTTP_WRONG, "wrong bytes");
        return false;
    }
    get->bytes += count;
    if (get->counter)
        *get->counter += count;
    return true;
}

/* *drained*: the last call took all there was, so that after a FIN nothing can come. */
static void finish(struct http_get *get, bool drained)
{
    get->text[get->text_size] = '\0';
    get->finished = now();
    if (get->content->size_known && get->bytes != get->content->size) {
        end(get, HTTP_WRONG, "another size");
    } else if (get->keep && !get->closes) {
        end(get, HTTP_DONE, "");
    } else if (get->length == TO_THE_END || (get->hung_up && drained)) {
        end_closed(get);
    } else {
        get->state = CLOSES;
        timer_set(&get->timer, get->finished + CLOSING_S);
    }
}

/* What came with the head is body; more than that belongs to nothing that was asked. */
static void begin_body(struct http_get *get, char *bytes, size_t count, bool drained)
{
    get->state = READS_BODY;
    if (get->status != 200)
        end(get, HTTP_FAILED, "a status that is not 200");
    else if (wrong_length(get))
        end(get, HTTP_WRONG, "another Content-Length");
    else if (count > get->length)
        end(get, HTTP_WRONG, "bytes behind the body");
    else if (body(get, bytes, count) && get->bytes == get->length)
        finish(get, drained);
}

static void closed(struct http_get *get)
{
    if (get->state == READS_BODY && get->length == TO_THE_END)
        finish(get, true);
    else if (get->state == READS_HEAD && get->reused && !get->head_size) {
        /* A kept connection may be closed at any time: the client has to ask on a new one. */
        http_close(get);
        http_start(get);
    } else
        end(get, HTTP_FAILED, "the connection was closed");
}

static void hear_head(struct http_get *get)
{
    size_t room = sizeof get->head - 1 - get->head_size;
    ssize_t count = recv(get->watcher.fd, get->head + get->head_size, room, 0);
    char *past;

    if (count <= 0) {
        if (count == 0 || errno != EAGAIN)
            closed(get);
        return;
    }
    get->head_size += (size_t)count;
    get->head[get->head_size] = '\0';
    past = strstr(get->head, "\r\n\r\n");
    if (!past && (size_t)count == room)
        end(get, HTTP_FAILED, "a head without an end");
    if (!past)
        return;
    past += 4;
    size_t rest = (size_t)(get->head + get->head_size - past);
    past[-2] = '\0'; /* header() looks no further */
    const char *wrong = read_head(get);
    if (wrong)
        end(get, HTTP_FAILED, wrong);
    else
        begin_body(get, past, rest, (size_t)count < room);
}

/* How many of the next bytes are treated alike, and whether they are compared. */
static size_t stretch(const struct http_get *get, bool *compare)
{
    uint64_t left = get->length == TO_THE_END ? TURN : get->length - get->bytes;
    uint64_t into = get->bytes % MIB, sample = (uint64_t)get->sample_kib << 10;

    *compare = get->want_text || (get->content->bytes && into < sample);
    uint64_t until = *compare && !get->want_text ? sample - into : MIB - into;
    if (!get->content->bytes)
        until = TURN;
    if (*compare && until > sizeof buffer)
        until = sizeof buffer;
    return (size_t)(left < until ? left : until);
}

/* Thrown away: counted, not copied.  Its size must not be beyond what is right, all the same. */
static bool skip(struct http_get *get, size_t count)
{
    get->bytes += count;
    if (get->counter)
        *get->counter += count;
    if (!get->content->size_known || get->bytes <= get->content->size)
        return true;
    end(get, HTTP_WRONG, "too many bytes");
    return false;
}

static void hear_body(struct http_get *get)
{
    for (size_t had = 0; had < TURN;) {
        bool compare;
        size_t wanted = stretch(get, &compare);
        ssize_t count = compare ? recv(get->watcher.fd, buffer, wanted, 0)
                                : recv(get->watcher.fd, NULL, wanted, MSG_TRUNC);

        if (count < 0 && errno == EAGAIN)
            return;
        if (count <= 0) {
            closed(get);
            return;
        }
        had += (size_t)count;
        if (!(compare ? body(get, buffer, (size_t)count) : skip(get, (size_t)count)))
            return;
        if (get->bytes == get->length) {
            finish(get, false);
            return;
        }
        /* Less than wanted: there is no more now, and asking again would cost a call. */
        if ((size_t)count < wanted)
            return;
    }
}

static void hear_close(struct http_get *get)
{
    ssize_t count = recv(get->watcher.fd, buffer, 1, 0);

    if (count > 0)
        end(get, HTTP_WRONG, "bytes behind the body");
    else if (count == 0 || errno != EAGAIN)
        end_closed(get);
}

static void ready(struct watcher *watcher, uint32_t events)
{
    struct http_get *get = container_of(watcher, struct http_get, watcher);

    get->heard = now();
    get->hung_up = events & EPOLLRDHUP;
    if (get->state == CONNECTING)
        send_request(get);
    else if (get->state == READS_HEAD)
        hear_head(get);
    else if (get->state == READS_BODY)
        hear_body(get);
    else if (get->state == CLOSES)
        hear_close(get);
    else
        http_close(get); /* the server has closed what was kept, or speaks unasked */
}

void http_start(struct http_get *get)
{
    get->watcher.ready = ready;
    get->timer.fire = silence;
    get->bytes = 0;
    get->status = 0;
    get->heard = now();
    timer_set(&get->timer, get->heard + get->patience);
    get->reused = get->open;
    if (get->open)
        send_request(get);
    else
        open_connection(get);
}
