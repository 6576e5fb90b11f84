/* SPDX-License-Identifier: MIT */
/*
 * fs_owner_fixture.h - the room of owners (plugins/virtio-fs/owner.h), called directly on real files, and what becomes
 * of them on the host. Included once by a test program.
 *
 *     struct fixture f;
 *     struct node file;
 *
 *     begin(&f, OWNER_SQUASH);                                   a share of an empty directory
 *     file = create(&f, "file", 33, 44, S_IFREG | 0640, 0);      as the guest's user 33 of group 44 does it
 *     assert_int_equal(set(&f, &file, FATTR_UID, 5, 0, 0), 0);   its chown
 *     assert_shows(&f, &file, 5, 44, S_IFREG | 0640);            to the guest
 *     assert_on_host(&file, geteuid(), getegid(), S_IFREG | 0640);
 *     close(file.fd);
 *     end(&f);
 *
 * Tests of OWNER_SQUASH run as an ordinary user (euid ORDINARY where the test was started by root); those of OWNER_HOST
 * need root and are skipped without. Extended attributes and changes of a thread's ids go through this file, which
 * counts them (`readings`, `id_calls`) and can say that there are none (`no_attributes`, until the next begin()).
 */
#ifndef CAPSA_TESTS_FS_OWNER_FIXTURE_H
#define CAPSA_TESTS_FS_OWNER_FIXTURE_H

#include "tests/unit/fs_client.h"

#include <limits.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "core/base/path.h"
#include "plugins/virtio-fs/owner-private.h"

#define ORDINARY 1000u
#define RECENT INT_MAX /* show(): with the ctime that the file has */

static bool no_attributes;
static unsigned readings, id_calls;

/* The C library's, as the room finds them in this program. */

ssize_t fgetxattr(int fd, const char *name, void *value, size_t size)
{
	readings++;
	if (no_attributes)
		return errno = EOPNOTSUPP, -1;
	return syscall(SYS_fgetxattr, fd, name, value, size);
}

int fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)
{
	if (no_attributes)
		return errno = EOPNOTSUPP, -1;
	return (int)syscall(SYS_fsetxattr, fd, name, value, size, flags);
}

int fremovexattr(int fd, const char *name)
{
	if (no_attributes)
		return errno = EOPNOTSUPP, -1;
	return (int)syscall(SYS_fremovexattr, fd, name);
}

int setfsuid(uid_t uid)
{
	id_calls++;
	return (int)syscall(SYS_setfsuid, uid);
}

int setfsgid(gid_t gid)
{
	id_calls++;
	return (int)syscall(SYS_setfsgid, gid);
}

/* The fixture: a share of an empty directory. */

struct fixture {
	char path[64];
	int dir;
	struct share share;
	uint64_t ids;
	bool was_root;
};

static inline void begin(struct fixture *f, enum owner_mode mode)
{
	memset(f, 0, sizeof *f);
	no_attributes = false;
	strcpy(f->path, "/tmp/fs_owner_test.XXXXXX");
	assert_non_null(mkdtemp(f->path));
	umask(0);
	f->was_root = geteuid() == 0;
	if (f->was_root && mode == OWNER_SQUASH) {
		assert_int_equal(chown(f->path, ORDINARY, ORDINARY), 0);
		assert_int_equal(setegid(ORDINARY), 0);
		assert_int_equal(seteuid(ORDINARY), 0);
	}
	f->dir = open(f->path, O_RDONLY | O_DIRECTORY);
	assert_true(f->dir >= 0);
	f->share.proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY);
	assert_true(f->share.proc_fd >= 0);
	f->share.options.owner = mode;
	f->share.is_root = mode == OWNER_HOST;
	assert_int_equal(owners_new(&f->share, &f->share.owners), 0);
}

static inline void end(struct fixture *f)
{
	owners_free(f->share.owners);
	close(f->dir);
	close(f->share.proc_fd);
	if (f->was_root) {
		assert_int_equal(seteuid(0), 0);
		assert_int_equal(setegid(0), 0);
	}
	assert_int_equal(path_remove_tree(f->path), 0);
}

/* The node of a name; "" is the directory itself. */
static inline struct node hold(struct fixture *f, const char *name)
{
	struct node node = { .id = ++f->ids, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct stat st;

	node.fd = openat(f->dir, *name ? name : ".", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	assert_true(node.fd >= 0);
	assert_int_equal(fstat(node.fd, &st), 0);
	node.type = st.st_mode & S_IFMT;
	return node;
}

/* Makes what the guest's user makes, as the operations do. Returns its node. */
static inline struct node create(struct fixture *f, const char *name, uint32_t uid, uint32_t gid, mode_t mode,
                                 uint32_t rdev)
{
	const struct call call = { .share = &f->share, .in = { .uid = uid, .gid = gid } };
	const mode_t host_mode = owner_create_mode(&f->share, mode);
	struct owner_acting acting;
	struct node parent = hold(f, ""), node;
	struct statx stx;
	int r;

	assert_int_equal(owner_act(&f->share, &call, &acting), 0);
	if (S_ISDIR(mode))
		r = mkdirat(f->dir, name, host_mode);
	else if (S_ISLNK(mode))
		r = symlinkat("target", f->dir, name);
	else
		r = mknodat(f->dir, name, host_mode, rdev);
	owner_done(&acting);
	assert_int_equal(r, 0);
	node = hold(f, name);
	assert_int_equal(node_statx(&node, node.fd, &stx), 0);
	assert_int_equal(owner_created(&f->share, &call, &parent, &node, node.fd, mode, rdev, &stx), 0);
	close(parent.fd);
	return node;
}

/* What the guest sees, told that the last change was `age` seconds ago. */
static inline struct fuse_attr show(struct fixture *f, struct node *node, int age)
{
	struct fuse_attr attr;
	struct statx stx;

	assert_int_equal(node_statx(node, -1, &stx), 0);
	if (age != RECENT)
		stx.stx_ctime.tv_sec -= age;
	assert_int_equal(owner_attributes(&f->share, node, -1, &stx, &attr), 0);
	return attr;
}

static inline void assert_shows(struct fixture *f, struct node *node, uint32_t uid, uint32_t gid, mode_t mode)
{
	const struct fuse_attr attr = show(f, node, RECENT);

	assert_int_equal(attr.uid, uid);
	assert_int_equal(attr.gid, gid);
	assert_int_equal(attr.mode, mode);
}

static inline void assert_on_host(struct node *node, uint32_t uid, uint32_t gid, mode_t mode)
{
	struct stat st;

	assert_int_equal(fstat(node->fd, &st), 0);
	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_gid, gid);
	assert_int_equal(st.st_mode, mode);
}

static inline int set(struct fixture *f, struct node *node, uint32_t valid, uint32_t uid, uint32_t gid, mode_t mode)
{
	return owner_set(&f->share, node, -1, valid, uid, gid, mode);
}

#endif
