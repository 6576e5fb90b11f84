/* SPDX-License-Identifier: MIT */
/* op-file.c - not written yet. */
#include <errno.h>

#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/handle.h"
#include "plugins/virtio-fs/lock.h"
#include "plugins/virtio-fs/node.h"
#include "plugins/virtio-fs/owner.h"
#include "plugins/virtio-fs/quota.h"
#include "plugins/virtio-fs/window.h"

int op_read(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_write(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_fsync(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_lseek(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_fallocate(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_copy_file_range(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_syncfs(struct call *call)
{
	(void)call;
	return -ENOSYS;
}
