/* SPDX-License-Identifier: MIT */
/*
 * operations.h - the operations of FUSE 7.x (linux/fuse.h), one function each, and the table that finds them.
 *
 * Each returns 0, -errno, CALL_BLOCKS or CALL_NO_REPLY (call.h).
 */
#ifndef CAPSA_VIRTIO_FS_OPERATIONS_H
#define CAPSA_VIRTIO_FS_OPERATIONS_H

#include "plugins/virtio-fs/call.h"

enum where {
	ON_LOOP,   /* never waits for long */
	TRY_LOOP,  /* may say CALL_BLOCKS, then on a worker */
	TRY_QUICK, /* as TRY_DATA; with is_quick it may do more on the loop, as long as that is quick */
	TRY_DATA,  /* may say CALL_BLOCKS; then on the loop if nobody else would wait, or on a worker */
	TRY_BRIEF, /* may say CALL_BLOCKS, then as ON_BRIEF */
	ON_BRIEF,  /* waits, but for little: on the loop (is_brief) or, with quotas always, on a worker; may_block true
	            */
	ON_WORKER, /* waits */
};

enum names { NO_NAME, ONE_NAME, TWO_NAMES, NAME_AND_TARGET, XATTR_NAME };

struct operation {
	const char *name; /* "LOOKUP", for messages and counters */
	int (*run)(struct call *call);
	uint16_t args; /* bytes of the fixed part */
	uint8_t names; /* enum names: behind the fixed part */
	uint8_t where; /* enum where */
	bool alone;    /* no other runs meanwhile: INIT and DESTROY, which forget all nodes and handles */
	bool changes;  /* always changes something: EROFS on a readonly share. OPEN, CREATE, SETLK decide themselves */
};

/* NULL: not served (the guest gets ENOSYS and does not ask again). */
const struct operation *operation_find(uint32_t opcode);

/* session.c */
int op_init(struct call *call);
int op_destroy(struct call *call);
int op_interrupt(struct call *call); /* lock.c */
/* op-node.c: names and attributes */
int op_lookup(struct call *call);
int op_forget(struct call *call);
int op_batch_forget(struct call *call);
int op_getattr(struct call *call);
int op_setattr(struct call *call);
int op_readlink(struct call *call);
int op_access(struct call *call);
int op_statfs(struct call *call);
/* op-tree.c: what changes directories */
int op_mknod(struct call *call);
int op_mkdir(struct call *call);
int op_symlink(struct call *call);
int op_link(struct call *call);
int op_unlink(struct call *call);
int op_rmdir(struct call *call);
int op_rename(struct call *call);
int op_rename2(struct call *call);
/* op-open.c: opening and closing files */
int op_open(struct call *call);
int op_create(struct call *call);
int op_tmpfile(struct call *call);
int op_release(struct call *call);
int op_flush(struct call *call);
/* op-file.c: contents of files */
int op_read(struct call *call);
int op_write(struct call *call);
int op_fsync(struct call *call);
int op_lseek(struct call *call);
int op_fallocate(struct call *call);
int op_copy_file_range(struct call *call);
int op_syncfs(struct call *call);
/* op-directory.c */
int op_opendir(struct call *call);
int op_readdir(struct call *call);
int op_readdirplus(struct call *call);
int op_releasedir(struct call *call);
int op_fsyncdir(struct call *call);
/* op-xattr.c */
int op_getxattr(struct call *call);
int op_setxattr(struct call *call);
int op_listxattr(struct call *call);
int op_removexattr(struct call *call);
/* lock.c */
int op_getlk(struct call *call);
int op_setlk(struct call *call);
int op_setlkw(struct call *call);
/* window.c */
int op_setupmapping(struct call *call);
int op_removemapping(struct call *call);

#endif
