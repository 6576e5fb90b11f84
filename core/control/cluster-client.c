/* SPDX-License-Identifier: MIT */
/* cluster-client.c - see cluster-client.h. Called by core/cli/verb-cluster.c. */
#include "core/control/cluster-client.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/base/path.h"
#include "core/base/timeline.h"
#include "core/config/config.h"
#include "plugins/cluster-switch/protocol.h"

struct cluster_client {
	char *name;
	int fd;
};

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "no memory");
}

static bool is_name(const char *name)
{
	return strlen(name) <= CLUSTER_NAME_MAX && config_name_is_valid(name);
}

/* The folder of all clusters, which need not be there. The caller frees; NULL with err. */
static char *clusters_folder(struct error *err)
{
	char *shared = path_shared_dir(err), *path;

	if (!shared)
		return NULL;
	path = path_join(shared, CLUSTER_FOLDER);
	free(shared);
	if (!path)
		no_memory(err);
	return path;
}

/* ---- which there are ---- */

void cluster_list_free(char **names, long n)
{
	for (long i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

long cluster_list(char ***out, struct error *err)
{
	char *folder = clusters_folder(err), **names = NULL, **grown;
	const struct dirent *entry;
	long n = 0;
	DIR *dir;

	*out = NULL;
	if (!folder)
		return -EIO;
	dir = opendir(folder);
	if (!dir && errno != ENOENT)
		n = error_set(err, errno, "%s: %s", folder, strerror(errno));
	while (dir && n >= 0 && (entry = readdir(dir))) {
		if (!is_name(entry->d_name))
			continue;
		grown = reallocarray(names, (size_t)n + 1, sizeof *names);
		if (grown) {
			names = grown;
			names[n] = strdup(entry->d_name);
		}
		if (!grown || !names[n]) {
			cluster_list_free(names, n);
			names = NULL;
			n = no_memory(err);
		} else {
			n++;
		}
	}
	if (dir)
		closedir(dir);
	free(folder);
	if (n > 0)
		qsort(names, (size_t)n, sizeof *names, compare);
	*out = names;
	return n;
}

/* ---- asking one ---- */

/* ms for poll(2). */
static int left(int64_t deadline)
{
	int64_t ms = (deadline - timeline_now()) / 1000000;

	return ms > 0 ? (int)ms : 0;
}

/* Nothing of it waits for longer than the deadline: a connect(2) does where the backlog is full. */
static int connect_and_ask(const char *path, int64_t deadline, int *out)
{
	const struct protocol_header show = { .type = PROTOCOL_SHOW, .version = PROTOCOL_VERSION };
	int ms = left(deadline) > 0 ? left(deadline) : 1; /* 0 would be no limit */
	struct timeval limit = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	struct sockaddr_un address;
	int folder = -1, fd, rc;
	socklen_t len;

	rc = path_unix_address(path, &address, &len, &folder);
	if (rc)
		return rc;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0 ||
	    connect(fd, (const struct sockaddr *)&address, len) < 0 || send(fd, &show, sizeof show, MSG_NOSIGNAL) < 0)
		rc = errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (folder >= 0)
		close(folder);
	if (rc && fd >= 0)
		close(fd);
	if (!rc)
		*out = fd;
	return rc;
}

static int does_not_answer(const struct cluster_client *c, struct error *err)
{
	return error_set(err, ETIMEDOUT,
	                 "the switch of the cluster \"%s\" does not answer; `capsa ls` tells whether its machines do",
	                 c->name);
}

int cluster_client_open(const char *name, int64_t deadline, struct cluster_client **out, struct error *err)
{
	char *folder = NULL, *path = NULL, *socket_path = NULL;
	struct cluster_client *c = calloc(1, sizeof *c);
	int rc = 0;

	*out = NULL;
	if (c) {
		c->fd = -1;
		c->name = strdup(name);
	}
	if (!c || !c->name) {
		rc = no_memory(err);
		goto out;
	}
	if (!is_name(name)) {
		rc = error_set(err, ENOENT, "there is no such cluster");
		goto out;
	}
	folder = clusters_folder(err);
	if (!folder) {
		rc = -EIO;
		goto out;
	}
	path = path_join(folder, name);
	socket_path = path ? path_join(path, CLUSTER_SOCKET) : NULL;
	if (!socket_path) {
		rc = no_memory(err);
		goto out;
	}
	rc = connect_and_ask(socket_path, deadline, &c->fd);
	if (rc == -ENOTDIR || (rc == -ENOENT && access(path, F_OK)))
		rc = error_set(err, ENOENT, "there is no cluster \"%s\"", name);
	/* Killed, or it has just ended: the socket is there, or not any more, and nobody behind it. */
	else if (rc == -ENOENT || rc == -ECONNREFUSED || rc == -EPIPE || rc == -ECONNRESET)
		rc = error_set(err, ESRCH, "no member of the cluster \"%s\" runs", name);
	else if (rc == -ETIMEDOUT)
		does_not_answer(c, err);
	else if (rc)
		error_set(err, -rc, "cannot ask %s: %s", socket_path, strerror(-rc));
out:
	free(socket_path);
	free(path);
	free(folder);
	if (rc)
		cluster_client_close(c);
	else
		*out = c;
	return rc;
}

/* One packet: 1, 0 at the end, or -errno with err. Its text is at buf + sizeof(struct protocol_header), *n bytes. */
static int receive_packet(const struct cluster_client *c, int64_t deadline, void *buf, size_t *n, struct error *err)
{
	struct pollfd readable = { .fd = c->fd, .events = POLLIN };
	struct protocol_header header;
	ssize_t got;
	int rc;

	do
		rc = poll(&readable, 1, left(deadline));
	while (rc < 0 && errno == EINTR);
	if (rc == 0)
		return does_not_answer(c, err);
	/* Cut where it is longer than a packet may be, and its length told nevertheless. */
	got = rc < 0 ? -1 : recv(c->fd, buf, PROTOCOL_MESSAGE_MAX, MSG_TRUNC | MSG_DONTWAIT);
	if (got < 0 && errno == ECONNRESET)
		return error_set(err, ESRCH, "the switch of the cluster \"%s\" has just ended", c->name);
	if (got < 0)
		return error_set(err, errno, "the switch of the cluster \"%s\": %s", c->name, strerror(errno));
	if (got == 0)
		return 0;
	if ((size_t)got < sizeof header || (size_t)got > PROTOCOL_MESSAGE_MAX)
		goto wrong;
	memcpy(&header, buf, sizeof header);
	if (header.version != PROTOCOL_VERSION)
		return error_set(err, EPROTO,
		                 "the switch of the cluster \"%s\" is of another release of capsa; end its members, or "
		                 "ask with the capsa that they are of",
		                 c->name);
	if (header.type != PROTOCOL_TEXT)
		goto wrong;
	*n = (size_t)got - sizeof header;
	return 1;
wrong:
	return error_set(err, EPROTO, "the switch of the cluster \"%s\" gave no proper answer", c->name);
}

int cluster_client_receive(struct cluster_client *c, int64_t deadline, char **text, size_t *len, struct error *err)
{
	char *packet = malloc(PROTOCOL_MESSAGE_MAX), *all = malloc(1), *grown;
	size_t used = 0, n = 0;
	int rc = packet && all ? 1 : no_memory(err);

	while (rc > 0) {
		rc = receive_packet(c, deadline, packet, &n, err);
		if (rc <= 0)
			break;
		if (n > CLUSTER_ANSWER_MAX - used) {
			rc = error_set(err, EMSGSIZE, "the switch of the cluster \"%s\" tells more than can be meant",
			               c->name);
			break;
		}
		grown = realloc(all, used + n + 1);
		if (!grown) {
			rc = no_memory(err);
			break;
		}
		all = grown;
		memcpy(all + used, packet + sizeof(struct protocol_header), n);
		used += n;
	}
	free(packet);
	if (rc) {
		free(all);
		return rc;
	}
	all[used] = '\0';
	*text = all;
	*len = used;
	return 0;
}

void cluster_client_close(struct cluster_client *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	free(c->name);
	free(c);
}
