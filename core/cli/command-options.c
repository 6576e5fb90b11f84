/* SPDX-License-Identifier: MIT */
/* command-options.c - see command-options.h. Called by verb-run.c and verb-exec.c. */
#include "core/cli/command-options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/cli/verb.h"

/* A "K" alone takes what this process has; where it has none, the command has none either. */
static int add_env(struct command_options *options, const char *argument)
{
	const char **grown = reallocarray(options->env, options->n_env + 2, sizeof *grown);
	const char *value;
	char *word;

	if (!grown)
		return -ENOMEM;
	options->env = grown;
	options->request.env = grown;
	grown[options->n_env] = NULL;
	if (argument[0] == '\0' || argument[0] == '=') {
		fail(EXIT_CAPSA, "--env: \"%s\" is no variable; write NAME=VALUE", argument);
		return -EINVAL;
	}
	value = strchr(argument, '=') ? NULL : getenv(argument);
	word = value ? text_format("%s=%s", argument, value) : strdup(argument);
	if (!word)
		return -ENOMEM;
	grown[options->n_env++] = word;
	grown[options->n_env] = NULL;
	return 1;
}

static int set_timeout(struct command_options *options, const char *argument)
{
	char *end;
	double seconds = strtod(argument, &end);

	if (end == argument || *end || !(seconds > 0) || seconds > 1e9) {
		fail(EXIT_CAPSA, "--timeout: \"%s\" is no number of seconds", argument);
		return -EINVAL;
	}
	options->request.timeout_ms = (uint64_t)(seconds * 1000);
	if (options->request.timeout_ms == 0)
		options->request.timeout_ms = 1;
	return 1;
}

int command_option(struct command_options *options, int code, const char *argument)
{
	switch (code) {
	case 'e':
		return add_env(options, argument);
	case 'w':
		options->request.cwd = argument;
		return 1;
	case 'u':
		options->request.user = argument;
		return 1;
	case 'i':
		options->request.input_always = true;
		return 1;
	case 't':
		options->request.tty = true;
		return getenv("TERM") ? add_env(options, "TERM") : 1;
	case COMMAND_OPTION_TIMEOUT:
		return set_timeout(options, argument);
	default:
		return 0;
	}
}

void command_options_free(struct command_options *options)
{
	for (size_t i = 0; i < options->n_env; i++) {
		char *word;

		memcpy(&word, &options->env[i], sizeof word);
		free(word);
	}
	free(options->env);
}

int command_status(int status, const struct error *err)
{
	return err->text[0] ? fail(status, "%s", err->text) : status;
}
