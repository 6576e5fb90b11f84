/* SPDX-License-Identifier: MIT */
/*
 * users.h - who a command runs as. Reads /etc/passwd and /etc/group itself: a static binary has no name service, and a
 * guest has no other users than those of its files.
 */
#ifndef CAPSA_AGENT_USERS_H
#define CAPSA_AGENT_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define USER_GROUPS_MAX 64u

struct user {
	uid_t uid;
	gid_t gid;
	gid_t groups[USER_GROUPS_MAX]; /* gid among them; more than fit are left out */
	size_t n_groups;
	char name[64];  /* its number where it has none */
	char home[256]; /* "/" where nobody says */
};

/*
 * `who` is "" (root), "name", "uid", "name:group" (that group and no other), with numbers anywhere. A number need not
 * be in a file; its group is then the same number. `passwd` and `group` are paths; that one is missing is the same as
 * empty. 0, -ENOENT (no such user or group; *group_missing says which), -EINVAL, -ENOMEM, or -errno of reading.
 */
int user_find(const char *who, const char *passwd, const char *group, struct user *user, bool *group_missing);

#endif
