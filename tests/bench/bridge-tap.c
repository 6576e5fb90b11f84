/* SPDX-License-Identifier: MIT */
/*
 * bridge-tap.c - a cluster of one machine without a machine: a TAP device is its card, joined in one process to the
 * bridge and its uplink, without a ring between them. So a real network stack is the member, at native speed, and what
 * is measured is the bridge and the tunnel.
 *
 *     make -C build tests/bench/bridge-tap
 *     build/tests/bench/bridge-tap --uplink vxlan:7@192.0.2.1,192.0.2.2 --address 10.0.3.1 --prefix6 fd00:3::/64 &
 *     ip address add 10.0.3.1/24 dev cluster0
 *
 * TAP and sockets are in the network namespace that it is started in. It says "ready" on standard output when the
 * interface is up, with --address as the only IPv4 address that its frames may come from. SIGTERM ends it; then it says
 * what was counted, one "name number" a line.
 *
 * THEORY OF OPERATION. One loop. A frame is read with its virtio header, as the kernel writes it, and given to the
 * bridge as a ring's would be; what comes for the member is written to the TAP, and lost where that refuses it.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/uio.h>

#include <linux/if_tun.h>

#include "plugins/cluster-switch/vxlan.h"
#include "plugins/net/nic.h"

#define HEADER sizeof(struct virtio_net_hdr_v1)
#define BATCH 64u
#define CAUSE 200u

struct tap {
	int fd;
	uint64_t refused;
	struct bridge_port *port;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- the member's side of its port ---- */

static int tap_send(void *ctx, const struct bridge_frame *frame)
{
	struct tap *tap = ctx;
	struct virtio_net_hdr_v1 header = frame->header;
	struct iovec iov[1 + BRIDGE_FRAME_PIECES] = { { &header, HEADER } };

	memcpy(iov + 1, frame->iov, frame->n * sizeof frame->iov[0]);
	if (writev(tap->fd, iov, (int)frame->n + 1) >= 0)
		return 0;
	tap->refused++;
	return -EAGAIN;
}

static void tap_flush(void *ctx)
{
	(void)ctx;
}

/* Returns whether there may be more. */
static bool tap_read(struct tap *tap)
{
	static unsigned char bytes[NIC_FRAME_MAX];
	static struct bridge_frame frame;
	struct virtio_net_hdr_v1 header;
	const struct iovec iov[] = { { &header, HEADER }, { bytes, sizeof bytes } };
	struct iovec piece = { bytes, 0 };
	const ssize_t n = readv(tap->fd, iov, 2);

	if (n < (ssize_t)HEADER)
		return false;
	piece.iov_len = (size_t)n - HEADER;
	bridge_frame_make(&frame, &header, &piece, 1, piece.iov_len); /* what is none is counted there: */
	bridge_forward(tap->port, &frame, now_ms());
	return true;
}

/* ---- the loop ---- */

static void run(struct bridge *bridge, struct tap *tap, struct vxlan *vxlan, int signals)
{
	struct pollfd polled[2 + VXLAN_SOCKETS] = { { .fd = signals, .events = POLLIN },
		                                    { .fd = tap->fd, .events = POLLIN } };
	int fds[VXLAN_SOCKETS];
	const unsigned n = vxlan_fds(vxlan, fds);

	for (unsigned i = 0; i < n; i++)
		polled[2 + i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
	while (!polled[0].revents) {
		if (poll(polled, 2 + n, -1) < 0)
			err(1, "poll");
		if (polled[1].revents)
			for (unsigned i = 0; i < BATCH && tap_read(tap); i++)
				;
		for (unsigned i = 0; i < n; i++)
			if (polled[2 + i].revents)
				vxlan_receive(vxlan, polled[2 + i].fd, now_ms());
		bridge_flush(bridge);
	}
}

static void print_counters(const struct tap *tap, const struct vxlan *vxlan)
{
	const struct vxlan_counters *v = vxlan_counters(vxlan);
	const struct bridge_counters *b = bridge_port_counters(tap->port);

	printf("sent %llu\nreceived %llu\nforeign %llu\nmalformed %llu\nsend_failed %llu\n",
	       (unsigned long long)v->sent, (unsigned long long)v->received, (unsigned long long)v->foreign,
	       (unsigned long long)v->malformed, (unsigned long long)v->send_failed);
	printf("port_malformed %llu\nport_spoofed %llu\nport_full %llu\ntap_refused %llu\n",
	       (unsigned long long)b->malformed, (unsigned long long)b->spoofed, (unsigned long long)b->full_dropped,
	       (unsigned long long)tap->refused);
}

/* ---- beginning ---- */

static void set_interface(int fd, unsigned long request, struct ifreq *ifr, const char *what)
{
	if (ioctl(fd, request, ifr) < 0)
		err(1, "%s", what);
}

static int open_tap(const char *name, const unsigned char *mac, unsigned mtu)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), header = HEADER, s;

	if (fd < 0)
		err(1, "/dev/net/tun");
	snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
	set_interface(fd, TUNSETIFF, &ifr, "TUNSETIFF");
	if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
		err(1, "%s: virtio header, offloads", name);
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		err(1, "socket");
	ifr.ifr_hwaddr.sa_family = 1; /* ARPHRD_ETHER */
	memcpy(ifr.ifr_hwaddr.sa_data, mac, ETH_ALEN);
	set_interface(s, SIOCSIFHWADDR, &ifr, "SIOCSIFHWADDR");
	ifr.ifr_mtu = (int)mtu;
	set_interface(s, SIOCSIFMTU, &ifr, "SIOCSIFMTU");
	set_interface(s, SIOCGIFFLAGS, &ifr, "SIOCGIFFLAGS");
	ifr.ifr_flags |= IFF_UP;
	set_interface(s, SIOCSIFFLAGS, &ifr, "SIOCSIFFLAGS");
	close(s);
	return fd;
}

static int open_signals(void)
{
	sigset_t stop;
	int fd;

	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	fd = signalfd(-1, &stop, SFD_CLOEXEC);
	if (fd < 0)
		err(1, "signalfd");
	return fd;
}

static void usage(int status)
{
	fprintf(status ? stderr : stdout, "usage: bridge-tap --uplink TEXT [--interface NAME] [--address IPV4] "
	                                  "[--prefix6 PREFIX] [--mtu BYTES]\n");
	exit(status);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "uplink", required_argument, NULL, 'u' },
		{ "interface", required_argument, NULL, 'i' },
		{ "address", required_argument, NULL, 'a' },
		{ "prefix6", required_argument, NULL, 'p' },
		{ "mtu", required_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static const struct bridge_port_operations operations = { tap_send, tap_flush };
	struct bridge_port_options member = { .name = "tap", .mac = { 2, 0, 0, 0, 0, 1 } };
	const char *uplink = NULL, *interface = "cluster0";
	struct vxlan_options tunnel;
	struct tap tap = { .fd = -1 };
	struct bridge *bridge;
	struct vxlan *vxlan;
	char cause[CAUSE];
	unsigned mtu = 1500;
	int signals, option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
		switch (option) {
		case 'u':
			uplink = optarg;
			break;
		case 'i':
			interface = optarg;
			break;
		case 'a':
			if (net_address_parse(optarg, &member.address) < 0)
				usage(2);
			break;
		case 'p':
			if (net_prefix_parse(optarg, &member.subnet6) < 0)
				usage(2);
			break;
		case 'm':
			mtu = (unsigned)strtoul(optarg, NULL, 10);
			break;
		default:
			usage(option == 'h' ? 0 : 2);
		}
	if (!uplink || optind != argc)
		usage(2);
	if (vxlan_parse(uplink, &tunnel, cause, sizeof cause) < 0)
		errx(1, "%s", cause);
	signals = open_signals();
	tap.fd = open_tap(interface, member.mac, mtu);
	if (bridge_new(&bridge) < 0)
		errx(1, "no memory");
	if (bridge_port_add(bridge, &member, &operations, &tap, &tap.port, cause, sizeof cause) < 0 ||
	    vxlan_new(bridge, &tunnel, &vxlan, cause, sizeof cause) < 0)
		errx(1, "%s", cause);
	puts("ready");
	fflush(stdout);
	run(bridge, &tap, vxlan, signals);
	print_counters(&tap, vxlan);
	vxlan_free(vxlan);
	bridge_port_remove(tap.port);
	bridge_free(bridge);
	close(tap.fd);
	close(signals);
	return 0;
}
