/* SPDX-License-Identifier: MIT */
/*
 * host-file.h - a small file of the host's that is followed as it changes: resolv.conf, hosts.
 *
 * THEORY OF OPERATION. inotify(7). Most programs replace such a file by another one, so its folder is watched, not only
 * itself; where it is a link, each folder on the way and the end as well (a file that is mounted over it has another
 * folder than the one that it seems to be in). Of a folder that does not exist the next one above is watched, for it to
 * come. What has changed is not looked at: all watches are made anew, and the owner reads the file again.
 *
 * Home loop; host_file_new() on the main thread, in realize().
 */
#ifndef CAPSA_NAT_HOST_FILE_H
#define CAPSA_NAT_HOST_FILE_H

#include <stddef.h>

#include "capsa-plugin.h"

struct host_file;

/*
 * `path` is absolute, and its folder exists; the text stays the caller's. `changed` is called on the loop, sometimes
 * without need. Where inotify has no more instances a warning is logged, and no change is seen. 0 or -errno.
 */
int host_file_new(const struct capsa_host *host, struct capsa_device *dev, const char *path, void (*changed)(void *ctx),
                  void *ctx, struct host_file **out);
void host_file_free(struct host_file *file);
/*
 * All of it, as a string that is the caller's to free(). 0, or -errno: -ENOENT, ...; -EINVAL: no regular file; -EFBIG:
 * more than `most` bytes.
 */
int host_file_read(const struct host_file *file, size_t most, char **text);

#endif
