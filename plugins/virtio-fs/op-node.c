/* SPDX-License-Identifier: MIT */
/* op-node.c - not written yet. */
#include <errno.h>

#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/handle.h"
#include "plugins/virtio-fs/lock.h"
#include "plugins/virtio-fs/node.h"
#include "plugins/virtio-fs/owner.h"
#include "plugins/virtio-fs/quota.h"
#include "plugins/virtio-fs/window.h"

int op_lookup(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_forget(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_batch_forget(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_getattr(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_setattr(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_readlink(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_access(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_statfs(struct call *call)
{
	(void)call;
	return -ENOSYS;
}
