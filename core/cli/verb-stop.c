/* SPDX-License-Identifier: MIT */
/*
 * verb-stop.c - `capsa stop NAME...`: asks guests to power off, and waits until they have. All are asked before the
 * first one is waited for.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/timeline.h"
#include "core/cli/verb.h"
#include "core/control/api-client.h"
#include "core/control/rundir.h"

enum { ANSWER_MS = 10000 };

struct stopping {
	const char *name;
	struct api_client *client; /* NULL: has failed, or has ended */
	int status;
};

/* Ends one way or the other: s->client is closed. */
static void done(struct stopping *s, int status)
{
	api_client_close(s->client);
	s->client = NULL;
	s->status = status;
}

/* It ends without an answer to us. */
static int wait_until_gone(const char *name)
{
	struct error err = { "" };

	return rundir_wait(name, &err) ? fail(EXIT_FAILED, "%s", err.text) : EXIT_OK;
}

static void ask(struct stopping *s)
{
	struct error err = { "" };
	char *body = NULL;
	int rc, status;

	s->status = EXIT_OK;
	rc = api_client_open(s->name, ANSWER_MS, &s->client, &err);
	if (!rc)
		rc = api_client_send(s->client, "PUT", "/vm/poweroff", &err);
	if (!rc)
		rc = api_client_receive(s->client, ANSWER_MS, &body, &status, &err);
	free(body);
	if (!rc)
		rc = api_client_send(s->client, "GET", "/vm/end", &err);
	if (rc == -EPIPE) /* it was about to end anyway */
		done(s, wait_until_gone(s->name));
	else if (rc == -ETIMEDOUT)
		done(s, fail(EXIT_FAILED, "%s; `capsa kill %s` ends it", err.text, s->name));
	else if (rc)
		done(s, fail(EXIT_FAILED, "%s", err.text));
}

/* Says how it ended where that is not what was asked for. */
static void tell_end(const char *name, const char *body)
{
	json_t *root = json_loads(body, 0, NULL);
	const char *end = json_string_value(json_object_get(root, "end"));
	const char *text = json_string_value(json_object_get(root, "text"));

	if (end && text && text[0] && strcmp(end, "powered-off") != 0)
		fail(EXIT_OK, "%s: %s", name, text);
	json_decref(root);
}

static void wait_for(struct stopping *s, int timeout_ms, const char *seconds)
{
	struct error err = { "" };
	char *body = NULL;
	int rc, status;

	if (!s->client)
		return;
	rc = api_client_receive(s->client, timeout_ms, &body, &status, &err);
	if (!rc)
		tell_end(s->name, body);
	free(body);
	if (!rc)
		done(s, EXIT_OK);
	else if (rc == -EPIPE)
		done(s, wait_until_gone(s->name));
	else if (rc == -ETIMEDOUT)
		done(s, fail(EXIT_FAILED, "the guest of \"%s\" did not power off within %s s; `capsa kill %s` ends it",
		             s->name, seconds, s->name));
	else
		done(s, fail(EXIT_FAILED, "%s", err.text));
}

/* Milliseconds until `deadline` (ns; negative: none). */
static int left(int64_t deadline)
{
	int64_t ms;

	if (deadline < 0)
		return -1;
	ms = (deadline - timeline_now()) / 1000000;
	return ms < 0 ? 0 : ms > INT_MAX ? INT_MAX : (int)ms;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "timeout", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	const char *seconds = "";
	struct stopping *all;
	double timeout = -1;
	int64_t deadline;
	int c, status = EXIT_OK, n;
	char *end;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c != 't')
			return verb_usage(&verb_stop, "stop knows one option, --timeout SECONDS");
		seconds = optarg;
		timeout = strtod(optarg, &end);
		if (end == optarg || *end || !(timeout >= 0 && timeout < 1e6))
			return verb_usage(&verb_stop, "--timeout wants seconds");
	}
	n = argc - optind;
	if (n == 0)
		return verb_usage(&verb_stop, "stop needs the name of a machine (capsa ls)");
	all = calloc((size_t)n, sizeof *all);
	if (!all)
		return fail(EXIT_FAILED, "out of memory");
	deadline = timeout < 0 ? -1 : timeline_now() + (int64_t)(timeout * 1e9);
	for (int i = 0; i < n; i++) {
		all[i].name = argv[optind + i];
		ask(&all[i]);
	}
	for (int i = 0; i < n; i++) {
		wait_for(&all[i], left(deadline), seconds);
		if (all[i].status)
			status = all[i].status;
	}
	free(all);
	return status;
}

const struct verb verb_stop = {
	.name = "stop",
	.arguments = "NAME... [--timeout SECONDS]",
	.summary = "ask guests to power off, and wait until they have",
	.help = "\n"
		"  --timeout SECONDS  fail where a guest has not powered off by then. It was asked all the\n"
		"                     same; after the machine's stop_timeout it is ended in any case\n",
	.run = run,
};
