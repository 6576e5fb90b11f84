/* SPDX-License-Identifier: MIT */
/*
 * path.c - see path.h. Called by the rooms that read or write files of capsa's own: boot, vm,
 * control, cli. Owns nothing. The folders that hold capsa's state are checked before they are
 * trusted: whoever can write there could swap a kernel or a control socket.
 */
#include "core/base/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/text.h"

/* What capsa makes is a few levels deep; more is not its own. */
enum { REMOVE_DEPTH_MAX = 64 };

char *path_join(const char *dir, const char *name)
{
	size_t len = strlen(dir);

	if (name[0] == '/')
		return strdup(name);
	return text_format("%s%s%s", dir, len && dir[len - 1] == '/' ? "" : "/", name);
}

char *path_dirname(const char *file)
{
	const char *slash = strrchr(file, '/');

	if (!slash)
		return strdup(".");
	while (slash > file && slash[-1] == '/')
		slash--;
	return slash == file ? strdup("/") : strndup(file, (size_t)(slash - file));
}

/* An environment variable that holds an absolute path; the XDG rules say to ignore others. */
static const char *environment_folder(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] == '/' ? value : NULL;
}

/*
 * Opens the folder without following a link and looks at whose it is. `open_to` are the
 * permission bits that nobody may have.
 */
static int check_private(const char *path, mode_t open_to, struct error *err)
{
	struct stat st;
	int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int rc = 0;

	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return error_set(err, ENOTDIR, "%s: not a folder (or a link to one); remove it", path);
	if (fd < 0)
		return error_set(err, errno, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st))
		rc = error_set(err, errno, "%s: %s", path, strerror(errno));
	else if (st.st_uid != geteuid())
		rc = error_set(err, EPERM, "%s: belongs to user %u, not to you (user %u); remove it", path,
		               (unsigned)st.st_uid, (unsigned)geteuid());
	else if (st.st_mode & open_to)
		rc = error_set(err, EPERM, "%s: other users can %s it; say: chmod 700 '%s'", path,
		               open_to == 077 ? "enter" : "write to", path);
	close(fd);
	return rc;
}

char *path_cache_dir(struct error *err)
{
	const char *folder = getenv("CAPSA_CACHE"), *base;
	char here[PATH_MAX];
	char *path;
	int rc;

	if (folder && folder[0]) {
		if (folder[0] != '/' && !getcwd(here, sizeof here)) {
			error_set(err, errno, "the current folder: %s", strerror(errno));
			return NULL;
		}
		path = folder[0] == '/' ? strdup(folder) : path_join(here, folder);
	} else if (geteuid() == 0) {
		path = strdup("/var/cache/capsa");
	} else if ((base = environment_folder("XDG_CACHE_HOME"))) {
		path = path_join(base, "capsa");
	} else if ((base = environment_folder("HOME"))) {
		path = path_join(base, ".cache/capsa");
	} else {
		error_set(err, ENOENT, "no place for the cache: set HOME, XDG_CACHE_HOME or CAPSA_CACHE");
		return NULL;
	}
	if (!path) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	rc = path_make_dirs(path, 0700);
	if (rc)
		error_set(err, -rc, "cache folder %s: %s; set CAPSA_CACHE to a folder that you can write to", path,
		          strerror(-rc));
	else
		rc = check_private(path, 022, err);
	if (rc) {
		free(path);
		return NULL;
	}
	return path;
}

char *path_runtime_dir(struct error *err)
{
	const char *base = environment_folder("XDG_RUNTIME_DIR");
	char *path;

	if (base)
		path = path_join(base, "capsa");
	else if (geteuid() == 0)
		path = strdup("/run/capsa");
	else
		path = text_format("/tmp/capsa-%u", (unsigned)geteuid());
	if (!path) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (mkdir(path, 0700) && errno != EEXIST) {
		error_set(err, errno, "run-time folder %s: %s%s", path, strerror(errno),
		          base ? "; XDG_RUNTIME_DIR must name a folder of yours: unset it or create it" : "");
		free(path);
		return NULL;
	}
	if (check_private(path, 077, err)) {
		free(path);
		return NULL;
	}
	return path;
}

char *path_shared_dir(struct error *err)
{
	char *base = path_runtime_dir(err), *path;

	if (!base)
		return NULL;
	path = path_join(base, ".shared");
	free(base);
	if (!path) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (mkdir(path, 0700) && errno != EEXIST)
		error_set(err, errno, "run-time folder %s: %s", path, strerror(errno));
	else if (!check_private(path, 077, err))
		return path;
	free(path);
	return NULL;
}

char **path_kernel_dirs(void)
{
	const char *base;
	char **list = calloc(4, sizeof *list);
	size_t n = 0;

	if (!list)
		return NULL;
	base = getenv("CAPSA_KERNELS");
	if (base && base[0] && !(list[n++] = strdup(base)))
		goto no_memory;
	if ((base = environment_folder("XDG_DATA_HOME"))) {
		if (!(list[n++] = path_join(base, "capsa/kernels")))
			goto no_memory;
	} else if ((base = environment_folder("HOME"))) {
		if (!(list[n++] = path_join(base, ".local/share/capsa/kernels")))
			goto no_memory;
	}
	if (!(list[n++] = strdup("/var/lib/capsa/kernels")))
		goto no_memory;
	return list;
no_memory:
	path_list_free(list);
	return NULL;
}

void path_list_free(char **list)
{
	size_t i;

	for (i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

int path_make_dirs(const char *path, mode_t mode)
{
	char *copy, *end;
	struct stat st;
	int rc = 0;

	if (!path[0])
		return -ENOENT;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	end = copy;
	do {
		end += strspn(end, "/");
		end += strcspn(end, "/");
		const char behind = *end;

		*end = '\0';
		/* A folder on the way may exist on a read-only file system, or be unwritable: that is no failure. */
		if (mkdir(copy, mode) && errno != EEXIST) {
			rc = -errno;
			if (!stat(copy, &st) && S_ISDIR(st.st_mode))
				rc = 0;
		}
		*end = behind;
	} while (!rc && *end);
	if (!rc && stat(copy, &st))
		rc = -errno;
	else if (!rc && !S_ISDIR(st.st_mode))
		rc = -ENOTDIR;
	free(copy);
	return rc;
}

/* Empties the directory and closes fd. 0 or the first -errno; goes on behind a failure. */
static int empty_directory(int fd, int depth)
{
	const struct dirent *entry;
	int rc = 0, child, first = 0;
	DIR *dir = fdopendir(fd);

	if (!dir) {
		rc = -errno;
		close(fd);
		return rc;
	}
	while (errno = 0, (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		rc = 0;
		if (unlinkat(fd, entry->d_name, 0)) {
			rc = -errno;
			/* unlink(2) of a directory: EISDIR on Linux, EPERM by POSIX. */
			if (rc == -EISDIR || rc == -EPERM) {
				child = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
				if (child >= 0 && depth >= REMOVE_DEPTH_MAX) {
					close(child);
					rc = -ELOOP;
				} else if (child >= 0) {
					rc = empty_directory(child, depth + 1);
				} else if (errno != ENOTDIR && errno != ELOOP) {
					rc = -errno;
				}
				if (child >= 0 && unlinkat(fd, entry->d_name, AT_REMOVEDIR) && !rc)
					rc = -errno;
			}
		}
		if (!first)
			first = rc;
	}
	if (errno && !first)
		first = -errno;
	closedir(dir);
	return first;
}

int path_remove_tree(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	rc = empty_directory(fd, 0);
	if (rmdir(path) && !rc)
		rc = -errno;
	return rc;
}

int path_unix_address(const char *path, struct sockaddr_un *addr, socklen_t *len, int *dirfd)
{
	size_t path_len = strlen(path);
	const char *base = strrchr(path, '/');
	char *folder;
	int used;

	*dirfd = -1;
	memset(addr, 0, sizeof *addr);
	addr->sun_family = AF_UNIX;
	/* An empty name would mean an abstract one, chosen by the kernel. */
	if (!path_len || path[path_len - 1] == '/')
		return -EINVAL;
	if (path_len < sizeof addr->sun_path) {
		memcpy(addr->sun_path, path, path_len + 1);
	} else {
		base = base ? base + 1 : path;
		folder = path_dirname(path);
		if (!folder)
			return -ENOMEM;
		*dirfd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
		free(folder);
		if (*dirfd < 0)
			return -errno;
		used = snprintf(addr->sun_path, sizeof addr->sun_path, "/proc/self/fd/%d/%s", *dirfd, base);
		if (used < 0 || (size_t)used >= sizeof addr->sun_path) {
			close(*dirfd);
			*dirfd = -1;
			return -ENAMETOOLONG;
		}
	}
	*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(addr->sun_path) + 1);
	return 0;
}
