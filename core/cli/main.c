/* SPDX-License-Identifier: MIT */
/* main.c - the command line: `capsa -c FILE` and the way to a verb. Knows no KVM. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/text.h"
#include "core/cli/verb.h"
#include "core/config/config.h"
#include "core/sandbox/sandbox.h"
#include "core/vm/vm.h"

struct options {
	const char *file;
	const char *append; /* words for the kernel, or NULL */
	bool check;
	unsigned verbose;
	bool quiet;
};

int fail(int status, const char *fmt, ...)
{
	va_list args;

	fputs("capsa: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return status;
}

int verb_usage(const struct verb *verb, const char *what)
{
	FILE *to = what ? stderr : stdout;

	if (what)
		fail(EXIT_USAGE, "%s", what);
	fprintf(to, "usage: capsa %s%s%s\n", verb->name, verb->arguments[0] ? " " : "", verb->arguments);
	if (!what && verb->help)
		fputs(verb->help, to);
	return what ? EXIT_USAGE : EXIT_OK;
}

int verb_words(const struct verb *verb, int argc, char **argv, const char *words[2], int *n_words, bool *json)
{
	bool options = true;
	char wrong[64];

	*n_words = 0;
	*json = false;
	for (int i = 1; i < argc; i++) {
		if (options && strcmp(argv[i], "--") == 0) {
			options = false;
		} else if (options && strcmp(argv[i], "--json") == 0) {
			*json = true;
		} else if (options && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
			return verb_usage(verb, NULL);
		} else if (options && argv[i][0] == '-') {
			snprintf(wrong, sizeof wrong, "%s knows one option, --json", verb->name);
			return verb_usage(verb, wrong);
		} else if (*n_words == 2) {
			snprintf(wrong, sizeof wrong, "too many arguments for %s", verb->name);
			return verb_usage(verb, wrong);
		} else {
			words[(*n_words)++] = argv[i];
		}
	}
	return -1;
}

static void print_help(void)
{
	fputs("usage: capsa -c FILE [OPTION]...     run the machine that FILE describes\n"
	      "       capsa VERB ...\n"
	      "\n"
	      "  -c, --config FILE   the machine: see capsa.conf(5), and conf/ for examples\n"
	      "  -a, --append WORDS  words for the end of the kernel's command line\n"
	      "  -n, --check         only check FILE and what it names\n"
	      "  -v, --verbose       say what the machine is made of; twice: debug messages\n"
	      "  -q, --quiet         warnings, errors and what is asked for only\n"
	      "  -h, --help          this text; `capsa VERB --help` for a verb\n"
	      "  -V, --version       versions\n"
	      "\n"
	      "verbs:\n",
	      stdout);
	for (const struct verb *const *verb = verbs; *verb; verb++)
		printf("  %-18s  %s\n", (*verb)->name, (*verb)->summary);
	fputs("\n"
	      "SIGTERM asks the guest to power off, a second one ends the machine. Status: 0 the guest\n"
	      "powered off or reset, 1 it failed or panicked, 2 wrong usage or a bad file.\n",
	      stdout);
}

/* getopt(3) stands behind `word`, or in the midst of it where that is "-xyz"; optopt is the letter then. */
static int bad_option(bool lacks_argument, const char *word)
{
	const char letter[] = { '-', (char)optopt, '\0' };
	const char *option = optopt && strncmp(word, "--", 2) != 0 ? letter : word;

	if (lacks_argument)
		return fail(EXIT_USAGE, "what shall %s be? `capsa --help` tells the options", option);
	return fail(EXIT_USAGE, "no option %s, or not in that form; `capsa --help` tells the options", option);
}

static int run_verb(int argc, char **argv)
{
	const char *names[32];
	size_t n = 0;
	const char *near;
	struct stat st;

	for (const struct verb *const *verb = verbs; *verb; verb++) {
		if (strcmp((*verb)->name, argv[0]) == 0) {
			if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
				return verb_usage(*verb, NULL);
			optind = 0; /* getopt starts anew, for the verb's own options */
			return (*verb)->run(argc, argv);
		}
		if (n + 1 < sizeof names / sizeof names[0])
			names[n++] = (*verb)->name;
	}
	names[n] = NULL;
	if (!stat(argv[0], &st) && S_ISREG(st.st_mode))
		return fail(EXIT_USAGE, "no verb \"%s\"; did you mean \"capsa -c %s\"?", argv[0], argv[0]);
	near = text_suggest(argv[0], names);
	if (near)
		return fail(EXIT_USAGE, "no verb \"%s\"; did you mean \"%s\"?", argv[0], near);
	return fail(EXIT_USAGE, "no verb \"%s\"; `capsa --help` lists them, `capsa -c FILE` runs a file", argv[0]);
}

/*
 * Descriptors 0 to 2 are open from here on, be it to nowhere. Else a file of ours would get such a number, and
 * messages would go into it.
 */
static bool open_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
	return fd > STDERR_FILENO || fcntl(STDERR_FILENO, F_GETFD) >= 0;
}

/* What was printed is of no use where it did not arrive. */
static int end_output(int status)
{
	errno = 0;
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	if (status != EXIT_OK)
		return status;
	return fail(EXIT_FAILED, "cannot write to standard output: %s", strerror(errno ? errno : EIO));
}

void verb_ignore_write_signals(void)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

/* `sandbox = true`: its image, its agent. Else the machine is what its file says. */
static int make_sandbox(struct config *config, struct sandbox_plan *plan, struct error *err)
{
	static const struct sandbox_options as_it_says = { .name = NULL };

	*plan = (struct sandbox_plan){ .config = config };
	return config->sandbox ? sandbox_plan_config(config, &as_it_says, plan, err) : 0;
}

static int run_file(const struct options *options)
{
	struct sandbox_machine *sandbox = NULL;
	struct sandbox_plan plan = { .config = NULL };
	struct error err = { "" };
	struct config *config;
	struct vm *vm = NULL;
	int64_t begin = timeline_now(), read;
	int status = EXIT_OK;

	verb_ignore_write_signals();
	log_set_level(options->quiet           ? LOG_LEVEL_WARNING
	              : options->verbose > 1 ? LOG_LEVEL_DEBUG
	                                     : LOG_LEVEL_INFO);
	if (config_read(options->file, &config, &err)) {
		status = fail(EXIT_USAGE, "%s", err.text);
		goto out;
	}
	read = timeline_now();
	if (make_sandbox(config, &plan, &err) || vm_open(config, options->append, &vm, &err) ||
	    (config->sandbox && sandbox_machine_new(vm, -1, &sandbox, &err))) {
		status = fail(EXIT_USAGE, "%s", err.text);
		goto out;
	}
	timeline_mark(vm_timeline(vm), "process start", begin);
	timeline_mark(vm_timeline(vm), "file read", read);
	if (options->verbose) {
		vm_describe(vm);
		fflush(stdout);
	}
	if (options->check) {
		if (!options->quiet)
			printf("%s: ok\n", options->file);
		status = end_output(EXIT_OK);
	} else {
		switch (vm_run(vm, &err)) {
		case VM_ENDED:
			break;
		case VM_FAILED:
			status = fail(EXIT_FAILED, "%s", err.text);
			break;
		case VM_REFUSED:
			status = fail(EXIT_USAGE, "%s", err.text);
			break;
		}
	}
out:
	sandbox_machine_free(sandbox);
	vm_close(vm);
	sandbox_plan_free(&plan);
	return status;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "config", required_argument, NULL, 'c' }, { "append", required_argument, NULL, 'a' }, { "check", no_argument, NULL, 'n' },
		{ "verbose", no_argument, NULL, 'v' },      { "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },         { "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	struct options options = { 0 };
	int c;

	if (!open_standard_descriptors())
		return EXIT_FAILED;
	/* "+": options end at the verb, whose own they are from there. ":": the words for a bad one are ours. */
	while ((c = getopt_long(argc, argv, "+:c:a:nvqhV", long_options, NULL)) != -1) {
		switch (c) {
		case 'c':
			if (options.file)
				return fail(EXIT_USAGE, "-c was given twice: one process is one machine");
			options.file = optarg;
			break;
		case 'a':
			options.append = optarg;
			break;
		case 'n':
			options.check = true;
			break;
		case 'v':
			options.verbose++;
			break;
		case 'q':
			options.quiet = true;
			break;
		case 'h':
			print_help();
			return end_output(EXIT_OK);
		case 'V':
			return end_output(verb_version.run(1, argv));
		default:
			return bad_option(c == ':', argv[optind - 1]);
		}
	}
	if (options.file && optind < argc)
		return fail(EXIT_USAGE, "nothing may follow -c FILE, found \"%s\"", argv[optind]);
	if (options.file)
		return run_file(&options);
	if (optind == argc)
		return fail(EXIT_USAGE, "which machine? `capsa -c FILE` runs one, `capsa --help` tells more");
	return end_output(run_verb(argc - optind, argv + optind));
}
