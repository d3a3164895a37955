/*
 * One connection to an HTTP server, and requests on it one after the other, as iPXE makes them.
 *
 *     IDLE --http_start--> CONNECTING -> READS_HEAD -> READS_BODY -> done, IDLE (kept)
 *                                                                 -> CLOSES -> done, IDLE
 *
 * Where the connection is not kept, it is the server that closes it, as soon as it has sent all:
 * the port is then free for the next one, instead of waiting for a minute (TIME-WAIT, RFC 9293).
 *
 * Bodies are looked at and thrown away.  What is not compared is not even copied (MSG_TRUNC), so
 * that one core can take what several servers send.
 */
#ifndef HTTPGET_H
#define HTTPGET_H

#include "base.h"
#include "content.h"
#include "loop.h"

#define HTTP_ROOM 16384 /* of a head, and of a body that is kept */

enum http_end { HTTP_DONE, HTTP_FAILED, HTTP_WRONG };

struct http_get {
    /* Given by whoever starts it. */
    in_addr_t server, own; /* own: 0 for the interface's */
    uint16_t port;
    const char *agent;
    char path[TEXT_ROOM];
    bool keep;      /* ask the server to keep the connection, and use it again */
    bool want_text; /* keep the body's beginning in *text* */
    const struct content *content;
    unsigned sample_kib; /* of each MiB, how many KiB are compared */
    double patience;     /* seconds without a byte until it has failed */
    void (*done)(struct http_get *get, enum http_end end);
    /* What it has come to. */
    uint64_t bytes;    /* of this body so far */
    uint64_t *counter; /* if not NULL, where each byte of a body is counted when it comes */
    uint64_t connects;
    double finished; /* when the last byte came */
    unsigned status;
    char text[HTTP_ROOM + 1];
    size_t text_size;
    /* Its state. */
    enum { IDLE, CONNECTING, READS_HEAD, READS_BODY, CLOSES } state;
    struct watcher watcher;
    struct timer timer;
    bool open, reused, closes, hung_up; /* the server has sent all that it will */
    double heard;
    uint64_t length; /* UINT64_MAX: until the end of the connection */
    char head[HTTP_ROOM];
    size_t head_size;
};

void http_start(struct http_get *get);
void http_close(struct http_get *get); /* whatever it is doing; done is not called */

#endif
