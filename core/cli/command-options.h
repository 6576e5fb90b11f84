/* SPDX-License-Identifier: MIT */
/* command-options.h - the options that run and exec have in common: how the command in the guest is run. */
#ifndef CAPSA_CLI_COMMAND_OPTIONS_H
#define CAPSA_CLI_COMMAND_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>

#include "core/sandbox/exec.h"

/* For getopt_long(): the letters, and the long options, whose codes are these letters or as below. */
#define COMMAND_LETTERS "e:w:u:it"
enum { COMMAND_OPTION_TIMEOUT = 0x100, COMMAND_OPTIONS_END };
#define COMMAND_OPTIONS                                                                              \
	{ "env", required_argument, NULL, 'e' }, { "workdir", required_argument, NULL, 'w' },        \
		{ "user", required_argument, NULL, 'u' }, { "interactive", no_argument, NULL, 'i' }, \
		{ "tty", no_argument, NULL, 't' },                                                   \
	{                                                                                            \
		"timeout", required_argument, NULL, COMMAND_OPTION_TIMEOUT                           \
	}

#define COMMAND_HELP                                                                                   \
	"  -e, --env K=V        a variable of its environment; K alone: the one of that name here\n"   \
	"  -w, --workdir DIR    its folder (default: the user's home)\n"                               \
	"  -u, --user U[:G]     whom it runs as: a name or a number of the guest (default: root)\n"    \
	"      --timeout S      ends it, and all that it started, after so many seconds: status 124\n" \
	"  -t, --tty            a terminal of its own: for shells and editors\n"                       \
	"  -i, --interactive    reads a terminal here even from the background\n"

struct command_options {
	struct exec_request request;
	const char **env; /* as the request's, ours */
	size_t n_env;
};

/* An option's code and argument. 1: taken, 0: not one of these, negative: wrong, and said. */
int command_option(struct command_options *options, int code, const char *argument);
void command_options_free(struct command_options *options);

/* Says err (where there is something to say) and returns the status. */
int command_status(int status, const struct error *err);

#endif
