/* SPDX-License-Identifier: MIT */
/*
 * verb-ls.c - `capsa ls`: the machines of this user that run. All are asked at once; those that have not answered after
 * two seconds (stopped, or hanging) are listed as such.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/base/timeline.h"
#include "core/cli/machines.h"
#include "core/cli/verb.h"
#include "core/control/api-client.h"
#include "core/control/rundir.h"

enum { PATIENCE_MS = 2000 };

struct row {
	struct rundir_entry *entry;
	struct api_client *client;
	json_t *vm; /* its answer, or NULL */
	bool ended; /* since it was listed */
};

static int left(int64_t deadline)
{
	int64_t ms = (deadline - timeline_now()) / 1000000;

	return ms > 0 ? (int)ms : 0;
}

static void ask(struct row *row, int64_t deadline)
{
	struct error err;
	int rc = api_client_open(row->entry->name, left(deadline), &row->client, &err);

	if (!rc)
		rc = api_client_send(row->client, "GET", "/vm", &err);
	row->ended = rc == -ESRCH;
	if (rc) {
		api_client_close(row->client);
		row->client = NULL;
	}
}

static void hear(struct row *row, int64_t deadline)
{
	char *body = NULL;
	struct error err;
	int rc, status;

	if (!row->client)
		return;
	rc = api_client_receive(row->client, left(deadline), &body, &status, &err);
	if (!rc && status == 200)
		row->vm = json_loads(body, 0, NULL);
	row->ended = rc == -EPIPE;
	free(body);
	api_client_close(row->client);
	row->client = NULL;
}

static void print_rows(const struct row *rows, long n)
{
	int width = 4;
	char memory[32], uptime[32];

	for (long i = 0; i < n; i++)
		if (!rows[i].ended && (int)strlen(rows[i].entry->name) > width)
			width = (int)strlen(rows[i].entry->name);
	printf("%-*s  %8s  %-13s  %4s  %8s  %s\n", width, "NAME", "PID", "STATE", "CPUS", "MEMORY", "UPTIME");
	for (long i = 0; i < n; i++) {
		const struct row *row = &rows[i];

		if (row->ended)
			continue;
		if (!row->vm) {
			printf("%-*s  %8ld  not answering\n", width, row->entry->name, row->entry->pid);
			continue;
		}
		printf("%-*s  %8ld  %-13s  %4lld  %8s  %s\n", width, row->entry->name, row->entry->pid,
		       machines_text(row->vm, "state"), (long long)json_integer_value(json_object_get(row->vm, "cpus")),
		       text_format_size((uint64_t)json_integer_value(json_object_get(row->vm, "memory")), memory,
		                        sizeof memory),
		       machines_duration(json_number_value(json_object_get(row->vm, "uptime_seconds")), uptime,
		                         sizeof uptime));
	}
}

static int print_json(struct row *rows, long n)
{
	json_t *root = json_object(), *list = json_array();

	for (long i = 0; i < n; i++) {
		struct row *row = &rows[i];
		json_t *entry = row->vm;

		if (row->ended)
			continue;
		if (!entry) {
			entry = json_object();
			json_object_set_new(entry, "name", json_string(row->entry->name));
			json_object_set_new(entry, "pid", json_integer(row->entry->pid));
			json_object_set_new(entry, "state", json_string("not answering"));
		}
		row->vm = NULL;
		json_array_append_new(list, entry);
	}
	json_object_set_new(root, "machines", list);
	return machines_print_json(root);
}

static int ls(bool json)
{
	int64_t deadline = timeline_now() + PATIENCE_MS * 1000000ll;
	struct rundir_entry *entries = NULL;
	struct error err = { "" };
	long n = rundir_list(&entries, &err);
	int status = EXIT_OK;
	struct row *rows;

	if (n < 0)
		return fail(EXIT_FAILED, "%s", err.text);
	rows = calloc((size_t)n + 1, sizeof *rows);
	if (!rows) {
		rundir_list_free(entries, n);
		return fail(EXIT_FAILED, "out of memory");
	}
	for (long i = 0; i < n; i++) {
		rows[i].entry = &entries[i];
		ask(&rows[i], deadline);
	}
	for (long i = 0; i < n; i++)
		hear(&rows[i], deadline);
	if (json)
		status = print_json(rows, n);
	else
		print_rows(rows, n);
	for (long i = 0; i < n; i++)
		json_decref(rows[i].vm);
	free(rows);
	rundir_list_free(entries, n);
	return status;
}

static int run(int argc, char **argv)
{
	bool json = argc == 2 && strcmp(argv[1], "--json") == 0;

	if (argc != 1 && !json)
		return verb_usage(&verb_ls, "ls takes no argument but --json");
	return ls(json);
}

const struct verb verb_ls = {
	.name = "ls",
	.arguments = "[--json]",
	.summary = "list the machines that run",
	.run = run,
};
