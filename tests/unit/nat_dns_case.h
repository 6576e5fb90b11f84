/* SPDX-License-Identifier: MIT */
/*
 * nat_dns_case.h - what tests of the DNS forwarder have in common: a guest (nat_guest.h), upstreams of the test's own
 * on loopback, which answer what and when the test says, and messages in wire form.
 *
 *     static struct dns_case c;
 *     struct dns_text q = dns_text_question(7, "\3www\4test", ns_t_a, 0), heard;
 *
 *     dns_case_begin(&c, 1, "");
 *     dns_case_ask(&c, 4000, &q);
 *     assert_true(dns_case_hear(&c, 0, &heard));
 *     a = dns_text_answer(&heard, ns_r_noerror);
 *     dns_case_say(&c, 0, &a);
 *     got = dns_case_receive(&c, 4000);
 *     dns_case_end(&c);
 */
#ifndef CAPSA_TESTS_NAT_DNS_CASE_H
#define CAPSA_TESTS_NAT_DNS_CASE_H

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netinet/in.h>

#include "tests/unit/nat_guest.h"

#define DNS_CASE_SERVERS 5u

struct dns_text {
	unsigned char bytes[8192];
	size_t len;
	struct sockaddr_in from; /* of one that a server has heard, and of the answers to it */
};

struct dns_server {
	int udp, tcp;
	uint16_t port;
	unsigned last; /* byte of its address: 127.0.0.last */
};

struct dns_case {
	struct nat_guest guest;
	struct nat_frame frame;
	struct dns_server servers[DNS_CASE_SERVERS];
	unsigned n;
	struct dns_text got;
};

/* With `n` upstreams at 127.0.0.1, for UDP and TCP; `options` as in a file. */
void dns_case_begin(struct dns_case *c, unsigned n, const char *options);
void dns_case_end(struct dns_case *c);
/* The server is not there any more; it is, at its address and port. */
void dns_case_stop(struct dns_case *c, unsigned server);
void dns_case_restart(struct dns_case *c, unsigned server);
/* Turns until there is nothing to do. */
void dns_case_settle(struct dns_case *c);

/* By UDP from that port of the guest's. */
void dns_case_ask(struct dns_case *c, uint16_t port, const struct dns_text *question);
/* What the guest gets next, which must be an answer to that port. */
const struct dns_text *dns_case_receive(struct dns_case *c, uint16_t port);
/* The same, with its code. */
void dns_case_receive_code(struct dns_case *c, uint16_t port, unsigned code);
/* What a server has been asked by UDP. False: nothing. */
bool dns_case_hear(struct dns_case *c, unsigned server, struct dns_text *question);
/* To where answer->from says. */
void dns_case_say(struct dns_case *c, unsigned server, const struct dns_text *answer);

/* Names are labels in wire form without the root: "\3www\4test". `udp_size`: EDNS with that; 0: without. */
struct dns_text dns_text_question(unsigned id, const char *wire, unsigned type, unsigned udp_size);
/* Header and question of it, as an answer. */
struct dns_text dns_text_answer(const struct dns_text *question, unsigned code);
void dns_text_put(struct dns_text *m, const void *bytes, size_t len);
void dns_text_put16(struct dns_text *m, unsigned value);
/* In the answer section; `owner` NULL: a pointer to the question's name. */
void dns_text_record(struct dns_text *m, const char *owner, unsigned type, uint32_t ttl, const void *data, size_t len);
void dns_text_cname(struct dns_text *m, const char *owner, uint32_t ttl, const char *target);
void dns_text_address(struct dns_text *m, const char *owner, uint32_t ttl, const char *address);
unsigned dns_text_id(const struct dns_text *m);
/* The same but for the identifier. */
void dns_text_check(const struct dns_text *got, const struct dns_text *expected);

#endif
