/* SPDX-License-Identifier: MIT */
/*
 * store.c - see store.h. Called by core/boot/cache.c and core/sandbox/image-cache.c; owns one folder below
 * path_cache_dir().
 *
 * Theory of operation
 *
 *   FOLDER/<SHA-256 of the content>.SUFFIX   an entry
 *   FOLDER/<SHA-256 of identities>.file      a symbolic link that names the entry of files with these identities
 *   FOLDER/lock                              flock(2)ed by whoever writes
 *
 * The content decides which entry there is. The hash is a cryptographic one, because the files may come from
 * anywhere: one made to collide with another that the user trusts would run in its stead ever after. Hashing takes
 * some 50 ms for a kernel, too much for each start, so files are known by (device, inode, size, mtime, ctime) too. A
 * file that changed within the last two seconds gets no such link, because it might change again without its times
 * showing it.
 *
 * An entry gets its name by rename(2) when it is written, so readers take no lock. There is no fsync: file systems in
 * use extend a file on disk after its data, so what a crash leaves is too short, which the owner of the kind detects;
 * it costs making the entry once more.
 *
 * What a killed process was writing is removed by the next one that holds the lock, before it writes itself: with the
 * lock held nobody else writes, so nothing has to be guessed from times, and a full disk is not kept full.
 */
#include "core/base/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/base/path.h"

#define LINK_SUFFIX ".file"
#define TEMP_PREFIX "new-"
#define NAME_SIZE 160 /* longer than any of our names */

#define FILES_MAX 16 /* that one entry is made of, as far as the index goes */
#define LINKS_MAX 64
#define SETTLED_AFTER 2 /* seconds; the coarsest time stamps of a file system are that coarse */
#define TOUCH_AFTER 3600
#define TEMP_LIFETIME 3600 /* of what is being written where there are no locks */

struct store {
	const struct store_kind *kind;
	char *path;
	int dir;
	int lock;
	bool locked;
};

static bool trusted(const struct stat *st)
{
	return (st->st_uid == geteuid() || st->st_uid == 0) && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static void entry_name(const struct store *store, const uint8_t key[STORE_KEY_SIZE], char name[NAME_SIZE])
{
	sha256_text(key, name);
	snprintf(name + (size_t)2 * STORE_KEY_SIZE, NAME_SIZE - (size_t)2 * STORE_KEY_SIZE, "%s", store->kind->suffix);
}

static bool entry_key(const struct store *store, const char *name, uint8_t key[STORE_KEY_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	const size_t n = (size_t)2 * STORE_KEY_SIZE;

	if (strlen(name) != n + strlen(store->kind->suffix) || strcmp(name + n, store->kind->suffix))
		return false;
	for (size_t i = 0; i < STORE_KEY_SIZE; i++) {
		const char *high = strchr(digits, name[2 * i]), *low = strchr(digits, name[2 * i + 1]);

		if (!high || !low)
			return false;
		key[i] = (uint8_t)((high - digits) << 4 | (low - digits));
	}
	return true;
}

static void link_name(const struct store *store, const struct stat *files, size_t n, char name[NAME_SIZE])
{
	char text[FILES_MAX * 128];
	uint8_t digest[SHA256_SIZE];
	size_t len = (size_t)snprintf(text, 128, "%.100s\n", store->kind->format);

	for (size_t i = 0; i < n && i < FILES_MAX - 1; i++)
		len += (size_t)snprintf(text + len, sizeof text - len,
		                        "%" PRIx64 "-%" PRIx64 "-%" PRIx64 "-%" PRIx64 ".%lx-%" PRIx64 ".%lx\n",
		                        (uint64_t)files[i].st_dev, (uint64_t)files[i].st_ino,
		                        (uint64_t)files[i].st_size, (uint64_t)files[i].st_mtim.tv_sec,
		                        files[i].st_mtim.tv_nsec, (uint64_t)files[i].st_ctim.tv_sec,
		                        files[i].st_ctim.tv_nsec);
	sha256((const uint8_t *)text, len, digest);
	sha256_text(digest, name);
	strcat(name, LINK_SUFFIX);
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t len = strlen(name), n = strlen(suffix);

	return len > n && !strcmp(name + len - n, suffix);
}

struct store *store_open(const struct store_kind *kind, struct error *err)
{
	struct store *store = calloc(1, sizeof *store);
	char *base = NULL;
	struct stat st;

	if (!store)
		goto no_memory;
	store->kind = kind;
	store->dir = store->lock = -1;
	base = path_cache_dir(err);
	if (!base)
		goto fail;
	store->path = path_join(base, kind->folder);
	if (!store->path)
		goto no_memory;
	if (mkdir(store->path, 0700) && errno != EEXIST) {
		error_set(err, errno, "%s: cannot be made: %s", store->path, strerror(errno));
		goto fail;
	}
	store->dir = open(store->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (store->dir < 0 || fstat(store->dir, &st)) {
		error_set(err, errno, "%s: %s", store->path, strerror(errno));
		goto fail;
	}
	if (!trusted(&st)) {
		error_set(err, EPERM, "%s: belongs to somebody else, or others may write to it", store->path);
		goto fail;
	}
	free(base);
	return store;
no_memory:
	error_set(err, ENOMEM, "out of memory");
fail:
	free(base);
	store_close(store);
	return NULL;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	if (store->lock >= 0)
		close(store->lock);
	if (store->dir >= 0)
		close(store->dir);
	free(store->path);
	free(store);
}

const char *store_path(const struct store *store)
{
	return store->path;
}

static DIR *list_folder(const struct store *store)
{
	int fd = openat(store->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		close(fd);
	return dir;
}

/* Removes what killed processes were writing. */
static void sweep(const struct store *store)
{
	DIR *dir = list_folder(store);
	const struct dirent *d;

	while (dir && (d = readdir(dir))) {
		struct stat st;

		if (strncmp(d->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)) ||
		    fstatat(store->dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		/* A link is made without the lock; whoever misses his goes on without. */
		if (store->locked || st.st_mtim.tv_sec + TEMP_LIFETIME < time(NULL))
			(void)unlinkat(store->dir, d->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

void store_lock(struct store *store)
{
	int rc;

	store->lock = openat(store->dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (store->lock < 0)
		return;
	do
		rc = flock(store->lock, LOCK_EX);
	while (rc && errno == EINTR);
	store->locked = !rc;
	sweep(store);
}

static int open_entry(const struct store *store, const char *name)
{
	return openat(store->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

int store_get(struct store *store, const uint8_t key[STORE_KEY_SIZE], struct stat *st, char **path)
{
	char name[NAME_SIZE];
	int fd;

	entry_name(store, key, name);
	fd = open_entry(store, name);
	if (fd < 0)
		return -ENOENT;
	if (fstat(fd, st) || !S_ISREG(st->st_mode) || !trusted(st)) {
		close(fd);
		return -ENOENT;
	}
	if (path && !(*path = path_join(store->path, name))) {
		close(fd);
		return -ENOMEM;
	}
	return fd;
}

/* An entry's time of modification is that of its last use, to the hour. */
void store_touch(int fd, const struct stat *st)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec - st->st_mtim.tv_sec > TOUCH_AFTER || now.tv_sec < st->st_mtim.tv_sec)
		(void)futimens(fd, NULL);
}

void store_hold(int fd)
{
	(void)flock(fd, LOCK_SH | LOCK_NB);
}

int store_write(int fd, const void *from, uint64_t len, uint64_t offset)
{
	const uint8_t *at = from;

	while (len) {
		ssize_t n = pwrite(fd, at, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		at += n;
		len -= (uint64_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int store_put(struct store *store, const uint8_t key[STORE_KEY_SIZE], int (*write)(int fd, const void *ctx),
              const void *ctx)
{
	char name[NAME_SIZE], temp[NAME_SIZE];
	int fd, rc;

	entry_name(store, key, name);
	snprintf(temp, sizeof temp, TEMP_PREFIX "%d-%.16s", (int)getpid(), name);
	(void)unlinkat(store->dir, temp, 0);
	/* Nobody writes to an entry again: 0400. */
	fd = openat(store->dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
	if (fd < 0)
		return -errno;
	rc = write(fd, ctx);
	if (close(fd) && !rc)
		rc = -errno;
	if (!rc && renameat(store->dir, temp, store->dir, name))
		rc = -errno;
	if (rc)
		(void)unlinkat(store->dir, temp, 0);
	return rc;
}

int store_remove(struct store *store, const uint8_t key[STORE_KEY_SIZE])
{
	char name[NAME_SIZE];

	entry_name(store, key, name);
	return unlinkat(store->dir, name, 0) ? -errno : 0;
}

/* ---- the index ---- */

bool store_known(struct store *store, const struct stat *files, size_t n, uint8_t key[STORE_KEY_SIZE])
{
	char name[NAME_SIZE], target[NAME_SIZE];
	ssize_t len;

	link_name(store, files, n, name);
	len = readlinkat(store->dir, name, target, sizeof target - 1);
	if (len < 0)
		return false;
	target[len] = '\0';
	return entry_key(store, target, key);
}

void store_remember(struct store *store, const struct stat *files, size_t n, const uint8_t key[STORE_KEY_SIZE])
{
	char name[NAME_SIZE], temp[NAME_SIZE], target[NAME_SIZE];

	link_name(store, files, n, name);
	entry_name(store, key, target);
	snprintf(temp, sizeof temp, TEMP_PREFIX "%d" LINK_SUFFIX, (int)getpid());
	(void)unlinkat(store->dir, temp, 0);
	if (symlinkat(target, store->dir, temp))
		return;
	if (renameat(store->dir, temp, store->dir, name))
		(void)unlinkat(store->dir, temp, 0);
}

bool store_settled(const struct stat *file, const struct timespec *now)
{
	return file->st_ctim.tv_sec + SETTLED_AFTER < now->tv_sec && file->st_mtim.tv_sec + SETTLED_AFTER < now->tv_sec;
}

bool store_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       !memcmp(&a->st_mtim, &b->st_mtim, sizeof a->st_mtim) &&
	       !memcmp(&a->st_ctim, &b->st_ctim, sizeof a->st_ctim);
}

/* ---- all of them ---- */

struct listed {
	char name[NAME_SIZE];
	struct timespec used;
	uint64_t bytes;
};

static int by_last_use(const void *a, const void *b)
{
	const struct timespec *x = &((const struct listed *)a)->used, *y = &((const struct listed *)b)->used;

	if (x->tv_sec != y->tv_sec)
		return x->tv_sec > y->tv_sec ? -1 : 1;
	if (x->tv_nsec != y->tv_nsec)
		return x->tv_nsec > y->tv_nsec ? -1 : 1;
	return strcmp(((const struct listed *)a)->name, ((const struct listed *)b)->name);
}

/* Lists the names with that suffix, newest first; `*n` of them. NULL: none, or no memory. */
static struct listed *list_names(struct store *store, const char *suffix, size_t *n)
{
	DIR *dir = list_folder(store);
	struct listed *list = NULL;
	const struct dirent *d;
	size_t room = 0;

	*n = 0;
	if (!dir)
		return NULL;
	while ((d = readdir(dir))) {
		struct stat st;

		if (!has_suffix(d->d_name, suffix) || !strncmp(d->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)) ||
		    strlen(d->d_name) >= NAME_SIZE || fstatat(store->dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		if (*n == room) {
			struct listed *more = realloc(list, (room + 64) * sizeof *list);

			if (!more)
				break;
			list = more;
			room += 64;
		}
		strcpy(list[*n].name, d->d_name);
		list[*n].used = st.st_mtim;
		list[*n].bytes = (uint64_t)st.st_blocks * 512;
		++*n;
	}
	closedir(dir);
	if (list)
		qsort(list, *n, sizeof *list, by_last_use);
	return list;
}

int store_list(struct store *store, struct store_entry **list, size_t *n)
{
	size_t n_names;
	struct listed *names = list_names(store, store->kind->suffix, &n_names);

	*n = 0;
	*list = calloc(n_names + 1, sizeof **list);
	for (size_t i = 0; *list && i < n_names; i++) {
		struct store_entry *entry = &(*list)[*n];

		if (!entry_key(store, names[i].name, entry->key))
			continue;
		entry->used = names[i].used;
		entry->bytes = names[i].bytes;
		++*n;
	}
	free(names);
	return *list ? 0 : -ENOMEM;
}

static bool held(const struct store *store, const char *name)
{
	int fd = open_entry(store, name);
	bool yes = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;

	if (fd >= 0)
		close(fd);
	return yes;
}

void store_trim(struct store *store, const uint8_t keep[STORE_KEY_SIZE], unsigned entries_max, uint64_t bytes_max)
{
	char kept_name[NAME_SIZE] = "";
	struct listed *list;
	uint64_t bytes = 0;
	size_t n, kept = 0;

	if (keep)
		entry_name(store, keep, kept_name);
	list = list_names(store, store->kind->suffix, &n);
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(list[i].name, kept_name)) {
			bytes += list[i].bytes;
			kept++;
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(list[i].name, kept_name))
			continue;
		if ((kept < entries_max && bytes + list[i].bytes <= bytes_max) || held(store, list[i].name)) {
			bytes += list[i].bytes;
			kept++;
		} else {
			(void)unlinkat(store->dir, list[i].name, 0);
		}
	}
	free(list);

	list = list_names(store, LINK_SUFFIX, &n);
	for (size_t i = 0; i < n; i++) {
		struct stat st;

		/* Links whose entry is gone, and those of files that were replaced over and over. */
		if (i >= LINKS_MAX || fstatat(store->dir, list[i].name, &st, 0))
			(void)unlinkat(store->dir, list[i].name, 0);
	}
	free(list);
}
