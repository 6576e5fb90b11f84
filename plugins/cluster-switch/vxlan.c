/* SPDX-License-Identifier: MIT */
/*
 * vxlan.c - see vxlan.h.
 *
 * THEORY OF OPERATION, of what goes out. A frame may change until it has been copied, so it is copied, behind others of
 * the batch, into `copies`; what it is cut into lies there as well, and only headers are written anew. Each packet
 * becomes a message a peer, all with the same bytes; sendmmsg(2) takes them when the batch ends, or there is no room
 * for more. Messages in a row that go the same way and are of one size, as those of a TCP frame are, are given to the
 * kernel as one that it cuts again (UDP_SEGMENT), at the end of its way or in the card. Where it does not want that,
 * each goes alone.
 *
 * TCP is cut so that its packets fit the path to the peers, although members have the MTU of an Ethernet without a
 * tunnel in it. What cannot be cut is sent as it is, and IP makes fragments of it, as the kernel's device has it by
 * default (RFC 7348, 4.3 wants a network whose MTU makes that unnecessary).
 *
 * What comes in is whole: a peer's network card, or its kernel, has done the checksums. One that is on the same machine
 * behind a veth pair leaves that to whom it takes for another card: its side needs `ethtool -K DEVICE tx off`.
 *
 * Socket 0 has the tunnel's port. Others are for their source ports only; a filter throws away whatever is sent to
 * them.
 */
#include "plugins/cluster-switch/vxlan.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/filter.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "plugins/cluster-switch/fdb.h"
#include "plugins/net/hash.h"
#include "plugins/net/nic.h"
#include "plugins/net/segment.h"

#define VXLAN_HEADER 8u
#define VXLAN_FLAG_I 0x08u
#define COPIES (4 * 65536u) /* frames of a batch */
#define MESSAGES 128u       /* of a batch, VXLAN_PEERS_MAX at least */
#define RECEIVE_BATCH 32u
#define RECEIVE_SIZE 65536u /* a datagram, or several that the kernel has put together (UDP_GRO) */
#define SOCKET_BUFFER (4 << 20)
#define DATAGRAM_MAX4 65507u /* UDP's payload in one IP packet */
#define DATAGRAM_MAX6 65527u
#define MTU_DEFAULT 1500
#define SEGMENTS_MAX 64u /* of UDP_SEGMENT, in any kernel */
#define CONTROL CMSG_SPACE(sizeof(uint16_t))

/* The tunnel's header with the packet's own headers behind it, and the rest where it lies. */
#define OUTGOING_PIECES 2u
struct outgoing {
	unsigned char head[VXLAN_HEADER + PACKET_HEAD];
};

/* A packet to a peer. */
struct message {
	struct iovec *iov; /* OUTGOING_PIECES */
	size_t len;
	unsigned peer, socket;
};

/* What the kernel is given as one: `n` messages from `first` on. */
struct run {
	unsigned first, n;
	union {
		struct cmsghdr align;
		char bytes[CONTROL];
	} control;
};

struct peer {
	struct sockaddr_storage address;
	socklen_t len;
};

struct incoming {
	struct sockaddr_storage from;
	struct iovec iov;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
};

struct vxlan {
	struct vxlan_options options;
	struct vxlan_counters counters;
	struct bridge_port *port;
	struct fdb *fdb; /* "ports" are peers */
	struct hash_secret secret;
	struct peer peers[VXLAN_PEERS_MAX];
	int fds[VXLAN_SOCKETS];
	size_t fits;    /* longest frame that needs no fragments on the way to any peer */
	size_t largest; /* that a datagram has room for */

	/* Out: whom the frame in hand is for, and what stands ready. */
	unsigned first, last; /* of peers */
	unsigned socket;
	unsigned char *copies;
	size_t copied;
	struct outgoing *outgoing; /* MESSAGES */
	struct iovec iov[MESSAGES * OUTGOING_PIECES];
	unsigned n_outgoing;
	struct message messages[MESSAGES];
	unsigned n_messages;
	struct run runs[MESSAGES];
	struct mmsghdr out[MESSAGES]; /* one a run */

	/* In. */
	unsigned char *received; /* RECEIVE_BATCH times RECEIVE_SIZE */
	struct mmsghdr in[RECEIVE_BATCH];
	struct incoming incoming[RECEIVE_BATCH];
	struct bridge_frame frame;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- out ---- */

/* How many messages from `first` on the kernel may take as one: only the last may be shorter. */
static unsigned run_length(const struct vxlan *vxlan, unsigned first)
{
	const struct message *m = &vxlan->messages[first];
	size_t total = m->len;
	unsigned n = 1;

	if (m->len > vxlan->fits + VXLAN_HEADER)
		return 1;
	while (first + n < vxlan->n_messages && n < SEGMENTS_MAX && m[n - 1].len == m->len) {
		const struct message *next = m + n;

		total += next->len;
		if (next->len > m->len || total > DATAGRAM_MAX4 || next->peer != m->peer || next->socket != m->socket ||
		    next->iov != m->iov + n * OUTGOING_PIECES)
			break;
		n++;
	}
	return n;
}

static void put_run(struct vxlan *vxlan, struct run *run, struct msghdr *out)
{
	const struct message *m = &vxlan->messages[run->first];
	const uint16_t size = (uint16_t)m->len;
	struct cmsghdr *c;

	*out = (struct msghdr){ .msg_name = &vxlan->peers[m->peer].address,
		                .msg_namelen = vxlan->peers[m->peer].len,
		                .msg_iov = m->iov,
		                .msg_iovlen = run->n * OUTGOING_PIECES };
	if (run->n == 1)
		return;
	out->msg_control = &run->control;
	out->msg_controllen = sizeof run->control.bytes;
	c = CMSG_FIRSTHDR(out);
	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof size);
	memcpy(CMSG_DATA(c), &size, sizeof size);
}

/* Cuts messages into runs from the first on, as long as they go out of one socket. Returns how many messages. */
static unsigned put_runs(struct vxlan *vxlan, unsigned first, unsigned longest, unsigned *n_runs)
{
	unsigned at = first;

	*n_runs = 0;
	while (at < vxlan->n_messages && vxlan->messages[at].socket == vxlan->messages[first].socket) {
		struct run *run = &vxlan->runs[*n_runs];

		run->first = at;
		run->n = run_length(vxlan, at);
		if (run->n > longest)
			run->n = longest;
		put_run(vxlan, run, &vxlan->out[*n_runs].msg_hdr);
		at += run->n;
		++*n_runs;
	}
	return at - first;
}

/* Returns how many messages from `first` on have been dealt with: sent, or counted as lost. */
static unsigned transmit_some(struct vxlan *vxlan, unsigned first, unsigned longest)
{
	unsigned n_runs, n = put_runs(vxlan, first, longest, &n_runs);
	int sent = sendmmsg(vxlan->fds[vxlan->messages[first].socket], vxlan->out, n_runs, MSG_DONTWAIT);

	if (sent > 0) {
		n = vxlan->runs[sent - 1].first + vxlan->runs[sent - 1].n - first;
		vxlan->counters.sent += n;
		return n;
	}
	/* A socket that is full is full for all of them; any other error is the first one's own. */
	if (errno != EAGAIN && errno != ENOBUFS) {
		n = vxlan->runs[0].n;
		if (n > 1)
			return transmit_some(vxlan, first, 1);
	}
	vxlan->counters.send_failed += n;
	return n;
}

static void transmit(struct vxlan *vxlan)
{
	for (unsigned i = 0; i < vxlan->n_messages;)
		i += transmit_some(vxlan, i, SEGMENTS_MAX);
	vxlan->n_messages = vxlan->n_outgoing = 0;
}

static void flush(void *ctx)
{
	struct vxlan *vxlan = ctx;

	transmit(vxlan);
	vxlan->copied = 0;
}

static void put_header(const struct vxlan *vxlan, unsigned char *at)
{
	const uint32_t vni = vxlan->options.vni;
	const unsigned char header[VXLAN_HEADER] = {
		VXLAN_FLAG_I, 0, 0, 0, (unsigned char)(vni >> 16), (unsigned char)(vni >> 8), (unsigned char)vni, 0
	};

	memcpy(at, header, sizeof header);
}

/* A packet of the frame in hand. Headers that were written for it are gone behind the call: copied. */
static int put_packet(void *ctx, const struct virtio_net_hdr_v1 *header, const struct iovec *iov, unsigned n)
{
	struct vxlan *vxlan = ctx;
	const size_t head = iov[0].iov_len <= PACKET_HEAD ? iov[0].iov_len : 0;
	struct outgoing *out;
	struct iovec *out_iov;

	(void)header;
	if (vxlan->n_messages + (vxlan->last - vxlan->first) > MESSAGES)
		transmit(vxlan);
	out = &vxlan->outgoing[vxlan->n_outgoing];
	out_iov = &vxlan->iov[vxlan->n_outgoing++ * OUTGOING_PIECES];
	put_header(vxlan, out->head);
	memcpy(out->head + VXLAN_HEADER, iov[0].iov_base, head);
	out_iov[0] = (struct iovec){ out->head, VXLAN_HEADER + head };
	out_iov[1] = head == 0 ? iov[0] : n > 1 ? iov[1] : (struct iovec){ NULL, 0 };
	for (unsigned i = vxlan->first; i < vxlan->last; i++)
		vxlan->messages[vxlan->n_messages++] = (struct message){ .iov = out_iov,
			                                                 .len = out_iov[0].iov_len + out_iov[1].iov_len,
			                                                 .peer = i,
			                                                 .socket = vxlan->socket };
	return 0;
}

static size_t copy_frame(const struct bridge_frame *frame, unsigned char *to)
{
	size_t len = 0;

	for (unsigned i = 0; i < frame->n; i++) {
		size_t here = frame->iov[i].iov_len;

		if (here > frame->len - len)
			here = frame->len - len;
		memcpy(to + len, frame->iov[i].iov_base, here);
		len += here;
	}
	return len;
}

/* So that the network between hosts, which sees outer headers only, can spread flows and keeps each in order. */
static unsigned socket_of(const struct vxlan *vxlan, const struct packet *p)
{
	uint64_t words[6] = { (uint64_t)p->protocol << 32 | (uint32_t)p->source_port << 16 | p->target_port };

	if (p->kind == PACKET_IP || p->kind == PACKET_FRAGMENT) {
		memcpy(words + 2, &p->source, 16);
		memcpy(words + 4, &p->target, 16);
		if (p->kind == PACKET_FRAGMENT)
			words[0] = 0; /* each piece with the others */
	} else {
		words[0] = 0;
		memcpy(words + 2, p->from, ETH_ALEN);
		memcpy(words + 4, p->to, ETH_ALEN);
	}
	return (unsigned)(hash_words(&vxlan->secret, words, 6) % VXLAN_SOCKETS);
}

static void find_peers(struct vxlan *vxlan, const unsigned char to[ETH_ALEN])
{
	const int peer = to[0] & 1 ? -1 : fdb_find(vxlan->fdb, to, now_ms());

	vxlan->first = peer < 0 ? 0 : (unsigned)peer;
	vxlan->last = peer < 0 ? vxlan->options.n_peers : vxlan->first + 1;
}

static int send_frame(void *ctx, const struct bridge_frame *frame)
{
	struct vxlan *vxlan = ctx;
	struct segment_takes takes = { .largest = vxlan->largest };
	unsigned char *bytes;
	struct packet p;
	size_t len;

	if (frame->len > COPIES - vxlan->copied)
		flush(vxlan);
	if (frame->len > COPIES)
		return -EAGAIN;
	bytes = vxlan->copies + vxlan->copied;
	len = copy_frame(frame, bytes);
	packet_parse(bytes, len < PACKET_HEAD ? len : PACKET_HEAD, len, &p);
	if (frame->header.gso_type != VIRTIO_NET_HDR_GSO_NONE && p.protocol == IPPROTO_TCP)
		takes.largest = vxlan->fits;
	find_peers(vxlan, bytes);
	vxlan->socket = socket_of(vxlan, &p);
	if (segment_do(&frame->header, &p, bytes, len, &takes, put_packet, vxlan) < 0) {
		vxlan->counters.send_failed++;
		return -EAGAIN;
	}
	vxlan->copied += len;
	return 0;
}

/* ---- in ---- */

/* Whose address that is; -1: nobody's. */
static int peer_of(const struct vxlan *vxlan, const struct sockaddr_storage *from)
{
	struct net_endpoint e;

	if (net_from_sockaddr((const struct sockaddr *)from, &e) < 0)
		return -1;
	for (unsigned i = 0; i < vxlan->options.n_peers; i++)
		if (net_same(&e.address, &vxlan->options.peers[i].address))
			return (int)i;
	return -1;
}

/* Flags and fields that are reserved are not looked at (RFC 7348, 5). */
static bool is_ours(const struct vxlan *vxlan, const unsigned char *header)
{
	const uint32_t vni = (uint32_t)header[4] << 16 | (uint32_t)header[5] << 8 | header[6];

	return header[0] & VXLAN_FLAG_I && vni == vxlan->options.vni;
}

static void take_datagram(struct vxlan *vxlan, int peer, unsigned char *bytes, size_t len, uint64_t now)
{
	static const struct virtio_net_hdr_v1 whole;
	struct iovec piece;

	if (peer < 0) {
		vxlan->counters.foreign++;
		return;
	}
	if (len < VXLAN_HEADER || !is_ours(vxlan, bytes)) {
		vxlan->counters.malformed++;
		return;
	}
	piece = (struct iovec){ bytes + VXLAN_HEADER, len - VXLAN_HEADER };
	if (!bridge_frame_make(&vxlan->frame, &whole, &piece, 1, piece.iov_len)) {
		vxlan->counters.malformed++;
		return;
	}
	vxlan->counters.received++;
	fdb_learn(vxlan->fdb, bytes + VXLAN_HEADER + ETH_ALEN, (unsigned)peer, now);
	bridge_forward(vxlan->port, &vxlan->frame, now);
}

/* How long each datagram is of those that the kernel has put together, but for the last one. */
static size_t datagram_size(struct msghdr *message, size_t len)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		int size;

		if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO)
			continue;
		memcpy(&size, CMSG_DATA(c), sizeof size);
		if (size > 0)
			return (size_t)size;
	}
	return len;
}

static void take_message(struct vxlan *vxlan, unsigned n, uint64_t now)
{
	struct incoming *in = &vxlan->incoming[n];
	unsigned char *bytes = in->iov.iov_base;
	const int peer = peer_of(vxlan, &in->from);
	size_t len = vxlan->in[n].msg_len;
	const size_t size = datagram_size(&vxlan->in[n].msg_hdr, len);

	do {
		const size_t here = len < size ? len : size;

		take_datagram(vxlan, peer, bytes, here, now);
		bytes += here;
		len -= here;
	} while (len > 0);
}

static void prepare_receive(struct vxlan *vxlan)
{
	for (unsigned i = 0; i < RECEIVE_BATCH; i++) {
		struct incoming *in = &vxlan->incoming[i];

		in->iov = (struct iovec){ vxlan->received + (size_t)i * RECEIVE_SIZE, RECEIVE_SIZE };
		vxlan->in[i].msg_hdr = (struct msghdr){ .msg_name = &in->from,
			                                .msg_namelen = sizeof in->from,
			                                .msg_iov = &in->iov,
			                                .msg_iovlen = 1,
			                                .msg_control = &in->control,
			                                .msg_controllen = sizeof in->control };
	}
}

bool vxlan_receive(struct vxlan *vxlan, int fd, uint64_t now)
{
	int n;

	prepare_receive(vxlan);
	n = recvmmsg(fd, vxlan->in, RECEIVE_BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++)
		take_message(vxlan, (unsigned)i, now);
	return n == (int)RECEIVE_BATCH;
}

/* ---- sockets ---- */

static void set_option(int fd, int level, int name, int value)
{
	(void)setsockopt(fd, level, name, &value, sizeof value); /* what is lacking costs speed only */
}

static void set_options(int fd, bool ipv4)
{
	if (ipv4) {
		set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
	} else {
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
		set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
	}
	set_option(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER);
	set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER);
}

static int set_receiving(int fd, bool receives)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	const struct sock_fprog program = { .len = 1, .filter = &nothing };

	if (!receives)
		return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0;
	set_option(fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER);
	set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER);
	set_option(fd, SOL_UDP, UDP_GRO, 1);
	set_option(fd, SOL_UDP, UDP_NO_CHECK6_RX, 1); /* "MUST be accepted" (RFC 7348, 5) */
	return 0;
}

/* `local->port` 0: any, to send only. */
static int open_socket(const struct net_endpoint *local, int *out)
{
	const bool ipv4 = net_is_ipv4(&local->address);
	struct sockaddr_storage address;
	const socklen_t len = net_to_sockaddr(local, &address);
	int fd = socket(ipv4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), rc;

	if (fd < 0)
		return -errno;
	set_options(fd, ipv4);
	rc = set_receiving(fd, local->port != 0);
	if (rc == 0 && bind(fd, (struct sockaddr *)&address, len) < 0)
		rc = -errno;
	if (rc < 0)
		close(fd);
	else
		*out = fd;
	return rc;
}

static int open_sockets(struct vxlan *vxlan, char *cause, size_t size)
{
	struct net_endpoint local = vxlan->options.local;
	char text[NET_ENDPOINT_TEXT];

	for (unsigned i = 0; i < VXLAN_SOCKETS; i++) {
		int rc = open_socket(&local, &vxlan->fds[i]);

		if (rc == -EADDRINUSE)
			snprintf(cause, size,
			         "uplink: %s is taken: another cluster, or this host's kernel, has a tunnel there",
			         net_endpoint_text(&local, text));
		else if (rc == -EADDRNOTAVAIL)
			snprintf(cause, size, "uplink: %s is no address of this host",
			         net_address_text(&local.address, text));
		else if (rc < 0)
			snprintf(cause, size, "uplink: %s: %s", net_endpoint_text(&local, text), strerror(-rc));
		if (rc < 0)
			return rc;
		local.port = 0;
	}
	return 0;
}

/* Of the path to a peer, as far as this host knows now. */
static int path_mtu(const struct in6_addr *local, const struct peer *peer)
{
	const struct net_endpoint any = { *local, 0 };
	const bool ipv4 = net_is_ipv4(local);
	int fd, mtu = MTU_DEFAULT;
	socklen_t len = sizeof mtu;

	if (open_socket(&any, &fd) < 0)
		return MTU_DEFAULT;
	if (connect(fd, (const struct sockaddr *)&peer->address, peer->len) < 0 ||
	    getsockopt(fd, ipv4 ? IPPROTO_IP : IPPROTO_IPV6, ipv4 ? IP_MTU : IPV6_MTU, &mtu, &len) < 0)
		mtu = MTU_DEFAULT;
	close(fd);
	return mtu < (int)NIC_MTU_MIN ? (int)NIC_MTU_MIN : mtu;
}

static void find_sizes(struct vxlan *vxlan)
{
	const bool ipv4 = net_is_ipv4(&vxlan->options.local.address);
	const size_t outer = (ipv4 ? sizeof(struct iphdr) : sizeof(struct ip6_hdr)) + sizeof(struct udphdr);

	vxlan->largest = (ipv4 ? DATAGRAM_MAX4 : DATAGRAM_MAX6) - VXLAN_HEADER;
	vxlan->fits = vxlan->largest;
	for (unsigned i = 0; i < vxlan->options.n_peers; i++) {
		const size_t mtu = (size_t)path_mtu(&vxlan->options.local.address, &vxlan->peers[i]);

		if (mtu - outer - VXLAN_HEADER < vxlan->fits)
			vxlan->fits = mtu - outer - VXLAN_HEADER;
	}
}

/* ---- life ---- */

static int make(struct vxlan *vxlan, char *cause, size_t size)
{
	int rc;

	snprintf(cause, size, "uplink: no memory");
	vxlan->copies = malloc(COPIES);
	vxlan->outgoing = calloc(MESSAGES, sizeof *vxlan->outgoing);
	vxlan->received = malloc((size_t)RECEIVE_BATCH * RECEIVE_SIZE);
	if (!vxlan->copies || !vxlan->outgoing || !vxlan->received)
		return -ENOMEM;
	rc = fdb_new(&vxlan->fdb);
	if (rc == 0)
		rc = hash_secret_new(&vxlan->secret);
	if (rc == 0)
		rc = open_sockets(vxlan, cause, size);
	return rc;
}

static int add_port(struct vxlan *vxlan, struct bridge *bridge, char *cause, size_t size)
{
	static const struct bridge_port_operations operations = { send_frame, flush };
	struct bridge_port_options options = { .any_source = true, .uplink = true };

	/* No machine has a name with a colon in it. */
	snprintf(options.name, sizeof options.name, "vxlan:%u", vxlan->options.vni);
	return bridge_port_add(bridge, &options, &operations, vxlan, &vxlan->port, cause, size);
}

int vxlan_new(struct bridge *bridge, const struct vxlan_options *options, struct vxlan **out, char *cause, size_t size)
{
	struct vxlan *vxlan = calloc(1, sizeof *vxlan);
	int rc;

	if (!vxlan) {
		snprintf(cause, size, "uplink: no memory");
		return -ENOMEM;
	}
	vxlan->options = *options;
	for (unsigned i = 0; i < VXLAN_SOCKETS; i++)
		vxlan->fds[i] = -1;
	for (unsigned i = 0; i < options->n_peers; i++)
		vxlan->peers[i].len = net_to_sockaddr(&options->peers[i], &vxlan->peers[i].address);
	rc = make(vxlan, cause, size);
	if (rc == 0) {
		find_sizes(vxlan);
		rc = add_port(vxlan, bridge, cause, size);
	}
	if (rc < 0) {
		vxlan_free(vxlan);
		return rc;
	}
	*out = vxlan;
	return 0;
}

void vxlan_free(struct vxlan *vxlan)
{
	if (!vxlan)
		return;
	if (vxlan->port)
		bridge_port_remove(vxlan->port);
	for (unsigned i = 0; i < VXLAN_SOCKETS; i++)
		if (vxlan->fds[i] >= 0)
			close(vxlan->fds[i]);
	if (vxlan->fdb)
		fdb_free(vxlan->fdb);
	free(vxlan->copies);
	free(vxlan->outgoing);
	free(vxlan->received);
	free(vxlan);
}

/* Only the first one is ever readable. */
unsigned vxlan_fds(const struct vxlan *vxlan, int fds[VXLAN_SOCKETS])
{
	fds[0] = vxlan->fds[0];
	return 1;
}

const struct vxlan_counters *vxlan_counters(const struct vxlan *vxlan)
{
	return &vxlan->counters;
}
