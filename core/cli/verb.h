/* SPDX-License-Identifier: MIT */
/*
 * verb.h - a verb of the command line: one file (core/cli/verb-NAME.c), one const entry in
 * verbs.c, one function.
 */
#ifndef CAPSA_CLI_VERB_H
#define CAPSA_CLI_VERB_H

#include <stdbool.h>

/* Exit statuses of every verb (run and exec pass the guest command's own instead). */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_TIMEOUT = 124, EXIT_CAPSA = 125 };

struct verb {
	const char *name;
	const char *arguments; /* for the usage line */
	const char *summary;   /* one line for --help */
	const char *help;      /* more lines for `capsa NAME --help`, or NULL */
	/* argv[0] is the verb. Prints its own errors through fail(). Returns the exit status. */
	int (*run)(int argc, char **argv);
};

extern const struct verb *const verbs[]; /* ends with NULL */

extern const struct verb verb_cluster;
extern const struct verb verb_console;
extern const struct verb verb_cp;
extern const struct verb verb_doctor;
extern const struct verb verb_exec;
extern const struct verb verb_image;
extern const struct verb verb_info;
extern const struct verb verb_kill;
extern const struct verb verb_logs;
extern const struct verb verb_ls;
extern const struct verb verb_plugin;
extern const struct verb verb_run;
extern const struct verb verb_start;
extern const struct verb verb_stop;
extern const struct verb verb_version;

/* "capsa: <text>" to standard error; returns status. */
__attribute__((format(printf, 2, 3))) int fail(int status, const char *fmt, ...);
/* The usage of one verb, with `what` wrong (or NULL: asked for, to standard output). Returns the exit status. */
int verb_usage(const struct verb *verb, const char *what);
/*
 * The words of a verb that has some of its own, two at most, and whether --json is among them. -1: go on; else the exit
 * status, as --help was asked for, or an option or a word too many was said so.
 */
int verb_words(const struct verb *verb, int argc, char **argv, const char *words[2], int *n_words, bool *json);
/* A reader that is gone, or a limit on file sizes, is an error of one write, which then has to be undone: no signal. */
void verb_ignore_write_signals(void);

#endif
