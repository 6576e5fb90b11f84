/* SPDX-License-Identifier: MIT */
/*
 * sockets.c - see sockets.h.
 *
 * The host watches our epoll instance, level triggered: as long as events are left in it we are called again, one batch
 * a turn, so others have their turns in between. What said sockets_again() waits in a list that a deferred call serves.
 *
 * A source may be removed by the handler of another one while its own event stands in the batch, or while it waits in
 * the list. The batch is scrubbed of it then: 64 comparisons, only while a batch is under way.
 *
 * DESCRIPTORS. The limit is the process', its soft value often 1024, and capsa has needs of its own: of what the
 * process may have at most an eighth is kept back, and the networks of the process share the rest evenly.
 */
#include "plugins/net-nat/sockets.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define BATCH 64u
#define DESCRIPTORS_WANTED (1u << 21) /* max_flows at most, and what is kept back */

struct sockets {
	const struct capsa_host *host;
	struct capsa_device *dev;
	struct sockets_batch batch;
	void *ctx;
	int epoll;
	struct capsa_watch *watch;
	struct capsa_deferred *deferred;
	unsigned count, limit; /* limit: of all networks together */
	struct epoll_event events[BATCH];
	unsigned next, n; /* of `events`: those from `next` on are still to be served */
	TAILQ_HEAD(, socket_source) waiting;
};

/* RLIMIT_NOFILE is the process', so how many networks there are in it is the process' affair, too. */
static atomic_uint networks;

unsigned sockets_most(const struct sockets *sockets)
{
	return sockets->limit / atomic_load_explicit(&networks, memory_order_relaxed);
}

unsigned long sockets_limit_for(unsigned n)
{
	const unsigned long all = (unsigned long)n * atomic_load_explicit(&networks, memory_order_relaxed);

	return all + (all + 6) / 7;
}

static bool may_open(const struct sockets *sockets)
{
	return sockets->count < sockets_most(sockets);
}

/* As much as the hard limit allows. */
static unsigned descriptor_limit(void)
{
	struct rlimit limit;
	rlim_t most;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 256;
	most = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
	if (limit.rlim_cur < most) {
		const rlim_t before = limit.rlim_cur;

		limit.rlim_cur = most;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			limit.rlim_cur = before;
	}
	most = limit.rlim_cur < DESCRIPTORS_WANTED ? limit.rlim_cur : DESCRIPTORS_WANTED;
	return (unsigned)(most - most / 8);
}

static void on_ready(void *ctx, int fd, unsigned events)
{
	struct sockets *sockets = ctx;
	int n;

	(void)fd, (void)events;
	sockets->batch.begin(sockets->ctx);
	n = epoll_wait(sockets->epoll, sockets->events, BATCH, 0);
	sockets->n = n > 0 ? (unsigned)n : 0;
	sockets->next = 0;
	while (sockets->next < sockets->n) {
		const struct epoll_event *event = &sockets->events[sockets->next++];
		struct socket_source *source = event->data.ptr;

		if (source)
			source->ready(source, event->events);
	}
	sockets->n = sockets->next = 0;
	sockets->batch.end(sockets->ctx);
}

/* Those that say sockets_again() meanwhile stand behind the last, and have the next turn. */
static void on_again(void *ctx)
{
	struct sockets *sockets = ctx;
	struct socket_source *source;
	unsigned n = 0;

	sockets->batch.begin(sockets->ctx);
	for (source = TAILQ_FIRST(&sockets->waiting); source && n < BATCH; source = TAILQ_NEXT(source, link))
		n++;
	while (n-- && (source = TAILQ_FIRST(&sockets->waiting))) {
		const uint32_t events = source->again_events;

		TAILQ_REMOVE(&sockets->waiting, source, link);
		source->again = false;
		source->again_events = 0;
		source->ready(source, events);
	}
	if (!TAILQ_EMPTY(&sockets->waiting))
		sockets->host->deferred_run(sockets->deferred);
	sockets->batch.end(sockets->ctx);
}

int sockets_new(const struct capsa_host *host, struct capsa_device *dev, const struct sockets_batch *batch, void *ctx,
                struct sockets **out)
{
	struct sockets *sockets = calloc(1, sizeof *sockets);
	int rc = -ENOMEM;

	*out = NULL;
	if (!sockets)
		return -ENOMEM;
	sockets->host = host;
	sockets->dev = dev;
	sockets->batch = *batch;
	sockets->ctx = ctx;
	sockets->limit = descriptor_limit();
	TAILQ_INIT(&sockets->waiting);
	atomic_fetch_add(&networks, 1);
	sockets->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (sockets->epoll < 0) {
		rc = -errno;
		goto failed;
	}
	sockets->deferred = host->deferred_add(dev, on_again, sockets);
	if (!sockets->deferred)
		goto failed;
	sockets->watch = host->watch_add(dev, sockets->epoll, CAPSA_WATCH_READ, on_ready, sockets);
	if (!sockets->watch)
		goto failed;
	*out = sockets;
	return 0;
failed:
	sockets_free(sockets);
	return rc;
}

void sockets_free(struct sockets *sockets)
{
	if (!sockets)
		return;
	if (sockets->watch)
		sockets->host->watch_remove(sockets->watch);
	if (sockets->deferred)
		sockets->host->deferred_remove(sockets->deferred);
	if (sockets->epoll >= 0)
		close(sockets->epoll);
	atomic_fetch_sub(&networks, 1);
	free(sockets);
}

int sockets_open(struct sockets *sockets, int domain, int type, int protocol)
{
	int fd;

	if (!may_open(sockets))
		return -EMFILE;
	fd = sockets->host->socket_open(sockets->dev, domain, type, protocol);
	if (fd >= 0)
		sockets->count++;
	return fd;
}

int sockets_adopt(struct sockets *sockets, int fd)
{
	(void)fd;
	if (!may_open(sockets))
		return -EMFILE;
	sockets->count++;
	return 0;
}

int sockets_add(struct sockets *sockets, struct socket_source *source)
{
	const uint32_t room = source->input_only ? 0 : EPOLLOUT;
	struct epoll_event event = { .events = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET | room, .data.ptr = source };

	return epoll_ctl(sockets->epoll, EPOLL_CTL_ADD, source->fd, &event) < 0 ? -errno : 0;
}

static void forget(struct sockets *sockets, struct socket_source *source)
{
	if (source->again)
		TAILQ_REMOVE(&sockets->waiting, source, link);
	source->again = false;
	source->again_events = 0;
	for (unsigned i = sockets->next; i < sockets->n; i++)
		if (sockets->events[i].data.ptr == source)
			sockets->events[i].data.ptr = NULL;
}

void sockets_remove(struct sockets *sockets, struct socket_source *source)
{
	forget(sockets, source);
	if (source->fd >= 0)
		epoll_ctl(sockets->epoll, EPOLL_CTL_DEL, source->fd, NULL);
}

/* The descriptor is nobody else's, so its last close takes it out of the epoll set. */
void sockets_close(struct sockets *sockets, struct socket_source *source)
{
	forget(sockets, source);
	if (source->fd < 0)
		return;
	close(source->fd);
	source->fd = -1;
	sockets->count--;
}

void sockets_again(struct sockets *sockets, struct socket_source *source, uint32_t events)
{
	source->again_events |= events;
	if (source->again)
		return;
	source->again = true;
	TAILQ_INSERT_TAIL(&sockets->waiting, source, link);
	sockets->host->deferred_run(sockets->deferred);
}

unsigned sockets_count(const struct sockets *sockets)
{
	return sockets->count;
}
