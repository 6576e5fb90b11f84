/* SPDX-License-Identifier: MIT */
/* op-xattr.c - not written yet. */
#include <errno.h>

#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/handle.h"
#include "plugins/virtio-fs/lock.h"
#include "plugins/virtio-fs/node.h"
#include "plugins/virtio-fs/owner.h"
#include "plugins/virtio-fs/quota.h"
#include "plugins/virtio-fs/window.h"

int op_getxattr(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_setxattr(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_listxattr(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_removexattr(struct call *call)
{
	(void)call;
	return -ENOSYS;
}
