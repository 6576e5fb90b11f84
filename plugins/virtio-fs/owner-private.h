/* SPDX-License-Identifier: MIT */
/*
 * owner-private.h - what the files of this room share; nobody else includes it.
 *
 *     owner.c         owner.h's functions, each for both modes       owner-host.c    OWNER_HOST
 *     owner-squash.c  OWNER_SQUASH: the guest's view of an inode      owner-store.c   where records are kept
 *     owner-record.c  a record and its text
 */
#ifndef CAPSA_VIRTIO_FS_OWNER_PRIVATE_H
#define CAPSA_VIRTIO_FS_OWNER_PRIVATE_H

#include "plugins/virtio-fs/host-inode.h"
#include "plugins/virtio-fs/owner.h"

#define OWNER_NOBODY 65534u /* looks so what no map has, as in user namespaces (overflowuid) */
#define OWNER_NO_ID UINT32_MAX

/* Records in memory, of all inodes that cannot have the attribute: about 20 MiB. */
#define OWNER_MEMORY_MAX (1u << 18)

/* owner-record.c */

enum {
	RECORD_UID = 1 << 0,
	RECORD_GID = 1 << 1,
	RECORD_MODE = 1 << 2, /* and rdev */
};

/* What the guest wants otherwise than the host shows it; `has` says which of it. */
struct owner_record {
	unsigned has;
	uint32_t uid, gid; /* the guest's numbers */
	uint32_t mode;     /* type and all */
	uint32_t rdev;     /* as FUSE has it */
};

#define OWNER_RECORD_TEXT_MAX 64u

/* Returns the bytes of the text, without a terminator. */
size_t owner_record_write(const struct owner_record *record, char text[OWNER_RECORD_TEXT_MAX]);
/* Of an inode of the host's `type`. False: not a text that owner_record_write() makes of a record that may be. */
bool owner_record_read(struct owner_record *record, mode_t type, const char *text, size_t len);

/* owner-store.c */

struct owners;
uid_t owners_uid(const struct owners *owners); /* capsa's own */
gid_t owners_gid(const struct owners *owners);
/* Whoever changes a node's record, its mode, or node->owner, holds this meanwhile. */
void owners_lock(struct owners *owners, const struct node *node);
void owners_unlock(struct owners *owners, const struct node *node);

/*
 * The record of a held node, whose attributes were `stx` before this call; has == 0: none. `fd` as in owner.h. Not
 * under owners_lock(). 0 or -errno.
 */
int owner_store_get(struct share *share, struct node *node, int fd, const struct statx *stx,
                    struct owner_record *record);
/*
 * A file that was just made has this record, or none: whoever gets it next, of the same `stx`, need not read it. Not
 * under owners_lock().
 */
void owner_store_made(struct share *share, struct node *node, const struct statx *stx,
                      const struct owner_record *record);
/* The same past the cache, for who will change it; under owners_lock(). */
int owner_store_read(struct share *share, struct node *node, int fd, const struct statx *stx,
                     struct owner_record *record);
/* Keeps another one, or none; under owners_lock(). -EPERM, -EACCES: the file is not ours; -ENOSPC. */
int owner_store_set(struct share *share, struct node *node, int fd, const struct statx *stx,
                    const struct owner_record *record);

/* owner-host.c */

void owner_host_attributes(const struct share *share, const struct statx *stx, struct fuse_attr *attr);
int owner_host_act(struct share *share, uint32_t uid, uint32_t gid, struct owner_acting *acting);
int owner_host_set(struct share *share, struct node *node, uint32_t valid, uint32_t uid, uint32_t gid, mode_t mode);
int owner_host_kill_set_id(struct share *share, struct node *node, int fd);

/* owner-squash.c */

int owner_squash_attributes(struct share *share, struct node *node, int fd, const struct statx *stx,
                            struct fuse_attr *attr);
/* 0, or -error where the guest may not use one of the numbers. */
int owner_squash_check(const struct share *share, uint32_t uid, uint32_t gid, int error);
mode_t owner_squash_host_mode(mode_t mode);
int owner_squash_created(struct share *share, const struct call *call, struct node *parent, struct node *node, int fd,
                         mode_t mode, uint32_t rdev, struct statx *stx);
int owner_squash_set(struct share *share, struct node *node, int fd, uint32_t valid, uint32_t uid, uint32_t gid,
                     mode_t mode);
int owner_squash_kill_set_id(struct share *share, struct node *node, int fd);

/* owner.c: for both modes */

/* chmod of a held node that is no link. 0 or -errno. */
int owner_chmod(struct share *share, const struct node *node, mode_t mode);
/* Whether a write, or a chown of a file, takes set-id bits from `mode`; and what is left of it. */
mode_t owner_without_set_id(mode_t mode);

#endif
