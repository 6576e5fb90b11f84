/* SPDX-License-Identifier: MIT */
/*
 * net-tap.c - a network plugin without a guest: a TAP device in a network namespace is the plugin's card, so a real
 * network stack is the guest, at native speed and on any machine. net-tap.h is what differs between plugins: nat-tap.c,
 * cluster-tap.c.
 *
 *     make -C build tests/bench/nat-tap
 *     ip netns add guest
 *     build/tests/bench/nat-tap --namespace /run/netns/guest --options 'ipv6 = false;' --setup &
 *     ip netns exec guest curl http://...
 *
 * THE PLUGIN'S SOCKETS are opened in the namespace that the program was started in, the TAP lives in the other. Without
 * --namespace the program makes a new one, which others reach by /proc/PID/ns/net. A TAP that is there already (ip
 * tuntap add) is used, and stays with its addresses when the program ends. It says "ready" on standard output when the
 * interface is there.
 *
 * THEORY OF OPERATION. The host is that of the unit tests (nat_host.h), with a real clock. Each side's buffers are
 * reused. From the TAP a frame is read into a transmit buffer with its virtio header, as the kernel writes it; to the
 * TAP it is written out of the receive buffers that the plugin filled: no copy of ours in either direction. The TAP is
 * read while transmit buffers are free, and a write that it refuses drops the frame, as a card would.
 *
 * SIGUSR1 makes it say how the plugin is, on standard output (net-tap.h). SIGTERM ends it; with --counters it says how
 * long that took for what there was, too: "reset_us N".
 *
 * --small-pages: no transparent huge pages, so that what is resident is what is in use.
 *
 * LOSS: --lose, --duplicate and --reorder (held back until three others have passed, or 20 ms) take percents and work
 * on whole frames of both directions, or of one: --towards guest|plugin. Segmentation makes frames of 64 KiB, so
 * --no-gso is meant to go with them. The same --seed loses the same frames of a direction.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <linux/if_tun.h>
#include <linux/virtio_net.h>

#include "plugins/net/nic.h"
#include "tests/bench/net-tap.h"
#include "tests/unit/nat_host.h"

#define HEADER sizeof(struct virtio_net_hdr_v1)
#define SEND_BUFFERS 256u
#define RECEIVE_BUFFERS 1024u
#define RECEIVE_SIZE 4096u /* as Linux's driver takes pages for large frames */
#define READ_BATCH 64u
#define REORDER_FRAMES 3u
#define REORDER_MS 20

/* A frame on its way out of the guest, or a piece of one on its way in. */
struct memory {
	struct host_buffer buffer; /* first */
	struct iovec iov;
	unsigned char *bytes;
	STAILQ_ENTRY(memory) link;
};
STAILQ_HEAD(memories, memory);

/* What happens to frames of one direction. */
struct damage {
	unsigned lose, duplicate, reorder; /* of 10000 */
	uint64_t random;
	uint64_t lost, duplicated, reordered;
	unsigned char *held; /* one that waits, header included */
	size_t held_len;
	unsigned passed; /* since it waits */
	uint64_t held_since;
};

enum fate { PASS, LOSE, DUPLICATE, REORDER };

struct pump {
	struct nat_host host; /* first */
	int tap, signals;
	unsigned receive_size;
	struct memories free; /* to send */
	struct damage to_plugin, to_guest;
	struct capsa_watch *watch; /* of the TAP; paused while nothing can be sent */
	bool reading;
	uint64_t tap_refused;
	struct memory *all;
	unsigned n_all;
	bool running;
};

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static uint64_t now_ms(void)
{
	return now_us() / 1000;
}

/* ---- damage ---- */

static unsigned below_10000(struct damage *damage)
{
	/* xorshift64* (Vigna) */
	damage->random ^= damage->random >> 12;
	damage->random ^= damage->random << 25;
	damage->random ^= damage->random >> 27;
	return (unsigned)((damage->random * UINT64_C(0x2545f4914f6cdd1d)) >> 32) % 10000;
}

static enum fate fate_of_next(struct damage *damage)
{
	unsigned n;

	if (!damage->lose && !damage->duplicate && !damage->reorder)
		return PASS;
	n = below_10000(damage);
	if (n < damage->lose) {
		damage->lost++;
		return LOSE;
	}
	n -= damage->lose;
	if (n < damage->duplicate) {
		damage->duplicated++;
		return DUPLICATE;
	}
	n -= damage->duplicate;
	if (n < damage->reorder && !damage->held_len) {
		damage->reordered++;
		return REORDER;
	}
	return PASS;
}

static void hold(struct damage *damage, const struct iovec *iov, unsigned n)
{
	if (!damage->held)
		damage->held = malloc(HEADER + NIC_FRAME_MAX);
	if (!damage->held)
		err(1, "memory");
	for (unsigned i = 0; i < n; i++) {
		memcpy(damage->held + damage->held_len, iov[i].iov_base, iov[i].iov_len);
		damage->held_len += iov[i].iov_len;
	}
	damage->passed = 0;
	damage->held_since = now_ms();
}

/* Whether the frame that waits has waited enough. */
static bool is_due(const struct damage *damage)
{
	return damage->held_len && (damage->passed >= REORDER_FRAMES || now_ms() - damage->held_since >= REORDER_MS);
}

/* ---- from the TAP to the plugin ---- */

static void offer(struct pump *pump, struct memory *memory, size_t len)
{
	memory->iov = (struct iovec){ .iov_base = memory->bytes, .iov_len = len };
	nat_host_offer(&pump->host, 1, &memory->buffer, &memory->iov, 1, NULL, 0);
}

static struct memory *free_memory(struct pump *pump)
{
	struct memory *memory = STAILQ_FIRST(&pump->free);

	if (memory)
		STAILQ_REMOVE_HEAD(&pump->free, link);
	return memory;
}

static void offer_copy(struct pump *pump, const void *bytes, size_t len)
{
	struct memory *memory = free_memory(pump);

	if (!memory)
		return;
	memcpy(memory->bytes, bytes, len);
	offer(pump, memory, len);
}

static void release_to_plugin(struct pump *pump)
{
	struct damage *damage = &pump->to_plugin;

	if (!is_due(damage) || STAILQ_EMPTY(&pump->free))
		return;
	offer_copy(pump, damage->held, damage->held_len);
	damage->held_len = 0;
}

static void on_tap(void *ctx, int fd, unsigned events)
{
	struct pump *pump = ctx;

	(void)events;
	for (unsigned i = 0; i < READ_BATCH; i++) {
		struct memory *memory = free_memory(pump);
		ssize_t len;

		if (!memory)
			return;
		len = read(fd, memory->bytes, HEADER + NIC_FRAME_MAX);
		if (len <= (ssize_t)HEADER) {
			STAILQ_INSERT_HEAD(&pump->free, memory, link);
			return;
		}
		pump->to_plugin.passed++;
		memory->iov = (struct iovec){ .iov_base = memory->bytes, .iov_len = (size_t)len };
		switch (fate_of_next(&pump->to_plugin)) {
		case REORDER:
			hold(&pump->to_plugin, &memory->iov, 1);
			/* fallthrough */
		case LOSE:
			STAILQ_INSERT_HEAD(&pump->free, memory, link);
			break;
		case DUPLICATE:
			offer_copy(pump, memory->bytes, (size_t)len);
			/* fallthrough */
		case PASS:
			offer(pump, memory, (size_t)len);
			break;
		}
		release_to_plugin(pump);
	}
}

/* ---- from the plugin to the TAP ---- */

static void write_tap(struct pump *pump, const struct iovec *iov, unsigned n)
{
	if (writev(pump->tap, iov, (int)n) < 0)
		pump->tap_refused++;
}

static void release_to_guest(struct pump *pump)
{
	struct damage *damage = &pump->to_guest;
	const struct iovec whole = { .iov_base = damage->held, .iov_len = damage->held_len };

	if (!is_due(damage))
		return;
	write_tap(pump, &whole, 1);
	damage->held_len = 0;
}

static void give_room(struct pump *pump, struct memory *memory)
{
	memory->iov = (struct iovec){ .iov_base = memory->bytes, .iov_len = pump->receive_size };
	nat_host_offer(&pump->host, 0, &memory->buffer, NULL, 0, &memory->iov, 1);
}

static void take_frames(struct pump *pump)
{
	struct host_buffer *buffer;

	while ((buffer = nat_host_used(&pump->host, 0))) {
		struct memory *pieces[NIC_SLOT_BUFFERS];
		struct iovec iov[NIC_SLOT_BUFFERS];
		struct virtio_net_hdr_v1 *header = (void *)((struct memory *)buffer)->bytes;
		const unsigned n = header->num_buffers;

		if (n < 1 || n > NIC_SLOT_BUFFERS)
			errx(1, "a frame in %u buffers", n);
		for (unsigned i = 0; i < n; i++) {
			if (i && !(buffer = nat_host_used(&pump->host, 0)))
				errx(1, "a frame was shown before all of its buffers");
			pieces[i] = (struct memory *)buffer;
			iov[i] = (struct iovec){ .iov_base = pieces[i]->bytes, .iov_len = buffer->written };
		}
		pump->to_guest.passed++;
		switch (fate_of_next(&pump->to_guest)) {
		case REORDER:
			hold(&pump->to_guest, iov, n);
			break;
		case LOSE:
			break;
		case DUPLICATE:
			write_tap(pump, iov, n);
			/* fallthrough */
		case PASS:
			write_tap(pump, iov, n);
			break;
		}
		for (unsigned i = 0; i < n; i++)
			give_room(pump, pieces[i]);
		release_to_guest(pump);
	}
}

/* ---- the pump ---- */

static void before_turn(struct nat_host *host)
{
	struct pump *pump = (struct pump *)host;
	struct host_buffer *buffer;

	if (!host->active)
		return;
	while ((buffer = nat_host_used(host, 1)))
		STAILQ_INSERT_TAIL(&pump->free, (struct memory *)buffer, link);
	take_frames(pump);
	release_to_plugin(pump);
	release_to_guest(pump);
}

static void on_signal(void *ctx, int fd, unsigned events)
{
	struct pump *pump = ctx;
	struct signalfd_siginfo signal;

	(void)events;
	if (read(fd, &signal, sizeof signal) != sizeof signal)
		return;
	if (signal.ssi_signo == SIGUSR1)
		net_tap_plugin.say(&pump->host);
	else
		pump->running = false;
}

static void run(struct pump *pump)
{
	pump->running = true;
	while (pump->running) {
		const bool holds = pump->to_plugin.held_len || pump->to_guest.held_len;

		if (STAILQ_EMPTY(&pump->free) == pump->reading) {
			pump->reading = !pump->reading;
			nat_host_watch_set(pump->watch, pump->reading ? CAPSA_WATCH_READ : 0);
		}
		nat_host_turn(&pump->host, holds ? REORDER_MS : -1);
	}
}

/* ---- beginning ---- */

static void say_interface(int fd, unsigned long request, struct ifreq *ifr, const char *what)
{
	if (ioctl(fd, request, ifr) < 0)
		err(1, "%s", what);
}

static int open_tap(const char *name, const unsigned char *mac, unsigned mtu, bool csum, bool gso)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	const unsigned offload = (csum ? TUN_F_CSUM : 0u) | (gso ? TUN_F_TSO4 | TUN_F_TSO6 : 0u);
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), header = HEADER, s;

	if (fd < 0)
		err(1, "/dev/net/tun");
	snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
	say_interface(fd, TUNSETIFF, &ifr, "TUNSETIFF");
	if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 || ioctl(fd, TUNSETOFFLOAD, offload) < 0)
		err(1, "%s: virtio header, offloads", name);
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		err(1, "socket");
	ifr.ifr_hwaddr.sa_family = 1; /* ARPHRD_ETHER */
	memcpy(ifr.ifr_hwaddr.sa_data, mac, ETH_ALEN);
	say_interface(s, SIOCSIFHWADDR, &ifr, "SIOCSIFHWADDR");
	ifr.ifr_mtu = (int)mtu;
	say_interface(s, SIOCSIFMTU, &ifr, "SIOCSIFMTU");
	say_interface(s, SIOCGIFFLAGS, &ifr, "SIOCGIFFLAGS");
	ifr.ifr_flags |= IFF_UP;
	say_interface(s, SIOCSIFFLAGS, &ifr, "SIOCSIFFLAGS");
	close(s);
	return fd;
}

/* Addresses and routes without waiting for DHCP: ip(8) does it, inside. */
static void set_up(const struct nat_host *host, const char *name)
{
	char command[1024];

	net_tap_plugin.set_up(host, name, command, sizeof command);
	if (system(command) != 0)
		errx(1, "failed: %s", command);
}

/* The TAP in the other namespace; the calling thread comes back to its own. */
static void make_guest(struct pump *pump, const char *namespace, const char *name, unsigned mtu, bool csum, bool gso,
                       bool setup)
{
	const struct virtio_net_config *space = (const void *)pump->host.space;
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there = -1;

	if (home < 0)
		err(1, "/proc/self/ns/net");
	if (namespace) {
		there = open(namespace, O_RDONLY | O_CLOEXEC);
		if (there < 0 || setns(there, CLONE_NEWNET) < 0)
			err(1, "%s", namespace);
		close(there);
	} else if (unshare(CLONE_NEWNET) < 0) {
		err(1, "unshare");
	}
	pump->tap = open_tap(name, space->mac, mtu, csum, gso);
	if (setup)
		set_up(&pump->host, name);
	if (!namespace) {
		/* Somebody must live in it for others to enter. */
		pid_t child = fork();

		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
		printf("namespace /proc/%d/ns/net\n", (int)child);
	}
	if (setns(home, CLONE_NEWNET) < 0)
		err(1, "back to the first namespace");
	close(home);
}

static struct memory *new_memory(struct pump *pump, size_t size)
{
	struct memory *memory = &pump->all[pump->n_all++];

	memory->bytes = malloc(size);
	if (!memory->bytes)
		err(1, "memory");
	return memory;
}

static void make_buffers(struct pump *pump)
{
	pump->all = calloc(SEND_BUFFERS + RECEIVE_BUFFERS, sizeof *pump->all);
	if (!pump->all)
		err(1, "memory");
	STAILQ_INIT(&pump->free);
	for (unsigned i = 0; i < SEND_BUFFERS; i++) {
		struct memory *memory = new_memory(pump, HEADER + NIC_FRAME_MAX);

		STAILQ_INSERT_TAIL(&pump->free, memory, link);
	}
	for (unsigned i = 0; i < RECEIVE_BUFFERS; i++)
		give_room(pump, new_memory(pump, pump->receive_size));
}

static void gone(void *ctx, struct host_buffer *buffer)
{
	(void)ctx, (void)buffer;
}

static void print_counters(const struct pump *pump)
{
	for (unsigned i = 0; i < NAT_HOST_COUNTERS && pump->host.counters[i].name[0]; i++)
		printf("%s %llu\n", pump->host.counters[i].name, (unsigned long long)pump->host.counters[i].value);
	printf("tap_refused %llu\n", (unsigned long long)pump->tap_refused);
	printf("to_plugin lost %llu duplicated %llu reordered %llu\n", (unsigned long long)pump->to_plugin.lost,
	       (unsigned long long)pump->to_plugin.duplicated, (unsigned long long)pump->to_plugin.reordered);
	printf("to_guest lost %llu duplicated %llu reordered %llu\n", (unsigned long long)pump->to_guest.lost,
	       (unsigned long long)pump->to_guest.duplicated, (unsigned long long)pump->to_guest.reordered);
}

static unsigned percent(const char *text)
{
	char *end;
	const double value = strtod(text, &end);

	if (*end || value < 0 || value > 100)
		errx(2, "%s is no percentage", text);
	return (unsigned)(value * 100);
}

static void usage(int status)
{
	fprintf(status ? stderr : stdout,
	        "usage: %s [--namespace PATH] [--interface NAME] [--machine NAME] [--options TEXT] [--mtu BYTES]\n"
	        "       [--setup] [--no-csum] [--no-gso] [--buffer BYTES] [--lose PERCENT] [--duplicate PERCENT]\n"
	        "       [--reorder PERCENT] [--towards guest|plugin] [--seed N] [--counters] [--small-pages]\n",
	        program_invocation_short_name);
	exit(status);
}

int main(int argc, char **argv)
{
	enum {
		NAMESPACE = 256,
		INTERFACE,
		MACHINE,
		OPTIONS,
		MTU,
		SETUP,
		NO_CSUM,
		NO_GSO,
		BUFFER,
		LOSE_,
		DUPLICATE_,
		REORDER_,
		TOWARDS,
		SEED,
		COUNTERS,
		SMALL_PAGES,
		HELP
	};
	static const struct option options[] = {
		{ "namespace", required_argument, NULL, NAMESPACE },
		{ "interface", required_argument, NULL, INTERFACE },
		{ "machine", required_argument, NULL, MACHINE },
		{ "options", required_argument, NULL, OPTIONS },
		{ "mtu", required_argument, NULL, MTU },
		{ "setup", no_argument, NULL, SETUP },
		{ "no-csum", no_argument, NULL, NO_CSUM },
		{ "no-gso", no_argument, NULL, NO_GSO },
		{ "buffer", required_argument, NULL, BUFFER },
		{ "lose", required_argument, NULL, LOSE_ },
		{ "duplicate", required_argument, NULL, DUPLICATE_ },
		{ "reorder", required_argument, NULL, REORDER_ },
		{ "towards", required_argument, NULL, TOWARDS },
		{ "seed", required_argument, NULL, SEED },
		{ "counters", no_argument, NULL, COUNTERS },
		{ "small-pages", no_argument, NULL, SMALL_PAGES },
		{ "help", no_argument, NULL, HELP },
		{ NULL, 0, NULL, 0 },
	};
	static struct pump pump = { .receive_size = RECEIVE_SIZE };
	const char *namespace = NULL, *interface = "eth0", *text = "", *towards = NULL;
	bool setup = false, csum = true, gso = true, counters = false;
	struct damage damage = { .random = 1 };
	struct capsa_watch *stopping;
	unsigned mtu = 1500;
	char *all;
	sigset_t stop;
	uint64_t seed = 1, features, begin;
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) >= 0)
		switch (option) {
		case NAMESPACE:
			namespace
			= optarg;
			break;
		case INTERFACE:
			interface = optarg;
			break;
		case MACHINE:
			pump.host.machine = optarg;
			break;
		case OPTIONS:
			text = optarg;
			break;
		case MTU:
			mtu = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case SETUP:
			setup = true;
			break;
		case NO_CSUM:
			csum = gso = false;
			break;
		case NO_GSO:
			gso = false;
			break;
		case BUFFER:
			pump.receive_size = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case LOSE_:
			damage.lose = percent(optarg);
			break;
		case DUPLICATE_:
			damage.duplicate = percent(optarg);
			break;
		case REORDER_:
			damage.reorder = percent(optarg);
			break;
		case TOWARDS:
			towards = optarg;
			break;
		case SEED:
			seed = strtoull(optarg, NULL, 10);
			break;
		case COUNTERS:
			counters = true;
			break;
		case SMALL_PAGES:
			if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) < 0)
				err(1, "PR_SET_THP_DISABLE");
			break;
		default:
			usage(option == HELP || option == 'h' ? 0 : 2);
		}
	if (optind != argc || (setup && !net_tap_plugin.set_up) || (towards && strcmp(towards, "guest") != 0 && strcmp(towards, "plugin") != 0))
		usage(2);
	if (!towards || strcmp(towards, "plugin") == 0)
		pump.to_plugin = damage;
	if (!towards || strcmp(towards, "guest") == 0)
		pump.to_guest = damage;
	pump.to_plugin.random = seed * 2 + 1;
	pump.to_guest.random = seed * 2 + UINT64_C(0x9e3779b97f4a7c15);

	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGUSR1);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	signal(SIGPIPE, SIG_IGN);
	pump.signals = signalfd(-1, &stop, SFD_CLOEXEC);
	pump.host.real_time = pump.host.echo_log = true;
	pump.host.before_turn = before_turn;
	if (asprintf(&all, "mtu = %u; %s %s", mtu, net_tap_plugin.options, text) < 0)
		err(1, "memory");
	if (nat_host_try(&pump.host, all) < 0)
		errx(1, "%s", pump.host.error);
	make_guest(&pump, namespace, interface, mtu, csum, gso, setup);
	features = pump.host.setup.features;
	if (!csum)
		features &= ~(UINT64_C(1) << VIRTIO_NET_F_CSUM | UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM);
	if (!gso)
		features &= ~(UINT64_C(1) << VIRTIO_NET_F_HOST_TSO4 | UINT64_C(1) << VIRTIO_NET_F_HOST_TSO6 |
		              UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO4 | UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO6);
	make_buffers(&pump);
	nat_host_start(&pump.host, features);
	stopping = nat_host_watch(&pump.host, pump.signals, on_signal, &pump);
	pump.watch = nat_host_watch(&pump.host, pump.tap, on_tap, &pump);
	pump.reading = true;
	puts("ready");
	fflush(stdout);
	run(&pump);
	begin = now_us();
	nat_host_reset(&pump.host, gone, NULL);
	if (counters) {
		printf("reset_us %llu\n", (unsigned long long)(now_us() - begin));
		print_counters(&pump);
	}
	nat_host_unwatch(stopping);
	nat_host_unwatch(pump.watch);
	nat_host_end(&pump.host);
	for (unsigned i = 0; i < pump.n_all; i++)
		free(pump.all[i].bytes);
	free(pump.all);
	free(pump.to_plugin.held);
	free(pump.to_guest.held);
	free(all);
	return 0;
}
