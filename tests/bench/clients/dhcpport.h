/*
 * The sockets of all DHCP clients of a run, and packets through them in batches.
 *
 * Clients are on the server's network and broadcast from port 68, or are behind a relay, which is
 * this program.  Requests to 4011 leave from each client's own address where it has one (nodes=).
 */
#ifndef DHCPPORT_H
#define DHCPPORT_H

#include "dhcpwire.h"

extern in_addr_t dhcp_server; /* server=; answers of others are not for us */
extern in_addr_t dhcp_giaddr; /* relay= */
extern uint64_t dhcp_from_others;

/*
 * Reads server=, relay=, interface=; *answered* gets what the server sent, 4011 is the port.  Only one
 * program of a host hears what is sent to port 4011: it is left to others unless *asks_4011*.
 */
void dhcp_open(void (*answered)(const struct answer *answer, bool from_4011), bool asks_4011);

/* Send to port 67, or to 4011 of *boot_server* (network order) if that is not 0. */
void dhcp_send(struct request *request, in_addr_t boot_server);

/* The queue goes out before each wait, and whenever it is full. */
void dhcp_flush(void);

#endif
