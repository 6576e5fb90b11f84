/* SPDX-License-Identifier: MIT */
/*
 * vsock_guest.h - the guest's side of a vsock device, for its tests: a driver that sends packets as the test says and
 * shows what came, on a board without KVM (virtio_driver.h). One at a time.
 *
 * Nothing runs by itself: guest_send() and guest_settle() let the device do what there is to do. The host's side are
 * sockets of the test, in a folder of its own.
 */
#ifndef CAPSA_TESTS_VSOCK_GUEST_H
#define CAPSA_TESTS_VSOCK_GUEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/virtio_vsock.h>

#include "core/vsock/vsock-private.h"
#include "tests/unit/virtio_driver.h"

#define GUEST_CID 3u
#define GUEST_BUFFERS 128u /* for packets to the guest; two descriptors each */
#define GUEST_BUFFER_SIZE 4096u
#define GUEST_CHAINS (QUEUE_SIZE / 2) /* for packets of the guest */
#define GUEST_MAX_SEND (1u << 16)

struct packet {
	struct virtio_vsock_hdr h;
	unsigned char bytes[GUEST_BUFFER_SIZE];
};

struct guest {
	struct board board;
	struct driver driver;
	struct ring rings[N_QUEUES];
	struct vsock *vsock;
	char folder[64], socket[96];
	uint64_t buffers, tx_header, tx_bytes;
	bool busy[GUEST_CHAINS]; /* the device has them */
	unsigned next_chain;
	bool withholds; /* used buffers are not given again, but kept here */
	uint16_t withheld[GUEST_BUFFERS];
	unsigned n_withheld;
	bool one_descriptor; /* header and payload of what the guest sends */
};

extern struct guest guest;

/* cmocka: a machine with `socket`, and port 70 (listen), 71 (listen, seqpacket), 72 (listen, held), 80 (connect). */
int guest_setup(void **state);
int guest_teardown(void **state);
/* Negotiates and gives buffers: from reset. `features` besides VERSION_1. */
void guest_start(uint64_t features);
/* The machine ends, and there is another without the device; guest_attach() puts it there. */
void guest_end_machine(void);
void guest_attach(void);
void guest_settle(void);
/* From now on buffers are withheld, and the device has used up those that it had. */
void guest_withhold_all(void);
/* Gives the device `n` of those withheld. */
void guest_give(unsigned n);

/* Sends a packet; src, dst and type are those of a stream from the guest's port to the host's where they are 0. */
void guest_send(struct virtio_vsock_hdr h, const void *bytes);
/* The same without letting the device run. */
void guest_queue(struct virtio_vsock_hdr h, const void *bytes);
struct virtio_vsock_hdr guest_header(uint16_t op, uint32_t guest_port, uint32_t host_port);
/* The next packet to the guest; false: none. */
bool guest_receive(struct packet *packet);
/* It must be there and be of this kind. */
void guest_expect(uint16_t op, uint32_t guest_port, uint32_t host_port, struct packet *packet);
void guest_expect_nothing(void);

/* A guest's connection to the host's port, with a buffer of that size for it; RESPONSE has come. */
void guest_connect(uint16_t type, uint32_t guest_port, uint32_t host_port, uint32_t buf_alloc);
/* Listens at `<socket>_<port>` or at folder/name. */
int host_listener(const char *name, int type);
int host_listener_at_port(uint32_t port, int type);
int host_accept(int listener);
/* Connects to folder/name; -1: errno. */
int host_connect(const char *name, int type);
/* Reads what is there, at most `len`; -1: nothing, 0: the end. */
ssize_t host_read(int fd, void *to, size_t len);
uint64_t counter_of(const char *name);

#endif
