/* SPDX-License-Identifier: MIT */
/*
 * Contents of files: READ, WRITE, FSYNC, LSEEK, FALLOCATE, COPY_FILE_RANGE, SYNCFS, as a guest asks for them, and as
 * one that wants to do harm does.
 */
#include "tests/unit/fs_client.h"

#include <linux/falloc.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "plugins/virtio-fs/call.h"

#define MIB (1u << 20)
#define GIB (UINT64_C(1) << 30)

/* Byte i of every file that these tests fill: differs from page to page, and from its neighbours. */
static unsigned char pattern(uint64_t i)
{
	return (unsigned char)(i * 31 + (i >> 12) * 7 + (i >> 20));
}

static void fill(unsigned char *data, uint64_t offset, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = pattern(offset + i);
}

static void assert_pattern(const unsigned char *data, uint64_t offset, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (data[i] != pattern(offset + i))
			fail_msg("byte %llu is wrong", (unsigned long long)(offset + i));
}

static void host_pattern(struct fs_client *client, const char *name, size_t size)
{
	unsigned char *data = malloc(size + 1);
	int fd = openat(client->folder_fd, name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

	fill(data, 0, size);
	assert_int_equal(write(fd, data, size), size);
	close(fd);
	free(data);
}

static void assert_host_pattern(struct fs_client *client, const char *name, size_t size)
{
	unsigned char *data = malloc(size + 1);
	int fd = openat(client->folder_fd, name, O_RDONLY | O_CLOEXEC);

	assert_int_equal(read(fd, data, size + 1), size);
	assert_pattern(data, 0, size);
	close(fd);
	free(data);
}

static uint64_t host_size(struct fs_client *client, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(client->folder_fd, name, &st, 0), 0);
	return (uint64_t)st.st_size;
}

/* Opens a file of the host's. */
static void begin_file(struct fs_client *client, const char *name, int flags, uint64_t *node, uint64_t *fh)
{
	assert_int_equal(fs_lookup(client, FUSE_ROOT_ID, name, node, NULL), 0);
	assert_int_equal(fs_open(client, *node, flags, fh), 0);
}

static void end_file(struct fs_client *client, uint64_t node, uint64_t fh)
{
	assert_int_equal(fs_release(client, node, fh), 0);
	fs_forget(client, node, 1);
}

/* ---- reading ---- */

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

/* ---- writing ---- */

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
		cmocka_unit_test(reads_end_where_the_file_ends),
		cmocka_unit_test(holes_and_what_lies_beyond_4_gib_are_read_and_written),
		cmocka_unit_test(buffers_may_be_cut_anywhere),
		cmocka_unit_test(more_buffers_than_one_system_call_takes_are_all_used),
		cmocka_unit_test(what_is_cached_is_read_without_a_worker_and_the_rest_with_one),
		cmocka_unit_test(half_cached_reads_are_whole),
		cmocka_unit_test(writes_of_all_sizes_arrive),
		cmocka_unit_test(appending_is_the_hosts_but_pages_written_back_have_their_place),
		cmocka_unit_test(a_write_takes_set_id_bits_where_the_guest_says_so),
		cmocka_unit_test(what_shall_reach_the_disk_goes_to_a_worker),
		cmocka_unit_test(syncfs_is_for_any_node),
		cmocka_unit_test(a_full_disk_is_a_short_write_then_an_error),
		cmocka_unit_test(a_file_size_limit_is_an_error_and_no_signal),
		cmocka_unit_test(a_quota_counts_what_was_written_in_truth),
		cmocka_unit_test(addresses_without_memory_are_an_error),
		cmocka_unit_test(queues_read_and_write_one_file_at_once),
		cmocka_unit_test(the_host_may_cut_a_file_that_is_being_read),
		cmocka_unit_test(fallocate_does_what_the_host_can),
		cmocka_unit_test(copies_are_made_on_the_host),
		cmocka_unit_test(a_write_that_lies_about_its_size_writes_nothing),
		cmocka_unit_test(a_big_write_is_the_loops_only_while_writing_is_quick),
		cmocka_unit_test(handles_of_directories_and_of_nobody_have_no_contents),
		cmocka_unit_test(requests_without_all_their_arguments_are_refused),
		cmocka_unit_test(answers_without_room_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
