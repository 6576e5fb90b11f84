/* SPDX-License-Identifier: MIT */
/*
 * forward.c - see forward.h. Owns the listeners; a connection is tcp.c's from the moment that it is accepted, datagrams
 * are udp-publish.c's.
 *
 * THEORY OF OPERATION. Listeners are watched edge triggered like all sockets. One that cannot accept for now is left
 * alone, `waiting`, and looked at again by forwards_resume(), which flows.c calls when a flow has ended. Where the
 * descriptors were used up by others than this device, nobody calls: so as long as a listener waits for one, a
 * time-out of RETRY looks as well. No connection waits, no time-out is set.
 */
#include "plugins/net-nat/forward.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugins/net-nat/flow.h"
#include "plugins/net-nat/sockets.h"
#include "plugins/net-nat/tcp.h"
#include "plugins/net-nat/timeout.h"
#include "plugins/net-nat/udp.h"

#define ACCEPT_BUDGET 32u
#define RETRY 1000u       /* ms */
#define PORT_FIRST 1024u  /* that a peer may have in the gateway's name: below are services of its own */
#define PORTS_TRIED 4096u /* before it is said that none is free */

struct listener {
	struct socket_source source; /* first */
	struct forwards *forwards;
	struct forward forward;
	struct udp_published *published; /* UDP: has the descriptor from start on */
	bool waiting;
};

struct forwards {
	struct nat *nat;
	unsigned n;
	bool any_waits;
	struct timeout retry;
	struct listener listeners[];
};

CAPSA_PRINTF(3, 4)
static int refuse(char *cause, size_t size, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(cause, size, fmt, args);
	va_end(args);
	return -EINVAL;
}

/* ---- the text ---- */

/* A decimal number of `len` digits and nothing else, 0..65535. */
static bool take_port(const char *text, size_t len, uint16_t *out)
{
	unsigned n = 0;

	if (!len || len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		n = 10 * n + (unsigned)(text[i] - '0');
	}
	*out = (uint16_t)n;
	return n <= UINT16_MAX;
}

static bool take_address(const char *text, size_t len, struct in6_addr *out)
{
	char address[NET_ADDRESS_TEXT];
	const bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';

	if (bracketed) {
		text++;
		len -= 2;
	}
	if (len >= sizeof address)
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	/* Brackets are IPv6's, and IPv6 needs them: or nobody knew where its port begins. */
	return net_address_parse(address, out) == 0 && bracketed != net_is_ipv4(out);
}

int forward_parse(const char *text, struct forward *out, char *cause, size_t size)
{
	const char *rest = text, *guest, *host;

	*out = (struct forward){ .protocol = IPPROTO_TCP };
	net_address_parse("127.0.0.1", &out->listen.address);
	if (strncmp(rest, "tcp:", 4) == 0) {
		rest += 4;
	} else if (strncmp(rest, "udp:", 4) == 0) {
		rest += 4;
		out->protocol = IPPROTO_UDP;
	}
	guest = strrchr(rest, ':');
	if (!guest)
		return refuse(
			cause, size,
			"forward \"%.80s\" has no port of the guest; write \"[tcp:|udp:][ADDRESS:]PORT:GUEST_PORT\", "
			"as \"tcp:127.0.0.1:8080:80\"",
			text);
	for (host = guest; host > rest && host[-1] != ':'; host--)
		;
	if (!take_port(guest + 1, strlen(guest + 1), &out->guest_port) || !out->guest_port)
		return refuse(cause, size,
		              "forward \"%.80s\": \"%.20s\" is no port of the guest; 1 to 65535 are possible", text,
		              guest + 1);
	if (!take_port(host, (size_t)(guest - host), &out->listen.port))
		return refuse(cause, size,
		              "forward \"%.80s\": \"%.*s\" is no port; 0 (any that is free) to 65535 are possible",
		              text, (int)(guest - host < 20 ? guest - host : 20), host);
	if (host == rest)
		return 0;
	if (!take_address(rest, (size_t)(host - 1 - rest), &out->listen.address))
		return refuse(
			cause, size,
			"forward \"%.80s\": \"%.*s\" is no address; write one as \"127.0.0.1\", \"0.0.0.0\", \"[::1]\" "
			"or \"[::]\"",
			text, (int)(host - 1 - rest < 60 ? host - 1 - rest : 60), rest);
	if (net_is_multicast(&out->listen.address))
		return refuse(cause, size, "forward \"%.80s\" is multicast, which cannot be published", text);
	if (IN6_IS_ADDR_LINKLOCAL(&out->listen.address))
		return refuse(cause, size, "forward \"%.80s\" is an address of one link only; choose another", text);
	return 0;
}

/* ---- opening ---- */

static int bind_failed(int rc, const char *text, const struct forward *forward, char *cause, size_t size)
{
	char address[NET_ADDRESS_TEXT];

	net_address_text(&forward->listen.address, address);
	switch (rc) {
	case -EADDRINUSE:
		refuse(cause, size, "forward \"%s\": port %u is in use on %s; choose another, or 0 for any", text,
		       forward->listen.port, address);
		break;
	case -EACCES:
		refuse(cause, size,
		       "forward \"%s\": port %u needs privileges; choose one from 1024 on (or see "
		       "net.ipv4.ip_unprivileged_port_start)",
		       text, forward->listen.port);
		break;
	case -EADDRNOTAVAIL:
		refuse(cause, size, "forward \"%s\": this host has no address %s; choose one that `ip address` lists",
		       text, address);
		break;
	case -EAFNOSUPPORT:
		refuse(cause, size, "forward \"%s\": this host has no IPv6; choose an IPv4 address", text);
		break;
	case -EMFILE:
		refuse(cause, size, "forward \"%s\": no descriptor is left; raise the limit (ulimit -n)", text);
		break;
	default:
		refuse(cause, size, "forward \"%s\": %s", text, strerror(-rc));
		break;
	}
	return rc;
}

static int set_options(int fd, const struct forward *forward)
{
	const int yes = 1, no = 0;
	const struct in6_addr *address = &forward->listen.address;

	/* As servers do: connections of an earlier run that linger do not matter. For UDP it would share the port. */
	if (forward->protocol == IPPROTO_TCP && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0)
		return -errno;
	if (net_is_ipv4(address))
		return 0;
	return setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, IN6_IS_ADDR_UNSPECIFIED(address) ? &no : &yes, sizeof yes) < 0
	               ? -errno
	               : 0;
}

static void on_ready(struct socket_source *source, uint32_t events);

static int open_listener(struct nat *nat, struct listener *listener)
{
	const struct forward *forward = &listener->forward;
	const bool tcp = forward->protocol == IPPROTO_TCP;
	struct sockaddr_storage at;
	socklen_t len = net_to_sockaddr(&forward->listen, &at);
	struct net_endpoint bound;
	int rc, fd = sockets_open(nat->sockets, at.ss_family, tcp ? SOCK_STREAM : SOCK_DGRAM, 0);

	if (fd < 0)
		return fd;
	listener->source = (struct socket_source){ .ready = on_ready, .fd = fd, .input_only = true };
	rc = set_options(fd, forward);
	rc = rc ? rc : nat->host->socket_bind(nat->dev, fd, (struct sockaddr *)&at, len);
	if (!rc && tcp && listen(fd, SOMAXCONN) < 0)
		rc = -errno;
	len = sizeof at;
	if (!rc && getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		rc = -errno;
	if (!rc)
		rc = net_from_sockaddr((struct sockaddr *)&at, &bound);
	if (!rc)
		listener->forward.listen.port = bound.port;
	return rc;
}

int forwards_new(struct nat *nat, struct forwards **out, char *cause, size_t size)
{
	const struct capsa_value *list = nat->neighbours.isolated ? NULL : nat->options.forward;
	const size_t n = list ? list->n_items : 0;
	struct forwards *forwards = calloc(1, sizeof *forwards + n * sizeof *forwards->listeners);
	int rc = 0;

	*out = NULL;
	if (!forwards)
		return -ENOMEM;
	forwards->nat = nat;
	while (!rc && forwards->n < n) {
		struct listener *listener = &forwards->listeners[forwards->n];
		const char *text = list->items[forwards->n].string;

		listener->forwards = forwards;
		listener->source.fd = -1;
		rc = forward_parse(text, &listener->forward, cause, size);
		if (rc)
			break;
		forwards->n++;
		rc = open_listener(nat, listener);
		if (rc)
			bind_failed(rc, text, &listener->forward, cause, size);
	}
	if (rc) {
		forwards_free(forwards);
		return rc;
	}
	*out = forwards;
	return 0;
}

void forwards_free(struct forwards *forwards)
{
	struct nat *nat;

	if (!forwards)
		return;
	nat = forwards->nat;
	timeout_clear(nat->timeouts, &forwards->retry);
	for (unsigned i = 0; i < forwards->n; i++) {
		if (forwards->listeners[i].published)
			udp_unpublish(nat, forwards->listeners[i].published);
		else
			sockets_close(nat->sockets, &forwards->listeners[i].source);
	}
	free(forwards);
	nat->forwards = NULL; /* flows that end later find nobody to resume */
}

unsigned forwards_count(const struct forwards *forwards)
{
	return forwards->n;
}

const struct forward *forwards_get(const struct forwards *forwards, unsigned n)
{
	return n < forwards->n ? &forwards->listeners[n].forward : NULL;
}

/* ---- whom the guest sees ---- */

bool forward_guest_is_there(const struct nat *nat)
{
	return nic_is_active(nat->nic) && nat->options.link;
}

/* Its own address would mean something else there, or lead nowhere. */
static bool can_be_shown(const struct nat *nat, const struct in6_addr *peer)
{
	return nat->options.keep_source && (net_is_ipv4(peer) || nat->ipv6) && !net_is_loopback(peer) &&
	       !net_is_link_local(peer) && !nat_is_guest_address(nat, peer) && !nat_is_gateway_address(nat, peer) &&
	       !nat_is_neighbour(nat, peer);
}

int forward_key(const struct nat *nat, const struct net_endpoint *peer, uint16_t guest_port, struct flow_key *key)
{
	const bool shown = can_be_shown(nat, &peer->address);
	const bool ipv4 = !shown || net_is_ipv4(&peer->address);

	key->guest = (struct net_endpoint){ .address = ipv4 ? nat->guest4 : nat->guest6_seen, .port = guest_port };
	key->far = (struct net_endpoint){ .address = shown ? peer->address : nat->gateway4, .port = peer->port };
	if ((shown || peer->port >= PORT_FIRST) && !flows_find(nat->flows, key))
		return 0;
	for (unsigned i = 1; i <= PORTS_TRIED; i++) {
		/* Downwards from the peer's own, around in PORT_FIRST..65535: near it is free in most cases. */
		const unsigned ports = UINT16_MAX + 1 - PORT_FIRST;

		key->far.port = (uint16_t)(PORT_FIRST + (peer->port + ports - i) % ports);
		if (!flows_find(nat->flows, key))
			return 0;
	}
	return -EADDRINUSE;
}

/* ---- accepting ---- */

static void wait_for_better(struct listener *listener)
{
	listener->waiting = true;
	listener->forwards->any_waits = true;
}

static void on_retry(struct timeout *timeout)
{
	struct forwards *forwards = (struct forwards *)((char *)timeout - offsetof(struct forwards, retry));

	forwards_resume(forwards);
}

static void wait_for_descriptor(struct listener *listener)
{
	struct forwards *forwards = listener->forwards;

	wait_for_better(listener);
	forwards->retry.call = on_retry;
	timeout_set(forwards->nat->timeouts, &forwards->retry, RETRY);
}

static void take_connection(struct listener *listener, int fd, const struct sockaddr_storage *from)
{
	struct nat *nat = listener->forwards->nat;
	struct flow_key key = { .protocol = IPPROTO_TCP };
	struct net_endpoint peer;
	int rc = net_from_sockaddr((const struct sockaddr *)from, &peer);

	rc = rc ? rc : forward_key(nat, &peer, listener->forward.guest_port, &key);
	rc = rc ? rc : sockets_adopt(nat->sockets, fd);
	if (rc) {
		flow_refused(nat, &key, rc);
		close(fd);
		return;
	}
	rc = tcp_open_inbound(nat, fd, &key.far, &key.guest);
	if (rc == -EMFILE || rc == -ENOMEM)
		nat->host->log(nat->dev, CAPSA_LOG_DEBUG, "a connection to port %u: %s", listener->forward.listen.port,
		               strerror(-rc));
}

/* Of errors of accept4(2): those of the connection itself are not the listener's. */
static bool is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void on_ready(struct socket_source *source, uint32_t events)
{
	struct listener *listener = (struct listener *)source;
	struct nat *nat = listener->forwards->nat;

	(void)events;
	for (unsigned i = 0; i < ACCEPT_BUDGET; i++) {
		struct sockaddr_storage from = { 0 };
		socklen_t len = sizeof from;
		int fd;

		if (!forward_guest_is_there(nat) ||
		    (flows_count(nat->flows) >= nat->options.max_flows && !udp_has_idle(nat))) {
			wait_for_better(listener);
			return;
		}
		fd = accept4(source->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			take_connection(listener, fd, &from);
		} else if (is_shortage(errno)) {
			wait_for_descriptor(listener);
			return;
		} else if (errno == EAGAIN) {
			return;
		}
	}
	sockets_again(nat->sockets, source, EPOLLIN);
}

int forwards_start(struct forwards *forwards)
{
	struct nat *nat = forwards->nat;

	for (unsigned i = 0; i < forwards->n; i++) {
		struct listener *listener = &forwards->listeners[i];
		int rc;

		if (listener->forward.protocol == IPPROTO_UDP)
			rc = udp_publish(nat, listener->source.fd, listener->forward.guest_port, &listener->published);
		else
			rc = sockets_add(nat->sockets, &listener->source);
		if (rc)
			return rc;
	}
	return 0;
}

void forwards_resume(struct forwards *forwards)
{
	if (!forwards || !forwards->any_waits)
		return;
	forwards->any_waits = false;
	for (unsigned i = 0; i < forwards->n; i++) {
		struct listener *listener = &forwards->listeners[i];

		if (!listener->waiting)
			continue;
		listener->waiting = false;
		sockets_again(forwards->nat->sockets, &listener->source, EPOLLIN);
	}
}
