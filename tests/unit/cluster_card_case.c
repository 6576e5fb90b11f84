/* SPDX-License-Identifier: MIT */
/* cluster_card_case.c - see cluster_card_case.h. */
#include "tests/unit/cluster_card_case.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plugins/net/checksum.h"
#include "tests/unit/descriptors.h"

#define HEADER sizeof(struct virtio_net_hdr_v1)
#define RINGS_SIZE (4096u + 2u * RING_SIZE) /* ring.c's layout */
#define HEADERS 54u                         /* Ethernet, IPv4, TCP */

/* ---- the member ---- */

struct member {
	const struct capsa_host *host;
	struct capsa_device *dev;
	const struct member_operations *operations;
	void *ctx;
	struct ring *ring;
	struct capsa_watch *watch;
	struct protocol_welcome place;
	struct protocol_members list;
	unsigned joins;
	bool started;
};

static struct member member;
static struct card_case *current;

static struct in6_addr address(const char *text)
{
	struct in6_addr a;

	assert_int_equal(net_address_parse(text, &a), 0);
	return a;
}

static void make_rings(struct card_case *c)
{
	int memfd, ends[2];

	assert_int_equal(ring_memory_new(&memfd), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(ring_new(RING_MEMBER, memfd, ends[0], &member.ring), 0);
	assert_int_equal(ring_new(RING_SWITCH, memfd, ends[1], &c->far), 0);
	c->memory = mmap(NULL, RINGS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	assert_ptr_not_equal(c->memory, MAP_FAILED);
	close(memfd);
	member.joins++;
}

static void drop_rings(struct card_case *c, struct ring *ring)
{
	if (!ring)
		return;
	ring_free(ring);
	ring_free(c->far);
	c->far = NULL;
	munmap(c->memory, RINGS_SIZE);
}

static void on_wake(void *ctx, int fd, unsigned events)
{
	(void)ctx;
	(void)fd;
	(void)events;
	ring_wake_clear(member.ring);
	member.operations->woken(member.ctx);
}

static void watch(void)
{
	member.watch =
		member.host->watch_add(member.dev, ring_wake_fd(member.ring), CAPSA_WATCH_READ, on_wake, &member);
}

static void unwatch(void)
{
	member.host->watch_remove(member.watch);
	member.watch = NULL;
}

int member_open(const struct capsa_host *host, struct capsa_device *dev, const char *cluster,
                const struct protocol_hello *hello, const struct member_operations *operations, void *ctx,
                struct member **out, char *cause, size_t size)
{
	struct card_case *c = current;

	*out = NULL;
	c->hello = *hello;
	c->card = ctx;
	if (c->has_no_folder) {
		host->error(dev, "the run-time folder is another user's");
		return -ENOENT;
	}
	if (c->refusal) {
		snprintf(cause, size, "cluster \"%s\": %s", cluster, c->refusal);
		return -EEXIST;
	}
	member = (struct member){ .host = host, .dev = dev, .operations = operations, .ctx = ctx };
	member.place = (struct protocol_welcome){ .address = address("10.0.3.11"), .index = 11 };
	assert_int_equal(net_prefix_parse("10.0.3.0/24", &member.place.subnet), 0);
	assert_int_equal(net_prefix_parse("fd00:ca:b5b::/64", &member.place.subnet6), 0);
	member.list.n = 2;
	member.list.members[0] = (struct protocol_member){ .name = "box",
		                                           .address = address("10.0.3.11"),
		                                           .address6 = address("fd00:ca:b5b::b") };
	member.list.members[1] = (struct protocol_member){ .name = "vm2", .address = address("10.0.3.12") };
	if (c->other)
		snprintf(member.list.members[1].name, sizeof member.list.members[1].name, "%s", c->other);
	make_rings(c);
	*out = &member;
	return 0;
}

void member_free(struct member *m)
{
	if (!m)
		return;
	if (m->watch)
		unwatch();
	drop_rings(current, m->ring);
	m->ring = NULL;
}

int member_start(struct member *m)
{
	m->started = true;
	watch();
	return 0;
}

struct ring *member_ring(const struct member *m)
{
	return m->ring;
}

const struct protocol_welcome *member_place(const struct member *m)
{
	return &m->place;
}

const struct protocol_members *member_list(const struct member *m)
{
	return &m->list;
}

void member_change(struct member *m, const struct bridge_port_options *port)
{
	(void)m;
	current->changed = *port;
	current->n_changes++;
}

void member_give_up(struct member *m)
{
	(void)m;
	current->n_given_up++;
	case_switch_goes(current);
}

unsigned member_joins(const struct member *m)
{
	return m->joins;
}

void case_switch_goes(struct card_case *c)
{
	struct ring *ring = member.ring;

	unwatch();
	member.ring = NULL;
	member.list.n = 0;
	member.operations->changed(member.ctx);
	drop_rings(c, ring);
}

void case_switch_comes(struct card_case *c)
{
	make_rings(c);
	watch();
	member.operations->changed(member.ctx);
}

/* ---- life ---- */

struct memory {
	struct host_buffer buffer; /* first */
	unsigned n;
	struct iovec iov[];
};

static struct memory *memory_new(unsigned n)
{
	struct memory *memory = calloc(1, sizeof *memory + n * sizeof memory->iov[0]);

	assert_non_null(memory);
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
	free(memory);
}

int case_try(struct card_case *c, const char *options)
{
	char text[1024];

	*c = (struct card_case){
		.refusal = c->refusal, .cluster = c->cluster, .other = c->other, .has_no_folder = c->has_no_folder
	};
	current = c;
	c->descriptors = open_descriptors();
	snprintf(text, sizeof text, "cluster = \"%s\"; %s", c->cluster ? c->cluster : "lab", options);
	return nat_host_try(&c->host, text);
}

void case_begin(struct card_case *c, const char *options, uint64_t features)
{
	if (case_try(c, options) < 0)
		fail_msg("%s", c->host.error);
	c->features = c->host.setup.features & features;
	nat_host_start(&c->host, c->features);
	case_settle(c);
}

void case_end(struct card_case *c)
{
	nat_host_reset(&c->host, memory_free, NULL);
	nat_host_end(&c->host);
	assert_int_equal(open_descriptors(), c->descriptors);
	current = NULL;
}

void case_settle(struct card_case *c)
{
	while (nat_host_turn(&c->host, 0))
		;
}

void case_let_go(struct card_case *c)
{
	nat_host_reset(&c->host, memory_free, NULL);
}

void case_come_back(struct card_case *c)
{
	nat_host_activate(&c->host, c->features);
}

void case_use_pairs(struct card_case *c, unsigned pairs)
{
	const unsigned queue = c->host.setup.n_queues - 1;
	struct {
		struct virtio_net_ctrl_hdr header;
		uint16_t pairs;
	} __attribute__((packed))
	command = { { VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET }, (uint16_t)pairs };
	struct memory *memory = memory_new(2);
	struct host_buffer *done;

	memory_piece(memory, 0, &command, sizeof command);
	memory_piece(memory, 1, NULL, 1);
	nat_host_offer(&c->host, queue, &memory->buffer, &memory->iov[0], 1, &memory->iov[1], 1);
	case_settle(c);
	done = nat_host_used(&c->host, queue);
	assert_ptr_equal(done, &memory->buffer);
	assert_int_equal(*(unsigned char *)memory->iov[1].iov_base, VIRTIO_NET_OK);
	memory_free(NULL, done);
}

int case_reconfigure(struct card_case *c, const char *key, const struct capsa_value *value)
{
	const struct capsa_key *keys = c->host.plugin->keys;
	size_t i = 0;

	while (strcmp(keys[i].name, key) != 0)
		i++;
	assert_true(keys[i].flags & CAPSA_KEY_LIVE);
	return c->host.plugin->reconfigure(c->host.self, i, value);
}

/* ---- frames ---- */

void case_send(struct card_case *c, const struct virtio_net_hdr_v1 *header, const void *bytes, size_t len,
               unsigned pieces)
{
	static const struct virtio_net_hdr_v1 nothing;
	struct memory *memory = memory_new(pieces + 1);
	size_t at = 0;

	memory_piece(memory, 0, header ? header : &nothing, HEADER);
	for (unsigned i = 1; i <= pieces; i++) {
		const size_t here = i < pieces ? len / pieces : len - at;

		memory_piece(memory, i, (const char *)bytes + at, here);
		at += here;
	}
	nat_host_offer(&c->host, 1, &memory->buffer, memory->iov, pieces + 1, NULL, 0);
}

unsigned case_unsent(const struct card_case *c)
{
	return c->host.queues[1].n_offered;
}

static void frame_new(struct case_frame *frame, size_t len)
{
	*frame = (struct case_frame){ .bytes = malloc(len ? len : 1), .len = len };
	assert_non_null(frame->bytes);
}

void case_frame_free(struct case_frame *frame)
{
	free(frame->bytes);
	frame->bytes = NULL;
}

bool case_far_take(struct card_case *c, struct case_frame *frame)
{
	struct ring_frame from;
	const int rc = ring_peek(c->far, &from);

	assert_true(rc >= 0);
	if (rc == 0) {
		(void)ring_wait_frames(c->far);
		return false;
	}
	frame_new(frame, from.len);
	frame->header = from.header;
	for (size_t i = 0, at = 0; i < from.n; at += from.pieces[i++].iov_len)
		memcpy(frame->bytes + at, from.pieces[i].iov_base, from.pieces[i].iov_len);
	ring_pop(c->far);
	ring_release(c->far);
	return true;
}

void case_far_send(struct card_case *c, const struct virtio_net_hdr_v1 *header, const void *bytes, size_t len)
{
	static const struct virtio_net_hdr_v1 nothing;
	struct iovec iov = { .iov_len = len };

	memcpy(&iov.iov_base, &bytes, sizeof bytes);
	assert_int_equal(ring_put(c->far, header ? header : &nothing, &iov, 1), 0);
	ring_publish(c->far);
}

void case_offer(struct card_case *c, unsigned pair, unsigned n, size_t size)
{
	while (n--) {
		struct memory *memory = memory_new(1);

		memory_piece(memory, 0, NULL, size);
		nat_host_offer(&c->host, 2 * pair, &memory->buffer, NULL, 0, memory->iov, 1);
	}
}

static bool take_from(struct card_case *c, unsigned pair, struct case_frame *frame)
{
	struct host_buffer *buffer = nat_host_used(&c->host, 2 * pair);
	unsigned left;

	if (!buffer)
		return false;
	frame_new(frame, NIC_FRAME_MAX);
	frame->pair = pair;
	frame->len = 0;
	assert_true(buffer->written >= HEADER);
	memcpy(&frame->header, ((struct memory *)buffer)->iov[0].iov_base, HEADER);
	left = frame->header.num_buffers;
	for (size_t before = HEADER;; before = 0) {
		const size_t len = buffer->written - before;

		assert_true(frame->len + len <= NIC_FRAME_MAX);
		memcpy(frame->bytes + frame->len, (char *)((struct memory *)buffer)->iov[0].iov_base + before, len);
		frame->len += len;
		memory_free(NULL, buffer);
		if (--left == 0)
			return true;
		buffer = nat_host_used(&c->host, 2 * pair);
		assert_non_null(buffer);
	}
}

bool case_take(struct card_case *c, struct case_frame *frame)
{
	for (unsigned pair = 0; pair < (c->host.setup.n_queues - 1) / 2; pair++)
		if (take_from(c, pair, frame))
			return true;
	return false;
}

/* ---- packets ---- */

void case_tcp(struct case_frame *frame, size_t payload, uint16_t gso_size, unsigned char seed)
{
	static const unsigned char to[ETH_ALEN] = { 2, 0, 0, 0, 0, 12 }, from[ETH_ALEN] = { 2, 0, 0, 0, 0, 11 };
	const struct in6_addr source = address("10.0.3.11"), target = address("10.0.3.12");
	const size_t l4_len = sizeof(struct tcphdr) + payload;
	struct tcphdr tcp = { .source = htons(4000), .dest = htons(5001), .seq = htonl(1), .doff = 5, .ack = 1 };
	uint32_t sum = checksum_pseudo(&source, &target, IPPROTO_TCP, (uint32_t)l4_len);
	size_t at;

	frame_new(frame, HEADERS + payload);
	at = packet_put_ether(frame->bytes, to, from, ETH_P_IP);
	at += packet_put_ip(frame->bytes + at, &source, &target, IPPROTO_TCP, l4_len, 64, 0);
	for (size_t i = 0; i < payload; i++)
		frame->bytes[HEADERS + i] = (unsigned char)(seed + i);
	if (gso_size) {
		tcp.check = checksum_partial(sum);
		frame->header = (struct virtio_net_hdr_v1){ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			                                    .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
			                                    .hdr_len = HEADERS,
			                                    .gso_size = gso_size,
			                                    .csum_start = (uint16_t)at,
			                                    .csum_offset = offsetof(struct tcphdr, check) };
	}
	memcpy(frame->bytes + at, &tcp, sizeof tcp);
	if (!gso_size) {
		tcp.check = checksum_finish(checksum_add(sum, frame->bytes + at, l4_len, 0));
		memcpy(frame->bytes + at, &tcp, sizeof tcp);
	}
}

bool case_tcp_is_whole(const struct case_frame *frame, size_t payload, unsigned char seed)
{
	struct packet p;
	uint32_t sum;

	packet_parse(frame->bytes, frame->len < PACKET_HEAD ? frame->len : PACKET_HEAD, frame->len, &p);
	if (p.kind != PACKET_IP || p.protocol != IPPROTO_TCP || p.payload_len != payload)
		return false;
	sum = checksum_pseudo(&p.source, &p.target, IPPROTO_TCP, (uint32_t)p.l4_len);
	if (checksum_finish(checksum_add(sum, frame->bytes + p.l4, p.l4_len, 0)) != 0 ||
	    checksum_finish(checksum_add(0, frame->bytes + p.l3, p.l4 - p.l3, 0)) != 0)
		return false;
	for (size_t i = 0; i < payload; i++)
		if (frame->bytes[p.payload + i] != (unsigned char)(seed + i))
			return false;
	return true;
}
