/* SPDX-License-Identifier: MIT */
/*
 * cache.c - unpacked kernels on disk, ready to be mapped into guest memory. Called by
 * kernel.c; owns the folder `kernels` below path_cache_dir().
 *
 * Theory of operation
 *
 *   kernels/<SHA-256 of the bzImage>.kernel   an entry: what the kernel's memory looks like
 *   kernels/<identity of a file>.file         a symbolic link that names its entry
 *   kernels/lock                              flock(2)ed by whoever writes
 *
 * The content decides which entry a kernel has. The hash is a cryptographic one, because a
 * machine may boot an image from anywhere: one made to collide with a kernel that the user
 * trusts would run in its stead ever after. Hashing 14 MB takes some 50 ms, too much for each
 * start, so a file is known by (device, inode, size, mtime, ctime) too: a warm start is
 * fstat, readlink, open, fstat and one read of a page. A file that changed within the last
 * two seconds gets no such link, because it might change again without its times showing it.
 *
 * An entry is the memory from the kernel's first to its last stored byte, at a file offset
 * that is congruent to its physical address modulo 2 MiB (so that even huge pages of a file
 * could be mapped), and behind it one page, the trailer, which tells all that boot_load needs.
 * Pieces of 2 MiB that are nothing but zeros (a kernel stores some of its zeroed data) are noted:
 * there the guest's own memory stays, in huge pages, where a mapped file would cost it a fault
 * and a copy for each small page that it writes to. The
 * trailer is written last and is what extends the file to its end: an entry that is too short, longer,
 * of another format, name, owner, or writable by others is no entry and is built anew. An
 * entry gets its name by rename(2) when it is whole, so readers take no lock. There is no
 * fsync: file systems in use extend a file on disk after its data, and what a crash
 * leaves is then too short, which costs one more unpacking.
 *
 * What a killed process was writing is removed by the next one that holds the lock, before it writes itself: with the lock
 * held nobody else writes, so nothing has to be guessed from times, and a full disk is not kept full.
 *
 * Entries may be removed at any time: who has one open or mapped keeps it.
 */

#include "core/boot/kernel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "core/base/path.h"

#define FOLDER "kernels"
#define ENTRY_SUFFIX ".kernel"
#define LINK_SUFFIX ".file"
#define TEMP_PREFIX "new-"
#define NAME_SIZE 160 /* longer than any of our names */

#define LINKS_MAX 64
#define SETTLED_AFTER 2 /* seconds; the coarsest time stamps of a file system are that coarse */
#define TOUCH_AFTER 3600
#define TEMP_LIFETIME 3600 /* of what is being written where there are no locks */

#define FORMAT_MAGIC 0x324b617370614331ull
#define HUGE_PAGE (2ull << 20)
#define PIECES_MAX (KERNEL_UNPACKED_MAX / HUGE_PAGE + 1)

struct trailer {
	uint64_t magic;
	uint64_t file_size;
	uint64_t offset;     /* of the image in the file */
	uint64_t start, end; /* guest-physical */
	uint64_t stored;     /* bytes of [start, end) that the file has; the others are zero */
	uint64_t entry;
	uint8_t key[CACHE_KEY_SIZE];
	uint8_t zero[(PIECES_MAX + 7) / 8]; /* a bit for each HUGE_PAGE of the file up to the trailer */
	struct setup_header header;
	char version[KERNEL_VERSION_MAX];
	uint32_t check; /* checksum of all above */
};
_Static_assert(sizeof(struct trailer) <= KERNEL_PAGE, "the trailer is one page of the file");

struct cache {
	char *path;
	int dir;
	int lock;
	bool locked;
};

static uint32_t trailer_check(const struct trailer *trailer)
{
	uint8_t digest[SHA256_SIZE];
	uint32_t check;

	sha256((const uint8_t *)trailer, offsetof(struct trailer, check), digest);
	memcpy(&check, digest, sizeof check);
	return check;
}

static uint64_t round_up(uint64_t value, uint64_t to)
{
	return (value + to - 1) & -to;
}

static bool trusted(const struct stat *st)
{
	return (st->st_uid == geteuid() || st->st_uid == 0) && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static void entry_name(const uint8_t key[CACHE_KEY_SIZE], char name[NAME_SIZE])
{
	for (size_t i = 0; i < CACHE_KEY_SIZE; i++)
		snprintf(name + 2 * i, 3, "%02x", key[i]);
	strcat(name, ENTRY_SUFFIX);
}

static bool entry_key(const char *name, uint8_t key[CACHE_KEY_SIZE])
{
	static const char digits[] = "0123456789abcdef";

	if (strlen(name) != 2 * CACHE_KEY_SIZE + strlen(ENTRY_SUFFIX) ||
	    strcmp(name + 2 * CACHE_KEY_SIZE, ENTRY_SUFFIX))
		return false;
	for (size_t i = 0; i < CACHE_KEY_SIZE; i++) {
		const char *high = strchr(digits, name[2 * i]), *low = strchr(digits, name[2 * i + 1]);

		if (!high || !low)
			return false;
		key[i] = (uint8_t)((high - digits) << 4 | (low - digits));
	}
	return true;
}

static void link_name(const struct stat *file, char name[NAME_SIZE])
{
	snprintf(name, NAME_SIZE, "%" PRIx64 "-%" PRIx64 "-%" PRIx64 "-%" PRIx64 ".%lx-%" PRIx64 ".%lx" LINK_SUFFIX,
	         (uint64_t)file->st_dev, (uint64_t)file->st_ino, (uint64_t)file->st_size,
	         (uint64_t)file->st_mtim.tv_sec, file->st_mtim.tv_nsec, (uint64_t)file->st_ctim.tv_sec,
	         file->st_ctim.tv_nsec);
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t len = strlen(name), n = strlen(suffix);

	return len > n && !strcmp(name + len - n, suffix);
}

struct cache *cache_open(struct error *err)
{
	struct cache *cache = calloc(1, sizeof *cache);
	char *base = NULL;
	struct stat st;

	if (!cache)
		goto no_memory;
	cache->dir = cache->lock = -1;
	base = path_cache_dir(err);
	if (!base)
		goto fail;
	cache->path = path_join(base, FOLDER);
	if (!cache->path)
		goto no_memory;
	if (mkdir(cache->path, 0700) && errno != EEXIST) {
		error_set(err, errno, "%s: cannot be made: %s", cache->path, strerror(errno));
		goto fail;
	}
	cache->dir = open(cache->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (cache->dir < 0 || fstat(cache->dir, &st)) {
		error_set(err, errno, "%s: %s", cache->path, strerror(errno));
		goto fail;
	}
	if (!trusted(&st)) {
		error_set(err, EPERM, "%s: belongs to somebody else, or others may write to it", cache->path);
		goto fail;
	}
	free(base);
	return cache;
no_memory:
	error_set(err, ENOMEM, "out of memory");
fail:
	free(base);
	cache_close(cache);
	return NULL;
}

void cache_close(struct cache *cache)
{
	if (!cache)
		return;
	if (cache->lock >= 0)
		close(cache->lock);
	if (cache->dir >= 0)
		close(cache->dir);
	free(cache->path);
	free(cache);
}

static DIR *list_folder(const struct cache *cache)
{
	int fd = openat(cache->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		close(fd);
	return dir;
}

/* Removes what killed processes were writing. */
static void sweep(const struct cache *cache)
{
	DIR *dir = list_folder(cache);
	const struct dirent *d;

	while (dir && (d = readdir(dir))) {
		struct stat st;

		if (strncmp(d->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)) ||
		    fstatat(cache->dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		/* A link is made without the lock; whoever misses his goes on without. */
		if (cache->locked || st.st_mtim.tv_sec + TEMP_LIFETIME < time(NULL))
			(void)unlinkat(cache->dir, d->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

/*
 * Without a lock (read-only folder, a file system that has none) all still works: some
 * processes then unpack the same kernel, and the last one's entry stays.
 */
void cache_lock(struct cache *cache)
{
	int rc;

	cache->lock = openat(cache->dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (cache->lock < 0)
		return;
	do
		rc = flock(cache->lock, LOCK_EX);
	while (rc && errno == EINTR);
	cache->locked = !rc;
	sweep(cache);
}

static bool trailer_valid(const struct trailer *t, const uint8_t key[CACHE_KEY_SIZE], uint64_t file_size)
{
	return t->magic == FORMAT_MAGIC && t->check == trailer_check(t) && t->file_size == file_size &&
	       !memcmp(t->key, key, CACHE_KEY_SIZE) && t->start % KERNEL_PAGE == 0 && t->end % KERNEL_PAGE == 0 &&
	       t->stored % KERNEL_PAGE == 0 && t->start < t->end && t->end <= MEMORY_HOLE_START + KERNEL_UNPACKED_MAX &&
	       t->stored && t->stored <= t->end - t->start && t->stored <= KERNEL_UNPACKED_MAX && t->offset == t->start % HUGE_PAGE &&
	       t->file_size == t->offset + t->stored + KERNEL_PAGE && t->entry >= t->start &&
	       t->entry - t->start < t->stored && memchr(t->version, '\0', sizeof t->version);
}

/* An entry's time of modification is that of its last use, to the hour. */
static void touch(int fd, const struct stat *st)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec - st->st_mtim.tv_sec > TOUCH_AFTER || now.tv_sec < st->st_mtim.tv_sec)
		(void)futimens(fd, NULL);
}

/* The i-th HUGE_PAGE of the file, as far as the image reaches: [*from, *to) counts from the image's first byte. */
static bool piece(const struct trailer *t, unsigned i, uint64_t *from, uint64_t *to)
{
	uint64_t begin = i * HUGE_PAGE, end = begin + HUGE_PAGE;

	*from = begin > t->offset ? begin - t->offset : 0;
	*to = end - t->offset < t->stored ? end - t->offset : t->stored;
	return *from < *to;
}

static bool is_zero(const uint8_t *data, uint64_t len)
{
	return !len || (!data[0] && !memcmp(data, data + 1, len - 1));
}

/* Whether [from, to) of the image is zero. */
static bool zero_between(const struct trailer *t, const struct kernel_image *image, const uint8_t *unpacked,
                         uint64_t from, uint64_t to)
{
	for (unsigned i = 0; i < image->n_segments; i++) {
		const struct kernel_segment *s = &image->segments[i];
		uint64_t begin = s->address - t->start, end = begin + s->file_size;
		uint64_t first = begin > from ? begin : from, last = end < to ? end : to;

		if (first < last && !is_zero(unpacked + s->offset + (first - begin), last - first))
			return false;
	}
	return true;
}

static void note_zeros(struct trailer *t, const struct kernel_image *image, const uint8_t *unpacked)
{
	uint64_t from, to;

	for (unsigned i = 0; i < PIECES_MAX && piece(t, i, &from, &to); i++)
		if (zero_between(t, image, unpacked, from, to))
			t->zero[i / 8] |= (uint8_t)(1u << i % 8);
}

/* Segments are runs of pieces that are not zero; when there is room for no more runs, the last one takes the rest. */
static void take_image(const struct trailer *t, struct kernel_image *image)
{
	struct kernel_segment *run = NULL;
	uint64_t from, to;

	*image = (struct kernel_image){ .start = t->start, .end = t->end, .entry = t->entry };
	for (unsigned i = 0; i < PIECES_MAX && piece(t, i, &from, &to); i++) {
		if ((t->zero[i / 8] >> i % 8 & 1) && image->n_segments < KERNEL_SEGMENTS_MAX) {
			run = NULL;
			continue;
		}
		if (!run) {
			run = &image->segments[image->n_segments++];
			run->offset = t->offset + from;
			run->address = t->start + from;
		}
		run->file_size = run->mem_size = t->start + to - run->address;
	}
}

bool cache_find(struct cache *cache, const uint8_t key[CACHE_KEY_SIZE], struct boot_kernel *kernel)
{
	char name[NAME_SIZE], *path;
	struct trailer t;
	struct stat st;
	int fd;

	entry_name(key, name);
	fd = openat(cache->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	path = path_join(cache->path, name);
	if (!path || fstat(fd, &st) || !S_ISREG(st.st_mode) || !trusted(&st) || st.st_size < (off_t)KERNEL_PAGE ||
	    read_exactly(fd, &t, sizeof t, (uint64_t)st.st_size - KERNEL_PAGE) ||
	    !trailer_valid(&t, key, (uint64_t)st.st_size)) {
		free(path);
		close(fd);
		return false;
	}
	touch(fd, &st);
	kernel->form = BOOT_FORM_ELF_CACHED;
	kernel->fd = fd;
	kernel->cache_path = path;
	take_image(&t, &kernel->image);
	kernel->has_header = true;
	kernel->header = t.header;
	memcpy(kernel->version, t.version, sizeof kernel->version);
	return true;
}

bool cache_find_file(struct cache *cache, const struct stat *file, struct boot_kernel *kernel)
{
	char name[NAME_SIZE], target[NAME_SIZE];
	uint8_t key[CACHE_KEY_SIZE];
	ssize_t len;

	link_name(file, name);
	len = readlinkat(cache->dir, name, target, sizeof target - 1);
	if (len < 0)
		return false;
	target[len] = '\0';
	return entry_key(target, key) && cache_find(cache, key, kernel);
}

static int write_exactly(int fd, const void *from, uint64_t len, uint64_t offset)
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

static int write_entry(int fd, const struct trailer *t, const struct kernel_image *image, const uint8_t *unpacked)
{
	uint8_t last[KERNEL_PAGE] = { 0 };

	for (unsigned i = 0; i < image->n_segments; i++) {
		const struct kernel_segment *s = &image->segments[i];
		int rc = write_exactly(fd, unpacked + s->offset, s->file_size, t->offset + s->address - t->start);

		if (rc)
			return rc;
	}
	memcpy(last, t, sizeof *t);
	return write_exactly(fd, last, sizeof last, t->file_size - KERNEL_PAGE);
}

int cache_store(struct cache *cache, const uint8_t key[CACHE_KEY_SIZE], const struct kernel_image *image,
                const uint8_t *unpacked, const struct boot_kernel *kernel)
{
	char name[NAME_SIZE], temp[NAME_SIZE];
	struct trailer t;
	uint64_t stored_end = 0;
	int fd, rc;

	for (unsigned i = 0; i < image->n_segments; i++) {
		if (image->segments[i].file_size)
			stored_end = image->segments[i].address + image->segments[i].file_size;
	}
	memset(&t, 0, sizeof t);
	t.magic = FORMAT_MAGIC;
	t.offset = image->start % HUGE_PAGE;
	t.start = image->start;
	t.end = image->end;
	t.stored = round_up(stored_end - t.start, KERNEL_PAGE);
	t.file_size = t.offset + t.stored + KERNEL_PAGE;
	t.entry = image->entry;
	memcpy(t.key, key, sizeof t.key);
	t.header = kernel->header;
	memcpy(t.version, kernel->version, sizeof t.version);
	note_zeros(&t, image, unpacked);
	t.check = trailer_check(&t);

	entry_name(key, name);
	snprintf(temp, sizeof temp, TEMP_PREFIX "%d-%.16s", (int)getpid(), name);
	(void)unlinkat(cache->dir, temp, 0);
	/* Nobody writes to an entry again: 0400. */
	fd = openat(cache->dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
	if (fd < 0)
		return -errno;
	rc = write_entry(fd, &t, image, unpacked);
	if (close(fd) && !rc)
		rc = -errno;
	if (!rc && renameat(cache->dir, temp, cache->dir, name))
		rc = -errno;
	if (rc)
		(void)unlinkat(cache->dir, temp, 0);
	return rc;
}

bool cache_settled(const struct stat *file, const struct timespec *now)
{
	return file->st_ctim.tv_sec + SETTLED_AFTER < now->tv_sec && file->st_mtim.tv_sec + SETTLED_AFTER < now->tv_sec;
}

void cache_remember(struct cache *cache, const struct stat *file, const uint8_t key[CACHE_KEY_SIZE])
{
	char name[NAME_SIZE], temp[NAME_SIZE], target[NAME_SIZE];

	link_name(file, name);
	entry_name(key, target);
	snprintf(temp, sizeof temp, TEMP_PREFIX "%d" LINK_SUFFIX, (int)getpid());
	(void)unlinkat(cache->dir, temp, 0);
	if (symlinkat(target, cache->dir, temp))
		return;
	if (renameat(cache->dir, temp, cache->dir, name))
		(void)unlinkat(cache->dir, temp, 0);
}

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
	return x->tv_nsec > y->tv_nsec ? -1 : x->tv_nsec < y->tv_nsec;
}

/* Lists the names with that suffix, newest first; `*n` of them. NULL: none, or no memory. */
static struct listed *list_names(struct cache *cache, const char *suffix, size_t *n)
{
	DIR *dir = list_folder(cache);
	struct listed *list = NULL;
	const struct dirent *d;
	size_t room = 0;

	*n = 0;
	if (!dir)
		return NULL;
	while ((d = readdir(dir))) {
		struct stat st;

		if (!has_suffix(d->d_name, suffix) || !strncmp(d->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)) ||
		    strlen(d->d_name) >= NAME_SIZE || fstatat(cache->dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW))
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

void cache_trim(struct cache *cache, const uint8_t keep[CACHE_KEY_SIZE], unsigned entries_max, uint64_t bytes_max)
{
	char kept_name[NAME_SIZE];
	struct listed *list;
	uint64_t bytes = 0;
	size_t n, kept = 0;

	entry_name(keep, kept_name);
	list = list_names(cache, ENTRY_SUFFIX, &n);
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(list[i].name, kept_name)) {
			bytes += list[i].bytes;
			kept++;
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(list[i].name, kept_name))
			continue;
		if (kept < entries_max && bytes + list[i].bytes <= bytes_max) {
			bytes += list[i].bytes;
			kept++;
		} else {
			(void)unlinkat(cache->dir, list[i].name, 0);
		}
	}
	free(list);

	list = list_names(cache, LINK_SUFFIX, &n);
	for (size_t i = 0; i < n; i++) {
		struct stat st;

		/* Links whose entry is gone, and those of files that were replaced over and over. */
		if (i >= LINKS_MAX || fstatat(cache->dir, list[i].name, &st, 0))
			(void)unlinkat(cache->dir, list[i].name, 0);
	}
	free(list);
}
