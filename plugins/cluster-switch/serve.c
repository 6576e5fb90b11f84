/* SPDX-License-Identifier: MIT */
/* serve.c - see serve.h: the loop, the listener, whose turn it is. Called by guardian.c. */
#include "plugins/cluster-switch/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "plugins/cluster-switch/schedule.h"
#include "plugins/cluster-switch/serve-private.h"

#define SOCKET_NEW CLUSTER_SOCKET ".new"
#define BACKLOG 4096
#define EVENTS_MAX 64
#define LOG_MAX (64 << 10)
/* A frame costs as much as so many bytes, however short it is. */
#define FRAME_COST 64u
/* What could not begin is tried again by the next guardian, but not at once. */
#define FAILED_PAUSE_MS 1000

/* ---- words ---- */

void serve_say(struct serve *serve, const char *fmt, ...)
{
	const int fd = openat(serve->dirfd, CLUSTER_LOG,
	                      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	char line[1024];
	struct stat st;
	va_list args;

	if (fd < 0)
		return;
	va_start(args, fmt);
	vsnprintf(line, sizeof line, fmt, args);
	va_end(args);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > LOG_MAX && ftruncate(fd, 0) < 0)
		st.st_size = 0;
	dprintf(fd, "capsa-switch[%d]: %s\n", (int)getpid(), line);
	close(fd);
}

static uint64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- what is watched ---- */

int serve_watch(struct serve *serve, struct source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	if (epoll_ctl(serve->epoll, EPOLL_CTL_ADD, source->fd, &event) == 0)
		return 0;
	if (errno == EEXIST && epoll_ctl(serve->epoll, EPOLL_CTL_MOD, source->fd, &event) == 0)
		return 0;
	return -errno;
}

/* Never left to close(2): a guardian that is just being forked may have the file open for a moment more. */
void serve_unwatch(struct serve *serve, struct source *source)
{
	(void)epoll_ctl(serve->epoll, EPOLL_CTL_DEL, source->fd, NULL);
}

/* The timer runs only while somebody is pending; the first of these came first. */
static void deadline_set(struct serve *serve)
{
	const struct peer *first = TAILQ_FIRST(&serve->pending);
	const uint64_t ms = first ? first->deadline_ms : 0;
	struct itimerspec at = { .it_value = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 } };

	if (ms == serve->deadline_ms)
		return;
	serve->deadline_ms = ms;
	timerfd_settime(serve->deadline.fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void deadline_passed(struct serve *serve)
{
	uint64_t times;
	struct peer *peer;

	if (read(serve->deadline.fd, &times, sizeof times) < 0)
		return;
	serve->deadline_ms = 0;
	while ((peer = TAILQ_FIRST(&serve->pending)) && peer->deadline_ms <= clock_ms())
		peer_cut(peer);
}

/* ---- peers ---- */

void peer_cut(struct peer *peer)
{
	struct serve *serve = peer->serve;

	switch (peer->state) {
	case PEER_PENDING:
	case PEER_SHOWN:
		TAILQ_REMOVE(&serve->pending, peer, link);
		serve->n_pending--;
		break;
	case PEER_MEMBER:
		TAILQ_REMOVE(&serve->members, peer, link);
		serve->n_members--;
		serve->members_changed = true;
		break;
	case PEER_GONE:
		return;
	}
	waiters_forget(peer);
	/* The port first: who joins again at the end of the socket finds its name free. */
	peer_leave(peer);
	if (peer->in_line)
		TAILQ_REMOVE(&serve->line, peer, in_turn);
	if (peer->ring) {
		serve_unwatch(serve, &peer->ring_source);
		ring_free(peer->ring);
	}
	serve_unwatch(serve, &peer->socket);
	close(peer->socket.fd);
	free(peer->text);
	peer->state = PEER_GONE;
	TAILQ_INSERT_TAIL(&serve->gone, peer, link);
}

static void gone_free(struct serve *serve)
{
	struct peer *peer;

	while ((peer = TAILQ_FIRST(&serve->gone))) {
		TAILQ_REMOVE(&serve->gone, peer, link);
		free(peer);
	}
}

void peer_ready(struct peer *peer)
{
	if (peer->in_line || peer->state != PEER_MEMBER)
		return;
	peer->in_line = true;
	TAILQ_INSERT_TAIL(&peer->serve->line, peer, in_turn);
}

/* Somebody connects. False: there is nobody more. */
static bool accept_one(struct serve *serve)
{
	struct peer *peer;
	struct ucred who;
	socklen_t len = sizeof who;
	int fd = accept4(serve->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE) && serve->spare >= 0) {
		/* Whoever stands at the door would stand there, and wake us, for ever. */
		close(serve->spare);
		fd = accept4(serve->listener.fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			close(fd);
		serve->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
		serve_say(serve, "too many open files: somebody who wanted to join was turned away");
		return false;
	}
	if (fd < 0)
		return errno == EINTR || errno == ECONNABORTED;
	peer = calloc(1, sizeof *peer);
	if (!peer || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || who.uid != geteuid()) {
		free(peer);
		close(fd);
		return true;
	}
	if (serve->n_pending == SERVE_PENDING_MAX)
		peer_cut(TAILQ_FIRST(&serve->pending));
	peer->serve = serve;
	peer->pid = who.pid;
	peer->socket = (struct source){ SOURCE_PEER, fd, peer };
	peer->state = PEER_PENDING;
	peer->deadline_ms = clock_ms() + SERVE_HELLO_MS;
	peer->guardians = SERVE_GUARDIANS;
	peer->guardians_ms = serve->now_ms;
	TAILQ_INSERT_TAIL(&serve->pending, peer, link);
	serve->n_pending++;
	if (serve_watch(serve, &peer->socket, EPOLLIN) < 0)
		peer_cut(peer);
	return true;
}

/* ---- frames ---- */

/* A turn of one port: SERVE_BUDGET bytes of its frames. */
static void peer_turn(struct peer *peer)
{
	struct serve *serve = peer->serve;
	size_t bytes = 0;
	bool waits = false;
	int r = 1;

	while (bytes < SERVE_BUDGET) {
		struct ring_frame in;
		struct bridge_frame frame;

		r = ring_peek(peer->ring, &in);
		waits = r == 1 && peer_waits(peer, &in);
		if (r != 1 || waits)
			break;
		/* What is no frame is counted there. */
		(void)bridge_frame_make(&frame, &in.header, in.pieces, in.n, in.len);
		bridge_forward(peer->port, &frame, serve->now_ms);
		ring_pop(peer->ring);
		bytes += in.len + FRAME_COST;
	}
	ring_release(peer->ring);
	bridge_flush(serve->bridge);
	if (r < 0)
		peer->broken = serve->some_broken = true;
	else if (waits ? !ring_wait_more(peer->ring) : r == 1 || !ring_wait_frames(peer->ring))
		peer_ready(peer);
}

/* Everybody who was in line gets a turn. */
static void line_serve(struct serve *serve)
{
	struct peer *last = TAILQ_LAST(&serve->line, peers), *peer = NULL;

	while (last && peer != last) {
		peer = TAILQ_FIRST(&serve->line);
		TAILQ_REMOVE(&serve->line, peer, in_turn);
		peer->in_line = false;
		peer_turn(peer);
	}
	if (serve->uplink_has_more) {
		serve->uplink_has_more = false;
		for (unsigned i = 0; i < serve->n_uplink_sources; i++)
			serve->uplink_has_more |=
				vxlan_receive(serve->vxlan, serve->uplink_sources[i].fd, serve->now_ms);
		bridge_flush(serve->bridge);
	}
}

/* Whose ring turned out to be broken, by its own turn or by what others sent to it. */
static void broken_cut(struct serve *serve)
{
	struct peer *peer, *next;

	serve->some_broken = false;
	for (peer = TAILQ_FIRST(&serve->members); peer; peer = next) {
		next = TAILQ_NEXT(peer, link);
		if (!peer->broken)
			continue;
		serve_say(serve, "\"%s\" (process %d) broke its ring: cut off", bridge_port_options(peer->port)->name,
		          (int)peer->pid);
		peer_cut(peer);
	}
}

/* ---- the loop ---- */

static void event_handle(struct serve *serve, const struct source *source, uint32_t events)
{
	struct peer *peer = source->peer;
	uint64_t times;

	switch (source->kind) {
	case SOURCE_LISTENER:
		for (unsigned i = 0; i < EVENTS_MAX && accept_one(serve); i++)
			;
		break;
	case SOURCE_DEADLINE:
		deadline_passed(serve);
		break;
	case SOURCE_PATIENCE:
		if (read(source->fd, &times, sizeof times) > 0)
			patience_ended(serve);
		break;
	case SOURCE_UPLINK:
		if (serve->vxlan && vxlan_receive(serve->vxlan, source->fd, serve->now_ms))
			serve->uplink_has_more = true;
		bridge_flush(serve->bridge);
		break;
	case SOURCE_PEER:
		if (peer->state != PEER_GONE && (events & EPOLLOUT))
			peer_write(peer);
		if (peer->state != PEER_GONE && (events & ~(uint32_t)EPOLLOUT))
			peer_receive(peer);
		break;
	case SOURCE_RING:
		if (peer->state != PEER_MEMBER)
			break;
		if (!ring_wake_clear(peer->ring)) {
			peer_cut(peer);
			break;
		}
		peer_ready(peer);
		waiters_resume(peer);
		break;
	case SOURCE_LEASH:
		/* The member went before it joined, or was refused; others may have come meanwhile. */
		break;
	}
}

/* The guardian's leash says whether there is somebody to wait for; then it is not ours to keep. */
static bool is_over(struct serve *serve)
{
	struct pollfd leash = { .fd = serve->leash, .events = 0 };

	if (serve->had_member && serve->leash >= 0) {
		serve_unwatch(serve, &serve->leash_source);
		close(serve->leash);
		serve->leash = -1;
	}
	if (serve->n_members > 0)
		return false;
	return serve->had_member || poll(&leash, 1, 0) != 0;
}

static void loop_run(struct serve *serve)
{
	while (!is_over(serve)) {
		struct epoll_event events[EVENTS_MAX];
		const bool busy = !TAILQ_EMPTY(&serve->line) || serve->uplink_has_more;
		const int n = epoll_wait(serve->epoll, events, EVENTS_MAX, busy ? 0 : -1);

		serve->now_ms = clock_ms();
		for (int i = 0; i < n; i++)
			event_handle(serve, events[i].data.ptr, events[i].events);
		line_serve(serve);
		if (serve->some_broken)
			broken_cut(serve);
		if (serve->members_changed)
			serve_tell_members(serve);
		deadline_set(serve);
		gone_free(serve);
	}
}

/* ---- begin and end ---- */

/*
 * Bound and listening before it has its name, so that a socket that is there answers. The path is short, however long
 * the folder's is.
 */
static int listener_open(struct serve *serve)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return -errno;
	snprintf(at.sun_path, sizeof at.sun_path, "/proc/self/fd/%d/%s", serve->dirfd, SOCKET_NEW);
	(void)unlinkat(serve->dirfd, SOCKET_NEW, 0);
	if (bind(fd, (const struct sockaddr *)&at, sizeof at) < 0 || listen(fd, BACKLOG) < 0 ||
	    renameat(serve->dirfd, SOCKET_NEW, serve->dirfd, CLUSTER_SOCKET) < 0) {
		r = -errno;
		(void)unlinkat(serve->dirfd, SOCKET_NEW, 0);
		close(fd);
		return r;
	}
	serve->listener = (struct source){ SOURCE_LISTENER, fd, NULL };
	return 0;
}

static int serve_begin(struct serve *serve)
{
	struct rlimit files;
	int r;

	/* Some four descriptors a member. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	serve->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (serve->epoll < 0)
		return -errno;
	serve->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	serve->deadline =
		(struct source){ SOURCE_DEADLINE, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), NULL };
	serve->patience =
		(struct source){ SOURCE_PATIENCE, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), NULL };
	if (serve->spare < 0 || serve->deadline.fd < 0 || serve->patience.fd < 0)
		return -errno;
	serve->leash_source = (struct source){ SOURCE_LEASH, serve->leash, NULL };
	r = bridge_new(&serve->bridge);
	if (r == 0)
		r = leases_new(serve->dirfd, &serve->leases);
	if (r == 0)
		r = serve_watch(serve, &serve->deadline, EPOLLIN);
	if (r == 0)
		r = serve_watch(serve, &serve->patience, EPOLLIN);
	if (r == 0)
		r = serve_watch(serve, &serve->leash_source, 0);
	if (r == 0)
		r = listener_open(serve);
	if (r == 0)
		r = serve_watch(serve, &serve->listener, EPOLLIN);
	return r;
}

static void close_if(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void serve_end(struct serve *serve)
{
	struct peer *peer;

	/*
	 * The name before the listener: who has connected meanwhile sees its end, finds no socket, and its own guardian
	 * has the lock as soon as this process has gone.
	 */
	if (serve->listener.fd >= 0)
		(void)unlinkat(serve->dirfd, CLUSTER_SOCKET, 0);
	while ((peer = TAILQ_FIRST(&serve->pending)))
		peer_cut(peer);
	while ((peer = TAILQ_FIRST(&serve->members)))
		peer_cut(peer);
	gone_free(serve);
	close_if(serve->listener.fd);
	close_if(serve->deadline.fd);
	close_if(serve->patience.fd);
	close_if(serve->spare);
	close_if(serve->epoll);
	close_if(serve->leash);
	if (serve->bridge)
		bridge_free(serve->bridge);
	leases_free(serve->leases);
}

int serve_run(int dirfd, const char *cluster, int leash)
{
	struct serve *serve = calloc(1, sizeof *serve);
	struct pollfd end = { .fd = leash, .events = 0 };
	int r;

	if (!serve) {
		close(leash);
		return -ENOMEM;
	}
	serve->dirfd = dirfd;
	serve->cluster = cluster;
	serve->leash = leash;
	serve->epoll = serve->spare = serve->listener.fd = serve->deadline.fd = serve->patience.fd = -1;
	serve->now_ms = clock_ms();
	TAILQ_INIT(&serve->pending);
	TAILQ_INIT(&serve->members);
	TAILQ_INIT(&serve->gone);
	TAILQ_INIT(&serve->line);
	TAILQ_INIT(&serve->waiting);

	r = serve_begin(serve);
	if (r == 0) {
		schedule_in_batches();
		loop_run(serve);
	} else {
		serve_say(serve, "the switch of cluster \"%s\" cannot begin: %s", cluster, strerror(-r));
		(void)poll(&end, 1, FAILED_PAUSE_MS);
	}
	serve_end(serve);
	free(serve);
	return r;
}
