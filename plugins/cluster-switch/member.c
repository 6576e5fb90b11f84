/* SPDX-License-Identifier: MIT */
/*
 * member.c - see member.h. Called by the plugin's entry and by card.c.
 *
 * Waiting for a switch is waiting for its socket's name: the folder is watched before the first attempt, so that one
 * that appears between a failed attempt and the sleep is seen. A socket that is there answers (serve.c), or its switch
 * was killed and a successor puts another one in its place. realize() runs the same machine as the loop does later,
 * with poll(2) of its own.
 */
#include "plugins/cluster-switch/member.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "plugins/cluster-switch/guardian.h"

#define MESSAGES_A_TURN 8u
/* A switch that takes us and lets us go is tried again at once so often, then after a time that doubles. */
#define TRIES_AT_ONCE 8u
#define STAYED_MS 1000
#define AGAIN_MS 100
#define AGAIN_MAX_MS 10000
/* The same for guardians that do not live long. */
#define GUARDIANS_AT_ONCE 8u
#define GUARDIAN_MS 1000
#define GUARDIAN_MAX_MS 60000

enum state { WAITING, CONNECTED, JOINED, REFUSED };

struct member {
	const struct capsa_host *host;
	struct capsa_device *dev;
	char cluster[CLUSTER_NAME_MAX + 1];
	const struct member_operations *operations;
	void *ctx;

	enum state state;
	bool started;
	int folder, inotify, leash, socket;
	struct ring *ring;
	unsigned joins;
	uint64_t joined_ms;
	unsigned tries;       /* since a switch that kept us, or the last that appeared */
	unsigned guardians;   /* that ended since one lived longer */
	uint64_t guardian_ms; /* when the last one was asked for */
	bool change_waits;    /* the switch had no room for it */
	bool refused_said;
	char why[sizeof((struct protocol_refused *)0)->why];

	struct protocol_hello hello;
	struct protocol_welcome place;
	struct protocol_members list;

	struct capsa_watch *inotify_watch, *leash_watch, *socket_watch, *ring_watch;
	struct capsa_timer *again, *guardian_again;

	/* What came last. */
	union {
		unsigned char bytes[PROTOCOL_MESSAGE_MAX];
		struct protocol_header header;
		struct protocol_refused refused;
		struct protocol_welcome welcome;
		struct protocol_members members;
	} message;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void watch_end(struct member *member, struct capsa_watch **watch)
{
	if (*watch)
		member->host->watch_remove(*watch);
	*watch = NULL;
}

/* `first`, twice as much after each more, `most` at the most. */
static int64_t longer(int64_t first, unsigned times, int64_t most)
{
	while (times-- > 0 && first < most)
		first *= 2;
	return first < most ? first : most;
}

/* ---- the socket ---- */

static int message_send(struct member *member, const void *message, size_t len, int fd)
{
	struct iovec iov = { .iov_len = len };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	/* sendmsg(2) writes nothing there. */
	memcpy(&iov.iov_base, &message, sizeof message);
	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof control;
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof fd);
	}
	do
		n = sendmsg(member->socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* One packet into member->message: its length, 0 at the end, or -errno. *n_fds of `fds` are the caller's. */
static ssize_t message_receive(struct member *member, int fds[PROTOCOL_WELCOME_FDS], unsigned *n_fds)
{
	struct iovec iov = { .iov_base = member->message.bytes, .iov_len = sizeof member->message.bytes };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(PROTOCOL_WELCOME_FDS * sizeof(int))];
	} control;
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
	};
	ssize_t n;

	*n_fds = 0;
	do
		n = recvmsg(member->socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len && *n_fds < PROTOCOL_WELCOME_FDS;
		     at += sizeof(int))
			memcpy(&fds[(*n_fds)++], (char *)c + at, sizeof(int));
	}
	return msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -EPROTO : n;
}

/* ---- watches, once the machine has started ---- */

static void socket_ready(void *ctx, int fd, unsigned events);
static void ring_ready(void *ctx, int fd, unsigned events);

static unsigned socket_events(const struct member *member)
{
	return CAPSA_WATCH_READ | (member->change_waits ? CAPSA_WATCH_WRITE : 0u);
}

/* What is there is watched. 0 or -ENOMEM. */
static int watches_set(struct member *member)
{
	const struct capsa_host *host = member->host;

	if (!member->started)
		return 0;
	if (member->socket >= 0 && !member->socket_watch) {
		member->socket_watch =
			host->watch_add(member->dev, member->socket, socket_events(member), socket_ready, member);
		if (!member->socket_watch)
			return -ENOMEM;
	}
	if (member->ring && !member->ring_watch) {
		member->ring_watch =
			host->watch_add(member->dev, ring_wake_fd(member->ring), CAPSA_WATCH_READ, ring_ready, member);
		if (!member->ring_watch)
			return -ENOMEM;
	}
	return 0;
}

/* ---- states ---- */

/* No connection any more, and no ring: both are the card's until it has been told. */
static void disconnect(struct member *member, enum state next)
{
	struct ring *ring = member->ring;

	watch_end(member, &member->socket_watch);
	watch_end(member, &member->ring_watch);
	close_fd(&member->socket);
	member->state = next;
	member->ring = NULL;
	member->change_waits = false;
	member->list.n = 0;
	if (ring) {
		if (member->started)
			member->operations->changed(member->ctx);
		ring_free(ring);
	}
}

/* Tries to connect, and says who we are. Without success it waits for another socket. */
static void connect_now(struct member *member)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int r;

	member->socket = member->host->socket_open(member->dev, AF_UNIX, SOCK_SEQPACKET, 0);
	if (member->socket < 0) {
		r = member->socket;
		member->socket = -1;
		goto later;
	}
	/* Short, however long the folder's path is. */
	snprintf(to.sun_path, sizeof to.sun_path, "/proc/self/fd/%d/%s", member->folder, CLUSTER_SOCKET);
	r = member->host->socket_connect(member->dev, member->socket, (const struct sockaddr *)&to, sizeof to);
	if (r == 0)
		r = message_send(member, &member->hello, sizeof member->hello, -1);
	if (r == 0) {
		member->state = CONNECTED;
		r = watches_set(member);
	}
	if (r == 0)
		return;
later:
	disconnect(member, WAITING);
	/* No switch: another one puts its own socket there. Else there is one, which has no time, or no room. */
	if (r == -ENOENT || r == -ECONNREFUSED)
		return;
	if (member->again)
		member->host->timer_set(member->again, longer(AGAIN_MS, member->tries++, AGAIN_MAX_MS));
}

/* The end of a connection: the switch has gone, or does not want us. */
static void connection_ended(struct member *member)
{
	if (member->state == JOINED) {
		if (member->started)
			member->host->log(member->dev, CAPSA_LOG_INFO,
			                  "the switch of cluster \"%s\" has gone: waiting for another",
			                  member->cluster);
		if (now_ms() - member->joined_ms > STAYED_MS)
			member->tries = 0;
	}
	disconnect(member, WAITING);
	if (member->tries++ < TRIES_AT_ONCE)
		connect_now(member);
	else if (member->again)
		member->host->timer_set(member->again, longer(AGAIN_MS, member->tries - TRIES_AT_ONCE, AGAIN_MAX_MS));
}

/* Asks the switch for a guardian, as only it may fork. */
static void guardian_ask(struct member *member)
{
	const struct protocol_header ask = { PROTOCOL_GUARDIAN, PROTOCOL_VERSION };
	int pair[2];

	if (member->leash >= 0 || member->state != JOINED || !member->started)
		return;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return;
	/* Without room, or a switch: when there is one again (joined()), or by the next list of members. */
	if (message_send(member, &ask, sizeof ask, pair[1]) < 0) {
		close(pair[0]);
	} else {
		member->guardian_ms = now_ms();
		member->leash = pair[0];
	}
	close(pair[1]);
}

static void leash_ready(void *ctx, int fd, unsigned events);

static void guardian_want(struct member *member)
{
	guardian_ask(member);
	if (member->leash < 0 || member->leash_watch)
		return;
	member->leash_watch =
		member->host->watch_add(member->dev, member->leash, CAPSA_WATCH_READ, leash_ready, member);
	if (!member->leash_watch)
		close_fd(&member->leash);
}

static void leash_ready(void *ctx, int fd, unsigned events)
{
	struct member *member = ctx;

	(void)fd;
	(void)events;
	watch_end(member, &member->leash_watch);
	close_fd(&member->leash);
	if (now_ms() - member->guardian_ms > STAYED_MS)
		member->guardians = 0;
	if (member->guardians++ < GUARDIANS_AT_ONCE)
		guardian_want(member);
	else
		member->host->timer_set(member->guardian_again,
		                        longer(GUARDIAN_MS, member->guardians - GUARDIANS_AT_ONCE, GUARDIAN_MAX_MS));
}

static void guardian_again(void *ctx)
{
	guardian_want(ctx);
}

/* WELCOME: there is a ring. The descriptors are taken over. 0 or -errno. */
static int joined(struct member *member, const int fds[PROTOCOL_WELCOME_FDS])
{
	int r;

	r = ring_new(RING_MEMBER, fds[0], fds[1], &member->ring);
	if (r < 0) {
		member->ring = NULL;
		close(fds[1]);
	}
	close(fds[0]);
	if (r < 0)
		return r;
	member->place = member->message.welcome;
	/* From now on that is what it wants, of every switch to come. */
	member->hello.port.address = member->place.address;
	member->hello.subnet = member->place.subnet;
	member->hello.subnet6 = member->place.subnet6;
	member->state = JOINED;
	member->joins++;
	member->joined_ms = now_ms();
	member->guardians = 0;
	member->refused_said = false;
	r = watches_set(member);
	if (r < 0 || !member->started)
		return r;
	member->host->log(member->dev, CAPSA_LOG_INFO, "joined cluster \"%s\" again", member->cluster);
	guardian_want(member);
	member->operations->changed(member->ctx);
	return 0;
}

static void refused(struct member *member)
{
	memcpy(member->why, member->message.refused.why, sizeof member->why);
	disconnect(member, REFUSED);
	if (member->started && !member->refused_said)
		member->host->log(member->dev, CAPSA_LOG_WARNING,
		                  "the new switch of cluster \"%s\" does not take this machine: %s", member->cluster,
		                  member->why);
	member->refused_said = member->started;
}

/* A packet of `n` bytes, in member->message. False: it cannot be. */
static bool message_handle(struct member *member, size_t n, const int fds[PROTOCOL_WELCOME_FDS], unsigned n_fds)
{
	const void *message = member->message.bytes;

	if (member->state == CONNECTED && n_fds == PROTOCOL_WELCOME_FDS && protocol_welcome_is_valid(message, n))
		return joined(member, fds) == 0;
	for (unsigned i = 0; i < n_fds; i++)
		close(fds[i]);
	if (n_fds > 0 || n < sizeof member->message.header)
		return false;
	if (member->state == CONNECTED && member->message.header.version != PROTOCOL_VERSION) {
		memset(&member->message.refused, 0, sizeof member->message.refused);
		snprintf(member->message.refused.why, sizeof member->message.refused.why,
		         "its switch is of another release of capsa; stop all of its machines first");
		refused(member);
		return true;
	}
	if (member->state == CONNECTED && protocol_refused_is_valid(message, n)) {
		refused(member);
		return true;
	}
	if (member->state != JOINED || !protocol_members_is_valid(message, n))
		return false;
	memset(&member->list, 0, sizeof member->list);
	memcpy(&member->list, message, n);
	if (member->started && member->leash < 0 && member->guardians < GUARDIANS_AT_ONCE)
		guardian_want(member);
	return true;
}

static void socket_receive(struct member *member)
{
	for (unsigned i = 0; i < MESSAGES_A_TURN && member->socket >= 0; i++) {
		int fds[PROTOCOL_WELCOME_FDS];
		unsigned n_fds;
		const ssize_t n = message_receive(member, fds, &n_fds);

		if (n == -EAGAIN)
			return;
		if (n > 0 && message_handle(member, (size_t)n, fds, n_fds))
			continue;
		for (unsigned f = 0; n <= 0 && f < n_fds; f++)
			close(fds[f]);
		connection_ended(member);
		return;
	}
}

static void change_send(struct member *member)
{
	struct protocol_change change = { .h = { PROTOCOL_CHANGE, PROTOCOL_VERSION }, .port = member->hello.port };
	const int r = message_send(member, &change, sizeof change, -1);

	member->change_waits = r == -EAGAIN || r == -ENOBUFS || r == -ENOMEM;
	if (member->socket_watch)
		(void)member->host->watch_set(member->socket_watch, socket_events(member));
}

/* The folder: whether a socket has got its name. */
static bool socket_appeared(struct member *member)
{
	_Alignas(struct inotify_event) char events[4096];
	bool appeared = false;
	ssize_t n;

	while ((n = read(member->inotify, events, sizeof events)) > 0) {
		for (char *at = events; at < events + n;) {
			const struct inotify_event *event = (const struct inotify_event *)at;

			if ((event->mask & IN_Q_OVERFLOW) ||
			    (event->len > 0 && strcmp(event->name, CLUSTER_SOCKET) == 0))
				appeared = true;
			at += sizeof *event + event->len;
		}
	}
	return appeared;
}

static void folder_changed(struct member *member)
{
	if (!socket_appeared(member))
		return;
	if (member->state != WAITING && member->state != REFUSED)
		return;
	/* A new one: what the last one did is not to be held against it. */
	member->tries = 0;
	if (member->again)
		member->host->timer_set(member->again, -1);
	connect_now(member);
}

/* ---- on the loop ---- */

static void socket_ready(void *ctx, int fd, unsigned events)
{
	struct member *member = ctx;

	(void)fd;
	if ((events & CAPSA_WATCH_WRITE) && member->change_waits)
		change_send(member);
	if (events & CAPSA_WATCH_READ)
		socket_receive(member);
}

static void ring_ready(void *ctx, int fd, unsigned events)
{
	struct member *member = ctx;

	(void)fd;
	(void)events;
	if (ring_wake_clear(member->ring))
		member->operations->woken(member->ctx);
	else
		connection_ended(member);
}

static void inotify_ready(void *ctx, int fd, unsigned events)
{
	(void)fd;
	(void)events;
	folder_changed(ctx);
}

static void try_again(void *ctx)
{
	struct member *member = ctx;

	if (member->state == WAITING && member->socket < 0)
		connect_now(member);
}

/* ---- realize ---- */

/* Makes a folder of ours, and of nobody else's; opens it. A descriptor, or -errno with a line in `cause`. */
static int folder_open(int parent, const char *path, const char *shown, char *cause, size_t size)
{
	struct stat st;
	int fd, r;

	if (mkdirat(parent, path, 0700) < 0 && errno != EEXIST) {
		r = -errno;
		snprintf(cause, size, "cannot make the folder \"%s\": %s", shown, strerror(-r));
		return r;
	}
	fd = openat(parent, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;
	if (r < 0) {
		snprintf(cause, size, "cannot open the folder \"%s\": %s", shown, strerror(-r));
	} else if (st.st_uid != geteuid() || (st.st_mode & 077)) {
		r = -EPERM;
		snprintf(cause, size, "the folder \"%s\" is open to others: remove it, or chmod it 0700", shown);
	}
	if (r < 0) {
		close_fd(&fd);
		return r;
	}
	return fd;
}

static int cluster_folder_open(struct member *member, const char *clusters, char *cause, size_t size)
{
	char shown[512];
	int parent = folder_open(AT_FDCWD, clusters, clusters, cause, size), fd;

	if (parent < 0)
		return parent;
	snprintf(shown, sizeof shown, "%s/%s", clusters, member->cluster);
	fd = folder_open(parent, member->cluster, shown, cause, size);
	close(parent);
	return fd;
}

/* One wait for whatever moves the state on. 0, or -errno with a line in `cause`. */
static int wait_once(struct member *member, int ms, char *cause, size_t size)
{
	struct pollfd fds[3] = {
		{ .fd = member->inotify, .events = POLLIN },
		{ .fd = member->leash, .events = POLLIN },
		{ .fd = member->socket, .events = POLLIN },
	};
	const int n = poll(fds, 3, ms);

	if (n < 0 && errno != EINTR)
		return -errno;
	if (n == 0) {
		snprintf(cause, size, "cluster \"%s\": nobody answered; see %s in its folder", member->cluster,
		         CLUSTER_LOG);
		return -ETIMEDOUT;
	}
	if (n > 0 && fds[1].revents) {
		/* There may be a switch nevertheless, which then is asked for another one. */
		close_fd(&member->leash);
		if (member->state == WAITING) {
			snprintf(cause, size,
			         "cluster \"%s\": its guardian has ended; see what \"%s\" in its folder is",
			         member->cluster, CLUSTER_LOCK);
			return -EIO;
		}
	}
	if (n > 0 && fds[2].revents)
		socket_receive(member);
	if (n > 0 && fds[0].revents)
		folder_changed(member);
	return 0;
}

static int join_first(struct member *member, char *cause, size_t size)
{
	const uint64_t until = now_ms() + MEMBER_JOIN_MS;

	connect_now(member);
	while (member->state != JOINED) {
		const uint64_t now = now_ms();
		int r;

		if (member->state == REFUSED) {
			snprintf(cause, size, "cluster \"%s\" does not take \"%s\": %s", member->cluster,
			         member->hello.port.name, member->why);
			return -EEXIST;
		}
		r = wait_once(member, now < until ? (int)(until - now) : 0, cause, size);
		if (r < 0)
			return r;
	}
	return 0;
}

int member_open(const struct capsa_host *host, struct capsa_device *dev, const char *cluster,
                const struct protocol_hello *hello, const struct member_operations *operations, void *ctx,
                struct member **out, char *cause, size_t size)
{
	const char *clusters = host->shared_path(dev, CLUSTER_FOLDER);
	struct member *member;
	int r;

	*out = NULL;
	if (!clusters) {
		cause[0] = '\0';
		return -ENOENT;
	}
	member = calloc(1, sizeof *member);
	*out = member;
	if (!member) {
		snprintf(cause, size, "out of memory");
		return -ENOMEM;
	}
	member->host = host;
	member->dev = dev;
	member->operations = operations;
	member->ctx = ctx;
	member->hello = *hello;
	member->hello.h = (struct protocol_header){ PROTOCOL_HELLO, PROTOCOL_VERSION };
	member->inotify = member->leash = member->socket = -1;
	snprintf(member->cluster, sizeof member->cluster, "%s", cluster);

	member->folder = cluster_folder_open(member, clusters, cause, size);
	if (member->folder < 0)
		return member->folder;
	/* Before the socket, so that the kernel ends it first, too: a guardian of ours does not follow our own switch.
	 */
	r = guardian_start(member->folder, member->cluster, &member->leash);
	if (r < 0) {
		snprintf(cause, size, "cluster \"%s\": cannot start its guardian: %s", cluster, strerror(-r));
		return r;
	}
	member->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (member->inotify >= 0) {
		char path[64];

		snprintf(path, sizeof path, "/proc/self/fd/%d", member->folder);
		r = inotify_add_watch(member->inotify, path, IN_MOVED_TO | IN_ONLYDIR);
	}
	if (member->inotify < 0 || r < 0) {
		r = -errno;
		snprintf(cause, size,
		         "cluster \"%s\": cannot watch its folder: %s; raise fs.inotify.max_user_instances", cluster,
		         strerror(-r));
		return r;
	}
	return join_first(member, cause, size);
}

int member_start(struct member *member)
{
	const struct capsa_host *host = member->host;

	member->started = true;
	member->again = host->timer_add(member->dev, try_again, member);
	member->guardian_again = host->timer_add(member->dev, guardian_again, member);
	member->inotify_watch = host->watch_add(member->dev, member->inotify, CAPSA_WATCH_READ, inotify_ready, member);
	if (member->leash >= 0)
		member->leash_watch =
			host->watch_add(member->dev, member->leash, CAPSA_WATCH_READ, leash_ready, member);
	if (!member->again || !member->guardian_again || !member->inotify_watch ||
	    (member->leash >= 0 && !member->leash_watch))
		return -ENOMEM;
	guardian_want(member);
	return watches_set(member);
}

void member_free(struct member *member)
{
	if (!member)
		return;
	watch_end(member, &member->inotify_watch);
	watch_end(member, &member->leash_watch);
	watch_end(member, &member->socket_watch);
	watch_end(member, &member->ring_watch);
	if (member->again)
		member->host->timer_remove(member->again);
	if (member->guardian_again)
		member->host->timer_remove(member->guardian_again);
	/* The leash before the socket: the switch may end with us, and our guardian must not bring up another. */
	close_fd(&member->leash);
	close_fd(&member->socket);
	close_fd(&member->inotify);
	close_fd(&member->folder);
	if (member->ring)
		ring_free(member->ring);
	free(member);
}

struct ring *member_ring(const struct member *member)
{
	return member->ring;
}

const struct protocol_welcome *member_place(const struct member *member)
{
	return &member->place;
}

const struct protocol_members *member_list(const struct member *member)
{
	return &member->list;
}

void member_change(struct member *member, const struct bridge_port_options *port)
{
	struct bridge_port_options *own = &member->hello.port;

	own->rate = port->rate;
	own->has_peers = port->has_peers;
	own->n_peers = port->n_peers;
	memcpy(own->peers, port->peers, sizeof own->peers);
	if (member->state == JOINED)
		change_send(member);
}

void member_give_up(struct member *member)
{
	if (member->state == JOINED)
		connection_ended(member);
}

unsigned member_joins(const struct member *member)
{
	return member->joins;
}
