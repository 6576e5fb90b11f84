/* SPDX-License-Identifier: MIT */
/* verb-image.c - `capsa image`: builds, lists and removes the images of sandboxes (core/sandbox/image.h). */
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/cli/verb.h"
#include "core/sandbox/image.h"

struct options {
	const char *kernel; /* or NULL: the default one */
	bool json, quiet, all;
};

/* Prints one JSON document and frees it. */
static int print_json(json_t *root)
{
	int rc = root ? json_dumpf(root, stdout, JSON_INDENT(2)) : -1;

	json_decref(root);
	if (rc < 0)
		return fail(EXIT_FAILED, "no JSON could be written: is libjansson installed?");
	putchar('\n');
	return EXIT_OK;
}

/* File names may be no UTF-8, which JSON must be. */
static json_t *json_text(const char *text)
{
	json_t *value = json_string(text);

	return value ? value : json_string("(not UTF-8)");
}

static json_t *image_json(const char *name, const char *version, const char *initrd, uint64_t size)
{
	return json_pack("{s:s, s:o, s:o, s:I}", "name", name, "version", json_text(version), "initrd",
	                 json_text(initrd), "size", (json_int_t)size);
}

/* ---- build ---- */

/* One line, written over by the next. */
static void show_progress(void *ctx, const char *what)
{
	(void)ctx;
	fprintf(stderr, "\r\033[K%s ...", what);
	fflush(stderr);
}

static int build(const struct options *options)
{
	const bool show = !options->quiet && isatty(STDERR_FILENO);
	struct error err = { "" };
	struct image image;
	int status = EXIT_OK;
	int rc;

	/* A limit on file sizes is a failure of one write(2), which is then undone. */
	signal(SIGXFSZ, SIG_IGN);
	rc = image_find_or_build(options->kernel, show ? show_progress : NULL, NULL, &image, &err);
	if (show)
		fputs("\r\033[K", stderr);
	if (rc)
		return fail(EXIT_FAILED, "%s", err.text);
	if (options->json) {
		json_t *root = image_json(image.name, image.version, image.file, image.size);

		json_object_set_new(root, "kernel", json_text(image.kernel));
		json_object_set_new(root, "built", json_boolean(image.built));
		status = print_json(root);
	} else if (!options->quiet) {
		printf("image    %s%s\n", image.name, image.built ? "" : " (was there already)");
		printf("version  %s\n", image.version[0] ? image.version : "unknown");
		printf("kernel   %s\n", image.kernel);
		printf("initrd   %s\n", image.file);
		printf("size     %.1f MiB\n", (double)image.size / (1 << 20));
	}
	image_release(&image);
	return status;
}

/* ---- ls, rm ---- */

static int list_json(const struct image_entry *entries, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *entry = image_json(entries[i].name, entries[i].version, entries[i].file, entries[i].size);

		json_object_set_new(entry, "used", json_integer((json_int_t)entries[i].used.tv_sec));
		json_array_append_new(list, entry);
	}
	return print_json(json_pack("{s:o}", "images", list));
}

static void list_text(const struct image_entry *entries, size_t n)
{
	int width = (int)strlen("VERSION");

	for (size_t i = 0; i < n; i++)
		if ((int)strlen(entries[i].version) > width)
			width = (int)strlen(entries[i].version);
	printf("%-*s  %-*s  %9s  %-16s  FILE\n", IMAGE_NAME_SIZE - 1, "NAME", width, "VERSION", "SIZE", "USED");
	for (size_t i = 0; i < n; i++) {
		char used[32] = "?";
		struct tm tm;

		if (localtime_r(&entries[i].used.tv_sec, &tm))
			strftime(used, sizeof used, "%Y-%m-%d %H:%M", &tm);
		printf("%s  %-*s  %5.1f MiB  %-16s  %s\n", entries[i].name, width,
		       entries[i].version[0] ? entries[i].version : "unknown", (double)entries[i].size / (1 << 20),
		       used, entries[i].file);
	}
}

static int list(bool json)
{
	struct error err = { "" };
	struct image_entry *entries;
	int status = EXIT_OK;
	size_t n;

	if (image_list(&entries, &n, &err))
		status = fail(EXIT_FAILED, "%s", err.text);
	else if (json)
		status = list_json(entries, n);
	else if (n)
		list_text(entries, n);
	else
		puts("No images yet: `capsa image build` makes one.");
	image_entries_free(entries, n);
	return status;
}

static int remove_all(bool quiet)
{
	struct error err = { "" };
	size_t n;

	if (image_remove_all(&n, &err))
		return fail(EXIT_FAILED, "%s", err.text);
	if (!quiet)
		printf("%zu removed\n", n);
	return EXIT_OK;
}

static int remove_named(char **names)
{
	struct error err = { "" };
	int status = EXIT_OK;

	for (; *names; names++)
		if (image_remove(*names, &err))
			status = fail(EXIT_FAILED, "%s", err.text);
	return status;
}

static int run(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "kernel", required_argument, NULL, 'k' }, { "json", no_argument, NULL, 'j' },
		{ "quiet", no_argument, NULL, 'q' },        { "all", no_argument, NULL, 'a' },
		{ "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
	};
	struct options options = { 0 };
	const char *word;
	int c, n;

	while ((c = getopt_long(argc, argv, "k:qh", long_options, NULL)) != -1) {
		switch (c) {
		case 'k':
			options.kernel = optarg;
			break;
		case 'j':
			options.json = true;
			break;
		case 'q':
			options.quiet = true;
			break;
		case 'a':
			options.all = true;
			break;
		case 'h':
			return verb_usage(&verb_image, NULL);
		default:
			return EXIT_USAGE;
		}
	}
	word = argv[optind];
	n = argc - optind - 1;
	if (!word)
		return verb_usage(&verb_image, "image needs to know what to do");
	if (options.kernel && strcmp(word, "build"))
		return verb_usage(&verb_image, "--kernel is for build");
	if (options.all && strcmp(word, "rm"))
		return verb_usage(&verb_image, "--all is for rm");
	if (strcmp(word, "build") == 0)
		return n ? verb_usage(&verb_image, "build takes no argument but --kernel FILE") : build(&options);
	if (strcmp(word, "ls") == 0)
		return n ? verb_usage(&verb_image, "ls takes no argument") : list(options.json);
	if (strcmp(word, "rm") == 0) {
		if (options.json || options.all == (n > 0))
			return verb_usage(&verb_image, "rm needs names of images, or --all");
		return options.all ? remove_all(options.quiet) : remove_named(argv + optind + 1);
	}
	return verb_usage(&verb_image, "image knows build, ls and rm");
}

const struct verb verb_image = {
	.name = "image",
	.arguments = "build [-k FILE] [-q] [--json] | ls [--json] | rm NAME... | rm --all",
	.summary = "build, list and remove the images that sandboxes boot",
	.help = "\n"
		"  build               makes the image for a kernel, unless it is there already\n"
		"  ls                  all images in the cache\n"
		"  rm NAME...          removes images; the first digits of a name will do\n"
		"  rm --all            removes all that are not in use\n"
		"  -k, --kernel FILE   that kernel instead of the default one\n"
		"  -q, --quiet         only the exit status\n"
		"      --json          for programs\n",
	.run = run,
};
