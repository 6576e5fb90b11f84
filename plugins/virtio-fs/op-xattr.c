/* SPDX-License-Identifier: MIT */
/*
 * op-xattr.c - extended attributes: GETXATTR, SETXATTR, LISTXATTR, REMOVEXATTR.
 *
 * THEORY OF OPERATION. A name of the guest's becomes one of the host's, or an errno:
 *
 *     guest                 OWNER_SQUASH                       OWNER_HOST
 *     user.capsa.*          is not there, cannot be made       the same (owner.h keeps its own there)
 *     user.*                user.*                             user.*
 *     security.capability   user.capsa.x.security.capability   security.capability
 *     security.*            user.capsa.x.security.*            user.capsa.x.security.*
 *     trusted.*             user.capsa.x.trusted.*             user.capsa.x.trusted.*
 *     system.*, ...         EOPNOTSUPP                         EOPNOTSUPP: no ACLs are offered (FUSE_POSIX_ACL)
 *
 * So a guest's root may give a file capabilities that mean something to the guest and nothing to the host; with
 * OWNER_HOST they are the host's, as owner and mode are. But what the host's security modules think of a file, and what
 * its overlays and daemons note in trusted.*, is no guest's to say or to see.
 *
 * Sizes are Linux's: 64 KiB for a value and for a list. The system calls want a real descriptor or a path; there are no
 * paths here, so that a file or directory is opened for it, and nothing else has any: neither do links and special
 * files on Linux have user.* attributes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <linux/xattr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/owner.h"
#include "plugins/virtio-fs/quota.h"

#define USER "user."
#define STORED OWNER_XATTR_PREFIX "x." /* and the guest's whole name */

static bool may_have_any(const struct node *node)
{
	return S_ISREG(node->type) || S_ISDIR(node->type);
}

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static bool is_privileged(const char *name)
{
	return begins(name, "security.") || begins(name, "trusted.");
}

/* The guest's privileged `name` is the host's, too. */
static bool is_shared(const struct share *share, const char *name)
{
	return share->options.owner == OWNER_HOST && !strcmp(name, XATTR_NAME_CAPS);
}

/*
 * The host's name of the guest's. `absent`: what to say of those that the guest cannot have: -ENODATA for who reads or
 * removes, -EPERM for who sets.
 */
static int name_to_host(const struct share *share, const struct node *node, const char *name, int absent,
                        char host[XATTR_NAME_MAX + 1])
{
	int n;

	if (strlen(name) > XATTR_NAME_MAX)
		return -ERANGE;
	if (!begins(name, USER) && !is_privileged(name))
		return -EOPNOTSUPP;
	if (!may_have_any(node) || begins(name, OWNER_XATTR_PREFIX))
		return absent;
	if (is_privileged(name) && !is_shared(share, name))
		n = snprintf(host, XATTR_NAME_MAX + 1, "%s%s", STORED, name);
	else
		n = snprintf(host, XATTR_NAME_MAX + 1, "%s", name);
	return n > XATTR_NAME_MAX ? -ERANGE : 0;
}

/* The guest's name of the host's, a part of it; NULL: not for the guest. */
static const char *name_to_guest(const struct call *call, const char *host)
{
	const struct share *share = call->share;
	const char *name = host;

	if (begins(host, STORED)) {
		name = host + strlen(STORED);
		if (!is_privileged(name) || is_shared(share, name))
			return NULL;
	} else if (begins(host, OWNER_XATTR_PREFIX) || (!begins(host, USER) && !is_shared(share, host))) {
		return NULL;
	}
	/* Linux shows these to its administrator only, and the guest's kernel leaves that to us. */
	if (begins(name, "trusted.") && call->in.uid)
		return NULL;
	return name;
}

/* What GETXATTR and LISTXATTR answer: the size where that was asked, or the bytes where there is room for them. */
static int sized_reply(struct call *call, uint32_t room, const void *data, size_t len)
{
	struct fuse_getxattr_out out = { .size = (uint32_t)len };

	if (!room)
		return call_reply(call, &out, sizeof out);
	if (len > room)
		return -ERANGE;
	return call_reply(call, data, len);
}

/*
 * What attributes are asked of. CALL_BLOCKS: another process of the host has a lease on the file (its Samba, say).
 * -EACCES, where capsa's user may not read the file: for the guest it has none then, or `ls -l` of a folder with
 * other people's files would complain of each.
 */
static int descriptor_open(struct call *call, const struct node *node, int *out)
{
	int fd = share_open_node(call->share, node, O_RDONLY | (call_may_wait(call) ? 0 : O_NONBLOCK));

	if (fd < 0)
		return fd == -EAGAIN && !call_may_wait(call) ? CALL_BLOCKS : fd;
	*out = fd;
	return 0;
}

static int get(struct call *call, struct node *node)
{
	uint32_t room = call_args(call, struct fuse_getxattr_in)->size;
	size_t size = room < XATTR_SIZE_MAX ? room : XATTR_SIZE_MAX;
	char name[XATTR_NAME_MAX + 1];
	char *value = NULL;
	ssize_t len;
	int result, fd;

	result = name_to_host(call->share, node, call->names[0], -ENODATA, name);
	if (result)
		return result;
	result = descriptor_open(call, node, &fd);
	if (result)
		return result == -EACCES ? -ENODATA : result;
	if (size) {
		value = malloc(size);
		result = value ? 0 : -ENOMEM;
	}
	if (!result) {
		len = fgetxattr(fd, name, value, size);
		result = len < 0 ? -errno : sized_reply(call, room, value, (size_t)len);
		if (len >= 0 && !strcmp(name, OWNER_XATTR_CAPABILITY))
			owner_gave_capability(call->share, node);
	}
	free(value);
	close(fd);
	return result;
}

static int list(struct call *call, struct node *node)
{
	uint32_t room = call_args(call, struct fuse_getxattr_in)->size;
	ssize_t len, at;
	size_t used = 0;
	char *names;
	int result, fd;

	if (!may_have_any(node))
		return sized_reply(call, room, NULL, 0);
	result = descriptor_open(call, node, &fd);
	if (result == -EACCES)
		return sized_reply(call, room, NULL, 0);
	if (result)
		return result;
	/* Most have none, and need no memory for them. */
	len = flistxattr(fd, NULL, 0);
	names = len > 0 ? malloc(XATTR_LIST_MAX) : NULL;
	if (names)
		len = flistxattr(fd, names, XATTR_LIST_MAX);
	result = len < 0 ? -errno : len && !names ? -ENOMEM : 0;
	if (result)
		len = 0;
	/* A name for the guest is never longer than the host's, and takes its place. */
	for (at = 0; at < len;) {
		size_t step = strnlen(names + at, (size_t)(len - at)) + 1;
		const char *name = at + (ssize_t)step <= len ? name_to_guest(call, names + at) : NULL;

		if (name) {
			size_t n = strlen(name) + 1;

			memmove(names + used, name, n);
			used += n;
		}
		at += (ssize_t)step;
	}
	if (!result)
		result = sized_reply(call, room, names, used);
	free(names);
	close(fd);
	return result;
}

static int set(struct call *call, struct node *node)
{
	const struct fuse_setxattr_in *in = call_args(call, struct fuse_setxattr_in);
	char name[XATTR_NAME_MAX + 1];
	struct quota_charge charge;
	char *value = NULL;
	int result, fd;

	if (in->size > XATTR_SIZE_MAX)
		return -E2BIG;
	if (in->size > call->payload_len || (in->flags & ~(unsigned)(XATTR_CREATE | XATTR_REPLACE)))
		return -EINVAL;
	result = name_to_host(call->share, node, call->names[0], -EPERM, name);
	if (!result)
		result = descriptor_open(call, node, &fd);
	if (result)
		return result;
	value = malloc(in->size + 1u);
	if (!value) {
		result = -ENOMEM;
		goto out;
	}
	if (call_payload(call, 0, value, in->size) != in->size) {
		result = -EINVAL;
		goto out;
	}
	result = quota_begin(call->share, node, in->size + strlen(name), &charge);
	if (result)
		goto out;
	if (fsetxattr(fd, name, value, in->size, (int)in->flags))
		result = -errno;
	else if (!strcmp(name, OWNER_XATTR_CAPABILITY))
		owner_gave_capability(call->share, node);
	quota_end(call->share, &charge);
out:
	free(value);
	close(fd);
	return result;
}

static int take(struct call *call, struct node *node)
{
	char name[XATTR_NAME_MAX + 1];
	struct quota_charge charge;
	int result, fd;

	result = name_to_host(call->share, node, call->names[0], -ENODATA, name);
	if (!result)
		result = descriptor_open(call, node, &fd);
	if (result)
		return result;
	result = quota_begin(call->share, node, 0, &charge);
	if (!result) {
		if (fremovexattr(fd, name))
			result = -errno;
		quota_end(call->share, &charge);
	}
	close(fd);
	return result;
}

static int with_node(struct call *call, int (*run)(struct call *call, struct node *node))
{
	struct node *node;
	int result;

	/* -ENOSYS: the guest's kernel does not ask again. */
	if (!call->share->options.xattr)
		return -ENOSYS;
	result = node_get(call->share, call->in.nodeid, &node);
	if (result)
		return result;
	result = run(call, node);
	node_put(call->share, node);
	return result;
}

int op_getxattr(struct call *call)
{
	return with_node(call, get);
}

int op_setxattr(struct call *call)
{
	return with_node(call, set);
}

int op_listxattr(struct call *call)
{
	return with_node(call, list);
}

int op_removexattr(struct call *call)
{
	return with_node(call, take);
}
