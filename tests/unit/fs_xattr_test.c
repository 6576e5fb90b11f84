/* SPDX-License-Identifier: MIT */
/* fs_xattr_test.c - extended attributes: whose names they are, their sizes, and which never reach the host. */
#include "tests/unit/fs_client.h"

#include <linux/limits.h>
#include <signal.h>
#include <sys/xattr.h>

#define SQUASH "owner = \"squash\";"
#define HOST "owner = \"host\";" /* needs root */
#define MODES (geteuid() == 0 ? 2u : 1u)

static uint64_t file_make(struct fs_client *client, const char *name)
{
	uint64_t node;

	assert_int_equal(fs_mknod(client, FUSE_ROOT_ID, name, S_IFREG | 0644, 0, &node), 0);
	return node;
}

/* What the host has of folder/name. */
static ssize_t host_get(struct fs_client *client, const char *name, const char *attribute, char *value, size_t size)
{
	char path[600];

	snprintf(path, sizeof path, "%s/%s", client->folder, name);
	return lgetxattr(path, attribute, value, size);
}

/* Whether a list has the name, once. */
static bool list_has(const char *list, ssize_t len, const char *name)
{
	unsigned n = 0;

	for (const char *at = list; at < list + len; at += strlen(at) + 1)
		n += strcmp(at, name) == 0;
	assert_true(n < 2);
	return n;
}

static void the_users_attributes_are_set_read_listed_and_removed(void **state)
{
	struct fs_client client;
	uint64_t node, dir;
	char text[64];
	ssize_t n;

	(void)state;
	for (unsigned i = 0; i < MODES; i++) {
		fs_begin(&client, NULL, i ? HOST : SQUASH);
		node = file_make(&client, "f");
		assert_int_equal(fs_listxattr(&client, node, NULL, 0), 0);
		assert_int_equal(fs_listxattr(&client, node, text, sizeof text), 0);
		assert_int_equal(fs_setxattr(&client, node, "user.a", "value", 5, XATTR_CREATE), 0);
		assert_int_equal(fs_setxattr(&client, node, "user.a", "value", 5, XATTR_CREATE), -EEXIST);
		assert_int_equal(fs_setxattr(&client, node, "user.b", "value", 5, XATTR_REPLACE), -ENODATA);
		assert_int_equal(fs_setxattr(&client, node, "user.b", "", 0, 0), 0);
		assert_int_equal(fs_setxattr(&client, node, "user.b", "x", 1, 8), -EINVAL);
		assert_int_equal(fs_getxattr(&client, node, "user.a", NULL, 0), 5);
		assert_int_equal(fs_getxattr(&client, node, "user.a", text, 4), -ERANGE);
		assert_int_equal(fs_getxattr(&client, node, "user.a", text, 5), 5);
		assert_memory_equal(text, "value", 5);
		assert_int_equal(host_get(&client, "f", "user.a", text, sizeof text), 5);
		assert_int_equal(fs_getxattr(&client, node, "user.b", text, sizeof text), 0);
		assert_int_equal(fs_getxattr(&client, node, "user.c", text, sizeof text), -ENODATA);
		assert_int_equal(fs_listxattr(&client, node, NULL, 0), 14);
		assert_int_equal(fs_listxattr(&client, node, text, 13), -ERANGE);
		n = fs_listxattr(&client, node, text, 14);
		assert_int_equal(n, 14);
		assert_true(list_has(text, n, "user.a"));
		assert_true(list_has(text, n, "user.b"));
		assert_int_equal(fs_removexattr(&client, node, "user.a"), 0);
		assert_int_equal(fs_removexattr(&client, node, "user.a"), -ENODATA);
		assert_int_equal(host_get(&client, "f", "user.a", text, sizeof text), -1);
		assert_int_equal(fs_mkdir(&client, FUSE_ROOT_ID, "d", 0755, &dir), 0);
		assert_int_equal(fs_setxattr(&client, dir, "user.a", "value", 5, 0), 0);
		assert_int_equal(fs_getxattr(&client, dir, "user.a", text, sizeof text), 5);
		assert_int_equal(fs_getxattr(&client, node + 9, "user.a", text, sizeof text), -ESTALE);
		fs_end(&client);
	}
}

static void sizes_are_bounded_as_linux_bounds_them(void **state)
{
	const struct fuse_setxattr_in greedy = { .size = UINT32_MAX };
	const struct fuse_setxattr_in wrong = { .size = 100 };
	struct fs_client client;
	static char value[XATTR_SIZE_MAX + 1], back[XATTR_SIZE_MAX];
	char name[XATTR_NAME_MAX + 2];
	uint64_t node;
	int r;

	(void)state;
	fs_begin(&client, NULL, SQUASH);
	node = file_make(&client, "f");
	memset(value, 'v', sizeof value);
	assert_int_equal(fs_setxattr(&client, node, "user.a", value, 2000, 0), 0);
	assert_int_equal(fs_getxattr(&client, node, "user.a", back, sizeof back), 2000);
	assert_memory_equal(back, value, 2000);
	r = fs_setxattr(&client, node, "user.big", value, XATTR_SIZE_MAX, 0);
	assert_true(r == 0 || r == -ENOSPC || r == -E2BIG); /* ext4 has one block for all */
	if (r == 0)
		assert_int_equal(fs_getxattr(&client, node, "user.big", back, sizeof back), XATTR_SIZE_MAX);
	assert_int_equal(fs_setxattr(&client, node, "user.big", value, sizeof value, 0), -E2BIG);
	/* A size that is not there. */
	assert_int_equal(fs_call(&client, FUSE_SETXATTR, node, &greedy, FUSE_COMPAT_SETXATTR_IN_SIZE, "user.x\0v", 8,
	                         NULL, 0, NULL),
	                 -E2BIG);
	assert_int_equal(fs_call(&client, FUSE_SETXATTR, node, &wrong, FUSE_COMPAT_SETXATTR_IN_SIZE, "user.x\0v", 8,
	                         NULL, 0, NULL),
	                 -EINVAL);
	/* A room that nobody allocates. */
	assert_int_equal(fs_getxattr(&client, node, "user.a", back, sizeof back), 2000);
	memset(name, 'n', sizeof name);
	memcpy(name, "user.", 5);
	name[XATTR_NAME_MAX] = '\0';
	r = fs_setxattr(&client, node, name, "x", 1, 0);
	assert_int_equal(r, 0);
	assert_int_equal(fs_getxattr(&client, node, name, NULL, 0), 1);
	name[XATTR_NAME_MAX] = 'n';
	name[XATTR_NAME_MAX + 1] = '\0';
	assert_int_equal(fs_setxattr(&client, node, name, "x", 1, 0), -ERANGE);
	/* Ours is longer than the guest's. */
	memcpy(name, "trusted.", 8);
	name[XATTR_NAME_MAX] = '\0';
	assert_int_equal(fs_setxattr(&client, node, name, "x", 1, 0), -ERANGE);
	fs_end(&client);
}

static void our_own_are_not_there(void **state)
{
	struct fs_client client;
	uint64_t node;
	char text[256];
	ssize_t n;

	(void)state;
	for (unsigned i = 0; i < MODES; i++) {
		fs_begin(&client, NULL, i ? HOST : SQUASH);
		node = file_make(&client, "f");
		assert_int_equal(fs_chown(&client, node, i ? 0 : 1234, i ? 0 : 1234), 0);
		if (!i)
			assert_true(host_get(&client, "f", OWNER_XATTR, text, sizeof text) > 0);
		assert_int_equal(fs_getxattr(&client, node, OWNER_XATTR, text, sizeof text), -ENODATA);
		assert_int_equal(fs_setxattr(&client, node, OWNER_XATTR, "0:0", 3, 0), -EPERM);
		assert_int_equal(fs_removexattr(&client, node, OWNER_XATTR), -ENODATA);
		assert_int_equal(fs_setxattr(&client, node, "user.capsa.x.security.capability", "x", 1, 0), -EPERM);
		assert_int_equal(fs_getxattr(&client, node, "user.capsa.x.security.capability", text, 9), -ENODATA);
		assert_int_equal(fs_setxattr(&client, node, "user.capsa.", "x", 1, 0), -EPERM);
		n = fs_listxattr(&client, node, text, sizeof text);
		assert_int_equal(n, 0);
		if (!i)
			assert_true(host_get(&client, "f", OWNER_XATTR, text, sizeof text) > 0);
		fs_end(&client);
	}
}

static void squashed_capabilities_mean_something_to_the_guest_only(void **state)
{
	struct fs_client client;
	uint64_t node;
	char text[256];
	ssize_t n;

	(void)state;
	fs_begin(&client, NULL, SQUASH);
	node = file_make(&client, "f");
	assert_int_equal(fs_setxattr(&client, node, "security.capability", "cap", 3, 0), 0);
	assert_int_equal(fs_setxattr(&client, node, "trusted.overlay.opaque", "y", 1, 0), 0);
	assert_int_equal(fs_getxattr(&client, node, "security.capability", text, sizeof text), 3);
	assert_int_equal(host_get(&client, "f", "security.capability", text, sizeof text), -1);
	assert_int_equal(host_get(&client, "f", "trusted.overlay.opaque", text, sizeof text), -1);
	assert_int_equal(host_get(&client, "f", "user.capsa.x.security.capability", text, sizeof text), 3);
	n = fs_listxattr(&client, node, text, sizeof text);
	assert_int_equal(n, sizeof "security.capability" + sizeof "trusted.overlay.opaque");
	assert_true(list_has(text, n, "security.capability"));
	assert_true(list_has(text, n, "trusted.overlay.opaque"));
	client.uid = 1000;
	n = fs_listxattr(&client, node, text, sizeof text);
	assert_int_equal(n, sizeof "security.capability");
	client.uid = 0;
	assert_int_equal(fs_removexattr(&client, node, "security.capability"), 0);
	assert_int_equal(fs_getxattr(&client, node, "security.capability", text, sizeof text), -ENODATA);
	/* The host's own are not the guest's. */
	if (geteuid() == 0) {
		char path[600];

		snprintf(path, sizeof path, "%s/f", client.folder);
		assert_int_equal(setxattr(path, "trusted.host", "x", 1, 0), 0);
		assert_int_equal(fs_getxattr(&client, node, "trusted.host", text, sizeof text), -ENODATA);
		n = fs_listxattr(&client, node, text, sizeof text);
		assert_false(list_has(text, n, "trusted.host"));
	}
	/* An attribute that somebody else made of our kind, but with no name that we would give. */
	{
		char path[600];

		snprintf(path, sizeof path, "%s/f", client.folder);
		assert_int_equal(setxattr(path, "user.capsa.x.system.posix_acl_access", "x", 1, 0), 0);
		assert_int_equal(setxattr(path, "user.capsa.x.", "x", 1, 0), 0);
		n = fs_listxattr(&client, node, text, sizeof text);
		assert_int_equal(n, sizeof "trusted.overlay.opaque");
	}
	fs_end(&client);
}

/* A capability of a file is the host's, as its owner and mode are; labels and the host's own notes are not. */
static void labels_are_not_the_hosts_where_owners_are(void **state)
{
	/* CAP_NET_RAW, permitted: VFS_CAP_REVISION_2 of linux/capability.h, little-endian. */
	static const unsigned char capability[20] = { 0, 0, 0, 2, 0, 0x20 };
	static const char *const names[] = { "security.selinux", "security.x", "trusted.a", "trusted.overlay.opaque" };
	struct fs_client client;
	char host[96], text[256], path[600];
	uint64_t node;
	ssize_t n;

	(void)state;
	if (fs_skips(geteuid() != 0, "needs root"))
		return;
	fs_begin(&client, NULL, HOST);
	node = file_make(&client, "f");
	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
		ssize_t before = host_get(&client, "f", names[i], text, sizeof text);

		assert_int_equal(fs_setxattr(&client, node, names[i], "x", 1, 0), 0);
		assert_int_equal(host_get(&client, "f", names[i], text, sizeof text), before);
		snprintf(host, sizeof host, "user.capsa.x.%s", names[i]);
		assert_int_equal(host_get(&client, "f", host, text, sizeof text), 1);
		assert_int_equal(fs_getxattr(&client, node, names[i], text, sizeof text), 1);
		n = fs_listxattr(&client, node, text, sizeof text);
		assert_int_equal(n, strlen(names[i]) + 1);
		assert_true(list_has(text, n, names[i]));
		assert_int_equal(fs_removexattr(&client, node, names[i]), 0);
	}
	assert_int_equal(fs_setxattr(&client, node, "security.capability", capability, sizeof capability, 0), 0);
	assert_int_equal(host_get(&client, "f", "security.capability", text, sizeof text), sizeof capability);
	assert_int_equal(fs_getxattr(&client, node, "security.capability", text, sizeof text), sizeof capability);
	assert_int_equal(fs_listxattr(&client, node, text, sizeof text), sizeof "security.capability");
	assert_int_equal(fs_removexattr(&client, node, "security.capability"), 0);
	/* The host's own are not the guest's. */
	snprintf(path, sizeof path, "%s/f", client.folder);
	assert_int_equal(setxattr(path, "trusted.host", "x", 1, 0), 0);
	assert_int_equal(fs_getxattr(&client, node, "trusted.host", text, sizeof text), -ENODATA);
	assert_int_equal(fs_listxattr(&client, node, text, sizeof text), 0);
	fs_end(&client);
}

static void other_namespaces_are_not_supported(void **state)
{
	static const char *const names[] = { "system.posix_acl_access", "system.posix_acl_default", "os2.x", "nothing",
		                             "USER.x" };
	struct fs_client client;
	uint64_t node;
	char text[64];

	(void)state;
	for (unsigned i = 0; i < MODES; i++) {
		fs_begin(&client, NULL, i ? HOST : SQUASH);
		node = file_make(&client, "f");
		for (unsigned n = 0; n < sizeof names / sizeof names[0]; n++) {
			assert_int_equal(fs_setxattr(&client, node, names[n], "x", 1, 0), -EOPNOTSUPP);
			assert_int_equal(fs_getxattr(&client, node, names[n], text, sizeof text), -EOPNOTSUPP);
			assert_int_equal(fs_removexattr(&client, node, names[n]), -EOPNOTSUPP);
		}
		fs_end(&client);
	}
}

static void a_links_attributes_are_not_its_targets(void **state)
{
	char secret[] = "/tmp/capsa-secret-XXXXXX", text[64];
	struct fs_client client;
	int fd = mkstemp(secret);
	uint64_t node;

	(void)state;
	assert_int_equal(fsetxattr(fd, "user.secret", "secret", 6, 0), 0);
	close(fd);
	for (unsigned i = 0; i < MODES; i++) {
		fs_begin(&client, NULL, i ? HOST : SQUASH);
		assert_int_equal(symlinkat(secret, client.folder_fd, "link"), 0);
		assert_int_equal(mkfifoat(client.folder_fd, "fifo", 0666), 0);
		for (unsigned n = 0; n < 2; n++) {
			assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, n ? "fifo" : "link", &node, NULL), 0);
			assert_int_equal(fs_getxattr(&client, node, "user.secret", text, sizeof text), -ENODATA);
			assert_int_equal(fs_setxattr(&client, node, "user.guest", "x", 1, 0), -EPERM);
			assert_int_equal(fs_setxattr(&client, node, "trusted.guest", "x", 1, 0), -EPERM);
			assert_int_equal(fs_removexattr(&client, node, "user.secret"), -ENODATA);
			assert_int_equal(fs_listxattr(&client, node, text, sizeof text), 0);
			assert_int_equal(fs_listxattr(&client, node, NULL, 0), 0);
		}
		fs_end(&client);
	}
	assert_int_equal(getxattr(secret, "user.guest", text, sizeof text), -1);
	assert_int_equal(getxattr(secret, "trusted.guest", text, sizeof text), -1);
	assert_int_equal(getxattr(secret, "user.secret", text, sizeof text), 6);
	unlink(secret);
}

static void without_the_option_the_guest_need_not_ask_again(void **state)
{
	struct fs_client client;
	uint64_t node;
	char text[64];

	(void)state;
	fs_begin(&client, NULL, "xattr = false;");
	node = file_make(&client, "f");
	assert_int_equal(fs_getxattr(&client, node, "user.a", text, sizeof text), -ENOSYS);
	assert_int_equal(fs_setxattr(&client, node, "user.a", "x", 1, 0), -ENOSYS);
	assert_int_equal(fs_listxattr(&client, node, text, sizeof text), -ENOSYS);
	assert_int_equal(fs_removexattr(&client, node, "user.a"), -ENOSYS);
	fs_end(&client);
}

static void what_may_not_be_read_has_none(void **state)
{
	struct fs_client client;
	uint64_t node;

	(void)state;
	if (fs_skips(geteuid() == 0, "not for root"))
		return;
	fs_begin(&client, NULL, SQUASH);
	node = file_make(&client, "f");
	assert_int_equal(fchmodat(client.folder_fd, "f", 0, 0), 0);
	assert_int_equal(fs_getxattr(&client, node, "user.a", NULL, 0), -ENODATA);
	assert_int_equal(fs_listxattr(&client, node, NULL, 0), 0);
	assert_int_equal(fs_setxattr(&client, node, "user.a", "value", 5, 0), -EACCES);
	fs_end(&client);
}

/* The loop does not wait, nor is the guest told to come back: a worker waits. */
static void a_lease_of_another_process_is_waited_for_by_a_worker(void **state)
{
	static const struct fuse_getattr_in get;
	static const struct fuse_setattr_in set = { .valid = FATTR_MODE | FATTR_MTIME, .mode = 0600, .mtime = 1 };
	static const uint32_t value[2] = { 1, 0 }; /* fuse_setxattr_in as SETXATTR_EXT has it not: size, flags */
	static const struct fuse_getxattr_in list = { .size = 64 };
	static const struct fuse_open_in rw = { .flags = O_RDWR };
	struct fuse_link_in link = { 0 };
	const struct {
		uint32_t opcode;
		const void *args;
		size_t len;
		const char *payload;
		size_t payload_len;
	} cases[] = {
		{ FUSE_LOOKUP, NULL, 0, "f0", 3 },
		{ FUSE_GETATTR, &get, sizeof get, NULL, 0 },
		{ FUSE_SETATTR, &set, sizeof set, NULL, 0 },
		{ FUSE_SETXATTR, value, sizeof value, "user.a\0x", 8 },
		{ FUSE_LISTXATTR, &list, sizeof list, NULL, 0 },
		{ FUSE_LINK, &link, sizeof link, "other", 6 },
		{ FUSE_OPEN, &rw, sizeof rw, NULL, 0 },
	};
	struct fs_request *request;
	struct fs_client client;
	char reply[256];
	sigset_t signals;
	uint64_t before;
	int got;

	(void)state;
	sigemptyset(&signals);
	sigaddset(&signals, SIGIO);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &signals, NULL), 0);
	fs_begin(&client, NULL, SQUASH);
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		uint64_t node = FUSE_ROOT_ID;
		char name[8];
		int fd;

		snprintf(name, sizeof name, "f%u", i);
		fs_host_file(&client, name, "text", 0644);
		if (cases[i].opcode != FUSE_LOOKUP)
			assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, name, &node, NULL), 0);
		link.oldnodeid = node;
		if (cases[i].opcode == FUSE_LINK)
			node = FUSE_ROOT_ID;
		/* As the host's Samba has one. Who holds it is told by a signal that another wants the file. */
		fd = openat(client.folder_fd, name, O_RDWR | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
		before = fs_counter(&client, "worker_requests");
		request = fs_submit(&client, cases[i].opcode, node, cases[i].args, cases[i].len, cases[i].payload,
		                    cases[i].payload_len, 256);
		assert_false(fs_is_done(&client, request));
		assert_int_equal(sigwait(&signals, &got), 0);
		assert_int_equal(fcntl(fd, F_SETLEASE, F_UNLCK), 0);
		assert_int_equal(fs_wait(&client, request, reply, sizeof reply, NULL), 0);
		assert_int_equal(fs_counter(&client, "worker_requests"), before + 1);
		close(fd);
	}
	assert_true(fs_host_exists(&client, "other"));
	fs_end(&client);
	assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &signals, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_users_attributes_are_set_read_listed_and_removed),
		cmocka_unit_test(sizes_are_bounded_as_linux_bounds_them),
		cmocka_unit_test(our_own_are_not_there),
		cmocka_unit_test(squashed_capabilities_mean_something_to_the_guest_only),
		cmocka_unit_test(labels_are_not_the_hosts_where_owners_are),
		cmocka_unit_test(other_namespaces_are_not_supported),
		cmocka_unit_test(a_links_attributes_are_not_its_targets),
		cmocka_unit_test(without_the_option_the_guest_need_not_ask_again),
		cmocka_unit_test(what_may_not_be_read_has_none),
		cmocka_unit_test(a_lease_of_another_process_is_waited_for_by_a_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
