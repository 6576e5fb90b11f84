# SPDX-License-Identifier: MIT
noinst_LIBRARIES += core/virtio/libvirtio.a
core_virtio_libvirtio_a_SOURCES = \
	core/virtio/capabilities.c \
	core/virtio/chain.c \
	core/virtio/device.c core/virtio/device-private.h \
	core/virtio/notify.c \
	core/virtio/queue.c core/virtio/queue.h \
	core/virtio/request.c \
	core/virtio/service.c \
	core/virtio/status.c \
	core/virtio/transport.c \
	core/virtio/virtio.h
