/* SPDX-License-Identifier: MIT */
/*
 * nat-flows.c - both ends of very many TCP connections at once, for net-nat in between.
 *
 *     make -C build tests/bench/nat-flows
 *     nat-flows serve PORT                        on all addresses: sends back what comes; ends with SIGTERM
 *     nat-flows open COUNT PORT ADDRESS...        to each address in turn
 *
 * `open` does one step for each line that it reads, so that somebody can look at what is in between meanwhile, and
 * answers by a line when all of them are done:
 *
 *     open     "opened COUNT MS", behind "tenth N PER_SECOND" for each tenth of them
 *     echo     "echoed COUNT MS": a byte there and back on each, compared
 *     close    "closed COUNT MS": both ends have closed theirs
 *
 * It ends with its input; the first connection that fails, or 60 s in which nothing happens, end it with status 1.
 *
 * WINDOW of them are on their way at a time, so that no queue in between is too short: what is measured is work, not
 * loss.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define WINDOW 128u
#define BATCH 256u
#define PATIENCE 60000 /* ms */
#define SPARE 16u      /* descriptors that are no connections */

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* As many descriptors as there may be. */
static rlim_t raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		err(1, "RLIMIT_NOFILE");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		err(1, "RLIMIT_NOFILE");
	return limit.rlim_cur;
}

static unsigned long number(const char *text, unsigned long most)
{
	char *end;
	const unsigned long value = strtoul(text, &end, 10);

	if (*end || value < 1 || value > most)
		errx(2, "%s is no number from 1 to %lu", text, most);
	return value;
}

static void watch(int epoll, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		err(1, "epoll_ctl");
}

/* ---- the far end ---- */

static void accept_all(int epoll, int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		watch(epoll, fd, EPOLLIN);
	if (errno != EAGAIN && errno != ECONNABORTED)
		err(1, "accept");
}

static void send_back(int fd)
{
	char bytes[4096];
	const ssize_t n = read(fd, bytes, sizeof bytes);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0 || write(fd, bytes, (size_t)n) != n)
		close(fd);
}

static void serve(uint16_t port)
{
	const struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	const int epoll = epoll_create1(EPOLL_CLOEXEC), yes = 1;
	const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct epoll_event events[BATCH];

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (bind(listener, (const struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 4096) < 0)
		err(1, "port %u", port);
	watch(epoll, listener, EPOLLIN);
	puts("ready");
	fflush(stdout);
	for (;;) {
		const int n = epoll_wait(epoll, events, BATCH, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == listener)
				accept_all(epoll, listener);
			else
				send_back(events[i].data.fd);
		}
	}
}

/* ---- the near end ---- */

struct ends {
	unsigned count;
	int *fds; /* [count] */
	int epoll;
	struct sockaddr_in *to;
	unsigned n_to;
};

/* A step: begin() of each, done() when its socket is ready, both by its number. */
struct step {
	const char *name, *past;
	void (*begin)(struct ends *ends, unsigned i);
	void (*done)(struct ends *ends, unsigned i);
	bool tenths;
};

static void fail(unsigned i, const char *what, int error)
{
	errx(1, "connection %u: %s: %s", i, what, strerror(error));
}

static void set_events(struct ends *ends, unsigned i, int operation, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u32 = i };

	if (epoll_ctl(ends->epoll, operation, ends->fds[i], &event) < 0)
		err(1, "epoll_ctl");
}

static void begin_open(struct ends *ends, unsigned i)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail(i, "socket", errno);
	ends->fds[i] = fd;
	if (connect(fd, (const struct sockaddr *)&ends->to[i % ends->n_to], sizeof *ends->to) < 0 &&
	    errno != EINPROGRESS)
		fail(i, "connect", errno);
	set_events(ends, i, EPOLL_CTL_ADD, EPOLLOUT | EPOLLONESHOT);
}

static void done_open(struct ends *ends, unsigned i)
{
	int error = 0;
	socklen_t len = sizeof error;

	getsockopt(ends->fds[i], SOL_SOCKET, SO_ERROR, &error, &len);
	if (error)
		fail(i, "connect", error);
}

static unsigned char byte_of(unsigned i)
{
	return (unsigned char)(i * 7 + 1);
}

static void begin_echo(struct ends *ends, unsigned i)
{
	const unsigned char byte = byte_of(i);

	if (send(ends->fds[i], &byte, 1, MSG_NOSIGNAL) != 1)
		fail(i, "send", errno);
	set_events(ends, i, EPOLL_CTL_MOD, EPOLLIN | EPOLLONESHOT);
}

static void done_echo(struct ends *ends, unsigned i)
{
	unsigned char byte = 0;
	const ssize_t n = recv(ends->fds[i], &byte, 1, MSG_DONTWAIT);

	if (n < 0)
		fail(i, "receive", errno);
	if (n == 0)
		errx(1, "connection %u has ended", i);
	if (byte != byte_of(i))
		errx(1, "connection %u is another one's: %u, not %u", i, byte, byte_of(i));
}

static void begin_close(struct ends *ends, unsigned i)
{
	if (shutdown(ends->fds[i], SHUT_WR) < 0)
		fail(i, "shutdown", errno);
	set_events(ends, i, EPOLL_CTL_MOD, EPOLLIN | EPOLLONESHOT);
}

static void done_close(struct ends *ends, unsigned i)
{
	char byte;
	const ssize_t n = recv(ends->fds[i], &byte, 1, MSG_DONTWAIT);

	if (n < 0)
		fail(i, "end", errno);
	if (n > 0)
		errx(1, "connection %u: a byte that nobody sent", i);
	close(ends->fds[i]);
}

static const struct step steps[] = {
	{ "open", "opened", begin_open, done_open, true },
	{ "echo", "echoed", begin_echo, done_echo, false },
	{ "close", "closed", begin_close, done_close, false },
};

static void tell_tenth(const struct ends *ends, unsigned done, double *since)
{
	const unsigned tenth = ends->count / 10;
	const double now = now_ms();

	if (!tenth || done % tenth)
		return;
	printf("tenth %u %.0f\n", done, tenth * 1e3 / (now - *since));
	*since = now;
}

static void run(struct ends *ends, const struct step *step)
{
	struct epoll_event events[BATCH];
	const double begin = now_ms();
	double since = begin;
	unsigned begun = 0, done = 0;

	while (done < ends->count) {
		int n;

		while (begun < ends->count && begun - done < WINDOW)
			step->begin(ends, begun++);
		n = epoll_wait(ends->epoll, events, BATCH, PATIENCE);
		if (n == 0)
			errx(1, "nothing happens any more: %u are %s, %u have begun", done, step->past, begun);
		for (int i = 0; i < n; i++) {
			step->done(ends, events[i].data.u32);
			done++;
			if (step->tenths)
				tell_tenth(ends, done, &since);
		}
	}
	printf("%s %u %.0f\n", step->past, ends->count, now_ms() - begin);
	fflush(stdout);
}

static void obey(struct ends *ends)
{
	char line[32];

	while (fgets(line, sizeof line, stdin)) {
		unsigned i = 0;

		line[strcspn(line, "\n")] = '\0';
		while (i < sizeof steps / sizeof *steps && strcmp(steps[i].name, line) != 0)
			i++;
		if (i == sizeof steps / sizeof *steps)
			errx(2, "%s is no step", line);
		run(ends, &steps[i]);
	}
}

static void open_many(int argc, char **argv, rlim_t limit)
{
	struct ends ends = { .epoll = epoll_create1(EPOLL_CLOEXEC) };
	const unsigned long port = number(argv[1], 65535);

	ends.count = (unsigned)number(argv[0], limit > SPARE ? limit - SPARE : 0);
	ends.n_to = (unsigned)argc - 2;
	ends.fds = calloc(ends.count, sizeof *ends.fds);
	ends.to = calloc(ends.n_to, sizeof *ends.to);
	if (!ends.fds || !ends.to)
		err(1, "memory");
	for (unsigned i = 0; i < ends.n_to; i++) {
		ends.to[i] = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
		if (inet_pton(AF_INET, argv[i + 2], &ends.to[i].sin_addr) != 1)
			errx(2, "%s is no address", argv[i + 2]);
	}
	obey(&ends);
	free(ends.fds);
	free(ends.to);
}

int main(int argc, char **argv)
{
	const rlim_t limit = raise_limit();

	if (argc == 3 && strcmp(argv[1], "serve") == 0) {
		serve((uint16_t)number(argv[2], 65535));
	} else if (argc >= 5 && strcmp(argv[1], "open") == 0) {
		open_many(argc - 2, argv + 2, limit);
	} else {
		fprintf(stderr, "usage: nat-flows serve PORT | nat-flows open COUNT PORT ADDRESS...\n");
		return 2;
	}
	return 0;
}
