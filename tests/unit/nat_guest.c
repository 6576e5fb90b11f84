/* SPDX-License-Identifier: MIT */
/* nat_guest.c - see nat_guest.h; the host is nat_host.c. */
#include "tests/unit/nat_guest.h"

#include <errno.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "plugins/net-nat/timeout.h"
#include "plugins/net/checksum.h"
#include "tests/unit/descriptors.h"
#include "tests/unit/nat_host.h"

#define TURNS_MAX 200000u
#define MERGEABLE_BUFFER 1536u
#define HEADER sizeof(struct virtio_net_hdr_v1)

/* A receive buffer (one piece), or a frame on its way out. */
struct memory {
	struct host_buffer buffer; /* first */
	struct iovec *iov;
	unsigned n;
};

struct side {
	struct nat_host host; /* first */
	struct nat_guest *guest;
	unsigned descriptors;
	struct nat_frame shown; /* nat_receive_none() */
};

static struct side *side_of(struct nat_guest *guest)
{
	return (struct side *)guest->host;
}

/* What tests look at. */
static void sync_guest(struct nat_guest *guest)
{
	const struct nat_host *host = guest->host;

	guest->setup = host->setup;
	memcpy(guest->config_space, host->space, sizeof guest->config_space);
	memcpy(guest->error, host->error, sizeof guest->error);
	memcpy(guest->logged, host->logged, sizeof guest->logged);
	guest->broken = host->broken;
}

static uint64_t real_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- memory ---- */

static struct memory *memory_new(unsigned n)
{
	struct memory *memory = calloc(1, sizeof *memory);

	assert_non_null(memory);
	memory->iov = calloc(n, sizeof *memory->iov);
	assert_non_null(memory->iov);
	memory->n = n;
	return memory;
}

static void memory_piece(struct memory *memory, unsigned i, const void *bytes, size_t len)
{
	memory->iov[i].iov_base = malloc(len ? len : 1);
	memory->iov[i].iov_len = len;
	assert_non_null(memory->iov[i].iov_base);
	if (bytes && len)
		memcpy(memory->iov[i].iov_base, bytes, len);
}

static void memory_free(void *ctx, struct host_buffer *buffer)
{
	struct memory *memory = (struct memory *)buffer;

	(void)ctx;
	for (unsigned i = 0; i < memory->n; i++)
		free(memory->iov[i].iov_base);
	free(memory->iov);
	free(memory);
}

static unsigned pairs_of(const struct nat_host *host)
{
	return (host->setup.n_queues - 1) / 2;
}

static bool is_receive(const struct nat_host *host, unsigned queue)
{
	return queue % 2 == 0 && queue / 2 < pairs_of(host);
}

/* The guest's driver: takes back what was sent, and keeps its receive rings full. */
static void drive(struct nat_host *host)
{
	struct nat_guest *guest = ((struct side *)host)->guest;
	struct host_buffer *buffer;

	if (!host->active)
		return;
	for (unsigned queue = 0; queue < host->setup.n_queues; queue++) {
		if (!is_receive(host, queue)) {
			while ((buffer = nat_host_used(host, queue)))
				memory_free(NULL, buffer);
			continue;
		}
		while (host->queues[queue].n_offered < guest->buffers) {
			struct memory *memory = memory_new(1);

			memory_piece(memory, 0, NULL, guest->buffer_size);
			nat_host_offer(host, queue, &memory->buffer, NULL, 0, memory->iov, 1);
		}
	}
}

/* ---- life ---- */

static void set_ahead(void *self, uint64_t ms)
{
	timeouts_skip(((struct nat *)self)->timeouts, ms);
}

int nat_try(struct nat_guest *guest, const char *options)
{
	struct side *side = calloc(1, sizeof *side);
	int rc;

	assert_non_null(side);
	memset(guest, 0, sizeof *guest);
	side->guest = guest;
	side->descriptors = open_descriptors();
	side->host.set_ahead = set_ahead;
	side->host.before_turn = drive;
	guest->host = &side->host;
	rc = nat_host_try(&side->host, options);
	guest->nat = side->host.self;
	sync_guest(guest);
	return rc < 0 ? -1 : 0;
}

static void begin(struct nat_guest *guest, const char *options, uint64_t features)
{
	if (nat_try(guest, options) < 0)
		fail_msg("%s", guest->error);
	guest->features = guest->host->setup.features & features;
	guest->buffers = 256;
	guest->buffer_size = guest->features & (UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF) ? MERGEABLE_BUFFER : 65562;
	nat_host_start(guest->host, guest->features);
	sync_guest(guest);
}

void nat_begin(struct nat_guest *guest, const char *options)
{
	begin(guest, options, UINT64_MAX);
}

void nat_begin_with(struct nat_guest *guest, const char *options, uint64_t features)
{
	begin(guest, options, features);
}

void nat_end(struct nat_guest *guest)
{
	struct side *side = side_of(guest);
	unsigned left;

	nat_host_reset(&side->host, memory_free, NULL);
	nat_host_end(&side->host);
	left = open_descriptors();
	if (left != side->descriptors)
		fail_msg("%u descriptors before, %u now", side->descriptors, left);
	free(side);
	guest->host = NULL;
	guest->nat = NULL;
}

void nat_reset(struct nat_guest *guest)
{
	nat_host_reset(guest->host, memory_free, NULL);
	nat_host_activate(guest->host, guest->features);
	sync_guest(guest);
}

int nat_reconfigure(struct nat_guest *guest, const char *text)
{
	int rc = nat_host_reconfigure(guest->host, text);

	sync_guest(guest);
	return rc;
}

uint64_t nat_counter(struct nat_guest *guest, const char *name)
{
	return nat_host_counter(guest->host, name);
}

const char *nat_info_text(struct nat_guest *guest)
{
	return nat_host_info(guest->host);
}

/* ---- turns ---- */

bool nat_turn(struct nat_guest *guest)
{
	bool any = nat_host_turn(guest->host, 0);

	sync_guest(guest);
	return any;
}

void nat_until(struct nat_guest *guest, bool (*done)(void *ctx), void *ctx)
{
	const uint64_t end = real_ms() + NAT_PATIENCE;

	/* What `done` looks at may be a socket of the test's: it is asked again now and then, whatever the plugin does.
	 */
	while (!done(ctx)) {
		if (real_ms() > end)
			fail_msg("nothing came of it in %u ms; logged: %s", NAT_PATIENCE, guest->logged);
		nat_host_turn(guest->host, 10);
		sync_guest(guest);
	}
}

void nat_pass(struct nat_guest *guest, uint64_t ms)
{
	nat_host_pass(guest->host, ms);
	sync_guest(guest);
}

/* ---- frames ---- */

void nat_send_with(struct nat_guest *guest, unsigned pair, const struct virtio_net_hdr_v1 *header, const void *frame,
                   size_t len, size_t split)
{
	const size_t piece = split ? split : len ? len : 1;
	const unsigned n = 1 + (unsigned)((len + piece - 1) / piece);
	struct memory *memory;

	if (guest->lose && guest->lose(guest->ctx, false, frame, len))
		return;
	memory = memory_new(n);
	memory_piece(memory, 0, header, HEADER);
	for (unsigned i = 1; i < n; i++) {
		const size_t at = (i - 1) * piece;

		memory_piece(memory, i, (const char *)frame + at, len - at < piece ? len - at : piece);
	}
	nat_host_offer(guest->host, 2 * pair + 1, &memory->buffer, memory->iov, n, NULL, 0);
}

void nat_send(struct nat_guest *guest, const void *frame, size_t len)
{
	const struct virtio_net_hdr_v1 header = { .flags = 0 };

	nat_send_with(guest, 0, &header, frame, len, 0);
}

static void show(const struct nat_frame *frame)
{
	print_message("frame of %zu bytes:", frame->len);
	for (size_t i = 0; i < frame->len && i < 96; i++)
		print_message("%s%02x", i % 16 == 0 ? "\n  " : " ", frame->bytes[i]);
	print_message("\n");
}

#define check_frame(frame, condition)                          \
	do {                                                   \
		if (!(condition)) {                            \
			show(frame);                           \
			fail_msg("to the guest: " #condition); \
		}                                              \
	} while (0)

/* Fills in what the guest's card would (virtio 1.2, 5.1.6.4.1). */
static void complete_checksum(struct nat_guest *guest, struct nat_frame *frame)
{
	const size_t start = frame->header.csum_start, at = start + frame->header.csum_offset;
	uint16_t sum;

	check_frame(frame, guest->features & (UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM));
	check_frame(frame, at + 2 <= frame->len && start == frame->packet.l4);
	sum = checksum_finish(checksum_add(0, frame->bytes + start, frame->len - start, 0));
	if (!sum && frame->packet.protocol == IPPROTO_UDP)
		sum = 0xffff;
	memcpy(frame->bytes + at, &sum, sizeof sum);
}

static void check_upper_checksum(const struct nat_frame *frame)
{
	const struct packet *p = &frame->packet;
	const unsigned char *l4 = frame->bytes + p->l4;
	uint32_t sum = 0;

	switch (p->protocol) {
	case IPPROTO_UDP:
		if (net_is_ipv4(&p->source) && l4[6] == 0 && l4[7] == 0)
			return;
		check_frame(frame, l4[6] != 0 || l4[7] != 0);
		break;
	case IPPROTO_TCP:
	case IPPROTO_ICMPV6:
	case IPPROTO_ICMP:
		break;
	default:
		return;
	}
	if (p->protocol != IPPROTO_ICMP)
		sum = checksum_pseudo(&p->source, &p->target, p->protocol, (uint32_t)p->l4_len);
	check_frame(frame, checksum_finish(checksum_add(sum, l4, p->l4_len, 0)) == 0);
}

static void check_ip(struct nat_guest *guest, struct nat_frame *frame)
{
	const struct nat *nat = guest->nat;
	const struct packet *p = &frame->packet;
	const struct in6_addr *to = &p->target;
	const bool valid = frame->header.flags & VIRTIO_NET_HDR_F_DATA_VALID;

	if (net_is_ipv4(&p->source)) {
		const size_t len = (size_t)(frame->bytes[p->l3] & 0xf) * 4;

		check_frame(frame, checksum_finish(checksum_add(0, frame->bytes + p->l3, len, 0)) == 0);
		check_frame(frame, net_same(to, &nat->guest4) || net_is_multicast(to));
	} else {
		check_frame(frame,
		            net_prefix_has(&nat->options.subnet6, to) || net_is_link_local(to) || net_is_multicast(to));
	}
	check_frame(frame, !nat_is_guest_address(nat, &p->source));
	if (p->kind == PACKET_IP && !valid)
		check_upper_checksum(frame);
}

static void check(struct nat_guest *guest, struct nat_frame *frame)
{
	const uint8_t gso = frame->header.gso_type;
	const size_t head_len = frame->len < PACKET_HEAD ? frame->len : PACKET_HEAD;

	packet_parse(frame->bytes, head_len, frame->len, &frame->packet);
	check_frame(frame, frame->packet.kind != PACKET_MALFORMED);
	check_frame(frame, (frame->packet.to[0] & 1) || memcmp(frame->packet.to, guest->nat->guest_mac, ETH_ALEN) == 0);
	check_frame(frame, memcmp(frame->packet.from, guest->nat->gateway_mac, ETH_ALEN) == 0);
	switch (gso) {
	case VIRTIO_NET_HDR_GSO_NONE:
		check_frame(frame, frame->len <= (size_t)guest->nat->options.mtu + ETH_HLEN);
		break;
	case VIRTIO_NET_HDR_GSO_TCPV4:
	case VIRTIO_NET_HDR_GSO_TCPV6:
		check_frame(frame, guest->features & (UINT64_C(1)
		                                      << (gso == VIRTIO_NET_HDR_GSO_TCPV4 ? VIRTIO_NET_F_GUEST_TSO4
		                                                                          : VIRTIO_NET_F_GUEST_TSO6)));
		check_frame(frame, frame->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM);
		check_frame(frame, frame->header.gso_size > 0);
		check_frame(frame, frame->header.gso_size + frame->packet.payload - frame->packet.l3 <=
		                           guest->nat->options.mtu);
		check_frame(frame, frame->packet.protocol == IPPROTO_TCP);
		break;
	default:
		check_frame(frame, !"a GSO type of TCP's");
	}
	if (frame->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		complete_checksum(guest, frame);
	if (frame->packet.kind == PACKET_IP || frame->packet.kind == PACKET_FRAGMENT)
		check_ip(guest, frame);
}

/* Puts a frame together from its buffers (virtio 1.2, 5.1.6.4). */
static void gather(struct nat_guest *guest, struct host_buffer *first, struct nat_frame *frame)
{
	const unsigned queue = first->request.queue;
	struct host_buffer *buffer = first;
	unsigned left;

	assert_true(first->written >= HEADER);
	memcpy(&frame->header, ((struct memory *)first)->iov[0].iov_base, HEADER);
	left = frame->header.num_buffers;
	assert_true(left >= 1);
	if (!(guest->features & (UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF)))
		assert_int_equal(left, 1);
	frame->pair = queue / 2;
	frame->len = 0;
	for (size_t before = HEADER;; before = 0) {
		const size_t len = buffer->written - before;

		assert_true(buffer->written > before && frame->len + len <= sizeof frame->bytes);
		memcpy(frame->bytes + frame->len, (char *)((struct memory *)buffer)->iov[0].iov_base + before, len);
		frame->len += len;
		/* All but the last are full. */
		if (--left && buffer->written != buffer->request.writable_bytes)
			fail_msg("a buffer in the middle of a frame is not full");
		memory_free(NULL, buffer);
		if (!left)
			break;
		buffer = nat_host_used(guest->host, queue);
		if (!buffer)
			fail_msg("a frame was shown before all of its buffers");
	}
}

/* What is visible now. */
static bool take(struct nat_guest *guest, struct nat_frame *frame)
{
	for (unsigned pair = 0; pair < pairs_of(guest->host); pair++) {
		struct host_buffer *buffer;

		while ((buffer = nat_host_used(guest->host, 2 * pair))) {
			gather(guest, buffer, frame);
			if (guest->lose && guest->lose(guest->ctx, true, frame->bytes, frame->len))
				continue;
			check(guest, frame);
			return true;
		}
	}
	return false;
}

size_t nat_receive(struct nat_guest *guest, struct nat_frame *frame)
{
	const uint64_t end = real_ms() + NAT_PATIENCE;

	while (!take(guest, frame)) {
		const uint64_t now = real_ms();

		if (now >= end)
			fail_msg("no frame came in %u ms; logged: %s", NAT_PATIENCE, guest->host->logged);
		nat_host_turn(guest->host, (int)(end - now));
	}
	sync_guest(guest);
	return frame->len;
}

bool nat_receive_now(struct nat_guest *guest, struct nat_frame *frame)
{
	unsigned turns = 0;
	bool got;

	while (!(got = take(guest, frame)) && nat_host_turn(guest->host, 0))
		if (++turns == TURNS_MAX)
			fail_msg("the loop has something to do, again and again");
	sync_guest(guest);
	return got;
}

void nat_receive_none(struct nat_guest *guest)
{
	struct nat_frame *frame = &side_of(guest)->shown;

	if (!nat_receive_now(guest, frame))
		return;
	show(frame);
	fail_msg("a frame for the guest");
}

/* ---- packets ---- */

static void fill_checksum(unsigned char *l4, size_t len, uint8_t protocol, const struct in6_addr *from,
                          const struct in6_addr *to)
{
	uint32_t pseudo = checksum_pseudo(from, to, protocol, (uint32_t)len);
	size_t at;
	uint16_t sum = 0;

	switch (protocol) {
	case IPPROTO_TCP:
		at = 16;
		break;
	case IPPROTO_UDP:
		at = 6;
		break;
	case IPPROTO_ICMP:
		pseudo = 0;
		at = 2;
		break;
	case IPPROTO_ICMPV6:
		at = 2;
		break;
	default:
		return;
	}
	if (at + 2 > len)
		return;
	memcpy(l4 + at, &sum, sizeof sum);
	sum = checksum_finish(checksum_add(pseudo, l4, len, 0));
	if (!sum && protocol == IPPROTO_UDP)
		sum = 0xffff;
	memcpy(l4 + at, &sum, sizeof sum);
}

size_t nat_put_ip(struct nat_guest *guest, unsigned char *frame, const char *from, const char *to, uint8_t protocol,
                  const void *l4, size_t len)
{
	struct in6_addr source, target;
	size_t at;

	if (net_address_parse(from, &source) < 0 || net_address_parse(to, &target) < 0)
		fail_msg("%s or %s is no address", from, to);
	at = packet_put_ether(frame, guest->nat->gateway_mac, guest->nat->guest_mac, packet_ether_type(&source));
	at += packet_put_ip(frame + at, &source, &target, protocol, len, 64, 0);
	memcpy(frame + at, l4, len);
	fill_checksum(frame + at, len, protocol, &source, &target);
	return at + len;
}

void nat_send_ip(struct nat_guest *guest, const char *from, const char *to, uint8_t protocol, const void *l4,
                 size_t len)
{
	unsigned char *frame = malloc(PACKET_HEADERS_MAX + len);

	assert_non_null(frame);
	nat_send(guest, frame, nat_put_ip(guest, frame, from, to, protocol, l4, len));
	free(frame);
}

void nat_send_udp(struct nat_guest *guest, const char *from, uint16_t from_port, const char *to, uint16_t to_port,
                  const void *payload, size_t len)
{
	struct udphdr *udp = malloc(sizeof *udp + len);

	assert_non_null(udp);
	*udp = (struct udphdr){ .source = htons(from_port),
		                .dest = htons(to_port),
		                .len = htons((uint16_t)(sizeof *udp + len)) };
	memcpy(udp + 1, payload, len);
	nat_send_ip(guest, from, to, IPPROTO_UDP, udp, sizeof *udp + len);
	free(udp);
}

void nat_send_tcp(struct nat_guest *guest, const struct nat_segment *segment)
{
	const size_t head = sizeof(struct tcphdr) + (segment->options_len + 3) / 4 * 4, len = head + segment->len;
	unsigned char *bytes = calloc(1, len);
	struct tcphdr tcp = {
		.th_sport = htons(segment->from_port),
		.th_dport = htons(segment->to_port),
		.th_seq = htonl(segment->sequence),
		.th_ack = htonl(segment->acknowledgement),
		.th_off = (uint8_t)(head / 4) & 0xf,
		.th_flags = segment->flags,
		.th_win = htons(segment->window),
	};

	assert_non_null(bytes);
	assert_true(head <= 60);
	memcpy(bytes, &tcp, sizeof tcp);
	if (segment->options_len)
		memcpy(bytes + sizeof tcp, segment->options, segment->options_len);
	if (segment->len)
		memcpy(bytes + head, segment->payload, segment->len);
	nat_send_ip(guest, segment->from, segment->to, IPPROTO_TCP, bytes, len);
	free(bytes);
}

const struct tcphdr *nat_tcp(const struct nat_frame *frame)
{
	if (frame->packet.kind != PACKET_IP || frame->packet.protocol != IPPROTO_TCP) {
		show(frame);
		fail_msg("no TCP segment");
	}
	return (const void *)(frame->bytes + frame->packet.l4);
}

int nat_peer(int domain, int type, uint16_t *port)
{
	const struct timeval patience = { .tv_sec = NAT_PATIENCE / 1000 };
	struct net_endpoint at = { .port = 0 };
	struct sockaddr_storage sa;
	socklen_t len;
	int fd = socket(domain, type | SOCK_CLOEXEC, 0);

	if (net_address_parse(domain == AF_INET ? "127.0.0.1" : "::1", &at.address) < 0)
		fail_msg("no loopback address");
	len = net_to_sockaddr(&at, &sa);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0 || (type == SOCK_STREAM && listen(fd, SOMAXCONN) < 0) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
		fail_msg("peer: %s", strerror(errno));
	len = sizeof sa;
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(net_from_sockaddr((struct sockaddr *)&sa, &at), 0);
	*port = at.port;
	return fd;
}
