/* SPDX-License-Identifier: MIT */
/*
 * loader.h - finds, opens and checks plugins.
 *
 * A plugin `NAME` is the file NAME.so in the first folder of plugin_path() that has it; a name
 * with a slash is a file. Opened RTLD_NOW | RTLD_LOCAL. What does not fit the interface is
 * refused with the reason (version, struct size, missing callback, ...). Main thread.
 */
#ifndef CAPSA_PLUGIN_LOADER_H
#define CAPSA_PLUGIN_LOADER_H

#include "capsa-plugin.h"
#include "core/base/error.h"

struct plugin; /* a loaded plugin */

/* Loads and checks. The same file twice is loaded once by the dynamic linker; each needs its own unload. */
int plugin_load(const char *name, struct plugin **out, struct error *err);
void plugin_unload(struct plugin *plugin);
/* Its description: a copy as long as this capsa's struct, zeros where the plugin's was shorter. */
const struct capsa_plugin *plugin_info(const struct plugin *plugin);
/* The file it came from. */
const char *plugin_file(const struct plugin *plugin);

/*
 * The folders searched: those of $CAPSA_PLUGIN_PATH (separated by ':') first, then the one that capsa
 * was installed with. NULL-terminated; plugin_path_free(). NULL: no memory.
 */
char **plugin_path(void);
/*
 * The names of all plugins on the path, sorted, each once; whether they load is another question.
 * NULL-terminated; plugin_path_free(). NULL: no memory.
 */
char **plugin_names(void);
void plugin_path_free(char **list); /* NULL is fine */

#endif
