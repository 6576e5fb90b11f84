/* SPDX-License-Identifier: MIT */
/*
 * mounts.c - see mounts.h. Called by sandbox-machine.c (what there is), link.c (when it is asked for) and share.c.
 *
 * The guest answers, so an answer is worth what the guest is worth: one that lies has commands without their files. But
 * it cannot keep anybody waiting for ever, and what it says is printed once.
 */
#include "core/sandbox/mounts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"

/* The agent's own limit of a path. */
#define TARGET_MAX 4095u

struct mount {
	struct mounts *all;
	struct mounts_entry entry;
	char *target;                   /* the entry's, without "/" at its end */
	struct client_channel *channel; /* NULL: not asked, or answered */
	bool told_dax;                  /* that the guest has none */
};

struct mounts {
	struct mount *list;
	size_t n;
	size_t waiting; /* for so many answers */
	struct reactor_timer *timer;
	int64_t ms;
	void (*done)(void *ctx, const char *failure); /* NULL: nothing is asked at the moment */
	void *ctx;
	bool failed;
	struct error failure;
};

/* ---- what there is ---- */

const char *mounts_target_fault(const char *path)
{
	if (*path != '/')
		return "is no absolute path";
	if (strlen(path) > TARGET_MAX)
		return "is too long";
	for (const char *at = path; *at; at += strcspn(at, "/")) {
		size_t n;

		at += strspn(at, "/");
		n = strcspn(at, "/");
		if ((n == 1 || n == 2) && strncmp(at, "..", n) == 0)
			return "has \".\" or \"..\" in it";
	}
	return NULL;
}

/* A folder comes before what is in it, and that is always longer. In the order of the file else. */
static void sort(struct mounts *m)
{
	for (size_t i = 1; i < m->n; i++) {
		struct mount moved = m->list[i];
		size_t k = i;

		for (; k > 0 && strlen(m->list[k - 1].target) > strlen(moved.target); k--)
			m->list[k] = m->list[k - 1];
		m->list[k] = moved;
	}
}

static void answer_is_late(void *ctx);

static int take_entry(struct mount *mount, const struct mounts_entry *entry, struct error *err)
{
	const char *fault = mounts_target_fault(entry->target);
	size_t len = strlen(entry->target);

	if (fault) {
		error_set(err, EINVAL, "key \"mount\": \"%.200s\" %s; write where in the guest, such as \"/src\"",
		          entry->target, fault);
		return error_prefix_place(err, -EINVAL, entry->file, entry->line);
	}
	while (len > 1 && entry->target[len - 1] == '/')
		len--;
	mount->entry = *entry;
	mount->target = strndup(entry->target, len);
	return mount->target ? 0 : error_set(err, ENOMEM, "no memory");
}

static int check_targets(const struct mounts *m, struct error *err)
{
	for (size_t i = 1; i < m->n; i++)
		for (size_t k = 0; k < i; k++) {
			const struct mounts_entry *entry = &m->list[i].entry;

			if (strcmp(m->list[i].target, m->list[k].target) != 0)
				continue;
			error_set(err, EEXIST, "\"%.200s\" and \"%.200s\" are both to be mounted at \"%.200s\"",
			          m->list[k].entry.path, entry->path, m->list[i].target);
			return error_prefix_place(err, -EEXIST, entry->file, entry->line);
		}
	return 0;
}

int mounts_new(struct reactor *reactor, const struct mounts_entry *entries, size_t n, struct mounts **out,
               struct error *err)
{
	struct mounts *m = calloc(1, sizeof *m);
	int rc = 0;

	if (m) {
		m->list = calloc(n + 1, sizeof *m->list);
		m->timer = reactor_timer_add(reactor, answer_is_late, m);
	}
	if (!m || !m->list || !m->timer)
		rc = error_set(err, ENOMEM, "no memory");
	for (size_t i = 0; !rc && i < n; i++) {
		rc = take_entry(&m->list[i], &entries[i], err);
		m->n += !rc;
	}
	if (!rc)
		rc = check_targets(m, err);
	if (rc) {
		mounts_free(m);
		return rc;
	}
	sort(m);
	for (size_t i = 0; i < n; i++)
		m->list[i].all = m;
	*out = m;
	return 0;
}

void mounts_free(struct mounts *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		free(m->list[i].target);
	if (m->timer)
		reactor_timer_remove(m->timer);
	free(m->list);
	free(m);
}

bool mounts_is_empty(const struct mounts *m)
{
	return m->n == 0;
}

/* ---- the asking ---- */

static void tell(struct mounts *m)
{
	void (*done)(void *ctx, const char *failure) = m->done;

	reactor_timer_set(m->timer, -1);
	m->done = NULL;
	done(m->ctx, m->failed ? m->failure.text : NULL);
}

/* The first one counts: others may have failed because it did. */
static void fails(struct mount *mount, const char *cause, const char *what_to_do)
{
	struct mounts *m = mount->all;

	if (m->failed)
		return;
	m->failed = true;
	error_set(&m->failure, EIO, "the share \"%.300s\" cannot be mounted at \"%.200s\" in the guest: %.300s%s",
	          mount->entry.path, mount->target, cause, what_to_do);
}

static void took_result(void *ctx, const struct client_result *result)
{
	struct mount *mount = ctx;
	struct mounts *m = mount->all;
	struct agent_reader rest = result->rest;

	mount->channel = NULL;
	if (result->code == -ENODEV)
		fails(mount, *result->cause ? result->cause : strerror(ENODEV),
		      " (its kernel has no such file system, or its image not that module)");
	else if (result->code)
		fails(mount, *result->cause ? result->cause : strerror(-result->code), "");
	else if (mount->entry.dax && !mount->told_dax && agent_read_u32(&rest) && !rest.failed) {
		mount->told_dax = true;
		log_warning("the guest's kernel has no DAX: the share \"%s\" is mounted without", mount->entry.path);
	}
	if (--m->waiting == 0)
		tell(m);
}

static void answer_is_late(void *ctx)
{
	struct mounts *m = ctx;
	char cause[96];

	snprintf(cause, sizeof cause, "its agent has not answered for %g s", (double)m->ms / 1000);
	for (size_t i = 0; i < m->n; i++)
		if (m->list[i].channel)
			fails(&m->list[i], cause, "");
	for (size_t i = 0; i < m->n; i++) {
		client_forget(m->list[i].channel);
		m->list[i].channel = NULL;
	}
	m->waiting = 0;
	tell(m);
}

static bool request(struct mount *mount, struct client *client)
{
	static const struct client_channel_events events = { .result = took_result };
	const struct mounts_entry *entry = &mount->entry;
	const char *mode = entry->readonly ? "ro" : "rw", *with_dax = entry->readonly ? "ro,dax" : "rw,dax";
	bool overlay = entry->readonly && strcmp(mount->target, "/") == 0;
	size_t room = 128 + strlen(entry->tag) + strlen(mount->target);
	unsigned char *payload = malloc(room);
	struct agent_writer w = agent_writer_on(payload, payload ? room : 0);

	agent_write_string(&w, entry->tag);
	agent_write_string(&w, mount->target);
	agent_write_string(&w, "virtiofs");
	agent_write_string(&w, entry->dax ? with_dax : mode);
	agent_write_u32(&w, AGENT_MOUNT_ONCE | (overlay ? AGENT_MOUNT_OVERLAY : 0));
	agent_write_string(&w, entry->dax ? mode : "");
	mount->channel = w.failed ? NULL : client_request(client, AGENT_MOUNT, payload, w.used, &events, mount);
	free(payload);
	return mount->channel != NULL;
}

void mounts_ask(struct mounts *m, struct client *client, int64_t ms, void (*done)(void *ctx, const char *failure),
                void *ctx)
{
	m->failed = false;
	m->waiting = 0;
	m->ms = ms;
	m->done = done;
	m->ctx = ctx;
	for (size_t i = 0; i < m->n; i++) {
		if (request(&m->list[i], client))
			m->waiting++;
		else
			fails(&m->list[i], "no memory", "");
	}
	if (m->waiting > 0)
		reactor_timer_set(m->timer, ms);
	else
		tell(m);
}

void mounts_forget(struct mounts *m)
{
	reactor_timer_set(m->timer, -1);
	m->done = NULL;
	for (size_t i = 0; i < m->n; i++)
		m->list[i].channel = NULL;
}
