/* SPDX-License-Identifier: MIT */
/* op-tree.c - not written yet. */
#include <errno.h>

#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/handle.h"
#include "plugins/virtio-fs/lock.h"
#include "plugins/virtio-fs/node.h"
#include "plugins/virtio-fs/owner.h"
#include "plugins/virtio-fs/quota.h"
#include "plugins/virtio-fs/window.h"

int op_mknod(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_mkdir(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_symlink(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_link(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_unlink(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_rmdir(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_rename(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_rename2(struct call *call)
{
	(void)call;
	return -ENOSYS;
}
