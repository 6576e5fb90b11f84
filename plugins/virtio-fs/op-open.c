/* SPDX-License-Identifier: MIT */
/* op-open.c - not written yet. */
#include <errno.h>

#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/handle.h"
#include "plugins/virtio-fs/lock.h"
#include "plugins/virtio-fs/node.h"
#include "plugins/virtio-fs/owner.h"
#include "plugins/virtio-fs/quota.h"
#include "plugins/virtio-fs/window.h"

int op_open(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_create(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_tmpfile(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_release(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_flush(struct call *call)
{
	(void)call;
	return -ENOSYS;
}
