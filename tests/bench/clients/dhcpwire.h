/*
 * DHCP as boot firmware speaks it: a request to bytes, bytes to an answer.
 *
 * Written after captures: EDK2 2022.11 (OVMF), iPXE 1.0.0 (snponly.efi and a BIOS ROM), and for
 * BIOS ROMs after the PXE specification 2.1: the 548 bytes of a BOOTP packet, padded.
 */
#ifndef DHCPWIRE_H
#define DHCPWIRE_H

#include "base.h"

#define DHCP_ROOM 1500

enum message_type { DISCOVER = 1, OFFER = 2, REQUEST = 3, ACK = 5, NAK = 6 }; /* option 53 */

enum firmware { UEFI, BIOS, IPXE_EFI, IPXE_BIOS };
enum firmware firmware_named(const char *name); /* uefi, bios, ipxe, ipxe-bios; dies of others */

/* Addresses in network order; 0 is not sent as an option. */
struct request {
    enum firmware firmware;
    enum message_type type;
    uint32_t xid;
    uint32_t machine;
    in_addr_t giaddr, ciaddr;
    in_addr_t requested, server; /* options 50 and 54 */
    uint16_t secs;
    int boot_item;               /* type in 43.71, of a menu; -1 for none */
};
size_t request_write(uint8_t into[DHCP_ROOM], const struct request *request);

struct answer {
    enum message_type type;
    uint32_t xid;
    in_addr_t yiaddr, siaddr, giaddr, server;
    uint8_t mac[MAC_SIZE];
    bool pxe;            /* option 60 starts with PXEClient */
    bool has_uuid;       /* option 97 */
    uint8_t uuid[16];
    bool pxe10;          /* any of 43.6 to 43.10: no 4011 unless the menu says so */
    int control;         /* 43.6 */
    int boot_item;       /* of the first line of the menu in 43.9; -1 without a menu */
    char file[256];      /* the field or option 67 */
};
/* NULL, or what is wrong with it. */
const char *answer_read(struct answer *answer, const uint8_t *bytes, size_t size);

/* NULL, or what *answer* has that is not for *machine*, which came by *giaddr*. */
const char *answer_wrong(const struct answer *answer, uint32_t machine, in_addr_t giaddr);

/* Does this firmware take the file from the offer, or ask port 4011 for one? */
bool asks_4011(enum firmware firmware, const struct answer *offer);

#endif
