/* SPDX-License-Identifier: MIT */
/*
 * owner-host.c - OWNER_HOST: the host's owners are the guest's.
 *
 * ACTING. What is made, is made with the file system ids of the guest's user, so that it belongs to that user from
 * the first moment, and group inheritance and disk quotas are the host's affair. Who may do what was decided by the
 * guest's kernel (default_permissions), which knows the user's other groups; so capsa's capabilities must stay as they
 * are, whoever it acts for. By default Linux takes the file system ones away with the last fsuid of 0
 * (capabilities(7)); SECBIT_NO_SETUID_FIXUP, a bit of the thread, says no.
 *
 * CAP_FSETID stays, too. With it the host does not take S_ISGID from a file that is made in, or moved by chmod to, a
 * group which its maker is not in. It could not tell: the guest's user has groups that the host knows nothing about.
 * The guest's kernel takes the bit itself before it sends the request (inode creation since Linux 6.0, chmod always).
 * Set-id bits that a write or truncation takes are ours to take, for the same reason: owner_host_kill_set_id().
 * chown(2) takes them from root as well.
 *
 * All this needs privileges: without them there is no such share (virtio-fs.c, share->is_root).
 */
#include "owner-private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <unistd.h>

/*
 * What the kernel knows of a thread and we should not have to ask or tell again: ids are per thread here (the C
 * library's setuid() changes all, setfsuid() one).
 */
static _Thread_local struct {
	bool prepared;      /* SECBIT_NO_SETUID_FIXUP is set, and the rest of this is valid */
	uid_t own_uid;      /* to go back to */
	gid_t own_gid;      /* likewise */
	uid_t could_be_uid; /* that setfsuid() took it was seen */
	gid_t could_be_gid;
} thread;

void owner_host_attributes(const struct share *share, const struct statx *stx, struct fuse_attr *attr)
{
	if (!id_to_guest(&share->options.uid_map, stx->stx_uid, &attr->uid))
		attr->uid = OWNER_NOBODY;
	if (!id_to_guest(&share->options.gid_map, stx->stx_gid, &attr->gid))
		attr->gid = OWNER_NOBODY;
}

static int prepare_thread(void)
{
	const int bits = prctl(PR_GET_SECUREBITS);

	if (bits < 0)
		return -errno;
	if (!(bits & SECBIT_NO_SETUID_FIXUP) &&
	    prctl(PR_SET_SECUREBITS, (unsigned long)bits | SECBIT_NO_SETUID_FIXUP) < 0)
		return -errno;
	thread.own_uid = thread.could_be_uid = geteuid();
	thread.own_gid = thread.could_be_gid = getegid();
	thread.prepared = true;
	return 0;
}

/* setfsuid(2) does not say whether it did. It may not, in a user namespace that has no such id. */
static bool become(uid_t uid, gid_t gid)
{
	setfsgid(gid);
	setfsuid(uid);
	if (gid != thread.could_be_gid && (gid_t)setfsgid((gid_t)-1) != gid)
		return false;
	if (uid != thread.could_be_uid && (uid_t)setfsuid((uid_t)-1) != uid)
		return false;
	thread.could_be_uid = uid;
	thread.could_be_gid = gid;
	return true;
}

int owner_host_act(struct share *share, uint32_t uid, uint32_t gid, struct owner_acting *acting)
{
	const struct options *options = &share->options;
	uint32_t host_uid, host_gid;
	int r;

	if (!id_to_host(&options->uid_map, uid, &host_uid) || !id_to_host(&options->gid_map, gid, &host_gid) ||
	    host_uid == OWNER_NO_ID || host_gid == OWNER_NO_ID)
		return -EPERM;
	if (host_uid == owners_uid(share->owners) && host_gid == owners_gid(share->owners))
		return 0;
	r = thread.prepared ? 0 : prepare_thread();
	if (r < 0)
		return r;
	if (!become(host_uid, host_gid)) {
		become(thread.own_uid, thread.own_gid);
		return -EPERM;
	}
	acting->acting = true;
	return 0;
}

void owner_done(struct owner_acting *acting)
{
	if (!acting->acting)
		return;
	setfsuid(thread.own_uid);
	setfsgid(thread.own_gid);
	acting->acting = false;
}

int owner_host_set(struct share *share, struct node *node, uint32_t valid, uint32_t uid, uint32_t gid, mode_t mode)
{
	uint32_t host_uid = OWNER_NO_ID, host_gid = OWNER_NO_ID;
	int r = 0;

	/* As chown(2) in a user namespace. -1 would mean "leave it" here, to the guest it cannot. */
	if (valid & FATTR_UID && (!id_to_host(&share->options.uid_map, uid, &host_uid) || host_uid == OWNER_NO_ID))
		return -EINVAL;
	if (valid & FATTR_GID && (!id_to_host(&share->options.gid_map, gid, &host_gid) || host_gid == OWNER_NO_ID))
		return -EINVAL;
	owners_lock(share->owners, node);
	if (valid & (FATTR_UID | FATTR_GID) && fchownat(node->fd, "", host_uid, host_gid, AT_EMPTY_PATH) < 0)
		r = -errno;
	if (r == 0 && valid & FATTR_MODE)
		r = owner_chmod(share, node, mode);
	owners_unlock(share->owners, node);
	return r;
}

int owner_host_kill_set_id(struct share *share, struct node *node, int fd)
{
	struct statx stx;
	mode_t mode;
	int r = node_statx(node, fd, &stx);

	if (r < 0 || owner_without_set_id(stx.stx_mode) == stx.stx_mode)
		return r;
	owners_lock(share->owners, node);
	r = node_statx(node, fd, &stx);
	mode = owner_without_set_id(stx.stx_mode);
	if (r == 0 && mode != stx.stx_mode)
		r = owner_chmod(share, node, mode);
	owners_unlock(share->owners, node);
	return r;
}
