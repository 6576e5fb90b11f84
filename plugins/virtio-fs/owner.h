/* SPDX-License-Identifier: MIT */
/*
 * owner.h - whose a file is and what may be done with it, as the guest sees it and as the host has it.
 *
 * OWNER_HOST: they are the same but for the maps. What the guest creates is created as the guest's user (setfsuid(2) on
 * the thread, privileges kept, so that neither ownership nor group inheritance needs a second step).
 *
 * OWNER_SQUASH: on the host everything belongs to capsa's own user, and its mode always lets that user in (0600, for
 * directories 0700, added), never with a set-id or sticky bit; other bits of the mode follow the guest's. What the
 * guest wants (owner, whole mode, type and number of device nodes, FIFOs and sockets) is kept in the extended attribute
 * "user.capsa.owner" of the file; special files are empty regular ones on the host. Links cannot have the attribute,
 * and some file systems have none: for these it is kept in memory, as long as the machine runs. Without the attribute a
 * file of capsa's own user looks like options.uid/gid, all others as the host (or the map) has them.
 *
 * The attribute is hostile, too (the guest's files may have been made elsewhere): checked when read.
 */
#ifndef CAPSA_VIRTIO_FS_OWNER_H
#define CAPSA_VIRTIO_FS_OWNER_H

#include "plugins/virtio-fs/call.h"
#include "plugins/virtio-fs/node.h"

#define OWNER_XATTR "user.capsa.owner"
#define OWNER_XATTR_CAPABILITY "user.capsa.x.security.capability" /* the guest's security.capability (op-xattr.c) */
#define OWNER_XATTR_PREFIX                                                                        \
	"user.capsa." /* all of these are ours: the guest neither sees nor sets them (op-xattr.c) \
	               */

int owners_new(struct share *share, struct owners **out);
void owners_free(struct owners *owners);

/*
 * Turns the host's attributes of a held node into the guest's, and those into FUSE's. `fd` >= 0: an open one of the
 * same inode, cheaper than going through the node. -errno where the attribute cannot be read for want of memory or the
 * like; -EAGAIN: without an open `fd` not while another process has a lease on the file (fcntl(2), F_SETLEASE). This
 * goes for all that take an `fd`. They never wait for that process.
 */
int owner_attributes(struct share *share, struct node *node, int fd, const struct statx *stx, struct fuse_attr *attr);
/* After -EAGAIN: CALL_BLOCKS, or on a worker waits and opens the file, for `fd` at the next try. 0 or -errno. */
int owner_wait(struct call *call, const struct node *node, int *fd);
/* Only the type that the guest sees (S_IFREG for the host's regular file may be S_IFCHR for the guest). */
int owner_type(struct share *share, struct node *node, mode_t *type);

/*
 * Around a system call that makes something new for the guest's user (call->in.uid, gid): OWNER_HOST switches the
 * thread's file system ids, the umask is 0 on every worker, see virtio-fs.c. -EPERM: an id that is not mapped.
 * owner_done() restores; call it after every successful owner_act().
 */
struct owner_acting {
	bool acting;
};
int owner_act(struct share *share, const struct call *call, struct owner_acting *acting);
void owner_done(struct owner_acting *acting);

/* The mode to create a file or directory with on the host when the guest wants `mode` (type bits included). */
mode_t owner_create_mode(const struct share *share, mode_t mode);
/* Whether a special file is made as a regular one here (OWNER_SQUASH). */
bool owner_emulates(const struct share *share, mode_t mode);
/*
 * Something was made: OWNER_SQUASH notes the caller's uid, gid (that of the parent where it has a set-group-id bit in
 * the guest's eyes), mode and rdev. `fd` is open or O_PATH. *stx are its attributes, before and after: the note may
 * have changed its ctime and its blocks. On -errno the caller removes what it made.
 */
int owner_created(struct share *share, const struct call *call, struct node *parent, struct node *node, int fd,
                  mode_t mode, uint32_t rdev, struct statx *stx);

/* chown and chmod. FATTR_UID, FATTR_GID, FATTR_MODE of `valid`; fd as above. Kills set-id bits as chown(2) does. 0 or
 * -errno. */
int owner_set(struct share *share, struct node *node, int fd, uint32_t valid, uint32_t uid, uint32_t gid, mode_t mode);
/*
 * The last name of an inode went (`stx`, with its birth time): what memory has of its owner goes, too, and its number
 * may be another's. Only where something is in memory (owner_remembers()) does it matter. Any thread.
 */
bool owner_remembers(const struct share *share);
void owner_removed(struct share *share, const struct statx *stx);
/* Someone wrote to the file or cut it: set-id bits go (FUSE_HANDLE_KILLPRIV_V2). Cheap where it has none. */
int owner_kill_set_id(struct share *share, struct node *node, int fd);
/*
 * The same, and a chown: the file's capabilities go, whoever did it (the guest's kernel leaves that to us, too). With
 * OWNER_HOST the host's kernel does it; with OWNER_SQUASH they are an attribute that it knows nothing of (op-xattr.c).
 * Known to have none it costs no system call. 0, -errno, or CALL_BLOCKS where it must be removed and `may_block` is
 * false.
 */
int owner_drop_capability(struct share *share, struct node *node, int fd, bool may_block);
/* The guest has just given it one, or was told of one. */
void owner_gave_capability(struct share *share, struct node *node);
/* Changes with each of these: as long as it is the same, a file without one has none. OWNER_HOST: always 0. */
unsigned owner_capabilities(const struct share *share);

#endif
