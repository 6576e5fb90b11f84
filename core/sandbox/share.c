/* SPDX-License-Identifier: MIT */
/*
 * share.c - see share.h. Called by core/cli/machine-options.c and sandbox-plan.c; pure but for a look at the folder.
 *
 * A value of an option becomes what it looks like: true and false, a whole number, else a string. The plugin's own key
 * table then checks it, as it checks a file's, so that nothing of it is known twice; but for the few keys below, which
 * would be taken wrong.
 */
#include "core/sandbox/share.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/config/value.h"
#include "core/sandbox/mounts.h"

#define PLUGIN "virtio-fs"

enum kind {
	KIND_AS_IT_LOOKS,
	KIND_STRING,
	KIND_LIST,  /* of strings: all that were given */
	KIND_TAKEN, /* said by HOST and GUEST */
};

static enum kind kind_of(const char *key)
{
	static const struct {
		const char *key;
		enum kind kind;
	} known[] = {
		{ "tag", KIND_STRING },   { "uid_map", KIND_LIST }, { "gid_map", KIND_LIST },
		{ "plugin", KIND_TAKEN }, { "path", KIND_TAKEN },   { "mount", KIND_TAKEN },
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(known[i].key, key) == 0)
			return known[i].kind;
	return KIND_AS_IT_LOOKS;
}

/* What is being parsed. Once `rc` is set nothing changes any more. */
struct parser {
	const char *at;
	const char *option; /* "--share" */
	struct arena *arena;
	struct error *err;
	int rc;
	char *keys;
	bool has_cache, has_submounts, has_readonly, is_writable; /* is_writable: somebody said so */
	char *lists[2];                                           /* uid_map, gid_map: their items */
};

static void *kept(struct parser *p, void *memory)
{
	if (!memory && !p->rc)
		p->rc = error_set(p->err, ENOMEM, "no memory");
	return memory;
}

__attribute__((format(printf, 2, 3))) static void wrong(struct parser *p, const char *fmt, ...)
{
	va_list args;

	if (p->rc)
		return;
	va_start(args, fmt);
	p->rc = error_vset(p->err, EINVAL, fmt, args);
	va_end(args);
	error_prefix(p->err, 0, "%s: ", p->option);
}

/* Up to one of `ends` or to the end of it all, which is left. "" where something was wrong before. */
static const char *take(struct parser *p, const char *ends)
{
	char *piece = kept(p, arena_alloc(p->arena, strlen(p->at) + 1, 1)), *to = piece;

	if (p->rc)
		return "";
	for (; *p->at && !strchr(ends, *p->at); p->at++) {
		if (*p->at == '\\' && p->at[1])
			p->at++;
		*to++ = *p->at;
	}
	return piece;
}

/* In quotes, as a string of a configuration file. */
static const char *quoted(struct parser *p, const char *text)
{
	char *out = kept(p, arena_alloc(p->arena, 2 * strlen(text) + 3, 1)), *to = out;

	if (p->rc)
		return "";
	*to++ = '"';
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			*to++ = '\\';
		*to++ = *text;
	}
	*to = '"';
	return out;
}

static void add_key(struct parser *p, const char *key, const char *value)
{
	if (!p->rc)
		p->keys = kept(p, arena_format(p->arena, "%s %s = %s;", p->keys, key, value));
}

/* libconfig's own words for long numbers end with an L. */
static bool is_number(const char *text)
{
	size_t n = strspn(text + (*text == '-'), "0123456789");

	return n > 0 && n < 19 && !text[n + (*text == '-')];
}

static const char *literal(struct parser *p, const char *value)
{
	static const char *const truths[] = { "true", "yes", "on" }, *const lies[] = { "false", "no", "off" };

	for (size_t i = 0; i < 3; i++) {
		if (strcmp(value, truths[i]) == 0)
			return "true";
		if (strcmp(value, lies[i]) == 0)
			return "false";
	}
	if (!is_number(value))
		return quoted(p, value);
	value = kept(p, arena_format(p->arena, strlen(value) > 9 ? "%sL" : "%s", value));
	return value ? value : "";
}

static void set_readonly(struct parser *p, bool readonly)
{
	if (p->has_readonly)
		wrong(p, "\"ro\" or \"rw\"? It is said twice");
	p->has_readonly = true;
	p->is_writable = !readonly;
	add_key(p, "readonly", readonly ? "true" : "false");
}

static void add_to_list(struct parser *p, const char *key, const char *value)
{
	char **list = &p->lists[*key == 'g'];
	const char *item = quoted(p, value);

	if (!p->rc)
		*list = kept(p, *list ? arena_format(p->arena, "%s, %s", *list, item) : arena_strdup(p->arena, item));
}

/* "KEY", "KEY=VALUE" */
static void take_option(struct parser *p, struct share *share)
{
	const char *key = take(p, "=,"), *value = "true";
	bool has_value = *p->at == '=';

	if (has_value) {
		p->at++;
		value = take(p, ",");
	}
	if (p->rc)
		return;
	if (!*key || strspn(key, "abcdefghijklmnopqrstuvwxyz_0123456789") != strlen(key) || *key < 'a') {
		wrong(p,
		      "\"%.64s\" is no option; `capsa plugin show " PLUGIN "` tells them, and a \",\" in a path is "
		      "written \"\\,\"",
		      key);
		return;
	}
	if (!has_value && (strcmp(key, "ro") == 0 || strcmp(key, "rw") == 0)) {
		set_readonly(p, key[1] == 'o');
		return;
	}
	if (strcmp(key, "readonly") == 0) {
		value = literal(p, value);
		if (*value == '"')
			wrong(p, "readonly: true or false, not %.64s", value);
		else
			set_readonly(p, strcmp(value, "false") != 0);
		return;
	}
	p->has_cache |= strcmp(key, "cache") == 0;
	p->has_submounts |= strcmp(key, "submounts") == 0;
	share->has_tag |= strcmp(key, "tag") == 0;
	switch (kind_of(key)) {
	case KIND_AS_IT_LOOKS:
		add_key(p, key, literal(p, value));
		break;
	case KIND_STRING:
		add_key(p, key, quoted(p, value));
		break;
	case KIND_LIST:
		add_to_list(p, key, value);
		break;
	case KIND_TAKEN:
		wrong(p, "\"%s\" is no option of it: the words in front of the options say that", key);
		break;
	}
}

static void take_host(struct parser *p, const char *path)
{
	char *folder = NULL;
	struct stat st;

	if (p->rc)
		return;
	if (!*path) {
		wrong(p, "which folder of this host? Write %s", p->option[2] == 'r' ? "DIR" : "HOST:GUEST");
		return;
	}
	/* In a file it would be relative to that. */
	if (*path != '/')
		folder = getcwd(NULL, 0);
	if (*path != '/' && !folder) {
		wrong(p, "\"%.200s\": the working folder is gone; write a path that begins with \"/\"", path);
		return;
	}
	if (folder)
		path = kept(p, value_absolute_path(folder, path, p->arena));
	free(folder);
	if (!path)
		return;
	if (stat(path, &st) && errno == ENOENT)
		wrong(p, "there is no folder \"%.400s\"; make it first, or name another one", path);
	else if (stat(path, &st))
		wrong(p, "the folder \"%.400s\" cannot be shared: %s", path, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		wrong(p, "\"%.400s\" is no folder; share the one that it is in", path);
	add_key(p, "path", quoted(p, path));
}

static void take_guest(struct parser *p, const char *host)
{
	const char *target, *mode, *fault;

	if (*p->at != ':') {
		wrong(p, "\"%.200s\": where in the guest? Write HOST:GUEST, such as \"%.200s:/mnt\"", host, host);
		return;
	}
	p->at++;
	target = take(p, ":,");
	if (p->rc)
		return;
	fault = mounts_target_fault(target);
	if (!fault && target[strspn(target, "/")] == '\0')
		fault = "is the guest's root; --root DIR makes a folder that";
	if (fault) {
		wrong(p, "GUEST, \"%.200s\", %s (a \":\" in a path is written \"\\:\")", target, fault);
		return;
	}
	add_key(p, "mount", quoted(p, target));
	if (*p->at != ':')
		return;
	p->at++;
	mode = take(p, ":,");
	if (strcmp(mode, "ro") == 0 || strcmp(mode, "rw") == 0)
		set_readonly(p, mode[1] == 'o');
	else
		wrong(p,
		      "\":%.64s\" behind GUEST is unknown; write \":ro\", or options after a \",\" (a \":\" in a path "
		      "is "
		      "written \"\\:\")",
		      mode);
	if (*p->at == ':')
		wrong(p, "too many \":\"; one in a path is written \"\\:\"");
}

int share_parse(const char *word, bool is_root, struct arena *arena, struct share *out, struct error *err)
{
	static const char *const lists[] = { "uid_map", "gid_map" };
	struct parser p = { .at = word, .option = is_root ? "--root" : "--share", .arena = arena, .err = err };
	const char *host;

	*out = (struct share){ .is_root = is_root };
	out->label = kept(&p, arena_format(arena, "%s %s", p.option, word));
	p.keys = kept(&p, arena_strdup(arena, "plugin = \"" PLUGIN "\";"));
	host = take(&p, is_root ? "," : ":,");
	take_host(&p, host);
	if (is_root)
		add_key(&p, "mount", "\"/\"");
	else
		take_guest(&p, host);
	while (!p.rc && *p.at == ',') {
		p.at++;
		take_option(&p, out);
	}
	for (size_t i = 0; i < 2; i++)
		if (p.lists[i])
			add_key(&p, lists[i], kept(&p, arena_format(arena, "( %s )", p.lists[i])));
	/*
	 * Below an overlay a tree must not change anyway, so what was read once holds for good: hardly a question is
	 * asked twice, and a program of it is read once however often it is run. No DAX: a window costs the guest
	 * memory and time when it is set up, and what a short command reads, it reads once.
	 */
	if (is_root && !p.has_readonly)
		add_key(&p, "readonly", "true");
	if (is_root && !p.is_writable && !p.has_cache)
		add_key(&p, "cache", "\"always\"");
	/* overlayfs does not follow a mount in its lower layer: /home would be EREMOTE where it is one of the host's.
	 */
	if (is_root && !p.is_writable && !p.has_submounts)
		add_key(&p, "submounts", "false");
	out->keys = p.keys;
	return p.rc;
}

/* Tags are at most 36 bytes (virtio 1.2, 5.11.4). */
static const char *free_tag(const struct config *config, bool is_root)
{
	for (unsigned n = 0;; n++) {
		const char *tag = is_root && n == 0
		                          ? arena_strdup(config->arena, "root")
		                          : arena_format(config->arena, "%s%u", is_root ? "root" : "share", n);
		bool taken = false;

		for (size_t i = 0; tag && i < config->n_devices; i++)
			for (size_t k = 0; k < config->devices[i].n_values; k++) {
				const struct capsa_value *value = &config->devices[i].values[k];

				taken |= strcmp(value->name, "tag") == 0 && value->type == CAPSA_TYPE_STRING &&
				         strcmp(value->string, tag) == 0;
			}
		if (!taken)
			return tag;
	}
}

int share_add(const struct share *share, struct config *config, struct error *err)
{
	const char *label = arena_strdup(config->arena, share->label), *keys = share->keys, *tag;

	if (!share->has_tag) {
		tag = free_tag(config, share->is_root);
		keys = tag ? arena_format(config->arena, "%s tag = \"%s\";", keys, tag) : NULL;
	}
	if (!label || !keys)
		return error_set(err, ENOMEM, "no memory");
	return config_add_device(config, keys, label, err);
}
