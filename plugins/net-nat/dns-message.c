/* SPDX-License-Identifier: MIT */
/* dns-message.c - see dns-message.h. Called by dns.c and dns-stream.c; fuzzed by tests/fuzz/dns_fuzz.c. */
#include "plugins/net-nat/dns-message.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <string.h>

#include "plugins/net/address.h"
#include "plugins/net-nat/names.h"

#define CHAIN_MAX 16u   /* CNAMEs, one behind the other */
#define RECORDS_MAX 512 /* of an answer that are looked at */

#define LOOKS_MAX 1024 /* at records of one answer in all: a name can be long to unpack */

#define OPT_DNSSEC_OK 0x8000u /* in OPT's TTL */
#define OPT_UDP_SIZE 1232u    /* what we say that we take */

#define HEADER_QR 0x80 /* in byte 2 */
#define HEADER_OPCODE 0x78
#define HEADER_TC 0x02
#define HEADER_RD 0x01
#define HEADER_RA 0x80 /* in byte 3 */
#define HEADER_CD 0x10
#define HEADER_CODE 0x0f

static uint16_t get16(const unsigned char *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void put16(unsigned char *at, uint16_t value)
{
	at[0] = (unsigned char)(value >> 8);
	at[1] = (unsigned char)value;
}

void dns_message_set_id(unsigned char *message, uint16_t id)
{
	put16(message, id);
}

int dns_message_code(const unsigned char *message)
{
	return message[3] & HEADER_CODE;
}

bool dns_message_is_truncated(const unsigned char *message)
{
	return message[2] & HEADER_TC;
}

/* The end of the one question behind the header, or 0. Its name is not compressed: there is nothing to point to. */
static size_t question_end(const unsigned char *message, size_t len)
{
	size_t at = DNS_HEADER;

	while (at < len && message[at]) {
		if (message[at] > NS_MAXLABEL)
			return 0;
		at += message[at] + 1u;
	}
	if (at - DNS_HEADER >= NS_MAXCDNAME || at + 5 > len)
		return 0;
	return at + 5;
}

static unsigned char lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c - 'A' + 'a') : c;
}

/* Of a name that question_end() has walked. */
static void put_likeness(const unsigned char *wire, char *to)
{
	while (*wire) {
		for (unsigned n = *wire++; n > 0; n--, wire++)
			*to++ = *wire > ' ' && *wire <= '~' && *wire != '.' && *wire != '\\' ? (char)lower(*wire) : '?';
		if (*wire)
			*to++ = '.';
	}
	*to = '\0';
}

static void take_opt(ns_msg *parsed, struct dns_question *out)
{
	ns_rr rr;

	for (int i = 0; i < ns_msg_count(*parsed, ns_s_ar) && i < RECORDS_MAX; i++) {
		if (ns_parserr(parsed, ns_s_ar, i, &rr) < 0 || ns_rr_type(rr) != ns_t_opt)
			continue;
		out->edns = true;
		out->dnssec_ok = ns_rr_ttl(rr) & OPT_DNSSEC_OK;
		if (ns_rr_class(rr) > DNS_UDP_DEFAULT)
			out->udp_size = ns_rr_class(rr);
		return;
	}
}

int dns_message_question(const unsigned char *message, size_t len, struct dns_question *out)
{
	ns_msg parsed;
	ns_rr rr;

	*out = (struct dns_question){ .udp_size = DNS_UDP_DEFAULT, .end = DNS_HEADER };
	if (len < DNS_HEADER || len > DNS_MESSAGE_MAX || (message[2] & HEADER_QR))
		return -EBADMSG;
	out->id = get16(message);
	if (message[2] & HEADER_OPCODE)
		return ns_r_notimpl;
	if (get16(message + 4) != 1 || !question_end(message, len))
		return ns_r_formerr;
	out->end = question_end(message, len);
	if (ns_initparse(message, (int)len, &parsed) < 0 || ns_parserr(&parsed, ns_s_qd, 0, &rr) < 0)
		return ns_r_formerr;
	out->type = ns_rr_type(rr);
	out->class = ns_rr_class(rr);
	out->named = names_normal(ns_rr_name(rr), out->name, sizeof out->name) == 0;
	if (!out->named)
		out->name[0] = '\0';
	put_likeness(message + DNS_HEADER, out->likeness);
	take_opt(&parsed, out);
	return 0;
}

bool dns_message_answers(const unsigned char *answer, size_t len, const unsigned char *question, size_t end)
{
	if (len < end || len < DNS_HEADER || !(answer[2] & HEADER_QR) || get16(answer) != get16(question) ||
	    get16(answer + 4) != 1)
		return false;
	for (size_t i = DNS_HEADER; i < end - 4; i++) /* lengths of labels are no letters */
		if (lower(answer[i]) != lower(question[i]))
			return false;
	return memcmp(answer + end - 4, question + end - 4, 4) == 0;
}

size_t dns_message_refuse(const unsigned char *message, const struct dns_question *question, int code,
                          unsigned char reply[DNS_HEADER + 255 + 4])
{
	memset(reply, 0, DNS_HEADER);
	memcpy(reply, message, 3);
	reply[2] = (unsigned char)((reply[2] & (HEADER_OPCODE | HEADER_RD)) | HEADER_QR);
	reply[3] = (unsigned char)(HEADER_RA | (message[3] & HEADER_CD) | (code & HEADER_CODE));
	if (question->end == DNS_HEADER)
		return DNS_HEADER;
	put16(reply + 4, 1);
	memcpy(reply + DNS_HEADER, message + DNS_HEADER, question->end - DNS_HEADER);
	return question->end;
}

size_t dns_message_add_opt(unsigned char *message, size_t len, const struct dns_question *question)
{
	unsigned char *at = message + len;

	if (!question->edns)
		return len;
	put16(message + 10, 1);
	memset(at, 0, DNS_OPT); /* the root, and no options */
	put16(at + 1, ns_t_opt);
	put16(at + 3, OPT_UDP_SIZE);
	put16(at + 7, question->dnssec_ok ? OPT_DNSSEC_OK : 0);
	return len + DNS_OPT;
}

size_t dns_message_truncate(unsigned char *message, size_t len, size_t end)
{
	message[2] |= HEADER_TC;
	memset(message + 6, 0, 6); /* no records */
	return len < end ? len : end;
}

/* ---- what an answer says ---- */

struct chain {
	char name[DNS_NAME_MAX];
	uint32_t ttl;
	unsigned looks;
};

static bool is_for(const ns_rr *rr, const char *name)
{
	char owner[DNS_NAME_MAX];

	return names_normal(ns_rr_name(*rr), owner, sizeof owner) == 0 && strcmp(owner, name) == 0;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* 1: `chain` has a CNAME, and goes on from there; 0: it has none; -EBADMSG: it has one to nowhere. */
static int follow(ns_msg *parsed, int n, struct chain *chain)
{
	char text[NS_MAXDNAME], next[DNS_NAME_MAX];
	ns_rr rr;

	for (int i = 0; i < n; i++) {
		if (chain->looks++ >= LOOKS_MAX || ns_parserr(parsed, ns_s_an, i, &rr) < 0)
			return -EBADMSG;
		if (ns_rr_type(rr) != ns_t_cname || ns_rr_class(rr) != ns_c_in || !is_for(&rr, chain->name))
			continue;
		if (ns_name_uncompress(ns_msg_base(*parsed), ns_msg_end(*parsed), ns_rr_rdata(rr), text, sizeof text) <
		            0 ||
		    names_normal(text, next, sizeof next) < 0)
			return -EBADMSG;
		memcpy(chain->name, next, sizeof next);
		chain->ttl = least(chain->ttl, ns_rr_ttl(rr));
		return 1;
	}
	return 0;
}

static bool address_of(const ns_rr *rr, struct in6_addr *out)
{
	struct in_addr ipv4;

	if (ns_rr_class(*rr) != ns_c_in)
		return false;
	if (ns_rr_type(*rr) == ns_t_a && ns_rr_rdlen(*rr) == sizeof ipv4) {
		memcpy(&ipv4, ns_rr_rdata(*rr), sizeof ipv4);
		*out = net_from_ipv4(ipv4);
		return true;
	}
	if (ns_rr_type(*rr) == ns_t_aaaa && ns_rr_rdlen(*rr) == sizeof *out) {
		memcpy(out, ns_rr_rdata(*rr), sizeof *out);
		return !net_is_ipv4(out);
	}
	return false;
}

void dns_message_addresses(const unsigned char *answer, size_t len, const char *qname,
                           void (*each)(void *ctx, const struct in6_addr *address, uint32_t ttl), void *ctx)
{
	struct chain chain = { .ttl = UINT32_MAX };
	struct in6_addr address;
	ns_msg parsed;
	ns_rr rr;
	int n, rc = 1;

	if (len > DNS_MESSAGE_MAX || strlen(qname) >= sizeof chain.name || ns_initparse(answer, (int)len, &parsed) < 0)
		return;
	strcpy(chain.name, qname);
	n = ns_msg_count(parsed, ns_s_an) < RECORDS_MAX ? ns_msg_count(parsed, ns_s_an) : RECORDS_MAX;
	/* A chain that is longer, or a circle, has no end, and so no address. The last look, which finds no CNAME, has
	 * seen that each record can be read. */
	for (unsigned i = 0; i <= CHAIN_MAX && rc == 1; i++)
		rc = follow(&parsed, n, &chain);
	if (rc)
		return;
	for (int i = 0; i < n; i++) {
		if (chain.looks++ >= LOOKS_MAX || ns_parserr(&parsed, ns_s_an, i, &rr) < 0)
			return;
		if (is_for(&rr, chain.name) && address_of(&rr, &address))
			each(ctx, &address, least(chain.ttl, ns_rr_ttl(rr)));
	}
}
