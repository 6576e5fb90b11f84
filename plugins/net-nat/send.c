/* SPDX-License-Identifier: MIT */
/*
 * send.c - see send.h.
 *
 * Payload is passed on in pieces as it came; only headers are made here. What the caller's pieces point to must not
 * change while its checksum is made and sent, or the guest sees a wrong one.
 */
#include "plugins/net-nat/send.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "plugins/net-nat/flow.h"
#include "plugins/net-nat/rate.h"
#include "plugins/net/checksum.h"

#define TTL 64u
#define IPV6_FRAGMENT_HEADER 8u
#define IPV4_L4_MAX (IP_MAXPACKET - sizeof(struct iphdr))

static void put_target_mac(const struct nat *nat, const struct in6_addr *to, unsigned char mac[ETH_ALEN])
{
	if (IN6_IS_ADDR_MULTICAST(to)) { /* RFC 2464, 7 */
		mac[0] = mac[1] = 0x33;
		memcpy(mac + 2, to->s6_addr + 12, 4);
	} else if (net_is_multicast(to)) {
		memset(mac, 0xff, ETH_ALEN);
	} else {
		memcpy(mac, nat->guest_mac, ETH_ALEN);
	}
}

/* The frame whose headers are iov[0]. */
static int send_frame(struct nat *nat, unsigned pair, const struct iovec *iov, unsigned n, size_t len)
{
	int rc = nic_send(nat->nic, pair, NULL, iov, n);

	if (rc < 0) {
		counter_add(nat->counters.rx_dropped, 1);
		return rc;
	}
	rate_spend(nat->rate, RATE_IN, len);
	return 0;
}

/* Pieces of `iov` that hold its bytes from `from` on, `len` of them. Returns how many. */
static unsigned slice(const struct iovec *iov, unsigned n, size_t from, size_t len, struct iovec *out)
{
	unsigned n_out = 0;

	for (; n > 0 && len > 0; n--, iov++) {
		size_t take;

		if (from >= iov->iov_len) {
			from -= iov->iov_len;
			continue;
		}
		take = iov->iov_len - from;
		if (take > len)
			take = len;
		out[n_out++] = (struct iovec){ (unsigned char *)iov->iov_base + from, take };
		len -= take;
		from = 0;
	}
	return n_out;
}

/* An IPv4 header becomes one of a fragment. */
static void make_ipv4_fragment(unsigned char *ip, uint16_t id, size_t offset, bool more)
{
	const uint16_t where = htons((uint16_t)(offset / 8 | (more ? IP_MF : 0)));
	uint16_t sum;

	id = htons(id);
	memcpy(ip + 4, &id, 2);
	memcpy(ip + 6, &where, 2);
	memset(ip + 10, 0, 2);
	sum = checksum_finish(checksum_add(0, ip, sizeof(struct iphdr), 0));
	memcpy(ip + 10, &sum, 2);
}

static size_t put_ipv6_fragment(unsigned char *at, uint8_t protocol, uint32_t id, size_t offset, bool more)
{
	const uint16_t where = htons((uint16_t)(offset | (more ? 1 : 0)));

	at[0] = protocol;
	at[1] = 0;
	memcpy(at + 2, &where, 2);
	id = htonl(id);
	memcpy(at + 4, &id, 4);
	return IPV6_FRAGMENT_HEADER;
}

struct outgoing {
	const struct in6_addr *from, *to;
	uint8_t protocol, ttl;
	const struct iovec *l4;
	unsigned n;
	size_t len;
};

/* As many fragments as it takes, each as long as the MTU permits. What follows one that found no room is not sent. */
static int send_fragments(struct nat *nat, unsigned pair, const struct outgoing *p)
{
	const bool ipv4 = net_is_ipv4(p->from);
	const size_t overhead = ipv4 ? sizeof(struct iphdr) : sizeof(struct ip6_hdr) + IPV6_FRAGMENT_HEADER;
	const size_t piece = (nic_mtu(nat->nic) - overhead) & ~(size_t)7;
	const uint32_t id = ++nat->fragment_id;
	unsigned char headers[PACKET_HEADERS_MAX], mac[ETH_ALEN];
	struct iovec iov[1 + SEND_PIECES_MAX];
	int rc = 0;

	put_target_mac(nat, p->to, mac);
	for (size_t offset = 0; offset < p->len && rc == 0; offset += piece) {
		const bool more = p->len - offset > piece;
		const size_t len = more ? piece : p->len - offset;
		size_t at = packet_put_ether(headers, mac, nat->gateway_mac, packet_ether_type(p->from));
		unsigned char *ip = headers + at;

		if (ipv4) {
			at += packet_put_ip(ip, p->from, p->to, p->protocol, len, p->ttl, 0);
			make_ipv4_fragment(ip, (uint16_t)id, offset, more);
		} else {
			at += packet_put_ip(ip, p->from, p->to, IPPROTO_FRAGMENT, IPV6_FRAGMENT_HEADER + len, p->ttl,
			                    0);
			at += put_ipv6_fragment(headers + at, p->protocol, id, offset, more);
		}
		iov[0] = (struct iovec){ headers, at };
		rc = send_frame(nat, pair, iov, 1 + slice(p->l4, p->n, offset, len, iov + 1), at + len);
	}
	return rc;
}

int send_ip(struct nat *nat, unsigned pair, const struct in6_addr *from, const struct in6_addr *to, uint8_t protocol,
            uint8_t ttl, const struct iovec *l4, unsigned n)
{
	struct outgoing packet = { from, to, protocol, ttl, l4, n, 0 };
	unsigned char headers[PACKET_HEADERS_MAX], mac[ETH_ALEN];
	struct iovec iov[1 + SEND_PIECES_MAX];
	size_t at;

	assert(n <= SEND_PIECES_MAX);
	for (unsigned i = 0; i < n; i++)
		packet.len += l4[i].iov_len;
	if (packet.len > (net_is_ipv4(from) ? IPV4_L4_MAX : IP_MAXPACKET))
		return -EMSGSIZE;
	put_target_mac(nat, to, mac);
	at = packet_put_ether(headers, mac, nat->gateway_mac, packet_ether_type(from));
	at += packet_put_ip(headers + at, from, to, protocol, packet.len, ttl, 0);
	if (at + packet.len > ETH_HLEN + (size_t)nic_mtu(nat->nic))
		return send_fragments(nat, pair, &packet);
	iov[0] = (struct iovec){ headers, at };
	if (n > 0)
		memcpy(iov + 1, l4, n * sizeof *l4);
	return send_frame(nat, pair, iov, 1 + n, at + packet.len);
}

int send_udp(struct nat *nat, unsigned pair, const struct net_endpoint *from, const struct net_endpoint *to,
             const struct iovec *payload, unsigned n)
{
	struct udphdr header = { .uh_sport = htons(from->port), .uh_dport = htons(to->port) };
	struct iovec l4[SEND_PIECES_MAX];
	size_t len = sizeof header;
	uint32_t sum;

	assert(n < SEND_PIECES_MAX);
	l4[0] = (struct iovec){ &header, sizeof header };
	for (unsigned i = 0; i < n; i++) {
		l4[1 + i] = payload[i];
		len += payload[i].iov_len;
	}
	if (len > (net_is_ipv4(&from->address) ? IPV4_L4_MAX : IP_MAXPACKET))
		return -EMSGSIZE;
	header.uh_ulen = htons((uint16_t)len);
	sum = checksum_pseudo(&from->address, &to->address, IPPROTO_UDP, (uint32_t)len);
	header.uh_sum = checksum_finish(checksum_add_iov(sum, l4, 1 + n, 0, len));
	if (!header.uh_sum)
		header.uh_sum = 0xffff; /* RFC 768: 0 means none */
	return send_ip(nat, pair, &from->address, &to->address, IPPROTO_UDP, TTL, l4, 1 + n);
}

size_t send_put_headers(const struct nat *nat, const struct flow_key *key, size_t l4_len, unsigned char *at)
{
	size_t len = packet_put_ether(at, nat->guest_mac, nat->gateway_mac, packet_ether_type(&key->guest.address));

	return len + packet_put_ip(at + len, &key->far.address, &key->guest.address, key->protocol, l4_len, TTL, 0);
}
