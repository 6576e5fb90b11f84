/* SPDX-License-Identifier: MIT */
/*
 * owner-squash.c - OWNER_SQUASH: what an inode looks like to the guest, and what a chown or chmod makes of it.
 *
 * THE VIEW is the default with a record over it (owner-store.c). The default is made of the host's attributes: capsa's
 * own user and group look like options.uid and gid, others go through the maps; mode and type are the host's.
 *
 * A RECORD has only what differs from that, and there is none where nothing does: files of a guest whose user is
 * options.uid have no attribute, and stay plain files on the host. What is changed back, loses its record.
 *
 * THE HOST'S MODE has the guest's permission bits and always 0600 (directories 0700), or capsa itself could not open
 * the file again; the guest's kernel says no where the guest's mode does. It never gets a set-id bit (the file belongs
 * to capsa's user: it would lend that user's rights to whoever runs it on the host) or the sticky bit.
 *
 * THE HOST'S OWNER is never changed, there is no chown(2) to another id in this file. What does not belong to capsa's
 * user is not changed at all, unless capsa is privileged: not even in the guest's eyes, since the record could not be
 * kept.
 */
#include "owner-private.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct view {
	uint32_t uid, gid, mode, rdev;
};

static uint32_t default_id(uint32_t host, uint32_t own, uint32_t looks_like, const struct id_map *map)
{
	uint32_t guest;

	if (host == own)
		return looks_like;
	return id_to_guest(map, host, &guest) ? guest : OWNER_NOBODY;
}

static struct view default_view(const struct share *share, const struct statx *stx)
{
	const struct options *options = &share->options;

	return (struct view){
		.uid = default_id(stx->stx_uid, owners_uid(share->owners), options->uid, &options->uid_map),
		.gid = default_id(stx->stx_gid, owners_gid(share->owners), options->gid, &options->gid_map),
		.mode = stx->stx_mode,
		.rdev = device_encode(stx->stx_rdev_major, stx->stx_rdev_minor),
	};
}

static bool id_is_allowed(uint32_t id, uint32_t looks_like, const struct id_map *map)
{
	uint32_t host;

	return id != OWNER_NO_ID && (id == looks_like || id_to_host(map, id, &host));
}

static bool uid_is_allowed(const struct share *share, uint32_t uid)
{
	return id_is_allowed(uid, share->options.uid, &share->options.uid_map);
}

static bool gid_is_allowed(const struct share *share, uint32_t gid)
{
	return id_is_allowed(gid, share->options.gid, &share->options.gid_map);
}

int owner_squash_check(const struct share *share, uint32_t uid, uint32_t gid, int error)
{
	return uid_is_allowed(share, uid) && gid_is_allowed(share, gid) ? 0 : -error;
}

static struct view view_of(const struct share *share, const struct statx *stx, const struct owner_record *record)
{
	struct view view = default_view(share, stx);

	/* A record of other maps than today's, or of another hand. */
	if (record->has & RECORD_UID)
		view.uid = uid_is_allowed(share, record->uid) ? record->uid : OWNER_NOBODY;
	if (record->has & RECORD_GID)
		view.gid = gid_is_allowed(share, record->gid) ? record->gid : OWNER_NOBODY;
	if (record->has & RECORD_MODE) {
		view.mode = record->mode;
		view.rdev = record->rdev;
	}
	return view;
}

/* What must be recorded for an inode with the attributes `stx` to look like `view`. */
static struct owner_record record_of(const struct share *share, const struct statx *stx, const struct view *view)
{
	const struct view shown = default_view(share, stx);
	struct owner_record record = { .uid = view->uid, .gid = view->gid, .mode = view->mode, .rdev = view->rdev };

	if (view->uid != shown.uid)
		record.has |= RECORD_UID;
	if (view->gid != shown.gid)
		record.has |= RECORD_GID;
	if (view->mode != shown.mode || view->rdev != shown.rdev)
		record.has |= RECORD_MODE;
	return record;
}

mode_t owner_squash_host_mode(mode_t mode)
{
	const mode_t type = mode & S_IFMT;
	const mode_t host_type = type == 0 || type == S_IFDIR || type == S_IFLNK ? type : S_IFREG;

	return host_type | (mode & 0777) | (type == S_IFDIR ? 0700 : 0600);
}

int owner_squash_attributes(struct share *share, struct node *node, int fd, const struct statx *stx,
                            struct fuse_attr *attr)
{
	struct owner_record record;
	struct view view;
	int r = owner_store_get(share, node, fd, stx, &record);

	if (r < 0)
		return r;
	view = view_of(share, stx, &record);
	attr->uid = view.uid;
	attr->gid = view.gid;
	attr->mode = view.mode;
	attr->rdev = view.rdev;
	/* Another type than the host's: it has no contents. */
	if ((view.mode & S_IFMT) != (stx->stx_mode & S_IFMT))
		attr->size = attr->blocks = 0;
	return 0;
}

/* New inodes inherit the group of a directory with a set-group-id bit, and directories the bit (inode_init_owner()). */
static int inherit(struct share *share, struct node *parent, struct view *view)
{
	struct owner_record record;
	struct statx stx;
	struct view from;
	int r = node_statx(parent, -1, &stx);

	if (r == 0)
		r = owner_store_get(share, parent, -1, &stx, &record);
	if (r < 0)
		return r;
	from = view_of(share, &stx, &record);
	if (from.mode & S_ISGID) {
		view->gid = from.gid;
		if (S_ISDIR(view->mode))
			view->mode |= S_ISGID;
	}
	return 0;
}

int owner_squash_created(struct share *share, const struct call *call, struct node *parent, struct node *node, int fd,
                         mode_t mode, uint32_t rdev, struct statx *stx)
{
	struct view view = { .uid = call->in.uid, .gid = call->in.gid };
	struct owner_record record;
	int r;

	/* Links have no mode of their own, and not every caller knows types of what it makes. */
	if (S_ISLNK(node->type))
		view.mode = stx->stx_mode;
	else
		view.mode = (mode & S_IFMT ? mode & S_IFMT : node->type) | (mode & 07777);
	if (S_ISCHR(view.mode) || S_ISBLK(view.mode))
		view.rdev = rdev;
	r = inherit(share, parent, &view);
	if (r < 0)
		return r;
	atomic_store(&node->owner.no_capability, true);
	/* Whose number it has now. */
	owner_removed(share, stx);
	record = record_of(share, stx, &view);
	if (record.has) {
		owners_lock(share->owners, node);
		r = owner_store_set(share, node, fd, stx, &record);
		owners_unlock(share->owners, node);
		if (r == 0)
			r = node_statx(node, fd, stx);
	}
	/* A descriptor is that of the very inode that was made; a name could be another's by now, with a record. */
	if (r == 0 && fd >= 0 && S_ISREG(node->type))
		owner_store_made(share, node, stx, &record);
	return r;
}

static bool is_ours(const struct share *share, const struct statx *stx)
{
	return share->is_root || stx->stx_uid == owners_uid(share->owners);
}

/* Makes the node look like `view`; under owners_lock(), with its attributes of now. */
static int change(struct share *share, struct node *node, int fd, struct statx *stx, const struct owner_record *former,
                  const struct view *view, bool chmod)
{
	const mode_t mode = stx->stx_mode;
	struct owner_record record;
	int r = 0;

	if (!is_ours(share, stx))
		return -EPERM;
	/* A chmod always, even to the same: the guest expects a new ctime. Of a set-id bit that the host gave, too. */
	if (chmod && !S_ISLNK(mode)) {
		stx->stx_mode = (uint16_t)((mode & S_IFMT) |
		                           (owner_squash_host_mode((mode & S_IFMT) | (view->mode & 0777)) & 07777));
		r = owner_chmod(share, node, stx->stx_mode);
		if (r < 0)
			return r;
	}
	record = record_of(share, stx, view);
	if (record.has || former->has)
		r = owner_store_set(share, node, fd, stx, &record);
	if (r == 0 && !chmod)
		/* Both "leave it": a new ctime, which a record in memory does not make. */
		r = fchownat(node->fd, "", (uid_t)-1, (gid_t)-1, AT_EMPTY_PATH) < 0 ? -errno : 0;
	if (r < 0 && stx->stx_mode != mode)
		/* There is nothing to be done if that fails: the host shows another mode than the guest, either way. */
		(void)owner_chmod(share, node, mode);
	return r;
}

/* What the guest sees now, past the cache; under owners_lock(). */
static int view_now(struct share *share, struct node *node, int fd, struct statx *stx, struct owner_record *record,
                    struct view *view)
{
	int r = node_statx(node, fd, stx);

	if (r == 0)
		r = owner_store_read(share, node, fd, stx, record);
	if (r == 0)
		*view = view_of(share, stx, record);
	return r;
}

static int set_locked(struct share *share, struct node *node, int fd, uint32_t valid, uint32_t uid, uint32_t gid,
                      mode_t mode)
{
	struct owner_record record;
	struct statx stx;
	struct view view, former;
	int r = view_now(share, node, fd, &stx, &record, &view);

	if (r < 0)
		return r;
	former = view;
	if (valid & FATTR_UID)
		view.uid = uid;
	if (valid & FATTR_GID)
		view.gid = gid;
	if (valid & (FATTR_UID | FATTR_GID) && !S_ISDIR(view.mode))
		view.mode = owner_without_set_id(view.mode);
	if (valid & FATTR_MODE) {
		if (S_ISLNK(view.mode))
			return -EOPNOTSUPP;
		view.mode = (view.mode & S_IFMT) | (mode & 07777);
	}
	return change(share, node, fd, &stx, &record, &view, valid & FATTR_MODE || view.mode != former.mode);
}

int owner_squash_set(struct share *share, struct node *node, int fd, uint32_t valid, uint32_t uid, uint32_t gid,
                     mode_t mode)
{
	int r;

	if (!(valid & (FATTR_UID | FATTR_GID | FATTR_MODE)))
		return 0;
	/* As chown(2) in a user namespace. */
	if ((valid & FATTR_UID && !uid_is_allowed(share, uid)) || (valid & FATTR_GID && !gid_is_allowed(share, gid)))
		return -EINVAL;
	owners_lock(share->owners, node);
	r = set_locked(share, node, fd, valid, uid, gid, mode);
	owners_unlock(share->owners, node);
	if (r == 0 && valid & (FATTR_UID | FATTR_GID))
		r = owner_drop_capability(share, node, fd, true);
	return r;
}

int owner_squash_kill_set_id(struct share *share, struct node *node, int fd)
{
	struct owner_record record;
	struct statx stx;
	struct view view;
	int r = node_statx(node, fd, &stx);

	if (r == 0)
		r = owner_store_get(share, node, fd, &stx, &record);
	if (r < 0)
		return r;
	view = view_of(share, &stx, &record);
	/* Those of another's file the host's kernel takes at the write itself. */
	if (owner_without_set_id(view.mode) == view.mode || !is_ours(share, &stx))
		return 0;
	owners_lock(share->owners, node);
	r = view_now(share, node, fd, &stx, &record, &view);
	if (r == 0 && owner_without_set_id(view.mode) != view.mode) {
		view.mode = owner_without_set_id(view.mode);
		r = change(share, node, fd, &stx, &record, &view, true);
	}
	owners_unlock(share->owners, node);
	return r;
}
