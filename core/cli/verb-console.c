/* SPDX-License-Identifier: MIT */
/*
 * verb-console.c - `capsa console NAME`: attaches to a console, or drives it from a script. --send, --wait-for and
 * --exec are carried out in the order in which they stand on the command line.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <regex.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/cli/verb.h"
#include "core/control/console-client.h"
#include "core/control/rundir.h"

enum step_kind { STEP_SEND, STEP_WAIT_FOR, STEP_EXEC };

struct step {
	enum step_kind kind;
	const char *text;
};

struct plan {
	const char *machine, *device;
	char escape;
	bool regex;
	double timeout; /* seconds, each step */
	struct step steps[64];
	size_t n;
};

/* "\n", "\x1b", ...: C's escapes, in place. Returns the length, or -1 where one is none. */
static long unescape(char *text)
{
	static const char letters[] = "n\nr\rt\te\033\\\\";
	char *to = text;

	for (char *at = text; *at; at++) {
		const char *known;

		if (*at != '\\') {
			*to++ = *at;
			continue;
		}
		at++;
		if (*at == 'x' && isxdigit((unsigned char)at[1]) && isxdigit((unsigned char)at[2])) {
			char digits[3] = { at[1], at[2], '\0' };

			*to++ = (char)strtol(digits, NULL, 16);
			at += 2;
			continue;
		}
		known = *at ? strchr(letters, *at) : NULL;
		if (!known || (known - letters) % 2)
			return -1;
		*to++ = known[1];
	}
	return to - text;
}

static int add_step(struct plan *plan, enum step_kind kind, const char *text)
{
	if (plan->n == sizeof plan->steps / sizeof plan->steps[0])
		return verb_usage(&verb_console, "too many steps: 64 at most");
	plan->steps[plan->n++] = (struct step){ kind, text };
	return EXIT_OK;
}

static int parse_escape(const char *text, char *out)
{
	if (strcmp(text, "none") == 0)
		*out = '\0';
	else if (text[0] == '^' && text[1] >= '@' && text[1] <= '_' && !text[2])
		*out = (char)(text[1] - '@');
	else if (text[0] && !text[1])
		*out = text[0];
	else
		return verb_usage(&verb_console, "--escape wants a character, ^X, or none");
	return EXIT_OK;
}

static int parse(int argc, char **argv, struct plan *plan)
{
	static const struct option options[] = {
		{ "send", required_argument, NULL, 's' },    { "wait-for", required_argument, NULL, 'w' },
		{ "exec", required_argument, NULL, 'x' },    { "regex", no_argument, NULL, 'r' },
		{ "timeout", required_argument, NULL, 't' }, { "device", required_argument, NULL, 'd' },
		{ "escape", required_argument, NULL, 'e' },  { NULL, 0, NULL, 0 },
	};
	int c, status = EXIT_OK;
	char *end;

	while (status == EXIT_OK && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			status = add_step(plan, STEP_SEND, optarg);
			break;
		case 'w':
			status = add_step(plan, STEP_WAIT_FOR, optarg);
			break;
		case 'x':
			status = add_step(plan, STEP_EXEC, optarg);
			break;
		case 'r':
			plan->regex = true;
			break;
		case 't':
			plan->timeout = strtod(optarg, &end);
			if (end == optarg || *end || !(plan->timeout >= 0 && plan->timeout < 1e9))
				status = verb_usage(&verb_console, "--timeout wants seconds");
			break;
		case 'd':
			plan->device = optarg;
			break;
		case 'e':
			status = parse_escape(optarg, &plan->escape);
			break;
		default:
			return EXIT_USAGE;
		}
	}
	if (status == EXIT_OK && argc - optind != 1)
		return verb_usage(&verb_console, "which machine?");
	if (status == EXIT_OK)
		plan->machine = argv[optind];
	if (plan->device && strchr(plan->device, '/'))
		return verb_usage(&verb_console, "--device wants a device's name");
	return status;
}

/* What is wrong with the steps is said before any is carried out. */
static int check(const struct plan *plan)
{
	char why[256], *text;
	long len = 0;
	regex_t regex;
	int rc;

	for (size_t i = 0; i < plan->n; i++) {
		const struct step *step = &plan->steps[i];

		if (step->kind == STEP_SEND) {
			text = strdup(step->text);
			len = text ? unescape(text) : 0;
			free(text);
		} else if (step->kind == STEP_WAIT_FOR && !*step->text) {
			return verb_usage(&verb_console, "--wait-for wants a pattern that is not empty");
		} else if (step->kind == STEP_WAIT_FOR && plan->regex) {
			rc = regcomp(&regex, step->text, REG_EXTENDED | REG_NOSUB);
			if (rc) {
				regerror(rc, &regex, why, sizeof why);
				return fail(EXIT_USAGE, "--wait-for: \"%s\" is no extended regular expression: %s", step->text,
				            why);
			}
			regfree(&regex);
		}
		if (len < 0)
			return verb_usage(&verb_console, "--send knows \\n \\r \\t \\e \\xNN \\\\");
	}
	return EXIT_OK;
}

/* 1 would be the status of the guest's command as well. */
static int failure_status(const struct plan *plan)
{
	for (size_t i = 0; i < plan->n; i++)
		if (plan->steps[i].kind == STEP_EXEC)
			return EXIT_CAPSA;
	return EXIT_FAILED;
}

static int step_failed(const struct console_client *client, const struct step *step, const struct plan *plan, int rc,
                       const struct error *err)
{
	static const char *const what[] = { "--send", "--wait-for", "--exec" };
	char *tail;

	if (rc != -ETIMEDOUT)
		return fail(failure_status(plan), "%s \"%s\": %s", what[step->kind], step->text, err->text);
	tail = console_client_tail(client);
	fprintf(stderr, "capsa: %s \"%s\": not within %g s. The last lines:\n%s\n", what[step->kind], step->text,
	        plan->timeout, tail ? tail : "");
	free(tail);
	return EXIT_TIMEOUT;
}

static int run_step(struct console_client *client, const struct step *step, const struct plan *plan)
{
	int64_t deadline = console_client_now() + (int64_t)(plan->timeout * 1000);
	struct error err = { "" };
	int rc = 0, status = EXIT_OK;
	char *text;

	switch (step->kind) {
	case STEP_SEND:
		text = strdup(step->text);
		rc = text ? console_client_send(client, text, (size_t)unescape(text), deadline, &err)
		          : error_set(&err, ENOMEM, "no memory");
		free(text);
		break;
	case STEP_WAIT_FOR:
		rc = console_client_wait_for(client, step->text, plan->regex, deadline, &err);
		break;
	case STEP_EXEC:
		rc = console_client_exec(client, step->text, deadline, &status, &err);
		break;
	}
	return rc ? step_failed(client, step, plan, rc, &err) : status;
}

/* A handler has no arguments: the signal that came, and the eventfd that ends the client's wait. */
static volatile sig_atomic_t interrupted_by;
static int interrupt_fd = -1;

static void interrupt(int signo)
{
	const int saved_errno = errno;
	const uint64_t one = 1;

	interrupted_by = signo;
	if (write(interrupt_fd, &one, sizeof one) < 0)
		interrupted_by = signo; /* cannot be: nobody has counted that far */
	errno = saved_errno;
}

/* So that a command that runs in the guest is told. A second signal ends us at once. */
static int run_steps(struct console_client *client, const struct plan *plan)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND };
	int status = EXIT_OK;

	interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (interrupt_fd < 0)
		return fail(failure_status(plan), "eventfd: %s", strerror(errno));
	console_client_interrupt(client, interrupt_fd);
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		sigaction(signals[i], &action, NULL);
	for (size_t i = 0; status == EXIT_OK && i < plan->n; i++)
		status = run_step(client, &plan->steps[i], plan);
	return status;
}

static int attach(struct console_client *client, const struct plan *plan)
{
	const bool terminal = isatty(STDIN_FILENO);
	struct error err = { "" };
	int rc;

	if (terminal && plan->escape && (unsigned char)plan->escape < ' ')
		fprintf(stderr, "capsa: the console of \"%s\"; ^%c leaves\n", plan->machine, plan->escape | 0x40);
	else if (terminal && plan->escape)
		fprintf(stderr, "capsa: the console of \"%s\"; %c leaves\n", plan->machine, plan->escape);
	rc = console_client_attach(client, plan->escape, &err);
	/* The end of a machine is no failure of who looked on. */
	if (rc && rc != -EPIPE)
		return fail(EXIT_FAILED, "%s", err.text);
	if (terminal || rc)
		fprintf(stderr, "%scapsa: %s\n", terminal ? "\n" : "", rc ? err.text : "left the console");
	return EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct plan plan = { .escape = ']' - '@', .timeout = 60 };
	struct console_client *client = NULL;
	struct error err = { "" };
	int status = parse(argc, argv, &plan), rc;
	int64_t deadline = INT64_MAX;
	char *folder;

	if (status == EXIT_OK)
		status = check(&plan);
	if (status != EXIT_OK)
		return status;
	/* A reader that has gone is an error like others: the terminal is to be restored. */
	signal(SIGPIPE, SIG_IGN);
	folder = rundir_find(plan.machine, &err);
	if (!folder)
		return fail(failure_status(&plan), "%s", err.text);
	/* A machine that answers does so at once. */
	if (plan.n)
		deadline = console_client_now() + (int64_t)((plan.timeout > 2 ? plan.timeout : 2) * 1000);
	rc = console_client_open(folder, plan.device, deadline, &client, &err);
	free(folder);
	if (rc)
		return fail(rc == -ETIMEDOUT ? EXIT_TIMEOUT : failure_status(&plan), "\"%s\": %s", plan.machine, err.text);
	status = plan.n ? run_steps(client, &plan) : attach(client, &plan);
	console_client_close(client);
	/* The default action is back: who waits for us sees what ended us. */
	if (interrupted_by)
		raise(interrupted_by);
	return status;
}

const struct verb verb_console = {
	.name = "console",
	.arguments = "NAME [--send TEXT | --wait-for PATTERN | --exec CMD]... [--regex] [--timeout S]",
	.summary = "attach to a machine's console, or drive it from a script",
	.help = "Attaches to a console with backend = \"socket\"; ^] leaves. Or carries steps out, in their order:\n"
		"      --send TEXT         types TEXT; knows \\n \\r \\t \\e \\xNN \\\\\n"
		"      --wait-for PATTERN  until the console says it; never fooled by the echo of what was typed\n"
		"      --exec CMD          runs CMD in the guest's shell; its output and status are this command's\n"
		"      --regex             PATTERNs are extended regular expressions, matched within a line\n"
		"      --timeout S         for each step, default 60; then the status is 124\n"
		"      --device DEV        the console device of that name, not the first one (console0)\n"
		"      --escape CHAR       the key that leaves: a character, ^X, or none\n"
		"Status: 0; 1 failed (125 with --exec, whose status is the command's own), 2 wrong usage, 124 time-out.\n",
	.run = run,
};
