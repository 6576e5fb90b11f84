/* SPDX-License-Identifier: MIT */
/*
 * dispatch.c - the table of operations: what each opcode carries, where it runs, whether it changes anything.
 *
 * What is not here gets ENOSYS, and for most of these the guest's kernel does not ask a second time: BMAP, IOCTL, POLL,
 * NOTIFY_REPLY, STATX (it falls back to GETATTR).
 *
 * WHERE. "Try" are those whose common case is in the host's caches; they run on the loop without waiting as far as that
 * can be known, and elsewhere for the rest. "Brief" is what waits for one directory's blocks or one inode's at most. A
 * thread hop costs more than that does nearly always, so it stays on the loop while the shared directory is quick, but
 * with quotas, and but for the process' first thread (virtio-fs.c); "quick" is the same of writing into the host's page
 * cache. "Data" and "quick" wait for the disk there only while nothing else of the guest's does. "Worker" are those
 * that wait for it by their nature. Whether it is somebody else that would be waited for (a lock, a lease) is found out
 * on the loop, where there is a way to ask.
 */
#include "plugins/virtio-fs/operations.h"

#include <stddef.h>

#define FUSE_SETXATTR_ARGS FUSE_COMPAT_SETXATTR_IN_SIZE /* FUSE_SETXATTR_EXT is not offered (session.c) */
#define FUSE_INIT_ARGS 16u                              /* what every 7.x has; flags2 are payload (session.c) */

/* clang-format off */
static const struct operation operations[] = {
#define OP(op, function, bytes, name_kind, place, writes) \
	[FUSE_##op] = { .name = #op, .run = function, .args = bytes, .names = name_kind, .where = place, .changes = writes }
	OP(LOOKUP,          op_lookup,          0,                                    ONE_NAME,        TRY_BRIEF, false),
	OP(FORGET,          op_forget,          sizeof(struct fuse_forget_in),        NO_NAME,         TRY_LOOP,  false),
	OP(BATCH_FORGET,    op_batch_forget,    sizeof(struct fuse_batch_forget_in),  NO_NAME,         TRY_LOOP,  false),
	OP(GETATTR,         op_getattr,         sizeof(struct fuse_getattr_in),       NO_NAME,         TRY_BRIEF, false),
	OP(SETATTR,         op_setattr,         sizeof(struct fuse_setattr_in),       NO_NAME,         TRY_BRIEF, true),
	OP(READLINK,        op_readlink,        0,                                    NO_NAME,         TRY_BRIEF, false),
	OP(SYMLINK,         op_symlink,         0,                                    NAME_AND_TARGET, ON_BRIEF,  true),
	OP(MKNOD,           op_mknod,           sizeof(struct fuse_mknod_in),         ONE_NAME,        ON_BRIEF,  true),
	OP(MKDIR,           op_mkdir,           sizeof(struct fuse_mkdir_in),         ONE_NAME,        ON_BRIEF,  true),
	OP(UNLINK,          op_unlink,          0,                                    ONE_NAME,        ON_BRIEF,  true),
	OP(RMDIR,           op_rmdir,           0,                                    ONE_NAME,        ON_BRIEF,  true),
	OP(RENAME,          op_rename,          sizeof(struct fuse_rename_in),        TWO_NAMES,       ON_BRIEF,  true),
	OP(RENAME2,         op_rename2,         sizeof(struct fuse_rename2_in),       TWO_NAMES,       ON_BRIEF,  true),
	OP(LINK,            op_link,            sizeof(struct fuse_link_in),          ONE_NAME,        ON_BRIEF,  true),
	OP(OPEN,            op_open,            sizeof(struct fuse_open_in),          NO_NAME,         TRY_LOOP,  false),
	OP(CREATE,          op_create,          sizeof(struct fuse_create_in),        ONE_NAME,        ON_BRIEF,  false),
	/* Linux sends "/" for a name, which says nothing. */
	OP(TMPFILE,         op_tmpfile,         sizeof(struct fuse_create_in),        NO_NAME,         ON_BRIEF,  true),
	OP(READ,            op_read,            sizeof(struct fuse_read_in),          NO_NAME,         TRY_DATA,  false),
	OP(WRITE,           op_write,           sizeof(struct fuse_write_in),         NO_NAME,         TRY_QUICK, true),
	OP(STATFS,          op_statfs,          0,                                    NO_NAME,         TRY_BRIEF, false),
	OP(RELEASE,         op_release,         sizeof(struct fuse_release_in),       NO_NAME,         TRY_BRIEF, false),
	OP(FLUSH,           op_flush,           sizeof(struct fuse_flush_in),         NO_NAME,         TRY_LOOP,  false),
	OP(FSYNC,           op_fsync,           sizeof(struct fuse_fsync_in),         NO_NAME,         ON_WORKER, false),
	OP(SYNCFS,          op_syncfs,          sizeof(struct fuse_syncfs_in),        NO_NAME,         ON_WORKER, false),
	OP(SETXATTR,        op_setxattr,        FUSE_SETXATTR_ARGS,                   XATTR_NAME,      ON_BRIEF,  true),
	OP(GETXATTR,        op_getxattr,        sizeof(struct fuse_getxattr_in),      XATTR_NAME,      TRY_BRIEF, false),
	OP(LISTXATTR,       op_listxattr,       sizeof(struct fuse_getxattr_in),      NO_NAME,         TRY_BRIEF, false),
	OP(REMOVEXATTR,     op_removexattr,     0,                                    XATTR_NAME,      ON_BRIEF,  true),
	[FUSE_INIT] = { .name = "INIT", .run = op_init, .args = FUSE_INIT_ARGS, .where = TRY_LOOP, .alone = true },
	[FUSE_DESTROY] = { .name = "DESTROY", .run = op_destroy, .where = TRY_LOOP, .alone = true },
	OP(OPENDIR,         op_opendir,         sizeof(struct fuse_open_in),          NO_NAME,         TRY_BRIEF, false),
	OP(READDIR,         op_readdir,         sizeof(struct fuse_read_in),          NO_NAME,         TRY_BRIEF, false),
	OP(READDIRPLUS,     op_readdirplus,     sizeof(struct fuse_read_in),          NO_NAME,         TRY_BRIEF, false),
	OP(RELEASEDIR,      op_releasedir,      sizeof(struct fuse_release_in),       NO_NAME,         TRY_BRIEF, false),
	OP(FSYNCDIR,        op_fsyncdir,        sizeof(struct fuse_fsync_in),         NO_NAME,         ON_WORKER, false),
	OP(GETLK,           op_getlk,           sizeof(struct fuse_lk_in),            NO_NAME,         TRY_LOOP,  false),
	OP(SETLK,           op_setlk,           sizeof(struct fuse_lk_in),            NO_NAME,         TRY_LOOP,  false),
	OP(SETLKW,          op_setlkw,          sizeof(struct fuse_lk_in),            NO_NAME,         TRY_LOOP,  false),
	OP(ACCESS,          op_access,          sizeof(struct fuse_access_in),        NO_NAME,         TRY_BRIEF, false),
	OP(INTERRUPT,       op_interrupt,       sizeof(struct fuse_interrupt_in),     NO_NAME,         ON_LOOP,   false),
	OP(FALLOCATE,       op_fallocate,       sizeof(struct fuse_fallocate_in),     NO_NAME,         ON_WORKER, true),
	OP(LSEEK,           op_lseek,           sizeof(struct fuse_lseek_in),         NO_NAME,         TRY_LOOP,  false),
	OP(COPY_FILE_RANGE, op_copy_file_range, sizeof(struct fuse_copy_file_range_in), NO_NAME,       ON_WORKER, true),
	OP(SETUPMAPPING,    op_setupmapping,    sizeof(struct fuse_setupmapping_in),  NO_NAME,         TRY_LOOP,  false),
	OP(REMOVEMAPPING,   op_removemapping,   sizeof(struct fuse_removemapping_in), NO_NAME,         TRY_LOOP,  false),
#undef OP
};
/* clang-format on */

const struct operation *operation_find(uint32_t opcode)
{
	if (opcode >= sizeof operations / sizeof operations[0] || !operations[opcode].run)
		return NULL;
	return &operations[opcode];
}
