/* SPDX-License-Identifier: MIT */
/* vxlan-options.c - the text of an uplink, taken apart strictly: see vxlan.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "plugins/cluster-switch/vxlan.h"

#define SCHEME "vxlan:"
#define FORM "vxlan:VNI@LOCAL[:PORT],PEER[:PORT],..."
#define VNI_MAX ((1u << 24) - 1)
#define TEXT_SHOWN 60 /* of what is wrong, in a message */

struct reader {
	char *cause;
	size_t size;
};

static int refuse(const struct reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(const struct reader *r, const char *format, ...)
{
	const int n = snprintf(r->cause, r->size, "uplink: ");
	va_list args;

	va_start(args, format);
	if (n > 0 && (size_t)n < r->size)
		vsnprintf(r->cause + n, r->size - (size_t)n, format, args);
	va_end(args);
	return -EINVAL;
}

/* Decimal digits, all `len` of them, without zeros in front. */
static bool read_number(const char *text, size_t len, uint32_t max, uint32_t *out)
{
	uint32_t v = 0;

	if (len == 0 || len > 9 || (len > 1 && text[0] == '0'))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		v = v * 10 + (uint32_t)(text[i] - '0');
	}
	*out = v;
	return v <= max;
}

/* "10.0.0.1", "10.0.0.1:4789", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:4789". */
static bool read_endpoint(const char *text, size_t len, struct net_endpoint *out)
{
	char address[NET_ENDPOINT_TEXT];
	const char *port = NULL;
	uint32_t number = VXLAN_PORT;
	bool bracket;

	if (len == 0 || len >= sizeof address)
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	bracket = address[0] == '[';
	if (bracket) {
		char *end = strchr(address, ']');

		if (!end || (end[1] != '\0' && end[1] != ':'))
			return false;
		port = end[1] ? text + (end + 2 - address) : NULL;
		*end = '\0';
	} else {
		char *colon = strchr(address, ':');

		if (colon && !strchr(colon + 1, ':')) {
			port = text + (colon + 1 - address);
			*colon = '\0';
		}
	}
	if (port && (!read_number(port, (size_t)(text + len - port), UINT16_MAX, &number) || number == 0))
		return false;
	out->port = (uint16_t)number;
	return net_address_parse(address + bracket, &out->address) == 0 && !(bracket && net_is_ipv4(&out->address));
}

static int check_local(const struct reader *r, const struct in6_addr *local)
{
	char text[NET_ADDRESS_TEXT];

	if (net_is_multicast(local))
		return refuse(r, "%s is a group, not an address of this host", net_address_text(local, text));
	if (!net_is_ipv4(local) && net_is_link_local(local))
		return refuse(r, "%s is link-local: name an address that is valid beyond one link",
		              net_address_text(local, text));
	return 0;
}

static int check_peer(const struct reader *r, const struct vxlan_options *options, const struct in6_addr *peer)
{
	char text[NET_ADDRESS_TEXT];

	net_address_text(peer, text);
	if (net_is_ipv4(peer) != net_is_ipv4(&options->local.address))
		return refuse(r, "%s and this host's address are not of one family", text);
	if (net_is_multicast(peer) || net_is_unspecified(peer))
		return refuse(r, "%s is not one host: list each peer's own address", text);
	if (!net_is_ipv4(peer) && net_is_link_local(peer))
		return refuse(r, "%s is link-local: name an address that is valid beyond one link", text);
	if (net_same(peer, &options->local.address))
		return refuse(r, "%s is this host itself: list only the others", text);
	for (unsigned i = 0; i < options->n_peers; i++)
		if (net_same(peer, &options->peers[i].address))
			return refuse(r, "%s is listed twice", text);
	return 0;
}

static int read_peer(const struct reader *r, const char *at, size_t len, struct vxlan_options *out)
{
	struct net_endpoint peer;
	int rc;

	if (!read_endpoint(at, len, &peer))
		return refuse(r, "\"%.*s\" is no ADDRESS or ADDRESS:PORT of a peer",
		              len < TEXT_SHOWN ? (int)len : TEXT_SHOWN, at);
	if (out->n_peers == VXLAN_PEERS_MAX)
		return refuse(r, "%u peers are the most", VXLAN_PEERS_MAX);
	rc = check_peer(r, out, &peer.address);
	if (rc == 0)
		out->peers[out->n_peers++] = peer;
	return rc;
}

int vxlan_parse(const char *text, struct vxlan_options *out, char *cause, size_t size)
{
	const struct reader r = { cause, size };
	const char *at = text + strlen(SCHEME), *end;
	int rc;

	memset(out, 0, sizeof *out);
	end = strncmp(text, SCHEME, strlen(SCHEME)) == 0 ? strchr(at, '@') : NULL;
	if (!end)
		return refuse(&r, "\"%.*s\" is not of the form %s", TEXT_SHOWN, text, FORM);
	if (!read_number(at, (size_t)(end - at), VNI_MAX, &out->vni))
		return refuse(&r, "\"%.*s\" is no VNI: a number from 0 to %u",
		              end - at < TEXT_SHOWN ? (int)(end - at) : TEXT_SHOWN, at, VNI_MAX);
	at = end + 1;
	end = strchrnul(at, ',');
	if (!read_endpoint(at, (size_t)(end - at), &out->local))
		return refuse(&r, "\"%.*s\" is no ADDRESS or ADDRESS:PORT of this host",
		              end - at < TEXT_SHOWN ? (int)(end - at) : TEXT_SHOWN, at);
	rc = check_local(&r, &out->local.address);
	if (rc == 0 && !*end)
		return refuse(&r, "no peers: %s", FORM);
	while (rc == 0 && *end) {
		at = end + 1;
		end = strchrnul(at, ',');
		rc = read_peer(&r, at, (size_t)(end - at), out);
	}
	return rc;
}
