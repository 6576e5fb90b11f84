/* SPDX-License-Identifier: MIT */
/* owner.c - see owner.h: chooses by options.owner; what both modes need. Called by the op-*.c files. */
#include "owner-private.h"

#include <errno.h>
#include <fcntl.h>

static bool squashes(const struct share *share)
{
	return share->options.owner == OWNER_SQUASH;
}

int owner_attributes(struct share *share, struct node *node, int fd, const struct statx *stx, struct fuse_attr *attr)
{
	*attr = (struct fuse_attr){
		.ino = node_inode_number(share, node, stx->stx_ino),
		.size = stx->stx_size,
		.blocks = stx->stx_blocks,
		.atime = (uint64_t)stx->stx_atime.tv_sec,
		.mtime = (uint64_t)stx->stx_mtime.tv_sec,
		.ctime = (uint64_t)stx->stx_ctime.tv_sec,
		.atimensec = stx->stx_atime.tv_nsec,
		.mtimensec = stx->stx_mtime.tv_nsec,
		.ctimensec = stx->stx_ctime.tv_nsec,
		.mode = stx->stx_mode,
		.nlink = stx->stx_nlink,
		.rdev = device_encode(stx->stx_rdev_major, stx->stx_rdev_minor),
		.blksize = stx->stx_blksize,
	};
	if (squashes(share))
		return owner_squash_attributes(share, node, fd, stx, attr);
	owner_host_attributes(share, stx, attr);
	return 0;
}

int owner_wait(struct call *call, const struct node *node, int *fd)
{
	if (!call_may_wait(call))
		return CALL_BLOCKS;
	*fd = share_open_node(call->share, node, O_RDONLY);
	return *fd < 0 ? *fd : 0;
}

int owner_type(struct share *share, struct node *node, mode_t *type)
{
	struct owner_record record;
	struct statx stx;
	int r;

	*type = node->type;
	/* Only regular files may be something else. */
	if (!squashes(share) || !S_ISREG(node->type))
		return 0;
	r = node_statx(node, -1, &stx);
	if (r == 0)
		r = owner_store_get(share, node, -1, &stx, &record);
	if (r == 0 && record.has & RECORD_MODE)
		*type = record.mode & S_IFMT;
	return r;
}

int owner_act(struct share *share, const struct call *call, struct owner_acting *acting)
{
	acting->acting = false;
	if (squashes(share))
		return owner_squash_check(share, call->in.uid, call->in.gid, EPERM);
	return owner_host_act(share, call->in.uid, call->in.gid, acting);
}

mode_t owner_create_mode(const struct share *share, mode_t mode)
{
	return squashes(share) ? owner_squash_host_mode(mode) : mode;
}

bool owner_emulates(const struct share *share, mode_t mode)
{
	return squashes(share) && (S_ISCHR(mode) || S_ISBLK(mode) || S_ISFIFO(mode) || S_ISSOCK(mode));
}

int owner_created(struct share *share, const struct call *call, struct node *parent, struct node *node, int fd,
                  mode_t mode, uint32_t rdev, struct statx *stx)
{
	/* OWNER_HOST: it was made by the right user, and the host's kernel did the rest. */
	return squashes(share) ? owner_squash_created(share, call, parent, node, fd, mode, rdev, stx) : 0;
}

int owner_set(struct share *share, struct node *node, int fd, uint32_t valid, uint32_t uid, uint32_t gid, mode_t mode)
{
	if (squashes(share))
		return owner_squash_set(share, node, fd, valid, uid, gid, mode);
	return owner_host_set(share, node, valid, uid, gid, mode);
}

int owner_kill_set_id(struct share *share, struct node *node, int fd)
{
	if (!S_ISREG(node->type))
		return 0;
	if (squashes(share))
		return owner_squash_kill_set_id(share, node, fd);
	return owner_host_kill_set_id(share, node, fd);
}

int owner_chmod(struct share *share, const struct node *node, mode_t mode)
{
	char name[NODE_PROC_NAME];

	/* There is no fchmod(2) of an O_PATH descriptor. */
	node_proc_name(node, name);
	return fchmodat(share->proc_fd, name, mode & 07777, 0) < 0 ? -errno : 0;
}

mode_t owner_without_set_id(mode_t mode)
{
	/* S_ISGID alone is no set-group-id, and stays as it does on local file systems. */
	return mode & ~(mode_t)(S_ISUID | (mode & S_IXGRP ? S_ISGID : 0));
}
