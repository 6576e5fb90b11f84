/* SPDX-License-Identifier: MIT */
/*
 * loader.c - see loader.h. Called by core/vm and by `capsa plugin`; owns the dlopen(3) handles.
 *
 * dlopen(3) maps before it thinks: a file that was cut short would end the process by SIGBUS, and its words
 * about a file of another kind are terse. So the ELF header and the segments' ends are looked at first. That
 * is for people, not a line of defence: who can write plugin files runs code here anyway.
 */
#include "core/plugin/loader.h"

#include <dirent.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/text.h"
#include "core/plugin/check.h"

#define SUFFIX ".so"

struct plugin {
	void *handle;
	char *file;
	struct capsa_plugin info;
};

void plugin_path_free(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

/* Appends a copy of len letters of text to the list of n; the list is freed on failure. */
static char **list_add(char **list, size_t n, const char *text, size_t len)
{
	char **longer = realloc(list, (n + 2) * sizeof *list);

	if (!longer) {
		plugin_path_free(list);
		return NULL;
	}
	longer[n] = strndup(text, len);
	longer[n + 1] = NULL;
	if (!longer[n]) {
		plugin_path_free(longer);
		return NULL;
	}
	return longer;
}

char **plugin_path(void)
{
	const char *rest = getenv("CAPSA_PLUGIN_PATH");
	char **list = calloc(1, sizeof *list);
	size_t n = 0;

	while (list && rest && *rest) {
		size_t len = strcspn(rest, ":");

		if (len)
			list = list_add(list, n++, rest, len);
		rest += len + (rest[len] == ':');
	}
	return list ? list_add(list, n, CAPSA_PLUGIN_FOLDER, strlen(CAPSA_PLUGIN_FOLDER)) : NULL;
}

static bool list_has(char *const *list, const char *text, size_t len)
{
	for (size_t i = 0; list[i]; i++)
		if (strlen(list[i]) == len && memcmp(list[i], text, len) == 0)
			return true;
	return false;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **plugin_names(void)
{
	char **path = plugin_path(), **names = calloc(1, sizeof *names);
	size_t n = 0;

	for (size_t i = 0; path && names && path[i]; i++) {
		DIR *folder = opendir(path[i]);
		struct dirent *entry;

		while (folder && names && (entry = readdir(folder))) {
			size_t len = strlen(entry->d_name);
			char name[PLUGIN_MAX_NAME + 1];

			if (len <= strlen(SUFFIX) || len - strlen(SUFFIX) >= sizeof name ||
			    strcmp(entry->d_name + len - strlen(SUFFIX), SUFFIX) != 0)
				continue;
			len -= strlen(SUFFIX);
			memcpy(name, entry->d_name, len);
			name[len] = '\0';
			if (plugin_name_valid(name) && !list_has(names, name, len))
				names = list_add(names, n++, name, len);
		}
		if (folder)
			closedir(folder);
	}
	if (names && path)
		qsort(names, n, sizeof *names, compare_names);
	else {
		plugin_path_free(names);
		names = NULL;
	}
	plugin_path_free(path);
	return names;
}

/* "No such plugin", with what there is instead. */
static int no_such_plugin(const char *name, char *const *path, struct error *err)
{
	char **names = plugin_names();
	const char *near = names ? text_suggest(name, (const char *const *)names) : NULL;
	char text[sizeof err->text];
	size_t used = 0;

	text[0] = '\0';
#define SAY(...)                                                                                \
	do {                                                                                    \
		if (used < sizeof text)                                                         \
			used += (size_t)snprintf(text + used, sizeof text - used, __VA_ARGS__); \
	} while (0)
	if (near)
		SAY("; did you mean \"%s\"?", near);
	if (names && names[0]) {
		SAY(near ? " There are:" : "; there are:");
		for (size_t i = 0; names[i]; i++)
			SAY("%s %s", i ? "," : "", names[i]);
	} else {
		SAY("; none is installed");
	}
	SAY(" (searched");
	for (size_t i = 0; path[i]; i++)
		SAY("%s %s", i ? "," : "", path[i]);
	SAY(")");
#undef SAY
	error_set(err, ENOENT, "no plugin \"%s\"%s", name, text);
	plugin_path_free(names);
	return -ENOENT;
}

/* The file of a plugin that was asked for by its name. */
static int find_by_name(const char *name, char **file, struct error *err)
{
	char **path;
	int r = 0;

	if (!plugin_name_valid(name))
		return error_set(err, EINVAL,
		                 "\"%.80s\" is no name of a plugin (lower-case letters, digits and '-'); write a "
		                 "file with a slash: \"./%.80s\"",
		                 name, name);
	path = plugin_path();
	if (!path)
		return error_set(err, ENOMEM, "out of memory");
	*file = NULL;
	for (size_t i = 0; path[i] && !*file; i++) {
		if (asprintf(file, "%s/%s" SUFFIX, path[i], name) < 0) {
			*file = NULL;
			r = error_set(err, ENOMEM, "out of memory");
			goto out;
		}
		/* What is there but cannot be used is reported later, rather than hidden by a later folder. */
		if (access(*file, F_OK) < 0) {
			free(*file);
			*file = NULL;
		}
	}
	if (!*file)
		r = no_such_plugin(name, path, err);
out:
	plugin_path_free(path);
	return r;
}

/* Reads exactly len bytes at offset. */
static bool read_at(int fd, void *to, size_t len, uint64_t offset)
{
	return pread(fd, to, len, (off_t)offset) == (ssize_t)len;
}

/* Refuses what dlopen(3) would stumble over. */
static int check_elf(int fd, const char *file, uint64_t file_size, struct error *err)
{
	Elf64_Ehdr header;
	Elf64_Phdr segment;

	if (!read_at(fd, &header, sizeof header, 0) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
		return error_set(err, ENOEXEC, "%s is not a shared object", file);
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != EM_X86_64)
		return error_set(err, ENOEXEC, "%s is built for another machine; capsa needs x86_64", file);
	if (header.e_type != ET_DYN || header.e_phentsize != sizeof segment)
		return error_set(err, ENOEXEC, "%s is not a shared object (build it with -shared -fPIC)", file);
	for (unsigned i = 0; i < header.e_phnum; i++) {
		if (header.e_phoff > file_size ||
		    !read_at(fd, &segment, sizeof segment, header.e_phoff + i * sizeof segment))
			return error_set(err, ENOEXEC, "%s is cut short: install it again", file);
		if (segment.p_type == PT_LOAD &&
		    (segment.p_offset > file_size || segment.p_filesz > file_size - segment.p_offset))
			return error_set(err, ENOEXEC, "%s is cut short: install it again", file);
	}
	return 0;
}

static int check_file(const char *file, struct error *err)
{
	/* O_NONBLOCK: a FIFO must not hold us up. */
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int r;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return error_set(err, ENOENT, "no plugin file %s", file);
	if (fd < 0)
		return error_set(err, errno, "cannot open the plugin %s: %s", file, strerror(errno));
	if (fstat(fd, &st) < 0)
		r = error_set(err, errno, "cannot look at %s: %s", file, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		r = error_set(err, ENOEXEC, "%s is not a shared object but a %s", file,
		              S_ISDIR(st.st_mode) ? "folder" : "special file");
	else
		r = check_elf(fd, file, (uint64_t)st.st_size, err);
	close(fd);
	return r;
}

/* dlerror(3) without the file name that it begins with: ours stands there already. */
static const char *linker_words(const char *file)
{
	const char *words = dlerror();
	size_t len = strlen(file);

	if (!words)
		return "the dynamic linker gives no reason";
	if (strncmp(words, file, len) == 0 && strncmp(words + len, ": ", 2) == 0)
		words += len + 2;
	return words;
}

int plugin_load(const char *name, struct plugin **out, struct error *err)
{
	const struct capsa_plugin *(*entry)(void);
	const struct capsa_plugin *theirs;
	struct plugin *plugin = calloc(1, sizeof *plugin);
	bool is_file = strchr(name, '/');
	int r;

	if (!plugin)
		return error_set(err, ENOMEM, "out of memory");
	if (is_file) {
		plugin->file = strdup(name);
		r = plugin->file ? 0 : error_set(err, ENOMEM, "out of memory");
	} else {
		r = find_by_name(name, &plugin->file, err);
	}
	if (r == 0)
		r = check_file(plugin->file, err);
	if (r < 0)
		goto fail;

	plugin->handle = dlopen(plugin->file, RTLD_NOW | RTLD_LOCAL);
	if (!plugin->handle) {
		r = error_set(err, ENOEXEC, "cannot load the plugin %s: %s", plugin->file, linker_words(plugin->file));
		goto fail;
	}
	entry = (const struct capsa_plugin *(*)(void))dlsym(plugin->handle, CAPSA_PLUGIN_ENTRY_SYMBOL);
	if (!entry) {
		r = error_set(err, ENOEXEC, "%s is no capsa plugin: it does not export " CAPSA_PLUGIN_ENTRY_SYMBOL "()",
		              plugin->file);
		goto fail;
	}
	theirs = entry();
	if (!theirs) {
		r = error_set(err, EPROTO,
		              "%s: " CAPSA_PLUGIN_ENTRY_SYMBOL "() returned NULL: the plugin refuses to be used",
		              plugin->file);
		goto fail;
	}
	r = plugin_check(theirs, plugin->file, &plugin->info, err);
	if (r < 0)
		goto fail;
	if (!is_file && strcmp(plugin->info.name, name) != 0) {
		r = error_set(err, EPROTO,
		              "%s calls itself \"%s\": rename the file to %s" SUFFIX ", or name the file itself "
		              "in the configuration",
		              plugin->file, plugin->info.name, plugin->info.name);
		goto fail;
	}
	*out = plugin;
	return 0;
fail:
	plugin_unload(plugin);
	return r;
}

void plugin_unload(struct plugin *plugin)
{
	if (!plugin)
		return;
	if (plugin->handle)
		dlclose(plugin->handle);
	free(plugin->file);
	free(plugin);
}

const struct capsa_plugin *plugin_info(const struct plugin *plugin)
{
	return &plugin->info;
}

const char *plugin_file(const struct plugin *plugin)
{
	return plugin->file;
}
