/* SPDX-License-Identifier: MIT */
/*
 * vsock_test.c - a guest that means harm, against core/vsock: packets at random but mostly nearly right, with peers of
 * the host that come and go; and garbage to the device's rings and registers. The same in each run (LONG in the
 * environment: many more steps).
 *
 * What is proved: the process lives, with sanitizers too; what is kept is bounded; afterwards the device works and
 * no descriptor is left.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/hostile/garbage.h"
#include "tests/unit/descriptors.h"
#include "tests/unit/vsock_guest.h"

#define PORTS 12u
#define PEERS 40u

static struct garbage g;
static int listeners[2], peers[PEERS];
static unsigned before;

static int setup(void **state)
{
	before = open_descriptors();
	guest_setup(state);
	listeners[0] = host_listener("app", SOCK_STREAM);
	listeners[1] = host_listener_at_port(81, SOCK_SEQPACKET);
	for (unsigned i = 0; i < PEERS; i++)
		peers[i] = -1;
	return 0;
}

static int teardown(void **state)
{
	int rc = guest_teardown(state);

	for (unsigned i = 0; i < PEERS; i++)
		if (peers[i] >= 0)
			close(peers[i]);
	close(listeners[0]);
	close(listeners[1]);
	assert_int_equal(open_descriptors(), before);
	return rc;
}

static void assert_works(void)
{
	struct virtio_vsock_hdr h = guest_header(VIRTIO_VSOCK_OP_RW, 77, 80);
	char bytes[8];
	int fd;

	/* What waits to be accepted is from before. */
	while ((fd = accept4(listeners[0], NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(fd);
	guest_start(1ull << VIRTIO_VSOCK_F_SEQPACKET);
	guest_connect(VIRTIO_VSOCK_TYPE_STREAM, 77, 80, 4096);
	fd = host_accept(listeners[0]);
	h.len = 5;
	guest_send(h, "works");
	assert_int_equal(host_read(fd, bytes, sizeof bytes), 5);
	assert_memory_equal(bytes, "works", 5);
	close(fd);
}

/* A peer of the host connects, or is accepted; writes, reads, shuts down or goes. */
static void host_step(void)
{
	static unsigned char bytes[100000];
	unsigned i = (unsigned)below(&g, PEERS);
	static const char *const names[] = { "listen-70", "listen-71", "v.sock" };

	if (peers[i] < 0) {
		unsigned how = (unsigned)below(&g, 5);

		if (how < 2)
			peers[i] = accept4(listeners[how], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		else
			peers[i] = host_connect(names[how - 2], how == 3 ? SOCK_SEQPACKET : SOCK_STREAM);
		if (peers[i] >= 0 && how == 4)
			send(peers[i], "CONNECT 5\nand more", 10 + below(&g, 9), MSG_NOSIGNAL | MSG_DONTWAIT);
		return;
	}
	switch (below(&g, 6)) {
	case 0:
		close(peers[i]);
		peers[i] = -1;
		break;
	case 1:
		shutdown(peers[i], (int)below(&g, 3));
		break;
	case 2:
	case 3:
		recv(peers[i], bytes, below(&g, sizeof bytes), MSG_DONTWAIT);
		break;
	default:
		send(peers[i], bytes, below(&g, below(&g, 20) ? 2000 : sizeof bytes), MSG_NOSIGNAL | MSG_DONTWAIT);
	}
}

static void guest_step(void)
{
	static unsigned char bytes[GUEST_MAX_SEND];
	static const uint32_t host_ports[] = { 80, 81, 82, 1u << 30 };
	static const uint32_t lengths[] = { 0, 1, 100, 4000, 65000 };
	struct virtio_vsock_hdr h = guest_header((uint16_t)below(&g, 9), (uint32_t)below(&g, PORTS), 80);

	h.dst_port = host_ports[below(&g, 4)];
	if (h.dst_port == 1u << 30) {
		h.dst_port += (uint32_t)below(&g, 2000);
		h.src_port = (uint32_t[]){ 70, 71, 5 }[below(&g, 3)];
	}
	/* Most is what a connection may have; the wrong thing ends it. */
	if (below(&g, 20))
		h.op = below(&g, 12) ? VIRTIO_VSOCK_OP_RW : (uint16_t)(1 + below(&g, 2));
	h.type = (uint16_t)(h.dst_port == 81 || h.src_port == 71 ? VIRTIO_VSOCK_TYPE_SEQPACKET
	                                                         : VIRTIO_VSOCK_TYPE_STREAM);
	if (below(&g, 50) == 0)
		h.type = (uint16_t)below(&g, 4);
	h.flags = (uint32_t)below(&g, 8);
	h.buf_alloc = below(&g, 10) ? 256 << 10 : (uint32_t)below(&g, UINT32_MAX);
	h.fwd_cnt = (uint32_t)below(&g, below(&g, 10) ? 100 : UINT32_MAX);
	if (h.op == VIRTIO_VSOCK_OP_RW)
		h.len = lengths[below(&g, 5)];
	if (below(&g, 100) == 0)
		h.dst_cid = below(&g, 10);
	if (below(&g, 100) == 0)
		h.src_cid = below(&g, 10);
	guest_queue(h, bytes);
	if (below(&g, 100) == 0) {
		/* A length that is not there. */
		h.len = (uint32_t)below(&g, UINT32_MAX);
		guest_queue(h, NULL);
	}
}

static void packets_at_random(void **state)
{
	struct packet packet;

	(void)state;
	g = (struct garbage){ .state = 20261127 };
	guest.vsock->answer_ms = 5;
	for (unsigned i = 0, n = garbage_steps(30000); i < n; i++) {
		guest_step();
		host_step();
		if (below(&g, 8) &&
		    (uint16_t)(guest.rings[TX_QUEUE].avail->idx - guest.rings[TX_QUEUE].used->idx) < 100)
			continue;
		ring_notify(&guest.rings[TX_QUEUE]);
		guest_settle();
		/* At times it takes no packets, and then all that there are. */
		if (below(&g, 4))
			for (unsigned k = 0; guest_receive(&packet) && k < 300; k++)
				;
		if (below(&g, 500) == 0) {
			driver_reset(&guest.driver);
			guest_start(1ull << VIRTIO_VSOCK_F_SEQPACKET | 1ull << VIRTIO_RING_F_EVENT_IDX);
		}
		/* The device may be waiting for buffers with all that it may keep. */
		while ((uint16_t)(guest.rings[TX_QUEUE].avail->idx - guest.rings[TX_QUEUE].used->idx) > 100) {
			while (guest_receive(&packet))
				;
			guest_settle();
		}
		assert_in_range(counter_of("connections_open"), 0, MAX_CONNECTIONS);
	}
	assert_true(counter_of("connections_opened") > 100);
	assert_true(counter_of("rx_bytes") > 100000 && counter_of("tx_bytes") > 100000);
	assert_in_range(board_log_lines(), 1, 16);
	assert_works();
}

static void garbage_to_rings_and_registers(void **state)
{
	static garbage_kind *const kinds[] = { garbage_to_ring, garbage_to_rings_as_bytes, garbage_to_registers,
		                               garbage_to_bar,  garbage_to_config,         garbage_to_msix };

	(void)state;
	garbage_begin(&g, &guest.board, 1, 2, 31415);
	garbage_throw(&g, kinds, sizeof kinds / sizeof kinds[0], garbage_steps(20000));
	garbage_restore(&g);
	guest.driver = g.driver;
	driver_reset(&guest.driver);
	assert_works();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(packets_at_random, setup, teardown),
		cmocka_unit_test_setup_teardown(garbage_to_rings_and_registers, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
