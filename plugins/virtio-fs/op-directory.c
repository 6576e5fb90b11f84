/* SPDX-License-Identifier: MIT */
/* op-directory.c - not written yet. */
#include <errno.h>

#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/handle.h"
#include "plugins/virtio-fs/lock.h"
#include "plugins/virtio-fs/node.h"
#include "plugins/virtio-fs/owner.h"
#include "plugins/virtio-fs/quota.h"
#include "plugins/virtio-fs/window.h"

int op_opendir(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_readdir(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_readdirplus(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_releasedir(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_fsyncdir(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

void directory_free(struct directory *directory)
{
	(void)directory;
}
