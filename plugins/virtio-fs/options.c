/* SPDX-License-Identifier: MIT */
/*
 * options.c - see options.h. The core has checked types, limits and choices; what is left are the combinations and the
 * maps.
 */
#include "plugins/virtio-fs/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_fs.h>

#include "plugins/cause.h"

enum key {
	KEY_TAG,
	KEY_PATH,
	KEY_MOUNT,
	KEY_READONLY,
	KEY_CACHE,
	KEY_WRITEBACK,
	KEY_DAX,
	KEY_XATTR,
	KEY_OWNER,
	KEY_UID,
	KEY_GID,
	KEY_UID_MAP,
	KEY_GID_MAP,
	KEY_LOCKS,
	KEY_MAX_BYTES,
	KEY_MAX_INODES,
	KEY_SUBMOUNTS,
	KEY_QUEUES,
	KEY_WORKERS,
	N_KEYS,
};

#define MIB (INT64_C(1) << 20)
#define DAX_MIN (2 * MIB)
#define SIZE_LIMIT (INT64_C(1) << 50)
#define ID_LIMIT (INT64_C(0xfffffffe)) /* (uint32_t)-1 means "leave it as it is" to chown(2) */

static const char *const cache_choices[] = { "none", "auto", "always", NULL };
static const char *const owner_choices[] = { "host", "squash", NULL };
static const char *const lock_choices[] = { "guest", "host", NULL };

const struct capsa_key virtio_fs_keys[] = {
	[KEY_TAG] = { .name = "tag",
	              .type = CAPSA_TYPE_STRING,
	              .required = true,
	              .unique = true,
	              .help = "the guest's name of the share: `mount -t virtiofs TAG /mnt`; at most 36 bytes" },
	[KEY_PATH] = { .name = "path",
	               .type = CAPSA_TYPE_PATH,
	               .required = true,
	               .help = "the directory of the host that is shared" },
	[KEY_MOUNT] = { .name = "mount",
	                .type = CAPSA_TYPE_STRING,
	                .help = "where a sandbox mounts it; without it, it does not" },
	[KEY_READONLY] = { .name = "readonly",
	                   .type = CAPSA_TYPE_BOOL,
	                   .default_text = "false",
	                   .help = "the guest changes nothing" },
	[KEY_CACHE] = { .name = "cache",
	                .type = CAPSA_TYPE_CHOICE,
	                .default_text = "auto",
	                .choices = cache_choices,
	                .help = "what the guest may believe: none: nothing; auto: names for a second, data until "
	                        "mtime or size change; always: everything, nobody else changes these files" },
	[KEY_WRITEBACK] = { .name = "writeback",
	                    .type = CAPSA_TYPE_BOOL,
	                    .default_text = "false",
	                    .help = "the guest collects writes in its memory; needs that nobody else writes there" },
	[KEY_DAX] = { .name = "dax",
	              .type = CAPSA_TYPE_SIZE,
	              .default_text = "0",
	              .min = 0,
	              .max = INT64_C(1) << 40,
	              .help = "bytes of the window through which the guest maps files (a power of two, at least 2M; "
	                      "mount with -o dax); 0: none" },
	[KEY_XATTR] = { .name = "xattr",
	                .type = CAPSA_TYPE_BOOL,
	                .default_text = "true",
	                .help = "the guest has extended attributes" },
	[KEY_OWNER] = { .name = "owner",
	                .type = CAPSA_TYPE_CHOICE,
	                .choices = owner_choices,
	                .help = "host: owners are the host's; squash: all belongs to capsa's user there, and the "
	                        "guest's "
	                        "owners are kept beside it (without it: host for root, squash for others)" },
	[KEY_UID] = { .name = "uid",
	              .type = CAPSA_TYPE_INT,
	              .default_text = "0",
	              .min = 0,
	              .max = ID_LIMIT,
	              .help = "squash: the guest's user that capsa's own looks like" },
	[KEY_GID] = { .name = "gid",
	              .type = CAPSA_TYPE_INT,
	              .default_text = "0",
	              .min = 0,
	              .max = ID_LIMIT,
	              .help = "squash: the guest's group that capsa's own looks like" },
	[KEY_UID_MAP] = { .name = "uid_map",
	                  .type = CAPSA_TYPE_LIST,
	                  .help = "ranges \"GUEST:HOST:COUNT\" of users; others are not possible; empty: all as they "
	                          "are" },
	[KEY_GID_MAP] = { .name = "gid_map",
	                  .type = CAPSA_TYPE_LIST,
	                  .help = "ranges \"GUEST:HOST:COUNT\" of groups; others are not possible; empty: all as they "
	                          "are" },
	[KEY_LOCKS] = { .name = "locks",
	                .type = CAPSA_TYPE_CHOICE,
	                .default_text = "guest",
	                .choices = lock_choices,
	                .help = "guest: flock and POSIX locks among the guest's processes; host: also with other "
	                        "machines "
	                        "and the host" },
	[KEY_MAX_BYTES] = { .name = "max_bytes",
	                    .type = CAPSA_TYPE_SIZE,
	                    .default_text = "0",
	                    .min = 0,
	                    .max = SIZE_LIMIT,
	                    .help = "bytes that the guest may add; 0: no limit" },
	[KEY_MAX_INODES] = { .name = "max_inodes",
	                     .type = CAPSA_TYPE_INT,
	                     .default_text = "0",
	                     .min = 0,
	                     .max = INT64_C(1) << 32,
	                     .help = "files and directories that the guest may add; 0: no limit" },
	[KEY_SUBMOUNTS] = { .name = "submounts",
	                    .type = CAPSA_TYPE_BOOL,
	                    .default_text = "true",
	                    .help = "the guest sees where another file system of the host begins; false: all is one, "
	                            "as "
	                            "a layer of an overlay must be" },
	[KEY_QUEUES] = { .name = "queues",
	                 .type = CAPSA_TYPE_INT,
	                 .default_text = "0",
	                 .min = 0,
	                 .max = CAPSA_MAX_QUEUES - 1,
	                 .help = "request queues; 0: one a vCPU" },
	[KEY_WORKERS] = { .name = "workers",
	                  .type = CAPSA_TYPE_INT,
	                  .default_text = "8",
	                  .min = 1,
	                  .max = 64,
	                  .help = "threads for what waits for a disk" },
	[N_KEYS] = { .name = NULL },
};

/* ---- maps ---- */

static bool overlap(uint32_t a, uint32_t b, uint32_t count_a, uint32_t count_b)
{
	return a < (uint64_t)b + count_b && b < (uint64_t)a + count_a;
}

/* A decimal number up to `end`, which is stepped over; no sign, no space. */
static bool take_number(const char **at, char end, uint32_t *out)
{
	uint64_t n = 0;
	const char *p = *at;

	for (; *p >= '0' && *p <= '9'; p++) {
		n = n * 10 + (uint64_t)(*p - '0');
		if (n > UINT32_MAX)
			return false;
	}
	if (p == *at || *p != end)
		return false;
	*at = end ? p + 1 : p;
	*out = (uint32_t)n;
	return true;
}

static bool take_range(const char *text, struct id_range *range)
{
	return take_number(&text, ':', &range->guest) && take_number(&text, ':', &range->host) &&
	       take_number(&text, '\0', &range->count) && range->count &&
	       (uint64_t)range->guest + range->count <= UINT32_MAX &&
	       (uint64_t)range->host + range->count <= UINT32_MAX;
}

static int read_map(const struct cause *cause, const struct capsa_value *value, const char *key, struct id_map *map)
{
	map->n = 0;
	if (value->n_items > ID_RANGES_MAX)
		return refuse(cause, "%s has %zu ranges; at most %u are possible", key, value->n_items, ID_RANGES_MAX);
	for (size_t i = 0; i < value->n_items; i++) {
		const struct capsa_value *item = &value->items[i];
		struct id_range *range = &map->ranges[map->n];

		if (item->type != CAPSA_TYPE_STRING)
			return refuse(cause, "%s: write each range as \"GUEST:HOST:COUNT\"", key);
		if (!take_range(item->string, range))
			return refuse(cause,
			              "%s: \"%s\" is no range; write \"GUEST:HOST:COUNT\", as in \"0:100000:65536\"",
			              key, item->string);
		for (unsigned j = 0; j < map->n; j++)
			if (overlap(map->ranges[j].guest, range->guest, map->ranges[j].count, range->count) ||
			    overlap(map->ranges[j].host, range->host, map->ranges[j].count, range->count))
				return refuse(cause,
				              "%s: \"%s\" overlaps an earlier range; a number may be in one only", key,
				              item->string);
		map->n++;
	}
	return 0;
}

bool id_to_host(const struct id_map *map, uint32_t guest, uint32_t *host)
{
	for (unsigned i = 0; i < map->n; i++) {
		const struct id_range *range = &map->ranges[i];

		if (guest >= range->guest && guest - range->guest < range->count) {
			*host = range->host + (guest - range->guest);
			return true;
		}
	}
	*host = guest;
	return !map->n;
}

bool id_to_guest(const struct id_map *map, uint32_t host, uint32_t *guest)
{
	for (unsigned i = 0; i < map->n; i++) {
		const struct id_range *range = &map->ranges[i];

		if (host >= range->host && host - range->host < range->count) {
			*guest = range->guest + (host - range->host);
			return true;
		}
	}
	*guest = host;
	return !map->n;
}

/* ---- the whole ---- */

static int check_tag(const struct cause *cause, const char *tag)
{
	const size_t room = sizeof((struct virtio_fs_config *)NULL)->tag;
	size_t len = strlen(tag);

	if (!len)
		return refuse(cause, "tag is empty; give the name that the guest mounts");
	if (len > room)
		return refuse(cause, "tag \"%s\" has %zu bytes; at most %zu are possible", tag, len, room);
	return 0;
}

static int check_mount(const struct cause *cause, const char *mount)
{
	if (mount && mount[0] != '/')
		return refuse(cause, "mount \"%s\" must be an absolute path of the guest's, as in \"/mnt\"", mount);
	return 0;
}

static int check_together(const struct cause *cause, const struct options *options)
{
	if (options->dax && (options->dax < (uint64_t)DAX_MIN || (options->dax & (options->dax - 1))))
		return refuse(cause, "dax is %" PRIu64 " bytes; give a power of two from 2M on, as in \"1G\"",
		              options->dax);
	if (options->dax && !options->readonly && (options->max_bytes || options->max_inodes))
		return refuse(cause,
		              "%s cannot hold with a writable dax window, which goes past it; leave one of them out, "
		              "or add readonly = true",
		              options->max_bytes ? "max_bytes" : "max_inodes");
	if (options->writeback && options->cache == CACHE_NONE)
		return refuse(cause, "writeback needs a cache in the guest; leave it out or choose cache = \"auto\"");
	if (options->writeback && options->readonly)
		return refuse(cause, "writeback makes no sense with readonly = true; leave one of them out");
	return 0;
}

int options_read(struct options *options, const struct capsa_value *values, size_t n, char *text, size_t size)
{
	const struct cause cause = { .text = text, .size = size };
	int r;

	if (n != N_KEYS)
		return refuse(&cause, "%zu values for %u keys", n, (unsigned)N_KEYS);
	*options = (struct options){
		.tag = values[KEY_TAG].string,
		.path = values[KEY_PATH].string,
		.readonly = values[KEY_READONLY].boolean,
		.cache = (enum cache_mode)values[KEY_CACHE].integer,
		.writeback = values[KEY_WRITEBACK].boolean,
		.dax = (uint64_t)values[KEY_DAX].integer,
		.xattr = values[KEY_XATTR].boolean,
		.uid = (uint32_t)values[KEY_UID].integer,
		.gid = (uint32_t)values[KEY_GID].integer,
		.host_locks = values[KEY_LOCKS].integer == 1,
		.hide_submounts = !values[KEY_SUBMOUNTS].boolean,
		.max_bytes = (uint64_t)values[KEY_MAX_BYTES].integer,
		.max_inodes = (uint64_t)values[KEY_MAX_INODES].integer,
		.queues = (unsigned)values[KEY_QUEUES].integer,
		.workers = (unsigned)values[KEY_WORKERS].integer,
	};
	if (values[KEY_OWNER].type == CAPSA_TYPE_NONE)
		options->owner = geteuid() == 0 ? OWNER_HOST : OWNER_SQUASH;
	else
		options->owner = (enum owner_mode)values[KEY_OWNER].integer;
	r = check_tag(&cause, options->tag);
	if (r == 0)
		r = check_mount(&cause, values[KEY_MOUNT].string);
	if (r == 0)
		r = read_map(&cause, &values[KEY_UID_MAP], "uid_map", &options->uid_map);
	if (r == 0)
		r = read_map(&cause, &values[KEY_GID_MAP], "gid_map", &options->gid_map);
	return r < 0 ? r : check_together(&cause, options);
}
