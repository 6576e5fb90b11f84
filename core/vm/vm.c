/* SPDX-License-Identifier: MIT */
/* vm.c - see vm.h: from a configuration to everything that can be known without a machine. Called by core/cli. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/vm/vm-private.h"

/* Puts FILE:LINE in front of a fault in a file that the configuration names. */
static int at(const struct vm *vm, const struct config_place *place, int rc, struct error *err)
{
	return place->line ? error_prefix(err, rc, "%s:%u: ", place->file, place->line)
	                   : error_prefix(err, rc, "%s: ", vm->config->file);
}

void vm_boot_source(const struct vm *vm, struct boot_source *out)
{
	/* Video memory and ROMs of a PC, in which the ACPI tables lie; the ECAM. */
	static const struct boot_reserved reserved[] = {
		{ .start = 0xa0000, .size = 0x60000, .type = 2 },
		{ .start = PCI_ECAM_START, .size = PCI_ECAM_SIZE, .type = 2 },
	};

	*out = (struct boot_source){
		.kernel = vm->kernel,
		.initrd = vm->initrd_path,
		.cmdline = vm->cmdline,
		.reserved = reserved,
		.n_reserved = sizeof reserved / sizeof reserved[0],
	};
}

/* Kernel and initrd, as they would lie in the guest's memory. */
static int check_room(const struct vm *vm, struct error *err)
{
	const struct config *config = vm->config;
	struct boot_source source;
	enum boot_part part;
	int rc;

	vm_boot_source(vm, &source);
	rc = boot_check(&source, config->memory, &part, err);
	return rc ? at(vm, part == BOOT_PART_KERNEL ? &config->kernel_place : &config->initrd_place, rc, err) : 0;
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
			return at(vm, &config->kernel_place, rc, err);
		if (!vm->initrd_path)
			vm->initrd_path = beside;
		else
			free(beside);
	}
	rc = boot_kernel_open(vm->kernel_path, config->kernel_entry == CONFIG_ENTRY_COMPRESSED, &vm->kernel, err);
	if (rc)
		return at(vm, &config->kernel_place, rc, err);
	rc = check_room(vm, err);
	if (rc)
		return rc;
	rc = build_cmdline(vm, append, err);
	return rc ? at(vm, &config->cmdline_place, rc, err) : 0;
}

static const struct vm_hooks no_hooks = { .begin = NULL };

int vm_open(const struct config *config, const char *append, struct vm **out, struct error *err)
{
	struct vm *vm = calloc(1, sizeof *vm);
	int rc;

	if (!vm)
		return error_set(err, ENOMEM, "no memory");
	vm->config = config;
	vm->hooks = &no_hooks;
	rc = reactor_new(&vm->reactor);
	if (rc) {
		error_set(err, -rc, "cannot make an event loop: %s", strerror(-rc));
		goto fail;
	}
	vm->environment.main = vm->reactor;
	vm->environment.vcpus = config->cpus;
	vm->environment.machine_name = config->name;
	rc = vm_devices_open(vm, err);
	if (rc)
		goto fail;
	timeline_mark(&vm->timeline, "plugins loaded", timeline_now());
	rc = open_kernel(vm, append, err);
	if (rc)
		goto fail;
	timeline_mark(&vm->timeline, "kernel opened", timeline_now());
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
	free(vm->console_tail);
	reactor_free(vm->reactor);
	free(vm);
}

void vm_set_hooks(struct vm *vm, const struct vm_hooks *hooks, void *ctx)
{
	vm->hooks = hooks;
	vm->hooks_ctx = ctx;
}

const struct config *vm_config(const struct vm *vm)
{
	return vm->config;
}

struct reactor *vm_reactor(struct vm *vm)
{
	return vm->reactor;
}

struct vsock *vm_vsock(struct vm *vm)
{
	return vm->vsock;
}

const char *vm_end_name(const struct vm *vm)
{
	return api_end_name(vm->how);
}

const char *vm_end_console(const struct vm *vm)
{
	return vm->console_tail ? vm->console_tail : "";
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

struct timeline *vm_timeline(struct vm *vm)
{
	return &vm->timeline;
}

uint32_t vm_device_id(const struct vm *vm, size_t index)
{
	return plugin_info(vm->devices[index].plugin)->virtio_device_id;
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
	if (config->vsock)
		printf("vsock    CID %llu, %s, %zu port%s\n", (unsigned long long)config->vsock->cid,
		       config->vsock->socket ? config->vsock->socket : "no socket", config->vsock->n_ports,
		       config->vsock->n_ports == 1 ? "" : "s");
}
