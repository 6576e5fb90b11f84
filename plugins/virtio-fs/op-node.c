/* SPDX-License-Identifier: MIT */
/*
 * op-node.c - LOOKUP and FORGET, GETATTR and SETATTR, READLINK, ACCESS, STATFS: what the guest asks of a node.
 *
 * Permissions are the guest's affair (its kernel checks owners and modes itself, as it does for a disk); what capsa may
 * not do on the host is refused by the host.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "plugins/virtio-fs/entry.h"
#include "plugins/virtio-fs/handle.h"
#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/owner.h"
#include "plugins/virtio-fs/quota.h"
#include "plugins/virtio-fs/window.h"

#define FORGET_BATCH 64u
#define NSEC_MAX 999999999u
#define TARGET_INLINE 60u /* bytes: a shorter target is in the inode (ext4, XFS), a longer one may be on the disk */

int op_lookup(struct call *call)
{
	struct node *parent, *node;
	struct statx stx;
	int rc = call_node(call, &parent);

	if (rc != 0)
		return rc;
	if (call->may_block)
		rc = node_lookup(call->share, parent, call->names[0], &node, &stx);
	else
		rc = node_lookup_cached(call->share, parent, call->names[0], &node, &stx);
	node_put(call->share, parent);
	if (rc == -EAGAIN && !call->may_block)
		return CALL_BLOCKS;
	if (rc == -ENOENT)
		return entry_reply_none(call);
	if (rc < 0)
		return rc;
	rc = entry_reply(call, node, &stx);
	node_put(call->share, node);
	return rc;
}

/* The blocks of a big file that was removed are given back by a worker. */
static bool forget(struct call *call, uint64_t id, uint64_t n)
{
	if (!call->may_block)
		return node_forget_quickly(call->share, id, n);
	node_forget(call->share, id, n);
	return true;
}

int op_forget(struct call *call)
{
	const struct fuse_forget_in *in = call_args(call, struct fuse_forget_in);

	return forget(call, call->in.nodeid, in->nlookup) ? CALL_NO_REPLY : CALL_BLOCKS;
}

int op_batch_forget(struct call *call)
{
	struct fuse_forget_one batch[FORGET_BATCH];
	size_t left = call_args(call, struct fuse_batch_forget_in)->count, offset;

	/* The count is the guest's word, what there is to read is not. */
	if (left > call->payload_len / sizeof *batch)
		left = call->payload_len / sizeof *batch;
	/* A worker goes on where the loop has stopped: forgotten twice is forgotten too often. */
	offset = call->forgotten * sizeof *batch;
	left -= call->forgotten;
	while (left) {
		size_t n = left < FORGET_BATCH ? left : FORGET_BATCH, i;

		n = call_payload(call, offset, batch, n * sizeof *batch) / sizeof *batch;
		if (!n)
			break;
		for (i = 0; i < n; i++) {
			if (!forget(call, batch[i].nodeid, batch[i].nlookup))
				return CALL_BLOCKS;
			call->forgotten++;
		}
		offset += n * sizeof *batch;
		left -= n;
	}
	return CALL_NO_REPLY;
}

/* The node of a call, and the handle that it names. */
struct target {
	struct node *node;
	struct handle *handle; /* NULL: none */
	int fd;                /* of the handle, another of the same file, or -1 */
};

static void target_put(struct call *call, struct target *target)
{
	if (target->handle)
		handle_put(call->share, target->handle);
	node_put(call->share, target->node);
}

/* `may_open`: also a node that has no descriptor, on the loop. */
static int target_get(struct call *call, bool has_handle, uint64_t fh, bool may_open, struct target *target)
{
	int rc;

	*target = (struct target){ .fd = -1 };
	rc = may_open ? node_get(call->share, call->in.nodeid, &target->node) : call_node(call, &target->node);
	if (rc != 0 || !has_handle)
		return rc;
	rc = handle_get(call->share, fh, S_ISDIR(target->node->type) ? HANDLE_DIRECTORY : HANDLE_FILE, &target->handle);
	if (rc == 0 && target->handle->node != target->node->id)
		rc = -EBADF;
	if (rc < 0)
		target_put(call, target);
	else
		target->fd = target->handle->fd;
	return rc;
}

static int reply_attributes(struct call *call, const struct target *target)
{
	struct statx stx;
	int rc = node_statx(target->node, target->fd, &stx);

	return rc < 0 ? rc : attr_reply(call, target->node, target->fd, &stx);
}

int op_getattr(struct call *call)
{
	const struct fuse_getattr_in *in = call_args(call, struct fuse_getattr_in);
	struct target target;
	int rc = target_get(call, in->getattr_flags & FUSE_GETATTR_FH, in->fh, false, &target);

	if (rc != 0)
		return rc;
	rc = reply_attributes(call, &target);
	target_put(call, &target);
	return rc;
}

static int set_size(struct call *call, const struct target *target, uint64_t size, bool kill_set_id)
{
	struct share *share = call->share;
	struct quota_charge charge = { 0 };
	int fd = target->fd, opened = -1, rc;
	mode_t type;

	rc = owner_type(share, target->node, &type);
	if (rc < 0)
		return rc;
	if (!S_ISREG(type))
		return S_ISDIR(type) ? -EISDIR : -EINVAL;
	if (size > INT64_MAX)
		return -EFBIG;
	if (fd < 0 || !target->handle || (target->handle->flags & O_ACCMODE) == O_RDONLY) {
		fd = opened = share_open_node(share, target->node, O_WRONLY);
		if (fd < 0)
			return fd;
	}
	rc = owner_drop_capability(share, target->node, fd, true);
	if (rc == 0 && kill_set_id)
		rc = owner_kill_set_id(share, target->node, fd);
	/* What is longer has a hole there: no bytes come to be; what is shorter is given back. */
	if (rc == 0)
		rc = quota_begin(share, target->node, 0, &charge);
	if (rc == 0) {
		if (ftruncate(fd, (off_t)size) < 0)
			rc = -errno;
		quota_end(share, &charge);
	}
	if (rc == 0 && share->window)
		window_grown(share, target->node, size);
	if (opened >= 0)
		close(opened);
	return rc;
}

/* UTIME_OMIT, UTIME_NOW or the time itself. */
static int time_wanted(uint32_t valid, uint32_t set, uint32_t now, uint64_t sec, uint32_t nsec, struct timespec *out)
{
	*out = (struct timespec){ .tv_nsec = UTIME_OMIT };
	if (!(valid & set))
		return 0;
	if (valid & now) {
		out->tv_nsec = UTIME_NOW;
		return 0;
	}
	if (nsec > NSEC_MAX)
		return -EINVAL;
	*out = (struct timespec){ .tv_sec = (time_t)(int64_t)sec, .tv_nsec = nsec };
	return 0;
}

static int set_times(struct call *call, const struct target *target, const struct fuse_setattr_in *in)
{
	struct timespec times[2];
	char name[NODE_PROC_NAME];
	int rc;

	rc = time_wanted(in->valid, FATTR_ATIME, FATTR_ATIME_NOW, in->atime, in->atimensec, &times[0]);
	if (rc == 0)
		rc = time_wanted(in->valid, FATTR_MTIME, FATTR_MTIME_NOW, in->mtime, in->mtimensec, &times[1]);
	if (rc < 0)
		return rc;
	if (target->fd >= 0)
		return futimens(target->fd, times) < 0 ? -errno : 0;
	/* Through /proc, which ends at the inode itself, be it a link; AT_EMPTY_PATH is refused before Linux 5.8. */
	node_proc_name(target->node, name);
	return utimensat(call->share->proc_fd, name, times, 0) < 0 ? -errno : 0;
}

/* What the guest wants may be more than the host's inode can say, and take a block for an attribute (owner.h). */
static int set_owner(struct call *call, const struct target *target, const struct fuse_setattr_in *in, uint32_t valid)
{
	struct share *share = call->share;
	struct quota_charge charge = { 0 };
	int rc = quota_begin(share, target->node, share->options.owner == OWNER_SQUASH ? 1 : 0, &charge);

	if (rc == 0) {
		rc = owner_set(share, target->node, target->fd, valid, in->uid, in->gid, in->mode);
		quota_end(share, &charge);
	}
	return rc;
}

/* In the order in which a guest could not tell it from one step: new owners lose set-id bits, a new size new times. */
static int set_all(struct call *call, const struct target *target, const struct fuse_setattr_in *in)
{
	const uint32_t owner = FATTR_UID | FATTR_GID | FATTR_MODE;
	int rc = 0;

	if (in->valid & owner)
		rc = set_owner(call, target, in, in->valid & owner);
	if (rc == 0 && in->valid & FATTR_SIZE)
		rc = set_size(call, target, in->size, in->valid & FATTR_KILL_SUIDGID);
	if (rc == 0 && in->valid & (FATTR_ATIME | FATTR_MTIME))
		rc = set_times(call, target, in);
	return rc;
}

/* The same where another process has a lease on the file, which it gives back first. */
static int set_all_later(struct call *call, struct target *target, const struct fuse_setattr_in *in)
{
	const int had = target->fd;
	int rc = owner_wait(call, target->node, &target->fd);

	if (rc == 0) {
		rc = set_all(call, target, in);
		close(target->fd);
	}
	target->fd = had;
	return rc;
}

int op_setattr(struct call *call)
{
	const struct fuse_setattr_in *in = call_args(call, struct fuse_setattr_in);
	struct target target;
	int rc;

	if (call->share->options.readonly)
		return -EROFS;
	/*
	 * Blocks of the file are given back, and somebody's lease may have to be broken first; with quotas, whoever is
	 * at the disk with the file is waited for (quota_begin()). The rest is brief.
	 */
	if (!call->may_block || ((in->valid & FATTR_SIZE || call->share->quota) && !call_may_wait(call)))
		return CALL_BLOCKS;
	/* A file that was listed only (READDIRPLUS) is opened again where it stands, which is brief. */
	rc = target_get(call, in->valid & FATTR_FH, in->fh, true, &target);
	if (rc != 0)
		return rc;
	rc = node_is_kernel(target.node) ? -EACCES : set_all(call, &target, in);
	if (rc == -EAGAIN)
		rc = set_all_later(call, &target, in);
	if (rc == 0)
		rc = reply_attributes(call, &target);
	target_put(call, &target);
	return rc;
}

int op_readlink(struct call *call)
{
	char to[PATH_MAX];
	struct node *node;
	struct statx stx;
	ssize_t n;
	int rc = call_node(call, &node);

	if (rc != 0)
		return rc;
	if (S_ISLNK(node->type) && !call->may_block) {
		rc = node_statx(node, -1, &stx);
		if (rc == 0 && stx.stx_size >= TARGET_INLINE)
			rc = CALL_BLOCKS;
	}
	if (rc == 0 && S_ISLNK(node->type)) {
		n = readlinkat(node->fd, "", to, sizeof to);
		rc = n < 0 ? -errno : call_reply(call, to, (size_t)n);
	} else if (rc == 0) {
		rc = -EINVAL;
	}
	node_put(call->share, node);
	return rc;
}

/*
 * The guest's kernel checks by itself (default_permissions) and never asks; who asks all the same is answered by owner
 * and mode, as far as these say it: the caller's other groups are not known here.
 */
int op_access(struct call *call)
{
	const uint32_t mask = call_args(call, struct fuse_access_in)->mask & (R_OK | W_OK | X_OK);
	struct fuse_attr attr;
	struct node *node;
	struct statx stx;
	uint32_t bits;
	int rc = call_node(call, &node);

	if (rc != 0)
		return rc;
	rc = node_statx(node, -1, &stx);
	if (rc == 0)
		rc = attr_fill(call, node, -1, &stx, &attr);
	node_put(call->share, node);
	if (rc != 0)
		return rc;
	if (mask & W_OK && call->share->options.readonly)
		return -EROFS;
	bits = attr.mode;
	if (call->in.uid == 0) /* root may all, but execute what nobody may */
		bits = R_OK | W_OK | (S_ISDIR(bits) || bits & 0111 ? X_OK : 0);
	else if (call->in.uid == attr.uid)
		bits >>= 6;
	else if (call->in.gid == attr.gid)
		bits >>= 3;
	return mask & ~bits ? -EACCES : 0;
}

int op_statfs(struct call *call)
{
	struct fuse_statfs_out out = { 0 };
	struct node *node;
	struct statfs st;
	int rc;

	/* May look through all that is open. */
	if (call->share->quota && !call_may_wait(call))
		return CALL_BLOCKS;
	rc = call_node(call, &node);
	if (rc != 0)
		return rc;
	rc = fstatfs(node->fd, &st) < 0 ? -errno : 0;
	node_put(call->share, node);
	if (rc < 0)
		return rc;
	out.st.blocks = st.f_blocks;
	out.st.bfree = st.f_bfree;
	out.st.bavail = st.f_bavail;
	out.st.files = st.f_files;
	out.st.ffree = st.f_ffree;
	out.st.bsize = (uint32_t)st.f_bsize;
	out.st.namelen = (uint32_t)st.f_namelen;
	out.st.frsize = (uint32_t)(st.f_frsize ? st.f_frsize : st.f_bsize);
	quota_statfs(call->share, &out.st);
	return call_reply(call, &out, sizeof out);
}
