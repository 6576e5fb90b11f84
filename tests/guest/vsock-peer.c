/* SPDX-License-Identifier: MIT */
/*
 * vsock-peer.c - one end of a connection for tests and measurements; the same static program in guest and host.
 *
 *   vsock-peer [-s] [-c] [-n COUNT] connect|listen ADDRESS source BYTES | sink | echo | messages | short | hold
 *
 * ADDRESS is vsock:CID:PORT, unix:PATH, or via:PORT:PATH (CONNECT <port> on capsa's socket). -s: SOCK_SEQPACKET.
 * listen serves COUNT connections, one after the other (default 1), connect makes as many.
 *
 *   source    sends BYTES, ends its direction, and compares what the sink says: bytes, and with -c their checksum
 *   sink      reads to the end and says so
 *   echo      sends back what comes, messages as messages, to the end
 *   messages  sends 500 messages of many lengths and expects each back (to an echo)
 *   short     sends eight bytes and expects them back (to an echo)
 *   hold      says "held" and waits for the end
 *
 * Prints a line a connection, but for short: one in all. Status 0: all was as it should be.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/vm_sockets.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MESSAGES 500
#define MESSAGE_MAX 150000

static unsigned char buffer[1 << 18];
static bool seqpacket, checked;
static unsigned count = 1;

struct total {
	uint64_t bytes, sum;
};

static void die(const char *what)
{
	fprintf(stderr, "vsock-peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Of whole words; what is left over at the end is added byte by byte. Depends on the order. */
static void add_up(struct total *t, const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; checked && i < len; i++)
		t->sum = (t->sum ^ bytes[i]) * 0x100000001b3ull;
	t->bytes += len;
}

static int make_socket(const char *text, struct sockaddr_storage *to, socklen_t *len, unsigned *via)
{
	struct sockaddr_vm *vm = (struct sockaddr_vm *)to;
	struct sockaddr_un *un = (struct sockaddr_un *)to;
	int type = seqpacket ? SOCK_SEQPACKET : SOCK_STREAM, used = 0;
	unsigned cid, port;

	memset(to, 0, sizeof *to);
	*via = 0;
	if (sscanf(text, "vsock:%u:%u", &cid, &port) == 2) {
		*vm = (struct sockaddr_vm){ .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port };
		*len = sizeof *vm;
		return socket(AF_VSOCK, type, 0);
	}
	if (sscanf(text, "via:%u:%n", via, &used) == 1 && used)
		text += used;
	else if (!strncmp(text, "unix:", 5))
		text += 5;
	else
		die(text);
	un->sun_family = AF_UNIX;
	if (strlen(text) >= sizeof un->sun_path)
		die("a path that is too long");
	strcpy(un->sun_path, text);
	*len = sizeof *un;
	return socket(AF_UNIX, type, 0);
}

static int do_connect(const char *text)
{
	struct sockaddr_storage to;
	char line[64];
	unsigned via;
	size_t n = 0;
	socklen_t len;
	int fd = make_socket(text, &to, &len, &via);

	if (fd < 0)
		die("socket");
	if (connect(fd, (struct sockaddr *)&to, len)) {
		close(fd);
		return -1;
	}
	if (!via)
		return fd;
	dprintf(fd, "CONNECT %u\n", via);
	while (n < sizeof line && read(fd, line + n, 1) == 1 && line[n] != '\n')
		n++;
	if (!strncmp(line, "OK ", 3))
		return fd;
	close(fd);
	errno = ECONNREFUSED;
	return -1;
}

static bool send_all(int fd, const void *bytes, size_t len)
{
	const unsigned char *at = bytes;
	ssize_t n;

	do {
		n = send(fd, at, len, MSG_NOSIGNAL);
		if (n < 0)
			return false;
		at += n;
		len -= (size_t)n;
	} while (len > 0);
	return true;
}

static bool receive_all(int fd, void *bytes, size_t len)
{
	unsigned char *at = bytes;

	while (len > 0) {
		ssize_t n = recv(fd, at, len, 0);

		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static bool source(int fd, uint64_t bytes)
{
	struct total mine = { .sum = 1 }, theirs;
	size_t part = seqpacket ? 1 << 15 : sizeof buffer;
	double begin = now();

	for (uint64_t at = 0; at < bytes;) {
		size_t len = bytes - at < part ? (size_t)(bytes - at) : part;

		/* Something else each time, at little cost. */
		memcpy(buffer, &at, sizeof at);
		if (!send_all(fd, buffer, len))
			return perror("send"), false;
		add_up(&mine, buffer, len);
		at += len;
	}
	if (shutdown(fd, SHUT_WR))
		return perror("shutdown"), false;
	if (!receive_all(fd, &theirs, sizeof theirs))
		return perror("the sink's answer"), false;
	printf("source %llu %.6f %016llx\n", (unsigned long long)bytes, now() - begin, (unsigned long long)mine.sum);
	return mine.bytes == theirs.bytes && mine.sum == theirs.sum;
}

static bool sink(int fd)
{
	struct total t = { .sum = 1 };
	ssize_t n;

	while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0)
		add_up(&t, buffer, (size_t)n);
	if (n < 0)
		return perror("recv"), false;
	printf("sink %llu %016llx\n", (unsigned long long)t.bytes, (unsigned long long)t.sum);
	return send_all(fd, &t, sizeof t);
}

static bool echo(int fd)
{
	ssize_t n;

	while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0)
		if (!send_all(fd, buffer, (size_t)n))
			return perror("send"), false;
	return n == 0;
}

static bool messages(int fd)
{
	static unsigned char sent[MESSAGE_MAX];

	for (unsigned i = 0; i < MESSAGES; i++) {
		size_t len = 1 + (size_t)i * i * 7919 % MESSAGE_MAX;
		ssize_t n;

		for (size_t k = 0; k < len; k++)
			sent[k] = (unsigned char)(i + k * 31 + k / 251);
		if (send(fd, sent, len, MSG_NOSIGNAL) != (ssize_t)len)
			return perror("send"), false;
		n = recv(fd, buffer, sizeof buffer, 0);
		if (n != (ssize_t)len || memcmp(sent, buffer, len)) {
			printf("message %u: %zu bytes sent, %zd received\n", i, len, n);
			return false;
		}
	}
	printf("messages %u\n", MESSAGES);
	return true;
}

static bool short_one(int fd, uint64_t number)
{
	uint64_t back = 0;

	return send_all(fd, &number, sizeof number) && shutdown(fd, SHUT_WR) == 0 &&
	       receive_all(fd, &back, sizeof back) && back == number && recv(fd, &back, 1, 0) == 0;
}

static bool hold(int fd)
{
	ssize_t n;

	printf("held\n");
	do
		n = recv(fd, buffer, sizeof buffer, 0);
	while (n > 0);
	printf("released: %s\n", n < 0 ? strerror(errno) : "end");
	return true;
}

static bool serve(int fd, const char *role, uint64_t number, const char *bytes)
{
	if (!strcmp(role, "source"))
		return source(fd, bytes ? strtoull(bytes, NULL, 0) : 0);
	if (!strcmp(role, "sink"))
		return sink(fd);
	if (!strcmp(role, "echo"))
		return echo(fd);
	if (!strcmp(role, "messages"))
		return messages(fd);
	if (!strcmp(role, "short"))
		return short_one(fd, number);
	if (!strcmp(role, "hold"))
		return hold(fd);
	fprintf(stderr, "vsock-peer: no such role: %s\n", role);
	exit(2);
}

static int do_listen(const char *text)
{
	struct sockaddr_storage to;
	unsigned via;
	socklen_t len;
	int fd = make_socket(text, &to, &len, &via);

	if (to.ss_family == AF_UNIX)
		unlink(((struct sockaddr_un *)&to)->sun_path); /* an earlier peer's */
	if (fd < 0 || bind(fd, (struct sockaddr *)&to, len) || listen(fd, 1024))
		die(text);
	return fd;
}

int main(int argc, char **argv)
{
	unsigned failed = 0;
	int option, listener = -1;
	double begin;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((option = getopt(argc, argv, "scn:")) != -1)
		switch (option) {
		case 's':
			seqpacket = true;
			break;
		case 'c':
			checked = true;
			break;
		case 'n':
			count = (unsigned)strtoul(optarg, NULL, 0);
			break;
		default:
			return 2;
		}
	if (argc - optind < 3)
		return 2;
	argv += optind;
	if (!strcmp(argv[0], "listen")) {
		listener = do_listen(argv[1]);
		printf("listening\n");
	}
	begin = now();
	for (unsigned i = 0; i < count; i++) {
		int fd = listener >= 0 ? accept(listener, NULL, NULL) : do_connect(argv[1]);

		if (fd < 0) {
			if (!failed)
				perror(argv[0]);
			failed++;
			continue;
		}
		if (!serve(fd, argv[2], i, argv[3]))
			failed++;
		close(fd);
	}
	if (!strcmp(argv[2], "short"))
		printf("short %u failed %u %.6f\n", count, failed, now() - begin);
	return failed > 0;
}
