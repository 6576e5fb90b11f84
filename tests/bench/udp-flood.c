/* SPDX-License-Identifier: MIT */
/*
 * udp-flood.c - small UDP packets from one machine to another, as many as go: for cluster.py, inside of its guests.
 *
 *   udp-flood count            says "counting", waits for the first packet, then says how many came and in which time
 *   udp-flood send ADDRESS SECONDS      says how many it has sent
 *
 * Many packets a system call on both sides, so that what is measured is the way between them. Packets have 64 bytes;
 * the last ones say that they are, and end the count; so does a silence of QUIET_S.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORT 5300
#define SIZE 64u
#define BATCH 64u
#define LASTS 16u /* some of them will be lost */
#define FIRST_S 60
#define QUIET_S 5
#define ROOM (4 << 20)

struct batch {
	unsigned char bytes[BATCH][SIZE + 1]; /* one more shows a packet that is too long */
	struct iovec iov[BATCH];
	struct mmsghdr messages[BATCH];
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void batch_init(struct batch *batch, size_t size)
{
	for (unsigned i = 0; i < BATCH; i++) {
		batch->iov[i] = (struct iovec){ .iov_base = batch->bytes[i], .iov_len = size };
		batch->messages[i].msg_hdr = (struct msghdr){ .msg_iov = &batch->iov[i], .msg_iovlen = 1 };
	}
}

static int udp_socket(void)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (s < 0)
		err(1, "socket");
	return s;
}

static void patience(int s, int seconds)
{
	const struct timeval timeout = { .tv_sec = seconds };

	if (setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) < 0)
		err(1, "SO_RCVTIMEO");
}

/* How many of `n` packets count; sets *last where one of them was a last one. */
static unsigned counted(const struct batch *batch, unsigned n, int *last)
{
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++) {
		if (batch->messages[i].msg_len != SIZE)
			errx(1, "a packet of %u bytes", batch->messages[i].msg_len);
		if (batch->bytes[i][0])
			*last = 1;
		else
			count++;
	}
	return count;
}

static void count(void)
{
	static struct batch batch;
	const struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	const int room = ROOM;
	unsigned long packets = 0;
	double first = 0, latest = 0;
	int s = udp_socket(), last = 0;

	if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0)
		err(1, "SO_RCVBUFFORCE");
	if (bind(s, (const struct sockaddr *)&here, sizeof here) < 0)
		err(1, "bind");
	batch_init(&batch, SIZE + 1);
	patience(s, FIRST_S);
	puts("counting");
	fflush(stdout);
	while (!last) {
		const int n = recvmmsg(s, batch.messages, BATCH, MSG_WAITFORONE, NULL);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			err(1, "recvmmsg");
		latest = now();
		if (first == 0) {
			first = latest;
			patience(s, QUIET_S);
		}
		packets += counted(&batch, (unsigned)n, &last);
	}
	if (packets < 2 || latest <= first)
		errx(1, "%lu packets came", packets);
	printf("%lu packets in %.6f s\n", packets, latest - first);
	close(s);
}

static void send_all(int s, struct batch *batch, unsigned n)
{
	for (unsigned sent = 0; sent < n;) {
		const int done = sendmmsg(s, batch->messages + sent, n - sent, 0);

		if (done > 0)
			sent += (unsigned)done;
		else if (errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED)
			err(1, "sendmmsg");
	}
}

static void flood(const char *address, double seconds)
{
	static struct batch batch;
	struct sockaddr_in there = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	const double end = now() + seconds;
	unsigned long packets = 0;
	int s = udp_socket();

	if (inet_pton(AF_INET, address, &there.sin_addr) != 1)
		errx(2, "%s is no address", address);
	if (connect(s, (const struct sockaddr *)&there, sizeof there) < 0)
		err(1, "%s", address);
	batch_init(&batch, SIZE);
	while (now() < end) {
		send_all(s, &batch, BATCH);
		packets += BATCH;
	}
	for (unsigned i = 0; i < LASTS; i++)
		batch.bytes[i][0] = 1;
	send_all(s, &batch, LASTS);
	printf("%lu packets sent\n", packets);
	close(s);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "count") == 0) {
		count();
	} else if (argc == 4 && strcmp(argv[1], "send") == 0) {
		flood(argv[2], strtod(argv[3], NULL));
	} else {
		fprintf(stderr, "usage: udp-flood count | udp-flood send ADDRESS SECONDS\n");
		return 2;
	}
	return 0;
}
