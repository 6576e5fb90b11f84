/* SPDX-License-Identifier: MIT */
/* vm.c - see vm.h: from a configuration to everything that can be known without a machine. Called by core/cli. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/text.h"
#include "core/vm/vm-private.h"

/* Puts FILE:LINE in front of a fault in a file that the configuration names. */
static int at_line(const struct vm *vm, unsigned line, int rc, struct error *err)
{
	return line ? error_prefix(err, rc, "%s:%u: ", vm->config->file, line)
	            : error_prefix(err, rc, "%s: ", vm->config->file);
}

static int open_initrd(struct vm *vm, struct error *err)
{
	struct stat st;
	int fd;

	if (!vm->initrd_path)
		return 0;
	fd = open(vm->initrd_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return error_set(err, errno, "initrd %s: %s", vm->initrd_path, strerror(errno));
	if (fstat(fd, &st)) {
		error_set(err, errno, "initrd %s: %s", vm->initrd_path, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		error_set(err, EINVAL, "initrd %s is no regular file", vm->initrd_path);
	} else if (st.st_size == 0) {
		error_set(err, EINVAL, "initrd %s is empty", vm->initrd_path);
	} else if ((uint64_t)st.st_size >= vm->config->memory) {
		char have[32];

		error_set(err, ENOSPC, "initrd %s (%lld MiB) does not fit into memory = \"%s\"", vm->initrd_path,
		          (long long)st.st_size >> 20, text_format_size(vm->config->memory, have, sizeof have));
	} else {
		close(fd);
		return 0;
	}
	close(fd);
	return -EINVAL;
}

static int build_cmdline(struct vm *vm, const char *append, struct error *err)
{
	const struct config *config = vm->config;
	const char **words;
	size_t n = 0;
	int rc;

	while (config->cmdline && config->cmdline[n])
		n++;
	words = calloc(n + 2, sizeof *words);
	if (!words)
		return error_set(err, ENOMEM, "no memory");
	if (n > 0)
		memcpy(words, config->cmdline, n * sizeof *words);
	words[n] = append;
	rc = boot_cmdline_build(words, config->cmdline_override, boot_kernel_cmdline_max(vm->kernel), &vm->cmdline,
	                        err);
	free(words);
	return rc;
}

static int open_kernel(struct vm *vm, const char *append, struct error *err)
{
	const struct config *config = vm->config;
	char *beside = NULL;
	int rc;

	if (config->initrd) {
		vm->initrd_path = strdup(config->initrd);
		if (!vm->initrd_path)
			return error_set(err, ENOMEM, "no memory");
	}
	if (config->kernel) {
		vm->kernel_path = strdup(config->kernel);
		if (!vm->kernel_path)
			return error_set(err, ENOMEM, "no memory");
	} else {
		rc = boot_default_kernel(&vm->kernel_path, &beside, err);
		if (rc)
			return at_line(vm, config->kernel_line, rc, err);
		if (!vm->initrd_path)
			vm->initrd_path = beside;
		else
			free(beside);
	}
	rc = boot_kernel_open(vm->kernel_path, config->kernel_entry == CONFIG_ENTRY_COMPRESSED, &vm->kernel, err);
	if (rc)
		return at_line(vm, config->kernel_line, rc, err);
	rc = open_initrd(vm, err);
	if (rc)
		return at_line(vm, config->initrd_line, rc, err);
	rc = build_cmdline(vm, append, err);
	return rc ? at_line(vm, config->cmdline_line, rc, err) : 0;
}

int vm_open(const struct config *config, const char *append, struct vm **out, struct error *err)
{
	struct vm *vm = calloc(1, sizeof *vm);
	int rc;

	if (!vm)
		return error_set(err, ENOMEM, "no memory");
	vm->config = config;
	rc = reactor_new(&vm->reactor);
	if (rc) {
		error_set(err, -rc, "cannot make an event loop: %s", strerror(-rc));
		goto fail;
	}
	vm->environment.main = vm->reactor;
	vm->environment.machine_name = config->name;
	rc = vm_devices_open(vm, err);
	if (!rc)
		rc = open_kernel(vm, append, err);
	if (rc)
		goto fail;
	*out = vm;
	return 0;

fail:
	vm_close(vm);
	return rc;
}

void vm_close(struct vm *vm)
{
	if (!vm)
		return;
	vm_devices_close(vm);
	boot_kernel_close(vm->kernel);
	free(vm->kernel_path);
	free(vm->initrd_path);
	free(vm->cmdline);
	reactor_free(vm->reactor);
	free(vm);
}

const char *vm_cmdline(const struct vm *vm)
{
	return vm->cmdline;
}

const char *vm_kernel(const struct vm *vm)
{
	return vm->kernel_path;
}

const char *vm_kernel_version(const struct vm *vm)
{
	return boot_kernel_version(vm->kernel);
}

const char *vm_initrd(const struct vm *vm)
{
	return vm->initrd_path;
}

void vm_describe(const struct vm *vm)
{
	static const char *const forms[] = {
		[BOOT_FORM_ELF_CACHED] = "unpacked by capsa",
		[BOOT_FORM_ELF_FILE] = "an unpacked ELF",
		[BOOT_FORM_BZIMAGE] = "unpacks itself in the guest",
	};
	const struct config *config = vm->config;
	const char *cached = boot_kernel_cache_path(vm->kernel);
	char memory[32];

	printf("machine  %s: %u vCPU%s, memory %s\n", config->name, config->cpus, config->cpus == 1 ? "" : "s",
	       text_format_size(config->memory, memory, sizeof memory));
	printf("kernel   %s (%s)\n", vm->kernel_path, forms[boot_kernel_form(vm->kernel)]);
	if (boot_kernel_version(vm->kernel)[0])
		printf("version  %s\n", boot_kernel_version(vm->kernel));
	if (cached)
		printf("cache    %s\n", cached);
	if (vm->initrd_path)
		printf("initrd   %s\n", vm->initrd_path);
	printf("cmdline  %s\n", vm->cmdline);
	for (size_t i = 0; i < config->n_devices; i++)
		printf("device   %s: %s (%s)\n", config->devices[i].name, plugin_info(vm->devices[i].plugin)->name,
		       plugin_file(vm->devices[i].plugin));
}
