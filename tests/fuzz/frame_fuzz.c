/* SPDX-License-Identifier: MIT */
/*
 * frame_fuzz.c - frames of a guest, several in a row, through the whole net-nat plugin: the card, what it makes of
 * them, sockets, and what comes back, which the harness checks (nat_guest.h).
 *
 * An input is a row of records: five bytes (below), then a frame, whose checksums are made right. The plugin runs in a
 * network namespace of its own, where nothing is but loopback, and nobody listens. Where the host permits none, all is
 * denied by the rules instead, so that nothing of what is made up here reaches a machine.
 */
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/packets.h"
#include "tests/unit/nat_guest.h"

#define RECORD 5u
#define FRAMES_MAX 16u
#define TURNS_MAX 64u
#define PAUSE_MS 20000u /* longer than pieces of packets wait */

/* The first byte of a record: what the next two mean, and whether checksums are made right. */
enum kind { PLAIN, SPLIT, CHECKSUM, GSO, PAUSE, KINDS };
#define AS_IT_IS 0x80u

const unsigned fuzz_runs = 20000;

static struct nat_guest guest;

/* ---- seeds: one honest frame each, then pairs and rows that belong together ---- */

static size_t put_record(uint8_t *data, enum kind kind, uint8_t a, uint8_t b, unsigned seed)
{
	const size_t len = packets_seed(seed, data + RECORD);

	data[0] = (uint8_t)kind;
	data[1] = a;
	data[2] = b;
	data[3] = (uint8_t)(len >> 8);
	data[4] = (uint8_t)len;
	return len ? RECORD + len : 0;
}

size_t fuzz_seed(unsigned n, uint8_t *data)
{
	static const struct {
		uint8_t kind, a, b, seed;
	} rows[][4] = {
		{ { PLAIN, 0, 0, 13 }, { PLAIN, 0, 0, 14 } },  /* two pieces */
		{ { PLAIN, 0, 0, 16 }, { SPLIT, 20, 0, 15 } }, /* and of IPv6, the second first */
		{ { CHECKSUM, 34, 16, 9 }, { CHECKSUM, 34, 16, 11 }, { CHECKSUM, 34, 16, 12 } },
		{ { CHECKSUM, 54, 16, 10 }, { GSO, 5, 100, 11 } },
		{ { CHECKSUM, 34, 6, 7 }, { PLAIN, 0, 0, 7 }, { PLAIN, 0, 0, 21 } },
		{ { PLAIN, 0, 0, 13 }, { PAUSE, 0, 0, 0 }, { PLAIN, 0, 0, 14 }, { PLAIN, 0, 0, 13 } },
	};
	size_t len = put_record(data, PLAIN, 0, 0, n);
	unsigned singles = 0;
	uint8_t frame[FUZZ_INPUT_MAX];

	if (len)
		return len;
	while (packets_seed(singles, frame))
		singles++;
	n -= singles;
	if (n >= sizeof rows / sizeof rows[0])
		return 0;
	for (unsigned i = 0; i < 4 && (rows[n][i].kind || rows[n][i].seed); i++)
		len += put_record(data + len, (enum kind)rows[n][i].kind, rows[n][i].a, rows[n][i].b, rows[n][i].seed);
	return len;
}

/* ---- the plugin ---- */

static bool has_own_network(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd, rc;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 && unshare(CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	rc = fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &lo);
	if (fd >= 0)
		close(fd);
	return rc == 0;
}

static void begin(void)
{
	nat_begin(&guest, has_own_network() ? NAT_LOOPBACK_ALLOWED : "policy = { default = \"deny\"; };");
}

static void take_answers(void)
{
	static struct nat_frame frame;
	unsigned n = 0;

	while (n++ < TURNS_MAX && nat_receive_now(&guest, &frame))
		;
}

static void send_frame(const uint8_t *record, const uint8_t *bytes, size_t len)
{
	static uint8_t frame[FUZZ_INPUT_MAX + 1];
	struct virtio_net_hdr_v1 header = { .flags = 0 };
	size_t split = 0;

	if (len > sizeof frame)
		len = sizeof frame;
	memcpy(frame, bytes, len);
	if (!(record[0] & AS_IT_IS))
		packets_repair(frame, len);
	switch (record[0] % AS_IT_IS % KINDS) {
	case SPLIT:
		split = (size_t)(record[1] | record[2] << 8);
		break;
	case CHECKSUM:
		header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		header.csum_start = record[1];
		header.csum_offset = record[2];
		break;
	case GSO:
		header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		header.csum_start = record[1] & 0x80 ? 54 : 34;
		header.csum_offset = 16;
		header.gso_type = record[1] & 0x7f;
		header.gso_size = record[2];
		header.hdr_len = 54;
		break;
	case PAUSE:
		nat_pass(&guest, PAUSE_MS);
		break;
	default:
		break;
	}
	nat_send_with(&guest, 0, &header, frame, len, split < len ? split : 0);
	take_answers();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!guest.nat)
		begin();
	for (unsigned n = 0; n < FRAMES_MAX && len > RECORD; n++) {
		size_t frame_len = (size_t)(data[3] << 8 | data[4]);

		if (frame_len > len - RECORD)
			frame_len = len - RECORD;
		if (frame_len > 0)
			send_frame(data, data + RECORD, frame_len);
		data += RECORD + frame_len;
		len -= RECORD + frame_len;
	}
	fuzz_check(!guest.broken);
	nat_reset(&guest);
	take_answers();
	return 0;
}
