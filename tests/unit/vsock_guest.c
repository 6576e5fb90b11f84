/* SPDX-License-Identifier: MIT */
/* vsock_guest.c - see vsock_guest.h. */
#include "tests/unit/vsock_guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MEMORY (32ull << 20)

struct guest guest;

int guest_setup(void **state)
{
	char paths[4][96];
	const struct vsock_port ports[] = {
		{ .port = 70, .path = paths[0], .mode = VSOCK_LISTEN },
		{ .port = 71, .path = paths[1], .mode = VSOCK_LISTEN, .seqpacket = true },
		{ .port = 72, .path = paths[2], .mode = VSOCK_LISTEN, .held = true },
		{ .port = 80, .path = paths[3], .mode = VSOCK_CONNECT },
	};
	struct vsock_setup setup = { .cid = GUEST_CID, .ports = ports, .n_ports = 4 };
	struct error err = { .text = "" };

	(void)state;
	guest = (struct guest){ .folder = "/tmp/capsa-vsock.XXXXXX" };
	assert_non_null(mkdtemp(guest.folder));
	snprintf(guest.socket, sizeof guest.socket, "%s/v.sock", guest.folder);
	for (unsigned i = 0; i < 3; i++)
		snprintf(paths[i], sizeof paths[i], "%s/listen-%u", guest.folder, 70 + i);
	snprintf(paths[3], sizeof paths[3], "%s/app", guest.folder);
	board_create(&guest.board, MEMORY);
	setup.reactor = guest.board.home;
	setup.socket = guest.socket;
	if (vsock_open(&setup, &guest.vsock, &err) < 0)
		fail_msg("%s", err.text);
	guest_attach();
	guest_start(1ull << VIRTIO_VSOCK_F_SEQPACKET | 1ull << VIRTIO_RING_F_EVENT_IDX);
	return 0;
}

int guest_teardown(void **state)
{
	char command[128];

	(void)state;
	vsock_detach(guest.vsock);
	vsock_close(guest.vsock);
	board_destroy(&guest.board);
	snprintf(command, sizeof command, "rm -rf %s", guest.folder);
	return system(command);
}

void guest_start(uint64_t features)
{
	struct ring *rx = &guest.rings[RX_QUEUE];

	driver_start(&guest.driver, features, guest.rings, N_QUEUES);
	assert_int_equal(guest_read(&guest.board, guest.driver.device.address, 8), GUEST_CID);
	guest.withholds = false;
	guest.n_withheld = 0;
	memset(guest.busy, 0, sizeof guest.busy);
	/* The header of each in a descriptor of its own, as Linux 6.1. */
	for (uint16_t i = 0; i < GUEST_BUFFERS; i++) {
		uint64_t at = guest.buffers + i * GUEST_BUFFER_SIZE;

		ring_desc(rx, 2 * i, at, HEADER_SIZE, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, (uint16_t)(2 * i + 1));
		ring_desc(rx, 2 * i + 1, at + HEADER_SIZE, GUEST_BUFFER_SIZE - HEADER_SIZE, VRING_DESC_F_WRITE, 0);
	}
	for (uint16_t i = 0; i < GUEST_BUFFERS; i++)
		ring_offer(rx, (uint16_t)(2 * i));
	ring_notify(rx);
	guest_settle();
}

void guest_attach(void)
{
	struct error err = { .text = "" };

	assert_int_equal(vsock_attach(guest.vsock, &guest.board.platform, &err), 0);
	driver_find(&guest.driver, &guest.board, 1);
	guest.buffers = board_alloc(&guest.board, GUEST_BUFFERS * GUEST_BUFFER_SIZE, 4096);
	guest.tx_header = board_alloc(&guest.board, GUEST_CHAINS * 64, 64);
	guest.tx_bytes = board_alloc(&guest.board, GUEST_CHAINS * GUEST_MAX_SEND, 4096);
}

void guest_end_machine(void)
{
	struct board *b = &guest.board;
	struct reactor_call *turn = b->turn;
	struct reactor *home = b->home;

	vsock_detach(guest.vsock);
	irq_router_destroy(b->irq);
	pci_bus_destroy(b->pci);
	bus_destroy(b->mmio);
	bus_destroy(b->ports);
	memory_destroy(b->memory);
	board_create(b, MEMORY);
	reactor_call_remove(b->turn);
	reactor_free(b->home);
	b->home = home;
	b->turn = turn;
}

void guest_settle(void)
{
	board_settle(&guest.board);
}

struct virtio_vsock_hdr guest_header(uint16_t op, uint32_t guest_port, uint32_t host_port)
{
	return (struct virtio_vsock_hdr){
		.src_cid = GUEST_CID,
		.dst_cid = VMADDR_CID_HOST,
		.src_port = guest_port,
		.dst_port = host_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = 256 << 10,
	};
}

void guest_queue(struct virtio_vsock_hdr h, const void *bytes)
{
	struct ring *tx = &guest.rings[TX_QUEUE];
	struct vring_used_elem used;
	uint32_t len = bytes ? h.len : 0;
	uint64_t header_at, bytes_at;
	unsigned i, tries = 0;
	uint16_t head;

	while (ring_used(tx, &used))
		guest.busy[used.id / 2] = false;
	do {
		i = guest.next_chain++ % GUEST_CHAINS;
		assert_true(tries++ < GUEST_CHAINS);
	} while (guest.busy[i]);
	guest.busy[i] = true;
	head = (uint16_t)(2 * i);
	header_at = guest.tx_header + i * 64;
	bytes_at = guest.tx_bytes + i * GUEST_MAX_SEND;
	if (guest.one_descriptor && len) {
		memcpy(board_at(&guest.board, bytes_at, sizeof h), &h, sizeof h);
		memcpy(board_at(&guest.board, bytes_at + sizeof h, len), bytes, len);
		ring_desc(tx, head, bytes_at, (uint32_t)sizeof h + len, 0, 0);
	} else {
		memcpy(board_at(&guest.board, header_at, sizeof h), &h, sizeof h);
		ring_desc(tx, head, header_at, sizeof h, len ? VRING_DESC_F_NEXT : 0, (uint16_t)(head + 1));
		if (len) {
			memcpy(board_at(&guest.board, bytes_at, len), bytes, len);
			ring_desc(tx, head + 1u, bytes_at, len, 0, 0);
		}
	}
	ring_offer(tx, head);
}

void guest_send(struct virtio_vsock_hdr h, const void *bytes)
{
	guest_queue(h, bytes);
	ring_notify(&guest.rings[TX_QUEUE]);
	guest_settle();
}

bool guest_receive(struct packet *packet)
{
	struct ring *rx = &guest.rings[RX_QUEUE];
	struct vring_used_elem used;
	unsigned char *at;

	if (!ring_used(rx, &used))
		return false;
	at = board_at(&guest.board, guest.buffers + used.id / 2 * GUEST_BUFFER_SIZE, GUEST_BUFFER_SIZE);
	assert_in_range(used.len, HEADER_SIZE, GUEST_BUFFER_SIZE);
	memcpy(&packet->h, at, sizeof packet->h);
	assert_int_equal(packet->h.len, used.len - HEADER_SIZE);
	assert_int_equal(packet->h.dst_cid, GUEST_CID);
	memcpy(packet->bytes, at + HEADER_SIZE, packet->h.len);
	memset(at, 0xee, GUEST_BUFFER_SIZE);
	if (guest.withholds) {
		guest.withheld[guest.n_withheld++] = (uint16_t)used.id;
	} else {
		uint16_t before = rx->avail->idx;

		ring_offer(rx, (uint16_t)used.id);
		if (ring_wants_notify(rx, before))
			ring_notify(rx);
	}
	return true;
}

void guest_give(unsigned n)
{
	struct ring *rx = &guest.rings[RX_QUEUE];

	assert_true(n <= guest.n_withheld);
	for (unsigned i = 0; i < n; i++)
		ring_offer(rx, guest.withheld[--guest.n_withheld]);
	ring_notify(rx);
	guest_settle();
}

void guest_withhold_all(void)
{
	struct packet packet;

	/* Each answer takes one: resets for packets of nobody. */
	guest.withholds = true;
	while (guest.n_withheld < GUEST_BUFFERS) {
		guest_send(guest_header(VIRTIO_VSOCK_OP_RW, 9, 9), NULL);
		assert_true(guest_receive(&packet));
	}
}

void guest_expect(uint16_t op, uint32_t guest_port, uint32_t host_port, struct packet *packet)
{
	struct packet own;

	if (!packet)
		packet = &own;
	if (!guest_receive(packet))
		fail_msg("no packet of operation %u", op);
	if (packet->h.op != op)
		fail_msg("operation %u, not %u", packet->h.op, op);
	assert_int_equal(packet->h.dst_port, guest_port);
	assert_int_equal(packet->h.src_port, host_port);
}

void guest_expect_nothing(void)
{
	struct packet packet;

	if (guest_receive(&packet))
		fail_msg("a packet of operation %u, length %u", packet.h.op, packet.h.len);
}

void guest_connect(uint16_t type, uint32_t guest_port, uint32_t host_port, uint32_t buf_alloc)
{
	struct virtio_vsock_hdr h = guest_header(VIRTIO_VSOCK_OP_REQUEST, guest_port, host_port);
	struct packet packet;

	h.type = type;
	h.buf_alloc = buf_alloc;
	guest_send(h, NULL);
	guest_expect(VIRTIO_VSOCK_OP_RESPONSE, guest_port, host_port, &packet);
	assert_int_equal(packet.h.type, type);
	assert_in_range(packet.h.buf_alloc, 64 << 10, 1 << 20);
}

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	assert_true(strlen(path) < sizeof to.sun_path);
	strcpy(to.sun_path, path);
	return to;
}

static int listener_at(const char *path, int type)
{
	struct sockaddr_un to = address(path);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof to), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

int host_listener(const char *name, int type)
{
	char path[160];

	snprintf(path, sizeof path, "%s/%s", guest.folder, name);
	return listener_at(path, type);
}

int host_listener_at_port(uint32_t port, int type)
{
	char path[160];

	snprintf(path, sizeof path, "%s_%u", guest.socket, port);
	return listener_at(path, type);
}

int host_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	assert_true(fd >= 0);
	return fd;
}

int host_connect(const char *name, int type)
{
	struct sockaddr_un to;
	char path[160];
	int fd;

	snprintf(path, sizeof path, "%s/%s", guest.folder, name);
	to = address(path);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
		return fd;
	close(fd);
	return -1;
}

ssize_t host_read(int fd, void *to, size_t len)
{
	ssize_t n = recv(fd, to, len, MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN)
		fail_msg("recv: %s", strerror(errno));
	return n;
}

static struct {
	const char *name;
	uint64_t value;
	bool found;
} sought;

static void look(void *ctx, const char *name, const char *help, uint64_t value)
{
	(void)ctx;
	assert_true(help[0]);
	if (strcmp(name, sought.name))
		return;
	sought.value = value;
	sought.found = true;
}

uint64_t counter_of(const char *name)
{
	sought.name = name;
	sought.found = false;
	vsock_counters(guest.vsock, look, NULL);
	assert_true(sought.found);
	return sought.value;
}
