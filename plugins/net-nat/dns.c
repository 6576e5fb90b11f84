/* SPDX-License-Identifier: MIT */
/*
 * dns.c - questions of the guest's, from their arrival to their answer: see dns.h.
 *
 * A question has one socket at a time. Upstreams have their turns, DNS_PATIENCE long, DNS_ROUNDS times round: a
 * datagram may be lost. Who has said no (SERVFAIL, ...) or cannot be reached is passed over in the second. Who asks
 * again while his question is under way (same port, same id) has said nothing new. What ends a question: an answer that
 * fits; the last upstream has failed (SERVFAIL); too many are under way (the oldest goes); the guest's driver has gone.
 */
#include <arpa/nameser.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "plugins/net/checksum.h"
#include "plugins/net-nat/dns-private.h"
#include "plugins/net-nat/names.h"
#include "plugins/net-nat/policy.h"
#include "plugins/net-nat/send.h"
#include "plugins/net-nat/upstream.h"

#define DNS_ROUNDS 2u
#define HOSTS_TTL 60u
#define REFUSED_TOLD_EVERY 1000u /* ms */
#define ANSWERS_A_TURN 16u       /* datagrams that are looked at of one socket: the rest may be lies as well */

/* ---- answers to the guest ---- */

static void reply(struct dns *dns, const struct dns_asker *to, const unsigned char *message, size_t len)
{
	const struct iovec iov = { .iov_base = (void *)(uintptr_t)message, .iov_len = len };

	if (to->connection)
		dns_stream_reply(to->connection, message, len);
	else
		(void)send_udp(dns->nat, to->pair, &to->gateway, &to->guest, &iov, 1);
}

static void refuse(struct dns *dns, const struct dns_asker *to, const unsigned char *message,
                   const struct dns_question *question, int code)
{
	unsigned char answer[DNS_HEADER + 255 + 4 + DNS_OPT];
	const size_t len = dns_message_refuse(message, question, code, answer);

	reply(dns, to, answer, dns_message_add_opt(answer, len, question));
}

static struct dns_asker asker_of(const struct dns_pending *p)
{
	return (struct dns_asker){
		.connection = p->connection, .guest = p->guest, .gateway = p->gateway, .pair = p->pair
	};
}

/* ---- questions under way ---- */

void dns_pending_free(struct dns_pending *p)
{
	struct dns *dns = p->dns;

	timeout_clear(dns->nat->timeouts, &p->patience);
	sockets_close(dns->nat->sockets, &p->source);
	TAILQ_REMOVE(&dns->pending, p, link);
	dns->n_pending--;
	if (p->connection)
		p->connection->pending--;
	free(p->message);
	free(p->answer);
	free(p);
}

/* It has its answer, or none: what the connection does next is its own affair. */
static void end(struct dns_pending *p)
{
	struct dns_connection *connection = p->connection;

	dns_pending_free(p);
	if (connection)
		dns_stream_settle(connection);
}

static void fail(struct dns_pending *p)
{
	const struct dns_asker to = asker_of(p);

	counter_add(p->dns->nat->counters.dns_failed, 1);
	dns_message_set_id(p->message + 2, p->question.id);
	refuse(p->dns, &to, p->message + 2, &p->question, ns_r_servfail);
	end(p);
}

static void ask_next(struct dns_pending *p);

static void on_patience_ends(struct timeout *timeout)
{
	struct dns_pending *p = (struct dns_pending *)((char *)timeout - offsetof(struct dns_pending, patience));
	struct nat *nat = p->dns->nat;

	upstreams_failed(nat->upstreams, &p->upstream);
	ask_next(p);
	nic_flush(nat->nic);
}

static void on_answer(struct socket_source *source, uint32_t events)
{
	struct dns_pending *p = (struct dns_pending *)source;
	struct dns *dns = p->dns;

	(void)events;
	for (unsigned i = 0; i < ANSWERS_A_TURN; i++) {
		const ssize_t got = recv(source->fd, dns->buffer, sizeof dns->buffer, MSG_DONTWAIT);

		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got < 0) { /* ECONNREFUSED, EHOSTUNREACH: nobody is there */
			dns_give_up(p);
			return;
		}
		if (dns_message_answers(dns->buffer, (size_t)got, p->message + 2, p->question.end)) {
			dns_answered(p, dns->buffer, (size_t)got);
			return;
		}
	}
	sockets_again(dns->nat->sockets, source, EPOLLIN);
}

socklen_t dns_upstream_address(const struct dns_pending *p, struct sockaddr_storage *out)
{
	const socklen_t len = net_to_sockaddr(&p->upstream, out);

	if (out->ss_family == AF_INET6)
		((struct sockaddr_in6 *)out)->sin6_scope_id = upstreams_zone(p->dns->nat->upstreams, &p->upstream);
	return len;
}

/* Sends it to p->upstream from a socket of its own. 0 or -errno. */
static int ask_by_udp(struct dns_pending *p)
{
	struct nat *nat = p->dns->nat;
	struct sockaddr_storage to;
	const socklen_t len = dns_upstream_address(p, &to);
	uint16_t id;
	int rc;

	p->source = (struct socket_source){ .ready = on_answer, .fd = -1, .input_only = true };
	rc = sockets_open(nat->sockets, to.ss_family, SOCK_DGRAM, 0);
	if (rc < 0)
		return rc;
	p->source.fd = rc;
	p->stage = DNS_BY_UDP;
	/* Its port is the kernel's choice, its id ours: both must be guessed by who wants to answer in its place. */
	if (getrandom(&id, sizeof id, 0) != sizeof id)
		return -EIO;
	dns_message_set_id(p->message + 2, id);
	rc = nat->host->socket_connect(nat->dev, p->source.fd, (struct sockaddr *)&to, len);
	if (!rc && send(p->source.fd, p->message + 2, p->len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		rc = -errno;
	return rc ? rc : sockets_add(nat->sockets, &p->source);
}

/* The same socket once more, where it is still open: an answer to the first time counts, too. */
static int ask_again(struct dns_pending *p)
{
	if (p->stage == DNS_BY_UDP && send(p->source.fd, p->message + 2, p->len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	return 0;
}

static unsigned current(const struct dns_pending *p)
{
	return (p->turns - 1) % p->n_upstreams;
}

/* Of our own: nothing that the upstream could do anything about. */
static bool is_shortage(int rc)
{
	return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS || rc == -EAGAIN;
}

/* The next turn, or the end. */
static void ask_next(struct dns_pending *p)
{
	struct nat *nat = p->dns->nat;

	while (p->turns < DNS_ROUNDS * p->n_upstreams) {
		const bool same = p->turns && p->n_upstreams == 1 && p->source.fd >= 0;
		int rc;

		p->turns++;
		if (p->out_of & 1u << current(p))
			continue;
		if (!same)
			sockets_close(nat->sockets, &p->source);
		p->upstream = p->upstreams[current(p)];
		rc = same ? ask_again(p) : ask_by_udp(p);
		if (rc == -EMSGSIZE) { /* what came by TCP may be too long for any datagram */
			sockets_close(nat->sockets, &p->source);
			rc = dns_stream_ask(p);
		}
		if (!rc && timeout_set(nat->timeouts, &p->patience, DNS_PATIENCE) == 0)
			return;
		p->out_of |= 1u << current(p);
		if (rc && !is_shortage(rc))
			upstreams_failed(nat->upstreams, &p->upstream);
	}
	fail(p);
}

void dns_give_up(struct dns_pending *p)
{
	struct nat *nat = p->dns->nat;

	sockets_close(nat->sockets, &p->source);
	p->out_of |= 1u << current(p);
	upstreams_failed(nat->upstreams, &p->upstream);
	ask_next(p);
}

static void begin_asking(struct dns_pending *p)
{
	const struct upstreams *upstreams = p->dns->nat->upstreams;

	p->n_upstreams = upstreams_count(upstreams);
	for (unsigned i = 0; i < p->n_upstreams; i++)
		p->upstreams[i] = upstreams_get(upstreams, i);
	ask_next(p);
}

struct learning {
	struct nat *nat;
	const char *name;
};

static void learn(void *ctx, const struct in6_addr *address, uint32_t ttl)
{
	const struct learning *learning = ctx;

	names_learn(learning->nat->names, learning->name, address, ttl);
}

void dns_answered(struct dns_pending *p, unsigned char *answer, size_t len)
{
	struct nat *nat = p->dns->nat;
	struct learning learning = { .nat = nat, .name = p->question.name };
	const struct dns_asker to = asker_of(p);
	const int code = dns_message_code(answer);

	/* It is there, whatever it says of this one name. */
	upstreams_answered(nat->upstreams, &p->upstream);
	if (code == ns_r_servfail || code == ns_r_refused || code == ns_r_notimpl) {
		p->out_of |= 1u << current(p);
		if (p->out_of != (1u << p->n_upstreams) - 1) {
			ask_next(p);
			return;
		}
	}
	if (p->connection && p->stage == DNS_BY_UDP && dns_message_is_truncated(answer)) {
		sockets_close(nat->sockets, &p->source);
		if (dns_stream_ask(p) == 0 && timeout_set(nat->timeouts, &p->patience, DNS_PATIENCE) == 0)
			return;
		dns_give_up(p);
		return;
	}
	/* Before the guest has it: its connection may come at once. */
	if (p->question.named)
		dns_message_addresses(answer, len, p->question.name, learn, &learning);
	dns_message_set_id(answer, p->question.id);
	if (!p->connection && len > p->question.udp_size)
		len = dns_message_add_opt(answer, dns_message_truncate(answer, len, p->question.end), &p->question);
	reply(p->dns, &to, answer, len);
	end(p);
}

/* ---- new ones ---- */

/* The question is compared as it stands: names may have no normal form, and the case of letters is the guest's. */
static bool is_under_way(const struct dns *dns, const struct dns_asker *asker, const unsigned char *message,
                         const struct dns_question *question)
{
	const struct dns_pending *p;

	if (asker->connection)
		return false;
	TAILQ_FOREACH(p, &dns->pending, link)
	if (!p->connection && p->guest.port == asker->guest.port && p->question.id == question->id &&
	    p->question.end == question->end && net_same(&p->guest.address, &asker->guest.address) &&
	    memcmp(p->message + 2 + DNS_HEADER, message + DNS_HEADER, question->end - DNS_HEADER) == 0)
		return true;
	return false;
}

static void tell_refused(struct dns *dns, const struct dns_question *question)
{
	struct nat *nat = dns->nat;
	const uint64_t now = timeouts_now(nat->timeouts);

	counter_add(nat->counters.dns_refused, 1);
	if (dns->refused_told && now - dns->refused_told < REFUSED_TOLD_EVERY)
		return;
	dns->refused_told = now;
	nat->host->log(nat->dev, CAPSA_LOG_INFO, "name \"%s\" refused: %s",
	               question->named ? question->name : "(not printable)",
	               nat->neighbours.isolated ? "no member has it, and there is no way out" : "no rule allows it");
}

/*
 * A name that has no normal form is like none that a rule could have: `default` decides, but what is denied to a domain
 * is denied to it as well.
 */
static bool is_allowed(const struct policy *policy, const struct dns_question *question)
{
	if (question->named)
		return policy_allows_name(policy, question->name);
	return policy_allows_name(policy, "\\") && policy_allows_name(policy, question->likeness);
}

/* Whole zones and all records at once are no business of a guest's. */
static bool is_too_much(const struct dns_question *question)
{
	return question->type == ns_t_axfr || question->type == ns_t_ixfr || question->type == ns_t_any;
}

/* The code to refuse it with, or 0. Where nothing leaves, no question does. */
static int judge(struct dns *dns, const struct dns_question *question)
{
	if (is_too_much(question) || dns->nat->neighbours.isolated)
		return ns_r_refused;
	return is_allowed(dns->nat->policy, question) ? 0 : ns_r_refused;
}

static void put16(unsigned char **at, unsigned value)
{
	*(*at)++ = (unsigned char)(value >> 8);
	*(*at)++ = (unsigned char)value;
}

void dns_reply(struct dns *dns, const struct dns_asker *to, const unsigned char *message,
               const struct dns_question *question, int code, const struct dns_records *records)
{
	unsigned char answer[DNS_HEADER + 255 + 4 + DNS_RECORDS_MAX * (12 + 16) + DNS_OPT], *at;
	size_t len;

	assert(records->n * (12 + records->size) <= DNS_RECORDS_MAX * (12 + 16));
	at = answer + dns_message_refuse(message, question, code, answer);
	answer[7] = (unsigned char)records->n;
	for (unsigned i = 0; i < records->n; i++) {
		put16(&at, 0xc000 | DNS_HEADER); /* the name of the question */
		put16(&at, question->type);
		put16(&at, ns_c_in);
		put16(&at, 0);
		put16(&at, records->ttl);
		put16(&at, (unsigned)records->size);
		memcpy(at, records->data + i * records->size, records->size);
		at += records->size;
	}
	len = (size_t)(at - answer);
	if (!to->connection && len + DNS_OPT > question->udp_size)
		len = dns_message_truncate(answer, len, question->end);
	reply(dns, to, answer, dns_message_add_opt(answer, len, question));
}

void dns_reply_addresses(struct dns *dns, const struct dns_asker *to, const unsigned char *message,
                         const struct dns_question *question, const struct in6_addr *addresses, unsigned n, unsigned ttl)
{
	const bool ipv6 = question->type == ns_t_aaaa;
	unsigned char data[DNS_RECORDS_MAX * 16];
	struct dns_records records = { .data = data, .size = ipv6 ? 16 : 4, .n = n, .ttl = ttl };

	assert(n <= DNS_RECORDS_MAX);
	for (unsigned i = 0; i < n; i++) {
		const struct in_addr ipv4 = ipv6 ? (struct in_addr){ 0 } : net_to_ipv4(&addresses[i]);

		memcpy(data + i * records.size, ipv6 ? (const void *)&addresses[i] : &ipv4, records.size);
	}
	dns_reply(dns, to, message, question, ns_r_noerror, &records);
}

/* Out of /etc/hosts. */
static bool answer_from_hosts(struct dns *dns, const struct dns_asker *asker, const unsigned char *message,
                              const struct dns_question *question)
{
	const bool ipv6 = question->type == ns_t_aaaa;
	struct in6_addr found[DNS_RECORDS_MAX];
	unsigned n = 0;

	if (!dns->hosts || question->class != ns_c_in || !question->named ||
	    (question->type != ns_t_a && question->type != ns_t_aaaa) ||
	    !hosts_find(dns->hosts, question->name, ipv6, found, DNS_RECORDS_MAX, &n))
		return false;
	for (unsigned i = 0; i < n; i++)
		names_learn(dns->nat->names, question->name, &found[i], HOSTS_TTL);
	dns_reply_addresses(dns, asker, message, question, found, n, HOSTS_TTL);
	return true;
}

static struct dns_pending *pending_new(struct dns *dns, const struct dns_asker *asker, const unsigned char *message,
                                       size_t len)
{
	struct dns_pending *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->message = malloc(2 + len);
	if (!p->message) {
		free(p);
		return NULL;
	}
	p->message[0] = (unsigned char)(len >> 8);
	p->message[1] = (unsigned char)len;
	memcpy(p->message + 2, message, len);
	p->len = len;
	p->dns = dns;
	p->source.fd = -1;
	p->patience.call = on_patience_ends;
	p->connection = asker->connection;
	p->guest = asker->guest;
	p->gateway = asker->gateway;
	p->pair = asker->pair;
	TAILQ_INSERT_TAIL(&dns->pending, p, link);
	dns->n_pending++;
	if (p->connection)
		p->connection->pending++;
	return p;
}

void dns_ask(struct dns *dns, const struct dns_asker *asker, unsigned char *message, size_t len)
{
	struct dns_question question;
	struct dns_pending *p;
	int code = dns_message_question(message, len, &question);

	if (code < 0)
		return;
	counter_add(dns->nat->counters.dns_queries, 1);
	if (!code && !is_too_much(&question) && members_answer(dns, asker, message, &question))
		return;
	if (!code) {
		code = judge(dns, &question);
		if (code)
			tell_refused(dns, &question);
	}
	if (code) {
		refuse(dns, asker, message, &question, code);
		return;
	}
	if (is_under_way(dns, asker, message, &question) || answer_from_hosts(dns, asker, message, &question))
		return;
	/* Over the limit the oldest goes: it is the one that is most likely not to be answered. */
	if (dns->n_pending >= DNS_PENDING_MAX)
		fail(TAILQ_FIRST(&dns->pending));
	p = pending_new(dns, asker, message, len);
	if (!p) {
		refuse(dns, asker, message, &question, ns_r_servfail);
		return;
	}
	p->question = question;
	begin_asking(p);
}

/* UDP header and payload into `buffer`. The length of the payload; 0: none, or not what its checksum says. */
static size_t take_datagram(struct dns *dns, const struct nic_frame *frame, const struct packet *packet)
{
	const size_t len = sizeof(struct udphdr) + packet->payload_len;
	struct udphdr header;
	uint32_t sum;

	if (len > sizeof dns->buffer || nic_frame_read(frame, packet->l4, dns->buffer, len) != len)
		return 0;
	memcpy(&header, dns->buffer, sizeof header);
	if (frame->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) /* it has none yet */
		return packet->payload_len;
	if (!header.uh_sum)
		return net_is_ipv4(&packet->source) ? packet->payload_len : 0;
	sum = checksum_pseudo(&packet->source, &packet->target, IPPROTO_UDP, (uint32_t)len);
	return checksum_finish(checksum_add(sum, dns->buffer, len, 0)) == 0 ? packet->payload_len : 0;
}

void dns_arrive(struct nat *nat, const struct nic_frame *frame, const struct packet *packet)
{
	struct dns *dns = nat->dns;
	const struct dns_asker asker = {
		.guest = { .address = packet->source, .port = packet->source_port },
		.gateway = { .address = packet->target, .port = packet->target_port },
		.pair = frame->pair,
	};
	const size_t len = take_datagram(dns, frame, packet);

	if (len)
		dns_ask(dns, &asker, dns->buffer + sizeof(struct udphdr), len);
	else
		counter_add(nat->counters.malformed, 1);
}

/* ---- life ---- */

int dns_new(struct nat *nat, struct dns **out)
{
	struct dns *dns = calloc(1, sizeof *dns);
	int rc;

	if (!dns)
		return -ENOMEM;
	dns->nat = nat;
	TAILQ_INIT(&dns->pending);
	TAILQ_INIT(&dns->connections);
	rc = nat->options.hosts_file ? hosts_new(nat, "/etc", "hosts", &dns->hosts) : 0;
	if (rc) {
		free(dns);
		return rc;
	}
	*out = dns;
	return 0;
}

void dns_forget_all(struct dns *dns)
{
	struct dns_connection *c;
	struct dns_pending *p;

	while ((p = TAILQ_FIRST(&dns->pending)))
		dns_pending_free(p);
	while ((c = TAILQ_FIRST(&dns->connections)))
		dns_stream_close(c);
}

void dns_free(struct dns *dns)
{
	if (!dns)
		return;
	dns_forget_all(dns);
	hosts_free(dns->hosts);
	free(dns);
}
