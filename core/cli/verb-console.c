/* SPDX-License-Identifier: MIT */
/*
 * verb-console.c - `capsa console NAME`: attaches to a console, or drives it from a script. --send, --wait-for and
 * --exec are carried out in the order in which they stand on the command line.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static int step_failed(const struct console_client *client, const struct step *step, const struct plan *plan, int rc,
                       const struct error *err)
{
	static const char *const what[] = { "--send", "--wait-for", "--exec" };
	char *tail;

	if (rc != -ETIMEDOUT)
		return fail(rc == -EINVAL ? EXIT_USAGE : EXIT_FAILED, "%s", err->text);
	tail = console_client_tail(client);
	fprintf(stderr, "capsa: %s \"%s\": nothing for %g s. The last lines:\n%s\n", what[step->kind], step->text,
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
	long len;

	switch (step->kind) {
	case STEP_SEND:
		text = strdup(step->text);
		len = text ? unescape(text) : 0;
		if (len < 0) {
			free(text);
			return verb_usage(&verb_console, "--send knows \\n \\r \\t \\e \\xNN \\\\");
		}
		rc = text ? console_client_send(client, text, (size_t)len, deadline, &err)
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

static int run(int argc, char **argv)
{
	struct plan plan = { .escape = ']' - '@', .timeout = 60 };
	struct console_client *client = NULL;
	struct error err = { "" };
	int status = parse(argc, argv, &plan);
	char *folder;

	if (status != EXIT_OK)
		return status;
	folder = rundir_find(plan.machine, &err);
	if (!folder)
		return fail(EXIT_FAILED, "%s", err.text);
	if (console_client_open(folder, plan.device, &client, &err)) {
		free(folder);
		return fail(EXIT_FAILED, "%s", err.text);
	}
	free(folder);
	for (size_t i = 0; status == EXIT_OK && i < plan.n; i++)
		status = run_step(client, &plan.steps[i], &plan);
	if (plan.n == 0 && console_client_attach(client, plan.escape, &err))
		status = fail(EXIT_FAILED, "%s", err.text);
	console_client_close(client);
	return status;
}

const struct verb verb_console = {
	.name = "console",
	.arguments = "NAME [--send TEXT | --wait-for PATTERN | --exec CMD]... [--regex] [--timeout S]",
	.summary = "attach to a machine's console, or drive it from a script",
	.help = "Without a step: attaches; ^] leaves. Steps are carried out in their order:\n"
		"      --send TEXT         types TEXT; knows \\n \\r \\t \\e \\xNN \\\\\n"
		"      --wait-for PATTERN  until the console says it; never fooled by the echo of what was typed\n"
		"      --exec CMD          runs CMD in the guest's shell; its output and status are this command's\n"
		"      --regex             PATTERNs are extended regular expressions\n"
		"      --timeout S         for each step, default 60; then the status is 124\n"
		"      --device DEV        not the first console (console0)\n"
		"      --escape CHAR       a character, ^X, or none\n",
	.run = run,
};
