/* SPDX-License-Identifier: MIT */
/* nat_dns_case.c - see nat_dns_case.h. */
#include "tests/unit/nat_dns_case.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plugins/net-nat/dns.h"

#define PORTS_TRIED 100u

/* ---- messages ---- */

void dns_text_put(struct dns_text *m, const void *bytes, size_t len)
{
	assert_true(m->len + len <= sizeof m->bytes);
	memcpy(m->bytes + m->len, bytes, len);
	m->len += len;
}

void dns_text_put16(struct dns_text *m, unsigned value)
{
	const unsigned char bytes[2] = { (unsigned char)(value >> 8), (unsigned char)value };

	dns_text_put(m, bytes, sizeof bytes);
}

struct dns_text dns_text_question(unsigned id, const char *wire, unsigned type, unsigned udp_size)
{
	const unsigned header[6] = { id, 0x0100 /* RD */, 1, 0, 0, udp_size ? 1 : 0 };
	struct dns_text m = { .len = 0 };

	for (unsigned i = 0; i < 6; i++)
		dns_text_put16(&m, header[i]);
	dns_text_put(&m, wire, strlen(wire) + 1);
	dns_text_put16(&m, type);
	dns_text_put16(&m, ns_c_in);
	if (!udp_size)
		return m;
	dns_text_put(&m, "\0\0\x29", 3);
	dns_text_put16(&m, udp_size);
	dns_text_put(&m, "\0\0\0\0\0\0", 6);
	return m;
}

struct dns_text dns_text_answer(const struct dns_text *question, unsigned code)
{
	struct dns_text m = *question;

	for (m.len = NS_HFIXEDSZ; m.bytes[m.len];)
		m.len += m.bytes[m.len] + 1u;
	m.len += 1 + NS_QFIXEDSZ;
	m.bytes[2] |= 0x80;
	m.bytes[3] = (unsigned char)(0x80 | code);
	memset(m.bytes + 6, 0, 6);
	return m;
}

void dns_text_record(struct dns_text *m, const char *owner, unsigned type, uint32_t ttl, const void *data, size_t len)
{
	const unsigned n = (unsigned)(m->bytes[6] << 8 | m->bytes[7]) + 1;

	m->bytes[6] = (unsigned char)(n >> 8);
	m->bytes[7] = (unsigned char)n;
	if (owner)
		dns_text_put(m, owner, strlen(owner) + 1);
	else
		dns_text_put16(m, 0xc000 | NS_HFIXEDSZ);
	dns_text_put16(m, type);
	dns_text_put16(m, ns_c_in);
	dns_text_put16(m, ttl >> 16);
	dns_text_put16(m, ttl & 0xffff);
	dns_text_put16(m, (unsigned)len);
	dns_text_put(m, data, len);
}

void dns_text_cname(struct dns_text *m, const char *owner, uint32_t ttl, const char *target)
{
	dns_text_record(m, owner, ns_t_cname, ttl, target, strlen(target) + 1);
}

void dns_text_address(struct dns_text *m, const char *owner, uint32_t ttl, const char *address)
{
	const bool ipv6 = strchr(address, ':') != NULL;
	unsigned char bytes[16];

	assert_int_equal(inet_pton(ipv6 ? AF_INET6 : AF_INET, address, bytes), 1);
	dns_text_record(m, owner, ipv6 ? ns_t_aaaa : ns_t_a, ttl, bytes, ipv6 ? 16 : 4);
}

unsigned dns_text_id(const struct dns_text *m)
{
	return ns_get16(m->bytes);
}

void dns_text_check(const struct dns_text *got, const struct dns_text *expected)
{
	assert_int_equal(got->len, expected->len);
	assert_memory_equal(got->bytes + 2, expected->bytes + 2, expected->len - 2);
}

/* ---- upstreams ---- */

/* -1: somebody else is there. */
static int bound(int type, const struct dns_server *s)
{
	const struct sockaddr_in at = { .sin_family = AF_INET,
		                        .sin_addr.s_addr = htonl(0x7f000000 | s->last),
		                        .sin_port = htons(s->port) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	const int on = 1;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
	if (bind(fd, (const struct sockaddr *)&at, sizeof at) == 0 && (type != SOCK_STREAM || listen(fd, 64) == 0))
		return fd;
	assert_int_equal(errno, EADDRINUSE);
	close(fd);
	return -1;
}

/* A port that UDP has free may be one that a connection of TCP's had just now. */
static void begin_server(struct dns_server *s)
{
	s->last = 1;
	for (unsigned i = 0; i < PORTS_TRIED; i++) {
		s->udp = nat_peer(AF_INET, SOCK_DGRAM, &s->port);
		s->tcp = bound(SOCK_STREAM, s);
		if (s->tcp >= 0)
			return;
		close(s->udp);
	}
	fail_msg("no port that is free for both UDP and TCP");
}

void dns_case_stop(struct dns_case *c, unsigned server)
{
	struct dns_server *s = &c->servers[server];

	if (s->udp >= 0)
		close(s->udp);
	if (s->tcp >= 0)
		close(s->tcp);
	s->udp = s->tcp = -1;
}

void dns_case_restart(struct dns_case *c, unsigned server)
{
	struct dns_server *s = &c->servers[server];

	s->udp = bound(SOCK_DGRAM, s);
	s->tcp = bound(SOCK_STREAM, s);
	if (s->udp < 0 || s->tcp < 0)
		fail_msg("port %u is in use", s->port);
}

/* ---- life ---- */

void dns_case_begin(struct dns_case *c, unsigned n, const char *options)
{
	char text[2048];
	size_t len = 0;

	/* Servers come first and go last: descriptors are counted between. */
	c->n = n;
	len += (size_t)snprintf(text, sizeof text, "search = [ ]; dns = [ ");
	for (unsigned i = 0; i < n; i++) {
		begin_server(&c->servers[i]);
		len += (size_t)snprintf(text + len, sizeof text - len, "%s\"127.0.0.1:%u\"", i ? ", " : "",
		                        c->servers[i].port);
	}
	snprintf(text + len, sizeof text - len, " ]; %s", options);
	nat_begin(&c->guest, text);
	dns_case_settle(c);
	while (nat_receive_now(&c->guest, &c->frame)) /* what the gateway says of itself */
		;
}

void dns_case_end(struct dns_case *c)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->servers[i].udp < 0)
			dns_case_restart(c, i);
	nat_end(&c->guest);
	for (unsigned i = 0; i < c->n; i++)
		dns_case_stop(c, i);
}

void dns_case_settle(struct dns_case *c)
{
	while (nat_turn(&c->guest))
		;
}

/* ---- questions and answers ---- */

void dns_case_ask(struct dns_case *c, uint16_t port, const struct dns_text *question)
{
	nat_send_udp(&c->guest, NAT_GUEST, port, NAT_GATEWAY, DNS_PORT, question->bytes, question->len);
	dns_case_settle(c);
}

const struct dns_text *dns_case_receive(struct dns_case *c, uint16_t port)
{
	const struct packet *packet = &c->frame.packet;

	nat_receive(&c->guest, &c->frame);
	assert_int_equal(packet->protocol, IPPROTO_UDP);
	assert_int_equal(packet->source_port, DNS_PORT);
	assert_int_equal(packet->target_port, port);
	assert_in_range(packet->payload_len, NS_HFIXEDSZ, sizeof c->got.bytes);
	c->got.len = packet->payload_len;
	memcpy(c->got.bytes, c->frame.bytes + packet->payload, c->got.len);
	assert_true(c->got.bytes[2] & 0x80);
	return &c->got;
}

void dns_case_receive_code(struct dns_case *c, uint16_t port, unsigned code)
{
	assert_int_equal(dns_case_receive(c, port)->bytes[3] & 0xf, code);
}

bool dns_case_hear(struct dns_case *c, unsigned server, struct dns_text *question)
{
	socklen_t len = sizeof question->from;
	ssize_t n;

	dns_case_settle(c);
	n = recvfrom(c->servers[server].udp, question->bytes, sizeof question->bytes, MSG_DONTWAIT,
	             (struct sockaddr *)&question->from, &len);
	question->len = n > 0 ? (size_t)n : 0;
	return n >= 0;
}

void dns_case_say(struct dns_case *c, unsigned server, const struct dns_text *answer)
{
	assert_int_equal(sendto(c->servers[server].udp, answer->bytes, answer->len, 0,
	                        (const struct sockaddr *)&answer->from, sizeof answer->from),
	                 answer->len);
}
