/* SPDX-License-Identifier: MIT */
/* fs_read_test.c - READ: where it ends, and what of it needs a worker. */
#include <semaphore.h>

#include "tests/unit/fs_pattern.h"

static void reads_end_where_the_file_ends(void **state)
{
	static const size_t sizes[] = { 0, 1, 4095, 4096, 4097, 8192, 65536 + 17, MIB, MIB + 1 };
	static const size_t lengths[] = { 1, 511, 4096, 4097, 131072, MIB };
	unsigned char *data = malloc(MIB);
	struct fs_client client;
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "");
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		const size_t size = sizes[i];
		const size_t offsets[] = {
			0, 1, 4095, 4096, size / 2, size ? size - 1 : 0, size, size + 1, size + 9999
		};

		host_pattern(&client, "file", size);
		begin_file(&client, "file", O_RDONLY, &node, &fh);
		for (size_t o = 0; o < sizeof offsets / sizeof offsets[0]; o++) {
			for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
				const size_t left = offsets[o] < size ? size - offsets[o] : 0;
				const size_t expected = lengths[l] < left ? lengths[l] : left;

				assert_int_equal(fs_read(&client, node, fh, data, lengths[l], offsets[o]), expected);
				assert_pattern(data, offsets[o], expected);
			}
		}
		end_file(&client, node, fh);
	}
	fs_end(&client);
	free(data);
}

/* What RWF_NOWAIT says of the first page: a count or -errno. */
static ssize_t probe_cache(struct fs_client *client, const char *name)
{
	char page[4096];
	struct iovec iov = { page, sizeof page };
	int fd = openat(client->folder_fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = preadv2(fd, &iov, 1, 0, RWF_NOWAIT);

	n = n < 0 ? -errno : n;
	close(fd);
	return n;
}

static void forget_cache(struct fs_client *client, const char *name)
{
	int fd = openat(client->folder_fd, name, O_RDWR | O_CLOEXEC);

	assert_int_equal(fdatasync(fd), 0);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	close(fd);
}

static void what_is_cached_is_read_without_a_worker_and_the_rest_with_one(void **state)
{
	unsigned char *data = malloc(MIB);
	struct fs_client client;
	uint64_t node, fh, before;

	(void)state;
	fs_begin(&client, NULL, "");
	host_pattern(&client, "file", MIB);
	begin_file(&client, "file", O_RDONLY, &node, &fh);
	if (probe_cache(&client, "file") < 0) {
		end_file(&client, node, fh);
		fs_end(&client);
		free(data);
		fs_skips(true, "the file system has no RWF_NOWAIT");
		return;
	}
	before = fs_counter(&client, "worker_requests");
	assert_int_equal(fs_read(&client, node, fh, data, MIB, 0), MIB);
	assert_int_equal(fs_read(&client, node, fh, data, MIB, 4000), MIB - 4000);
	assert_int_equal(fs_read(&client, node, fh, data, 4096, MIB - 1), 1);
	assert_int_equal(fs_counter(&client, "worker_requests"), before);

	forget_cache(&client, "file");
	if (probe_cache(&client, "file") == -EAGAIN) {
		assert_int_equal(fs_read(&client, node, fh, data, MIB, 0), MIB);
		assert_pattern(data, 0, MIB);
		assert_int_equal(fs_counter(&client, "worker_requests"), before + 1);
		assert_int_equal(fs_counter(&client, "read_bytes"), 2 * MIB + MIB - 4000 + 1);
	}
	end_file(&client, node, fh);
	fs_end(&client);
	free(data);
}

struct lone_reader {
	struct fs_client client;
	uint64_t node, fh, by_workers;
	sem_t has_read;
};

static void read_uncached(struct lone_reader *reader)
{
	char page[4096];
	uint64_t before;

	forget_cache(&reader->client, "file");
	before = fs_counter(&reader->client, "worker_requests");
	assert_int_equal(fs_read(&reader->client, reader->node, reader->fh, page, sizeof page, 0), sizeof page);
	reader->by_workers += fs_counter(&reader->client, "worker_requests") - before;
	sem_post(&reader->has_read);
}

static void *begin_and_read(void *ctx)
{
	struct lone_reader *reader = ctx;

	fs_begin(&reader->client, NULL, "");
	host_pattern(&reader->client, "file", MIB);
	begin_file(&reader->client, "file", O_RDONLY, &reader->node, &reader->fh);
	read_uncached(reader);
	return NULL;
}

static void *read_and_end(void *ctx)
{
	struct lone_reader *reader = ctx;

	read_uncached(reader);
	end_file(&reader->client, reader->node, reader->fh);
	fs_end(&reader->client);
	return NULL;
}

/* The core gives an instance's loop another thread whenever it has asked it something (`capsa info`). */
static void a_lone_read_waits_on_the_loop_whichever_thread_that_has(void **state)
{
	struct lone_reader *reader = calloc(1, sizeof *reader);
	pthread_t first, second;

	(void)state;
	assert_non_null(reader);
	sem_init(&reader->has_read, 0, 0);
	assert_int_equal(pthread_create(&first, NULL, begin_and_read, reader), 0);
	sem_wait(&reader->has_read);
	assert_int_equal(reader->by_workers, 0);
	/* While the first is not joined the second is another one for sure. */
	assert_int_equal(pthread_create(&second, NULL, read_and_end, reader), 0);
	assert_int_equal(pthread_join(first, NULL), 0);
	assert_int_equal(pthread_join(second, NULL), 0);
	assert_int_equal(reader->by_workers, 0);
	sem_destroy(&reader->has_read);
	free(reader);
}

static void half_cached_reads_are_whole(void **state)
{
	unsigned char *data = malloc(MIB);
	struct fs_client client;
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "");
	host_pattern(&client, "file", MIB);
	begin_file(&client, "file", O_RDONLY, &node, &fh);
	for (unsigned page = 0; page < 256; page += 37) {
		forget_cache(&client, "file");
		/* Brings some of it in, here and there. */
		assert_int_equal(fs_read(&client, node, fh, data, 1, page * 4096), 1);
		memset(data, 0, MIB);
		assert_int_equal(fs_read(&client, node, fh, data, MIB, 0), MIB);
		assert_pattern(data, 0, MIB);
	}
	end_file(&client, node, fh);
	fs_end(&client);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_end_where_the_file_ends),
		cmocka_unit_test(what_is_cached_is_read_without_a_worker_and_the_rest_with_one),
		cmocka_unit_test(a_lone_read_waits_on_the_loop_whichever_thread_that_has),
		cmocka_unit_test(half_cached_reads_are_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
