/* SPDX-License-Identifier: MIT */
/*
 * fs_write_test.c - WRITE, FSYNC and SYNCFS: what is written where, what of it goes to a worker, and what becomes of it
 * where the host has no room.
 */
#include "tests/unit/fs_pattern.h"

#include <linux/falloc.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "plugins/virtio-fs/call.h"

static void writes_of_all_sizes_arrive(void **state)
{
	static const size_t sizes[] = { 0, 1, 4095, 4096, 4097, 65536, 65537, MIB };
	unsigned char *data = malloc(MIB);
	struct fs_client client;
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "");
	host_pattern(&client, "file", 0);
	begin_file(&client, "file", O_WRONLY, &node, &fh);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		const size_t half = sizes[i] / 2;

		fill(data, 0, sizes[i]);
		assert_int_equal(fs_write(&client, node, fh, data + half, sizes[i] - half, half), sizes[i] - half);
		assert_int_equal(fs_write(&client, node, fh, data, half, 0), half);
		assert_host_pattern(&client, "file", sizes[i]);
		assert_int_equal(fs_truncate(&client, node, 0), 0);
	}
	assert_int_equal(fs_read(&client, node, fh, data, 1, 0), -EBADF);
	end_file(&client, node, fh);
	fs_end(&client);
	free(data);
}

static ssize_t write_with(struct fs_client *client, uint64_t node, uint64_t fh, const char *text, uint64_t offset,
                          uint32_t write_flags, uint32_t flags)
{
	const struct fuse_write_in in = {
		.fh = fh, .offset = offset, .size = (uint32_t)strlen(text), .write_flags = write_flags, .flags = flags
	};
	struct fuse_write_out out;
	size_t len;
	int r = fs_call(client, FUSE_WRITE, node, &in, sizeof in, text, strlen(text), &out, sizeof out, &len);

	return r < 0 ? r : (ssize_t)out.size;
}

static void appending_is_the_hosts_but_pages_written_back_have_their_place(void **state)
{
	struct fs_client client;
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "");
	fs_host_file(&client, "log", "0123456789", 0644);
	begin_file(&client, "log", O_RDWR | O_APPEND, &node, &fh);
	assert_int_equal(write_with(&client, node, fh, "ab", 10, 0, O_APPEND), 2);
	fs_host_file(&client, "log", "0123456789abHOST", 0644); /* behind the guest's back */
	assert_int_equal(write_with(&client, node, fh, "cd", 12, 0, O_APPEND), 2);
	fs_host_has(&client, "log", "0123456789abHOSTcd");
	assert_int_equal(write_with(&client, node, fh, "XY", 3, FUSE_WRITE_CACHE, 0), 2);
	fs_host_has(&client, "log", "012XY56789abHOSTcd");
	end_file(&client, node, fh);
	fs_end(&client);
}

static void a_write_takes_set_id_bits_where_the_guest_says_so(void **state)
{
	struct fs_client client;
	struct fuse_attr attr;
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "");
	fs_host_file(&client, "tool", "#!", 0755);
	begin_file(&client, "tool", O_RDWR, &node, &fh);
	assert_int_equal(fs_chmod(&client, node, 06755), 0);
	assert_int_equal(write_with(&client, node, fh, "x", 0, 0, 0), 1);
	assert_int_equal(fs_getattr(&client, node, &attr), 0);
	assert_int_equal(write_with(&client, node, fh, "y", 0, FUSE_WRITE_KILL_SUIDGID, 0), 1);
	assert_int_equal(fs_getattr(&client, node, &attr), 0);
	assert_int_equal(attr.mode & 07777, 0755);
	end_file(&client, node, fh);
	fs_end(&client);
}

static void what_shall_reach_the_disk_goes_to_a_worker(void **state)
{
	struct fs_client client;
	uint64_t node, fh, before;

	(void)state;
	fs_begin(&client, NULL, "");
	fs_host_file(&client, "file", "", 0644);
	begin_file(&client, "file", O_RDWR | O_SYNC, &node, &fh);
	before = fs_counter(&client, "worker_requests");
	assert_int_equal(write_with(&client, node, fh, "x", 0, 0, O_SYNC), 1);
	assert_int_equal(fs_counter(&client, "worker_requests"), before + 1);
	/* A page written back, say: its flags are not the file's. */
	assert_int_equal(write_with(&client, node, fh, "y", 1, 0, 0), 1);
	assert_int_equal(fs_counter(&client, "worker_requests"), before + 2);
	assert_int_equal(fs_fsync(&client, node, fh, false), 0);
	assert_int_equal(fs_fsync(&client, node, fh, true), 0);
	assert_int_equal(fs_fsync(&client, node, fh + 1, true), -EBADF);
	end_file(&client, node, fh);
	fs_end(&client);
}

static void syncfs_is_for_any_node(void **state)
{
	const struct fuse_syncfs_in in = { .padding = 0 };
	struct fs_client client;

	(void)state;
	fs_begin(&client, NULL, "");
	assert_int_equal(fs_call(&client, FUSE_SYNCFS, FUSE_ROOT_ID, &in, sizeof in, NULL, 0, NULL, 0, NULL), 0);
	assert_int_equal(fs_call(&client, FUSE_SYNCFS, 12345, &in, sizeof in, NULL, 0, NULL, 0, NULL), -ESTALE);
	fs_end(&client);
}

static void a_big_write_is_the_loops_only_while_writing_is_quick(void **state)
{
	static unsigned char data[MIB];
	const struct iovec readable = { data, sizeof data };
	struct {
		struct fuse_out_header header;
		struct fuse_write_out out;
	} reply;
	const struct iovec writable = { &reply, sizeof reply };
	struct capsa_request request = { .readable = &readable,
		                         .n_readable = 1,
		                         .readable_bytes = sizeof data,
		                         .writable = &writable,
		                         .n_writable = 1,
		                         .writable_bytes = sizeof reply };
	struct call *call = calloc(1, sizeof *call);
	struct fs_client client;
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "");
	fs_host_file(&client, "file", "", 0644);
	begin_file(&client, "file", O_RDWR, &node, &fh);
	call->share = client.share;
	call->request = &request;
	call->in.nodeid = node;
	call->payload_len = sizeof data;
	for (int is_quick = 0; is_quick < 2; is_quick++) {
		const struct fuse_write_in big = { .fh = fh, .size = sizeof data };

		call->share->can_nowait = false; /* as on ext4 */
		call->is_quick = is_quick;
		call->replied = 0;
		memcpy(call->args.bytes, &big, sizeof big);
		assert_int_equal(op_write(call), is_quick ? 0 : CALL_BLOCKS);
	}
	/* Nor is a small one its own where nobody says how long it takes. */
	for (int is_quick = 0; is_quick < 2; is_quick++) {
		const struct fuse_write_in small = { .fh = fh, .size = 1 };
		struct handle *handle;

		assert_int_equal(handle_get(call->share, fh, HANDLE_FILE, &handle), 0);
		handle->storage = STORAGE_LOCAL;
		handle_put(call->share, handle);
		call->share->can_nowait = false;
		call->is_quick = is_quick;
		call->replied = 0;
		memcpy(call->args.bytes, &small, sizeof small);
		assert_int_equal(op_write(call), is_quick ? 0 : CALL_BLOCKS);
	}
	end_file(&client, node, fh);
	fs_end(&client);
	free(call);
}

static void a_write_that_lies_about_its_size_writes_nothing(void **state)
{
	struct fuse_write_in in = { .size = 100 };
	struct fuse_write_out out;
	struct fs_client client;
	uint64_t node, fh;
	char *data = calloc(2, MIB);

	(void)state;
	fs_begin(&client, NULL, "");
	fs_host_file(&client, "file", "whole", 0644);
	begin_file(&client, "file", O_RDWR, &node, &fh);
	in.fh = fh;
	assert_int_equal(fs_call(&client, FUSE_WRITE, node, &in, sizeof in, "short", 5, &out, sizeof out, NULL),
	                 -EINVAL);
	in.size = UINT32_MAX;
	assert_int_equal(fs_call(&client, FUSE_WRITE, node, &in, sizeof in, "short", 5, &out, sizeof out, NULL),
	                 -EINVAL);
	in.size = client.init.max_write + 1;
	assert_int_equal(fs_call(&client, FUSE_WRITE, node, &in, sizeof in, data, 2 * MIB, &out, sizeof out, NULL),
	                 -EINVAL);
	fs_host_has(&client, "file", "whole");
	/* Less than what is there is fine. */
	in.size = 2;
	assert_int_equal(fs_call(&client, FUSE_WRITE, node, &in, sizeof in, "WHOLE", 5, &out, sizeof out, NULL), 0);
	assert_int_equal(out.size, 2);
	fs_host_has(&client, "file", "WHole");
	assert_int_equal(fs_write(&client, node, fh, "x", 1, UINT64_MAX), -EINVAL);
	assert_true(fs_write(&client, node, fh, "x", 1, INT64_MAX) < 0);
	assert_int_equal(fs_read(&client, node, fh, data, 1, UINT64_MAX), -EINVAL);
	assert_true(fs_read(&client, node, fh, data, 1, INT64_MAX) <= 0);
	end_file(&client, node, fh);
	fs_end(&client);
	free(data);
}

/* ---- limits of the host's ---- */

static void a_full_disk_is_a_short_write_then_an_error(void **state)
{
	char folder[] = "/tmp/capsa-full-XXXXXX";
	unsigned char *data = malloc(MIB);
	struct fs_client client;
	uint64_t node, fh;
	ssize_t n;

	(void)state;
	fill(data, 0, MIB);
	assert_non_null(mkdtemp(folder));
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("full", folder, "tmpfs", 0, "size=512k") < 0) {
		rmdir(folder);
		free(data);
		fs_skips(true, "mounts need root");
		return;
	}
	fs_begin(&client, folder, "");
	assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "file", O_RDWR, 0644, &node, &fh), 0);
	n = fs_write(&client, node, fh, data, MIB, 0);
	assert_true(n > 0 && n <= 512 * 1024);
	assert_host_pattern(&client, "file", (size_t)n);
	assert_int_equal(fs_write(&client, node, fh, data, 4096, MIB), -ENOSPC);
	assert_int_equal(fs_fallocate(&client, node, fh, 0, 0, 2 * MIB), -ENOSPC);
	/* What has a place is overwritten, and room comes back. */
	assert_int_equal(fs_write(&client, node, fh, data, 4096, 0), 4096);
	assert_int_equal(fs_fallocate(&client, node, fh, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 65536), 0);
	assert_int_equal(fs_write(&client, node, fh, data + 4096, 65536, 4096), 65536);
	assert_host_pattern(&client, "file", (size_t)n);
	end_file(&client, node, fh);
	fs_end(&client);
	umount2(folder, MNT_DETACH);
	rmdir(folder);
	free(data);
}

static void a_file_size_limit_is_an_error_and_no_signal(void **state)
{
	struct rlimit before, limit;
	struct fs_client client;
	uint64_t node, fh;
	char data[4096] = { 0 };
	int limited[2];

	(void)state;
	signal(SIGXFSZ, SIG_IGN); /* as capsa does */
	fs_begin(&client, NULL, "");
	assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "file", O_RDWR, 0644, &node, &fh), 0);
	getrlimit(RLIMIT_FSIZE, &before);
	limit = before;
	limit.rlim_cur = 10000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(fs_write(&client, node, fh, data, sizeof data, 8192), 10000 - 8192);
	limited[0] = (int)fs_write(&client, node, fh, data, sizeof data, 1 << 20);
	limited[1] = fs_fallocate(&client, node, fh, 0, 0, MIB);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(limited[0], -EFBIG);
	assert_int_equal(limited[1], -EFBIG);
	end_file(&client, node, fh);
	fs_end(&client);
}

static void a_quota_counts_what_was_written_in_truth(void **state)
{
	unsigned char *data = malloc(MIB);
	struct fs_client client;
	uint64_t node, fh, offset = 0;
	ssize_t n;

	(void)state;
	fill(data, 0, MIB);
	fs_begin(&client, NULL, "max_bytes = \"2M\";");
	assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "file", O_RDWR, 0644, &node, &fh), 0);
	while ((n = fs_write(&client, node, fh, data, 128 * 1024, offset)) > 0 && offset < 8 * MIB)
		offset += (uint64_t)n;
	assert_int_equal(n, -EDQUOT);
	assert_true(offset >= MIB + MIB / 2 && offset <= 2 * MIB);
	assert_int_equal(fs_fallocate(&client, node, fh, 0, 0, 64 * MIB), -EDQUOT);
	assert_int_equal(fs_copy_file_range(&client, node, fh, 0, node, fh, 8 * MIB, MIB), -EDQUOT);
	/* Overwriting adds nothing; what is cut comes back. */
	assert_int_equal(fs_fallocate(&client, node, fh, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, offset), 0);
	assert_int_equal(fs_write(&client, node, fh, data, MIB, 0), MIB);
	end_file(&client, node, fh);
	fs_end(&client);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_of_all_sizes_arrive),
		cmocka_unit_test(appending_is_the_hosts_but_pages_written_back_have_their_place),
		cmocka_unit_test(a_write_takes_set_id_bits_where_the_guest_says_so),
		cmocka_unit_test(what_shall_reach_the_disk_goes_to_a_worker),
		cmocka_unit_test(syncfs_is_for_any_node),
		cmocka_unit_test(a_full_disk_is_a_short_write_then_an_error),
		cmocka_unit_test(a_file_size_limit_is_an_error_and_no_signal),
		cmocka_unit_test(a_quota_counts_what_was_written_in_truth),
		cmocka_unit_test(a_write_that_lies_about_its_size_writes_nothing),
		cmocka_unit_test(a_big_write_is_the_loops_only_while_writing_is_quick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
