/* SPDX-License-Identifier: MIT */
/*
 * machine.c - the checks of doctor_machine(): why a machine would show nothing, or boot slowly. Called by
 * core/cli/verb-doctor.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/path.h"
#include "core/base/text.h"
#include "core/doctor/doctor-private.h"
#include "core/vm/vm.h"

#define HUGE_INITRD (64ll << 20) /* bytes: reading and unpacking it takes longer than all the rest */

static bool has_word(const char *cmdline, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = strstr(cmdline, word); at; at = strstr(at + 1, word))
		if ((at == cmdline || at[-1] == ' ') && (at[len] == ' ' || at[len] == ',' || at[len] == '\0'))
			return true;
	return false;
}

/* The device's value of a key, or NULL. */
static const char *value_of(const struct config_device *device, const char *key)
{
	for (size_t i = 0; i < device->n_values; i++)
		if (strcmp(device->values[i].name, key) == 0)
			return device->values[i].string;
	return NULL;
}

static void check_console(const struct config *config, const char *cmdline, struct doctor_report *report)
{
	struct doctor_check *check = doctor_add(report, "console");
	const struct config_device *shown = NULL;
	bool any = false;

	for (size_t i = 0; i < config->n_devices; i++) {
		const char *backend = value_of(&config->devices[i], "backend");

		if (strcmp(config->devices[i].plugin, "console") != 0)
			continue;
		any = true;
		if (!backend || strcmp(backend, "file") != 0)
			shown = &config->devices[i];
	}
	if (!any)
		doctor_say(check, DOCTOR_NOTE, "add { plugin = \"console\"; } to devices",
		           "no console device: nothing will be shown");
	else if (!has_word(cmdline, "console=hvc0"))
		doctor_say(check, DOCTOR_NOTE, "add \"console=hvc0\" to boot.cmdline",
		           "no console=hvc0 on the command line: the kernel's messages go elsewhere");
	else if (!shown)
		doctor_say(check, DOCTOR_NOTE, NULL, "all consoles are files: look there");
	else
		doctor_say(check, DOCTOR_OK, NULL, "%s is hvc0", shown->name);
}

/* The value of a CONFIG_ line: 'y', 'm', 'n'; '?' where the kernel's configuration is nowhere to be found. */
static char kernel_option(const char *kernel, const char *version, const char *option)
{
	char *folder = path_dirname(kernel), *beside = folder ? path_join(folder, "config") : NULL, release[128] = "";
	char line[256], value = 'n';
	FILE *file = NULL;

	if (sscanf(version, "%127s", release) == 1) {
		char *named = folder ? text_format("%s/config-%s", folder, release) : NULL;

		if (named)
			file = fopen(named, "re");
		free(named);
	}
	if (!file && beside)
		file = fopen(beside, "re");
	free(beside);
	free(folder);
	if (!file)
		return '?';
	while (fgets(line, sizeof line, file))
		if (strncmp(line, option, strlen(option)) == 0 && line[strlen(option)] == '=')
			value = line[strlen(option) + 1];
	fclose(file);
	return value;
}

static void check_drivers(const struct vm *vm, struct doctor_report *report)
{
	static const char *const options[] = { "CONFIG_VIRTIO_PCI", "CONFIG_VIRTIO_CONSOLE" };
	struct doctor_check *check = doctor_add(report, "virtio drivers");
	const char *kernel = vm_kernel(vm);
	bool modules = false;

	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
		switch (kernel_option(kernel, vm_kernel_version(vm), options[i])) {
		case 'y':
			break;
		case 'm':
			modules = true;
			break;
		case '?':
			doctor_say(check, DOCTOR_NOTE, NULL,
			           "cannot tell: the configuration of %s lies neither beside it nor in /boot", kernel);
			return;
		default:
			doctor_say(check, DOCTOR_FAIL, "use a kernel that has it", "%s lacks %s", kernel, options[i]);
			return;
		}
	}
	if (modules && !vm_initrd(vm))
		doctor_say(check, DOCTOR_FAIL,
		           "set boot.initrd to one that loads them; packaging/mkinitramfs makes one",
		           "the kernel has them as modules, and there is no initrd");
	else if (modules)
		doctor_say(check, DOCTOR_OK, NULL, "modules: %s must load virtio_pci and virtio_console",
		           vm_initrd(vm));
	else
		doctor_say(check, DOCTOR_OK, NULL, "built into the kernel");
}

static void check_speed(const struct config *config, const struct vm *vm, struct doctor_report *report)
{
	struct doctor_check *check = doctor_add(report, "speed");
	struct stat st;
	long pages = sysconf(_SC_AVPHYS_PAGES), host_cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (vm_initrd(vm) && stat(vm_initrd(vm), &st) == 0 && st.st_size > HUGE_INITRD)
		doctor_say(check, DOCTOR_SLOW, "packaging/mkinitramfs makes a small one",
		           "the initrd is huge: %lld MiB", (long long)st.st_size >> 20);
	else if (config->kernel_entry == CONFIG_ENTRY_COMPRESSED)
		doctor_say(check, DOCTOR_SLOW, "leave kernel_entry away, unless KASLR is wanted",
		           "the guest unpacks its kernel itself");
	else if (config->serial)
		doctor_say(check, DOCTOR_SLOW, "leave serial away", "each character on the serial port is an exit");
	else if (pages > 0 && config->memory > (uint64_t)pages * 4096)
		doctor_say(check, DOCTOR_NOTE, NULL, "the host has less free memory now than the machine may use");
	else if (host_cpus > 0 && config->cpus > (unsigned long)host_cpus)
		doctor_say(check, DOCTOR_NOTE, NULL, "more CPUs than the host has (%ld)", host_cpus);
	else
		doctor_say(check, DOCTOR_OK, NULL, "nothing in the way of a quick boot");
}

void doctor_machine(const char *file, struct doctor_report *report)
{
	struct error err = { "" };
	struct config *config = NULL;
	struct vm *vm = NULL;

	if (config_read(file, &config, &err) || vm_open(config, NULL, &vm, &err)) {
		doctor_say(doctor_add(report, "configuration"), DOCTOR_FAIL, NULL, "%s", err.text);
	} else {
		doctor_say(doctor_add(report, "configuration"), DOCTOR_OK, NULL, "%s", file);
		check_console(config, vm_cmdline(vm), report);
		check_drivers(vm, report);
		check_speed(config, vm, report);
	}
	vm_close(vm);
	config_free(config);
}
