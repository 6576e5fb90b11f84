/* SPDX-License-Identifier: MIT */
/*
 * upstream.c - see upstream.h. Called by dns.c (whom to ask), gateway.c and info.c (search list).
 *
 * THEORY OF OPERATION. The file is read at start and whenever inotify(7) says that it may have changed: an entry of its
 * name in its folder, or in the folder where it really lies if it is a link (systemd-resolved, NetworkManager). Both
 * folders are watched anew after each reading. A server that did not answer is asked last for FAILED_MS; then it has
 * another chance.
 */
#include "plugins/net-nat/upstream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "plugins/net-nat/timeout.h"

#define FILE_MAX (64u << 10)
#define FAILED_MS 30000u
#define DNS_PORT 53u
#define CHANGES (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ONLYDIR)

struct upstream {
	struct net_endpoint at;
	uint64_t failed; /* ms, as timeouts_now(); 0: not of late */
	unsigned turn;   /* of failing: who failed last is asked last */
};

struct upstreams {
	struct nat *nat;
	struct upstream list[UPSTREAMS_MAX];
	unsigned n, turns;
	char search_text[OPTIONS_SEARCH_MAX][256];
	const char *search[OPTIONS_SEARCH_MAX];
	unsigned n_search;
	/* The file; NULL where `dns` says whom to ask and `search` the rest. */
	char *path, *folder;
	const char *name;
	char target_name[NAME_MAX + 1]; /* of where a link leads; "": it is none */
	int folder_fd, notify, folder_watch, target_watch;
	struct capsa_watch *watch;
};

/* ---- the file ---- */

/* "192.0.2.1", "fe80::1%eth0": the zone is no more than a hint where the kernel knows the interface, so it is left out.
 */
static void add_server(struct upstreams *u, char *text)
{
	struct net_endpoint at = { .port = DNS_PORT };

	text[strcspn(text, "%")] = '\0';
	if (u->n < UPSTREAMS_MAX && net_address_parse(text, &at.address) == 0)
		u->list[u->n++] = (struct upstream){ .at = at };
}

static void take_line(struct upstreams *u, char *line)
{
	char *save = NULL;
	const char *key = strtok_r(line, " \t", &save);
	char *word;

	if (!key)
		return;
	if (strcmp(key, "nameserver") == 0) {
		word = strtok_r(NULL, " \t", &save);
		if (word && !u->nat->options.n_dns)
			add_server(u, word);
	} else if ((strcmp(key, "search") == 0 || strcmp(key, "domain") == 0) && !u->nat->options.has_search) {
		for (u->n_search = 0; u->n_search < OPTIONS_SEARCH_MAX && (word = strtok_r(NULL, " \t", &save));) {
			if (strlen(word) >= sizeof u->search_text[0] || strcmp(word, ".") == 0)
				continue;
			strcpy(u->search_text[u->n_search], word);
			u->search[u->n_search] = u->search_text[u->n_search];
			u->n_search++;
		}
	}
}

static void take_text(struct upstreams *u, char *text)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save))
		if (*line != '#' && *line != ';')
			take_line(u, line);
}

static void take_options(struct upstreams *u)
{
	const struct options *o = &u->nat->options;

	u->n = u->n_search = 0;
	for (; u->n < o->n_dns && u->n < UPSTREAMS_MAX; u->n++)
		u->list[u->n] = (struct upstream){ .at = o->dns[u->n] };
	for (; o->has_search && u->n_search < o->n_search; u->n_search++)
		u->search[u->n_search] = o->search[u->n_search];
}

static void read_file(struct upstreams *u)
{
	char *text = malloc(FILE_MAX + 1);
	int fd = text ? u->nat->host->file_open(u->nat->dev, u->folder_fd, u->name, O_RDONLY | O_NONBLOCK, 0) : -ENOMEM;
	size_t len = 0;
	ssize_t got;

	take_options(u);
	if (fd >= 0) {
		while (len < FILE_MAX && (got = read(fd, text + len, FILE_MAX - len)) > 0)
			len += (size_t)got;
		text[len] = '\0';
		take_text(u, text);
		close(fd);
	}
	free(text);
	if (!u->n) /* as libc does */
		add_server(u, (char[]){ "127.0.0.1" });
}

/* ---- its changes ---- */

/* The folder of what a link leads to. */
static void watch_target(struct upstreams *u)
{
	char *real = realpath(u->path, NULL), *slash;

	if (u->target_watch >= 0)
		inotify_rm_watch(u->notify, u->target_watch);
	u->target_watch = -1;
	u->target_name[0] = '\0';
	slash = real ? strrchr(real, '/') : NULL;
	if (slash && strcmp(real, u->path) != 0) {
		snprintf(u->target_name, sizeof u->target_name, "%s", slash + 1);
		slash[slash == real] = '\0';
		u->target_watch = inotify_add_watch(u->notify, real, CHANGES);
		if (u->target_watch == u->folder_watch)
			u->target_watch = -1;
	}
	free(real);
}

static bool concerns(const struct upstreams *u, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW)
		return true;
	return event->len && (strcmp(event->name, u->name) == 0 || strcmp(event->name, u->target_name) == 0);
}

static void on_change(void *ctx, int fd, unsigned events)
{
	_Alignas(struct inotify_event) char buffer[4096];
	struct upstreams *u = ctx;
	ssize_t got = read(fd, buffer, sizeof buffer);
	bool changed = false;

	(void)events;
	for (ssize_t at = 0; at < got;) {
		const struct inotify_event *event = (const void *)(buffer + at);

		changed = changed || concerns(u, event);
		at += (ssize_t)(sizeof *event + event->len);
	}
	if (!changed)
		return;
	read_file(u);
	watch_target(u);
}

static int follow(struct upstreams *u, const char *resolv_conf)
{
	char *slash;

	u->path = strdup(resolv_conf);
	u->folder = strdup(resolv_conf);
	if (!u->path || !u->folder)
		return -ENOMEM;
	slash = strrchr(u->folder, '/');
	if (!slash || slash == u->folder)
		return -EINVAL;
	*slash = '\0';
	u->name = strrchr(u->path, '/') + 1;
	u->folder_fd = open(u->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	u->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (u->notify < 0)
		return -errno;
	/* Where one of these fails, the file is what it is now. */
	u->folder_watch = inotify_add_watch(u->notify, u->folder, CHANGES);
	u->watch = u->nat->host->watch_add(u->nat->dev, u->notify, CAPSA_WATCH_READ, on_change, u);
	if (!u->watch)
		return -ENOMEM;
	read_file(u);
	watch_target(u);
	return 0;
}

/* ---- life ---- */

int upstreams_new(struct nat *nat, const char *resolv_conf, struct upstreams **out)
{
	struct upstreams *u = calloc(1, sizeof *u);
	int rc = 0;

	if (!u)
		return -ENOMEM;
	u->nat = nat;
	u->folder_fd = u->notify = u->folder_watch = u->target_watch = -1;
	take_options(u);
	if (!nat->options.n_dns || !nat->options.has_search)
		rc = follow(u, resolv_conf);
	if (rc) {
		upstreams_free(u);
		return rc;
	}
	*out = u;
	return 0;
}

void upstreams_free(struct upstreams *u)
{
	if (!u)
		return;
	if (u->watch)
		u->nat->host->watch_remove(u->watch);
	if (u->notify >= 0)
		close(u->notify);
	if (u->folder_fd >= 0)
		close(u->folder_fd);
	free(u->folder);
	free(u->path);
	free(u);
}

/* ---- whom to ask ---- */

unsigned upstreams_count(const struct upstreams *u)
{
	return u->n;
}

static bool is_failing(const struct upstreams *u, unsigned i)
{
	return u->list[i].failed && timeouts_now(u->nat->timeouts) - u->list[i].failed < FAILED_MS;
}

/* Those that fail come behind the others, in the order of their failing. */
static bool is_better(const struct upstreams *u, unsigned a, unsigned b)
{
	const bool a_fails = is_failing(u, a), b_fails = is_failing(u, b);

	if (a_fails != b_fails)
		return b_fails;
	return a_fails ? u->list[a].turn < u->list[b].turn : a < b;
}

struct net_endpoint upstreams_get(const struct upstreams *u, unsigned n)
{
	for (unsigned i = 0; i < u->n; i++) {
		unsigned better = 0;

		for (unsigned k = 0; k < u->n; k++)
			better += k != i && is_better(u, k, i);
		if (better == n)
			return u->list[i].at;
	}
	return (struct net_endpoint){ .port = DNS_PORT };
}

static struct upstream *find(struct upstreams *u, const struct net_endpoint *which)
{
	for (unsigned i = 0; i < u->n; i++)
		if (net_same(&u->list[i].at.address, &which->address) && u->list[i].at.port == which->port)
			return &u->list[i];
	return NULL;
}

void upstreams_answered(struct upstreams *u, const struct net_endpoint *which)
{
	struct upstream *upstream = find(u, which);

	if (upstream)
		upstream->failed = 0;
}

void upstreams_failed(struct upstreams *u, const struct net_endpoint *which)
{
	struct upstream *upstream = find(u, which);

	if (upstream) {
		upstream->failed = timeouts_now(u->nat->timeouts);
		upstream->turn = ++u->turns;
	}
}

unsigned upstreams_search(const struct upstreams *u, const char *const **domains)
{
	*domains = u->search;
	return u->n_search;
}
