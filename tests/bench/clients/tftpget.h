/*
 * One file by TFTP, as a boot ROM reads it (RFC 1350, 2347 to 2349, 7440).
 *
 *     tftp_start -> ASKED --(OACK or DATA 1)--> RECEIVING --(last block)--> done
 *                     |  (when probing: OACK, or ERROR 8 of ours and a new port: ASKED once more)
 *
 * The client's own timer sends the last packet once more when nothing has come for a while.
 */
#ifndef TFTPGET_H
#define TFTPGET_H

#include "base.h"
#include "content.h"
#include "loop.h"

/* What real clients ask (shared with no server): options in the order in which they send them. */
enum tftp_habit {
    TFTP_PLAIN, /* blksize, windowsize, tsize, timeout: those that are given */
    TFTP_UEFI,  /* EDK2: tsize, blksize, windowsize; aborts; again without tsize */
    TFTP_BIOS   /* ROMs: tsize; aborts; blksize */
};

struct tftp_manner {
    enum tftp_habit habit;
    unsigned blksize, windowsize, timeout_option; /* 0: not asked */
    bool tsize;
    double patience; /* seconds */
    unsigned tries;
};
/* as=, blksize=, windowsize=, tsize=, timeout_option=, timeout=, tries=. */
struct tftp_manner tftp_manner_of(const char *habit);

enum tftp_end { TFTP_DONE, TFTP_SILENCE, TFTP_REFUSED, TFTP_WRONG };

struct tftp_get {
    /* Given by whoever starts it. */
    const struct tftp_manner *manner;
    const struct content *content;
    in_addr_t server, own; /* own: 0 for the interface's */
    uint16_t port;
    char file[TEXT_ROOM];
    void (*done)(struct tftp_get *get, enum tftp_end end);
    /* What it has come to. */
    uint64_t bytes, again, duplicates, gaps;
    /* Its state. */
    struct watcher watcher;
    struct timer timer;
    bool probing, connected, open;
    double heard; /* when something was sent or came */
    unsigned blksize, windowsize, unanswered, in_window;
    uint64_t next, announced; /* the block waited for, from 1; what tsize said, or -1 */
    int16_t ahead; /* how far the last block was that came too early; 0: none did */
    size_t last_size;
    uint8_t last[TEXT_ROOM + 128]; /* the packet that is sent once more */
};

void tftp_start(struct tftp_get *get);
/* In its middle: the server is told, and done is not called. */
void tftp_leave(struct tftp_get *get);
/* In the middle: the server is told, and done is not called. */
void tftp_leave(struct tftp_get *get);

#endif
