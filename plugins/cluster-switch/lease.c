/* SPDX-License-Identifier: MIT */
/*
 * lease.c - see lease.h. Called by serve.c.
 *
 * The file is text, a lease a line, "NAME ADDRESS", the one that was used longest ago first: so the order is all the
 * time that is needed, and no clock that may be set is believed.
 */
#include "plugins/cluster-switch/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugins/cluster-switch/cluster.h"
#include "plugins/cluster-switch/protocol.h"

#define LEASES_NEW CLUSTER_LEASES ".new"
#define LEASE_LINE (CLUSTER_NAME_MAX + 1u + INET_ADDRSTRLEN + 1u)
#define FIRST_INDEX 2u /* 0: the subnet's own, 1: the gateway's */
/* So many in a row cannot all be someone's: leases, and members with an address of their files. */
#define PROBES_MAX (LEASES_MAX + CLUSTER_MEMBERS_MAX + 1u)

struct lease {
	char name[CLUSTER_NAME_MAX + 1];
	uint32_t address; /* host order */
};

struct leases {
	int dirfd;
	unsigned n;
	struct lease list[LEASES_MAX]; /* longest ago first */
};

static uint32_t to_number(const struct in6_addr *address)
{
	return ntohl(net_to_ipv4(address).s_addr);
}

static struct in6_addr from_number(uint32_t number)
{
	return net_from_ipv4((struct in_addr){ htonl(number) });
}

static void remove_at(struct leases *leases, unsigned at)
{
	leases->n--;
	memmove(&leases->list[at], &leases->list[at + 1], (leases->n - at) * sizeof leases->list[0]);
}

static int find_name(const struct leases *leases, const char *name)
{
	for (unsigned i = 0; i < leases->n; i++)
		if (strcmp(leases->list[i].name, name) == 0)
			return (int)i;
	return -1;
}

static int find_address(const struct leases *leases, uint32_t address)
{
	for (unsigned i = 0; i < leases->n; i++)
		if (leases->list[i].address == address)
			return (int)i;
	return -1;
}

/* ---- the file ---- */

/* One line without its end; what cannot be is no lease. */
static void line_read(struct leases *leases, const char *line)
{
	const char *space = strchr(line, ' ');
	struct lease lease = { 0 };
	struct in6_addr address;

	if (!space || (size_t)(space - line) > CLUSTER_NAME_MAX || leases->n == LEASES_MAX)
		return;
	memcpy(lease.name, line, (size_t)(space - line));
	if (!protocol_name_is_valid(lease.name) || net_address_parse(space + 1, &address) < 0 || !net_is_ipv4(&address))
		return;
	lease.address = to_number(&address);
	if (find_name(leases, lease.name) >= 0 || find_address(leases, lease.address) >= 0)
		return;
	leases->list[leases->n++] = lease;
}

static void file_read(struct leases *leases)
{
	/* Not what waits (a FIFO), nor what leads elsewhere. */
	const int fd = openat(leases->dirfd, CLUSTER_LEASES, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char line[LEASE_LINE + 1];
	struct stat st;
	FILE *file;

	if (fd < 0)
		return;
	file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? fdopen(fd, "r") : NULL;
	if (!file) {
		close(fd);
		return;
	}
	for (unsigned lines = 0; lines < LEASES_MAX && fgets(line, sizeof line, file); lines++) {
		char *end = strchr(line, '\n');

		if (end) {
			*end = '\0';
			line_read(leases, line);
			continue;
		}
		/* Too long: its pieces are no lines. */
		for (int c = getc(file); c != '\n' && c != EOF;)
			c = getc(file);
	}
	fclose(file);
}

static void file_write(const struct leases *leases)
{
	int fd;
	FILE *file;
	char text[NET_ADDRESS_TEXT];
	bool bad;

	(void)unlinkat(leases->dirfd, LEASES_NEW, 0);
	fd = openat(leases->dirfd, LEASES_NEW, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	file = fdopen(fd, "w");
	if (!file) {
		close(fd);
		return;
	}
	for (unsigned i = 0; i < leases->n; i++) {
		const struct in6_addr address = from_number(leases->list[i].address);

		fprintf(file, "%s %s\n", leases->list[i].name, net_address_text(&address, text));
	}
	bad = ferror(file);
	bad |= fclose(file) != 0;
	/* Half of it is worse than the old one. */
	if (bad || renameat(leases->dirfd, LEASES_NEW, leases->dirfd, CLUSTER_LEASES) < 0)
		(void)unlinkat(leases->dirfd, LEASES_NEW, 0);
}

/* ---- who has what ---- */

int leases_new(int dirfd, struct leases **out)
{
	struct leases *leases = calloc(1, sizeof *leases);

	*out = leases;
	if (!leases)
		return -ENOMEM;
	leases->dirfd = dirfd;
	file_read(leases);
	return 0;
}

void leases_free(struct leases *leases)
{
	free(leases);
}

/* The lease is `name`'s, and the one used last. One that somebody else had of this address is over. */
static void lease_set(struct leases *leases, const char *name, uint32_t address, unsigned victim)
{
	struct lease lease = { .address = address };
	int at = find_name(leases, name);

	if (at >= 0 && leases->list[at].address == address && (unsigned)at + 1 == leases->n)
		return;
	memcpy(lease.name, name, strnlen(name, CLUSTER_NAME_MAX));
	if (at >= 0)
		remove_at(leases, (unsigned)at);
	at = find_address(leases, address);
	if (at >= 0)
		remove_at(leases, (unsigned)at);
	if (leases->n == LEASES_MAX)
		remove_at(leases, victim < LEASES_MAX ? victim : 0);
	leases->list[leases->n++] = lease;
	file_write(leases);
}

void leases_keep(struct leases *leases, const char *name, const struct in6_addr *address)
{
	if (net_is_ipv4(address))
		lease_set(leases, name, to_number(address), 0);
}

/* The same for the same name on every computer (FNV-1a): nobody gains by a collision, as the next address is free. */
static uint32_t name_hash(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return hash;
}

struct request {
	const struct leases *leases;
	uint32_t base, range; /* the first address that a machine may have, and how many there are */
	bool (*is_taken)(void *ctx, const struct in6_addr *address);
	void *ctx;
};

static bool is_taken(const struct request *request, uint32_t address)
{
	const struct in6_addr in6 = from_number(address);

	return request->is_taken(request->ctx, &in6);
}

static bool in_range(const struct request *request, uint32_t address)
{
	return address - request->base < request->range;
}

/* The hash's address, or the next one that is nobody's lease and no member's. */
static int find_free(const struct request *request, const char *name, uint32_t *address)
{
	const struct leases *leases = request->leases;
	const uint32_t begin = name_hash(name) % request->range;
	const uint32_t probes = request->range < PROBES_MAX ? request->range : PROBES_MAX;
	unsigned char leased[PROBES_MAX] = { 0 };

	for (unsigned i = 0; i < leases->n; i++) {
		uint64_t distance;

		if (!in_range(request, leases->list[i].address))
			continue;
		distance =
			((uint64_t)(leases->list[i].address - request->base) + request->range - begin) % request->range;
		if (distance < probes)
			leased[distance] = 1;
	}
	for (uint32_t i = 0; i < probes; i++) {
		const uint32_t candidate = request->base + (uint32_t)(((uint64_t)begin + i) % request->range);

		if (!leased[i] && !is_taken(request, candidate)) {
			*address = candidate;
			return 0;
		}
	}
	return -ENOSPC;
}

/* The lease that was used longest ago and whose address no member has; -1: there is none. */
static int find_oldest(const struct request *request, bool of_subnet)
{
	for (unsigned i = 0; i < request->leases->n; i++) {
		const uint32_t address = request->leases->list[i].address;

		if ((!of_subnet || in_range(request, address)) && !is_taken(request, address))
			return (int)i;
	}
	return -1;
}

int leases_get(struct leases *leases, const char *name, const struct net_prefix *subnet,
               bool (*taken)(void *ctx, const struct in6_addr *address), void *ctx, struct in6_addr *out)
{
	const unsigned host_bits = 128 - subnet->bits;
	const uint32_t size = host_bits >= 32 ? UINT32_MAX : (uint32_t)1 << host_bits;
	struct request request = {
		.leases = leases,
		.base = to_number(&subnet->address) + FIRST_INDEX,
		.is_taken = taken,
		.ctx = ctx,
	};
	int at, oldest;
	uint32_t address;

	/* The last one is the broadcast address. */
	if (size <= FIRST_INDEX + 1)
		return -ENOSPC;
	request.range = size - FIRST_INDEX - 1;

	at = find_name(leases, name);
	if (at >= 0 && in_range(&request, leases->list[at].address) && !is_taken(&request, leases->list[at].address)) {
		address = leases->list[at].address;
	} else if (find_free(&request, name, &address) < 0) {
		oldest = find_oldest(&request, true);
		if (oldest < 0)
			return -ENOSPC;
		address = leases->list[oldest].address;
	}
	oldest = leases->n == LEASES_MAX ? find_oldest(&request, false) : -1;
	lease_set(leases, name, address, oldest < 0 ? 0 : (unsigned)oldest);
	*out = from_number(address);
	return 0;
}
