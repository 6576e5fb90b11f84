/* SPDX-License-Identifier: MIT */
/*
 * lock.h - flock(2) and POSIX locks on the host, where options.host_locks asks for it.
 *
 * A lock owner of the guest's (fuse_lk_in.owner) on a node is an open file description of its own with OFD locks
 * (F_OFD_SETLK) or flock(2): so owners of one guest exclude each other, and other machines and the host's processes
 * too. A wait (SETLKW) takes a worker; at most LOCK_WAITERS_MAX at a time, -ENOLCK beyond that, so that the others can
 * always go on; INTERRUPT and reset end it by a signal to its thread. FLUSH and RELEASE drop an owner's locks.
 */
#ifndef CAPSA_VIRTIO_FS_LOCK_H
#define CAPSA_VIRTIO_FS_LOCK_H

#include "plugins/virtio-fs/call.h"
#include "plugins/virtio-fs/handle.h"

#define LOCK_WAITERS_MAX 8u
#define LOCK_OWNERS_MAX 65536u

int locks_new(struct locks **out);
void locks_free(struct locks *locks);
/* Nobody waits any longer and all are dropped: reset, DESTROY. */
void locks_clear(struct share *share);
/* Wakes the waiters, with -EINTR; those that come are refused until locks_clear() was there. Any thread. */
void locks_cancel(struct share *share);
/* FLUSH: POSIX locks of the owner on the node. RELEASE with FUSE_RELEASE_FLOCK_UNLOCK: its flock. */
void locks_drop(struct share *share, uint64_t node, uint64_t owner, bool is_flock);

#endif
