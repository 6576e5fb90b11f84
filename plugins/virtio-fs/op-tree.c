/* SPDX-License-Identifier: MIT */
/*
 * op-tree.c - what changes directories: MKNOD, MKDIR, SYMLINK, LINK, UNLINK, RMDIR, RENAME, RENAME2.
 *
 * THEORY OF OPERATION. Each is one system call relative to the descriptors of the parents, with one component for a
 * name: the host's kernel neither follows a link in it nor leaves the directory, whatever the host does to the tree
 * meanwhile. The guest's kernel has checked permissions (default_permissions); the host's are capsa's own.
 *
 * What was made is looked at through an O_PATH descriptor before the guest hears of it. Between the making and that
 * look another process of the host may have put something else in its place. What is of another type is none of the
 * guest's: it gets -ESTALE, whereupon its kernel looks the name up and tries again. What is of the same type could have
 * been there a moment earlier just as well, and is a file of the share as any.
 *
 * All are brief (dispatch.c): on a loop or on a worker.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "plugins/virtio-fs/entry.h"
#include "plugins/virtio-fs/host-inode.h"
#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/owner.h"
#include "plugins/virtio-fs/quota.h"
#include "plugins/virtio-fs/tree.h"

#define GROWTH 1u /* a name: that a directory grows by a block at most is seen when it has */

/* What to make. */
struct thing {
	mode_t mode;        /* the guest's, with its type */
	mode_t host_mode;   /* the host's, with its type */
	uint32_t rdev;      /* as FUSE has it */
	const char *target; /* of a link */
};

int parent_get(struct call *call, uint64_t id, struct node **out)
{
	int result = node_get(call->share, id, out);

	if (result)
		return result;
	if (!S_ISDIR((*out)->type))
		result = -ENOTDIR;
	else if (node_is_kernel(*out)) /* a name there is a cgroup, a variable of the firmware ... */
		result = -EACCES;
	if (result)
		node_put(call->share, *out);
	return result;
}

mode_t call_mode(const struct call *call, mode_t mode, mode_t umask)
{
	return call->share->flags & FUSE_DONT_MASK ? mode & ~(umask & 0777) : mode;
}

void make_undo(struct node *parent, const char *name, int fd)
{
	struct stat made, there;

	/* Something else may stand there by now. What comes between the look and the removal is lost to a race that its
	 * maker began. */
	if (!fstat(fd, &made) && !fstatat(parent->fd, name, &there, AT_SYMLINK_NOFOLLOW) &&
	    made.st_dev == there.st_dev && made.st_ino == there.st_ino)
		unlinkat(parent->fd, name, S_ISDIR(made.st_mode) ? AT_REMOVEDIR : 0);
}

/* Makes it. *fd: of a file a descriptor, otherwise -1. 0 or -errno. */
static int make_at(struct call *call, struct node *parent, const struct thing *thing, int *fd)
{
	const char *name = call->names[0];
	struct owner_acting acting;
	int result;

	*fd = -1;
	result = owner_act(call->share, call, &acting);
	if (result)
		return result;
	switch (thing->host_mode & S_IFMT) {
	case S_IFREG:
		*fd = openat(parent->fd, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		             thing->host_mode & 07777);
		result = *fd;
		break;
	case S_IFDIR:
		result = mkdirat(parent->fd, name, thing->host_mode & 07777);
		break;
	case S_IFLNK:
		result = symlinkat(thing->target, parent->fd, name);
		break;
	default:
		result = mknodat(parent->fd, name, thing->host_mode,
		                 makedev(device_major(thing->rdev), device_minor(thing->rdev)));
		break;
	}
	result = result < 0 ? -errno : 0;
	owner_done(&acting);
	return result;
}

/* There is no node for what was made, as it seems, under `name`: away with it. */
static void make_undo_name(struct node *parent, const char *name, mode_t type)
{
	int fd = openat(parent->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return;
	if (!fstat(fd, &st) && (st.st_mode & S_IFMT) == type)
		make_undo(parent, name, fd);
	close(fd);
}

/* The owner of what is a node now, and the rest. On -errno the node is let go of. */
static int note(struct call *call, struct node *parent, struct node *node, int fd, mode_t mode, uint32_t rdev,
                struct statx *stx)
{
	struct share *share = call->share;
	int result = owner_created(share, call, parent, node, fd, mode, rdev, stx);

	if (result) {
		node_forget(share, node->id, 1);
		node_put(share, node);
		return result;
	}
	quota_made(share, stx);
	return 0;
}

int make_note(struct call *call, struct node *parent, const char *name, int fd, mode_t mode, uint32_t rdev,
              struct node **out, struct statx *stx)
{
	int result = node_adopt(call->share, parent, name, fd, out, stx);

	return result ? result : note(call, parent, *out, fd, mode, rdev, stx);
}

/* The same of what has no descriptor, by its name, and undone where that fails. */
static int make_note_name(struct call *call, struct node *parent, const struct thing *thing, struct node **out,
                          struct statx *stx)
{
	const mode_t type = thing->host_mode & S_IFMT;
	const char *name = call->names[0];
	struct share *share = call->share;
	int result = node_lookup(share, parent, name, out, stx);

	if (!result && (*out)->type != type) {
		node_forget(share, (*out)->id, 1);
		node_put(share, *out);
		return -ESTALE;
	}
	if (!result)
		result = note(call, parent, *out, -1, thing->mode, thing->rdev, stx);
	if (result && result != -ENOENT)
		make_undo_name(parent, name, type);
	return result == -ENOENT ? -ESTALE : result;
}

/* All that makes a new inode with a name, from the reservation to the answer. */
static int make(struct call *call, const struct thing *thing)
{
	struct share *share = call->share;
	const char *name = call->names[0];
	struct quota_charge charge;
	struct node *parent, *node;
	struct statx stx;
	int result, fd;

	result = parent_get(call, call->in.nodeid, &parent);
	if (result)
		return result;
	result = quota_inode_begin(share);
	if (result)
		goto put_parent;
	result = quota_begin(share, parent, GROWTH + (thing->target ? strlen(thing->target) : 0), &charge);
	if (!result) {
		result = make_at(call, parent, thing, &fd);
		quota_end(share, &charge);
	}
	if (result)
		goto undo_inode;
	if (fd < 0) {
		result = make_note_name(call, parent, thing, &node, &stx);
	} else {
		result = make_note(call, parent, name, fd, thing->mode, thing->rdev, &node, &stx);
		if (result)
			make_undo(parent, name, fd);
		close(fd);
	}
	if (result)
		goto undo_inode;
	result = entry_reply(call, node, &stx);
	node_put(share, node);
	node_put(share, parent);
	return result;

undo_inode:
	quota_inode_undo(share);
put_parent:
	node_put(share, parent);
	return result;
}

int op_mknod(struct call *call)
{
	const struct fuse_mknod_in *in = call_args(call, struct fuse_mknod_in);
	mode_t mode = call_mode(call, in->mode & (S_IFMT | 07777), in->umask);
	struct thing thing = { .rdev = in->rdev };

	if (!(mode & S_IFMT))
		mode |= S_IFREG;
	thing.mode = mode;
	thing.host_mode = (mode & S_IFMT) | (owner_create_mode(call->share, mode) & 07777);
	switch (mode & S_IFMT) {
	case S_IFREG:
		break;
	case S_IFCHR:
	case S_IFBLK:
		if (!owner_emulates(call->share, mode) && !call->share->is_root)
			return -EPERM;
		/* fall through */
	case S_IFIFO:
	case S_IFSOCK:
		if (owner_emulates(call->share, mode))
			thing.host_mode = S_IFREG | (thing.host_mode & 07777);
		break;
	default:
		return -EINVAL;
	}
	return make(call, &thing);
}

int op_mkdir(struct call *call)
{
	const struct fuse_mkdir_in *in = call_args(call, struct fuse_mkdir_in);
	struct thing thing = { .mode = S_IFDIR | call_mode(call, in->mode & 07777, in->umask) };

	thing.host_mode = S_IFDIR | (owner_create_mode(call->share, thing.mode) & 07777);
	return make(call, &thing);
}

/* The target is the guest's text, of any kind: nobody here ever follows it. */
int op_symlink(struct call *call)
{
	struct thing thing = { .mode = S_IFLNK | 0777, .host_mode = S_IFLNK | 0777, .target = call->names[1] };

	return make(call, &thing);
}

/*
 * linkat(2) with AT_EMPTY_PATH wants CAP_DAC_READ_SEARCH; through /proc/self/fd it does not. AT_SYMLINK_FOLLOW follows
 * that entry and no more: of an O_PATH descriptor of a symbolic link it comes to the link itself.
 */
int op_link(struct call *call)
{
	const struct fuse_link_in *in = call_args(call, struct fuse_link_in);
	struct share *share = call->share;
	char number[NODE_PROC_NAME];
	struct quota_charge charge;
	struct node *parent, *old, *node;
	struct statx stx;
	int result;

	result = parent_get(call, call->in.nodeid, &parent);
	if (result)
		return result;
	result = node_get(share, in->oldnodeid, &old);
	if (result)
		goto put_parent;
	if (S_ISDIR(old->type)) {
		result = -EPERM;
		goto put_old;
	}
	result = quota_begin(share, parent, GROWTH, &charge);
	if (result)
		goto put_old;
	node_proc_name(old, number);
	if (linkat(share->proc_fd, number, parent->fd, call->names[0], AT_SYMLINK_FOLLOW))
		result = -errno;
	quota_end(share, &charge);
	if (result)
		goto put_old;
	/* The inode is the one that we hold: no host can have put another in its place. */
	result = node_adopt(share, parent, call->names[0], old->fd, &node, &stx);
	if (!result) {
		quota_removed(share, &stx);
		result = entry_reply(call, node, &stx);
		node_put(share, node);
		if (result == CALL_BLOCKS) /* once more, then, from the beginning */
			make_undo(parent, call->names[0], old->fd);
	}
put_old:
	node_put(share, old);
put_parent:
	node_put(share, parent);
	return result;
}

/* A descriptor of what an operation is about to take a name from; for those who count it or remember its owner. */
static int victim_open(struct share *share, struct node *parent, const char *name)
{
	return share->quota || owner_remembers(share) ? openat(parent->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
}

static void victim_close(struct share *share, int fd, bool removed)
{
	struct statx stx;

	if (fd < 0)
		return;
	/* After the fact: a link that came at the same time counts. */
	if (removed && !statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &stx) && !stx.stx_nlink) {
		quota_removed(share, &stx);
		owner_removed(share, &stx);
	}
	close(fd);
}

static int take_away(struct call *call, int flags)
{
	struct share *share = call->share;
	const char *name = call->names[0];
	struct quota_charge charge;
	struct node *parent;
	int result, victim;

	result = parent_get(call, call->in.nodeid, &parent);
	if (result)
		return result;
	/* A directory may become shorter. */
	result = quota_begin(share, parent, 0, &charge);
	if (result)
		goto put;
	victim = victim_open(share, parent, name);
	if (unlinkat(parent->fd, name, flags))
		result = -errno;
	else
		node_renamed(share, parent, name, NULL, NULL, false);
	quota_end(share, &charge);
	victim_close(share, victim, !result);
put:
	node_put(share, parent);
	return result;
}

int op_unlink(struct call *call)
{
	return take_away(call, 0);
}

int op_rmdir(struct call *call)
{
	return take_away(call, AT_REMOVEDIR);
}

static int rename_to(struct call *call, uint64_t id, unsigned flags)
{
	struct share *share = call->share;
	struct quota_charge charge;
	struct node *from, *to;
	int result, victim;

	result = parent_get(call, call->in.nodeid, &from);
	if (result)
		return result;
	result = parent_get(call, id, &to);
	if (result)
		goto put_from;
	result = quota_begin(share, to, flags & RENAME_EXCHANGE ? 0 : GROWTH, &charge);
	if (result)
		goto put_to;
	victim = flags & (RENAME_EXCHANGE | RENAME_NOREPLACE) ? -1 : victim_open(share, to, call->names[1]);
	if (renameat2(from->fd, call->names[0], to->fd, call->names[1], flags))
		result = -errno;
	else
		node_renamed(share, from, call->names[0], to, call->names[1], flags & RENAME_EXCHANGE);
	quota_end(share, &charge);
	victim_close(share, victim, !result);
put_to:
	node_put(share, to);
put_from:
	node_put(share, from);
	return result;
}

int op_rename(struct call *call)
{
	return rename_to(call, call_args(call, struct fuse_rename_in)->newdir, 0);
}

int op_rename2(struct call *call)
{
	const struct fuse_rename2_in *in = call_args(call, struct fuse_rename2_in);

	/*
	 * RENAME_WHITEOUT makes a device node, which is not the guest's to make here; overlayfs in the guest knows from
	 * -EINVAL that it must do without. Whether the host's file system has the other two it says itself, with the
	 * same.
	 */
	if (in->flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	return rename_to(call, in->newdir, in->flags);
}
