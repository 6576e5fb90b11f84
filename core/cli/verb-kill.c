/* SPDX-License-Identifier: MIT */
/*
 * verb-kill.c - `capsa kill NAME...`: ends machines at once. One that does not answer, because it hangs or is stopped,
 * is killed as any process would be, and what it left is removed.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli/verb.h"
#include "core/control/api-client.h"
#include "core/control/rundir.h"

enum { PATIENCE_MS = 2000 };

/* Asks nicely: the machine closes its devices and removes its files. 0: it has ended. */
static int ask(const char *name, struct error *err)
{
	struct api_client *client;
	char *body = NULL;
	int rc, status;

	rc = api_client_open(name, PATIENCE_MS, &client, err);
	if (rc)
		return rc;
	rc = api_client_send(client, "PUT", "/vm/kill", err);
	if (!rc)
		rc = api_client_receive(client, PATIENCE_MS, &body, &status, err);
	free(body);
	body = NULL;
	if (!rc)
		rc = api_client_send(client, "GET", "/vm/end", err);
	/* Not the answer is what counts, but that the machine is gone. */
	if (!rc)
		rc = api_client_receive(client, PATIENCE_MS, &body, &status, err);
	free(body);
	api_client_close(client);
	return rc;
}

static int kill_one(const char *name)
{
	struct error err = { "" };
	int rc = ask(name, &err);

	if (rc == -ESRCH)
		return fail(EXIT_FAILED, "%s", err.text);
	if (rc) {
		rc = rundir_kill(name, &err);
		/* It has ended in between. */
		if (rc == -ESRCH)
			rc = 0;
	}
	return rc ? fail(EXIT_FAILED, "%s", err.text) : EXIT_OK;
}

static int run(int argc, char **argv)
{
	int status = EXIT_OK, first = 1;

	if (argc > 1 && strcmp(argv[1], "--") == 0)
		first = 2;
	else if (argc > 1 && argv[1][0] == '-')
		return verb_usage(&verb_kill, "kill knows no options");
	if (first == argc)
		return verb_usage(&verb_kill, "kill needs the name of a machine (capsa ls)");
	for (int i = first; i < argc; i++) {
		int one = kill_one(argv[i]);

		if (one)
			status = one;
	}
	return status;
}

const struct verb verb_kill = {
	.name = "kill",
	.arguments = "NAME...",
	.summary = "end machines at once, without asking their guests",
	.run = run,
};
