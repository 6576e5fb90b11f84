/* SPDX-License-Identifier: MIT */
/*
 * session.h - the end of a mount of the guest's; its beginning is op_init() (operations.h).
 */
#ifndef CAPSA_VIRTIO_FS_SESSION_H
#define CAPSA_VIRTIO_FS_SESSION_H

#include "plugins/virtio-fs/share.h"

/* Forgets nodes, handles, locks and mappings. No operation is under way. May take long: a descriptor each. */
void session_end(struct share *share);

#endif
