/* SPDX-License-Identifier: MIT */
/*
 * fs_file_test.c - contents of files, as a guest that wants to do harm asks for them, or several at once: its buffers,
 * LSEEK, FALLOCATE, COPY_FILE_RANGE. READ alone is in fs_read_test.c, WRITE in fs_write_test.c.
 */
#include "tests/unit/fs_pattern.h"

#include <linux/falloc.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "plugins/virtio-fs/call.h"

static void holes_and_what_lies_beyond_4_gib_are_read_and_written(void **state)
{
	const uint64_t far = 5 * GIB + 3;
	unsigned char data[8192], zeros[8192] = { 0 };
	struct fs_client client;
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "");
	assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "big", O_RDWR, 0644, &node, &fh), 0);
	fill(data, far, 5000);
	assert_int_equal(fs_write(&client, node, fh, data, 5000, far), 5000);
	assert_int_equal(host_size(&client, "big"), far + 5000);
	memset(data, 1, sizeof data);
	assert_int_equal(fs_read(&client, node, fh, data, sizeof data, far), 5000);
	assert_pattern(data, far, 5000);
	assert_int_equal(fs_read(&client, node, fh, data, sizeof data, 4 * GIB - 5), sizeof data);
	assert_memory_equal(data, zeros, sizeof data);
	assert_int_equal(fs_lseek(&client, node, fh, far + 5000, SEEK_DATA), -ENXIO);
	assert_int_equal(fs_lseek(&client, node, fh, far, SEEK_HOLE), far + 5000);
	assert_true(fs_lseek(&client, node, fh, 0, SEEK_DATA) <= (int64_t)far);
	end_file(&client, node, fh);
	fs_end(&client);
}

/* ---- buffers of the guest's ---- */

/* One READ or WRITE of `len` bytes, with the guest's buffers cut as given (0 ends them; the rest is one more). */
static int raw_io(struct fs_client *client, uint32_t opcode, uint64_t node, uint64_t fh, unsigned char *data,
                  size_t len, size_t first, size_t second)
{
	struct {
		struct fuse_in_header header;
		struct fuse_write_in in;
		unsigned char payload[256];
	} in = { .header = { .opcode = opcode, .unique = 2, .nodeid = node },
		 .in = { .fh = fh, .size = (uint32_t)len } }; /* fuse_read_in looks the same */
	struct {
		struct fuse_out_header header;
		unsigned char data[256];
	} out;
	const bool write = opcode == FUSE_WRITE;
	const size_t in_len = sizeof in.header + sizeof in.in + (write ? len : 0);
	const size_t out_len = sizeof out.header + (write ? sizeof(struct fuse_write_out) : len);
	const size_t whole = write ? in_len : out_len;
	unsigned char *cut = write ? (unsigned char *)&in : (unsigned char *)&out;
	struct iovec pieces[] = { { cut, first },
		                  { cut + first, second },
		                  { cut + first + second, whole - first - second } };
	struct iovec readable = { &in, in_len }, writable = { &out, out_len };
	size_t written;
	int r;

	assert_true(len <= sizeof in.payload && first + second <= whole);
	in.header.len = (uint32_t)in_len;
	memcpy(in.payload, data, write ? len : 0);
	r = fs_raw(client, 1, write ? pieces : &readable, write ? 3 : 1, write ? &writable : pieces, write ? 1 : 3,
	           &written);
	if (r == 0)
		assert_int_equal(written, out_len);
	if (r == 0 && !write)
		memcpy(data, out.data, len);
	return r;
}

static void buffers_may_be_cut_anywhere(void **state)
{
	struct fs_client client;
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "");
	host_pattern(&client, "file", 0);
	begin_file(&client, "file", O_RDWR, &node, &fh);
	for (size_t first = 0; first <= 116; first++) {
		unsigned char data[100];

		fill(data, 0, sizeof data);
		assert_int_equal(raw_io(&client, FUSE_WRITE, node, fh, data, sizeof data, first, 3), 0);
		assert_host_pattern(&client, "file", sizeof data);
		memset(data, 0, sizeof data);
		assert_int_equal(raw_io(&client, FUSE_READ, node, fh, data, sizeof data, first < 113 ? first : 113, 3),
		                 0);
		assert_pattern(data, 0, sizeof data);
		assert_int_equal(fs_truncate(&client, node, 0), 0);
	}
	end_file(&client, node, fh);
	fs_end(&client);
}

static void more_buffers_than_one_system_call_takes_are_all_used(void **state)
{
	enum { N = 2500, EACH = 3 };
	struct iovec *many = calloc(N + 2, sizeof *many);
	unsigned char data[N * EACH], header[sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in)];
	struct fuse_in_header *in_header = (struct fuse_in_header *)(void *)header;
	struct fuse_write_in *in = (struct fuse_write_in *)(void *)(header + sizeof *in_header);
	struct {
		struct fuse_out_header header;
		struct fuse_write_out out;
	} reply;
	struct iovec one;
	struct fs_client client;
	uint64_t node, fh;
	size_t written;

	(void)state;
	fs_begin(&client, NULL, "");
	host_pattern(&client, "file", 0);
	begin_file(&client, "file", O_RDWR, &node, &fh);
	fill(data, 0, sizeof data);
	*in_header =
		(struct fuse_in_header){ .len = sizeof header + sizeof data, .opcode = FUSE_WRITE, .nodeid = node };
	*in = (struct fuse_write_in){ .fh = fh, .size = sizeof data };
	many[0] = (struct iovec){ header, sizeof header };
	for (unsigned i = 0; i < N; i++)
		many[i + 1] = (struct iovec){ data + i * EACH, EACH };
	one = (struct iovec){ &reply, sizeof reply };
	assert_int_equal(fs_raw(&client, 1, many, N + 1, &one, 1, &written), 0);
	assert_int_equal(reply.out.size, sizeof data);
	assert_host_pattern(&client, "file", sizeof data);

	memset(data, 0, sizeof data);
	*in_header = (struct fuse_in_header){ .len = sizeof header, .opcode = FUSE_READ, .nodeid = node };
	many[0] = (struct iovec){ &reply.header, sizeof reply.header };
	one = (struct iovec){ header, sizeof header };
	assert_int_equal(fs_raw(&client, 1, &one, 1, many, N + 1, &written), 0);
	assert_int_equal(written, sizeof reply.header + sizeof data);
	assert_pattern(data, 0, sizeof data);
	end_file(&client, node, fh);
	fs_end(&client);
	free(many);
}

/* Operations on memory that is not there: the system calls of the guest's pages must not end us. */
static void addresses_without_memory_are_an_error(void **state)
{
	void *nothing = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const struct iovec readable = { nothing, 8192 };
	struct fuse_out_header header;
	const struct iovec writable[] = { { &header, sizeof header }, { nothing, 8192 } };
	struct capsa_request request = { .readable = &readable,
		                         .n_readable = 1,
		                         .readable_bytes = 8192,
		                         .writable = writable,
		                         .n_writable = 2,
		                         .writable_bytes = 8192 + sizeof header };
	struct call *call = calloc(1, sizeof *call);
	struct fs_client client;
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "");
	host_pattern(&client, "file", 8192);
	begin_file(&client, "file", O_RDWR, &node, &fh);
	call->share = client.share;
	call->request = &request;
	call->in.nodeid = node;
	for (int may_block = 0; may_block < 2; may_block++) {
		const struct fuse_read_in read_in = { .fh = fh, .size = 8192 };
		const struct fuse_write_in write_in = { .fh = fh, .size = 4096 };

		call->may_block = may_block;
		call->replied = 0;
		memcpy(call->args.bytes, &read_in, sizeof read_in);
		assert_int_equal(op_read(call), -EFAULT);
		memcpy(call->args.bytes, &write_in, sizeof write_in);
		call->payload_len = 4096;
		assert_int_equal(op_write(call), -EFAULT);
	}
	assert_host_pattern(&client, "file", 8192);
	end_file(&client, node, fh);
	fs_end(&client);
	munmap(nothing, 8192);
	free(call);
}

/* ---- several at once ---- */

#define WRITERS 3
#define REGION (MIB / 2)

struct writer {
	struct fs_client *client;
	pthread_t thread;
	unsigned queue;
	uint64_t node, fh;
};

/* Writes its own region in pieces of odd sizes, reads each back, goes over all of it again at the end. */
static void *write_and_read(void *ctx)
{
	struct writer *writer = ctx;
	const uint64_t begin = (uint64_t)writer->queue * REGION;
	unsigned char *data = malloc(MIB);
	size_t at = 0, size = 1;

	fs_thread(writer->client, writer->queue);
	for (; at < REGION; at += size, size = size * 3 % 70001 + 1) {
		if (size > REGION - at)
			size = REGION - at;
		fill(data, begin + at, size);
		assert_int_equal(fs_write(writer->client, writer->node, writer->fh, data, size, begin + at), size);
		memset(data, 0, size);
		assert_int_equal(fs_read(writer->client, writer->node, writer->fh, data, size, begin + at), size);
		assert_pattern(data, begin + at, size);
	}
	assert_int_equal(fs_read(writer->client, writer->node, writer->fh, data, REGION, begin), REGION);
	assert_pattern(data, begin, REGION);
	free(data);
	return NULL;
}

static void queues_read_and_write_one_file_at_once(void **state)
{
	struct writer writers[WRITERS];
	struct fs_client client;
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "queues = 4;");
	assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "file", O_RDWR, 0644, &node, &fh), 0);
	assert_int_equal(fs_truncate(&client, node, (WRITERS + 2) * REGION), 0);
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ .client = &client, .queue = i + 2, .node = node, .fh = fh };
		assert_int_equal(pthread_create(&writers[i].thread, NULL, write_and_read, &writers[i]), 0);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
	end_file(&client, node, fh);
	fs_end(&client);
}

struct truncater {
	int fd;
	atomic_bool enough;
};

static void *truncate_and_grow(void *ctx)
{
	struct truncater *truncater = ctx;

	for (unsigned i = 0; !atomic_load(&truncater->enough); i++) {
		if (ftruncate(truncater->fd, (off_t)(i * 4099 % MIB)) < 0 || ftruncate(truncater->fd, MIB) < 0)
			break;
	}
	return NULL;
}

static void the_host_may_cut_a_file_that_is_being_read(void **state)
{
	struct truncater truncater = { .enough = false };
	unsigned char *data = malloc(MIB);
	struct fs_client client;
	pthread_t thread;
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "");
	host_pattern(&client, "file", MIB);
	begin_file(&client, "file", O_RDWR, &node, &fh);
	truncater.fd = openat(client.folder_fd, "file", O_RDWR | O_CLOEXEC);
	assert_int_equal(pthread_create(&thread, NULL, truncate_and_grow, &truncater), 0);
	for (unsigned i = 0; i < 500; i++) {
		const ssize_t n = fs_read(&client, node, fh, data, MIB, 0);

		assert_true(n >= 0 && n <= MIB);
		for (ssize_t at = 0; at < n; at++)
			assert_true(data[at] == 0 || data[at] == pattern((uint64_t)at));
		fill(data, 4096, 4096);
		assert_int_equal(fs_write(&client, node, fh, data, 4096, 4096), 4096);
	}
	atomic_store(&truncater.enough, true);
	pthread_join(thread, NULL);
	close(truncater.fd);
	end_file(&client, node, fh);
	fs_end(&client);
	free(data);
}

/* ---- fallocate, copy_file_range ---- */

static void fallocate_does_what_the_host_can(void **state)
{
	const uint32_t unknown = 0x40000000;
	unsigned char data[8192], zeros[8192] = { 0 };
	struct fs_client client;
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "");
	host_pattern(&client, "file", 65536);
	begin_file(&client, "file", O_RDWR, &node, &fh);
	assert_int_equal(fs_fallocate(&client, node, fh, 0, 65536, 100), 0);
	assert_int_equal(host_size(&client, "file"), 65636);
	assert_int_equal(fs_fallocate(&client, node, fh, FALLOC_FL_KEEP_SIZE, 65536, 100000), 0);
	assert_int_equal(host_size(&client, "file"), 65636);
	assert_int_equal(fs_fallocate(&client, node, fh, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192), 0);
	assert_int_equal(fs_read(&client, node, fh, data, 8192, 4096), 8192);
	assert_memory_equal(data, zeros, 8192);
	assert_int_equal(fs_lseek(&client, node, fh, 0, SEEK_HOLE), 4096);
	assert_int_equal(fs_lseek(&client, node, fh, 4096, SEEK_DATA), 12288);
	assert_int_equal(fs_read(&client, node, fh, data, 8192, 12288), 8192);
	assert_pattern(data, 12288, 8192);

	assert_int_equal(fs_fallocate(&client, node, fh, unknown, 0, 4096), -EOPNOTSUPP);
	assert_int_equal(fs_fallocate(&client, node, fh, UINT32_MAX, 0, 4096), -EINVAL);
	assert_int_equal(fs_fallocate(&client, node, fh, 0, 0, 0), -EINVAL);
	assert_int_equal(fs_fallocate(&client, node, fh, 0, UINT64_MAX, 1), -EINVAL);
	assert_int_equal(fs_fallocate(&client, node, fh, 0, INT64_MAX, INT64_MAX), -EFBIG);
	assert_int_equal(fs_fallocate(&client, node, fh + 1, 0, 0, 1), -EBADF);
	end_file(&client, node, fh);
	fs_end(&client);
}

static void copies_are_made_on_the_host(void **state)
{
	struct fs_client client;
	uint64_t node, fh, to, to_fh, done = 0;

	(void)state;
	fs_begin(&client, NULL, "");
	host_pattern(&client, "file", 3 * MIB + 5);
	begin_file(&client, "file", O_RDWR, &node, &fh);
	assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "copy", O_RDWR, 0644, &to, &to_fh), 0);
	while (done < 3 * MIB + 5) {
		ssize_t n = fs_copy_file_range(&client, node, fh, done, to, to_fh, done, UINT64_MAX);

		assert_true(n > 0);
		done += (uint64_t)n;
	}
	assert_int_equal(fs_copy_file_range(&client, node, fh, done, to, to_fh, done, 1), 0);
	assert_host_pattern(&client, "copy", 3 * MIB + 5);
	assert_int_equal(fs_copy_file_range(&client, node, fh, 0, to, to_fh + 1, 0, 1), -EBADF);
	assert_int_equal(fs_copy_file_range(&client, node, fh + 2, 0, to, to_fh, 0, 1), -EBADF);
	assert_int_equal(fs_copy_file_range(&client, node, fh, 0, node, fh, 100, 4096), -EINVAL); /* overlaps */
	assert_int_equal(fs_copy_file_range(&client, node, fh, UINT64_MAX, to, to_fh, 0, 1), -EINVAL);
	end_file(&client, node, fh);
	end_file(&client, to, to_fh);
	fs_end(&client);
}

/* ---- what no guest should send ---- */

static void handles_of_directories_and_of_nobody_have_no_contents(void **state)
{
	struct fs_client client;
	uint64_t fh;
	char byte = 0;

	(void)state;
	fs_begin(&client, NULL, "");
	assert_int_equal(fs_opendir(&client, FUSE_ROOT_ID, &fh), 0);
	assert_int_equal(fs_read(&client, FUSE_ROOT_ID, fh, &byte, 1, 0), -EBADF);
	assert_int_equal(fs_write(&client, FUSE_ROOT_ID, fh, &byte, 1, 0), -EBADF);
	assert_int_equal(fs_fsync(&client, FUSE_ROOT_ID, fh, false), -EBADF);
	assert_int_equal(fs_lseek(&client, FUSE_ROOT_ID, fh, 0, SEEK_DATA), -EBADF);
	assert_int_equal(fs_fallocate(&client, FUSE_ROOT_ID, fh, 0, 0, 1), -EBADF);
	assert_int_equal(fs_read(&client, FUSE_ROOT_ID, UINT64_MAX, &byte, 1, 0), -EBADF);
	assert_int_equal(fs_lseek(&client, FUSE_ROOT_ID, fh, 0, SEEK_SET), -EINVAL);
	assert_int_equal(fs_lseek(&client, FUSE_ROOT_ID, fh, 0, 99), -EINVAL);
	assert_int_equal(fs_lseek(&client, FUSE_ROOT_ID, fh, UINT64_MAX, SEEK_DATA), -EINVAL);
	assert_int_equal(fs_releasedir(&client, FUSE_ROOT_ID, fh), 0);
	fs_end(&client);
}

static void requests_without_all_their_arguments_are_refused(void **state)
{
	static const struct {
		uint32_t opcode;
		size_t args;
	} all[] = {
		{ FUSE_READ, sizeof(struct fuse_read_in) },
		{ FUSE_WRITE, sizeof(struct fuse_write_in) },
		{ FUSE_FSYNC, sizeof(struct fuse_fsync_in) },
		{ FUSE_LSEEK, sizeof(struct fuse_lseek_in) },
		{ FUSE_FALLOCATE, sizeof(struct fuse_fallocate_in) },
		{ FUSE_COPY_FILE_RANGE, sizeof(struct fuse_copy_file_range_in) },
		{ FUSE_SYNCFS, sizeof(struct fuse_syncfs_in) },
	};
	const unsigned char args[128] = { 0 };
	struct fs_client client;

	(void)state;
	fs_begin(&client, NULL, "");
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		for (size_t len = 0; len < all[i].args; len++)
			assert_int_equal(
				fs_call(&client, all[i].opcode, FUSE_ROOT_ID, args, len, NULL, 0, NULL, 0, NULL),
				-EINVAL);
	fs_end(&client);
}

static void answers_without_room_are_refused(void **state)
{
	struct fuse_write_in in = { .size = 1 };
	struct fs_client client;
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "");
	fs_host_file(&client, "file", "abc", 0644);
	begin_file(&client, "file", O_RDWR, &node, &fh);
	in.fh = fh;
	assert_int_equal(fs_call(&client, FUSE_WRITE, node, &in, sizeof in, "x", 1, NULL, 0, NULL), -ERANGE);
	fs_host_has(&client, "file", "abc");
	end_file(&client, node, fh);
	fs_end(&client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holes_and_what_lies_beyond_4_gib_are_read_and_written),
		cmocka_unit_test(buffers_may_be_cut_anywhere),
		cmocka_unit_test(more_buffers_than_one_system_call_takes_are_all_used),
		cmocka_unit_test(addresses_without_memory_are_an_error),
		cmocka_unit_test(queues_read_and_write_one_file_at_once),
		cmocka_unit_test(the_host_may_cut_a_file_that_is_being_read),
		cmocka_unit_test(fallocate_does_what_the_host_can),
		cmocka_unit_test(copies_are_made_on_the_host),
		cmocka_unit_test(handles_of_directories_and_of_nobody_have_no_contents),
		cmocka_unit_test(requests_without_all_their_arguments_are_refused),
		cmocka_unit_test(answers_without_room_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
