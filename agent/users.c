/* SPDX-License-Identifier: MIT */
/* users.c - see users.h. Called by exec.c. The files are the guest's: lines that make no sense are passed over. */
#include "agent/users.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/text-file.h"

#define FILE_MAX (4u << 20)
#define FIELDS 7u

/* The next line, split at ':' in place, into `fields` (missing ones ""). False at the end. */
static bool next_line(char **at, char *fields[FIELDS])
{
	static char empty[1];
	char *line = *at, *end;

	if (!*line)
		return false;
	end = line + strcspn(line, "\n");
	*at = *end ? end + 1 : end;
	*end = '\0';
	for (unsigned i = 0; i < FIELDS; i++) {
		fields[i] = line ? line : empty;
		if (!line)
			continue;
		/* The last one is the rest. */
		line = i + 1 < FIELDS ? strchr(line, ':') : NULL;
		if (line)
			*line++ = '\0';
	}
	return true;
}

/* Decimal digits only. (uid_t)-1 is no number of anybody: to setresuid(2) it means "as before". */
static bool parse_id(const char *text, uint32_t *id)
{
	uint64_t value = 0;
	const char *p;

	for (p = text; *p >= '0' && *p <= '9' && value < UINT32_MAX; p++)
		value = value * 10 + (unsigned)(*p - '0');
	if (p == text || *p || value >= UINT32_MAX)
		return false;
	*id = (uint32_t)value;
	return true;
}

static bool word_is(const char *list, const char *word)
{
	size_t len = strlen(word);

	while (*list) {
		size_t n = strcspn(list, ",");

		if (n == len && memcmp(list, word, n) == 0)
			return true;
		list += n;
		list += *list == ',';
	}
	return false;
}

static void add_group(struct user *user, gid_t gid)
{
	for (size_t i = 0; i < user->n_groups; i++)
		if (user->groups[i] == gid)
			return;
	if (user->n_groups < USER_GROUPS_MAX)
		user->groups[user->n_groups++] = gid;
}

/* By name first: a name may consist of digits. */
static bool find_passwd(char *text, const char *name, struct user *user)
{
	uint32_t id = 0, uid, gid;
	bool number = parse_id(name, &id), found = false;
	char *f[FIELDS];

	while (next_line(&text, f)) {
		bool named = strcmp(f[0], name) == 0;

		if (!*f[0] || !parse_id(f[2], &uid) || !parse_id(f[3], &gid))
			continue;
		if (!named && (!number || uid != id || found))
			continue;
		if (strlen(f[0]) >= sizeof user->name || strlen(f[5]) >= sizeof user->home)
			continue;
		user->uid = uid;
		user->gid = gid;
		strcpy(user->name, f[0]);
		strcpy(user->home, *f[5] ? f[5] : "/");
		found = true;
		if (named)
			break;
	}
	if (found || !number)
		return found;
	user->uid = user->gid = id;
	snprintf(user->name, sizeof user->name, "%u", id);
	strcpy(user->home, "/");
	return true;
}

static bool find_group(char *text, const char *name, gid_t *gid)
{
	uint32_t id;
	char *f[FIELDS];

	while (next_line(&text, f)) {
		if (strcmp(f[0], name) == 0 && parse_id(f[2], &id)) {
			*gid = id;
			return true;
		}
	}
	if (!parse_id(name, &id))
		return false;
	*gid = id;
	return true;
}

static void find_memberships(char *text, struct user *user)
{
	uint32_t gid;
	char *f[FIELDS];

	while (next_line(&text, f))
		if (parse_id(f[2], &gid) && word_is(f[3], user->name))
			add_group(user, gid);
}

static int read_or_empty(const char *path, char **text)
{
	int err = text_file_read(path, FILE_MAX, text);

	if (err == -ENOENT || err == -ENOTDIR) {
		*text = calloc(1, 1);
		err = *text ? 0 : -ENOMEM;
	}
	return err;
}

int user_find(const char *who, const char *passwd, const char *group, struct user *user, bool *group_missing)
{
	const char *colon = strchr(who, ':');
	char name[64], *text;
	size_t len = colon ? (size_t)(colon - who) : strlen(who);
	bool found;
	int err;

	*user = (struct user){ 0 };
	*group_missing = false;
	if (len >= sizeof name || (colon && (!colon[1] || strchr(colon + 1, ':'))))
		return -EINVAL;
	memcpy(name, who, len);
	name[len] = '\0';

	err = read_or_empty(passwd, &text);
	if (err)
		return err;
	found = find_passwd(text, len ? name : "0", user);
	free(text);
	if (!found)
		return -ENOENT;
	/* A guest without a passwd has root all the same. */
	if (user->uid == 0 && strcmp(user->name, "0") == 0)
		strcpy(user->name, "root");

	err = read_or_empty(group, &text);
	if (err)
		return err;
	if (colon) {
		*group_missing = !find_group(text, colon + 1, &user->gid);
		add_group(user, user->gid);
	} else {
		add_group(user, user->gid);
		find_memberships(text, user);
	}
	free(text);
	return *group_missing ? -ENOENT : 0;
}
