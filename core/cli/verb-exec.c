/* SPDX-License-Identifier: MIT */
/* verb-exec.c - `capsa exec`: a command in a machine that runs. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/reactor.h"
#include "core/cli/command-options.h"
#include "core/cli/machine-agent.h"
#include "core/cli/verb.h"

#define READY_MS (60 * 1000)

static int execute(const char *name, const struct exec_request *request)
{
	static const struct exec_events nothing = { .ready = NULL };
	struct machine_agent agent;
	struct error err = { "" };
	struct reactor *reactor = NULL;
	bool lost = false;
	int status = EXIT_CAPSA;

	if (machine_agent_open(name, &agent, &err))
		return fail(EXIT_CAPSA, "%s", err.text);
	if (reactor_new(&reactor))
		error_set(&err, ENOMEM, "cannot make an event loop");
	else
		status = exec_run(reactor, machine_agent_take(&agent), request, &nothing, &lost, &err);
	reactor_free(reactor);
	if (lost)
		machine_agent_lost(&agent, &err);
	machine_agent_close(&agent);
	return command_status(status, &err);
}

static int run(int argc, char **argv)
{
	static const struct option options[] = { COMMAND_OPTIONS, { NULL, 0, NULL, 0 } };
	struct command_options command = { .n_env = 0 };
	const char *name = NULL;
	int c, status = EXIT_CAPSA;

	/* The machine's name may stand before or behind the options; what follows both is the command's. */
	for (;;) {
		while ((c = getopt_long(argc, argv, "+" COMMAND_LETTERS, options, NULL)) != -1)
			if (command_option(&command, c, optarg) <= 0)
				goto out;
		if (name || optind == argc || strcmp(argv[optind - 1], "--") == 0)
			break;
		name = argv[optind++];
	}
	if (!name) {
		verb_usage(&verb_exec, "in which machine? `capsa ls` lists them");
		goto out;
	}
	if (optind == argc) {
		verb_usage(&verb_exec, "which command?");
		goto out;
	}
	verb_ignore_write_signals();
	command.request.argv = (const char *const *)(argv + optind);
	command.request.ready_ms = READY_MS;
	status = execute(name, &command.request);
out:
	command_options_free(&command);
	return status;
}

const struct verb verb_exec = {
	.name = "exec",
	.arguments = "N [OPTION]... [--] COMMAND [ARGUMENT]...",
	.summary = "run a command in a machine that runs",
	.help = COMMAND_HELP "Status: as of `capsa run`.\n",
	.run = run,
};
