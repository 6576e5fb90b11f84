/* SPDX-License-Identifier: MIT */
/*
 * dns-members.c - names and addresses of neighbours, where the gateway has any (nat.h). Called by dns.c, before the
 * policy is asked: that a neighbour is there is no secret to the guest.
 *
 *   vm2, A or AAAA               its addresses; no such neighbour: not ours, the way of all other names
 *   vm2.lab.cluster              the same, but no such neighbour is NXDOMAIN: nobody outside is asked
 *   PTR of an address in the     vm2.lab.cluster, or NXDOMAIN
 *   guest's subnets
 *
 * Other types of a name that is there have no records (RFC 2308, 2.2).
 */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "plugins/net-nat/dns-private.h"

#define MEMBERS_TTL 5u /* seconds: they come and go */
#define IPV4_SUFFIX ".in-addr.arpa"
#define IPV6_SUFFIX ".ip6.arpa"
#define NIBBLES 32u

struct asked {
	struct dns *dns;
	const struct dns_asker *asker;
	const unsigned char *message;
	const struct dns_question *question;
};

static void answer_nothing(const struct asked *a, int code)
{
	dns_reply(a->dns, a->asker, a->message, a->question, code, &(struct dns_records){ .n = 0 });
}

/* How long the name is without `suffix`, or 0: it does not end so. */
static size_t len_before(const char *name, const char *suffix)
{
	const size_t len = strlen(name), n = strlen(suffix);

	return len > n && strcasecmp(name + len - n, suffix) == 0 ? len - n : 0;
}

/* ---- names ---- */

static bool answer_name(const struct asked *a, const char *name)
{
	const struct nat_neighbours *n = &a->dns->nat->neighbours;
	const bool ipv6 = a->question->type == ns_t_aaaa;
	struct in6_addr found[DNS_RECORDS_MAX];
	unsigned n_found = 0;

	if (!n->lookup(n->ctx, name, ipv6, found, DNS_RECORDS_MAX, &n_found))
		return false;
	if (a->question->type == ns_t_a || (ipv6 && a->dns->nat->ipv6))
		dns_reply_addresses(a->dns, a->asker, a->message, a->question, found, n_found, MEMBERS_TTL);
	else
		answer_nothing(a, ns_r_noerror);
	return true;
}

static bool answer_in_domain(const struct asked *a, const char *domain)
{
	char suffix[DNS_NAME_MAX + 1], name[DNS_NAME_MAX];
	size_t len;

	if (strcasecmp(a->question->name, domain) == 0) {
		answer_nothing(a, ns_r_noerror);
		return true;
	}
	snprintf(suffix, sizeof suffix, ".%s", domain);
	len = len_before(a->question->name, suffix);
	if (!len)
		return false;
	memcpy(name, a->question->name, len);
	name[len] = '\0';
	if (!answer_name(a, name))
		answer_nothing(a, ns_r_nxdomain);
	return true;
}

/* ---- addresses ---- */

/* "11.3.0.10": the last byte first. */
static bool take_reversed4(const char *text, struct in6_addr *out)
{
	struct in_addr reversed;

	if (inet_pton(AF_INET, text, &reversed) != 1)
		return false;
	reversed.s_addr = __builtin_bswap32(reversed.s_addr);
	*out = net_from_ipv4(reversed);
	return true;
}

/* "1.0.0. ... .d.f": the last nibble first, each a label (RFC 3596, 2.5). */
static bool take_reversed6(const char *text, size_t len, struct in6_addr *out)
{
	static const char digits[] = "0123456789abcdef";

	if (len != 2 * NIBBLES - 1)
		return false;
	memset(out, 0, sizeof *out);
	for (unsigned i = 0; i < NIBBLES; i++) {
		const char *digit = strchr(digits, text[2 * i]);

		if (!digit || !*digit || (i + 1 < NIBBLES && text[2 * i + 1] != '.'))
			return false;
		out->s6_addr[15 - i / 2] |= (unsigned char)((digit - digits) << 4 * (i % 2));
	}
	return true;
}

static bool take_reversed(const char *name, struct in6_addr *out)
{
	char text[2 * NIBBLES];
	size_t len = len_before(name, IPV4_SUFFIX);
	const bool ipv4 = len > 0;

	if (!ipv4)
		len = len_before(name, IPV6_SUFFIX);
	if (!len || len >= sizeof text)
		return false;
	memcpy(text, name, len);
	text[len] = '\0';
	return ipv4 ? take_reversed4(text, out) : take_reversed6(text, len, out);
}

static bool is_of_subnets(const struct nat *nat, const struct in6_addr *a)
{
	return net_is_ipv4(a) ? net_prefix_has(&nat->options.subnet, a)
	                      : nat->ipv6 && net_prefix_has(&nat->options.subnet6, a);
}

static bool answer_address(const struct asked *a)
{
	const struct nat *nat = a->dns->nat;
	const struct nat_neighbours *n = &nat->neighbours;
	unsigned char wire[NS_MAXCDNAME];
	char text[DNS_NAME_MAX];
	struct in6_addr address;
	const char *name;
	int len = -1;

	if (!take_reversed(a->question->name, &address) || !is_of_subnets(nat, &address))
		return false;
	name = n->name_of(n->ctx, &address);
	if (name && (size_t)snprintf(text, sizeof text, "%s.%s", name, n->domain) < sizeof text)
		len = ns_name_compress(text, wire, sizeof wire, NULL, NULL);
	if (len > 0 && a->question->type == ns_t_ptr)
		dns_reply(a->dns, a->asker, a->message, a->question, ns_r_noerror,
		          &(struct dns_records){ .data = wire, .size = (size_t)len, .n = 1, .ttl = MEMBERS_TTL });
	else
		answer_nothing(a, name ? ns_r_noerror : ns_r_nxdomain);
	return true;
}

bool members_answer(struct dns *dns, const struct dns_asker *asker, const unsigned char *message,
                    const struct dns_question *question)
{
	const struct asked a = { dns, asker, message, question };
	const char *domain = dns->nat->neighbours.domain;

	if (!domain || question->class != ns_c_in || !question->named || !question->name[0])
		return false;
	if (!strchr(question->name, '.'))
		return answer_name(&a, question->name);
	return answer_in_domain(&a, domain) || answer_address(&a);
}
