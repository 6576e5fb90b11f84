/* SPDX-License-Identifier: MIT */
/* dns-private.h - what dns.c (questions under way), dns-stream.c (TCP, both sides), dns-hosts.c and dns-members.c
 * share. No one else. */
#ifndef CAPSA_NAT_DNS_PRIVATE_H
#define CAPSA_NAT_DNS_PRIVATE_H

#include <sys/queue.h>

#include "plugins/net-nat/dns.h"
#include "plugins/net-nat/dns-message.h"
#include "plugins/net-nat/sockets.h"
#include "plugins/net-nat/timeout.h"
#include "plugins/net-nat/upstream.h"

/* A connection of the guest's: our end of the pair. */
struct dns_connection {
	struct socket_source source; /* first */
	struct dns *dns;
	struct timeout idle;
	TAILQ_ENTRY(dns_connection) link;
	unsigned pending;  /* questions of it under way */
	bool ended;        /* the guest sends no more */
	unsigned char *in; /* length and message, as far as it has come: 2 + DNS_MESSAGE_MAX bytes */
	size_t n_in;
	unsigned char *out; /* answers that the pair had no room for */
	size_t n_out, room_out;
};

enum dns_stage {
	DNS_BY_UDP,        /* sent, the answer is to come */
	DNS_TCP_SENDING,   /* connecting, or the question is not all gone */
	DNS_TCP_RECEIVING, /* the answer is not all there */
};

/* A question of the guest's under way. */
struct dns_pending {
	struct socket_source source; /* to the upstream; first */
	struct dns *dns;
	enum dns_stage stage;
	struct timeout patience;
	TAILQ_ENTRY(dns_pending) link;
	struct net_endpoint upstream; /* whose turn it is: upstreams[turns - 1], counted round and round */
	struct net_endpoint upstreams[UPSTREAMS_MAX]; /* as they stood when it was asked, the best first */
	unsigned n_upstreams, turns;
	unsigned out_of; /* a bit each: has said no, or cannot be reached */
	/* Who asked. */
	struct dns_connection *connection; /* or by UDP: */
	struct net_endpoint guest, gateway;
	unsigned pair;
	/* What. */
	struct dns_question question; /* id: the guest's */
	unsigned char *message;       /* behind two bytes for its length; with an id of ours */
	size_t len;
	/* TCP to the upstream. */
	size_t sent;
	unsigned char *answer; /* length and message */
	size_t n_answer;
};

TAILQ_HEAD(dns_pendings, dns_pending);
TAILQ_HEAD(dns_connections, dns_connection);

struct hosts;

struct dns {
	struct nat *nat;
	struct dns_pendings pending; /* in the order of their asking */
	unsigned n_pending;
	struct dns_connections connections;
	unsigned n_connections;
	struct hosts *hosts;   /* NULL: not asked for */
	uint64_t refused_told; /* ms, when a refused name was logged last; 0: never */
	unsigned char buffer[DNS_MESSAGE_MAX];
};

/* Where an answer goes to. */
struct dns_asker {
	struct dns_connection *connection; /* NULL: UDP, and the next */
	struct net_endpoint guest, gateway;
	unsigned pair;
};

/* dns.c: a question has come. `message` may be changed. */
void dns_ask(struct dns *dns, const struct dns_asker *asker, unsigned char *message, size_t len);
/* Of the question's type and name; TTL in seconds, at most 65535. */
struct dns_records {
	const unsigned char *data; /* n times `size` bytes */
	size_t size;
	unsigned n, ttl;
};
#define DNS_RECORDS_MAX 16u /* of addresses; one of another type may be as long as these together */
/* An answer of our own. */
void dns_reply(struct dns *dns, const struct dns_asker *to, const unsigned char *message,
               const struct dns_question *question, int code, const struct dns_records *records);
/* To a question for A or AAAA: n <= DNS_RECORDS_MAX of that family. */
void dns_reply_addresses(struct dns *dns, const struct dns_asker *to, const unsigned char *message,
                         const struct dns_question *question, const struct in6_addr *addresses, unsigned n,
                         unsigned ttl);
/* An answer of the upstream's is there, whole. Ends the question, or asks the next upstream. */
void dns_answered(struct dns_pending *p, unsigned char *answer, size_t len);
/* This upstream will not answer: the next one's turn. May end the question. */
void dns_give_up(struct dns_pending *p);
/* Where p->upstream is, for connect(2). Returns the length. */
socklen_t dns_upstream_address(const struct dns_pending *p, struct sockaddr_storage *out);
/* Without a word. */
void dns_pending_free(struct dns_pending *p);

/* dns-stream.c: asks the same upstream by TCP. 0 or -errno. */
int dns_stream_ask(struct dns_pending *p);
/* An answer to a connection's question; false: the connection is gone. */
void dns_stream_reply(struct dns_connection *c, const unsigned char *message, size_t len);
void dns_stream_close(struct dns_connection *c);
/* A question of it has ended: a connection without any ends when the guest has ended it, or after a while. */
void dns_stream_settle(struct dns_connection *c);

/* dns-members.c: answers what is asked about neighbours' names and addresses; false: it is about something else. */
bool members_answer(struct dns *dns, const struct dns_asker *asker, const unsigned char *message,
                    const struct dns_question *question);

/* dns-hosts.c: the host's /etc/hosts. */
/* `folder`/`name`; both constants. 0 or -ENOMEM. */
int hosts_new(struct nat *nat, const char *folder, const char *name, struct hosts **out);
void hosts_free(struct hosts *hosts);
/* The addresses of `name` (as of names_normal()) of that family, at most `n`; false: the file does not have the name.
 */
bool hosts_find(struct hosts *hosts, const char *name, bool ipv6, struct in6_addr *out, unsigned n, unsigned *found);

#endif
