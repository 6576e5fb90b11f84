/* SPDX-License-Identifier: MIT */
/*
 * op-open.c - opening and closing files: OPEN, CREATE, TMPFILE, RELEASE, FLUSH.
 *
 * THEORY OF OPERATION. A file that exists is opened through its node (share_open_node()), whose type is known: nothing
 * else than a regular file gets here, so that no open can wait for the other end of a FIFO or move a tape. A file that
 * CREATE makes is made with O_EXCL: where anything stands already, a file, a link, a FIFO, a device, the host's kernel
 * says EEXIST without touching it, and the guest's looks the name up again (create_refused()).
 *
 * Of the flags the guest's O_DIRECT goes no further: it has its own cache out of the way already (the host's page cache
 * is the only one left), whereas the host's would ask for an alignment of guest memory and offset that the guest's
 * kernel knows nothing of. O_NOATIME is the owner's privilege, and the host's owner is another.
 *
 * PAGES of a file that the guest has cached may stay at the next open (FOPEN_KEEP_CACHE) where nobody else changes
 * files (cache = "always"), and else where the file is what it was at the open before: same times, same size, and these
 * times had been old enough by then that a change in the same grain of the clock cannot hide behind them. So a build
 * reads its headers once, and a change on the host is seen at the next open all the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "plugins/virtio-fs/entry.h"
#include "plugins/virtio-fs/handle.h"
#include "plugins/virtio-fs/host-inode.h"
#include "plugins/virtio-fs/lock.h"
#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/owner.h"
#include "plugins/virtio-fs/quota.h"
#include "plugins/virtio-fs/tree.h"

/* What the host's open(2) gets of the guest's flags; -EINVAL. O_CREAT and the like are added by who means them. */
static int host_flags(const struct share *share, uint32_t flags)
{
	int host = (int)flags & (O_ACCMODE | O_APPEND | O_TRUNC | O_SYNC | O_DSYNC);

	if ((flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	/* The guest's cache reads pages to fill what was written in part, and knows alone where the end is. */
	if (share->flags & FUSE_WRITEBACK_CACHE) {
		if ((host & O_ACCMODE) == O_WRONLY)
			host = (host & ~O_ACCMODE) | O_RDWR;
		host &= ~O_APPEND;
	}
	return host;
}

static bool flags_change(uint32_t flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

/* An open file as it was at a time, which was asked for first. */
struct state {
	struct timespec at;
	struct statx stx;
};

static int state_get(struct node *node, int fd, struct state *state)
{
	if (clock_gettime(CLOCK_REALTIME_COARSE, &state->at))
		state->at = (struct timespec){ 0 }; /* never settled */
	return node_statx(node, fd, &state->stx);
}

/* Whether the file is what it was at the last open; remembers it for the next. */
static bool is_unchanged(struct node *node, const struct state *state)
{
	const struct statx *stx = &state->stx;
	bool same;

	pthread_mutex_lock(&node->lock);
	same = node->opened.is_settled && time_is_same(&node->opened.mtime, &stx->stx_mtime) &&
	       time_is_same(&node->opened.ctime, &stx->stx_ctime) && node->opened.size == stx->stx_size;
	node->opened.mtime = stx->stx_mtime;
	node->opened.ctime = stx->stx_ctime;
	node->opened.size = stx->stx_size;
	node->opened.is_settled = time_is_settled(&stx->stx_ctime, &state->at);
	pthread_mutex_unlock(&node->lock);
	return same;
}

/* Whether close(2) of what is open like that is known to have nothing to say. */
static bool closes_quietly(int flags, enum storage storage)
{
	return (flags & O_ACCMODE) == O_RDONLY || storage != STORAGE_UNKNOWN;
}

/* How the guest's page cache treats an open file. `state`: NULL: not known. */
static uint32_t answer_flags(const struct share *share, struct node *node, int fd, int flags, const struct state *state)
{
	struct state now;
	uint32_t answer = 0;

	switch (share->options.cache) {
	case CACHE_NONE:
		answer |= FOPEN_DIRECT_IO;
#ifdef FOPEN_PARALLEL_DIRECT_WRITES
		answer |= FOPEN_PARALLEL_DIRECT_WRITES;
#endif
		break;
	case CACHE_AUTO:
		if (!state && state_get(node, fd, &now) == 0)
			state = &now;
		if (state && is_unchanged(node, state))
			answer |= FOPEN_KEEP_CACHE;
		break;
	case CACHE_ALWAYS:
		answer |= FOPEN_KEEP_CACHE;
		break;
	}
#ifdef FOPEN_NOFLUSH
	/*
	 * The guest need not ask when it closes: no lock is ours to drop, close(2) has nothing to say, and nothing is
	 * still to be written, as only what can be read as well can be mapped.
	 */
	if (!share->locks && (flags & O_ACCMODE) != O_RDWR && closes_quietly(flags, node->storage))
		answer |= FOPEN_NOFLUSH;
#endif
	return answer;
}

/*
 * Opens the contents of a regular file's node for the guest. `wait` false: -EAGAIN where another process has a lease on
 * it (the host's Samba, say). O_NONBLOCK stays with the descriptor then: for reading and writing of regular files it
 * has no meaning.
 */
static int node_open(struct share *share, struct node *node, int flags, bool wait)
{
	return share_open_node(share, node, wait ? flags : flags | O_NONBLOCK);
}

/* O_TRUNC on its way: what was in the file is counted back, and set-id bits go where the guest's kernel says so. */
static int node_open_counted(struct share *share, struct node *node, int flags, uint32_t open_flags)
{
	struct quota_charge charge = { 0 };
	int fd, result;

	if (flags & O_TRUNC) {
		result = quota_begin(share, node, 0, &charge);
		if (result)
			return result;
	}
	fd = node_open(share, node, flags, true);
	quota_end(share, &charge);
	if (fd >= 0 && (flags & O_TRUNC)) {
		result = owner_drop_capability(share, node, fd, true);
		if (!result && (open_flags & FUSE_OPEN_KILL_SUIDGID))
			result = owner_kill_set_id(share, node, fd);
		if (result) {
			close(fd);
			return result;
		}
	}
	return fd;
}

/* The descriptor becomes a handle, and the answer is complete. `fd` is taken over. */
static int open_reply(struct call *call, struct node *node, int fd, int flags, const struct state *state)
{
	struct share *share = call->share;
	struct fuse_open_out out = { .open_flags = answer_flags(share, node, fd, flags, state) };
	int result;

	result = handle_new(share, HANDLE_FILE, node, fd, flags, &out.fh);
	if (result)
		return result;
	result = call_reply(call, &out, sizeof out);
	if (result)
		handle_close(share, out.fh, HANDLE_FILE);
	return result;
}

int op_open(struct call *call)
{
	const struct fuse_open_in *in = call_args(call, struct fuse_open_in);
	struct share *share = call->share;
	struct node *node;
	int result, fd, flags = host_flags(share, in->flags);

	if (flags < 0)
		return flags;
	if (share->options.readonly && flags_change(in->flags))
		return -EROFS;
	if ((flags & O_TRUNC) && !call->may_block)
		return CALL_BLOCKS;
	result = node_get(share, call->in.nodeid, &node);
	if (result)
		return result;
	if (S_ISDIR(node->type)) {
		result = -EISDIR;
	} else if (call->may_block) {
		fd = node_open_counted(share, node, flags, in->open_flags);
		result = fd < 0 ? fd : open_reply(call, node, fd, flags, NULL);
	} else {
		fd = node_open(share, node, flags, false);
		if (fd == -EAGAIN)
			result = CALL_BLOCKS;
		else
			result = fd < 0 ? fd : open_reply(call, node, fd, flags, NULL);
	}
	node_put(share, node);
	return result;
}

/*
 * What CREATE says where nothing was made: of a name that is there -ESTALE, of others `error`. A name that is there is
 * none that CREATE may open, whatever it is of: the guest's kernel sends CREATE where it thinks that there is nothing,
 * and asks nobody's permission for what it has made itself (Linux, fuse_atomic_open(): FMODE_CREATED). For -ESTALE it
 * looks the name up again, finds what the host put there, checks the caller's permission and opens it by OPEN; follows
 * the link, or opens the FIFO, itself.
 */
static int create_refused(const struct node *parent, const char *name, int error)
{
	struct stat st;

	return fstatat(parent->fd, name, &st, AT_SYMLINK_NOFOLLOW) ? error : -ESTALE;
}

/* What was made, as `name` or without one, is noted and answered. Takes over fd. */
static int reply_made(struct call *call, struct node *parent, const char *name, int fd, int flags, mode_t mode)
{
	struct share *share = call->share;
	struct state state = { .at = { 0 } }; /* too young to be settled, whatever the time */
	struct node *node;
	int result;

	result = make_note(call, parent, name, fd, mode, 0, &node, &state.stx);
	if (result) {
		if (name)
			make_undo(parent, name, fd);
		close(fd);
		quota_inode_undo(share);
		return result;
	}
	/* Without a name it is gone with its last descriptor, unless LINK comes. */
	if (!state.stx.stx_nlink)
		quota_removed(share, &state.stx);
	result = entry_reply(call, node, &state.stx);
	if (result) {
		close(fd);
	} else {
		result = open_reply(call, node, fd, flags, &state);
		if (result)
			node_forget(share, node->id, 1);
	}
	node_put(share, node);
	return result;
}

/* openat(2) of something new in the name of the guest's user. A descriptor or -errno; the inode is counted. */
static int make_open(struct call *call, struct node *parent, const char *name, int flags, mode_t mode)
{
	struct share *share = call->share;
	struct quota_charge charge;
	struct owner_acting acting;
	int result, fd = -1;

	result = quota_inode_begin(share);
	if (result)
		return result;
	result = quota_begin(share, parent, 1, &charge);
	if (!result) {
		result = owner_act(share, call, &acting);
		if (!result) {
			fd = openat(parent->fd, name, flags | O_NOFOLLOW | O_CLOEXEC,
			            owner_create_mode(share, mode) & 07777);
			result = fd < 0 ? -errno : 0;
			owner_done(&acting);
		}
		quota_end(share, &charge);
	}
	if (result)
		quota_inode_undo(share);
	return result ? result : fd;
}

/* Room for both halves of the answer, before anything is made that the guest would not hear of. */
static int create_prepare(struct call *call, struct node **parent)
{
	if (call_reply_left(call) < sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out))
		return -ERANGE;
	return parent_get(call, call->in.nodeid, parent);
}

int op_create(struct call *call)
{
	const struct fuse_create_in *in = call_args(call, struct fuse_create_in);
	struct share *share = call->share;
	mode_t mode = S_IFREG | call_mode(call, in->mode & 07777, in->umask);
	int result, fd, flags = host_flags(share, in->flags);
	struct node *parent;

	if (flags < 0)
		return flags;
	result = create_prepare(call, &parent);
	if (result)
		return result;
	if (share->options.readonly) {
		/* As open(2) on a file system that is mounted readonly: what is there may be read. */
		result = -EROFS;
		if (!flags_change(in->flags) && !(in->flags & O_EXCL))
			result = create_refused(parent, call->names[0], -EROFS);
		goto put;
	}
	fd = make_open(call, parent, call->names[0], (flags & ~O_TRUNC) | O_CREAT | O_EXCL, mode);
	result = fd < 0 ? fd : reply_made(call, parent, call->names[0], fd, flags, mode);
	if (fd == -EEXIST && !(in->flags & O_EXCL))
		result = -ESTALE;
	/* A name that is there costs no inode, so that EDQUOT says nothing of it. */
	if (fd == -EDQUOT && !(in->flags & O_EXCL))
		result = create_refused(parent, call->names[0], fd);
put:
	node_put(share, parent);
	return result;
}

int op_tmpfile(struct call *call)
{
	const struct fuse_create_in *in = call_args(call, struct fuse_create_in);
	struct share *share = call->share;
	mode_t mode = S_IFREG | call_mode(call, in->mode & 07777, in->umask);
	int result, fd, flags = host_flags(share, in->flags);
	struct node *parent;

	if (flags < 0)
		return flags;
	if ((flags & O_ACCMODE) == O_RDONLY)
		return -EINVAL;
	result = create_prepare(call, &parent);
	if (result)
		return result;
	/* The name that the guest sends is no name. O_EXCL: it shall never have one. */
	fd = make_open(call, parent, ".", (flags & ~O_TRUNC) | O_TMPFILE | ((int)in->flags & O_EXCL), mode);
	if (fd == -EISDIR || fd == -ENOENT)
		fd = -EOPNOTSUPP; /* a file system that has no such thing takes it for open(".") */
	result = fd < 0 ? fd : reply_made(call, parent, NULL, fd, flags, mode);
	node_put(share, parent);
	return result;
}

/* close(2) of a file that was written to may wait: for a server, or for what a file system does when it is complete. */
static bool close_waits(const struct handle *handle)
{
	return (handle->flags & O_ACCMODE) != O_RDONLY;
}

int op_release(struct call *call)
{
	const struct fuse_release_in *in = call_args(call, struct fuse_release_in);
	struct share *share = call->share;
	struct handle *handle;
	bool waits;
	int result;

	if (!call->may_block) {
		result = handle_get(share, in->fh, HANDLE_FILE, &handle);
		if (result)
			return result;
		waits = close_waits(handle);
		handle_put(share, handle);
		if (waits)
			return CALL_BLOCKS;
	}
	if (share->locks && (in->release_flags & FUSE_RELEASE_FLOCK_UNLOCK))
		locks_drop(share, call->in.nodeid, in->lock_owner, true);
	return handle_close(share, in->fh, HANDLE_FILE);
}

/*
 * The guest's process closes one of its descriptors of the file, others may stay. What close(2) has to say about what
 * was written (NFS: -EDQUOT, -EIO) is asked of a duplicate.
 */
int op_flush(struct call *call)
{
	const struct fuse_flush_in *in = call_args(call, struct fuse_flush_in);
	struct share *share = call->share;
	struct handle *handle;
	int fd, result;
	bool quietly;

	result = handle_get(share, in->fh, HANDLE_FILE, &handle);
	if (result)
		return result;
	quietly = closes_quietly(handle->flags, handle->storage);
	if (!quietly && !call->may_block) {
		result = CALL_BLOCKS;
		goto put;
	}
	if (share->locks)
		locks_drop(share, handle->node, in->lock_owner, false);
	if (!quietly) {
		fd = fcntl(handle->fd, F_DUPFD_CLOEXEC, 0);
		/* Without a descriptor to spare nobody can be asked; what was written is as good as before. */
		if (fd >= 0 && close(fd))
			result = -errno;
	}
put:
	handle_put(share, handle);
	return result;
}
