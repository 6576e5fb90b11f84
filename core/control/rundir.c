/* SPDX-License-Identifier: MIT */
/*
 * rundir.c - see rundir.h. Owns the run-time folders of machines. Called by core/vm and the verbs that look for a
 * machine.
 *
 * Two locks. RUNTIME/.lock is held for moments, by whoever makes, removes or judges folders, so that all of that
 * happens one after the other: two starts at once, or a start and a clean-up, never meet half-way.
 * RUNTIME/NAME/lock is held as long as the machine lives, by flock(2), which the kernel gives free with the process
 * however that ends; it has the process number in it, for messages.
 */
#include "core/control/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/path.h"
#include "core/base/text.h"

struct rundir {
	char *base, *path;
	int lock;
};

enum state {
	STATE_NONE,  /* no such folder */
	STATE_STALE, /* nobody has its lock: we do, in *lock */
	STATE_ALIVE,
};

static int lock_open(const char *path, int flags)
{
	return open(path, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
}

/* The lock over all folders; to be given free with close(2). -errno with err. */
static int lock_all(const char *base, struct error *err)
{
	char *path = path_join(base, ".lock");
	int fd, rc = 0;

	if (!path)
		return error_set(err, ENOMEM, "no memory");
	fd = lock_open(path, O_CREAT);
	if (fd < 0)
		rc = -errno;
	while (fd >= 0 && flock(fd, LOCK_EX) < 0 && rc == 0)
		if (errno != EINTR)
			rc = -errno;
	if (rc) {
		if (fd >= 0)
			close(fd);
		fd = error_set(err, -rc, "cannot lock %s: %s", path, strerror(-rc));
	}
	free(path);
	return fd;
}

/* Under the lock over all. */
static enum state judge(const char *folder, int *lock, long *pid)
{
	char *path = path_join(folder, "lock"), text[32] = "";
	struct stat st;
	ssize_t n;

	*lock = -1;
	*pid = 0;
	if (!path || lstat(folder, &st) < 0) {
		free(path);
		return STATE_NONE;
	}
	*lock = lock_open(path, 0);
	free(path);
	/* A folder without a lock was left by somebody who was killed in the middle of making it. */
	if (*lock < 0 || flock(*lock, LOCK_EX | LOCK_NB) == 0)
		return STATE_STALE;
	n = pread(*lock, text, sizeof text - 1, 0);
	if (n > 0)
		*pid = strtol(text, NULL, 10);
	close(*lock);
	*lock = -1;
	return STATE_ALIVE;
}

static int make(struct rundir *r, struct error *err)
{
	char *path;
	int rc = 0;

	if (mkdir(r->path, 0700) < 0)
		return error_set(err, errno, "cannot make the folder %s: %s", r->path, strerror(errno));
	path = path_join(r->path, "lock");
	if (!path)
		return error_set(err, ENOMEM, "no memory");
	r->lock = lock_open(path, O_CREAT | O_EXCL);
	if (r->lock < 0 || flock(r->lock, LOCK_EX | LOCK_NB) < 0 || dprintf(r->lock, "%ld\n", (long)getpid()) < 0)
		rc = error_set(err, errno, "cannot lock %s: %s", path, strerror(errno));
	free(path);
	return rc;
}

/* A machine's name, not a way elsewhere; `.lock` is ours, and `.shared` is path_shared_dir()'s. */
static bool name_is_valid(const char *name)
{
	return *name && *name != '.' && !strchr(name, '/');
}

int rundir_create(const char *name, struct rundir **out, struct error *err)
{
	struct rundir *r = calloc(1, sizeof *r);
	int rc, all = -1, lock;
	long pid;

	if (!r)
		return error_set(err, ENOMEM, "no memory");
	r->lock = -1;
	if (!name_is_valid(name)) {
		rc = error_set(err, EINVAL, "\"%s\" is no name for a machine", name);
		goto fail;
	}
	r->base = path_runtime_dir(err);
	if (!r->base) {
		rc = -EIO;
		goto fail;
	}
	r->path = path_join(r->base, name);
	if (!r->path) {
		rc = error_set(err, ENOMEM, "no memory");
		goto fail;
	}
	rc = all = lock_all(r->base, err);
	if (rc < 0)
		goto fail;
	rc = 0;
	switch (judge(r->path, &lock, &pid)) {
	case STATE_ALIVE:
		rc = error_set(err, EBUSY,
		               "a machine named \"%s\" runs already (process %ld); give this one another name", name,
		               pid);
		goto fail;
	case STATE_STALE:
		rc = path_remove_tree(r->path);
		if (lock >= 0)
			close(lock);
		if (rc) {
			error_set(err, -rc, "cannot remove %s, which a killed machine left: %s", r->path,
			          strerror(-rc));
			goto fail;
		}
		break;
	case STATE_NONE:
		break;
	}
	rc = make(r, err);
	if (rc) {
		path_remove_tree(r->path);
		goto fail;
	}
	close(all);
	*out = r;
	return 0;

fail:
	if (all >= 0)
		close(all);
	if (r->lock >= 0)
		close(r->lock);
	free(r->path);
	free(r->base);
	free(r);
	return rc;
}

const char *rundir_path(const struct rundir *r)
{
	return r->path;
}

void rundir_destroy(struct rundir *r)
{
	struct error err;
	int all;

	if (!r)
		return;
	/* Without the lock over all it is removed nevertheless: ours is still held. */
	all = lock_all(r->base, &err);
	path_remove_tree(r->path);
	close(r->lock);
	if (all >= 0)
		close(all);
	free(r->path);
	free(r->base);
	free(r);
}

static int compare(const void *a, const void *b)
{
	const struct rundir_entry *x = a, *y = b;

	return strcmp(x->name, y->name);
}

void rundir_list_free(struct rundir_entry *list, long n)
{
	for (long i = 0; i < n; i++)
		free(list[i].name);
	free(list);
}

/* Under the lock over all. As rundir_list(), with -ENOMEM alone; `clean`: removes what the killed left. */
static long list_alive(const char *base, bool clean, struct rundir_entry **out)
{
	struct rundir_entry *list = NULL, *grown;
	DIR *dir = opendir(base);
	const struct dirent *entry;
	long n = 0;

	while (dir && n >= 0 && (entry = readdir(dir))) {
		char *folder = name_is_valid(entry->d_name) ? path_join(base, entry->d_name) : NULL;
		enum state state = STATE_NONE;
		int lock = -1;
		long pid;

		if (folder)
			state = judge(folder, &lock, &pid);
		if (state == STATE_STALE && clean)
			path_remove_tree(folder);
		if (lock >= 0)
			close(lock);
		free(folder);
		if (state != STATE_ALIVE)
			continue;
		grown = reallocarray(list, (size_t)n + 1, sizeof *list);
		if (grown) {
			list = grown;
			list[n] = (struct rundir_entry){ .name = strdup(entry->d_name), .pid = pid };
		}
		if (!grown || !list[n].name) {
			rundir_list_free(list, n);
			list = NULL;
			n = -ENOMEM;
		} else {
			n++;
		}
	}
	if (dir)
		closedir(dir);
	if (n > 0)
		qsort(list, (size_t)n, sizeof *list, compare);
	*out = list;
	return n;
}

/* "a, b, c" of the machines that run, or NULL where none does (or memory is out). Under the lock over all. */
static char *tell_alive(const char *base)
{
	struct rundir_entry *list;
	long n = list_alive(base, false, &list);
	char *text = NULL;

	for (long i = 0; i < n; i++) {
		char *longer = text ? text_format("%s, %s", text, list[i].name) : strdup(list[i].name);

		free(text);
		text = longer;
	}
	if (n >= 0)
		rundir_list_free(list, n);
	return text;
}

long rundir_list(struct rundir_entry **out, struct error *err)
{
	char *base = path_runtime_dir(err);
	long n = -EIO;
	int all;

	if (!base)
		return n;
	n = all = lock_all(base, err);
	if (all >= 0) {
		n = list_alive(base, true, out);
		if (n < 0)
			error_set(err, ENOMEM, "no memory");
		close(all);
	}
	free(base);
	return n;
}

char *rundir_find(const char *name, struct error *err)
{
	char *base = path_runtime_dir(err), *folder = NULL, *found = NULL, *others = NULL;
	int all = -1, lock = -1;
	long pid;

	if (!base)
		return NULL;
	all = lock_all(base, err);
	if (all < 0)
		goto out;
	folder = path_join(base, name);
	if (!folder) {
		error_set(err, ENOMEM, "no memory");
		goto out;
	}
	switch (name_is_valid(name) ? judge(folder, &lock, &pid) : STATE_NONE) {
	case STATE_ALIVE:
		found = folder;
		folder = NULL;
		break;
	case STATE_STALE:
		path_remove_tree(folder);
		error_set(err, ESRCH, "the machine \"%s\" does not run any more: it was killed", name);
		break;
	case STATE_NONE:
		others = tell_alive(base);
		if (others)
			error_set(err, ESRCH, "no machine \"%s\" runs; these do: %s", name, others);
		else
			error_set(err, ESRCH, "no machine \"%s\" runs, nor any other; start one with `capsa -c FILE`",
			          name);
		break;
	}
out:
	if (lock >= 0)
		close(lock);
	if (all >= 0)
		close(all);
	free(others);
	free(folder);
	free(base);
	return found;
}

/* Waits until nobody holds the lock: a process that ends lets it go, however it ends. */
static int wait_for_lock(int lock)
{
	int rc;

	do
		rc = flock(lock, LOCK_EX) < 0 ? -errno : 0;
	while (rc == -EINTR);
	return rc;
}

/* The lock file of a machine that runs, open but not locked, in *lock; -1 where it has just ended. -ESRCH: none runs. */
static int find_lock(const char *name, int *lock, struct error *err)
{
	char *folder = rundir_find(name, err), *path;
	int rc = 0;

	*lock = -1;
	if (!folder)
		return -ESRCH;
	path = path_join(folder, "lock");
	free(folder);
	if (!path)
		return error_set(err, ENOMEM, "no memory");
	*lock = lock_open(path, 0);
	if (*lock < 0 && errno != ENOENT)
		rc = error_set(err, errno, "%s: %s", path, strerror(errno));
	free(path);
	return rc;
}

int rundir_wait(const char *name, struct error *err)
{
	int lock, rc = find_lock(name, &lock, err);

	if (rc)
		return rc == -ESRCH ? 0 : rc;
	if (lock < 0)
		return 0;
	rc = wait_for_lock(lock);
	close(lock);
	return rc ? error_set(err, -rc, "cannot wait for the machine \"%s\": %s", name, strerror(-rc)) : 0;
}

int rundir_kill(const char *name, struct error *err)
{
	int lock, rc = find_lock(name, &lock, err);
	char text[32] = "";
	struct error gone;
	long pid;

	if (rc)
		return rc;
	if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) < 0) {
		/* Who holds the lock lives: the number is that of no other process. */
		pid = pread(lock, text, sizeof text - 1, 0) > 0 ? strtol(text, NULL, 10) : 0;
		if (pid <= 1)
			rc = error_set(err, EAGAIN, "the machine \"%s\" has only begun to start; try again", name);
		else if (kill((pid_t)pid, SIGKILL) < 0 && errno != ESRCH)
			rc = error_set(err, errno, "cannot kill process %ld: %s", pid, strerror(errno));
		else
			rc = wait_for_lock(lock);
	}
	if (lock >= 0)
		close(lock);
	/* Finds the folder of a killed one, and removes it; a new machine of that name stays. */
	if (!rc)
		free(rundir_find(name, &gone));
	return rc;
}
