/* SPDX-License-Identifier: MIT */
/* cluster_host.c - see cluster_host.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/cluster_host.h"

#define WATCHES_MAX 256u
#define FRAME_TYPE 0x88b5 /* for experiments (IEEE 802) */

struct capsa_watch {
	int fd;
	unsigned events;
	bool removed;
	void (*call)(void *ctx, int fd, unsigned events);
	void *ctx;
	LIST_ENTRY(capsa_watch) link;
};

struct capsa_timer {
	uint64_t at; /* 0: not set */
	void (*call)(void *ctx);
	void *ctx;
	LIST_ENTRY(capsa_timer) link;
};

uint64_t cluster_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- services ---- */

static struct cluster_host *host_of(struct capsa_device *dev)
{
	return (struct cluster_host *)dev;
}

CAPSA_PRINTF(3, 4)
static void host_log(struct capsa_device *dev, enum capsa_log_level level, const char *fmt, ...)
{
	struct cluster_host *host = host_of(dev);
	const size_t used = strlen(host->logged);
	va_list args;

	(void)level;
	va_start(args, fmt);
	vsnprintf(host->logged + used, sizeof host->logged - used, fmt, args);
	va_end(args);
}

static const char *host_shared_path(struct capsa_device *dev, const char *name)
{
	struct cluster_host *host = host_of(dev);

	snprintf(host->shared, sizeof host->shared, "%s/%s", host->folder, name);
	return host->shared;
}

static struct capsa_watch *host_watch_add(struct capsa_device *dev, int fd, unsigned events,
                                          void (*call)(void *ctx, int fd, unsigned events), void *ctx)
{
	struct capsa_watch *watch = calloc(1, sizeof *watch);

	assert_non_null(watch);
	watch->fd = fd;
	watch->events = events;
	watch->call = call;
	watch->ctx = ctx;
	LIST_INSERT_HEAD(&host_of(dev)->watches, watch, link);
	return watch;
}

static int host_watch_set(struct capsa_watch *watch, unsigned events)
{
	watch->events = events;
	return 0;
}

static void host_watch_remove(struct capsa_watch *watch)
{
	assert_false(watch->removed);
	watch->removed = true;
}

static struct capsa_timer *host_timer_add(struct capsa_device *dev, void (*call)(void *ctx), void *ctx)
{
	struct capsa_timer *timer = calloc(1, sizeof *timer);

	assert_non_null(timer);
	timer->call = call;
	timer->ctx = ctx;
	LIST_INSERT_HEAD(&host_of(dev)->timers, timer, link);
	return timer;
}

static void host_timer_set(struct capsa_timer *timer, int64_t ms)
{
	timer->at = ms < 0 ? 0 : cluster_now_ms() + (uint64_t)ms;
}

static void host_timer_remove(struct capsa_timer *timer)
{
	LIST_REMOVE(timer, link);
	free(timer);
}

static int host_socket_open(struct capsa_device *dev, int domain, int type, int protocol)
{
	const int fd = socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

	(void)dev;
	return fd < 0 ? -errno : fd;
}

static int host_socket_connect(struct capsa_device *dev, int fd, const struct sockaddr *to, socklen_t len)
{
	(void)dev;
	return connect(fd, to, len) < 0 ? -errno : 0;
}

const struct capsa_host cluster_services = {
	.struct_size = sizeof(struct capsa_host),
	.log = host_log,
	.watch_add = host_watch_add,
	.watch_set = host_watch_set,
	.watch_remove = host_watch_remove,
	.timer_add = host_timer_add,
	.timer_set = host_timer_set,
	.timer_remove = host_timer_remove,
	.socket_open = host_socket_open,
	.socket_connect = host_socket_connect,
	.shared_path = host_shared_path,
};

static void timers_run(struct cluster_host *host)
{
	const uint64_t now = cluster_now_ms();
	struct capsa_timer *timer, *next;

	for (timer = LIST_FIRST(&host->timers); timer; timer = next) {
		next = LIST_NEXT(timer, link);
		if (timer->at == 0 || timer->at > now)
			continue;
		timer->at = 0;
		timer->call(timer->ctx);
	}
}

static void removed_free(struct cluster_host *host)
{
	struct capsa_watch *watch, *next;

	for (watch = LIST_FIRST(&host->watches); watch; watch = next) {
		next = LIST_NEXT(watch, link);
		if (!watch->removed)
			continue;
		LIST_REMOVE(watch, link);
		free(watch);
	}
}

void cluster_host_turn(struct cluster_host *host, int ms)
{
	struct pollfd fds[WATCHES_MAX + 1];
	struct capsa_watch *watch, *of[WATCHES_MAX];
	nfds_t n = 0;

	removed_free(host);
	LIST_FOREACH(watch, &host->watches, link)
	{
		if (watch->events == 0)
			continue;
		assert_true(n < WATCHES_MAX);
		fds[n] = (struct pollfd){ .fd = watch->fd };
		fds[n].events = (short)((watch->events & CAPSA_WATCH_READ ? POLLIN : 0) |
		                        (watch->events & CAPSA_WATCH_WRITE ? POLLOUT : 0));
		of[n++] = watch;
	}
	fds[n] = (struct pollfd){ .fd = host->also, .events = POLLIN };
	if (poll(fds, n + 1, ms) > 0) {
		for (nfds_t i = 0; i < n; i++) {
			const unsigned ready = (fds[i].revents & ~POLLOUT ? CAPSA_WATCH_READ : 0u) |
			                       (fds[i].revents & POLLOUT ? CAPSA_WATCH_WRITE : 0u);

			assert_false(fds[i].revents & POLLNVAL);
			if (!of[i]->removed && (ready & of[i]->events))
				of[i]->call(of[i]->ctx, of[i]->fd, ready & of[i]->events);
		}
	}
	timers_run(host);
	removed_free(host);
}

void cluster_host_begin(struct cluster_host *host)
{
	memset(host, 0, sizeof *host);
	host->also = -1;
	strcpy(host->folder, "/tmp/capsa-cluster-XXXXXX");
	assert_non_null(mkdtemp(host->folder));
}

static void remove_all(int parent, const char *name)
{
	const int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		unlinkat(parent, name, 0);
		return;
	}
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			remove_all(dirfd(dir), entry->d_name);
	closedir(dir);
	unlinkat(parent, name, AT_REMOVEDIR);
}

void cluster_host_end(struct cluster_host *host)
{
	no_process_is_left();
	removed_free(host);
	assert_true(LIST_EMPTY(&host->watches));
	assert_true(LIST_EMPTY(&host->timers));
	remove_all(AT_FDCWD, host->folder);
}

int cluster_folder(const struct cluster_host *host)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/clusters/lab", host->folder);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* ---- machines ---- */

static void machine_receive(struct machine *m)
{
	struct ring *ring = member_ring(m->member);

	do {
		struct ring_frame frame;
		int r;

		while ((r = ring_peek(ring, &frame)) == 1) {
			unsigned char *at = m->last;
			size_t room = sizeof m->last;

			for (unsigned i = 0; i < frame.n && room > 0; i++) {
				const size_t len = frame.pieces[i].iov_len < room ? frame.pieces[i].iov_len : room;

				memcpy(at, frame.pieces[i].iov_base, len);
				at += len;
				room -= len;
			}
			ring_pop(ring);
			m->received++;
			m->received_of[m->last[11]]++;
		}
		assert_int_equal(r, 0);
		ring_release(ring);
	} while (!ring_wait_frames(ring));
}

static void machine_woken(void *ctx)
{
	machine_receive(ctx);
}

static void machine_changed(void *ctx)
{
	struct machine *m = ctx;

	m->changed++;
	if (member_ring(m->member))
		machine_receive(m);
}

void machine_init(struct machine *m, struct cluster_host *host, unsigned number)
{
	memset(m, 0, sizeof *m);
	m->host = host;
	m->number = number;
	snprintf(m->hello.port.name, sizeof m->hello.port.name, "vm%u", number);
	memcpy(m->hello.port.mac, "\x52\x54\x00\x00\x00", 5);
	m->hello.port.mac[5] = (unsigned char)number;
}

int machine_try(struct machine *m)
{
	static const struct member_operations operations = { machine_woken, machine_changed };
	int r;

	m->cause[0] = '\0';
	r = member_open(&cluster_services, &m->host->dev, "lab", &m->hello, &operations, m, &m->member, m->cause,
	                sizeof m->cause);
	if (r == 0) {
		assert_int_equal(member_start(m->member), 0);
		assert_non_null(member_ring(m->member));
		machine_receive(m);
	}
	return r;
}

void machine_join(struct machine *m)
{
	if (machine_try(m) < 0)
		fail_msg("%s", m->cause);
}

void machine_leave(struct machine *m)
{
	member_free(m->member);
	m->member = NULL;
}

bool machine_send(struct machine *m, const struct machine *to)
{
	struct virtio_net_hdr_v1 header = { 0 };
	unsigned char frame[60] = { 0 };
	const struct iovec iov = { frame, sizeof frame };
	struct ring *ring = member_ring(m->member);

	if (!ring)
		return false;
	memset(frame, 0xff, ETH_ALEN);
	if (to)
		memcpy(frame, to->hello.port.mac, ETH_ALEN);
	memcpy(frame + ETH_ALEN, m->hello.port.mac, ETH_ALEN);
	frame[12] = FRAME_TYPE >> 8;
	frame[13] = FRAME_TYPE & 0xff;
	if (ring_put(ring, &header, &iov, 1) < 0)
		return false;
	ring_publish(ring);
	return true;
}

static bool has_each(struct machine *const *machines, unsigned n, const struct machine *m, uint64_t times)
{
	for (unsigned i = 0; i < n; i++)
		if (machines[i] != m && m->received_of[machines[i]->number] < times)
			return false;
	return true;
}

/* How often rings have come and gone. */
static unsigned changes(struct machine *const *machines, unsigned n)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += machines[i]->changed;
	return sum;
}

void machines_talk(struct machine *const *machines, unsigned n)
{
	const uint64_t until = cluster_now_ms() + UNTIL_MS;
	unsigned silent = 0;

	for (unsigned i = 0; i < n; i++) {
		UNTIL(machines[i]->host, member_ring(machines[i]->member));
		memset(machines[i]->received_of, 0, sizeof machines[i]->received_of);
	}
	do {
		/* What was sent while a switch went is gone, as on any wire: then once more. */
		const unsigned before = changes(machines, n);

		for (unsigned i = 0; i < n; i++) {
			machine_send(machines[i], NULL);
			for (unsigned j = 0; j < n; j++)
				if (i != j)
					machine_send(machines[i], machines[j]);
		}
		silent = 0;
		while (silent < n) {
			assert_true(cluster_now_ms() < until);
			cluster_host_turn(machines[0]->host, 100);
			for (silent = 0; silent < n && has_each(machines, n, machines[silent], 2); silent++)
				;
			if (changes(machines, n) != before)
				break;
		}
	} while (silent < n);
}

/* ---- processes ---- */

struct process {
	pid_t pid, parent;
	char name[32], state;
};

static bool process_read(const char *pid, struct process *out)
{
	char path[300], line[512], *open, *close;
	FILE *file;
	bool got;

	snprintf(path, sizeof path, "/proc/%s/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	got = fgets(line, sizeof line, file) != NULL;
	fclose(file);
	open = got ? strchr(line, '(') : NULL;
	close = open ? strrchr(line, ')') : NULL;
	if (!close || sscanf(close + 1, " %c %d", &out->state, &out->parent) != 2)
		return false;
	*close = '\0';
	out->pid = atoi(line);
	snprintf(out->name, sizeof out->name, "%.31s", open + 1);
	return true;
}

/* Calls for each process that is not a zombie and whose parent is this process, or one whose parent is. */
static void each_child(void (*call)(void *ctx, const struct process *process), void *ctx)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		struct process process, parent;
		char pid[32];

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || !process_read(entry->d_name, &process) ||
		    process.state == 'Z')
			continue;
		snprintf(pid, sizeof pid, "%d", (int)process.parent);
		if (process.parent == getpid() || (process_read(pid, &parent) && parent.parent == getpid()))
			call(ctx, &process);
	}
	if (dir)
		closedir(dir);
}

struct wanted {
	const char *name;
	bool is_guardian;
	pid_t *pids;
	unsigned n, max;
};

static void want(void *ctx, const struct process *process)
{
	struct wanted *wanted = ctx;

	/* A switch that has not named itself yet has its guardian's name, but is that one's child. */
	if (strcmp(process->name, wanted->name) != 0 || (wanted->is_guardian && process->parent != getpid()))
		return;
	if (wanted->n < wanted->max)
		wanted->pids[wanted->n] = process->pid;
	wanted->n++;
}

unsigned processes(const char *name, pid_t *pids, unsigned max)
{
	struct wanted wanted = {
		.name = name, .is_guardian = strcmp(name, "capsa-guardian") == 0, .pids = pids, .max = max
	};

	each_child(want, &wanted);
	return wanted.n;
}

void no_process_is_left(void)
{
	/* Whoever stays is found by the program's own end (cluster_test_main()). */
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	assert_int_equal(errno, ECHILD);
}

static void kill_one(void *ctx, const struct process *process)
{
	unsigned *n = ctx;

	fprintf(stderr, "left behind: %s, process %d\n", process->name, (int)process->pid);
	kill(process->pid, SIGKILL);
	(*n)++;
}

int cluster_test_main(int (*run)(void))
{
	sigset_t child;
	struct timespec limit = { .tv_sec = CLUSTER_TEST_SECONDS };
	unsigned left = 0;
	int status = -1;
	pid_t pid;

	setvbuf(stdout, NULL, _IOLBF, 0);
	(void)signal(SIGPIPE, SIG_IGN); /* as capsa does */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	pid = fork();
	if (pid == 0) {
		sigprocmask(SIG_UNBLOCK, &child, NULL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		exit(run());
	}
	if (pid < 0)
		return 1;
	if (sigtimedwait(&child, NULL, &limit) < 0) {
		fprintf(stderr, "not done within %d seconds\n", CLUSTER_TEST_SECONDS);
		kill(pid, SIGKILL);
	}
	waitpid(pid, &status, 0);
	do
		each_child(kill_one, &left);
	while (waitpid(-1, NULL, 0) > 0);
	return WIFEXITED(status) && left == 0 ? WEXITSTATUS(status) : 1;
}
