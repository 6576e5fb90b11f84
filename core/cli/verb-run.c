/* SPDX-License-Identifier: MIT */
/* verb-run.c - `capsa run`: a command in a machine of its own, which lives as long as the command. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cli/command-options.h"
#include "core/cli/machine-options.h"
#include "core/cli/progress.h"
#include "core/cli/trace-file.h"
#include "core/cli/verb.h"
#include "core/sandbox/why.h"

/* A guest that boots has been heard of by then, however slow its host is. */
#define READY_MS (300 * 1000)
/* What ends of itself does so by then; an agent that was killed leaves its machine. */
#define END_MS 3000

struct run {
	struct machine_options machine;
	struct command_options command;
	struct progress progress;
	struct timeline timeline; /* what only we see */
};

static void agent_ready(void *ctx, const struct client_times *times)
{
	struct run *run = ctx;

	(void)times;
	progress_clear(&run->progress);
}

static void command_started(void *ctx)
{
	struct run *run = ctx;

	timeline_mark(&run->timeline, "command started", timeline_now());
}

static void first_output(void *ctx)
{
	struct run *run = ctx;

	progress_clear(&run->progress);
	timeline_mark(&run->timeline, "first byte of output", timeline_now());
}

/*
 * Waits until the machine lets the agent's clients in, and goes in. A descriptor or -errno with err: -EPIPE where the
 * machine has told its end.
 */
static int enter(struct sandbox *sandbox, struct error *err)
{
	for (;;) {
		switch (sandbox_hear(sandbox, err)) {
		case SANDBOX_OPEN:
			return client_connect(sandbox_agent_path(sandbox), err);
		case SANDBOX_ENDED:
			return -EPIPE;
		case SANDBOX_READY:
		case SANDBOX_FREE:
			break;
		}
	}
}

static int execute(struct run *run, struct sandbox *sandbox, struct error *err)
{
	const struct exec_events events = {
		.ready = agent_ready, .started = command_started, .output = first_output, .ctx = run
	};
	struct reactor *reactor = NULL;
	bool lost = false;
	struct error why = { "" }, trace_err;
	int status = EXIT_CAPSA, fd, rc;

	fd = enter(sandbox, err);
	if (fd < 0)
		goto out;
	rc = reactor_new(&reactor);
	if (rc) {
		error_set(err, -rc, "cannot make an event loop: %s", strerror(-rc));
		close(fd);
		goto out;
	}
	progress_show(&run->progress, "starting the machine");
	status = exec_run(reactor, fd, &run->command.request, &events, &lost, err);
	timeline_mark(&run->timeline, "command ended", timeline_now());
	reactor_free(reactor);
out:
	progress_clear(&run->progress);
	/* One that ends at once takes its socket away, and a guest that powers off its agent. */
	if (fd < 0 && fd != -EPIPE)
		sandbox_ends_within(sandbox, END_MS, &why);
	if (lost && !sandbox_ends_within(sandbox, END_MS, &why))
		sandbox_why_lost(err);
	else if (lost || fd < 0)
		*err = why.text[0] ? why : *err;
	sandbox_end(sandbox, &why);
	if (run->machine.trace &&
	    trace_file_write(run->machine.trace, sandbox_timeline(sandbox), &run->timeline, &trace_err))
		fail(EXIT_CAPSA, "%s", trace_err.text);
	sandbox_free(sandbox);
	return status;
}

static int run_command(struct run *run)
{
	struct sandbox_plan plan;
	struct sandbox *sandbox;
	struct error err = { "" };
	int status;

	timeline_mark(&run->timeline, "process start", timeline_now());
	run->machine.sandbox.progress = progress_show;
	run->machine.sandbox.ctx = &run->progress;
	if (sandbox_plan(&run->machine.sandbox, &plan, &err)) {
		progress_clear(&run->progress);
		return fail(EXIT_CAPSA, "%s", err.text);
	}
	timeline_mark(&run->timeline, "image found", timeline_now());
	if (sandbox_spawn(&plan, &sandbox, &err)) {
		sandbox_plan_free(&plan);
		return fail(EXIT_CAPSA, "%s", err.text);
	}
	status = execute(run, sandbox, &err);
	sandbox_plan_free(&plan);
	return command_status(status, &err);
}

static int run(int argc, char **argv)
{
	static const struct option options[] = { COMMAND_OPTIONS, MACHINE_OPTIONS, { NULL, 0, NULL, 0 } };
	struct run *run = calloc(1, sizeof *run);
	int c, rc, status = EXIT_CAPSA;

	if (!run)
		return fail(EXIT_CAPSA, "no memory");
	while ((c = getopt_long(argc, argv, "+" COMMAND_LETTERS MACHINE_LETTERS, options, NULL)) != -1) {
		rc = command_option(&run->command, c, optarg);
		if (!rc)
			rc = machine_option(&run->machine, c, optarg);
		if (rc <= 0)
			goto out;
	}
	if (optind == argc) {
		verb_usage(&verb_run, "which command?");
		goto out;
	}
	verb_ignore_write_signals();
	run->command.request.argv = (const char *const *)(argv + optind);
	run->command.request.sync = true;
	run->command.request.ready_ms = READY_MS;
	run->progress = progress_begin(run->machine.quiet);
	status = run_command(run);
out:
	command_options_free(&run->command);
	machine_options_free(&run->machine);
	free(run);
	return status;
}

const struct verb verb_run = {
	.name = "run",
	.arguments = "[OPTION]... [--] COMMAND [ARGUMENT]...",
	.summary = "run a command in a machine of its own",
	.help = MACHINE_HELP COMMAND_HELP
	"Status: the command's own, 128 + its signal, 124 time-out, 125 capsa failed, 126 cannot be\n"
	"executed, 127 not found.\n",
	.run = run,
};
