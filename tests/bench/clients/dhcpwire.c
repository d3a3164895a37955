#include "dhcpwire.h"

#include <arpa/inet.h>
#include <string.h>

/* Offsets of RFC 2131, figure 1. */
enum {
    XID = 4,
    SECS = 8,
    FLAGS = 10,
    CIADDR = 12,
    YIADDR = 16,
    SIADDR = 20,
    GIADDR = 24,
    CHADDR = 28,
    FILE_NAME = 108,
    COOKIE = 236,
    OPTIONS = 240
};
enum { FILE_SIZE = 128, BOOTP_SIZE = 548, END = 255, USES_FILE_AT_ONCE = 8 };

static const uint8_t cookie[4] = {0x63, 0x82, 0x53, 0x63};

/* What differs between kinds of firmware; arch is option 93, undi the version in 94 and 60. */
static const struct kind {
    const char *name;
    uint8_t arch, undi[2];
    const char *vendor_class;
    uint8_t room[2]; /* option 57 */
} kinds[] = {
    [UEFI] = {"uefi", 7, {3, 0}, "PXEClient:Arch:00007:UNDI:003000", {0x05, 0xc0}},
    [BIOS] = {"bios", 0, {2, 1}, "PXEClient:Arch:00000:UNDI:002001", {0x04, 0xec}},
    [IPXE_EFI] = {"ipxe", 7, {3, 10}, "PXEClient:Arch:00007:UNDI:003010", {0x05, 0xc0}},
    [IPXE_BIOS] = {"ipxe-bios", 0, {2, 1}, "PXEClient:Arch:00000:UNDI:002001", {0x05, 0xc0}},
};

static const uint8_t edk2_wishes[] = {
    1,  2,  3,  4,  5,  6,  12, 13, 15, 17, 18,  22,  23,  28,  40,  41,  42,  43,
    50, 51, 54, 58, 59, 60, 66, 67, 97, 128, 129, 130, 131, 132, 133, 134, 135,
};
static const uint8_t bios_wishes[] = {
    1,  2,  3,  4,  5,  6,  11, 12, 13, 15, 16, 17,  18,  22,  23,  28,  40,  41,
    42, 43, 50, 51, 54, 58, 59, 60, 66, 67, 128, 129, 130, 131, 132, 133, 134, 135,
};
static const uint8_t ipxe_wishes[] = {1,  3,  6,   7,   12,  15,  17,  26,  43,  60,  66, 67,
                                      119, 128, 129, 130, 131, 132, 133, 134, 135, 175, 203};
/* Option 175: a virtio card, version 1.0.0, and what the build can do. */
static const uint8_t efi_features[] = {
    0xb1, 5, 1, 0x1a, 0xf4, 0x10, 0, 0xeb, 3, 1, 0, 0, 0x17, 1, 1, 0x24, 1, 1,
    0x13, 1, 1, 0x11, 1,    1,    0x27, 1, 1, 0x29, 1, 1, 0x15, 1, 1, 0x12, 1, 1,
};
static const uint8_t bios_features[] = {
    0xb1, 5, 1, 0x80, 0x86, 0x10, 0x0e, 0xeb, 3, 1, 0, 0, 0x17, 1, 1, 0x22, 1, 1,
    0x13, 1, 1, 0x11, 1,    1,    0x27, 1,    1, 0x29, 1, 1, 0x10, 1, 2, 0x21, 1, 1,
    0x15, 1, 1, 0x18, 1,    1,    0x12, 1,    1,
};

enum firmware firmware_named(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return (enum firmware)i;
    }
    die("firmware=%s: expected uefi, bios, ipxe or ipxe-bios", name);
}

static uint8_t *put(uint8_t *at, uint8_t code, const void *value, size_t size)
{
    *at++ = code;
    *at++ = (uint8_t)size;
    memcpy(at, value, size);
    return at + size;
}

static uint8_t *put_address(uint8_t *at, uint8_t code, in_addr_t address)
{
    return address ? put(at, code, &address, sizeof address) : at;
}

/* Unlike for each machine, and easy to know again: eight fixed bytes, two of zero, and the MAC. */
static void machine_uuid(uint32_t machine, uint8_t uuid[16])
{
    memcpy(uuid, "\x62\x6f\x6f\x74\x73\x74\x4f\x52\x80\0", 10);
    machine_mac(machine, uuid + 10);
}

static uint8_t *put_uuid(uint8_t *at, uint32_t machine)
{
    uint8_t value[17] = {0};

    machine_uuid(machine, value + 1);
    return put(at, 97, value, sizeof value);
}

static uint8_t *put_platform(uint8_t *at, const struct kind *kind)
{
    at = put(at, 93, (uint8_t[]){0, kind->arch}, 2);
    return put(at, 94, (uint8_t[]){1, kind->undi[0], kind->undi[1]}, 3);
}

static uint8_t *put_class(uint8_t *at, const struct kind *kind)
{
    return put(at, 60, kind->vendor_class, strlen(kind->vendor_class));
}

/* The order of EDK2's DISCOVER; its REQUEST to 4011 has another one. */
static uint8_t *uefi_options(uint8_t *at, const struct request *request)
{
    const struct kind *kind = &kinds[UEFI];

    if (request->ciaddr) {
        at = put(at, 55, edk2_wishes, sizeof edk2_wishes);
        at = put(at, 57, kind->room, 2);
        at = put_class(at, kind);
        at = put_platform(at, kind);
        return put_uuid(at, request->machine);
    }
    at = put(at, 57, kind->room, 2);
    at = put(at, 55, edk2_wishes, sizeof edk2_wishes);
    at = put_uuid(at, request->machine);
    at = put(at, 94, (uint8_t[]){1, kind->undi[0], kind->undi[1]}, 3);
    at = put(at, 93, (uint8_t[]){0, kind->arch}, 2);
    return put_class(at, kind);
}

static uint8_t *bios_options(uint8_t *at, const struct request *request)
{
    const struct kind *kind = &kinds[BIOS];

    at = put(at, 55, bios_wishes, sizeof bios_wishes);
    at = put(at, 57, kind->room, 2);
    at = put_uuid(at, request->machine);
    at = put_platform(at, kind);
    return put_class(at, kind);
}

static uint8_t *ipxe_options(uint8_t *at, const struct request *request)
{
    const struct kind *kind = &kinds[request->firmware];
    uint8_t identifier[1 + MAC_SIZE] = {1};

    at = put(at, 57, kind->room, 2);
    at = put_platform(at, kind);
    at = put_class(at, kind);
    at = put(at, 77, "iPXE", 4);
    at = put(at, 55, ipxe_wishes, sizeof ipxe_wishes);
    if (request->firmware == IPXE_EFI)
        at = put(at, 175, efi_features, sizeof efi_features);
    else
        at = put(at, 175, bios_features, sizeof bios_features);
    machine_mac(request->machine, identifier + 1);
    at = put(at, 61, identifier, sizeof identifier);
    return put_uuid(at, request->machine);
}

static uint8_t *put_boot_item(uint8_t *at, int item)
{
    uint8_t value[] = {71, 4, (uint8_t)(item >> 8), (uint8_t)item, 0, 0, END};

    return item < 0 ? at : put(at, 43, value, sizeof value);
}

static void write_header(uint8_t *into, const struct request *request)
{
    /* EDK2 and ROMs ask for broadcasts until they have an address; no request to 4011 does. */
    uint8_t head[] = {1, 1, MAC_SIZE, request->giaddr ? 1 : 0};
    uint32_t xid = htonl(request->xid);

    memset(into, 0, BOOTP_SIZE);
    memcpy(into, head, sizeof head);
    memcpy(into + XID, &xid, sizeof xid);
    into[SECS] = (uint8_t)(request->secs >> 8);
    into[SECS + 1] = (uint8_t)request->secs;
    into[FLAGS] = request->ciaddr ? 0 : 0x80;
    memcpy(into + CIADDR, &request->ciaddr, 4);
    memcpy(into + GIADDR, &request->giaddr, 4);
    machine_mac(request->machine, into + CHADDR);
    memcpy(into + COOKIE, cookie, sizeof cookie);
}

size_t request_write(uint8_t into[DHCP_ROOM], const struct request *request)
{
    uint8_t *at = into + OPTIONS;

    write_header(into, request);
    at = put(at, 53, (uint8_t[]){(uint8_t)request->type}, 1);
    at = put_address(at, 54, request->server);
    at = put_address(at, 50, request->requested);
    if (request->firmware == UEFI)
        at = uefi_options(at, request);
    else if (request->firmware == BIOS)
        at = bios_options(at, request);
    else
        at = ipxe_options(at, request);
    at = put_boot_item(at, request->boot_item);
    *at++ = END;
    size_t size = (size_t)(at - into);
    return request->firmware == BIOS && size < BOOTP_SIZE ? BOOTP_SIZE : size;
}

static void read_vendor_options(struct answer *answer, const uint8_t *at, const uint8_t *end)
{
    while (at + 2 <= end && *at != END && at + 2 + at[1] <= end) {
        if (at[0] >= 6 && at[0] <= 10)
            answer->pxe10 = true;
        if (at[0] == 6 && at[1] == 1)
            answer->control = at[2];
        if (at[0] == 9 && at[1] >= 2)
            answer->boot_item = at[2] << 8 | at[3];
        at += 2 + at[1];
    }
}

static void read_text(char *into, const uint8_t *value, size_t size)
{
    memcpy(into, value, size);
    into[size] = '\0';
}

static void read_option(struct answer *answer, uint8_t code, const uint8_t *value, uint8_t size)
{
    if (code == 53 && size == 1)
        answer->type = value[0];
    else if (code == 54 && size == 4)
        memcpy(&answer->server, value, 4);
    else if (code == 60)
        answer->pxe = size >= 9 && memcmp(value, "PXEClient", 9) == 0;
    else if (code == 67)
        read_text(answer->file, value, size);
    else if (code == 43)
        read_vendor_options(answer, value, value + size);
    else if (code == 97 && size == 17) {
        answer->has_uuid = true;
        memcpy(answer->uuid, value + 1, 16);
    }
}

static const char *read_options(struct answer *answer, const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at != END) {
        if (*at == 0) {
            at++;
            continue;
        }
        if (at + 2 > end || at + 2 + at[1] > end)
            return "an option runs past the end";
        read_option(answer, at[0], at + 2, at[1]);
        at += 2 + at[1];
    }
    return at < end ? NULL : "no END after the options";
}

const char *answer_read(struct answer *answer, const uint8_t *bytes, size_t size)
{
    uint32_t xid;

    if (size < OPTIONS || memcmp(bytes + COOKIE, cookie, sizeof cookie) != 0)
        return "no DHCP";
    if (bytes[0] != 2 || bytes[1] != 1 || bytes[2] != MAC_SIZE)
        return "no reply to an Ethernet client";
    *answer = (struct answer){.boot_item = -1};
    memcpy(&xid, bytes + XID, sizeof xid);
    answer->xid = ntohl(xid);
    memcpy(&answer->yiaddr, bytes + YIADDR, 4);
    memcpy(&answer->siaddr, bytes + SIADDR, 4);
    memcpy(&answer->giaddr, bytes + GIADDR, 4);
    memcpy(answer->mac, bytes + CHADDR, MAC_SIZE);
    read_text(answer->file, bytes + FILE_NAME, FILE_SIZE);
    return read_options(answer, bytes + OPTIONS, bytes + size);
}

const char *answer_wrong(const struct answer *answer, uint32_t machine, in_addr_t giaddr)
{
    uint8_t mac[MAC_SIZE], uuid[16];

    machine_mac(machine, mac);
    machine_uuid(machine, uuid);
    if (memcmp(answer->mac, mac, MAC_SIZE) != 0)
        return "chaddr of another machine";
    if (answer->has_uuid && memcmp(answer->uuid, uuid, 16) != 0)
        return "UUID of another machine";
    if (answer->giaddr != giaddr)
        return "another giaddr";
    return answer->server ? NULL : "no server identifier";
}

bool asks_4011(enum firmware firmware, const struct answer *offer)
{
    bool complete = offer->siaddr && *offer->file;

    if (firmware == IPXE_EFI || firmware == IPXE_BIOS)
        return !complete;
    if (offer->control & USES_FILE_AT_ONCE && complete)
        return false;
    if (firmware == UEFI)
        return offer->pxe; /* a menu, or nothing said: its file is not looked at */
    return offer->pxe10 || !complete;
}
