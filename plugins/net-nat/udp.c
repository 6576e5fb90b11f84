/* SPDX-License-Identifier: MIT */
/*
 * udp.c - see udp.h: the guest's own flows, and what all flows of UDP have in common.
 *
 * Lifetimes: a flow is in the table of flows, in one of two lists by when it was used, and has one time-out. All end in
 * udp_flow_end(). Nothing that is called for a flow's socket ends that flow, so handlers may go on after it.
 */
#include "plugins/net-nat/udp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/net/checksum.h"
#include "plugins/net-nat/dns.h"
#include "plugins/net-nat/error-queue.h"
#include "plugins/net-nat/hop-limit.h"
#include "plugins/net-nat/icmp-error.h"
#include "plugins/net-nat/rate.h"
#include "plugins/net-nat/send.h"
#include "plugins/net-nat/udp-flow.h"

#define ERRORS_BUDGET 16u
#define PIECES_MAX 256u   /* of guest memory that one datagram may lie in */
#define TYPICAL 1536u     /* bytes of a receive buffer that a short datagram takes */
#define BATCH_UNMERGED 8u /* where room for more than one cannot be asked for */
#define HEADERS 64u       /* bytes in front of a datagram */

int udp_new(struct nat *nat, struct udp **out)
{
	struct udp *udp = calloc(1, sizeof *udp);

	*out = NULL;
	if (!udp)
		return -ENOMEM;
	udp->nat = nat;
	TAILQ_INIT(&udp->idle);
	TAILQ_INIT(&udp->peers);
	for (unsigned pair = 0; pair < NIC_PAIRS_MAX; pair++)
		TAILQ_INIT(&udp->waiting[pair]);
	udp->bytes = calloc(UDP_BATCH, sizeof *udp->bytes);
	if (!udp->bytes) {
		free(udp);
		return -ENOMEM;
	}
	*out = udp;
	return 0;
}

void udp_free(struct udp *udp)
{
	if (!udp)
		return;
	free(udp->bytes);
	free(udp);
}

/* ---- receiving ---- */

/* How many more datagrams the guest has room for. */
static unsigned room_for(struct nat *nat, const struct udp_receiver *receiver, unsigned pair)
{
	const size_t each = receiver->typical + HEADERS > TYPICAL ? receiver->typical + HEADERS : TYPICAL;
	size_t want = each * UDP_BATCH;
	struct nic_slot slot;
	size_t room;
	int rc;

	if (want > NIC_FRAME_MAX)
		want = NIC_FRAME_MAX;
	rc = nic_reserve(nat->nic, pair, want, 1, &slot);
	if (rc == -EAGAIN)
		return 0;
	if (rc < 0)
		return UDP_BATCH; /* no guest: what comes is thrown away */
	room = slot.room / each;
	nic_cancel_slot(nat->nic, &slot);
	if (!nic_is_mergeable(nat->nic))
		return BATCH_UNMERGED;
	return room < 1 ? 1 : room > UDP_BATCH ? UDP_BATCH : (unsigned)room;
}

static void prepare(struct udp *udp, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		udp->iov[i] = (struct iovec){ .iov_base = udp->bytes[i], .iov_len = UDP_DATAGRAM_MAX };
		udp->messages[i].msg_hdr = (struct msghdr){ .msg_name = &udp->from[i],
			                                    .msg_namelen = sizeof udp->from[i],
			                                    .msg_iov = &udp->iov[i],
			                                    .msg_iovlen = 1,
			                                    .msg_control = &udp->control[i],
			                                    .msg_controllen = sizeof udp->control[i] };
	}
}

static void note_length(struct udp_receiver *receiver, size_t len)
{
	const size_t faded = receiver->typical - receiver->typical / 8;

	receiver->typical = len > faded ? len : faded;
}

/* Behind the others, or in its place where it stands there already. */
static void await_room(struct udp *udp, struct udp_receiver *receiver, unsigned pair)
{
	if (receiver->waiting && receiver->pair == pair)
		return;
	udp_receiver_end(udp, receiver);
	TAILQ_INSERT_TAIL(&udp->waiting[pair], receiver, link);
	receiver->pair = pair;
	receiver->waiting = true;
}

int udp_receive(struct udp *udp, struct udp_receiver *receiver, unsigned pair)
{
	/* Who waits is the first to know that there is room again: nobody comes before. */
	unsigned room = nic_is_short(udp->nat->nic, pair) ? 0 : room_for(udp->nat, receiver, pair);
	int n;

	if (!room) {
		await_room(udp, receiver, nic_receive_pair(udp->nat->nic, pair));
		return 0;
	}
	prepare(udp, room);
	n = recvmmsg(receiver->source->fd, udp->messages, room, MSG_DONTWAIT, NULL);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		udp->iov[i].iov_len = udp->messages[i].msg_len;
		note_length(receiver, udp->iov[i].iov_len);
	}
	return n;
}

void udp_receiver_end(struct udp *udp, struct udp_receiver *receiver)
{
	if (receiver->waiting)
		TAILQ_REMOVE(&udp->waiting[receiver->pair], receiver, link);
	receiver->waiting = false;
}

/* For one datagram, however short. */
static bool has_room(struct nat *nat, unsigned pair)
{
	struct nic_slot slot;

	if (nic_is_short(nat->nic, pair) || nic_reserve(nat->nic, pair, 1, 1, &slot) == -EAGAIN)
		return false;
	nic_cancel_slot(nat->nic, &slot);
	return true;
}

/* From the front, as long as there is room: as in tcp.c. */
void udp_room(struct nat *nat, unsigned pair)
{
	struct udp *udp = nat->udp;
	const unsigned now = nic_receive_pair(nat->nic, pair);

	/* A pair that the driver has given up. */
	if (now != pair) {
		while (!TAILQ_EMPTY(&udp->waiting[pair]))
			await_room(udp, TAILQ_FIRST(&udp->waiting[pair]), now);
		nic_room_again(nat->nic, now);
		return;
	}
	for (unsigned turns = 0; !TAILQ_EMPTY(&udp->waiting[pair]) && has_room(nat, pair); turns++) {
		struct udp_receiver *receiver = TAILQ_FIRST(&udp->waiting[pair]);

		if (turns == UDP_TURNS) {
			nic_room_again(nat->nic, pair);
			return;
		}
		udp_receiver_end(udp, receiver);
		receiver->source->ready(receiver->source, EPOLLIN);
	}
}

/* Datagrams that found no token are gone: nobody waits. */
void udp_resume(struct nat *nat)
{
	(void)nat;
}

/* ---- flows ---- */

static uint64_t expiry(const struct udp_flow *u)
{
	return u->answered && u->flow.key.far.port != DNS_PORT ? UDP_EXPIRY : UDP_EXPIRY_BRIEF;
}

static struct udp_flow_list *list_of(struct udp *udp, const struct udp_flow *u)
{
	return u->published ? &udp->peers : &udp->idle;
}

static void on_expiry(struct timeout *timeout)
{
	struct flow *flow = (struct flow *)((char *)timeout - offsetof(struct flow, timeout));

	udp_flow_end((struct udp_flow *)flow);
}

int udp_flow_insert(struct udp *udp, struct udp_flow *u)
{
	struct nat *nat = udp->nat;
	int rc;

	u->flow.timeout.call = on_expiry;
	rc = timeout_set(nat->timeouts, &u->flow.timeout, expiry(u));
	if (rc)
		return rc;
	rc = flows_insert(nat->flows, &u->flow);
	if (rc) {
		timeout_clear(nat->timeouts, &u->flow.timeout);
		return rc;
	}
	u->used = timeouts_now(nat->timeouts);
	TAILQ_INSERT_TAIL(list_of(udp, u), u, idle);
	if (u->published)
		udp->n_peers++;
	return 0;
}

void udp_flow_end(struct udp_flow *u)
{
	struct nat *nat = u->flow.nat;

	timeout_clear(nat->timeouts, &u->flow.timeout);
	TAILQ_REMOVE(list_of(nat->udp, u), u, idle);
	if (u->published) {
		nat->udp->n_peers--;
		udp_published_forget(u);
	} else {
		udp_receiver_end(nat->udp, &u->receiver);
		sockets_close(nat->sockets, &u->flow.source);
	}
	flows_remove(nat->flows, &u->flow);
	free(u);
}

static void use(struct udp_flow *u)
{
	struct udp *udp = u->flow.nat->udp;

	u->used = timeouts_now(udp->nat->timeouts);
	timeout_set(udp->nat->timeouts, &u->flow.timeout, expiry(u));
	TAILQ_REMOVE(list_of(udp, u), u, idle);
	TAILQ_INSERT_TAIL(list_of(udp, u), u, idle);
}

void udp_flow_sent(struct udp_flow *u, size_t len)
{
	u->flow.tx_bytes += len;
	if (u->flow.inbound)
		u->answered = true;
	use(u);
}

void udp_flow_deliver(struct udp_flow *u, const struct iovec *payload)
{
	struct nat *nat = u->flow.nat;

	u->flow.rx_bytes += payload->iov_len;
	if (!u->flow.inbound)
		u->answered = true;
	use(u);
	if (!rate_has(nat->rate, RATE_IN)) {
		counter_add(nat->counters.rx_dropped, 1);
		return;
	}
	(void)send_udp(nat, u->flow.pair, &u->flow.key.far, &u->flow.key.guest, payload, 1); /* counts, too */
}

static struct udp_flow *idle_flow(const struct nat *nat)
{
	struct udp_flow *u = TAILQ_FIRST(&nat->udp->idle), *peer = TAILQ_FIRST(&nat->udp->peers);

	if (peer && (!u || peer->used < u->used))
		u = peer;
	return u && timeouts_now(nat->timeouts) - u->used >= UDP_IDLE ? u : NULL;
}

bool udp_has_idle(const struct nat *nat)
{
	return idle_flow(nat);
}

bool udp_make_room(struct nat *nat)
{
	struct udp_flow *u = idle_flow(nat);

	if (!u)
		return false;
	udp_flow_end(u);
	return true;
}

static void drop(struct flow *flow)
{
	udp_flow_end((struct udp_flow *)flow);
}

static void deny(struct flow *flow)
{
	icmp_error_about_flow(flow, ICMP_ERROR_PROHIBITED, 0, 0);
	drop(flow);
}

const struct flow_kind flow_udp = { .name = "udp", .deny = deny, .drop = drop };

/* ---- the guest's own: from the network ---- */

/* Tells the guest; returns whether there was anything. */
static bool take_errors(struct udp_flow *u)
{
	struct error_report report;
	bool any = false;

	for (unsigned i = 0; i < ERRORS_BUDGET && error_queue_take(u->flow.source.fd, &report, NULL, NULL); i++) {
		/* What this host said itself, sendmsg(2) said as well. */
		if (!report.local)
			icmp_error_relay(&u->flow, &report, 0);
		any = true;
	}
	return any;
}

static void on_ready(struct socket_source *source, uint32_t events)
{
	struct udp_flow *u = (struct udp_flow *)source;
	struct nat *nat = u->flow.nat;

	if (events & EPOLLERR)
		take_errors(u);
	/* Its socket may be gone: the host's address by which it was connected is (send_datagram()). */
	for (unsigned done = 0; done < UDP_BUDGET && source->fd >= 0;) {
		int n = udp_receive(nat->udp, &u->receiver, u->flow.pair);

		if (n == 0)
			return;
		if (n < 0) /* an error that was waiting; it is over by that */
			take_errors(u);
		for (int i = 0; i < n; i++)
			udp_flow_deliver(u, &nat->udp->iov[i]);
		done += n > 0 ? (unsigned)n : 1;
	}
	if (source->fd >= 0)
		sockets_again(nat->sockets, source, EPOLLIN);
}

/* ---- the guest's own: from the guest ---- */

static void say(struct nat *nat, const struct nic_frame *frame, const struct packet *packet, enum icmp_error what,
                uint32_t mtu)
{
	icmp_error_about(nat, frame->pair, what, mtu, packet, frame->head, frame->head_len);
}

/* A socket that is connected to `to`, or -errno. */
static int open_socket(struct nat *nat, const struct net_endpoint *to)
{
	const int room = UDP_RECEIVE_ROOM;
	struct sockaddr_storage address;
	const socklen_t len = net_to_sockaddr(to, &address);
	int rc, fd = sockets_open(nat->sockets, address.ss_family, SOCK_DGRAM, 0);

	if (fd == -EMFILE && udp_make_room(nat))
		fd = sockets_open(nat->sockets, address.ss_family, SOCK_DGRAM, 0);
	if (fd < 0)
		return fd;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room); /* less will do as well */
	rc = error_queue_open(fd, address.ss_family);
	rc = rc ? rc : nat->host->socket_connect(nat->dev, fd, (struct sockaddr *)&address, len);
	if (rc) {
		struct socket_source source = { .fd = fd };

		sockets_close(nat->sockets, &source);
		return rc;
	}
	return fd;
}

/* Gives u->flow a socket, watched. 0 or -errno. */
static int connect_flow(struct udp_flow *u)
{
	struct nat *nat = u->flow.nat;
	struct socket_source *source = &u->flow.source;
	int rc;

	u->hop_limit = HOP_LIMIT_USUAL;
	source->ready = on_ready;
	source->input_only = true;
	source->fd = open_socket(nat, &u->flow.real);
	if (source->fd < 0) {
		rc = source->fd;
		source->fd = -1;
		return rc;
	}
	rc = sockets_add(nat->sockets, source);
	if (rc)
		sockets_close(nat->sockets, source);
	return rc;
}

/* A new flow for this packet, or NULL: the guest has been told. */
static struct udp_flow *open_flow(struct nat *nat, const struct nic_frame *frame, const struct packet *packet,
                                  const struct flow_key *key)
{
	struct udp_flow *u = calloc(1, sizeof *u);
	int rc;

	if (!u) {
		flow_refused(nat, key, -ENOMEM);
		return NULL;
	}
	u->flow.kind = &flow_udp;
	u->flow.pair = frame->pair;
	u->flow.source.fd = -1;
	u->receiver.source = &u->flow.source;
	rc = flow_begin(nat, key, &u->flow);
	if (rc) {
		say(nat, frame, packet, rc == -EACCES ? ICMP_ERROR_PROHIBITED : ICMP_ERROR_HOST_UNREACHABLE, 0);
		free(u);
		return NULL;
	}
	rc = connect_flow(u);
	rc = rc ? rc : udp_flow_insert(nat->udp, u);
	if (!rc)
		return u;
	sockets_close(nat->sockets, &u->flow.source);
	free(u);
	if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS) {
		flow_refused(nat, key, rc);
		rc = -EHOSTUNREACH;
	}
	say(nat, frame, packet, icmp_error_of(-rc), 0);
	return NULL;
}

/* The host's own address, by which the socket was connected, is gone: it needs another. */
static bool is_stale(int error)
{
	return error == EINVAL || error == EADDRNOTAVAIL || error == ENETDOWN || error == ENODEV || error == ENXIO;
}

static int family_of(const struct flow *flow)
{
	return net_is_ipv4(&flow->real.address) ? AF_INET : AF_INET6;
}

static int send_once(struct udp_flow *u, struct iovec *payload, unsigned n)
{
	const struct msghdr message = { .msg_iov = payload, .msg_iovlen = n };

	if (u->published)
		return udp_published_send(u, payload, n);
	if (u->flow.source.fd < 0) /* the last attempt to open it again failed */
		return -EADDRNOTAVAIL;
	hop_limit_set(u->flow.source.fd, family_of(&u->flow), &u->hop_limit, u->hop_limit_wanted);
	return sendmsg(u->flow.source.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/*
 * 0 or -errno. An error may be one that an earlier datagram met: the kernel tells by refusing this one (ip(7)). So once
 * more, when those have been taken.
 */
static int send_datagram(struct udp_flow *u, struct iovec *payload, unsigned n)
{
	int rc = send_once(u, payload, n);

	if (!rc || rc == -EAGAIN || u->published)
		return rc;
	if (u->flow.source.fd >= 0 && take_errors(u) && rc != -EMSGSIZE)
		rc = send_once(u, payload, n);
	if (!is_stale(-rc))
		return rc;
	sockets_close(u->flow.nat->sockets, &u->flow.source);
	rc = connect_flow(u);
	return rc ? rc : send_once(u, payload, n);
}

/* The checksum, where the guest has made one; IPv6 has to have it (RFC 8200, 8.1). */
static bool is_intact(const struct nic_frame *frame, const struct packet *packet, const struct udphdr *header,
                      size_t len)
{
	struct iovec iov[PIECES_MAX];
	uint32_t sum;
	unsigned n;

	if (frame->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return true;
	if (!header->uh_sum)
		return net_is_ipv4(&packet->source);
	n = nic_frame_iov(frame, packet->l4, len, iov, PIECES_MAX);
	if (!n)
		return false;
	sum = checksum_pseudo(&packet->source, &packet->target, IPPROTO_UDP, (uint32_t)len);
	sum = checksum_add_iov(sum, iov, n, 0, len);
	return checksum_finish(sum) == 0;
}

/* Bytes of UDP, header included, as its own header says; what lies behind in the packet is not ours. 0: none. */
static size_t length_of(const struct packet *packet, const struct udphdr *header)
{
	const size_t len = ntohs(header->uh_ulen);

	return len < sizeof *header || len > packet->l4_len ? 0 : len;
}

void udp_arrive(struct nat *nat, const struct nic_frame *frame, const struct packet *packet)
{
	const struct flow_key key = { .guest = { .address = packet->source, .port = packet->source_port },
		                      .far = { .address = packet->target, .port = packet->target_port },
		                      .protocol = IPPROTO_UDP };
	struct iovec payload[PIECES_MAX];
	struct udphdr header;
	struct udp_flow *u;
	unsigned n = 0;
	size_t len;
	int rc;

	if (packet->l4 + sizeof header > frame->head_len || !packet->target_port)
		goto malformed;
	memcpy(&header, frame->head + packet->l4, sizeof header);
	len = length_of(packet, &header);
	if (!len || !is_intact(frame, packet, &header, len))
		goto malformed;
	len -= sizeof header;
	if (len) {
		n = nic_frame_iov(frame, packet->l4 + sizeof header, len, payload, PIECES_MAX);
		if (!n)
			goto malformed;
	}
	u = (struct udp_flow *)flows_find(nat->flows, &key);
	if (!u)
		u = open_flow(nat, frame, packet, &key);
	if (!u)
		return;
	u->flow.pair = frame->pair;
	u->hop_limit_wanted = packet->ttl;
	udp_flow_sent(u, len); /* first: a flow that is in use is not ended to make room for its own new socket */
	rc = send_datagram(u, payload, n);
	if (rc == -EMSGSIZE)
		say(nat, frame, packet, ICMP_ERROR_TOO_BIG, error_queue_mtu(u->flow.source.fd, family_of(&u->flow)));
	else if (rc && rc != -EAGAIN && rc != -ENOBUFS && rc != -ENOMEM)
		say(nat, frame, packet, icmp_error_of(-rc), 0);
	return;

malformed:
	counter_add(nat->counters.malformed, 1);
}
