/* SPDX-License-Identifier: MIT */
/*
 * dhcp6.c - see dhcp6.h. Numbers in comments are of RFC 8415.
 *
 * The client's message is walked twice: once for what it is and whom it is for, once more while the answer is written,
 * as each IA gets its own. Both walks have the same bounds.
 */
#include "plugins/net/dhcp6.h"

#include <arpa/inet.h>
#include <resolv.h>
#include <stdbool.h>
#include <string.h>

#include "plugins/net/address.h"

#define HEADER 4u     /* type, transaction */
#define DUID_MAX 130u /* 11.1 */
#define IA_MAX 8u
#define IA_NA_HEADER 12u
#define IA_TA_HEADER 4u
#define IA_PD_HEADER 12u
#define IA_ADDRESS 24u
#define IA_ADDRESSES_MAX 4u /* foreign ones, per IA, that are told to be nobody's */

enum type {
	SOLICIT = 1,
	ADVERTISE,
	REQUEST,
	CONFIRM,
	RENEW,
	REBIND,
	REPLY,
	RELEASE,
	DECLINE,
	RECONFIGURE,
	INFORMATION_REQUEST
};

enum option {
	OPTION_CLIENT = 1,
	OPTION_SERVER = 2,
	OPTION_IA_NA = 3,
	OPTION_IA_TA = 4,
	OPTION_IA_ADDRESS = 5,
	OPTION_STATUS = 13,
	OPTION_RAPID_COMMIT = 14,
	OPTION_DNS = 23,    /* RFC 3646 */
	OPTION_SEARCH = 24, /* RFC 3646 */
	OPTION_IA_PD = 25,
	OPTION_REFRESH_SECONDS = 32,
};

enum status { SUCCESS = 0, NO_ADDRESSES = 2, NOT_ON_LINK = 4, NO_PREFIXES = 6 };

static uint16_t load16(const unsigned char *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* ---- options that came ---- */

struct option_in {
	unsigned code;
	const unsigned char *value;
	size_t len;
};

/* The option at *at, which moves on. 1, 0 at the end, -1 where it does not fit. */
static int next_option(const unsigned char **at, size_t *left, struct option_in *out)
{
	if (*left == 0)
		return 0;
	if (*left < 4)
		return -1;
	out->code = load16(*at);
	out->len = load16(*at + 2);
	if (out->len > *left - 4)
		return -1;
	out->value = *at + 4;
	*at += 4 + out->len;
	*left -= 4 + out->len;
	return 1;
}

struct request {
	enum type type;
	const unsigned char *message, *options;
	size_t options_len;
	struct option_in client, server; /* value NULL: none */
	bool rapid, has_ia;
};

static bool parse(const unsigned char *message, size_t len, struct request *out)
{
	const unsigned char *at = message + HEADER;
	struct option_in option;
	size_t left;
	int rc;

	memset(out, 0, sizeof *out);
	if (len < HEADER)
		return false;
	left = len - HEADER;
	out->type = (enum type)message[0];
	out->message = message;
	out->options = at;
	out->options_len = left;
	while ((rc = next_option(&at, &left, &option)) > 0) {
		if (option.code == OPTION_CLIENT)
			out->client = option;
		else if (option.code == OPTION_SERVER)
			out->server = option;
		else if (option.code == OPTION_RAPID_COMMIT)
			out->rapid = true;
		else if (option.code == OPTION_IA_NA || option.code == OPTION_IA_TA || option.code == OPTION_IA_PD)
			out->has_ia = true;
	}
	return rc == 0 && out->client.len <= DUID_MAX;
}

/* ---- the answer ---- */

struct writer {
	unsigned char *at;
	size_t len, room;
	bool full; /* something found no room */
};

static void put(struct writer *w, const void *bytes, size_t len)
{
	if (len > w->room - w->len) {
		w->full = true;
		return;
	}
	memcpy(w->at + w->len, bytes, len);
	w->len += len;
}

static void put16(struct writer *w, unsigned v)
{
	put(w, (unsigned char[]){ (unsigned char)(v >> 8), (unsigned char)v }, 2);
}

static void put32(struct writer *w, uint32_t v)
{
	v = htonl(v);
	put(w, &v, sizeof v);
}

/* An option whose length end_option() fills in. Returns where it begins. */
static size_t begin_option(struct writer *w, enum option code)
{
	const size_t at = w->len;

	put16(w, code);
	put16(w, 0);
	return at;
}

static void end_option(struct writer *w, size_t at)
{
	const size_t len = w->len - at - 4;

	if (w->full)
		return;
	w->at[at + 2] = (unsigned char)(len >> 8);
	w->at[at + 3] = (unsigned char)len;
}

static void put_status(struct writer *w, enum status status)
{
	const size_t at = begin_option(w, OPTION_STATUS);

	put16(w, status);
	end_option(w, at);
}

static void put_address(struct writer *w, const struct in6_addr *address, uint32_t seconds)
{
	const size_t at = begin_option(w, OPTION_IA_ADDRESS);

	put(w, address, sizeof *address);
	put32(w, seconds);
	put32(w, seconds);
	end_option(w, at);
}

/* Addresses of the IA that are not its own live no longer (18.3.4). */
static bool put_foreign_addresses(struct writer *w, const struct option_in *ia, const struct dhcp6_lease *lease)
{
	const unsigned char *at = ia->value + IA_NA_HEADER;
	size_t left = ia->len - IA_NA_HEADER;
	struct option_in option;
	unsigned n = 0;
	int rc;

	while ((rc = next_option(&at, &left, &option)) > 0) {
		struct in6_addr address;

		if (option.code != OPTION_IA_ADDRESS)
			continue;
		if (option.len < IA_ADDRESS)
			return false;
		memcpy(&address, option.value, sizeof address);
		if (!net_same(&address, &lease->address) && n++ < IA_ADDRESSES_MAX)
			put_address(w, &address, 0);
	}
	return rc == 0;
}

static bool put_ia_na(struct writer *w, const struct request *request, const struct option_in *ia,
                      const struct dhcp6_lease *lease, bool first)
{
	size_t at;

	if (ia->len < IA_NA_HEADER)
		return false;
	at = begin_option(w, OPTION_IA_NA);
	put(w, ia->value, 4);
	put32(w, first ? lease->seconds / 2 : 0);
	put32(w, first ? lease->seconds - lease->seconds / 5 : 0);
	if (first) {
		put_address(w, &lease->address, lease->seconds);
		if ((request->type == RENEW || request->type == REBIND) && !put_foreign_addresses(w, ia, lease))
			return false;
	} else {
		put_status(w, NO_ADDRESSES);
	}
	end_option(w, at);
	return true;
}

/* An IA of another kind, with nothing in it but why. */
static bool put_no_ia(struct writer *w, const struct option_in *ia, size_t header, enum status status)
{
	size_t at;

	if (ia->len < header)
		return false;
	at = begin_option(w, (enum option)ia->code);
	put(w, ia->value, 4);
	if (header > 4) {
		put32(w, 0);
		put32(w, 0);
	}
	put_status(w, status);
	end_option(w, at);
	return true;
}

static bool put_ias(struct writer *w, const struct request *request, const struct dhcp6_lease *lease)
{
	const unsigned char *at = request->options;
	size_t left = request->options_len;
	struct option_in option;
	bool first = true, good = true;
	unsigned n = 0;

	while (good && n < IA_MAX && next_option(&at, &left, &option) > 0) {
		switch (option.code) {
		case OPTION_IA_NA:
			good = put_ia_na(w, request, &option, lease, first);
			first = false;
			n++;
			break;
		case OPTION_IA_TA:
			good = put_no_ia(w, &option, IA_TA_HEADER, NO_ADDRESSES);
			n++;
			break;
		case OPTION_IA_PD:
			good = put_no_ia(w, &option, IA_PD_HEADER, NO_PREFIXES);
			n++;
			break;
		default:
			break;
		}
	}
	return good;
}

static void put_names(struct writer *w, const struct dhcp6_lease *lease)
{
	unsigned char names[512];
	size_t len = 0, at;

	if (lease->n_dns > 0) {
		at = begin_option(w, OPTION_DNS);
		put(w, lease->dns, lease->n_dns * sizeof lease->dns[0]);
		end_option(w, at);
	}
	for (unsigned i = 0; i < lease->n_search; i++) {
		const int n = dn_comp(lease->search[i], names + len, (int)(sizeof names - len), NULL, NULL);

		if (n > 0)
			len += (size_t)n;
	}
	if (len > 0) {
		at = begin_option(w, OPTION_SEARCH);
		put(w, names, len);
		end_option(w, at);
	}
}

/* DUID-LL (11.4): its type, the hardware's, the address. */
static void server_duid(const struct dhcp6_lease *lease, unsigned char duid[4 + ETH_ALEN])
{
	memcpy(duid, (unsigned char[]){ 0, 3, 0, 1 }, 4);
	memcpy(duid + 4, lease->server_mac, ETH_ALEN);
}

static void begin_answer(struct writer *w, const struct request *request, const struct dhcp6_lease *lease,
                         enum type type)
{
	unsigned char duid[4 + ETH_ALEN];
	size_t at;

	put(w, (unsigned char[]){ (unsigned char)type }, 1);
	put(w, request->message + 1, 3);
	server_duid(lease, duid);
	at = begin_option(w, OPTION_SERVER);
	put(w, duid, sizeof duid);
	end_option(w, at);
	if (request->client.value) {
		at = begin_option(w, OPTION_CLIENT);
		put(w, request->client.value, request->client.len);
		end_option(w, at);
	}
}

/* Whether all of the client's addresses are those of this link (18.3.3). -1: it has told none, or nonsense. */
static int is_on_link(const struct request *request, const struct dhcp6_lease *lease)
{
	const unsigned char *at = request->options;
	size_t left = request->options_len;
	struct option_in ia, option;
	bool all = true, any = false;

	while (next_option(&at, &left, &ia) > 0) {
		const size_t header = ia.code == OPTION_IA_NA ? IA_NA_HEADER : IA_TA_HEADER;
		const unsigned char *inner;
		size_t inner_left;

		if (ia.code != OPTION_IA_NA && ia.code != OPTION_IA_TA)
			continue;
		if (ia.len < header)
			return -1;
		inner = ia.value + header;
		inner_left = ia.len - header;
		while (next_option(&inner, &inner_left, &option) > 0) {
			if (option.code != OPTION_IA_ADDRESS)
				continue;
			if (option.len < IA_ADDRESS)
				return -1;
			any = true;
			all = all && memcmp(option.value, &lease->address, sizeof lease->address) == 0;
		}
	}
	return any ? all : -1;
}

/* Who must name us, must not, or may (16). */
static bool is_for_us(const struct request *request, const struct dhcp6_lease *lease)
{
	unsigned char duid[4 + ETH_ALEN];
	bool ours;

	server_duid(lease, duid);
	ours = request->server.len == sizeof duid && memcmp(request->server.value, duid, sizeof duid) == 0;
	switch (request->type) {
	case SOLICIT:
	case CONFIRM:
	case REBIND:
		return request->client.value && !request->server.value;
	case REQUEST:
	case RENEW:
	case RELEASE:
	case DECLINE:
		return request->client.value && ours;
	case INFORMATION_REQUEST:
		return (!request->server.value || ours) && !request->has_ia;
	case ADVERTISE:
	case REPLY:
	case RECONFIGURE:
		break;
	}
	return false;
}

size_t dhcp6_answer(const unsigned char *message, size_t len, const struct dhcp6_lease *lease, unsigned char *reply,
                    size_t room)
{
	struct writer w = { .at = reply, .room = room };
	struct request request;
	bool good = true;
	size_t at;
	int on_link;

	if (!parse(message, len, &request) || !is_for_us(&request, lease))
		return 0;
	switch (request.type) {
	case SOLICIT:
		begin_answer(&w, &request, lease, request.rapid ? REPLY : ADVERTISE);
		if (request.rapid)
			end_option(&w, begin_option(&w, OPTION_RAPID_COMMIT));
		good = put_ias(&w, &request, lease);
		put_names(&w, lease);
		break;
	case REQUEST:
	case RENEW:
	case REBIND:
		begin_answer(&w, &request, lease, REPLY);
		good = put_ias(&w, &request, lease);
		put_names(&w, lease);
		break;
	case CONFIRM:
		on_link = is_on_link(&request, lease);
		if (on_link < 0)
			return 0;
		begin_answer(&w, &request, lease, REPLY);
		put_status(&w, on_link ? SUCCESS : NOT_ON_LINK);
		break;
	case INFORMATION_REQUEST:
		begin_answer(&w, &request, lease, REPLY);
		at = begin_option(&w, OPTION_REFRESH_SECONDS);
		put32(&w, lease->seconds);
		end_option(&w, at);
		put_names(&w, lease);
		break;
	default: /* RELEASE, DECLINE (is_for_us) */
		begin_answer(&w, &request, lease, REPLY);
		put_status(&w, SUCCESS);
		break;
	}
	return good && !w.full ? w.len : 0;
}
