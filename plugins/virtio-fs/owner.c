/* SPDX-License-Identifier: MIT */
/* owner.c - not written yet. */
#include <errno.h>

#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/handle.h"
#include "plugins/virtio-fs/lock.h"
#include "plugins/virtio-fs/node.h"
#include "plugins/virtio-fs/owner.h"
#include "plugins/virtio-fs/quota.h"
#include "plugins/virtio-fs/window.h"

int owners_new(struct share *share, struct owners **out)
{
	(void)share;
	(void)out;
	return -ENOSYS;
}

void owners_free(struct owners *owners)
{
	(void)owners;
}

int owner_attributes(struct share *share, struct node *node, int fd, const struct statx *stx, struct fuse_attr *attr)
{
	(void)share;
	(void)node;
	(void)fd;
	(void)stx;
	(void)attr;
	return 0;
}

int owner_type(struct share *share, struct node *node, mode_t *type)
{
	(void)share;
	(void)node;
	(void)type;
	return 0;
}

int owner_act(struct share *share, const struct call *call, struct owner_acting *acting)
{
	(void)share;
	(void)call;
	(void)acting;
	return 0;
}

void owner_done(struct owner_acting *acting)
{
	(void)acting;
}

mode_t owner_create_mode(const struct share *share, mode_t mode)
{
	(void)share;
	(void)mode;
	return 0;
}

bool owner_emulates(const struct share *share, mode_t mode)
{
	(void)share;
	(void)mode;
	return 0;
}

int owner_created(struct share *share, const struct call *call, struct node *parent, struct node *node, int fd,
                  mode_t mode, uint32_t rdev)
{
	(void)share;
	(void)call;
	(void)parent;
	(void)node;
	(void)fd;
	(void)mode;
	(void)rdev;
	return 0;
}

int owner_set(struct share *share, struct node *node, int fd, uint32_t valid, uint32_t uid, uint32_t gid, mode_t mode)
{
	(void)share;
	(void)node;
	(void)fd;
	(void)valid;
	(void)uid;
	(void)gid;
	(void)mode;
	return 0;
}

int owner_kill_set_id(struct share *share, struct node *node, int fd)
{
	(void)share;
	(void)node;
	(void)fd;
	return 0;
}
