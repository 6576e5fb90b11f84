/* SPDX-License-Identifier: MIT */
/* session.c - not written yet. */
#include <errno.h>

#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/handle.h"
#include "plugins/virtio-fs/lock.h"
#include "plugins/virtio-fs/node.h"
#include "plugins/virtio-fs/owner.h"
#include "plugins/virtio-fs/quota.h"
#include "plugins/virtio-fs/window.h"

int op_init(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_destroy(struct call *call)
{
	(void)call;
	return -ENOSYS;
}
