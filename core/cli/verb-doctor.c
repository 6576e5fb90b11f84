/* SPDX-License-Identifier: MIT */
/* verb-doctor.c - `capsa doctor`: prints what core/doctor finds. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/cli/verb.h"
#include "core/doctor/doctor.h"

static const char *const words[] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_NOTE] = "note",
	[DOCTOR_SLOW] = "slow",
	[DOCTOR_FAIL] = "fail",
};

static const char *verdict(const struct doctor_report *report)
{
	switch (doctor_worst(report)) {
	case DOCTOR_FAIL:
		return "broken";
	case DOCTOR_SLOW:
		return "slow";
	default:
		return "usable";
	}
}

static void print_text(const struct doctor_report *report)
{
	static const char *const colours[] = { "\033[32m", "\033[36m", "\033[33m", "\033[31m" };
	bool colour = isatty(STDOUT_FILENO);

	for (size_t i = 0; i < report->n; i++) {
		const struct doctor_check *check = &report->checks[i];

		printf("%s%-5s%s %-16s %s\n", colour ? colours[check->status] : "", words[check->status],
		       colour ? "\033[0m" : "", check->name, check->detail);
		if (check->remedy[0])
			printf("      %-16s -> %s\n", "", check->remedy);
	}
	switch (doctor_worst(report)) {
	case DOCTOR_FAIL:
		puts("This does not work as it is.");
		break;
	case DOCTOR_SLOW:
		puts("This works, but slowly.");
		break;
	default:
		puts("This works.");
		break;
	}
}

/* Names of files may be no UTF-8, which JSON must be: '?' for all that is no ASCII then. */
static json_t *json_text(const char *text)
{
	json_t *value = json_string(text);
	char *ascii = value ? NULL : strdup(text);

	for (char *at = ascii; at && *at; at++)
		if ((unsigned char)*at > 0x7e)
			*at = '?';
	if (ascii)
		value = json_string(ascii);
	free(ascii);
	return value;
}

static void print_json(const struct doctor_report *report)
{
	json_t *checks = json_array(), *root;

	for (size_t i = 0; i < report->n; i++) {
		const struct doctor_check *check = &report->checks[i];

		json_array_append_new(checks, json_pack("{s:s, s:s, s:o, s:o}", "name", check->name, "status",
		                                        words[check->status], "detail",
		                                        json_text(check->detail), "remedy",
		                                        json_text(check->remedy)));
	}
	root = json_pack("{s:b, s:s, s:o}", "usable", doctor_worst(report) != DOCTOR_FAIL, "verdict", verdict(report),
	                 "checks", checks);
	if (!root || json_dumpf(root, stdout, JSON_INDENT(2)) < 0)
		log_error("no JSON could be written: is libjansson installed?");
	putchar('\n');
	json_decref(root);
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "config", required_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	struct doctor_report *report;
	bool json = false, quiet = false;
	const char *file = NULL;
	int c, status;

	while ((c = getopt_long(argc, argv, "qc:", options, NULL)) != -1) {
		switch (c) {
		case 'j':
			json = true;
			break;
		case 'q':
			quiet = true;
			break;
		case 'c':
			file = optarg;
			break;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind < argc)
		return verb_usage(&verb_doctor, "doctor takes no argument but -c FILE");
	report = calloc(1, sizeof *report);
	if (!report)
		return fail(EXIT_FAILED, "no memory");
	doctor_host(report);
	if (file)
		doctor_machine(file, report);
	status = doctor_worst(report) == DOCTOR_FAIL ? EXIT_FAILED : EXIT_OK;
	if (!quiet && json)
		print_json(report);
	else if (!quiet)
		print_text(report);
	if (fflush(stdout) || ferror(stdout))
		status = fail(EXIT_FAILED, "cannot write the report: %s", strerror(errno));
	free(report);
	return status;
}

const struct verb verb_doctor = {
	.name = "doctor",
	.arguments = "[-c FILE] [--json | --quiet]",
	.summary = "tell whether this host can run machines, and how to help it",
	.help = "  -c, --config FILE  also why that machine would show nothing, or boot slowly\n"
		"      --json         the report for programs\n"
		"  -q, --quiet        only the exit status: 0 usable (even if slow), 1 not\n",
	.run = run,
};
