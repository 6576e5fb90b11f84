/* SPDX-License-Identifier: MIT */
/*
 * dns-message.h - DNS messages (RFC 1035, 4; RFC 6891) taken apart as far as the forwarder must. No state; any thread.
 *
 * Guest and upstreams are hostile: structure is checked by libresolv's ns_initparse(3), lengths and counts by it and
 * here, chains of names are bounded.
 */
#ifndef CAPSA_NAT_DNS_MESSAGE_H
#define CAPSA_NAT_DNS_MESSAGE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_MESSAGE_MAX 65535u
#define DNS_HEADER 12u
#define DNS_NAME_MAX 256u /* as of names_normal(), with the NUL */
#define DNS_UDP_DEFAULT 512u
#define DNS_OPT 11u /* bytes of an OPT without options */

struct dns_question {
	uint16_t id;
	uint16_t type, class;
	char name[DNS_NAME_MAX]; /* names_normal(); "" where it has no such form */
	bool named;              /* it has */
	/* The same with '?' for bytes that no normal form has: what rules that deny a domain are asked about. */
	char likeness[DNS_NAME_MAX];
	size_t end;           /* bytes up to the end of the question */
	size_t udp_size;      /* the longest answer that the asker takes by UDP */
	bool edns, dnssec_ok; /* it has an OPT; with DO (RFC 3225) */
};

/*
 * A question to us. 0; -EBADMSG: no answer is due (too short, an answer itself); or the code to refuse it with
 * (ns_r_formerr, ns_r_notimpl), with id and end filled in as far as there is something.
 */
int dns_message_question(const unsigned char *message, size_t len, struct dns_question *out);
/* Whether `answer` is one to `question` (as sent, question->end bytes are compared; names without case). */
bool dns_message_answers(const unsigned char *answer, size_t len, const unsigned char *question, size_t end);
int dns_message_code(const unsigned char *message); /* ns_r_* of a header that is there */
bool dns_message_is_truncated(const unsigned char *message);

/* The answer without records: header and question of `message`, with this code. Returns its length. */
size_t dns_message_refuse(const unsigned char *message, const struct dns_question *question, int code,
                          unsigned char reply[DNS_HEADER + 255 + 4]);
/*
 * Who asked with an OPT gets one (RFC 6891, 6.1.1): appended to an answer that has no additional records, DNS_OPT
 * bytes. Returns the new length.
 */
size_t dns_message_add_opt(unsigned char *message, size_t len, const struct dns_question *question);
/* Cuts an answer down to its question and says so (TC). Returns the new length. */
size_t dns_message_truncate(unsigned char *message, size_t len, size_t end);
void dns_message_set_id(unsigned char *message, uint16_t id);

/*
 * The addresses that the answer section gives the question's name, along its CNAMEs, with the least TTL on the way.
 * `qname` as of names_normal(). An answer that is malformed has none.
 */
void dns_message_addresses(const unsigned char *answer, size_t len, const char *qname,
                           void (*each)(void *ctx, const struct in6_addr *address, uint32_t ttl), void *ctx);

#endif
