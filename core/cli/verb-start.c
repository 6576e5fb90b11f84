/* SPDX-License-Identifier: MIT */
/* verb-start.c - `capsa start`: a machine in the background, with an agent that is ready for exec and cp. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "core/cli/machine-options.h"
#include "core/cli/progress.h"
#include "core/cli/trace-file.h"
#include "core/cli/verb.h"

/* Blocked, so that they can be waited for: the status line is taken away, and the machine with us. */
static int take_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* Until the machine lives without us: EXIT_OK. Else a status, with err (may be empty). */
static int wait_for_machine(struct sandbox *sandbox, struct error *err)
{
	struct pollfd waits[2] = { { .fd = sandbox_fd(sandbox), .events = POLLIN },
		                   { .fd = take_signals(), .events = POLLIN } };
	struct signalfd_siginfo signal;

	for (;;) {
		if (poll(waits, 2, -1) < 0)
			continue;
		if (waits[1].revents && read(waits[1].fd, &signal, sizeof signal) == sizeof signal)
			return 128 + (int)signal.ssi_signo;
		if (!waits[0].revents)
			continue;
		switch (sandbox_hear(sandbox, err)) {
		case SANDBOX_OPEN:
			break;
		case SANDBOX_READY:
			/* What comes now comes too late: in a moment it is nobody's. */
			sandbox_set_free(sandbox);
			waits[1].fd = -1;
			break;
		case SANDBOX_FREE:
			return EXIT_OK;
		case SANDBOX_ENDED:
			if (!err->text[0])
				error_set(err, EPIPE, "the machine has ended before its agent was ready");
			return EXIT_FAILED;
		}
	}
}

static int begin(struct machine_options *options, struct progress *progress)
{
	struct sandbox_plan plan;
	struct sandbox *sandbox;
	struct error err = { "" }, why;
	int status;

	options->sandbox.progress = progress_show;
	options->sandbox.ctx = progress;
	if (sandbox_plan(&options->sandbox, &plan, &err)) {
		progress_clear(progress);
		return fail(EXIT_FAILED, "%s", err.text);
	}
	if (sandbox_spawn(&plan, &sandbox, &err)) {
		sandbox_plan_free(&plan);
		return fail(EXIT_FAILED, "%s", err.text);
	}
	progress_show(progress, "starting the machine");
	status = wait_for_machine(sandbox, &err);
	progress_clear(progress);
	if (status == EXIT_OK)
		puts(plan.config->name);
	else if (err.text[0])
		fail(status, "%s", err.text);
	sandbox_end(sandbox, &why);
	if (status == EXIT_OK && options->trace &&
	    trace_file_write(options->trace, sandbox_timeline(sandbox), NULL, &err))
		status = fail(EXIT_FAILED, "%s", err.text);
	sandbox_free(sandbox);
	sandbox_plan_free(&plan);
	return status;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = { MACHINE_OPTIONS, { NULL, 0, NULL, 0 } };
	struct machine_options machine = { .quiet = false };
	struct progress progress;
	int c, status = EXIT_USAGE;

	while ((c = getopt_long(argc, argv, "+" MACHINE_LETTERS, options, NULL)) != -1)
		if (machine_option(&machine, c, optarg) <= 0)
			goto out;
	if (optind < argc) {
		verb_usage(&verb_start, "start takes no command: `capsa exec` runs some in the machine");
		goto out;
	}
	if (!machine.sandbox.name && !machine.sandbox.file) {
		verb_usage(&verb_start, "what is the machine to be called? --name N");
		goto out;
	}
	verb_ignore_write_signals();
	progress = progress_begin(machine.quiet);
	status = begin(&machine, &progress);
out:
	machine_options_free(&machine);
	return status;
}

const struct verb verb_start = {
	.name = "start",
	.arguments = "--name N [OPTION]...",
	.summary = "start a machine in the background; comes back when it is ready",
	.help = MACHINE_HELP "Then: capsa exec N -- COMMAND, capsa cp FILE N:/PATH, capsa logs N, capsa stop N.\n",
	.run = run,
};
