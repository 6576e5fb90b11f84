/* SPDX-License-Identifier: MIT */
/* dhcp.c - see dhcp.h. Numbers in comments are of RFC 2131 (the message) and RFC 2132 (options). */
#include "plugins/net/dhcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <resolv.h>
#include <string.h>

#define BOOTREQUEST 1u
#define BOOTREPLY 2u
#define HARDWARE_ETHERNET 1u
#define FLAG_BROADCAST 0x8000u
#define REPLY_LEAST 300u                  /* RFC 1542, 2.1: as long as BOOTP's, which some clients insist on */
#define REPLY_MOST (DHCP_REPLY_MAX - 28u) /* IP and UDP headers are in the size that each client can take */

/* The message's fields (2), by offset. */
enum {
	AT_OP = 0,
	AT_HTYPE = 1,
	AT_HLEN = 2,
	AT_XID = 4,
	AT_FLAGS = 10,
	AT_CIADDR = 12,
	AT_YIADDR = 16,
	AT_CHADDR = 28,
	AT_SNAME = 44,
	AT_FILE = 108,
	AT_MAGIC = 236,
	AT_OPTIONS = 240,
};
#define SNAME_LEN 64u
#define FILE_LEN 128u

enum option {
	OPTION_PAD = 0,
	OPTION_SUBNET_MASK = 1,
	OPTION_ROUTER = 3,
	OPTION_DNS = 6,
	OPTION_HOST_NAME = 12,
	OPTION_DOMAIN_NAME = 15,
	OPTION_MTU = 26,
	OPTION_WANTED_ADDRESS = 50,
	OPTION_LEASE_SECONDS = 51,
	OPTION_OVERLOAD = 52,
	OPTION_TYPE = 53,
	OPTION_SERVER = 54,
	OPTION_MAX_SIZE = 57,
	OPTION_RENEWAL_SECONDS = 58,
	OPTION_REBINDING_SECONDS = 59,
	OPTION_DOMAIN_SEARCH = 119, /* RFC 3397 */
	OPTION_END = 255,
};

#define OVERLOAD_FILE 1u
#define OVERLOAD_SNAME 2u

static const unsigned char magic[4] = { 99, 130, 83, 99 };

/* ---- requests ---- */

/* Left out where it is longer than ours or not printable: it is a name to show, nothing else. */
static void read_host_name(const unsigned char *at, size_t len, struct dhcp_request *out)
{
	if (len >= sizeof out->host_name)
		return;
	for (size_t i = 0; i < len; i++)
		if (at[i] <= ' ' || at[i] > '~')
			return;
	memcpy(out->host_name, at, len);
	out->host_name[len] = '\0';
}

static void read_option(unsigned code, const unsigned char *at, size_t len, struct dhcp_request *out,
                        unsigned *overload)
{
	switch (code) {
	case OPTION_TYPE:
		if (len == 1)
			out->type = (enum dhcp_type)at[0];
		break;
	case OPTION_WANTED_ADDRESS:
		if (len == 4)
			memcpy(&out->wanted, at, 4);
		break;
	case OPTION_SERVER:
		if (len == 4)
			memcpy(&out->server, at, 4);
		break;
	case OPTION_HOST_NAME:
		read_host_name(at, len, out);
		break;
	case OPTION_MAX_SIZE:
		if (len == 2 && (at[0] << 8 | at[1]) > (int)DHCP_REPLY_MAX)
			out->max_size = (uint16_t)(at[0] << 8 | at[1]);
		break;
	case OPTION_OVERLOAD:
		if (len == 1)
			*overload = at[0];
		break;
	default:
		break;
	}
}

/* What ends without an END option ends where its room does. */
static int read_options(const unsigned char *at, size_t len, struct dhcp_request *out, unsigned *overload)
{
	while (len > 0 && at[0] != OPTION_END) {
		if (at[0] == OPTION_PAD) {
			at++;
			len--;
			continue;
		}
		if (len < 2 || at[1] > len - 2)
			return -EBADMSG;
		read_option(at[0], at + 2, at[1], out, overload);
		len -= 2u + at[1];
		at += 2u + at[1];
	}
	return 0;
}

int dhcp_parse(const unsigned char *message, size_t len, struct dhcp_request *out)
{
	unsigned overload = 0, ignored = 0;

	memset(out, 0, sizeof *out);
	out->max_size = DHCP_REPLY_MAX;
	if (len < AT_OPTIONS || message[AT_OP] != BOOTREQUEST || message[AT_HTYPE] != HARDWARE_ETHERNET ||
	    message[AT_HLEN] != sizeof out->mac || memcmp(message + AT_MAGIC, magic, sizeof magic) != 0)
		return -EBADMSG;
	memcpy(&out->transaction, message + AT_XID, 4);
	out->broadcast = (message[AT_FLAGS] & FLAG_BROADCAST >> 8) != 0;
	memcpy(&out->client, message + AT_CIADDR, 4);
	memcpy(out->mac, message + AT_CHADDR, sizeof out->mac);
	if (read_options(message + AT_OPTIONS, len - AT_OPTIONS, out, &overload) < 0)
		return -EBADMSG;
	if (overload & OVERLOAD_FILE && read_options(message + AT_FILE, FILE_LEN, out, &ignored) < 0)
		return -EBADMSG;
	if (overload & OVERLOAD_SNAME && read_options(message + AT_SNAME, SNAME_LEN, out, &ignored) < 0)
		return -EBADMSG;
	switch (out->type) {
	case DHCP_DISCOVER:
	case DHCP_REQUEST:
	case DHCP_DECLINE:
	case DHCP_RELEASE:
	case DHCP_INFORM:
		return 0;
	case DHCP_OFFER:
	case DHCP_ACK:
	case DHCP_NAK:
		break;
	}
	return -EBADMSG;
}

/* ---- replies ---- */

struct writer {
	unsigned char *at;
	size_t len, room;
};

/* What has no room is left out as a whole; one byte is kept for END. */
static void put_option(struct writer *w, enum option code, const void *value, size_t len)
{
	if (len > 255 || w->len + 2 + len + 1 > w->room)
		return;
	w->at[w->len++] = (unsigned char)code;
	w->at[w->len++] = (unsigned char)len;
	memcpy(w->at + w->len, value, len);
	w->len += len;
}

static void put_seconds(struct writer *w, enum option code, uint32_t seconds)
{
	seconds = htonl(seconds);
	put_option(w, code, &seconds, sizeof seconds);
}

static void put_address(struct writer *w, enum option code, struct in_addr address)
{
	if (address.s_addr)
		put_option(w, code, &address, sizeof address);
}

/* As many domains as one option holds (RFC 3397 asks for compression where it helps; clients take both). */
static void put_search(struct writer *w, const struct dhcp_lease *lease)
{
	unsigned char names[255];
	size_t len = 0;

	for (unsigned i = 0; i < lease->n_search; i++) {
		const int n = dn_comp(lease->search[i], names + len, (int)(sizeof names - len), NULL, NULL);

		if (n > 0 && w->len + 2 + len + (size_t)n + 1 <= w->room)
			len += (size_t)n;
	}
	if (len > 0)
		put_option(w, OPTION_DOMAIN_SEARCH, names, len);
}

static void put_lease(struct writer *w, const struct dhcp_request *request, const struct dhcp_lease *lease)
{
	const uint32_t mask = htonl(lease->bits ? ~UINT32_C(0) << (32 - lease->bits) : 0);
	const uint16_t mtu = htons(lease->mtu);

	if (request->type != DHCP_INFORM) { /* 4.3.5: whose address is its own has no lease; T1, T2: 4.4.5 */
		put_seconds(w, OPTION_LEASE_SECONDS, lease->seconds);
		put_seconds(w, OPTION_RENEWAL_SECONDS, lease->seconds / 2);
		put_seconds(w, OPTION_REBINDING_SECONDS, lease->seconds - lease->seconds / 8);
	}
	put_option(w, OPTION_SUBNET_MASK, &mask, sizeof mask);
	put_address(w, OPTION_ROUTER, lease->router);
	if (lease->n_dns > 0)
		put_option(w, OPTION_DNS, lease->dns, lease->n_dns * sizeof lease->dns[0]);
	if (lease->mtu)
		put_option(w, OPTION_MTU, &mtu, sizeof mtu);
	if (lease->host_name && lease->host_name[0])
		put_option(w, OPTION_HOST_NAME, lease->host_name, strlen(lease->host_name));
	if (lease->n_search > 0)
		put_option(w, OPTION_DOMAIN_NAME, lease->search[0], strlen(lease->search[0]));
	put_search(w, lease);
}

size_t dhcp_reply(const struct dhcp_request *request, enum dhcp_type type, const struct dhcp_lease *lease,
                  unsigned char reply[DHCP_REPLY_MAX])
{
	struct writer w = { .at = reply, .len = AT_OPTIONS, .room = REPLY_MOST };
	const unsigned char type_byte = (unsigned char)type;

	memset(reply, 0, DHCP_REPLY_MAX);
	reply[AT_OP] = BOOTREPLY;
	reply[AT_HTYPE] = HARDWARE_ETHERNET;
	reply[AT_HLEN] = sizeof request->mac;
	memcpy(reply + AT_XID, &request->transaction, 4);
	reply[AT_FLAGS] = request->broadcast ? FLAG_BROADCAST >> 8 : 0;
	memcpy(reply + AT_CHADDR, request->mac, sizeof request->mac);
	memcpy(reply + AT_MAGIC, magic, sizeof magic);
	put_option(&w, OPTION_TYPE, &type_byte, 1);
	put_address(&w, OPTION_SERVER, lease->server);
	if (type != DHCP_NAK) {
		memcpy(reply + AT_CIADDR, &request->client, 4);
		if (request->type != DHCP_INFORM)
			memcpy(reply + AT_YIADDR, &lease->address, 4);
		put_lease(&w, request, lease);
	}
	reply[w.len++] = OPTION_END;
	return w.len < REPLY_LEAST ? REPLY_LEAST : w.len;
}
