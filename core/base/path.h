/* SPDX-License-Identifier: MIT */
/* path.h - where capsa's files live, and safe ways to write them. */
#ifndef CAPSA_BASE_PATH_H
#define CAPSA_BASE_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "core/base/error.h"

/* dir + "/" + name, or name alone where it is absolute. The caller frees; NULL: no memory. */
char *path_join(const char *dir, const char *name);
/* The folder that `file` stands in ("." for a bare name). The caller frees. */
char *path_dirname(const char *file);

/*
 * The cache: $CAPSA_CACHE, else /var/cache/capsa for root, else $XDG_CACHE_HOME/capsa,
 * else $HOME/.cache/capsa. Created 0700 with its parents; refused where it is not the user's own or
 * others can write to it. The caller frees. NULL: err says why.
 */
char *path_cache_dir(struct error *err);
/*
 * Where machines keep their run-time state: $XDG_RUNTIME_DIR/capsa, /run/capsa for root
 * without XDG_RUNTIME_DIR, else /tmp/capsa-UID. 0700, owned by the user, not a link: checked.
 */
char *path_runtime_dir(struct error *err);
/*
 * What the user's machines have in common at run time: `.shared` in the folder above, which no machine can be called.
 * Made and checked as that one. The caller frees. NULL: err says why.
 */
char *path_shared_dir(struct error *err);
/*
 * Folders that may hold kernels, best first: $CAPSA_KERNELS, $XDG_DATA_HOME/capsa/kernels
 * (or ~/.local/share), /var/lib/capsa/kernels. NULL-terminated array of strings; path_list_free().
 */
char **path_kernel_dirs(void);
void path_list_free(char **list);

/* mkdir -p with the mode for what is new. 0 or -errno. */
int path_make_dirs(const char *path, mode_t mode);

/*
 * rm -r of one directory tree that capsa made; follows no link. 0 (also where there is none) or
 * -errno of the first failure; what can go is gone all the same.
 */
int path_remove_tree(const char *path);

/*
 * A sockaddr for a UNIX socket path of any length: where the path exceeds sun_path
 * (107 bytes), it goes through /proc/self/fd/N of its folder, whose descriptor comes back
 * in *dirfd (-1 otherwise; the caller closes it after bind/connect). 0 or -errno.
 */
int path_unix_address(const char *path, struct sockaddr_un *addr, socklen_t *len, int *dirfd);

#endif
