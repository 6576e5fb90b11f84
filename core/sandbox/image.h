/* SPDX-License-Identifier: MIT */
/*
 * image.h - the image of a sandbox machine: a kernel of a distribution, and the initramfs that goes with it.
 *
 * The initramfs holds the agent as /init, a static busybox with all its applets, the modules that this kernel needs for
 * capsa's devices, and the few files of /etc that programs look for. It is put together here, without helper programs,
 * once for each set of inputs, and kept in the cache: in the store `images` below path_cache_dir(), named by the
 * SHA-256 of all that went into it (kernel, modules, busybox, agent, and capsa's version). The same inputs give the
 * same bytes.
 *
 * Where the inputs come from:
 *
 *   kernel    the one asked for, else boot_default_kernel()
 *   modules   lib/modules/VERSION in the kernel's own folder (where kernel-fetch put them),
 *             else /lib/modules/VERSION or /usr/lib/modules/VERSION; VERSION is what the
 *             kernel says it is. None are needed by a kernel that has all of it built in.
 *   busybox   $CAPSA_BUSYBOX, else /bin/busybox or /usr/bin/busybox; it must be static
 *   agent     $CAPSA_AGENT, else agent/capsa-agent beside this program (an uninstalled
 *             one), else the installed one
 *
 * WHAT THE GUEST FINDS. /lib/capsa/image tells what the image is (its version is that of the kernel).
 * /lib/capsa/modules tells the agent which modules there are for what: a line for each thing that may be there, its
 * key, then files in the order to load them (written short here: virtio.ko for /lib/modules/virtio.ko):
 *
 *   always virtio.ko virtio_ring.ko ... virtio_pci.ko       load these first, before looking for devices
 *   virtio:19 vsock.ko ...                                  for a virtio device of that number (virtio_ids.h)
 *   pci:1b36:0011 pvpanic.ko pvpanic-pci.ko                 for a PCI device of that vendor and device
 *   later:virtio:4 virtio-rng.ko                            the same, once the agent serves
 *   acpi:button button.ko evdev.ko                          for the power button, once the agent serves
 *   fs:overlay overlay.ko                                   for that file system
 *
 * What is built into the kernel is not there, nor a line with nothing to load. A file of the first line is in no other;
 * one that several others need is in each of them (the kernel says EEXIST to the second load).
 */
#ifndef CAPSA_SANDBOX_IMAGE_H
#define CAPSA_SANDBOX_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/base/error.h"

#define IMAGE_NAME_SIZE 13     /* the first 12 hexadecimal digits of its key, and a NUL */
#define IMAGE_VERSION_SIZE 128 /* bytes, with the NUL */

/* An image that was found; it stays whole until image_release(), whoever clears the cache meanwhile. */
struct image {
	char *kernel; /* path of the kernel's file */
	char *initrd; /* path to open the initramfs by: "/proc/self/fd/N", of the descriptor below */
	char *file;   /* path of the initramfs in the cache, for people; it may be gone */
	int fd;       /* holds the initramfs; closed on exec */
	char name[IMAGE_NAME_SIZE];
	char version[IMAGE_VERSION_SIZE]; /* the kernel's release: "6.1.0-48-cloud-amd64"; "" where it cannot be told */
	uint64_t size;                    /* bytes of the initramfs */
	bool built;                       /* just now, not found in the cache */
};

/*
 * Finds the image for `kernel` (a file; NULL: the default one), or builds it. Found, it costs some 30 system calls and
 * no look into any of the inputs: they are known by their identities (the modules by that of modules.dep, which depmod
 * writes anew whenever one changes). Building takes about a second: it also unpacks the kernel into its own cache.
 * `progress` (or NULL) hears what is being done while it builds: "unpacking the kernel"; it is called by this thread.
 * Any number of processes may do this at once: one of them builds.
 *
 * Any thread; blocks. SIGXFSZ must be ignored, or a limit on file sizes ends the process. Errors: no kernel, or one
 * that is not for this user; a module that is needed and missing; no static busybox, no agent; the cache cannot be
 * written to, or its disk is full. *out needs no release then.
 */
int image_find_or_build(const char *kernel, void (*progress)(void *ctx, const char *what), void *ctx, struct image *out,
                        struct error *err);
void image_release(struct image *image);

/* An image in the cache. */
struct image_entry {
	char name[IMAGE_NAME_SIZE];
	char version[IMAGE_VERSION_SIZE];
	char *file;           /* its path */
	uint64_t size;        /* bytes */
	struct timespec used; /* last, to the hour */
};

/* All images, used last first. image_entries_free(). 0 or -errno with err. */
int image_list(struct image_entry **entries, size_t *n, struct error *err);
void image_entries_free(struct image_entry *entries, size_t n);
/*
 * Removes the one image whose name, or whose file's name, begins so (at least 4 digits); one that is in use stays whole
 * for its users. -ENOENT: none, -ENOTUNIQ: several.
 */
int image_remove(const char *name, struct error *err);
/* Removes all that are not in use; *n: how many. */
int image_remove_all(size_t *n, struct error *err);

#endif
