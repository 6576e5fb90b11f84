/* SPDX-License-Identifier: MIT */
/*
 * file-exerciser.c - random operations on one file, each compared with a copy of it in memory.
 *
 *   file-exerciser [-m] [-d] [-n OPERATIONS] [-s SEED] FILE
 *
 * Reads, writes, truncations, holes, zeroed ranges, preallocations, copies within the file, syncs and re-openings; with
 * -m also reads and writes through mappings; with -d reads and writes are O_DIRECT (aligned). What a file system cannot
 * do is left out from then on. Prints its seed first, so that a failure can be had again; at the end "exerciser
 * OPERATIONS ok", or the last operations before the first difference, and 1.
 *
 * For guests: static, no library but C's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_SIZE (1u << 20)
#define MAX_LEN (1u << 16)
#define ALIGN 4096u
#define HISTORY 20u

enum operation {
	READ,
	WRITE,
	TRUNCATE,
	PUNCH,
	ZERO,
	ALLOCATE,
	COPY,
	SYNC,
	REOPEN,
	MAPPED_READ,
	MAPPED_WRITE,
	N_OPERATIONS,
};

static const char *const names[] = { "read", "write", "truncate", "punch",       "zero",        "allocate",
	                             "copy", "sync",  "reopen",   "mapped read", "mapped write" };
/* How often, in a hundred or so. */
static unsigned weights[N_OPERATIONS] = { 22, 22, 8, 6, 4, 4, 6, 1, 1, 0, 0 };

static const char *path;
static int fd, open_flags = O_RDWR;
static size_t align = 1;
static uint64_t seed;
static unsigned char *shadow, *buffer;
static size_t size;
static struct {
	enum operation operation;
	size_t offset, len, to;
} history[HISTORY];
static unsigned done;

/* splitmix64: the same on every machine for a seed. */
static uint64_t draw(void)
{
	uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static size_t below(size_t limit)
{
	return limit ? (size_t)(draw() % limit) : 0;
}

__attribute__((noreturn)) static void fail(const char *why, size_t at)
{
	const int error = errno;

	printf("exerciser failed: %s at %zu (%s), operation %u, size %zu\n", why, at, strerror(error), done, size);
	for (unsigned i = done > HISTORY ? done - HISTORY : 0; i <= done; i++)
		printf("  %u %s %zu+%zu -> %zu\n", i, names[history[i % HISTORY].operation],
		       history[i % HISTORY].offset, history[i % HISTORY].len, history[i % HISTORY].to);
	exit(1);
}

static void compare(const unsigned char *seen, size_t offset, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (seen[i] != shadow[offset + i]) {
			printf("is 0x%02x, must be 0x%02x\n", seen[i], shadow[offset + i]);
			errno = 0;
			fail("another byte", offset + i);
		}
}

static void reopen(void)
{
	if (fd >= 0 && close(fd) < 0)
		fail("close", 0);
	fd = open(path, open_flags | O_CREAT, 0644);
	if (fd < 0)
		fail("open", 0);
}

static void check_size(void)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || (size_t)st.st_size != size)
		fail("another size", (size_t)st.st_size);
}

static void grow(size_t to)
{
	if (to > size)
		size = to; /* the shadow is zero beyond its end */
}

static void cut(size_t to)
{
	if (to < size)
		memset(shadow + to, 0, size - to);
	size = to;
}

static void fill(unsigned char *to, size_t len)
{
	const uint64_t pattern = draw();

	for (size_t i = 0; i < len; i++)
		to[i] = (unsigned char)(pattern >> (i % 8 * 8)) + (unsigned char)(i >> 8);
}

static void do_read(size_t offset, size_t len)
{
	const size_t expected = offset >= size ? 0 : offset + len > size ? size - offset : len;

	if (pread(fd, buffer, len, (off_t)offset) != (ssize_t)expected)
		fail("short read", offset);
	compare(buffer, offset, expected);
}

static void do_write(size_t offset, size_t len)
{
	fill(buffer, len);
	if (pwrite(fd, buffer, len, (off_t)offset) != (ssize_t)len)
		fail("short write", offset);
	memcpy(shadow + offset, buffer, len);
	grow(offset + len);
}

/* False: this file system cannot. */
static bool allocate(int mode, size_t offset, size_t len)
{
	if (fallocate(fd, mode, (off_t)offset, (off_t)len) == 0)
		return true;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		fail("fallocate", offset);
	return false;
}

static bool do_copy(size_t offset, size_t len, size_t to)
{
	off64_t from_at = (off64_t)offset, to_at = (off64_t)to;
	size_t left = len;

	if (offset + len > size)
		len = left = offset < size ? size - offset : 0;
	if (!len || (offset < to + len && to < offset + len))
		return true;
	while (left > 0) {
		const ssize_t n = copy_file_range(fd, &from_at, fd, &to_at, left, 0);

		if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EXDEV) && left == len)
			return false;
		if (n <= 0)
			fail("copy_file_range", offset);
		left -= (size_t)n;
	}
	memmove(shadow + to, shadow + offset, len);
	grow(to + len);
	return true;
}

static void do_mapped(size_t offset, size_t len, bool write)
{
	const size_t skip = offset % ALIGN;
	unsigned char *map;

	if (write && offset + len > size) {
		if (ftruncate(fd, (off_t)(offset + len)) < 0)
			fail("ftruncate", offset + len);
		grow(offset + len);
	}
	if (offset + len > size)
		len = offset < size ? size - offset : 0;
	if (!len)
		return;
	map = mmap(NULL, skip + len, write ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd,
	           (off_t)(offset - skip));
	if (map == MAP_FAILED)
		fail("mmap", offset);
	if (write) {
		fill(map + skip, len);
		memcpy(shadow + offset, map + skip, len);
		if (below(4) == 0 && msync(map, skip + len, MS_SYNC) < 0)
			fail("msync", offset);
	} else {
		compare(map + skip, offset, len);
		/* What is behind the end is zero in a mapping. */
		for (size_t i = skip + len; offset + len == size && i % ALIGN != 0; i++)
			if (map[i] != 0)
				fail("no zero behind the end", offset + len);
	}
	munmap(map, skip + len);
}

static enum operation choose(void)
{
	unsigned total = 0, at;

	for (unsigned i = 0; i < N_OPERATIONS; i++)
		total += weights[i];
	at = (unsigned)below(total);
	for (unsigned i = 0;; i++) {
		if (at < weights[i])
			return (enum operation)i;
		at -= weights[i];
	}
}

static void one(void)
{
	const enum operation operation = choose();
	size_t offset = below(MAX_SIZE) / align * align;
	size_t len = (below(4) ? below(MAX_LEN) : below(ALIGN)) / align * align + align;
	size_t to = below(MAX_SIZE) / align * align;
	bool can = true;

	if (offset + len > MAX_SIZE)
		len = MAX_SIZE - offset;
	if (to + len > MAX_SIZE)
		to = MAX_SIZE - len;
	history[done % HISTORY].operation = operation;
	history[done % HISTORY].offset = offset;
	history[done % HISTORY].len = len;
	history[done % HISTORY].to = to;
	switch (operation) {
	case READ:
		do_read(offset, len);
		break;
	case WRITE:
		do_write(offset, len);
		break;
	case TRUNCATE:
		if (ftruncate(fd, (off_t)offset) < 0)
			fail("ftruncate", offset);
		cut(offset);
		break;
	case PUNCH:
		can = allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len);
		if (can && offset < size)
			memset(shadow + offset, 0, offset + len > size ? size - offset : len);
		break;
	case ZERO:
		can = allocate(FALLOC_FL_ZERO_RANGE, offset, len);
		if (can) {
			memset(shadow + offset, 0, len);
			grow(offset + len);
		}
		break;
	case ALLOCATE:
		can = allocate(0, offset, len);
		if (can)
			grow(offset + len);
		break;
	case COPY:
		can = do_copy(offset, len, to);
		break;
	case SYNC:
		if (fsync(fd) < 0)
			fail("fsync", 0);
		break;
	case REOPEN:
		reopen();
		break;
	case MAPPED_READ:
	case MAPPED_WRITE:
		do_mapped(offset, len, operation == MAPPED_WRITE);
		break;
	case N_OPERATIONS:
		break;
	}
	if (!can) {
		printf("exerciser: no %s here (%s)\n", names[operation], strerror(errno));
		weights[operation] = 0;
	}
	check_size();
}

int main(int argc, char **argv)
{
	unsigned operations = 10000;
	int option;

	seed = (uint64_t)time(NULL) ^ (uint64_t)getpid() << 32;
	while ((option = getopt(argc, argv, "mdn:s:")) != -1) {
		switch (option) {
		case 'm':
			weights[MAPPED_READ] = weights[MAPPED_WRITE] = 15;
			break;
		case 'd':
			open_flags |= O_DIRECT;
			align = ALIGN;
			break;
		case 'n':
			operations = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		default:
			return 2;
		}
	}
	if (optind != argc - 1)
		return 2;
	path = argv[optind];
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("exerciser: seed %llu\n", (unsigned long long)seed);
	shadow = calloc(1, MAX_SIZE + MAX_LEN);
	if (!shadow || posix_memalign((void **)&buffer, ALIGN, MAX_LEN + ALIGN) != 0)
		return 1;
	fd = -1;
	unlink(path);
	reopen();
	for (done = 0; done < operations; done++)
		one();
	/* The whole of it, by another descriptor without a cache of its own where there is O_DIRECT. */
	reopen();
	for (size_t at = 0; at < size; at += MAX_LEN)
		do_read(at, MAX_LEN);
	printf("exerciser %u ok\n", done);
	return 0;
}
