/* SPDX-License-Identifier: MIT */
/* fs_open_test.c - OPEN, CREATE, TMPFILE, RELEASE, FLUSH: what is opened, how, and what never is. */
#include "tests/unit/fs_look.h"

#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ROUNDS 3000

/* Flags of the host's descriptor. */
static int host_flags(struct fs_client *client, uint64_t fh)
{
	struct handle *handle;
	int flags;

	assert_int_equal(handle_get(client->share, fh, HANDLE_FILE, &handle), 0);
	flags = fcntl(handle->fd, F_GETFL);
	handle_put(client->share, handle);
	return flags;
}

/* OPEN as it is, with the answer's flags. */
static int open_with(struct fs_client *client, uint64_t node, int flags, uint32_t open_flags, struct fuse_open_out *out)
{
	const struct fuse_open_in in = { .flags = (uint32_t)flags, .open_flags = open_flags };

	return fs_call(client, FUSE_OPEN, node, &in, sizeof in, NULL, 0, out, sizeof *out, NULL);
}

static void create_makes_and_opens_and_respects_excl(void **state)
{
	struct fs_client client;
	uint64_t node, again, fh, fh2;

	(void)state;
	fs_begin(&client, NULL, "");
	assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "f", O_RDWR | O_EXCL, 0640, &node, &fh), 0);
	assert_int_equal(host_stat(&client, "f").st_mode & 07777, 0640);
	assert_int_equal(fs_write(&client, node, fh, "text", 4, 0), 4);
	fs_host_has(&client, "f", "text");
	assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "f", O_RDWR | O_EXCL, 0640, &again, &fh2), -EEXIST);
	assert_int_equal(fs_release(&client, node, fh), 0);
	assert_int_equal(fs_release(&client, node, fh), -EBADF);
	assert_int_equal(fs_create(&client, node, "x", O_RDWR, 0600, &again, &fh2), -ENOTDIR);
	assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "x", O_ACCMODE, 0600, &again, &fh2), -EINVAL);
	fs_end(&client);
}

/* Writes to such a file wait for the disk, so the loop must know it. */
static void what_is_open_for_synchronous_writes_says_so(void **state)
{
	struct fs_client client;
	struct handle *handle;
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "");
	assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "f", O_RDWR | O_DSYNC, 0640, &node, &fh), 0);
	assert_int_equal(handle_get(client.share, fh, HANDLE_FILE, &handle), 0);
	assert_true(handle->flags & O_DSYNC);
	assert_true(fcntl(handle->fd, F_GETFL) & O_DSYNC);
	handle_put(client.share, handle);
	assert_int_equal(fs_release(&client, node, fh), 0);
	for (unsigned i = 0; i < 2; i++) {
		const int flag = i ? O_SYNC : O_DSYNC;

		assert_int_equal(fs_open(&client, node, O_RDWR | flag, &fh), 0);
		assert_int_equal(handle_get(client.share, fh, HANDLE_FILE, &handle), 0);
		assert_int_equal(handle->flags & (O_SYNC | O_DSYNC), flag); /* O_SYNC has the bit of O_DSYNC, too */
		assert_int_equal(fcntl(handle->fd, F_GETFL) & (O_SYNC | O_DSYNC), flag);
		handle_put(client.share, handle);
		assert_int_equal(fs_release(&client, node, fh), 0);
	}
	fs_end(&client);
}

/* The guest's kernel asked nobody whether its user may open what it thought was not there. */
static void create_opens_nothing_that_was_there(void **state)
{
	static const int flags[] = { O_RDONLY, O_RDWR, O_WRONLY | O_TRUNC, O_RDONLY | O_TRUNC };
	struct fs_client client;
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "");
	fs_host_file(&client, "secret", "secret", 0600);
	assert_int_equal(mkdirat(client.folder_fd, "d", 0755), 0);
	client.uid = client.gid = 1000;
	for (unsigned i = 0; i < sizeof flags / sizeof flags[0]; i++) {
		assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "secret", flags[i], 0644, &node, &fh), -ESTALE);
		assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "d", flags[i], 0644, &node, &fh), -ESTALE);
	}
	fs_host_has(&client, "secret", "secret");
	assert_int_equal(host_stat(&client, "secret").st_mode & 07777, 0600);
	fs_end(&client);
	fs_begin(&client, NULL, "max_inodes = 1;");
	fs_host_file(&client, "secret", "secret", 0600);
	assert_int_equal(fs_mknod(&client, FUSE_ROOT_ID, "f", S_IFREG | 0644, 0, &node), 0);
	assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "secret", O_RDWR, 0644, &node, &fh), -ESTALE);
	assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "new", O_RDWR, 0644, &node, &fh), -EDQUOT);
	fs_end(&client);
	fs_begin(&client, NULL, "readonly = true;");
	fs_host_file(&client, "secret", "secret", 0600);
	assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "secret", O_RDONLY, 0644, &node, &fh), -ESTALE);
	assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "new", O_RDONLY, 0644, &node, &fh), -EROFS);
	fs_end(&client);
}

static void a_file_without_permission_is_open_for_who_made_it(void **state)
{
	struct fs_client client;
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "");
	assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "f", O_RDWR | O_EXCL, 0, &node, &fh), 0);
	assert_int_equal(fs_write(&client, node, fh, "x", 1, 0), 1);
	assert_int_equal(fs_release(&client, node, fh), 0);
	fs_end(&client);
}

static void an_answer_without_room_makes_nothing(void **state)
{
	const struct fuse_create_in in = { .flags = O_RDWR | O_CREAT, .mode = S_IFREG | 0644 };
	unsigned char reply[sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out) - 1];
	struct fs_client client;

	(void)state;
	fs_begin(&client, NULL, "");
	assert_int_equal(fs_call(&client, FUSE_CREATE, FUSE_ROOT_ID, &in, sizeof in, "f", 2, reply, sizeof reply, NULL),
	                 -ERANGE);
	assert_false(fs_host_exists(&client, "f"));
	assert_int_equal(handle_table_count(client.share->handles), 0);
	fs_end(&client);
}

static void create_through_a_dangling_link_makes_nothing(void **state)
{
	struct fs_client client;
	char target[300], beside[300];
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "");
	snprintf(beside, sizeof beside, "%s-beside", client.folder);
	snprintf(target, sizeof target, "../%s", strrchr(beside, '/') + 1);
	assert_int_equal(symlinkat(beside, client.folder_fd, "absolute"), 0);
	assert_int_equal(symlinkat(target, client.folder_fd, "relative"), 0);
	assert_int_equal(symlinkat("inside", client.folder_fd, "near"), 0);
	assert_int_equal(symlinkat("/proc/self/fd/1", client.folder_fd, "magic"), 0);
	for (unsigned i = 0; i < 4; i++) {
		const char *name = (const char *const[]){ "absolute", "relative", "near", "magic" }[i];

		assert_int_equal(fs_create(&client, FUSE_ROOT_ID, name, O_RDWR, 0644, &node, &fh), -ESTALE);
		assert_int_equal(fs_create(&client, FUSE_ROOT_ID, name, O_RDWR | O_TRUNC, 0644, &node, &fh), -ESTALE);
		assert_int_equal(fs_create(&client, FUSE_ROOT_ID, name, O_RDWR | O_EXCL, 0644, &node, &fh), -EEXIST);
		assert_int_equal(fs_mknod(&client, FUSE_ROOT_ID, name, S_IFREG | 0644, 0, &node), -EEXIST);
		assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, name, &node, NULL), 0);
		assert_int_equal(fs_open(&client, node, O_RDWR, &fh), -ELOOP);
	}
	assert_int_equal(access(beside, F_OK), -1);
	assert_false(fs_host_exists(&client, "inside"));
	fs_end(&client);
}

/* Were one opened, this would wait for the other end for ever. */
static void no_fifo_socket_or_device_is_opened(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	static const int flags[] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDONLY | O_NONBLOCK, O_WRONLY | O_TRUNC };
	struct fs_client client;
	uint64_t node, fh;
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	fs_begin(&client, NULL, "");
	assert_int_equal(mkfifoat(client.folder_fd, "fifo", 0666), 0);
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/socket", client.folder_fd);
	assert_int_equal(bind(s, (struct sockaddr *)&address, sizeof address), 0);
	if (geteuid() == 0)
		assert_int_equal(mknodat(client.folder_fd, "null", S_IFCHR | 0666, 0x103), 0);
	for (unsigned i = 0; i < sizeof flags / sizeof flags[0]; i++) {
		for (unsigned n = 0; n < (geteuid() == 0 ? 3 : 2); n++) {
			const char *name = (const char *const[]){ "fifo", "socket", "null" }[n];

			assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, name, &node, NULL), 0);
			assert_int_equal(fs_open(&client, node, flags[i], &fh), -ENXIO);
			assert_int_equal(fs_create(&client, FUSE_ROOT_ID, name, flags[i], 0644, &node, &fh), -ESTALE);
		}
	}
	fs_end(&client);
	close(s);
}

struct swapper {
	int folder;
	atomic_bool stop;
	pthread_t thread;
};

static void *swap(void *ctx)
{
	struct swapper *swapper = ctx;

	while (!atomic_load(&swapper->stop)) {
		renameat2(swapper->folder, "name", swapper->folder, "fifo", RENAME_EXCHANGE);
		renameat2(swapper->folder, "name", swapper->folder, "link", RENAME_EXCHANGE);
	}
	return NULL;
}

static void a_file_that_the_host_swaps_for_a_fifo_or_a_link_blocks_nobody_and_leads_nowhere(void **state)
{
	struct fs_client client;
	struct swapper swapper = { 0 };
	char secret[] = "/tmp/capsa-secret-XXXXXX", text[16];
	int fd = mkstemp(secret);
	uint64_t node, fh;
	unsigned opened = 0;

	(void)state;
	assert_int_equal(write(fd, "secret", 6), 6);
	fs_begin(&client, NULL, "");
	fs_host_file(&client, "name", "open", 0644);
	assert_int_equal(mkfifoat(client.folder_fd, "fifo", 0666), 0);
	assert_int_equal(symlinkat(secret, client.folder_fd, "link"), 0);
	swapper.folder = client.folder_fd;
	assert_int_equal(pthread_create(&swapper.thread, NULL, swap, &swapper), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		int r = fs_create(&client, FUSE_ROOT_ID, "name", i % 2 ? O_RDONLY : O_RDWR, 0644, &node, &fh);

		if (r == 0) {
			assert_int_equal(fs_read(&client, node, fh, text, sizeof text, 0), 4);
			assert_memory_equal(text, "open", 4);
			if (!(i % 2))
				assert_int_equal(fs_write(&client, node, fh, "open", 4, 0), 4);
			fs_release(&client, node, fh);
			fs_forget(&client, node, 1);
		} else {
			assert_true(r == -ESTALE);
		}
		if (fs_lookup(&client, FUSE_ROOT_ID, "name", &node, NULL) == 0) {
			r = fs_open(&client, node, O_RDWR, &fh);
			assert_true(r == 0 || r == -ENXIO || r == -ELOOP);
			if (r == 0) {
				assert_int_equal(fs_read(&client, node, fh, text, sizeof text, 0), 4);
				assert_memory_equal(text, "open", 4);
				fs_release(&client, node, fh);
				opened++;
			}
			fs_forget(&client, node, 1);
		}
	}
	atomic_store(&swapper.stop, true);
	pthread_join(swapper.thread, NULL);
	assert_true(opened > 0);
	assert_int_equal(pread(fd, text, sizeof text, 0), 6);
	assert_memory_equal(text, "secret", 6);
	fs_end(&client);
	close(fd);
	unlink(secret);
}

static void flags_reach_the_host_as_far_as_they_are_its_affair(void **state)
{
	struct fs_client client;
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "");
	fs_host_file(&client, "f", "text", 0644);
	assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, "f", &node, NULL), 0);
	assert_int_equal(fs_open(&client, node, O_WRONLY | O_APPEND, &fh), 0);
	assert_int_equal(host_flags(&client, fh) & (O_ACCMODE | O_APPEND), O_WRONLY | O_APPEND);
	assert_int_equal(fs_write(&client, node, fh, "more", 4, 0), 4);
	fs_host_has(&client, "f", "textmore");
	fs_release(&client, node, fh);
	assert_int_equal(fs_open(&client, node, O_RDWR | O_SYNC, &fh), 0);
	assert_int_equal(host_flags(&client, fh) & O_SYNC, O_SYNC);
	fs_release(&client, node, fh);
	/* Alignment of O_DIRECT is between the guest's program and its own kernel. */
	assert_int_equal(fs_open(&client, node, O_RDWR | O_DIRECT | O_NOATIME | O_NONBLOCK, &fh), 0);
	assert_int_equal(host_flags(&client, fh) & (O_ACCMODE | O_DIRECT | O_NOATIME), O_RDWR);
	assert_int_equal(fs_write(&client, node, fh, "T", 1, 1), 1);
	fs_host_has(&client, "f", "tTxtmore");
	fs_release(&client, node, fh);
	assert_int_equal(fs_open(&client, node, O_ACCMODE, &fh), -EINVAL);
	assert_int_equal(fs_open(&client, node, O_RDONLY | O_CREAT | O_EXCL | O_TMPFILE, &fh), 0);
	fs_release(&client, node, fh);
	assert_int_equal(fs_open(&client, FUSE_ROOT_ID, O_RDONLY, &fh), -EISDIR);
	assert_int_equal(fs_open(&client, node + 5, O_RDONLY, &fh), -ESTALE);
	assert_int_equal(fs_open(&client, node, O_WRONLY | O_TRUNC, &fh), 0);
	fs_host_has(&client, "f", "");
	fs_release(&client, node, fh);
	fs_end(&client);
}

static void a_guest_that_writes_back_reads_what_it_writes_and_appends_by_itself(void **state)
{
	struct fs_client client;
	uint64_t node, fh;
	char text[8];

	(void)state;
	fs_begin(&client, NULL, "writeback = true;");
	assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "f", O_WRONLY | O_APPEND, 0644, &node, &fh), 0);
	assert_int_equal(host_flags(&client, fh) & (O_ACCMODE | O_APPEND), O_RDWR);
	assert_int_equal(fs_write(&client, node, fh, "ab", 2, 2), 2);
	assert_int_equal(fs_write(&client, node, fh, "AB", 2, 0), 2);
	assert_int_equal(fs_read(&client, node, fh, text, sizeof text, 0), 4);
	assert_memory_equal(text, "ABab", 4);
	fs_release(&client, node, fh);
	fs_end(&client);
}

static void the_cache_mode_is_told_at_each_open(void **state)
{
	static const struct {
		const char *options;
		uint32_t yes, no;
	} modes[] = {
		{ "cache = \"none\";", FOPEN_DIRECT_IO, FOPEN_KEEP_CACHE },
		{ "cache = \"auto\";", 0, FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE },
		{ "cache = \"always\";", FOPEN_KEEP_CACHE, FOPEN_DIRECT_IO },
	};
	struct fuse_open_out out;
	struct fs_client client;
	uint64_t node;

	(void)state;
	for (unsigned i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		fs_begin(&client, NULL, modes[i].options);
		fs_host_file(&client, "f", "x", 0644);
		assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, "f", &node, NULL), 0);
		assert_int_equal(open_with(&client, node, O_RDONLY, 0, &out), 0);
		assert_int_equal(out.open_flags & modes[i].yes, modes[i].yes);
		assert_int_equal(out.open_flags & modes[i].no, 0);
#ifdef FOPEN_NOFLUSH
		assert_true(out.open_flags & FOPEN_NOFLUSH);
#endif
		fs_release(&client, node, out.fh);
		/* Where close(2) could say that a quota is used up, it is to be asked. */
		assert_int_equal(open_with(&client, node, O_WRONLY, 0, &out), 0);
#ifdef FOPEN_NOFLUSH
		assert_int_equal(!(out.open_flags & FOPEN_NOFLUSH), fd_storage(client.folder_fd) == STORAGE_UNKNOWN);
#endif
		fs_release(&client, node, out.fh);
		assert_int_equal(open_with(&client, node, O_RDWR, 0, &out), 0);
#ifdef FOPEN_NOFLUSH
		assert_false(out.open_flags & FOPEN_NOFLUSH);
#endif
		fs_release(&client, node, out.fh);
		fs_end(&client);
	}
}

static void locks_on_the_host_are_dropped_at_close(void **state)
{
	static const uint32_t ways[] = { O_RDONLY, O_WRONLY, O_RDWR };
	struct fuse_open_out out;
	struct fs_client client;
	uint64_t node;

	(void)state;
	fs_begin(&client, NULL, "locks = \"host\";");
	fs_host_file(&client, "f", "x", 0644);
	assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, "f", &node, NULL), 0);
	for (unsigned i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		assert_int_equal(open_with(&client, node, ways[i], 0, &out), 0);
#ifdef FOPEN_NOFLUSH
		assert_false(out.open_flags & FOPEN_NOFLUSH);
#endif
		fs_release(&client, node, out.fh);
	}
	fs_end(&client);
}

/* Opens to read, and closes: whether cached pages may stay. */
static bool may_keep(struct fs_client *client, uint64_t node)
{
	struct fuse_open_out out;

	assert_int_equal(open_with(client, node, O_RDONLY, 0, &out), 0);
	fs_release(client, node, out.fh);
	return out.open_flags & FOPEN_KEEP_CACHE;
}

/* Says that the last open was long after the last change, which a test cannot wait for. */
static void settle(struct fs_client *client, uint64_t id)
{
	struct node *node;

	assert_int_equal(node_get(client->share, id, &node), 0);
	node->opened.is_settled = true;
	node_put(client->share, node);
}

static void pages_stay_while_the_file_is_what_it_was_at_the_last_open(void **state)
{
	struct fs_client client;
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "cache = \"auto\";");
	fs_host_file(&client, "f", "text", 0644);
	assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, "f", &node, NULL), 0);
	assert_false(may_keep(&client, node));
	/* It was changed just now: a second change might have the same time. */
	assert_false(may_keep(&client, node));
	settle(&client, node);
	assert_true(may_keep(&client, node));
	settle(&client, node);
	fs_host_file(&client, "f", "longer text", 0644);
	assert_false(may_keep(&client, node));
	settle(&client, node);
	assert_true(may_keep(&client, node));
	settle(&client, node);
	assert_int_equal(fs_open(&client, node, O_WRONLY, &fh), 0);
	assert_int_equal(fs_write(&client, node, fh, "T", 1, 0), 1);
	fs_release(&client, node, fh);
	assert_false(may_keep(&client, node));
	fs_end(&client);
}

static void truncating_at_open_takes_set_id_bits_where_the_guest_says_so(void **state)
{
	struct fs_client client;
	struct fuse_open_out out;
	struct fuse_attr attr;
	uint64_t node;

	(void)state;
	for (unsigned i = 0; i < (geteuid() == 0 ? 2u : 1u); i++) {
		fs_begin(&client, NULL, i ? "owner = \"host\";" : "owner = \"squash\";");
		assert_int_equal(fs_mknod(&client, FUSE_ROOT_ID, "f", S_IFREG | 0755, 0, &node), 0);
		assert_int_equal(fs_chmod(&client, node, 06755), 0);
		assert_int_equal(open_with(&client, node, O_WRONLY | O_TRUNC, 0, &out), 0);
		fs_release(&client, node, out.fh);
		assert_int_equal(fs_getattr(&client, node, &attr), 0);
		assert_int_equal(attr.mode & 07777, 06755);
		assert_int_equal(open_with(&client, node, O_WRONLY | O_TRUNC, FUSE_OPEN_KILL_SUIDGID, &out), 0);
		fs_release(&client, node, out.fh);
		assert_int_equal(fs_getattr(&client, node, &attr), 0);
		assert_int_equal(attr.mode & 07777, 0755);
		fs_end(&client);
	}
}

static void a_tmpfile_has_no_name_until_it_is_linked(void **state)
{
	struct fs_client client;
	struct fuse_attr attr;
	uint64_t node, fh, dir;
	int r;

	(void)state;
	fs_begin(&client, NULL, "");
	assert_int_equal(fs_mkdir(&client, FUSE_ROOT_ID, "d", 0755, &dir), 0);
	r = fs_tmpfile(&client, dir, O_RDWR | O_TMPFILE, 0640, &node, &fh);
	if (r == -EOPNOTSUPP) {
		print_message("no O_TMPFILE on this file system\n");
		fs_end(&client);
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(fs_list(&client, dir, false, NULL, NULL), fs_list(&client, dir, true, NULL, NULL));
	assert_int_equal(fs_write(&client, node, fh, "text", 4, 0), 4);
	assert_int_equal(fs_getattr(&client, node, &attr), 0);
	assert_int_equal(attr.nlink, 0);
	assert_int_equal(attr.mode, S_IFREG | 0640);
	assert_int_equal(fs_link(&client, node, dir, "named"), 0);
	fs_host_has(&client, "d/named", "text");
	fs_release(&client, node, fh);
	assert_int_equal(fs_tmpfile(&client, dir, O_RDWR | O_TMPFILE | O_EXCL, 0640, &node, &fh), 0);
	assert_int_equal(fs_link(&client, node, dir, "never"), -ENOENT);
	fs_release(&client, node, fh);
	assert_int_equal(fs_tmpfile(&client, dir, O_RDONLY | O_TMPFILE, 0640, &node, &fh), -EINVAL);
	fs_end(&client);
}

static void an_open_file_goes_on_when_its_name_is_removed(void **state)
{
	struct fs_client client;
	struct fuse_attr attr;
	uint64_t node, fh, fh2;
	char text[8];

	(void)state;
	fs_begin(&client, NULL, "");
	assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "f", O_RDWR, 0644, &node, &fh), 0);
	assert_int_equal(fs_unlink(&client, FUSE_ROOT_ID, "f"), 0);
	assert_int_equal(fs_write(&client, node, fh, "text", 4, 0), 4);
	assert_int_equal(fs_open(&client, node, O_RDONLY, &fh2), 0);
	assert_int_equal(fs_read(&client, node, fh2, text, sizeof text, 0), 4);
	assert_int_equal(fs_getattr(&client, node, &attr), 0);
	assert_int_equal(attr.size, 4);
	assert_int_equal(attr.nlink, 0);
	assert_int_equal(fs_flush(&client, node, fh, 0), 0);
	assert_int_equal(fs_flush(&client, node, fh2, 0), 0);
	assert_int_equal(fs_release(&client, node, fh), 0);
	assert_int_equal(fs_flush(&client, node, fh, 0), -EBADF);
	assert_int_equal(fs_read(&client, node, fh2, text, sizeof text, 0), 4);
	assert_int_equal(fs_release(&client, node, fh2), 0);
	assert_int_equal(fs_release(&client, node, UINT64_MAX), -EBADF);
	fs_end(&client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create_makes_and_opens_and_respects_excl),
		cmocka_unit_test(what_is_open_for_synchronous_writes_says_so),
		cmocka_unit_test(create_opens_nothing_that_was_there),
		cmocka_unit_test(a_file_without_permission_is_open_for_who_made_it),
		cmocka_unit_test(an_answer_without_room_makes_nothing),
		cmocka_unit_test(create_through_a_dangling_link_makes_nothing),
		cmocka_unit_test(no_fifo_socket_or_device_is_opened),
		cmocka_unit_test(a_file_that_the_host_swaps_for_a_fifo_or_a_link_blocks_nobody_and_leads_nowhere),
		cmocka_unit_test(flags_reach_the_host_as_far_as_they_are_its_affair),
		cmocka_unit_test(a_guest_that_writes_back_reads_what_it_writes_and_appends_by_itself),
		cmocka_unit_test(the_cache_mode_is_told_at_each_open),
		cmocka_unit_test(locks_on_the_host_are_dropped_at_close),
		cmocka_unit_test(pages_stay_while_the_file_is_what_it_was_at_the_last_open),
		cmocka_unit_test(truncating_at_open_takes_set_id_bits_where_the_guest_says_so),
		cmocka_unit_test(a_tmpfile_has_no_name_until_it_is_linked),
		cmocka_unit_test(an_open_file_goes_on_when_its_name_is_removed),
	};

	umask(0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
