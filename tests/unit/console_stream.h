/* SPDX-License-Identifier: MIT */
/*
 * console_stream.h - a long stream from the guest to whoever reads it, each byte compared, for the tests of the
 * console's backends; and a folder for their files. Included once by a test program.
 */
#ifndef CAPSA_TESTS_CONSOLE_STREAM_H
#define CAPSA_TESTS_CONSOLE_STREAM_H

#include "tests/unit/console_host.h"

#include <sys/stat.h>

#define STREAM_BYTES (64u << 20)
#define PERIOD 1048573u /* of the test stream: a prime, so that no block of a power of two repeats in step */

/* Byte i of the stream is pattern[i % PERIOD]; twice that long, so that every piece is contiguous. */
static unsigned char *pattern;
static struct capsa_device *dev;
static char folder[] = "/tmp/capsa-console.XXXXXX";
static char path[512];

static inline int make_pattern(void **state)
{
	uint32_t x = 2463534242u;

	(void)state;
	pattern = malloc(2 * PERIOD);
	if (!pattern || !mkdtemp(folder))
		return -1;
	for (unsigned i = 0; i < PERIOD; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		pattern[i] = pattern[i + PERIOD] = (unsigned char)x;
	}
	signal(SIGPIPE, SIG_DFL);
	return 0;
}

static inline int free_pattern(void **state)
{
	(void)state;
	free(pattern);
	return rmdir(folder);
}

static inline int setup(void **state)
{
	(void)state;
	dev = calloc(1, sizeof *dev);
	snprintf(path, sizeof path, "%s/x", folder);
	return dev ? 0 : -1;
}

static inline long resident_pages(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long size, resident = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld %ld", &size, &resident), 2);
	fclose(f);
	return resident;
}

/* Reads what is there without waiting. */
static inline size_t take(int fd, void *to, size_t room)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	ssize_t n;

	if (poll(&poll_fd, 1, 0) <= 0)
		return 0;
	n = read(fd, to, room);
	return n > 0 ? (size_t)n : 0;
}

/* The guest says the whole stream in requests of many sizes; a slow reader compares what comes. */
static inline void stream_through(int reader)
{
	static const unsigned sizes[] = { 1, 16, 4096, 100000, 3, 65536, 300001 };
	static unsigned char buf[8192];
	uint64_t said = 0, heard = 0, turns = 0;
	long before = resident_pages();

	while (heard < STREAM_BYTES) {
		size_t n = sizes[turns % 7] < STREAM_BYTES - said ? sizes[turns % 7] : (size_t)(STREAM_BYTES - said);

		/* A guest has but so many buffers. */
		if (STAILQ_EMPTY(&dev->queue[TX]) && n) {
			guest_says(dev, pattern + said % PERIOD, n);
			said += n;
		}
		host_step(dev, 0);
		n = take(reader, buf, 1 + turns * 7919 % sizeof buf);
		assert_memory_equal(buf, pattern + heard % PERIOD, n);
		heard += n;
		turns++;
	}
	assert_int_equal(heard, STREAM_BYTES);
	assert_int_equal(counted(dev, "tx_bytes"), STREAM_BYTES);
	assert_int_equal(counted(dev, "dropped_bytes"), 0);
	assert_true(resident_pages() - before < (2 << 20) / 4096);
}

/* The same into the file `path`. */
static inline void stream_through_file(void)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	assert_true(fd >= 0);
	stream_through(fd);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, STREAM_BYTES);
	assert_int_equal(st.st_mode & 0777, 0600);
	close(fd);
}

#endif
