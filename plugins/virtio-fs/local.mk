# SPDX-License-Identifier: MIT
VIRTIO_FS_SOURCES = \
	plugins/virtio-fs/call.c plugins/virtio-fs/call.h \
	plugins/virtio-fs/dispatch.c plugins/virtio-fs/operations.h \
	plugins/virtio-fs/handle.c plugins/virtio-fs/handle.h \
	plugins/virtio-fs/lock.c plugins/virtio-fs/lock.h \
	plugins/virtio-fs/node.c plugins/virtio-fs/node.h \
	plugins/virtio-fs/op-directory.c \
	plugins/virtio-fs/op-file.c \
	plugins/virtio-fs/op-node.c \
	plugins/virtio-fs/op-open.c \
	plugins/virtio-fs/op-tree.c \
	plugins/virtio-fs/op-xattr.c \
	plugins/virtio-fs/options.c plugins/virtio-fs/options.h \
	plugins/virtio-fs/owner.c plugins/virtio-fs/owner.h \
	plugins/virtio-fs/quota.c plugins/virtio-fs/quota.h \
	plugins/virtio-fs/session.c \
	plugins/virtio-fs/share.h plugins/virtio-fs/tree.h \
	plugins/virtio-fs/virtio-fs.c \
	plugins/virtio-fs/window.c plugins/virtio-fs/window.h
