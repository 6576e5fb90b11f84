/* SPDX-License-Identifier: MIT */
/* verb-cp.c - `capsa cp`: files and folders into a machine and out of it. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/reactor.h"
#include "core/cli/machine-agent.h"
#include "core/cli/verb.h"
#include "core/sandbox/copy.h"

#define READY_MS (60 * 1000)

/* "N:/path": the path, with the name in *name (the caller frees). NULL: a path of this host, as "./a:b" is. */
static const char *guest_path(const char *word, char **name)
{
	size_t len = strcspn(word, ":/");

	if (word[len] != ':' || len == 0)
		return NULL;
	*name = strndup(word, len);
	return word + len + 1;
}

static int copy(const char *name, const char *from, const char *to, bool into)
{
	struct machine_agent agent;
	struct error err = { "" };
	struct reactor *reactor = NULL;
	struct copy_end end = { .signal = 0 };
	int rc;

	if (machine_agent_open(name, &agent, &err))
		return fail(EXIT_FAILED, "%s", err.text);
	rc = reactor_new(&reactor);
	if (rc)
		error_set(&err, -rc, "cannot make an event loop");
	else
		rc = into ? copy_into_guest(reactor, machine_agent_take(&agent), from, to, READY_MS, &end, &err)
		          : copy_out_of_guest(reactor, machine_agent_take(&agent), from, to, READY_MS, &end, &err);
	reactor_free(reactor);
	if (end.lost)
		machine_agent_lost(&agent, &err);
	machine_agent_close(&agent);
	if (end.signal)
		return 128 + end.signal;
	return rc ? fail(EXIT_FAILED, "%s", err.text) : EXIT_OK;
}

static int run(int argc, char **argv)
{
	char *from_name = NULL, *to_name = NULL;
	const char *from, *to;
	int status;

	if (argc > 1 && strcmp(argv[1], "--") == 0) {
		argc--;
		argv++;
	}
	if (argc != 3)
		return verb_usage(&verb_cp, "cp takes what to copy, and where to");
	verb_ignore_write_signals();
	from = guest_path(argv[1], &from_name);
	to = guest_path(argv[2], &to_name);
	if (!from == !to)
		status = verb_usage(&verb_cp, from ? "one of the two must be here, not in a machine"
		                                   : "one of the two must be in a machine: N:/PATH");
	else if ((from && !*from) || (to && !*to))
		status = verb_usage(&verb_cp, "which path in the machine? N:/PATH");
	else
		status = copy(from ? from_name : to_name, from ? from : argv[1], to ? to : argv[2], to != NULL);
	free(from_name);
	free(to_name);
	return status;
}

const struct verb verb_cp = {
	.name = "cp",
	.arguments = "FROM TO",
	.summary = "copy files and folders into a machine, or out of it",
	.help = "One of the two is N:/PATH, in the machine N; the other is a path here, or - for standard input\n"
		"or output. A folder is copied with all that is in it; \"FOLDER/.\" means what is in it. Links\n"
		"stay links, holes stay holes, modes and times are kept; owners are those of whoever writes.\n",
	.run = run,
};
